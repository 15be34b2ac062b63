//! The environment of a function: simulated services with connected athletes, the table, a queue and the secrets, all
//! behind TLS.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use connector::queue::message::Job;
use jiff::Timestamp;
use jiff::civil::Date;
use local::{Cast, Stage};
use serde_json::{Value, json};
use sim::oura::Life;
use store::AthleteId;

use crate::gateway::{Authority, Gateway, Offer};
use crate::services::{Contents, Services};

/// Where Debian and Amazon Linux, and systems based on them, keep the CA certificates.
const AUTHORITIES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// How the services answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The protocols that they offer.
    pub(crate) offer: Offer,
    /// How long Oura and Smartabase take to answer.
    pub(crate) delay: Duration,
    /// How long the queue takes to answer.
    pub(crate) queue_delay: Duration,
}

/// The environment of one deployment.
pub(crate) struct World {
    /// The services, the table, and a connector in this process that connected the athletes.
    pub(crate) stage: Stage,
    /// In front of Oura.
    pub(crate) oura: Gateway,
    /// In front of Smartabase.
    pub(crate) smartabase: Gateway,
    /// In front of the table.
    pub(crate) table: Gateway,
    /// The path of the table's address.
    table_path: String,
    /// The queue and the secrets.
    pub(crate) services: Services,
    aws: Gateway,
    trusted: PathBuf,
    _folder: tempfile::TempDir,
}

impl Manner {
    /// Services that answer without delay, over HTTP/2.
    pub(crate) const PROMPT: Self = Self { offer: Offer::Http2, delay: Duration::ZERO, queue_delay: Duration::ZERO };
}

impl World {
    /// A site of `athletes` athletes, all connected and just synced.
    pub(crate) async fn of(athletes: i64, manner: Manner) -> anyhow::Result<Self> {
        Self::around(e2e::connected(cast(athletes)).await, manner).await
    }

    /// Like [`World::of`], with athletes who have worn their rings since `since`.
    pub(crate) async fn living_since(athletes: i64, since: Date, manner: Manner) -> anyhow::Result<Self> {
        let mut cast = cast(athletes);
        for person in &mut cast.people {
            person.life = Life::Regular { since };
        }
        Self::around(e2e::connected(cast).await, manner).await
    }

    async fn around(stage: Stage, manner: Manner) -> anyhow::Result<Self> {
        let Manner { offer, delay, queue_delay } = manner;
        let authority = Authority::new()?;
        let folder = tempfile::tempdir()?;
        let trusted = folder.path().join("trusted.pem");
        // As many certificates as a deployed function reads, and our own.
        let usual = AUTHORITIES.iter().find_map(|path| fs::read_to_string(path).ok());
        let usual = usual.context("no certificates of authorities: install ca-certificates")?;
        fs::write(&trusted, format!("{usual}\n{}", authority.pem))?;
        let site = sim::smartabase::Config::default();
        let oura = sim::oura::Settings::default();
        let contents = Contents {
            oura: json!({ "client_id": oura.client_id, "client_secret": oura.client_secret }),
            smartabase: json!({ "username": site.username, "password": site.password }),
            key: "the root key of the stage".to_owned(),
            key_version: "first".to_owned(),
        };
        let services = Services::open(contents, queue_delay).await?;
        let table = stage.dynamo.endpoint().await?;
        let open = async |upstream: &str, delay| Gateway::open(&authority, upstream, offer, delay).await;
        Ok(Self {
            oura: open(&stage.oura.url(), delay).await?,
            smartabase: open(&stage.smartabase.url(), delay).await?,
            table: Gateway::open(&authority, &table, Offer::Http1, Duration::ZERO).await?,
            table_path: table.splitn(4, '/').nth(3).unwrap_or_default().to_owned(),
            aws: Gateway::open(&authority, services.url(), Offer::Http1, Duration::ZERO).await?,
            stage,
            services,
            trusted,
            _folder: folder,
        })
    }

    /// The environment variables that the template and Lambda set for a function.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let oura = self.stage.oura.url();
        let behind = |address: String| address.replacen(&oura, &self.oura.url(), 1);
        let site = self.stage.smartabase.url();
        let path = site.splitn(4, '/').nth(3).unwrap_or_default();
        let server = sim::oura::Settings::default().server;
        [
            ("SMARTABASE_URL", format!("{}/{path}", self.smartabase.url())),
            ("OURA_AUTHORIZE_URL", behind(self.stage.oura.authorize_url())),
            ("OURA_TOKEN_URL", behind(self.stage.oura.token_url(server))),
            ("OURA_REVOKE_URL", behind(self.stage.oura.revoke_url(server))),
            ("OURA_API_URL", self.oura.url()),
            ("PUBLIC_URL", "https://connect.example.org".to_owned()),
            ("STACK_NAME", "bench".to_owned()),
            ("TABLE_NAME", "connector".to_owned()),
            ("QUEUE_URL", format!("{}/0/jobs", self.aws.url())),
            ("DEAD_LETTER_QUEUE_URL", format!("{}/0/dead", self.aws.url())),
            ("OURA_SECRET_ARN", "arn:aws:secretsmanager:local:0:secret:oura".to_owned()),
            ("SMARTABASE_SECRET_ARN", "arn:aws:secretsmanager:local:0:secret:smartabase".to_owned()),
            ("KEY_SECRET_ARN", "arn:aws:secretsmanager:local:0:secret:key".to_owned()),
            ("AWS_REGION", "local".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_ENDPOINT_URL", self.aws.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("{}/{}", self.table.url(), self.table_path)),
            ("SSL_CERT_FILE", self.authorities()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The CA certificates of the simulated services, as a PEM file.
    pub(crate) fn authorities(&self) -> String {
        self.trusted.display().to_string()
    }

    /// The athletes' ids.
    pub(crate) fn athletes(count: i64) -> impl Iterator<Item = AthleteId> {
        (2001..2001 + count).filter_map(|number| AthleteId::parse(&format!("uuid-{number}")).ok())
    }

    /// The event from SQS with a sync of each of these athletes.
    pub(crate) fn syncs(athletes: impl Iterator<Item = AthleteId>) -> Value {
        let tick = Timestamp::now();
        Self::messages(athletes.map(|athlete| Job::Sync { athlete, tick }.to_message()))
    }

    /// The event from SQS with these messages, whose ids are `message-0`, `message-1` and so on.
    pub(crate) fn messages(bodies: impl Iterator<Item = String>) -> Value {
        let record = |(number, body)| {
            json!({
                "messageId": format!("message-{number}"),
                "receiptHandle": format!("receipt-{number}"),
                "body": body,
                "attributes": { "ApproximateReceiveCount": "1" },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:local:0:jobs",
                "awsRegion": "local",
            })
        };
        json!({ "Records": bodies.enumerate().map(record).collect::<Vec<_>>() })
    }
}

/// `athletes` athletes at the present time, without a backfill.
fn cast(athletes: i64) -> Cast {
    let mut cast = Cast { now: Timestamp::now(), ..e2e::squad(athletes) };
    cast.variables.push(("BACKFILL_DAYS", "0".to_owned()));
    cast
}
