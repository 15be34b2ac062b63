//! A whole connector over a table of its own. It can reach no service unless a test provides one.

use std::sync::Arc;
use std::time::Duration;

use connector::forms::Forms;
use connector::{Connector, Counters, CredentialGuard, InProcessQueue, Link, Queue};
use dynamo::Dynamo;
use jiff::{SignedDuration, Timestamp};
use runtime::{Clock, Deadline, Given, Secrets, Settings};
use store::{
    AthleteId, Enrolment, KeyVersion, Keyring, NewConnection, SealPurpose, Status, Store, StoredGrant, Told, schema,
};

const TABLE: &str = "connector";

pub(crate) struct Installation {
    pub(crate) connector: Arc<Connector>,
    pub(crate) waiting: InProcessQueue,
    _dynamo: Dynamo,
}

impl Installation {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A connector that a test changed before it is shared.
    pub(crate) async fn with(change: impl FnOnce(&mut Connector)) -> Self {
        let dynamo = Dynamo::in_memory().await.unwrap();
        schema::create_table(&dynamo.client(), TABLE).await.unwrap();
        let settings = Settings::read(|name| match name {
            "SMARTABASE_URL" => Some("https://example.smartabase.com/site".to_owned()),
            "PUBLIC_URL" => Some("https://connect.example.org/club".to_owned()),
            _ => None,
        })
        .unwrap();
        let given = Given::new(
            oura::ClientCredentials { client_id: "client".to_owned(), client_secret: "client secret".into() },
            smartabase::Credentials { username: "connector".to_owned(), password: "password".into() },
            keyring(),
        );
        let clock = Clock::manual(now());
        let waiting = InProcessQueue::new(clock.clone());
        let mut connector = Connector {
            forms: Forms::shipped().unwrap(),
            oura: oura::Client::new(settings.oura.clone()).unwrap(),
            smartabase: smartabase::Client::new(settings.site.clone()).unwrap(),
            store: Store::new(dynamo.client(), TABLE),
            queue: Queue::InProcess(waiting.clone()),
            secrets: Secrets::Given(given),
            settings,
            clock,
            credential_guard: CredentialGuard::default(),
            counters: Counters::default(),
        };
        change(&mut connector);
        Self { connector: Arc::new(connector), waiting, _dynamo: dynamo }
    }

    /// Stores an enrolled athlete; returns the query of the personal link.
    pub(crate) async fn enrolled(&self, athlete: &str, name: &str) -> String {
        let athlete = AthleteId::parse(athlete).unwrap();
        let expires = now() + SignedDuration::from_hours(24);
        let link = Link::new(&keyring(), athlete.clone(), expires);
        let enrolment = Enrolment {
            athlete,
            user_id: 17,
            name: name.to_owned(),
            link_expires: expires,
            basis: keyring().current().to_owned(),
            told: now(),
            links_from: None,
            staff: Told::default(),
        };
        self.connector.store.put_enrolment(&enrolment, soon().instant()).await.unwrap();
        link.to_url("https://connect.example.org/club/connect".parse().unwrap()).query().unwrap().to_owned()
    }

    /// Connects an athlete whose access token contains the athlete's id. The grant is sealed as earlier releases did.
    pub(crate) async fn connected(&self, name: &str) -> AthleteId {
        let athlete = AthleteId::parse(name).unwrap();
        let tokens = format!(r#"{{"access":"{name}","refresh":"refresh {name}"}}"#);
        let grant = StoredGrant {
            sealed: keyring().seal(SealPurpose::Grant, &athlete, tokens.as_bytes()).unwrap(),
            token_url: self.connector.settings.oura.token.clone(),
            expires_at: now() + SignedDuration::from_hours(24),
        };
        let new = NewConnection {
            athlete: athlete.clone(),
            status: Status::Active,
            note: None,
            user_id: 17,
            oura_user: Some(format!("oura {name}")),
            scopes: "daily".to_owned(),
            grant,
            held_until: None,
            backfill_from: None,
            now: now(),
        };
        self.connector.store.connect(&new, soon().instant()).await.unwrap();
        athlete
    }
}

pub(crate) fn keyring() -> Keyring {
    Keyring::new(KeyVersion { id: "one".to_owned(), secret: "root of one".into() })
}

/// The morning of Tuesday 3 March 2026.
pub(crate) fn now() -> Timestamp {
    "2026-03-03T07:30:00Z".parse().unwrap()
}

/// A deadline that a working test never reaches.
pub(crate) fn soon() -> Deadline {
    Deadline::within(Duration::from_mins(1))
}
