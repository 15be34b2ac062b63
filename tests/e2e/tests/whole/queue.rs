//! What may be on the queue, whichever process sent it.

use std::time::Duration;

use e2e::{ADA, NIGHTS, Spent, ada, ada_and_ben, audit, connected, curtain, faithful, told_truly};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use sim::wire::{Answer, Fault, When};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

fn send(stage: &Stage, body: &str) {
    stage.process.waiting.send(body.to_owned(), Duration::ZERO);
}

fn sync(stage: &Stage, athlete: &str) -> String {
    format!(r#"{{"v":1,"job":"sync","athlete":"{athlete}","tick":"{}"}}"#, stage.clock.now())
}

#[tokio::test]
async fn unreadable_message_becomes_a_dead_letter_with_the_reason() {
    let stage = connected(ada()).await;
    let huge = "x".repeat(1 << 20);
    let long = format!(r#"{{"v":1,"job":"sync","athlete":"{huge}","tick":"2026-03-03T08:30:00Z"}}"#);
    let messages = [
        ("", "ends too early"),
        ("hello", "not JSON"),
        ("\u{0}\u{1}", "not JSON"),
        ("{}", "missing"),
        ("[]", "wrong type"),
        (r#"{"v":1,"job":"dance","athlete":"uuid-ada"}"#, "missing or of the wrong type"),
        (r#"{"v":1,"job":"sync","athlete":"uuid-ada"}"#, "missing"),
        (r#"{"v":1,"job":"sync","athlete":"","tick":"2026-03-03T08:30:00Z"}"#, "wrong type"),
        (r#"{"v":9,"job":"sync","athlete":"uuid-ada","tick":"2026-03-03T08:30:00Z"}"#, "version 9"),
        (r#"{"v":1,"job":"backfill","athlete":"uuid-ada","from":"2026-03-03","to":"2026-03-02"}"#, "backwards"),
        (r#"{"v":1,"job":"backfill","athlete":"uuid-ada","from":"0001-01-01","to":"9999-12-31"}"#, "too long"),
        (huge.as_str(), "not JSON"),
        (long.as_str(), "wrong type"),
    ];
    for (body, _) in messages {
        send(&stage, body);
    }
    while stage.process.work().await > 0 {}
    let dead = stage.process.waiting.dead_letters();
    assert_eq!(dead.len(), messages.len());
    for ((body, reason), (sent, says)) in dead.iter().zip(messages) {
        assert_eq!(body, sent);
        assert!(reason.contains(says) && reason.len() < 200, "{reason:?} for {:?}", &sent[..sent.len().min(80)]);
    }
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.imports, spent.writes, spent.snapshots), (0, 0, 0, 0));
    audit(&stage).await;
}

#[tokio::test]
async fn unreadable_message_does_not_hold_up_its_batch() {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    send(&stage, "hello");
    send(&stage, &sync(&stage, "uuid-ada"));
    send(&stage, "{}");
    assert_eq!(stage.process.work().await, 3);
    faithful(&stage, ADA, "ada");
    assert_eq!(stage.process.waiting.dead_letters().len(), 2);
    assert!(stage.process.waiting.is_empty());
    audit(&stage).await;
}

#[tokio::test]
async fn job_older_than_a_period_is_dropped() {
    let stage = connected(ada()).await;
    send(&stage, &sync(&stage, "uuid-ada"));
    stage.pass(PERIOD + SignedDuration::from_secs(1));
    assert_eq!(stage.process.work().await, 1);
    assert_eq!(Spent::since(&stage), Spent::default());
    curtain(&stage).await;
}

#[tokio::test]
async fn after_a_day_without_workers_each_athlete_syncs_once() {
    let stage = connected(ada_and_ben()).await;
    for _ in 0..96 {
        stage.pass(PERIOD);
        stage.process.tick().await.unwrap();
    }
    assert_eq!(stage.process.waiting.len(), 2 * 96);
    let _ = stage.cost();
    stage.settle().await;
    assert_eq!(Spent::since(&stage).collections, 2 * 4);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn slow_oura_does_not_pile_up_jobs() {
    let stage = connected(ada_and_ben()).await;
    stage.oura_wire.inject(When::every().path("/v2/usercollection/sleep"), Fault::Answer(Answer::status(504)));
    for _ in 0..24 {
        stage.pass(PERIOD);
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        assert!(stage.process.waiting.len() <= 2 * 2, "a retry and the next tick's job of each, and no more");
    }
    stage.oura_wire.heal();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn job_exactly_one_period_old_still_runs() {
    let stage = connected(ada()).await;
    send(&stage, &sync(&stage, "uuid-ada"));
    stage.pass(PERIOD);
    stage.process.work().await;
    assert_eq!(Spent::since(&stage).collections, 4, "at a period it is still good");
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_1_duplicates_are_harmless() {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(SignedDuration::from_hours(4));
    let backfill = r#"{"v":1,"job":"backfill","athlete":"uuid-ada","from":"2026-02-01","to":"2026-03-04"}"#;
    for _ in 0..3 {
        send(&stage, &sync(&stage, "uuid-ada"));
        send(&stage, backfill);
    }
    stage.settle().await;
    for _ in 0..2 {
        send(&stage, &sync(&stage, "uuid-ada"));
        stage.process.work().await;
        send(&stage, backfill);
        stage.process.work().await;
    }
    stage.settle().await;
    assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap().updates, 1);
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn a_batch_syncs_an_athlete_once() {
    let stage = connected(ada()).await;
    for _ in 0..5 {
        send(&stage, &sync(&stage, "uuid-ada"));
    }
    assert_eq!(stage.process.work().await, 5);
    assert_eq!(Spent::since(&stage).collections, 4);
    curtain(&stage).await;
}

#[tokio::test]
async fn job_for_an_unknown_athlete_is_done() {
    let stage = connected(ada_and_ben()).await;
    send(&stage, &sync(&stage, "uuid-zoe"));
    send(&stage, r#"{"v":1,"job":"backfill","athlete":"uuid-zoe","from":"2026-02-01","to":"2026-03-04"}"#);
    stage.process.work().await;
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.imports, spent.writes), (0, 0, 0));
    curtain(&stage).await;
}

#[tokio::test]
async fn operators_backfill_of_other_days_is_delivered() {
    let stage = connected(ada()).await;
    send(&stage, r#"{"v":1,"job":"backfill","athlete":"uuid-ada","from":"2026-01-02","to":"2026-02-05"}"#);
    stage.settle().await;
    told_truly(&stage, ADA, "ada", date(2026, 1, 2), date(2026, 3, 4));
    curtain(&stage).await;
}
