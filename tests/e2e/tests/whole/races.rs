//! Several messages for one athlete at the same time.

use std::time::Duration;

use e2e::{ADA, Spent, ada, athlete, connected, connection, curtain, deadline, living, told_truly};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use local::{Cast, Stage};
use sim::oura::Life;
use sim::wire::{Answer, Fault, When};
use store::{Claim, Service};

/// Ada, who has worn her ring for half a year before she connects.
async fn with_history() -> Stage {
    let people = vec![living("ada", "Europe/Berlin", Life::Regular { since: date(2025, 7, 1) })];
    connected(Cast { people, ..ada() }).await
}

fn backfill(stage: &Stage, from: Date, to: Date) {
    let body = format!(r#"{{"v":1,"job":"backfill","athlete":"uuid-ada","from":"{from}","to":"{to}"}}"#);
    stage.process.waiting.send(body, Duration::ZERO);
}

fn sync(stage: &Stage) {
    let body = format!(r#"{{"v":1,"job":"sync","athlete":"uuid-ada","tick":"{}"}}"#, stage.clock.now());
    stage.process.waiting.send(body, Duration::ZERO);
}

/// Another worker takes Ada's lease for a while. Returns its fence.
async fn hold_lease(stage: &Stage, held: SignedDuration) -> u64 {
    let (now, id) = (stage.clock.now(), athlete("uuid-ada"));
    let store = &stage.process.connector.store;
    let claim = store.claim(&id, "another", now, now + held, None, deadline().instant()).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)));
    connection(stage, "uuid-ada").await.unwrap().fence
}

mod in_one_batch {
    use super::*;

    #[tokio::test]
    async fn six_backfills_of_one_athlete_are_all_done() {
        let stage = with_history().await;
        for month in 7..13 {
            backfill(&stage, date(2025, month, 1), date(2025, month, 20));
        }
        assert_eq!(stage.process.work().await, 6);
        assert_eq!(stage.process.waiting.bodies(), Vec::<String>::new(), "none comes back");
        let spent = Spent::since(&stage);
        assert_eq!((spent.collections, spent.snapshots), (6 * 4, 1), "{spent:?}");
        for month in 7..13 {
            told_truly(&stage, ADA, "ada", date(2025, month, 2), date(2025, month, 20));
        }
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn backfills_of_the_same_days_are_done_once() {
        let stage = with_history().await;
        backfill(&stage, date(2025, 8, 3), date(2025, 8, 10));
        for _ in 0..4 {
            backfill(&stage, date(2025, 8, 1), date(2025, 8, 20));
        }
        backfill(&stage, date(2025, 8, 12), date(2025, 8, 20));
        assert_eq!(stage.process.work().await, 6);
        assert_eq!((Spent::since(&stage).collections, stage.process.waiting.len()), (4, 0));
        told_truly(&stage, ADA, "ada", date(2025, 8, 2), date(2025, 8, 20));
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn a_sync_runs_before_the_backfills_beside_it() {
        let stage = with_history().await;
        stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
        backfill(&stage, date(2025, 7, 1), date(2025, 7, 20));
        sync(&stage);
        backfill(&stage, date(2025, 8, 1), date(2025, 8, 20));
        sync(&stage);
        assert_eq!(stage.process.work().await, 4);
        assert_eq!((Spent::since(&stage).collections, stage.process.waiting.len()), (3 * 4, 0));
        told_truly(&stage, ADA, "ada", date(2026, 2, 26), date(2026, 3, 3));
        told_truly(&stage, ADA, "ada", date(2025, 7, 2), date(2025, 7, 20));
        told_truly(&stage, ADA, "ada", date(2025, 8, 2), date(2025, 8, 20));
        curtain(&stage).await;
    }
}

/// 503 from Smartabase for six hours.
#[tokio::test]
async fn backfill_during_an_outage_becomes_no_dead_letter() {
    let stage = with_history().await;
    stage.smartabase_wire.inject(When::every(), Fault::Answer(Answer::status(503)));
    backfill(&stage, date(2025, 8, 1), date(2025, 8, 20));
    stage.process.work_until(stage.clock.now() + SignedDuration::from_hours(6)).await;
    assert_eq!((stage.process.waiting.len(), stage.process.waiting.dead_letters()), (1, vec![]));
    stage.smartabase_wire.heal();
    stage.settle().await;
    told_truly(&stage, ADA, "ada", date(2025, 8, 2), date(2025, 8, 20));
    curtain(&stage).await;
}

/// Oura asks for a pause of all athletes, again and again.
#[tokio::test]
async fn backfill_during_holds_of_oura_becomes_no_dead_letter() {
    let stage = with_history().await;
    backfill(&stage, date(2025, 8, 1), date(2025, 8, 20));
    for _ in 0..12 {
        let now = stage.clock.now();
        let until = now + SignedDuration::from_mins(10);
        stage.process.connector.store.set_hold(Service::Oura, until, "a test", deadline().instant()).await.unwrap();
        stage.process.work_until(now + SignedDuration::from_mins(9)).await;
    }
    assert_eq!((stage.process.waiting.len(), stage.process.waiting.dead_letters()), (1, vec![]));
    stage.settle().await;
    told_truly(&stage, ADA, "ada", date(2025, 8, 2), date(2025, 8, 20));
    curtain(&stage).await;
}

mod with_another_worker {
    use super::*;

    #[tokio::test]
    async fn backfill_waiting_two_hours_becomes_no_dead_letter() {
        let stage = with_history().await;
        // Far longer than any worker holds a lease.
        let held = SignedDuration::from_hours(2);
        hold_lease(&stage, held).await;
        backfill(&stage, date(2025, 8, 1), date(2025, 8, 20));
        stage.process.work_until(stage.clock.now() + held).await;
        assert_eq!(stage.process.waiting.dead_letters(), []);
        assert_eq!(Spent::since(&stage).collections, 0, "nothing is fetched that could not be delivered");
        stage.settle().await;
        told_truly(&stage, ADA, "ada", date(2025, 8, 2), date(2025, 8, 20));
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn lost_race_delays_a_job_by_ten_seconds() {
        let stage = with_history().await;
        let fence = hold_lease(&stage, SignedDuration::from_mins(2)).await;
        for month in 7..13 {
            backfill(&stage, date(2025, month, 1), date(2025, month, 20));
        }
        stage.process.work().await;
        let store = &stage.process.connector.store;
        store.release(&athlete("uuid-ada"), fence, deadline().instant()).await.unwrap();
        stage.pass(SignedDuration::from_secs(10));
        stage.process.work().await;
        assert_eq!((stage.process.waiting.len(), stage.process.waiting.dead_letters()), (0, vec![]));
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn backfill_that_never_gets_the_lease_becomes_a_dead_letter() {
        let stage = with_history().await;
        let now = stage.clock.now();
        hold_lease(&stage, SignedDuration::from_hours(7 * 24)).await;
        backfill(&stage, date(2025, 8, 1), date(2025, 8, 20));
        stage.process.work_until(now + SignedDuration::from_hours(48)).await;
        assert_eq!((stage.process.waiting.len(), stage.process.waiting.dead_letters().len()), (0, 1));
    }
}
