//! The site answers an import with an error and carries it out later. However the sync ends, the lease must expire
//! before another sync may look. Otherwise that sync creates the record a second time.
//!
//! Input: the site answers an import with 504 and carries it out a minute and a half later. In between, the table
//! refuses the confirmation and its retries, the worker is cut off, a later import of the same delivery succeeds, or
//! the athlete disconnects and connects again.

use std::sync::{Arc, Mutex};

use e2e::{ADA, LateRequest, NIGHTS, ada, connected, connection, curtain, faithful};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use sim::smartabase::UpdateElsewhere;
use sim::wire::{Answer, Fault, Gate, When};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const SITE: &str = "/site/api/v1/";

/// The time from the response until the site carries the request out. The lease has not expired by then: it lasts a
/// minute longer than an invocation may.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// When a failed sync is retried.
const RETRY: SignedDuration = SignedDuration::from_secs(31);

type Kept = Arc<Mutex<Option<LateRequest>>>;

/// Answers the first request to `endpoint` with `answer` and keeps it for the site to carry out later.
fn keep_first(stage: &Stage, endpoint: &str, answer: Answer) -> Kept {
    let kept = Kept::default();
    let (keep, path) = (Arc::clone(&kept), format!("{SITE}{endpoint}"));
    stage.smartabase_wire.decide(move |seen| {
        let mut keep = keep.lock().unwrap();
        (seen.path == path && keep.is_none()).then(|| {
            *keep = Some(LateRequest::of(seen));
            Fault::Answer(answer.clone())
        })
    });
    kept
}

/// Ada is connected and has a new night.
async fn a_new_night() -> Stage {
    let stage = connected(ada()).await;
    stage.pass(SignedDuration::from_hours(24));
    stage
}

/// The table refuses every confirmation, and every retry by the database client.
fn no_confirmation(stage: &Stage) {
    stage.table_wire.inject(When::every().operation("TransactWriteItems"), Fault::Answer(Answer::status(500)));
}

async fn is_leased(stage: &Stage) -> bool {
    connection(stage, "uuid-ada").await.unwrap().lease.is_some()
}

/// The job and another one run again, the site carries the kept request out, and two ticks pass.
async fn must_end_with_one_event(stage: &Stage, kept: &Kept) {
    stage.table_wire.heal();
    stage.smartabase_wire.heal();
    stage.pass(RETRY);
    stage.process.tick().await.unwrap();
    while stage.process.work().await > 0 {}
    stage.pass(LATE);
    let late = kept.lock().unwrap().take().unwrap();
    late.carry_out(stage).await;
    for _ in 0..2 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    assert_eq!(stage.smartabase.duplicates(), []);
    assert!(!is_leased(stage).await);
    faithful(stage, ADA, "ada");
    curtain(stage).await;
}

#[tokio::test]
async fn confirmation_fails_after_an_import_answered_504() {
    let stage = a_new_night().await;
    let kept = keep_first(&stage, "eventsimport", Answer::status(504));
    no_confirmation(&stage);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert!(is_leased(&stage).await, "a lease with an import in doubt was released");
    must_end_with_one_event(&stage, &kept).await;
}

/// The site answers the first form's import with an unknown shape, which does not stop the second form's import.
#[tokio::test]
async fn later_confirmed_import_does_not_release_the_lease() {
    for confirmed in [true, false] {
        let stage = a_new_night().await;
        let kept = keep_first(&stage, "eventsimport", Answer::json(&serde_json::json!([])));
        if !confirmed {
            no_confirmation(&stage);
        }
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        assert!(is_leased(&stage).await, "a lease with an import in doubt was released");
        must_end_with_one_event(&stage, &kept).await;
    }
}

/// The response to the second form's import does not confirm each event, and the look-up that follows fails.
#[tokio::test]
async fn look_up_fails_after_an_import_in_doubt() {
    let stage = a_new_night().await;
    let kept = keep_first(&stage, "eventsimport", Answer::json(&serde_json::json!([])));
    let refused = Answer::json(&serde_json::json!({"result": {"state": "UNEXPECTED_ERROR", "message": ""}}));
    stage.smartabase_wire.inject(When::every().path(format!("{SITE}eventsimport")).nth(2), Fault::Answer(refused));
    let imports = Arc::clone(&kept);
    let look_up_after = When::every().path(format!("{SITE}eventsearch"));
    let look_up_after = look_up_after.matching(move |_| imports.lock().unwrap().is_some());
    stage.smartabase_wire.inject(look_up_after, Fault::Answer(Answer::status(500)));
    no_confirmation(&stage);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert!(is_leased(&stage).await, "a lease with an import in doubt was released");
    must_end_with_one_event(&stage, &kept).await;
}

#[tokio::test]
async fn worker_is_cut_off_after_an_import_in_doubt() {
    let stage = a_new_night().await;
    let kept = keep_first(&stage, "eventsimport", Answer::status(504));
    let gate = Gate::new();
    stage.table_wire.inject(When::every().operation("TransactWriteItems"), Fault::HoldBefore(gate.clone()));
    stage.process.tick().await.unwrap();
    tokio::select! {
        _ = stage.process.work() => unreachable!("the confirmation was not held"),
        () = gate.reached() => {}
    }
    assert!(is_leased(&stage).await, "a lease with an import in doubt was released");
    must_end_with_one_event(&stage, &kept).await;
}

#[tokio::test]
async fn reconnecting_waits_for_an_import_in_doubt() {
    for confirmed in [true, false] {
        let stage = a_new_night().await;
        let kept = keep_first(&stage, "eventsimport", Answer::status(504));
        if !confirmed {
            no_confirmation(&stage);
        }
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        stage.table_wire.heal();
        assert_eq!(stage.disconnect(ADA).await.unwrap().status, 200);
        assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
        assert!(is_leased(&stage).await, "connecting again released a lease with an import in doubt");
        must_end_with_one_event(&stage, &kept).await;
    }
}

/// The site makes a second event instead of overwriting the first, and answers 504 to the deletion of the first.
#[tokio::test]
async fn delete_answered_504_lets_the_lease_expire() {
    let stage = connected(ada()).await;
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::Always);
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    let kept = keep_first(&stage, "deleteevent", Answer::status(504));
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert!(is_leased(&stage).await, "a lease with a delete in doubt was released");
    must_end_with_one_event(&stage, &kept).await;
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).is_some());
}

/// The next sync finds two events, and the site answers 504 to the deletion of the one that was not overwritten.
#[tokio::test]
async fn delete_answered_504_at_a_look_up_lets_the_lease_expire() {
    let stage = connected(ada()).await;
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::Always);
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.smartabase_wire.inject(When::every().path(format!("{SITE}eventsimport")).first(1), Fault::DropAfter);
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    stage.pass(PERIOD);
    let kept = keep_first(&stage, "deleteevent", Answer::status(504));
    while stage.process.work().await > 0 {}
    assert!(is_leased(&stage).await, "a lease with a delete in doubt was released");
    must_end_with_one_event(&stage, &kept).await;
}
