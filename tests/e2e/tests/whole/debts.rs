//! Days that could not be delivered while they were in the window are delivered once that is possible, however late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connector::forms::Forms;
use connector::queue::message::Job;
use e2e::{
    ADA, DAYS, NIGHTS, Spent, ada, ada_and_ben, athlete, beside, connected, connection, curtain, faithful, told_truly,
};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, ToSpan};
use local::{Stage, site_forms};
use sim::smartabase::Form;
use sim::wire::{Answer, Fault, Gate, When};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Runs one tick a day for this many days.
async fn days(stage: &Stage, days: usize) {
    for _ in 0..days {
        stage.pass(DAY);
        stage.tick().await.unwrap();
    }
}

/// Asserts that the next tick, after the repair, delivers all missing days.
async fn paid_at_once(stage: &Stage, what: &str) {
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let paid = connection(stage, "uuid-ada").await.unwrap();
    assert_eq!((paid.note, paid.backfill_from), (None, None), "{what}");
    told_truly(stage, ADA, "ada", date(2026, 2, 20), date(2026, 3, 23));
    let _ = stage.cost();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let spent = Spent::since(stage);
    assert_eq!((spent.collections, spent.imports), (4, 0), "{what}: and then there is quiet");
    curtain(stage).await;
}

fn nights(stage: &Stage) -> Form {
    site_forms(&stage.process.connector.forms).into_iter().find(|form| form.name == NIGHTS).unwrap()
}

#[tokio::test]
async fn missing_form_created_later_gets_all_missed_nights() {
    let stage = connected(ada()).await;
    stage.smartabase.remove_form(NIGHTS);
    days(&stage, 20).await;
    assert!(connection(&stage, "uuid-ada").await.unwrap().note.unwrap().contains(NIGHTS));
    // Meanwhile the other form gets its days, and a tick fetches only the window.
    assert!(stage.smartabase.event_on(ADA, DAYS, date(2026, 3, 20)).is_some());
    let _ = stage.cost();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(Spent::since(&stage).collections, 4);

    stage.smartabase.set_form(nights(&stage));
    paid_at_once(&stage, "a missing form").await;
}

#[tokio::test]
async fn forbidden_form_allowed_later_gets_all_missed_nights() {
    let stage = connected(ada()).await;
    let of_nights = When::every().matching(|seen| {
        seen.path.starts_with("/site/api/v1/event") && String::from_utf8_lossy(&seen.body).contains(NIGHTS)
    });
    stage.smartabase_wire.inject(of_nights, Fault::Answer(Answer::status(403)));
    days(&stage, 20).await;
    stage.smartabase_wire.heal();
    paid_at_once(&stage, "a form that was forbidden").await;
}

#[tokio::test]
async fn missing_field_created_later_is_filled_for_all_weeks() {
    let stage = connected(ada()).await;
    let mut lacking = nights(&stage);
    lacking.fields.retain(|field| field != "Average HRV");
    stage.smartabase.set_form(lacking);
    days(&stage, 20).await;
    stage.smartabase.set_form(nights(&stage));
    paid_at_once(&stage, "a missing field").await;
}

#[tokio::test]
async fn collection_refused_for_weeks_is_named_and_filled_later() {
    let stage = connected(ada()).await;
    let refusal = Fault::Answer(Answer::status(401));
    stage.oura_wire.inject(When::every().path("/v2/usercollection/daily_readiness"), refusal);
    days(&stage, 20).await;
    let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap();
    assert!(note.contains("daily_readiness") && !note.contains("daily_sleep"), "{note}");
    stage.oura_wire.heal();
    paid_at_once(&stage, "a refused collection").await;
}

#[tokio::test]
async fn days_still_in_the_window_need_no_extra_requests() {
    let stage = connected(ada()).await;
    stage.pass(DAY);
    stage.smartabase.remove_form(NIGHTS);
    stage.tick().await.unwrap();
    assert!(connection(&stage, "uuid-ada").await.unwrap().backfill_from.is_some());
    stage.smartabase.set_form(nights(&stage));
    let _ = stage.cost();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(Spent::since(&stage).collections, 4, "the window has all that is owed");
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().backfill_from, None);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn old_record_always_refused_is_named_and_retried_hourly() {
    let stage = connected(ada_and_ben()).await;
    let form = nights(&stage);
    stage.smartabase.set_form(form.clone().requiring(["Average HRV"]));
    days(&stage, 1).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["average_hrv"] = serde_json::Value::Null);
    days(&stage, 12).await;
    let owing = connection(&stage, "uuid-ada").await.unwrap();
    assert!(owing.note.unwrap().contains("2026-03-01") && owing.backfill_from.is_some());
    let _ = stage.cost();
    for _ in 0..8 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    // Eight ticks of two athletes, and two attempts at the missing days.
    assert_eq!(Spent::since(&stage).collections, 8 * 2 * 4 + 2 * 4);
    assert!(connection(&stage, "uuid-ada").await.unwrap().note.unwrap().contains("2026-03-01"), "nor is it forgotten");
    faithful(&stage, ADA, "ada");

    stage.smartabase.set_form(form);
    stage.pass(SignedDuration::from_hours(1));
    stage.tick().await.unwrap();
    let paid = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((paid.note, paid.backfill_from), (None, None));
    told_truly(&stage, ADA, "ada", date(2026, 2, 20), date(2026, 3, 17));
    curtain(&stage).await;
}

/// Two workers of one athlete. The second has read the connection and asked Oura; then it is held until `meanwhile` is
/// over.
async fn held_up<F: Future<Output = ()>>(stage: &Stage, job: &Job, meanwhile: impl FnOnce() -> F) {
    let other = beside(stage, Forms::shipped().unwrap()).await;
    other.waiting.send(job.to_message(), Duration::ZERO);
    let (gate, asked) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let at = gate.clone();
    stage.oura_wire.decide(move |seen| {
        let first = seen.path.ends_with("/sleep") && asked.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| Fault::HoldAfter(at.clone()))
    });
    tokio::join!(other.work(), async {
        gate.reached().await;
        meanwhile().await;
        gate.open();
    });
    stage.oura_wire.heal();
    // Jobs that the second worker returned are on its own queue.
    for _ in 0..3 {
        stage.pass(SignedDuration::from_mins(1));
        other.work().await;
    }
    assert_eq!(other.waiting.bodies(), Vec::<String>::new());
}

fn backfill(from: Date, to: Date) -> Job {
    Job::Backfill { athlete: athlete("uuid-ada"), from, to, put_off: 0 }
}

#[tokio::test]
async fn backfill_keeps_days_that_became_missing_during_it() {
    let stage = connected(ada()).await;
    stage.smartabase_wire.inject(When::every().path("/site/api/v1/event"), Fault::DropBefore);
    days(&stage, 45).await;
    stage.smartabase_wire.heal();
    stage.pass(PERIOD + PERIOD);
    let today = stage.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    held_up(&stage, &backfill(today - 1.day(), today), async || {
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        let owing = connection(&stage, "uuid-ada").await.unwrap();
        assert!(owing.backfill_from.is_some(), "the pause is over, and more than a chunk is owed");
    })
    .await;
    for _ in 0..3 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().backfill_from, None);
    told_truly(&stage, ADA, "ada", date(2026, 2, 20), today);
    curtain(&stage).await;
}

#[tokio::test]
async fn older_documents_do_not_overwrite_a_newer_delivery() {
    let stage = connected(ada()).await;
    let day = date(2026, 2, 10);
    let sleeps = |seconds: i64| {
        stage.oura.revise_night("ada", day, |night| night["total_sleep_duration"] = seconds.into());
    };
    sleeps(18_000);
    held_up(&stage, &backfill(day, day), async || {
        sleeps(24_000);
        stage.process.waiting.send(backfill(day, day).to_message(), Duration::ZERO);
        stage.process.work().await;
    })
    .await;
    let event = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 9)).unwrap();
    assert_eq!(event.value("Sleep Time (min)"), Some("400"));
    curtain(&stage).await;
}
