//! What things cost in requests, in the order in which they are made: every line is a round trip that somebody waits for
//! or pays for.

use e2e::{ADA, DAYS, NIGHTS, ada, connected, curtain, enrolled, living};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Cost, Stage};
use sim::oura::Life;
use sim::wire::Log;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// The table's operations, in order.
fn table(cost: &Cost) -> Vec<&str> {
    cost.table.entries.iter().map(|entry| entry.operation.as_str()).collect()
}

/// The last parts of the paths, in order.
fn paths(log: &Log) -> Vec<&str> {
    log.entries.iter().filter_map(|entry| entry.path.rsplit('/').next()).collect()
}

/// The bytes that were read of the ledger.
fn ledger(cost: &Cost) -> u64 {
    cost.table.entries.iter().filter(|entry| entry.operation == "Query").map(|entry| entry.received).sum()
}

/// What a tick's batch costs, without planning it.
async fn batch(stage: &Stage) -> Cost {
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let _planning = stage.cost();
    stage.settle().await;
    stage.cost()
}

#[tokio::test]
async fn an_unchanged_athlete_costs_few_bytes_and_an_eventually_consistent_read() {
    let stage = connected(ada()).await;
    stage.oura_wire.keep_bodies();
    stage.table_wire.keep_bodies();
    let cost = batch(&stage).await;
    let mut collections = paths(&cost.oura);
    collections.sort_unstable();
    assert_eq!(collections, ["daily_activity", "daily_readiness", "daily_sleep", "sleep"]);
    for request in &cost.oura.entries {
        // Without it Oura sends every night's heart rate, minute by minute.
        assert!(request.query.contains("fields="), "{} asks for everything", request.path);
    }
    // Ten days of four collections. With all fields they are a hundred times that.
    assert!(cost.oura.received() < 25_000, "{} bytes", cost.oura.received());
    assert_eq!(table(&cost), ["BatchGetItem"]);
    let read = &cost.table.entries[0];
    let request = String::from_utf8(read.request.to_vec()).unwrap();
    assert!(!request.contains("\"ConsistentRead\":true"), "twice the price: {request}");
    // As JSON, with names and types; as DynamoDB counts it, a connection is below 1,024 (`volume`).
    assert!(read.received < 1_200, "{} bytes of connection and holds", read.received);
    assert!(cost.smartabase.is_empty());
    curtain(&stage).await;
}

#[tokio::test]
async fn a_revised_night_costs_what_its_promises_need() {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    let cost = batch(&stage).await;
    assert_eq!(
        table(&cost),
        [
            "BatchGetItem",       // the connections and holds of the batch
            "UpdateItem",         // the lease: nobody else delivers for this athlete from here on
            "Query",              // the ledger of the window, form by form: what was confirmed, under which event
            "Query",              //
            "GetItem",            // whether the password is known to be right
            "UpdateItem",         // if not, the turn to try it, which one process of a deployment has
            "UpdateItem",         // that it was right, for a minute and for everybody
            "UpdateItem",         // what is intended, and the window's digest forgotten, as long as the lease is ours
            "TransactWriteItems", // the confirmations with the events' ids, the window's digest, the lease given back
        ]
    );
    // Whether the account is let in, once in a minute; then one import for the one form.
    assert_eq!(paths(&cost.smartabase), ["listgroups", "eventsimport"]);
    assert_eq!(cost.oura.len(), 4);

    // Within the minute in which the password is believed.
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
async fn a_morning_is_one_import_a_form_and_no_more_writes_than_a_revised_night() {
    let stage = connected(ada()).await;
    // The next morning, after the phone has synced: a night and a day that were not there, and yesterday grown.
    stage.pass(SignedDuration::from_hours(24));
    let cost = batch(&stage).await;
    assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 3)).map(|event| event.updates), Some(0));
    let count = |operation| cost.table.operations(operation);
    assert_eq!((count("TransactWriteItems"), count("Query")), (1, 2), "{:?}", table(&cost));
    let asked = |what| paths(&cost.smartabase).into_iter().filter(|path| *path == what).count();
    // What is new is looked up first, since its import may have arrived without anybody hearing of it.
    assert_eq!((asked("eventsearch"), asked("eventsimport")), (2, 2), "{:?}", paths(&cost.smartabase));
    curtain(&stage).await;
}

#[tokio::test]
async fn history_costs_a_tick_nothing() {
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
async fn an_athlete_waits_for_few_round_trips() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let tap = stage.cost();
    // The page: who it is, how they stand. The button: who it is, and the state of the visit, kept before it begins.
    assert_eq!(table(&tap), ["GetItem", "GetItem", "GetItem", "UpdateItem"]);
    assert!(tap.oura.is_empty() && tap.smartabase.is_empty());

    let back = stage.oura.approve(&consent, "ada");
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    assert_eq!(visit.status, 200);
    let callback = stage.cost();
    assert_eq!(
        table(&callback),
        [
            "DeleteItem",         // the state, which opens once
            "GetItem",            // whether the UUID is still this user's
            "GetItem",            // the connection that there is, and whose ring it was
            "TransactWriteItems", // the connection, and the ring's owner, of whom there is one
        ]
    );
    // The token, then whose account it opens.
    assert_eq!(paths(&callback.oura), ["oauth-token", "personal_info"]);
    assert!(callback.smartabase.is_empty(), "nobody waits for Smartabase");

    stage.settle().await;
    let first = stage.cost();
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).is_some());
    // A month of two forms: read, claimed, looked up, let in; intended, sent in pieces of 25, confirmed.
    let rounds: Vec<_> = table(&first).into_iter().take(7).collect();
    let promises = ["BatchGetItem", "UpdateItem", "Query", "Query", "GetItem", "UpdateItem", "TransactWriteItems"];
    assert_eq!(rounds, promises);
    let asked = |what| paths(&first.smartabase).into_iter().filter(|path| *path == what).count();
    assert_eq!((asked("eventsearch"), asked("eventsimport")), (2, 4), "{:?}", paths(&first.smartabase));
    curtain(&stage).await;
}
