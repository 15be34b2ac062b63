//! A password that is wrong for a whole deployment. However many processes and athletes there are, the deployment tries
//! it once in five minutes, and no data is lost. If the site changes a password that counts as accepted, only work
//! already in progress still uses it.

use std::time::Duration;

use connector::forms::Forms;
use connector::queue::message::Job;
use e2e::{Spent, athlete, beside, connected, connection, curtain, deadline, faithful, opening, squad};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Process, Stage};
use sim::oura::Collection;
use sim::wire::{Answer, Fault, Gate, When};
use smartabase::Credentials;
use store::{Service, Status};

const SQUAD: i64 = 20;

/// A connected squad, two processes that serve it, and a new night for each athlete.
async fn two_processes() -> (Stage, Process) {
    let stage = connected(squad(SQUAD)).await;
    let other = beside(&stage, Forms::shipped().unwrap()).await;
    // Both processes are warm and have seen the password accepted.
    for (process, person) in [(&stage.process, "p2001"), (&other, "p2002")] {
        stage.oura.revise_night(person, date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_000.into());
        stage.pass(SignedDuration::from_mins(15));
        process.tick().await.unwrap();
        while process.work().await > 0 {}
    }
    for number in 2001..2001 + SQUAD {
        let person = format!("p{number}");
        stage.oura.revise_night(&person, date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    }
    let _ = stage.cost();
    (stage, other)
}

/// Asserts that all athletes' records agree with Oura.
fn all_faithful(stage: &Stage) {
    for number in 2001..2001 + SQUAD {
        faithful(stage, number, &format!("p{number}"));
    }
}

/// Runs a tick in both processes, which then run the jobs side by side.
async fn both_work(stage: &Stage, other: &Process) {
    stage.process.tick().await.unwrap();
    other.tick().await.unwrap();
    let work = |process| async move { while Process::work(process).await > 0 {} };
    tokio::join!(work(&stage.process), work(other));
}

#[tokio::test]
async fn wrong_password_is_tried_once_in_five_minutes_per_deployment() {
    let (stage, other) = two_processes().await;
    stage.smartabase.set_password("rotated-api-password");
    stage.pass(SignedDuration::from_mins(15));
    for _ in 0..3 {
        both_work(&stage, &other).await;
        assert_eq!(stage.smartabase.refused_logins(), 1);
        stage.pass(SignedDuration::from_secs(149));
    }
    for number in 2001..2001 + SQUAD {
        let connection = connection(&stage, &format!("uuid-{number}")).await.unwrap();
        assert_eq!((connection.status, connection.lease), (Status::Active, None), "no athlete is blamed");
    }
    stage.pass(SignedDuration::from_mins(10));
    both_work(&stage, &other).await;
    assert_eq!(stage.smartabase.refused_logins(), 2);

    // The operator replaces the secret. No function needs a restart, and only the pause delays the work.
    replaced(&stage.process);
    replaced(&other);
    stage.pass(SignedDuration::from_mins(5));
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.refused_logins(), 2);
    all_faithful(&stage);
    curtain(&stage).await;
}

#[tokio::test]
async fn right_password_costs_a_deployment_one_sign_in_a_tick() {
    let (stage, other) = two_processes().await;
    stage.pass(SignedDuration::from_mins(15));
    both_work(&stage, &other).await;
    let spent = Spent::since(&stage);
    assert_eq!(spent.sign_ins, 1, "{spent:?}");
    all_faithful(&stage);
    assert_eq!(stage.smartabase.duplicates(), []);
}

/// Queues a backfill of one athlete for this process.
fn give(process: &Process, number: i64) {
    let (from, to) = (date(2026, 3, 1), date(2026, 3, 2));
    let job = Job::Backfill { athlete: athlete(&format!("uuid-{number}")), from, to, put_off: 0 };
    process.waiting.send(job.to_message(), Duration::ZERO);
}

/// While a request waits at the gate, changes the site's password, within the minute in which it counts as accepted.
/// The site then refuses the first process.
async fn refused_meanwhile(stage: &Stage, gate: &Gate) {
    gate.reached().await;
    stage.smartabase.set_password("rotated-api-password");
    give(&stage.process, 2004);
    stage.process.work().await;
    assert_eq!(stage.smartabase.refused_logins(), 1);
    gate.open();
}

/// Changes the password back. All athletes must then get their missing days.
async fn mended(stage: &Stage) {
    stage.smartabase.set_password("api-password");
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    all_faithful(stage);
    curtain(stage).await;
}

/// The operator has replaced the secret, and this process has read the new value.
pub(crate) fn replaced(process: &Process) {
    let right = Credentials { username: "api.account".to_owned(), password: "rotated-api-password".into() };
    let runtime::Secrets::Given(given) = &process.connector.secrets else { unreachable!("a stage has no manager") };
    given.replace_smartabase(right);
}

#[tokio::test]
async fn password_refused_to_one_process_is_not_tried_by_another() {
    let (stage, other) = two_processes().await;
    give(&other, 2003);
    let gate = Gate::new();
    stage.oura_wire.inject(When::every().first(1), Fault::HoldAfter(gate.clone()));
    tokio::join!(other.work(), refused_meanwhile(&stage, &gate));
    assert_eq!(stage.smartabase.refused_logins(), 1);
    mended(&stage).await;
}

/// Holds a delivery of this process between its two imports while the site refuses the password to the first process.
async fn in_the_middle(stage: &Stage, process: &Process) {
    // The night and the day have a form each, so there are two imports.
    let day = stage.oura.documents_of("p2003", Collection::DailyActivity, date(2026, 3, 1))[0]["id"].clone();
    stage.oura.revise("p2003", Collection::DailyActivity, day.as_str().unwrap(), |day| day["steps"] = 12_345.into());
    give(process, 2003);
    let gate = Gate::new();
    let first = When::every().path("/site/api/v1/eventsimport").first(1);
    stage.smartabase_wire.inject(first, Fault::HoldAfter(gate.clone()));
    let refused = async {
        refused_meanwhile(stage, &gate).await;
        // A process caches a hold of the table for a second.
        stage.pass(SignedDuration::from_secs(2));
    };
    tokio::join!(process.work(), refused);
    assert_eq!(stage.smartabase.refused_logins(), 1);
    mended(stage).await;
}

#[tokio::test]
async fn refused_password_stops_a_delivery_of_the_same_process() {
    let (stage, _) = two_processes().await;
    in_the_middle(&stage, &stage.process).await;
}

#[tokio::test]
async fn refused_password_stops_a_delivery_of_another_process() {
    let (stage, other) = two_processes().await;
    in_the_middle(&stage, &other).await;
}

#[tokio::test]
async fn old_password_of_one_process_does_not_hold_the_other() {
    let (stage, other) = two_processes().await;
    stage.smartabase.set_password("rotated-api-password");
    replaced(&other);
    stage.pass(SignedDuration::from_mins(15));
    for number in [2003, 2005] {
        give(&other, number);
        assert_eq!(other.work().await, 1);
        faithful(&stage, number, &format!("p{number}"));
        // The site refuses only the process with the old password.
        give(&stage.process, 2004);
        stage.process.work().await;
        assert_eq!(stage.smartabase.refused_logins(), 1);
    }
    let hold = stage.process.connector.store.hold(Service::Smartabase, deadline().instant()).await.unwrap();
    assert_eq!(hold, None);
    replaced(&stage.process);
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    all_faithful(&stage);
    curtain(&stage).await;
}

#[tokio::test]
async fn site_answering_404_is_reported_to_the_operator() {
    let (stage, _) = two_processes().await;
    let sign_in = When::every().path("/site/api/v1/listgroups");
    stage.smartabase_wire.inject(sign_in, Fault::Answer(Answer::status(404)));
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    let note = connection(&stage, "uuid-2003").await.unwrap().note.unwrap();
    assert!(note.contains("SmartabaseUrl"), "{note}");
    stage.smartabase_wire.heal();
    mended(&stage).await;
    assert_eq!(connection(&stage, "uuid-2003").await.unwrap().note, None);
}

#[tokio::test]
async fn failed_sign_in_during_an_enrolment_costs_one_link() {
    let stage = opening(squad(SQUAD)).await;
    let (mut signed_in, clock) = (0, stage.clock.clone());
    stage.smartabase_wire.decide(move |seen| {
        match seen.path.as_str() {
            // The next sign-in comes after the last accepted one has expired.
            "/site/api/v1/profileimport" if signed_in == 1 => clock.advance(SignedDuration::from_mins(2)),
            "/site/api/v1/listgroups" => signed_in += 1,
            _ => {}
        }
        (seen.path == "/site/api/v1/listgroups" && signed_in == 2).then(|| Fault::Answer(Answer::status(500)))
    });
    let enrolled = stage.process.enrol().await.unwrap();
    let all = usize::try_from(SQUAD).unwrap();
    assert_eq!((enrolled.told, enrolled.failed), (all - 1, 1));
    assert_eq!(Spent::since(&stage).sign_ins, 3);
    stage.smartabase_wire.heal();
    assert_eq!(stage.process.enrol().await.unwrap().told, 1);
    curtain(&stage).await;
}
