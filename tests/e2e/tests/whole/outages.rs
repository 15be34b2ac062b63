//! While a Smartabase site is down, syncs send no requests to Oura until the site answers again.
//!
//! Input: for minutes or for days, the site refuses connections, or it or its gateway answers with an error. Meanwhile
//! every athlete has new data. Otherwise, each sync would ask Oura for four collections and then fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connector::forms::Forms;
use e2e::{Spent, beside, connected, connection, curtain, deadline, faithful, squad};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Process, Stage};
use sim::wire::{Answer, Fault, Seen, When};
use store::{Service, Status};

const SQUAD: i64 = 6;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const MINUTES_IN_A_TICK: usize = 15;
const IMPORT: &str = "/site/api/v1/eventsimport";

/// The requests to Oura of one sync.
const ONE_SYNC: usize = 4;

fn athletes() -> usize {
    usize::try_from(SQUAD).unwrap()
}

/// A connected squad in which every athlete has new data to deliver.
async fn with_news() -> Stage {
    let stage = connected(squad(SQUAD)).await;
    revise_all(&stage, 18_000);
    stage.pass(MINUTE * 15);
    let _ = stage.cost();
    stage
}

fn revise_all(stage: &Stage, seconds: i64) {
    for number in 2001..2001 + SQUAD {
        let person = format!("p{number}");
        stage.oura.revise_night(&person, date(2026, 3, 2), |night| night["total_sleep_duration"] = seconds.into());
    }
}

fn all_faithful(stage: &Stage) {
    for number in 2001..2001 + SQUAD {
        faithful(stage, number, &format!("p{number}"));
    }
}

/// Whether a request is about the records of the squad's first athlete.
fn is_about_the_first(seen: &Seen) -> bool {
    let body = String::from_utf8_lossy(&seen.body);
    seen.path.starts_with("/site/api/v1/events") && (body.contains("\"userId\":2001") || body.contains("[2001]"))
}

async fn work_off(process: &Process) {
    while process.work().await > 0 {}
}

/// Runs one tick and the minutes until the next.
async fn a_tick(stage: &Stage) -> Spent {
    stage.process.tick().await.unwrap();
    for _ in 0..MINUTES_IN_A_TICK {
        work_off(&stage.process).await;
        stage.pass(MINUTE);
    }
    Spent::since(stage)
}

fn every_way_to_be_down() -> [Fault; 5] {
    [
        Fault::DropBefore,
        Fault::Answer(Answer::status(500)),
        Fault::Answer(Answer::status(503).header("retry-after", "20")),
        Fault::Answer(Answer::status(502).header("content-type", "text/html").body("<html>Bad gateway</html>")),
        Fault::Answer(Answer::html()),
    ]
}

#[tokio::test]
async fn site_down_for_two_days_costs_one_try_of_oura() {
    let stage = with_news().await;
    stage.smartabase_wire.inject(When::every(), Fault::Answer(Answer::status(503)));
    let first = a_tick(&stage).await.collections;
    assert!(first <= ONE_SYNC * athletes(), "{first} requests to Oura in the first tick");
    let (mut asked, mut sign_ins) = (0, 0);
    for _ in 1..2 * 96 {
        let spent = a_tick(&stage).await;
        asked += spent.collections;
        sign_ins += spent.sign_ins;
        assert!(spent.collections <= ONE_SYNC * athletes(), "{} requests to Oura in one tick", spent.collections);
    }
    assert_eq!(asked, 0, "requests to Oura while the site was known to be down");
    assert!(sign_ins <= 3 * 2 * 96, "{sign_ins} probes of the site");
    for number in 2001..2001 + SQUAD {
        let connection = connection(&stage, &format!("uuid-{number}")).await.unwrap();
        assert_eq!((connection.status, connection.note), (Status::Active, None), "no athlete is blamed");
    }
    stage.smartabase_wire.heal();
    for _ in 0..2 {
        a_tick(&stage).await;
    }
    all_faithful(&stage);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn every_way_to_be_down_costs_one_try_a_tick() {
    for fault in every_way_to_be_down() {
        let what = format!("{fault:?}");
        let stage = with_news().await;
        stage.smartabase_wire.inject(When::every(), fault);
        for _ in 0..3 {
            let asked = a_tick(&stage).await.collections;
            assert!(asked <= ONE_SYNC * athletes(), "{what}: {asked} requests to Oura in one tick");
        }
        let hold = stage.process.connector.store.hold(Service::Smartabase, deadline().instant()).await.unwrap();
        assert_eq!(hold, None, "{what}: taken for refused credentials");
        stage.smartabase_wire.heal();
        a_tick(&stage).await;
        all_faithful(&stage);
        curtain(&stage).await;
    }
}

/// The site accepts the sign-in, but no import succeeds.
#[tokio::test]
async fn imports_down_for_hours_cost_two_tries_a_tick() {
    let stage = with_news().await;
    stage.smartabase_wire.inject(When::every().path(IMPORT), Fault::Answer(Answer::status(503)));
    a_tick(&stage).await;
    for _ in 0..12 {
        let asked = a_tick(&stage).await.collections;
        assert!(asked <= 2 * ONE_SYNC * athletes(), "{asked} requests to Oura in one tick");
    }
    stage.smartabase_wire.heal();
    for _ in 0..2 {
        a_tick(&stage).await;
    }
    all_faithful(&stage);
    curtain(&stage).await;
}

#[tokio::test]
async fn site_down_for_a_minute_delays_syncs_less_than_a_tick() {
    let stage = with_news().await;
    stage.smartabase_wire.inject(When::every(), Fault::DropBefore);
    stage.process.tick().await.unwrap();
    work_off(&stage.process).await;
    stage.smartabase_wire.heal();
    for _ in 0..5 {
        stage.pass(MINUTE);
        work_off(&stage.process).await;
    }
    all_faithful(&stage);
    curtain(&stage).await;
}

#[tokio::test]
async fn one_job_probes_the_site_when_the_hold_ends() {
    let stage = with_news().await;
    let other = beside(&stage, Forms::shipped().unwrap()).await;
    stage.smartabase_wire.inject(When::every(), Fault::Answer(Answer::status(503)));
    stage.process.tick().await.unwrap();
    work_off(&stage.process).await;
    stage.pass(MINUTE * 14);
    let _ = stage.cost();
    for down in [true, false] {
        if !down {
            stage.smartabase_wire.heal();
        }
        stage.pass(MINUTE * 15);
        stage.process.tick().await.unwrap();
        other.tick().await.unwrap();
        tokio::join!(work_off(&stage.process), work_off(&other));
        let spent = Spent::since(&stage);
        assert_eq!(spent.sign_ins, 1, "probes while down: {down}");
        if down {
            assert_eq!(spent.collections, 0, "requests to Oura while the site was down");
        }
    }
    stage.settle().await;
    other.work_until(stage.clock.now() + MINUTE * 15).await;
    // Two jobs of one athlete, one in each process, may have met and left the rest to the next tick.
    stage.tick().await.unwrap();
    all_faithful(&stage);
    curtain(&stage).await;
}

/// The site answers 500 to every request about one athlete's records.
#[tokio::test]
async fn invariant_6_record_breaking_the_site_delays_no_other() {
    let stage = with_news().await;
    stage.smartabase_wire.inject(When::every().matching(is_about_the_first), Fault::Answer(Answer::status(500)));
    for turn in 0..4 {
        revise_all(&stage, 18_600 + 600 * turn);
        stage.process.tick().await.unwrap();
        work_off(&stage.process).await;
        for number in 2002..2001 + SQUAD {
            faithful(&stage, number, &format!("p{number}"));
        }
        for _ in 0..MINUTES_IN_A_TICK {
            stage.pass(MINUTE);
            work_off(&stage.process).await;
        }
        let asked = Spent::since(&stage).collections;
        let others = ONE_SYNC * (athletes() - 1);
        assert!(asked <= others + 4 * ONE_SYNC, "{asked} requests to Oura");
    }
    stage.smartabase_wire.heal();
    a_tick(&stage).await;
    all_faithful(&stage);
    curtain(&stage).await;
}

/// After a real outage, only the athlete whose record breaks the site has new data. That athlete is first in every
/// batch.
#[tokio::test]
async fn invariant_6_record_breaking_the_site_prolongs_no_outage() {
    let stage = with_news().await;
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    stage.smartabase_wire.decide(move |seen| {
        (is_about_the_first(seen) || is_down.load(Ordering::SeqCst)).then(|| Fault::Answer(Answer::status(500)))
    });
    a_tick(&stage).await;
    down.store(false, Ordering::SeqCst);
    a_tick(&stage).await;
    for number in 2002..2001 + SQUAD {
        faithful(&stage, number, &format!("p{number}"));
    }
    for turn in 0..3 {
        revise_all(&stage, 18_600 + 600 * turn);
        stage.process.tick().await.unwrap();
        work_off(&stage.process).await;
        for number in 2002..2001 + SQUAD {
            faithful(&stage, number, &format!("p{number}"));
        }
        stage.pass(MINUTE * 15);
    }
    stage.smartabase_wire.heal();
    a_tick(&stage).await;
    all_faithful(&stage);
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_7_recovered_site_adds_no_cost_for_the_unchanged() {
    let stage = with_news().await;
    stage.smartabase_wire.inject(When::every(), Fault::DropBefore);
    a_tick(&stage).await;
    stage.smartabase_wire.heal();
    for _ in 0..2 {
        a_tick(&stage).await;
    }
    stage.process.tick().await.unwrap();
    let _ = stage.cost();
    work_off(&stage.process).await;
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.snapshots, spent.reads), (ONE_SYNC * athletes(), 1, 0));
    assert_eq!((spent.sign_ins, spent.writes), (0, 0));
    curtain(&stage).await;
}
