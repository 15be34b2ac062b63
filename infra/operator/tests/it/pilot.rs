//! A pilot with a connected athlete, against the simulated Oura and Smartabase: what `resync` and `disconnect` do when
//! the program itself is the only worker.

use aws_sdk_dynamodb::types::AttributeValue;
use dynamo::Dynamo;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use local::{Cast, Stage};
use sim::oura::{Life, Person};
use sim::smartabase::{Config, User};
use sim::wire::{Answer, Fault};
use store::{AthleteId, KeyVersion, Keyring, SealPurpose, schema};

use crate::program::{Ended, Program};

const ADA: i64 = 1001;
const SLEEP: &str = "Oura Readiness and Sleep Summary";
const KEY: &str = "the key beside the file";
const TABLE: &str = "connector";

/// Simulated services, and the program with a pilot’s file and environment variables.
pub(crate) struct Pilot {
    pub(crate) stage: Stage,
    pub(crate) program: Program,
    file: String,
}

impl Pilot {
    /// One athlete connects through the pages, with no missing history; then the table is copied into a file.
    pub(crate) async fn start() -> Self {
        let ada =
            Person::new("ada", "Ada at Oura", "Europe/Berlin").living(Life::Regular { since: today() - 60.days() });
        let cast = Cast {
            now: Timestamp::now(),
            people: vec![ada],
            users: vec![User::new(ADA, "uuid-ada", "Ada", "Sample")],
            variables: vec![("BACKFILL_DAYS", "0".to_owned())],
            ..Cast::default()
        };
        let (client_id, client_secret) = (cast.oura.client_id.clone(), cast.oura.client_secret.clone());
        let stage = Stage::set(cast).await.unwrap();
        let keyring = Keyring::new(KeyVersion { id: "local".to_owned(), secret: KEY.into() });
        stage.secrets().unwrap().replace_keyring(keyring);
        stage.process.enrol().await.unwrap();
        assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);

        let settings = &stage.process.connector.settings;
        let account = Config::default();
        let program = Program::new()
            .with("SMARTABASE_URL", settings.site.url().as_str())
            .with("PUBLIC_URL", settings.public_url.as_str())
            .with("OURA_AUTHORIZE_URL", settings.oura.authorize.as_str())
            .with("OURA_TOKEN_URL", settings.oura.token.as_str())
            .with("OURA_REVOKE_URL", settings.oura.revoke.as_str())
            .with("OURA_API_URL", settings.oura.api.as_str())
            .with("OURA_CLIENT_ID", &client_id)
            .with("OURA_CLIENT_SECRET", &client_secret)
            .with("SMARTABASE_USERNAME", &account.username)
            .with("SMARTABASE_PASSWORD", &account.password);
        let file = program.home().join("connector.sqlite");
        copy(&stage.dynamo, &Dynamo::at(&file).await.unwrap()).await;
        std::fs::write(program.home().join("connector.sqlite.key"), KEY).unwrap();
        Self { stage, program, file: file.to_str().unwrap().to_owned() }
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.program.run(&[&["--local", &self.file], arguments].concat()).await
    }

    /// The dates of Ada’s nights in the form, in order.
    fn nights(&self) -> Vec<Date> {
        let mut dates: Vec<_> =
            self.stage.smartabase.events_of(ADA, SLEEP).iter().map(|event| event.start_date).collect();
        dates.sort_unstable();
        dates
    }
}

/// Copies every item of one database into another.
async fn copy(from: &Dynamo, to: &Dynamo) {
    schema::create_table(&to.client(), TABLE).await.unwrap();
    let items = from.client().scan().table_name(TABLE).send().await.unwrap();
    for item in items.items() {
        to.client().put_item().table_name(TABLE).set_item(Some(item.clone())).send().await.unwrap();
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[tokio::test]
async fn a_resync_brings_exactly_the_days_asked_for() {
    let pilot = Pilot::start().await;
    assert_eq!(pilot.nights(), []);
    let (from, to) = (today() - 45.days(), today() - 10.days());
    let arguments = ["resync", "sample", "--from", &from.to_string(), "--to", &to.to_string()];
    let ended = pilot.run(&arguments).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    // Oura dates a night by the day the athlete woke up.
    let expected: Vec<_> = from.yesterday().unwrap().series(1.day()).take_while(|date| *date < to).collect();
    assert_eq!(pilot.nights(), expected);
    let status = pilot.run(&["status", "--json"]).await.json();
    assert_eq!(status["athletes"][0]["last_night"], to.yesterday().unwrap().to_string());
}

#[tokio::test]
async fn site_that_answers_html_does_not_hang_a_resync() {
    let pilot = Pilot::start().await;
    pilot.stage.smartabase_wire.decide(|_| Some(Fault::Answer(Answer::html())));
    let from = (today() - 3.days()).to_string();
    let ended = pilot.run(&["resync", "ada", "--from", &from, "--give-up-after", "0m"]).await;
    assert!(ended.code == 3 && ended.stdout.contains("not finished: nothing moved"), "{ended:?}");
}

#[tokio::test]
async fn disconnecting_revokes_at_oura_and_keeps_the_records() {
    let pilot = Pilot::start().await;
    let ended = pilot.run(&["disconnect", "uuid-ada", "--yes", "--json"]).await;
    assert_eq!((ended.code, ended.json()["revoked"].as_bool()), (0, Some(true)), "{ended:?}");
    assert!(pilot.stage.oura.grants("ada").iter().all(|grant| grant.revoked));
    let status = pilot.run(&["status", "--json"]).await.json();
    assert_eq!(status["athletes"][0]["state"], "disconnected");
}

#[tokio::test]
async fn grant_of_another_token_server_is_not_reported_revoked() {
    let mut pilot = Pilot::start().await;
    // The grant comes from Oura's older token server, and revocations now go to the newer one. An earlier release
    // sealed it without the endpoint.
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let dynamo = Dynamo::at(std::path::Path::new(&pilot.file)).await.unwrap();
    let keyring = Keyring::new(KeyVersion { id: "local".to_owned(), secret: KEY.into() });
    let tokens = br#"{"access":"an access token","refresh":"a refresh token"}"#;
    let sealed = keyring.seal(SealPurpose::Grant, &AthleteId::parse("uuid-ada").unwrap(), tokens).unwrap();
    let request =
        dynamo.client().update_item().table_name(TABLE).update_expression("SET token_url = :older, #grant = :grant");
    let request = request.expression_attribute_names("#grant", "grant");
    let request = request.expression_attribute_values(":grant", AttributeValue::B(sealed.as_bytes().to_vec().into()));
    let request = request.expression_attribute_values(":older", text("https://api.ouraring.com/oauth/token"));
    request.key("pk", text("ATHLETE#uuid-ada")).key("sk", text("CONNECTION")).send().await.unwrap();
    let newer = "https://moi.ouraring.com/oauth/v2/ext/oauth-revoke";
    pilot.program = pilot.program.without("OURA_REVOKE_URL").with("OURA_REVOKE_URL", newer);
    let ended = pilot.run(&["disconnect", "uuid-ada", "--yes"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stdout.contains("the athlete has to remove it in their Oura account"), "{ended:?}");
    assert!(!ended.stderr.contains("trying again"), "nothing comes of that: {ended:?}");
    let status = pilot.run(&["status", "--json"]).await.json();
    assert_eq!(status["athletes"][0]["state"], "disconnected");
}

#[tokio::test]
async fn missing_variables_of_serve_are_named_when_needed() {
    let pilot = Pilot::start().await;
    let program = pilot.program.without("OURA_CLIENT_SECRET").without("PUBLIC_URL");
    let ended = program.run(&["--local", &pilot.file, "disconnect", "ada", "--yes"]).await;
    ended.refused(1, &["OURA_CLIENT_SECRET is missing", "PUBLIC_URL is missing", "`serve` was started with"]);
    std::fs::remove_file(program.home().join("connector.sqlite.key")).unwrap();
    let ended =
        program.with("PUBLIC_URL", "https://oura.example.org").run(&["--local", &pilot.file, "link", "ada"]).await;
    ended.refused(1, &["connector.sqlite.key", "restore it from your backup"]);
}

#[tokio::test]
async fn a_pilot_has_no_dead_letters() {
    Pilot::start().await.run(&["redrive"]).await.refused(2, &["keeps no dead letters", "remember", "Oura account"]);
}
