//! What the product is billed for: table units and log bytes. `cargo bench-cost` computes the bill; these tests check
//! the counts that it uses.

#![expect(
    clippy::float_cmp,
    clippy::panic,
    reason = "whole numbers; the lints know test functions, but not what those share"
)]

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use cost::Counts;
use e2e::{connected, curtain, living};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use serde_json::Value;
use sim::oura::Life;
use sim::smartabase::User;
use sim::wire::Entry;

use e2e::log::{listen, printed};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// The longest row that costs one write unit, in bytes.
const UNIT: usize = 1024;

/// Athletes in Berlin, with UUIDs of the usual length.
fn cast(size: i64, life: Life) -> Cast {
    let numbers = 2001..2001 + size;
    Cast {
        people: numbers.clone().map(|number| living(&format!("p{number}"), "Europe/Berlin", life)).collect(),
        users: numbers
            .map(|number| {
                User::new(number, &format!("0b6f1c1e-5d52-4f0c-9c5e-{number:012}"), "Player", &number.to_string())
            })
            .collect(),
        ..Cast::new()
    }
}

/// Splits the log into lines that are no metrics, and metrics.
fn sorted(text: &str) -> (Vec<Value>, Vec<Value>) {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.partition(|line| line.get("_aws").is_none())
}

/// Asserts that the bill's counts are within a tenth of what was measured here.
fn in_the_bill<const N: usize>(counted: [(&str, f64, f64); N]) {
    let off = |(_, here, there): &&(&str, f64, f64)| (here - there).abs() > there / 10.0;
    let wrong: Vec<_> = counted.iter().filter(off).collect();
    assert!(wrong.is_empty(), "counts.toml (last) no longer says what is so (first): {wrong:#?}");
}

/// Read and write units of one request to the table, if every row is shorter than a unit.
fn units(entry: &Entry) -> (f64, f64) {
    let body: Value = serde_json::from_slice(&entry.request).unwrap();
    let read = |asked: &Value| if asked["ConsistentRead"] == true { 1.0 } else { 0.5 };
    match entry.operation.as_str() {
        "GetItem" | "Query" => (read(&body), 0.0),
        "BatchGetItem" => {
            let asked = body["RequestItems"].as_object().unwrap().values().next().unwrap();
            (read(asked) * number(asked["Keys"].as_array().unwrap().len()), 0.0)
        }
        "TransactWriteItems" => (0.0, 2.0 * number(body["TransactItems"].as_array().unwrap().len())),
        "PutItem" | "UpdateItem" | "DeleteItem" => (0.0, 1.0),
        operation => panic!("{operation} has no price yet"),
    }
}

/// The bytes of every row, names and values, by kind of row. `index` has the entries of the index.
async fn rows(stage: &Stage) -> BTreeMap<String, Vec<usize>> {
    let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let scan = stage.dynamo.client().scan().table_name(stage.process.connector.store.table());
    for item in scan.send().await.unwrap().items() {
        let indexed =
            ["pk", "sk", "active_shard", "athlete"].map(|name| item.get(name).map(|value| name.len() + length(value)));
        rows.entry("index".to_owned()).or_default().extend(indexed.into_iter().sum::<Option<usize>>());
        let kind = item["sk"].as_s().unwrap().split('#').next().unwrap().to_owned();
        rows.entry(kind).or_default().push(item.iter().map(|(name, value)| name.len() + length(value)).sum());
    }
    rows
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

fn length(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        other => panic!("no row has a {other:?}"),
    }
}

#[tokio::test]
async fn batch_logs_one_line_per_change_and_one_for_the_rest() {
    listen();
    let counts = Counts::held().unwrap();
    let stage = connected(cast(50, Life::Regular { since: date(2026, 1, 1) })).await;
    stage.pass(PERIOD);
    let _ = printed();
    stage.process.tick().await.unwrap();
    let tick = printed();
    stage.process.work().await;
    let batch = printed();
    for text in [&tick, &batch] {
        let (told, metrics) = sorted(text);
        assert_eq!((told.len(), metrics.len()), (1, 1), "{text}");
    }
    in_the_bill([
        ("bytes of a tick's log", number(tick.len()), counts.bytes.tick_log),
        ("bytes of a batch's log", number(batch.len()), counts.bytes.batch_log),
    ]);
    assert!(batch.contains(r#""unchanged":50"#), "{batch}");
    assert_eq!(counts.template.batch, 50.0);
    stage.oura.revise_night("p2001", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let _ = printed();
    stage.process.work().await;
    let (told, metrics) = sorted(&printed());
    let told: Vec<_> = told.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!((told, metrics.len()), (vec!["done", "batch"], 1));
    curtain(&stage).await;
}

#[tokio::test]
async fn normal_day_costs_what_the_bill_says() {
    listen();
    let counts = Counts::held().unwrap();
    let stage = connected(cast(10, Life::Varied { since: date(2026, 1, 1) })).await;
    stage.table_wire.keep_bodies();
    let (mut changes, mut heartbeats, mut read, mut written) = (0.0, 0.0, 0.0, 0.0);
    let (mut smartabase, mut bytes, mut lines) = (0.0, 0.0, 0.0);
    let mut metrics = BTreeMap::<String, BTreeSet<i32>>::new();
    for tick in 0..96 {
        stage.pass(PERIOD);
        let _ = stage.cost();
        let _ = printed();
        // Hourly from half past three to half past six, as in the template.
        if [72, 76, 80, 84].contains(&tick) {
            stage.process.enrol().await.unwrap();
        }
        let enrolment = stage.cost();
        stage.process.tick().await.unwrap();
        let _listing = stage.cost();
        stage.settle().await;
        let work = stage.cost();
        smartabase += number(work.smartabase.len() + enrolment.smartabase.len());
        let (told, reported) = sorted(&printed());
        for line in
            told.iter().filter(|line| !["tick", "batch", "enrolment"].contains(&line["message"].as_str().unwrap()))
        {
            lines += 1.0;
            bytes += number(line.to_string().len());
        }
        for name in reported.iter().flat_map(|document| document.as_object().unwrap().keys()) {
            metrics.entry(name.clone()).or_default().insert(tick / 4);
        }
        for entry in enrolment.table.entries.iter().chain(&work.table.entries) {
            let request = String::from_utf8_lossy(&entry.request);
            // The bill lists these separately: what each tick reads, and what it writes for an unchanged athlete.
            if entry.operation == "BatchGetItem" && request.contains("HOLD#") {
                continue;
            }
            if request.contains(r#""UpdateExpression":"SET #last_sync = :last_sync""#) {
                heartbeats += 1.0;
                continue;
            }
            changes += f64::from(u8::from(request.contains("SET #lease_owner") && !request.contains("refresh_begun")));
            let (reads, writes) = units(entry);
            read += reads;
            written += writes;
        }
    }
    let names = metrics.iter().filter(|(name, _)| !["_aws", "Stack"].contains(&name.as_str()));
    let (enrolment, day): (Vec<_>, Vec<_>) = names.partition(|(_, hours)| hours.iter().eq(&[18, 19, 20, 21]));
    assert_eq!(number(enrolment.len()), counts.code.metrics_of_enrolment, "{enrolment:?}");
    assert_eq!(number(day.len()), counts.code.metrics_of_a_day, "{day:?}");
    let rows = rows(&stage).await;
    for (kind, rows) in &rows {
        assert!(rows.iter().all(|row| *row <= UNIT), "a {kind} takes more than a unit: {rows:?}");
    }
    let longest = |kind: &str| number(*rows[kind].iter().max().unwrap());
    in_the_bill([
        ("syncs that found something", changes / 10.0, counts.day.changes),
        ("requests to Smartabase", smartabase / 10.0, counts.day.smartabase_requests),
        ("heartbeats", heartbeats / 10.0, counts.day.heartbeats),
        ("read units", read / 10.0, counts.day.read_units),
        ("write units", written / 10.0, counts.day.write_units),
        ("bytes of the log", bytes / 10.0, counts.day.log_bytes),
        ("lines of the log", lines / 10.0, counts.day.log_lines),
        ("bytes of a connection", longest("CONNECTION"), counts.bytes.connection),
        ("bytes of an entry of the index", longest("index"), counts.bytes.index_entry),
        ("bytes of a record", longest("RECORD"), counts.bytes.record),
    ]);
    curtain(&stage).await;
}
