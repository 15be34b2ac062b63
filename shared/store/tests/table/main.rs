//! Tests the store against a DynamoDB inside the process: every operation, every outcome, and failures of the network
//! in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the lints know test functions, but not what those share")]

mod consent;
mod credentials;
mod damage;
mod enrolments;
mod failures;
mod grants;
mod holds;
mod leases;
mod ledger;
mod listing;
mod outages;
mod refreshes;
mod repetition;
mod snapshots;
mod states;
mod statuses;
mod wire;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, types};
use dynamo::Dynamo;
use jiff::{SignedDuration, Timestamp};
use store::{
    AthleteId, BackfillDebt, Claim, Connect, Connection, Finish, KeyVersion, Keyring, NewConnection, SealPurpose,
    Status, Store, StoredGrant, WindowDigest, schema,
};
use tokio::time::Instant;
use wire::Wire;

const TABLE: &str = "connector";

/// A new table for one test, with a breakable wire in front of it.
struct Table {
    store: Store,
    wire: Wire,
    /// A client that bypasses the wire and the store, to read and write items that the store would not.
    raw: Client,
    _dynamo: Dynamo,
}

impl Table {
    async fn new() -> Self {
        let dynamo = Dynamo::in_memory().await.unwrap();
        let raw = dynamo.client();
        assert_eq!(schema::create_table(&raw, TABLE).await.unwrap(), schema::Creation::Created);
        let wire = Wire::to(&dynamo.endpoint().await.unwrap()).await;
        // Without the SDK's own retries, so that a test sees each failure that it causes.
        let config = dynamo::config_at(&wire.endpoint).retry_config(RetryConfig::disabled()).build();
        Self { store: Store::new(Client::from_conf(config), TABLE), wire, raw, _dynamo: dynamo }
    }

    /// Connects an athlete to the Oura account `oura-<name>`.
    async fn connected(&self, name: &str) -> Connection {
        match self.store.connect(&authorised(name), soon()).await.unwrap() {
            Connect::Connected { connection, .. } => connection,
            other => panic!("{other:?}"),
        }
    }

    /// Claims the lease for a minute from `at(0)`, and returns the fence.
    async fn claimed(&self, name: &str) -> u64 {
        match self.store.claim(&athlete(name), "the test", at(0), at(60), None, soon()).await.unwrap() {
            Claim::Won(connection) => connection.fence,
            other => panic!("{other:?}"),
        }
    }

    async fn connection(&self, name: &str) -> Connection {
        self.store.connection(&athlete(name), soon()).await.unwrap().unwrap()
    }

    async fn item(&self, pk: &str, sk: &str) -> Option<HashMap<String, AttributeValue>> {
        self.raw.get_item().table_name(TABLE).key("pk", s(pk)).key("sk", s(sk)).send().await.unwrap().item
    }

    /// Sets one attribute without the store; `None` removes it.
    async fn meddle(&self, pk: &str, sk: &str, attribute: &str, value: Option<AttributeValue>) {
        let expression = if value.is_some() { "SET #a = :v" } else { "REMOVE #a" };
        let request = self.raw.update_item().table_name(TABLE).key("pk", s(pk)).key("sk", s(sk));
        let request = request.update_expression(expression).expression_attribute_names("#a", attribute);
        let values = value.map(|value| HashMap::from([(":v".to_owned(), value)]));
        request.set_expression_attribute_values(values).send().await.unwrap();
    }
}

fn athlete(name: &str) -> AthleteId {
    AthleteId::parse(name).unwrap()
}

/// The instant this many seconds after eight o'clock (UTC) on Monday 2 March 2026.
fn at(seconds: i64) -> Timestamp {
    "2026-03-02T08:00:00.123456789Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// A deadline that no test reaches unless something is wrong.
fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn keyring() -> Keyring {
    Keyring::new(KeyVersion { id: "version-1".to_owned(), secret: "a root secret".into() })
}

/// A grant that differs from every other grant.
fn grant(name: &str) -> StoredGrant {
    StoredGrant {
        sealed: keyring().seal(SealPurpose::Grant, &athlete(name), b"tokens").unwrap(),
        token_url: "https://oura.test/oauth/token".parse().unwrap(),
        expires_at: at(86_400),
    }
}

fn authorised(name: &str) -> NewConnection {
    NewConnection {
        athlete: athlete(name),
        status: Status::Active,
        note: None,
        user_id: 17,
        oura_user: Some(format!("oura-{name}")),
        scopes: "daily".to_owned(),
        grant: grant(name),
        held_until: None,
        backfill_from: Some(jiff::civil::date(2026, 2, 1)),
        now: at(0),
    }
}

#[tokio::test]
async fn create_table_follows_the_template_and_is_repeatable() {
    let table = Table::new().await;
    assert_eq!(schema::create_table(&table.raw, TABLE).await.unwrap(), schema::Creation::AlreadyThere);
    let described = table.raw.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let keys = |schema: &[types::KeySchemaElement]| {
        schema.iter().map(|key| (key.attribute_name.clone(), key.key_type.clone())).collect::<Vec<_>>()
    };
    let (hash, range) = (types::KeyType::Hash, types::KeyType::Range);
    assert_eq!(keys(described.key_schema()), [("pk".to_owned(), hash.clone()), ("sk".to_owned(), range.clone())]);
    let index = &described.global_secondary_indexes()[0];
    assert_eq!(index.index_name(), Some(schema::INDEX));
    assert_eq!(keys(index.key_schema()), [("active_shard".to_owned(), hash), ("athlete".to_owned(), range)]);
    let projection = index.projection().unwrap().projection_type();
    assert_eq!(projection, Some(&types::ProjectionType::KeysOnly));
    let ttl = table.raw.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some(schema::EXPIRES));
}

/// The end of a sync without problems.
fn finish(seconds: i64) -> Finish {
    Finish {
        digest: WindowDigest::Set("window".to_owned()),
        note: None,
        last_day: Some(jiff::civil::date(2026, 3, 2)),
        backfill: BackfillDebt::Keep,
        brought: None,
        synced: true,
        released: true,
        now: at(seconds),
    }
}
