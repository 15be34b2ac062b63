//! `connector doctor`: a healthy deployment has no findings; one fault gives exactly the finding for that fault.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sim::smartabase::{Schemas, User};
use sim::wire::{self, Fault, When};
use store::Service;

use crate::pilot::Pilot;
use crate::program::Ended;
use crate::squad::soon;
use crate::world::World;

/// The findings, each with its check.
fn findings(ended: &Ended) -> Vec<(String, String)> {
    let json = ended.json();
    let failed = json["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "failed");
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {value}")).to_owned();
    failed
        .map(|check| {
            assert!(!text(&check["says"]).is_empty() && !text(&check["remedy"]).is_empty(), "{check}");
            (text(&check["check"]), text(&check["finding"]))
        })
        .collect()
}

/// The states of the checks that neither passed nor failed.
fn open(ended: &Ended) -> Vec<(String, String)> {
    let json = ended.json();
    let checks = json["checks"].as_array().unwrap().iter();
    let open = checks.filter(|check| check["state"] != "passed" && check["state"] != "failed");
    open.map(|check| (check["check"].as_str().unwrap().to_owned(), check["state"].as_str().unwrap().to_owned()))
        .collect()
}

async fn examined(world: &World) -> Ended {
    let ended = world.run(&["doctor", "--json"]).await;
    assert_eq!(ended.stderr, "", "{ended:?}");
    for secret in ["api-password", "client-secret", "the root key", "signature="] {
        assert!(!ended.stdout.contains(secret), "{ended:?}");
    }
    ended
}

/// Asserts that this is the only finding, by this check, and that the exit code says so.
async fn finds(world: &World, check: &str, finding: &str) -> Ended {
    let ended = examined(world).await;
    assert_eq!(findings(&ended), [(check.to_owned(), finding.to_owned())], "{ended:?}");
    assert_eq!(ended.code, 3, "{ended:?}");
    ended
}

fn skipped(checks: &[&str]) -> Vec<(String, String)> {
    checks.iter().map(|check| ((*check).to_owned(), "skipped".to_owned())).collect()
}

#[tokio::test]
async fn healthy_deployment_has_no_findings_and_is_unchanged() {
    let world = World::synced(SignedDuration::ZERO).await;
    let _before = world.stage.cost();
    let ended = examined(&world).await;
    assert_eq!((findings(&ended), open(&ended), ended.code), (Vec::new(), Vec::new(), 0), "{ended:?}");
    let cost = world.stage.cost();
    for write in ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"] {
        assert_eq!(cost.table.operations(write), 0, "{cost:?}");
    }
    assert_eq!(cost.smartabase.count("POST", "/site/api/v1/eventsimport"), 0);
    assert_eq!(cost.smartabase.count("POST", "/site/api/v1/profileimport"), 0);
    assert_eq!((world.stage.smartabase.violations(), world.stage.oura.violations()), (Vec::new(), Vec::new()));
    assert_eq!(world.stage.smartabase.refused_logins(), 0);

    let text = world.run(&["doctor"]).await;
    assert_eq!(text.code, 0);
    assert!(text.stdout.ends_with("passed\n") && !text.stdout.contains('✗'), "{text:?}");
}

#[tokio::test]
async fn a_wrong_smartabase_password_is_tried_once() {
    let world = World::new().await;
    world.stage.smartabase.set_password("another");
    let ended = finds(&world, "smartabase-sign-in", "password-refused").await;
    assert_eq!(open(&ended), skipped(&["roster", "group", "uuids", "forms", "forms-reading"]));
    assert_eq!(world.stage.smartabase.refused_logins(), 1);
}

#[tokio::test]
async fn unfilled_secret() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.secrets.insert("arn:oura", None));
    let ended = finds(&world, "oura-secret", "secret-unfilled").await;
    assert_eq!(open(&ended), skipped(&["oura-client", "callback"]));
    assert!(ended.stdout.contains("connector secrets set oura"), "{ended:?}");
}

#[tokio::test]
async fn a_secret_of_another_form() {
    let world = World::new().await;
    let value = r#"{"user": "api.account", "password": "api-password"}"#;
    world.cloud(|cloud| cloud.secrets.insert("arn:smartabase", Some(value.to_owned())));
    finds(&world, "smartabase-secret", "secret-malformed").await;
    assert_eq!(world.stage.smartabase.refused_logins(), 0);
}

#[tokio::test]
async fn an_application_that_oura_does_not_know() {
    let world = World::new().await;
    world.stage.oura.configure(|oura| oura.client_secret = "another".to_owned());
    let ended = finds(&world, "oura-client", "oura-client-refused").await;
    assert_eq!(open(&ended), skipped(&["callback"]));
}

#[tokio::test]
async fn a_callback_address_that_is_not_registered() {
    let world = World::new().await;
    world.stage.oura.configure(|oura| oura.redirect_uris = vec!["https://elsewhere.example/oauth/callback".to_owned()]);
    let ended = finds(&world, "callback", "callback-not-registered").await;
    let callback = world.stage.process.connector.settings.callback();
    assert!(ended.stdout.contains(callback.as_str()), "what to register is said: {ended:?}");
}

#[tokio::test]
async fn a_site_without_uuids() {
    let world = World::new().await;
    for id in [1001, 1002] {
        world.stage.smartabase.set_user(User { uuid: None, ..User::new(id, "", "No", "Uuid").in_group("Squad") });
    }
    finds(&world, "uuids", "no-uuids").await;
}

#[tokio::test]
async fn two_athletes_with_one_uuid() {
    let world = World::new().await;
    world.stage.smartabase.set_user(User::new(1002, "uuid-ada", "Ben", "Ng").in_group("Squad"));
    let ended = finds(&world, "uuids", "uuid-shared").await;
    assert!(ended.stdout.contains("uuid-ada"), "{ended:?}");
    // A user outside the group does not count.
    world.stage.smartabase.set_user(User::new(1002, "uuid-ada", "Ben", "Ng"));
    assert_eq!(examined(&world).await.code, 0);
}

#[tokio::test]
async fn a_group_that_is_spelt_wrong() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.parameters.insert("SmartabaseGroup", "squad".to_owned()));
    let ended = finds(&world, "group", "group-empty").await;
    assert_eq!(open(&ended), skipped(&["uuids"]));
}

#[tokio::test]
async fn a_form_that_is_missing() {
    let world = World::new().await;
    world.stage.smartabase.remove_form("Oura Activity Summary");
    finds(&world, "forms", "form-missing").await;
}

#[tokio::test]
async fn a_form_that_the_account_may_not_read() {
    let world = World::new().await;
    let activity = When::every().path("/site/api/v1/eventsearch").body("Oura Activity Summary");
    world.stage.smartabase_wire.inject(activity, Fault::Answer(wire::Answer::status(403)));
    let ended = finds(&world, "forms-reading", "form-forbidden").await;
    assert!(ended.stdout.contains("Oura Activity Summary"), "{ended:?}");
}

#[tokio::test]
async fn site_that_hides_its_forms_leaves_their_checks_unknown() {
    let world = World::new().await;
    for schemas in [Schemas::Absent, Schemas::Forbidden, Schemas::Html] {
        world.stage.smartabase.configure(|site| site.schemas = schemas);
        let ended = examined(&world).await;
        let unknown = ("forms".to_owned(), "unknown".to_owned());
        assert_eq!((findings(&ended), open(&ended), ended.code), (Vec::new(), vec![unknown], 0), "{ended:?}");
    }
}

#[tokio::test]
async fn an_address_of_the_site_that_is_a_web_page() {
    let world = World::new().await;
    let page = When::every().path("/site/api");
    world.stage.smartabase_wire.inject(page, Fault::Answer(wire::Answer::html()));
    finds(&world, "smartabase-sign-in", "site-is-a-web-page").await;
}

#[tokio::test]
async fn an_address_of_the_site_that_names_another() {
    let world = World::new().await;
    world.cloud(|cloud| {
        let address = cloud.parameters["SmartabaseUrl"].replace("/site", "/sight");
        cloud.parameters.insert("SmartabaseUrl", address)
    });
    finds(&world, "smartabase-sign-in", "site-missing").await;
}

#[tokio::test]
async fn a_token_address_that_is_something_else() {
    let world = World::new().await;
    world.cloud(|cloud| {
        let address = format!("{}/oauth/nothing", world.stage.oura.url());
        cloud.parameters.insert("OuraTokenUrl", address)
    });
    finds(&world, "oura-client", "oura-token-address-wrong").await;
}

#[tokio::test]
async fn a_token_address_that_is_a_page() {
    let world = World::new().await;
    for page in [wire::Answer::html(), wire::Answer::status(200)] {
        world.stage.oura_wire.heal();
        let everywhere = When::every().path("/oauth/v2/ext/oauth-token");
        world.stage.oura_wire.inject(everywhere, Fault::Answer(page));
        finds(&world, "oura-client", "oura-token-address-wrong").await;
    }
    // An address that may be down is not reported as wrong.
    world.stage.oura_wire.heal();
    world.stage.oura_wire.inject(When::every(), Fault::Answer(wire::Answer::status(503)));
    let ended = examined(&world).await;
    assert_eq!(open(&ended)[0], ("oura-client".to_owned(), "unknown".to_owned()), "{ended:?}");
}

#[tokio::test]
async fn public_address_of_another_product() {
    let world = World::new().await;
    // A page of another product, although registered at Oura.
    let elsewhere = world.stage.smartabase_wire.url().replace("/site", "");
    world.stage.oura.register_redirect(&format!("{elsewhere}/oauth/callback"));
    world.cloud(|cloud| cloud.outputs.insert("ConnectUrl", format!("{elsewhere}/connect")));
    finds(&world, "public-address", "public-address-elsewhere").await;
}

#[tokio::test]
async fn public_address_of_another_installation() {
    let (world, other) = (World::new().await, World::new().await);
    let secrets = other.stage.secrets().unwrap();
    secrets
        .replace_keyring(store::Keyring::new(store::KeyVersion { id: "first".into(), secret: "another root".into() }));
    let settings = &other.stage.process.connector.settings;
    world.stage.oura.register_redirect(settings.callback().as_str());
    world.cloud(|cloud| cloud.outputs.insert("ConnectUrl", settings.page("connect").to_string()));
    finds(&world, "public-address", "public-address-elsewhere").await;
}

#[tokio::test]
async fn public_address_without_an_answer() {
    let world = World::new().await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    world.stage.oura.register_redirect(&format!("{nobody}/oauth/callback"));
    world.cloud(|cloud| cloud.outputs.insert("ConnectUrl", format!("{nobody}/connect")));
    finds(&world, "public-address", "public-address-unreachable").await;
}

#[tokio::test]
async fn a_function_that_was_stopped_or_is_gone() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.functions.insert("worker", Some(5)));
    assert_eq!(examined(&world).await.code, 0, "concurrency of its own stops nothing");
    world.cloud(|cloud| cloud.functions.insert("worker", Some(0)));
    let ended = finds(&world, "functions", "function-stopped").await;
    assert!(ended.stdout.contains("delete-function-concurrency --function-name worker"), "{ended:?}");
    world.cloud(|cloud| cloud.functions.remove("worker"));
    finds(&world, "functions", "function-gone").await;
}

#[tokio::test]
async fn a_schedule_that_is_off_or_gone() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.schedules.insert("ticks", false));
    finds(&world, "schedules", "schedule-off").await;
    world.cloud(|cloud| cloud.schedules.remove("ticks"));
    finds(&world, "schedules", "schedule-gone").await;
}

#[tokio::test]
async fn waiting_dead_letters() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.dead_letters = 3);
    let ended = finds(&world, "dead-letters", "dead-letters-waiting").await;
    assert!(ended.stdout.contains("about 3"), "{ended:?}");
}

#[tokio::test]
async fn alarm_address_unconfirmed_or_unsubscribed() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.subscription = "PendingConfirmation");
    finds(&world, "alarm-email", "alarm-email-unconfirmed").await;
    world.cloud(|cloud| cloud.subscription = "Deleted");
    finds(&world, "alarm-email", "alarm-email-gone").await;
    world.cloud(|cloud| cloud.parameters.remove("AlarmEmail"));
    assert_eq!(examined(&world).await.code, 0, "nobody has to be told of alarms");
}

#[tokio::test]
async fn a_site_on_hold_is_left_alone() {
    let world = World::new().await;
    let (store, until) = (&world.stage.process.connector.store, Timestamp::now() + SignedDuration::from_mins(5));
    store.set_hold(Service::Smartabase, until, "it refuses our password", soon()).await.unwrap();
    let _before = world.stage.cost();
    let ended = finds(&world, "smartabase-hold", "on-hold").await;
    assert!(ended.stdout.contains("it refuses our password"), "{ended:?}");
    assert_eq!(world.stage.cost().smartabase.len(), 0, "a wrong password is not tried again");
}

#[tokio::test]
async fn athletes_who_are_not_synced() {
    let world = World::synced(SignedDuration::from_hours(5)).await;
    finds(&world, "syncs", "nothing-synced").await;
    // With a tick every six hours, that is no problem.
    world.cloud(|cloud| cloud.parameters.insert("SyncSchedule", "rate(6 hours)".to_owned()));
    assert_eq!(examined(&world).await.code, 0);
}

#[tokio::test]
async fn a_table_that_is_gone() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.outputs.insert("TableName", "another".to_owned()));
    let ended = finds(&world, "table", "table-unreadable").await;
    assert_eq!(open(&ended), skipped(&["oura-hold", "smartabase-hold", "syncs"]));
}

#[tokio::test]
async fn invalid_parameters() {
    let world = World::new().await;
    world.cloud(|cloud| cloud.parameters.insert("LookbackDays", "a week".to_owned()));
    let ended = finds(&world, "settings", "settings-wrong").await;
    assert!(ended.stdout.contains("LOOKBACK_DAYS"), "{ended:?}");
    assert!(open(&ended).iter().all(|(_, state)| state == "skipped"));
}

#[tokio::test]
async fn forbidden_requests_leave_their_checks_unknown() {
    let world = World::new().await;
    world.cloud(|cloud| {
        cloud.forbidden = vec!["/worker/", "schedules/", "GetQueueAttributes", "ListSubscriptionsByTopic"];
    });
    let ended = examined(&world).await;
    let unknown = ["functions", "schedules", "schedules", "alarm-email", "dead-letters"];
    let unknown: Vec<_> = unknown.map(|check| (check.to_owned(), "unknown".to_owned())).into();
    assert_eq!((findings(&ended), open(&ended), ended.code), (Vec::new(), unknown, 0), "{ended:?}");
    assert!(ended.stdout.contains("not allowed to count the dead letters"), "{ended:?}");

    world.cloud(|cloud| cloud.forbidden = vec!["GetSecretValue"]);
    let ended = examined(&world).await;
    let unreadable =
        ["smartabase-secret", "oura-secret", "key"].map(|check| (check.to_owned(), "secret-unreadable".to_owned()));
    assert_eq!(findings(&ended), unreadable, "{ended:?}");
}

#[tokio::test]
async fn pilot_gets_the_checks_that_apply_to_it() {
    let mut pilot = Pilot::start().await;
    let ended = pilot.run(&["doctor", "--json"]).await;
    assert_eq!((findings(&ended), open(&ended), ended.code), (Vec::new(), Vec::new(), 0), "{ended:?}");
    let checks = ended.json()["checks"].as_array().unwrap().len();

    pilot.program = pilot.program.without("SMARTABASE_PASSWORD");
    let ended = pilot.run(&["doctor", "--json"]).await;
    assert_eq!(findings(&ended), [("settings".to_owned(), "settings-wrong".to_owned())]);
    assert!(ended.stdout.contains("SMARTABASE_PASSWORD is missing"), "{ended:?}");
    assert_eq!(ended.json()["checks"].as_array().unwrap().len(), checks, "what is not checked is listed, too");

    pilot.program = pilot.program.with("SMARTABASE_PASSWORD", "another").without("OURA_CLIENT_SECRET");
    pilot.program = pilot.program.with("OURA_CLIENT_SECRET", "another");
    let ended = pilot.run(&["doctor", "--json"]).await;
    assert!(!ended.stdout.contains("secrets set"), "a pilot has none to set: {ended:?}");
    assert!(ended.stdout.contains("OURA_CLIENT_ID and OURA_CLIENT_SECRET"), "{ended:?}");
}
