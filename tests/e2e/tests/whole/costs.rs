//! What operations cost in requests, in the order in which they are made. Each line is a round trip that takes time and
//! money.

use e2e::{ADA, DAYS, NIGHTS, ada, connected, curtain, enrolled, living};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Cost, Stage};
use sim::oura::Life;
use sim::wire::Log;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// The operations on the table, in order.
fn table(cost: &Cost) -> Vec<&str> {
    cost.table.entries.iter().map(|entry| entry.operation.as_str()).collect()
}

/// The last segment of each path, in order.
fn paths(log: &Log) -> Vec<&str> {
    log.entries.iter().filter_map(|entry| entry.path.rsplit('/').next()).collect()
}

/// The bytes read from the ledger.
fn ledger(cost: &Cost) -> u64 {
    cost.table.entries.iter().filter(|entry| entry.operation == "Query").map(|entry| entry.received).sum()
}

/// The cost of a tick's batch, without its planning.
async fn batch(stage: &Stage) -> Cost {
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let _planning = stage.cost();
    stage.settle().await;
    stage.cost()
}

#[tokio::test]
async fn unchanged_athlete_costs_few_bytes_and_one_cheap_read() {
    let stage = connected(ada()).await;
    stage.oura_wire.keep_bodies();
    stage.table_wire.keep_bodies();
    let cost = batch(&stage).await;
    let mut collections = paths(&cost.oura);
    collections.sort_unstable();
    assert_eq!(collections, ["daily_activity", "daily_readiness", "daily_sleep", "sleep"]);
    for request in &cost.oura.entries {
        // Without `fields`, Oura sends the heart rate of every night, minute by minute.
        assert!(request.query.contains("fields="), "{} asks for everything", request.path);
    }
    // Ten days of four collections. With all fields, the response is a hundred times as large.
    assert!(cost.oura.received() < 25_000, "{} bytes", cost.oura.received());
    assert_eq!(table(&cost), ["BatchGetItem"]);
    let read = &cost.table.entries[0];
    let request = String::from_utf8(read.request.to_vec()).unwrap();
    assert!(!request.contains("\"ConsistentRead\":true"), "twice the price: {request}");
    // This is JSON, with names and types. As DynamoDB counts it, a connection is below 1,024 bytes (`volume`).
    assert!(read.received < 1_200, "{} bytes of connection and holds", read.received);
    assert!(cost.smartabase.is_empty());
    curtain(&stage).await;
}

#[tokio::test]
async fn revised_night_costs_only_the_necessary_requests() {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    let cost = batch(&stage).await;
    assert_eq!(
        table(&cost),
        [
            "BatchGetItem",       // the connections and holds of the batch
            "UpdateItem",         // the lease: from here on, no other worker delivers for this athlete
            "Query",              // the ledger of the window, one form at a time: confirmed records and their events
            "Query",              //
            "GetItem",            // whether the password was accepted recently
            "UpdateItem",         // if not, the right to probe it, which one process of a deployment gets
            "UpdateItem",         // the password was accepted; valid for a minute and for all processes
            "UpdateItem",         // what will be sent, and the digest of the window removed, if the lease is still held
            "TransactWriteItems", // the confirmations with the event ids, the window's digest, the lease released
        ]
    );
    // One sign-in, at most once a minute; then one import for the one form.
    assert_eq!(paths(&cost.smartabase), ["listgroups", "eventsimport"]);
    assert_eq!(cost.oura.len(), 4);

    // Within the minute in which the password counts as accepted.
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 19_000.into());
    stage.pass(SignedDuration::from_secs(30));
    stage.process.tick().await.unwrap();
    let _planning = stage.cost();
    stage.settle().await;
    let cost = stage.cost();
    let promises = ["BatchGetItem", "UpdateItem", "Query", "Query", "GetItem", "UpdateItem", "TransactWriteItems"];
    assert_eq!((table(&cost), paths(&cost.smartabase)), (promises.to_vec(), vec!["eventsimport"]));
    curtain(&stage).await;
}

#[tokio::test]
async fn new_night_and_day_cost_one_import_per_form() {
    let stage = connected(ada()).await;
    // The next morning, after the phone has synced: a new night, a new day, and more activity for yesterday.
    stage.pass(SignedDuration::from_hours(24));
    let cost = batch(&stage).await;
    assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 3)).map(|event| event.updates), Some(0));
    let count = |operation| cost.table.operations(operation);
    assert_eq!((count("TransactWriteItems"), count("Query")), (1, 2), "{:?}", table(&cost));
    let asked = |what| paths(&cost.smartabase).into_iter().filter(|path| *path == what).count();
    // The worker looks up new records first, since an earlier import may have succeeded without a response.
    assert_eq!((asked("eventsearch"), asked("eventsimport")), (2, 2), "{:?}", paths(&cost.smartabase));
    curtain(&stage).await;
}

#[tokio::test]
async fn long_history_adds_no_cost_to_a_tick() {
    let since = date(2025, 1, 1);
    let old = |backfill: &str| {
        let mut cast = Cast { people: vec![living("ada", "Europe/Berlin", Life::Regular { since })], ..ada() };
        cast.variables.push(("BACKFILL_DAYS", backfill.to_owned()));
        cast
    };
    let (new, full) = (connected(old("0")).await, connected(old("400")).await);
    let events = |stage: &Stage| stage.smartabase.events_of(ADA, DAYS).len();
    assert!(events(&full) >= 400 && events(&new) < 10, "{} and {} events", events(&full), events(&new));
    for (new, full) in [(batch(&new).await, batch(&full).await), {
        for stage in [&new, &full] {
            stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
        }
        (batch(&new).await, batch(&full).await)
    }] {
        let figures = |cost: &Cost| {
            let table: Vec<_> = table(cost).into_iter().map(str::to_owned).collect();
            (table, cost.oura.len(), cost.oura.received(), cost.smartabase.len())
        };
        assert_eq!(figures(&new), figures(&full));
        assert_eq!(ledger(&new), ledger(&full), "bytes of the ledger");
    }
    curtain(&full).await;
}

#[tokio::test]
async fn connecting_takes_few_round_trips() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let tap = stage.cost();
    // The page reads the enrolment and the connection. The button reads the enrolment and stores the state of the
    // visit.
    assert_eq!(table(&tap), ["GetItem", "GetItem", "GetItem", "UpdateItem"]);
    assert!(tap.oura.is_empty() && tap.smartabase.is_empty());

    let back = stage.oura.approve(&consent, "ada");
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    assert_eq!(visit.status, 200);
    let callback = stage.cost();
    assert_eq!(
        table(&callback),
        [
            "DeleteItem",         // the state, which works once
            "GetItem",            // whether the UUID still belongs to this user
            "GetItem",            // the earlier connection, and its Oura account
            "TransactWriteItems", // the connection, and the owner of the Oura account, of which there is one
        ]
    );
    // The code exchange, then the request whose account it is.
    assert_eq!(paths(&callback.oura), ["oauth-token", "personal_info"]);
    assert!(callback.smartabase.is_empty(), "nobody waits for Smartabase");

    stage.settle().await;
    let first = stage.cost();
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).is_some());
    // A month of two forms: read, claim, look up, check the password; note as intended, send in batches of 25, confirm.
    let rounds: Vec<_> = table(&first).into_iter().take(7).collect();
    let promises = ["BatchGetItem", "UpdateItem", "Query", "Query", "GetItem", "UpdateItem", "TransactWriteItems"];
    assert_eq!(rounds, promises);
    let asked = |what| paths(&first.smartabase).into_iter().filter(|path| *path == what).count();
    assert_eq!((asked("eventsearch"), asked("eventsimport")), (2, 4), "{:?}", paths(&first.smartabase));
    curtain(&stage).await;
}
