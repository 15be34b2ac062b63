//! Which sleep counts as the night.

use e2e::{ADA, NIGHTS, ada, connected, curtain, faithful, living};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};
use local::{Cast, Stage};
use sim::oura::{Collection, Kind, Life, Period};

const TUESDAY: Date = date(2026, 3, 3);
const MONDAY: Date = date(2026, 3, 2);

/// Ada with a ring that has no data yet.
async fn blank() -> Stage {
    connected(Cast { people: vec![living("ada", "Europe/Berlin", Life::Blank)], ..ada() }).await
}

fn period(kind: Kind, begins: DateTime, minutes: i64) -> Period {
    Period { kind, begins, minutes, finished: true }
}

async fn next_tick(stage: &Stage) {
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
}

#[tokio::test]
async fn longer_of_two_long_sleeps_is_the_night() {
    let stage = blank().await;
    stage.oura.put_period("ada", TUESDAY, period(Kind::LongSleep, TUESDAY.at(5, 0, 0, 0), 200));
    stage.oura.put_period("ada", TUESDAY, period(Kind::LongSleep, MONDAY.at(22, 7, 0, 0), 300));
    next_tick(&stage).await;
    let event = stage.smartabase.event_on(ADA, NIGHTS, MONDAY).unwrap();
    assert_eq!((event.value("Bedtime Start"), event.value("Bedtime End")), (Some("22:07"), Some("03:07")));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn naps_rests_deleted_and_unfinished_sleeps_are_no_night() {
    let stage = blank().await;
    for (kind, minutes) in [(Kind::Nap, 600), (Kind::LateNap, 610), (Kind::Rest, 620), (Kind::Deleted, 630)] {
        stage.oura.put_period("ada", TUESDAY, period(kind, MONDAY.at(20, 0, 0, 0), minutes));
    }
    let unfinished = Period { finished: false, ..period(Kind::LongSleep, MONDAY.at(21, 0, 0, 0), 640) };
    stage.oura.put_period("ada", TUESDAY, unfinished);
    next_tick(&stage).await;
    assert_eq!(stage.smartabase.events(NIGHTS), []);
    stage.oura.put_period("ada", TUESDAY, period(Kind::LongSleep, MONDAY.at(23, 30, 0, 0), 240));
    next_tick(&stage).await;
    let event = stage.smartabase.event_on(ADA, NIGHTS, MONDAY).unwrap();
    assert_eq!(event.value("Bedtime Start"), Some("23:30"));
    assert_eq!(stage.smartabase.events(NIGHTS).len(), 1);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn a_sleep_in_progress_becomes_the_night_when_it_is_over() {
    let stage = blank().await;
    let begins = MONDAY.at(23, 0, 0, 0);
    let id = stage.oura.put_period("ada", TUESDAY, Period { finished: false, ..period(Kind::LongSleep, begins, 120) });
    next_tick(&stage).await;
    assert_eq!(stage.smartabase.events(NIGHTS), []);
    stage.oura.revise("ada", Collection::Sleep, &id, |sleep| {
        sleep["bedtime_end"] = "2026-03-03T07:00:00.000+01:00".into();
        sleep["total_sleep_duration"] = 27_000.into();
    });
    next_tick(&stage).await;
    let event = stage.smartabase.event_on(ADA, NIGHTS, MONDAY).unwrap();
    assert_eq!((event.value("Sleep Time (min)"), event.value("Bedtime End")), (Some("450"), Some("07:00")));
    curtain(&stage).await;
}

#[tokio::test]
async fn a_nap_after_the_night_changes_nothing() {
    let stage = connected(ada()).await;
    let before = stage.smartabase.events(NIGHTS);
    stage.oura.put_period("ada", TUESDAY, period(Kind::Nap, TUESDAY.at(8, 0, 0, 0), 60));
    next_tick(&stage).await;
    assert_eq!(stage.smartabase.events(NIGHTS), before);
    curtain(&stage).await;
}

#[tokio::test]
async fn scores_without_a_night_are_delivered_alone() {
    let stage = blank().await;
    let scores = serde_json::json!({
        "id": "s", "day": "2026-03-03", "timestamp": "2026-03-03T00:00:00.000+01:00", "score": 71,
        "contributors": {"timing": 64},
    });
    stage.oura.put_document("ada", Collection::DailySleep, scores);
    next_tick(&stage).await;
    let event = stage.smartabase.event_on(ADA, NIGHTS, MONDAY).unwrap();
    let values = [("Sleep Score".to_owned(), "71".to_owned()), ("Score Timing".to_owned(), "64".to_owned())];
    assert_eq!(event.rows, [values.to_vec()]);
    curtain(&stage).await;
}
