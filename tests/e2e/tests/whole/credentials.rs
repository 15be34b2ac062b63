//! A password that is wrong for a whole deployment: however many processes and athletes, it is tried once in five
//! minutes, and nothing is lost by it. One that is changed while it is believed is met by what is under way, and by nobody
//! who begins after that.

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

/// A squad that is connected, two processes that serve it, and a new night for everybody.
async fn two_processes() -> (Stage, Process) {
    let stage = connected(squad(SQUAD)).await;
    let other = beside(&stage, Forms::shipped().unwrap()).await;
    // Both are warm, and know the password for right.
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

/// Everybody's records say what Oura says.
fn all_faithful(stage: &Stage) {
    for number in 2001..2001 + SQUAD {
        faithful(stage, number, &format!("p{number}"));
    }
}

/// The schedule fires, and both processes work off what there is, side by side.
async fn both_work(stage: &Stage, other: &Process) {
    stage.process.tick().await.unwrap();
    other.tick().await.unwrap();
    let work = |process| async move { while Process::work(process).await > 0 {} };
    tokio::join!(work(&stage.process), work(other));
}

#[tokio::test]
async fn a_password_that_became_wrong_is_refused_once_in_five_minutes_whoever_asks() {
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

    // The operator replaces the secret: no function has to be told, and no time but the pause is lost.
    replaced(&stage.process);
    replaced(&other);
    stage.pass(SignedDuration::from_mins(5));
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.refused_logins(), 2);
    all_faithful(&stage);
    curtain(&stage).await;
}

#[tokio::test]
async fn a_password_that_is_right_costs_a_deployment_one_request_a_tick() {
    let (stage, other) = two_processes().await;
    stage.pass(SignedDuration::from_mins(15));
    both_work(&stage, &other).await;
    let spent = Spent::since(&stage);
    assert_eq!(spent.sign_ins, 1, "{spent:?}");
    all_faithful(&stage);
    assert_eq!(stage.smartabase.duplicates(), []);
}

/// What the process is to bring of one athlete.
fn give(process: &Process, number: i64) {
    let (from, to) = (date(2026, 3, 1), date(2026, 3, 2));
    let job = Job::Backfill { athlete: athlete(&format!("uuid-{number}")), from, to, put_off: 0 };
    process.waiting.send(job.to_message(), Duration::ZERO);
}

/// While somebody stands at the gate, the password is changed, within the minute in which all have seen it to be right,
/// and refused to the first process.
async fn refused_meanwhile(stage: &Stage, gate: &Gate) {
    gate.reached().await;
    stage.smartabase.set_password("rotated-api-password");
    give(&stage.process, 2004);
    stage.process.work().await;
    assert_eq!(stage.smartabase.refused_logins(), 1);
    gate.open();
}

/// The password is changed back, and everybody gets what is owed.
async fn mended(stage: &Stage) {
    stage.smartabase.set_password("api-password");
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    all_faithful(stage);
    curtain(stage).await;
}

/// The operator replaces the secret, and this process has read it.
pub(crate) fn replaced(process: &Process) {
    let right = Credentials { username: "api.account".to_owned(), password: "rotated-api-password".into() };
    let runtime::Secrets::Given(given) = &process.connector.secrets else { unreachable!("a stage has no manager") };
    given.replace_smartabase(right);
}

#[tokio::test]
async fn who_was_at_work_before_the_password_was_refused_to_another_process_does_not_try_it() {
    let (stage, other) = two_processes().await;
    give(&other, 2003);
    let gate = Gate::new();
    stage.oura_wire.inject(When::every().first(1), Fault::HoldAfter(gate.clone()));
    tokio::join!(other.work(), refused_meanwhile(&stage, &gate));
    assert_eq!(stage.smartabase.refused_logins(), 1);
    mended(&stage).await;
}

/// Somebody stands between two imports of one delivery, at one process, while the password is refused to the first.
async fn in_the_middle(stage: &Stage, process: &Process) {
    // A form each for the night and for the day, and so two imports.
    let day = stage.oura.documents_of("p2003", Collection::DailyActivity, date(2026, 3, 1))[0]["id"].clone();
    stage.oura.revise("p2003", Collection::DailyActivity, day.as_str().unwrap(), |day| day["steps"] = 12_345.into());
    give(process, 2003);
    let gate = Gate::new();
    let first = When::every().path("/site/api/v1/eventsimport").first(1);
    stage.smartabase_wire.inject(first, Fault::HoldAfter(gate.clone()));
    let refused = async {
        refused_meanwhile(stage, &gate).await;
        // What the table says of a hold is good for a second.
        stage.pass(SignedDuration::from_secs(2));
    };
    tokio::join!(process.work(), refused);
    assert_eq!(stage.smartabase.refused_logins(), 1);
    mended(stage).await;
}

#[tokio::test]
async fn who_is_in_the_middle_of_a_delivery_sends_no_more_once_the_password_is_refused() {
    let (stage, _) = two_processes().await;
    in_the_middle(&stage, &stage.process).await;
}

#[tokio::test]
async fn nor_does_who_is_in_the_middle_of_one_in_another_process() {
    let (stage, other) = two_processes().await;
    in_the_middle(&stage, &other).await;
}

#[tokio::test]
async fn a_process_that_does_not_know_of_the_new_password_yet_stops_nobody_who_does() {
    let (stage, other) = two_processes().await;
    stage.smartabase.set_password("rotated-api-password");
    replaced(&other);
    stage.pass(SignedDuration::from_mins(15));
    for number in [2003, 2005] {
        give(&other, number);
        assert_eq!(other.work().await, 1);
        faithful(&stage, number, &format!("p{number}"));
        // It is told, and only it.
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
async fn a_site_that_is_not_there_is_the_operators_and_named_to_them() {
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
async fn a_sign_in_that_fails_in_the_middle_of_an_enrolment_costs_one_link() {
    let stage = opening(squad(SQUAD)).await;
    let (mut signed_in, clock) = (0, stage.clock.clone());
    stage.smartabase_wire.decide(move |seen| {
        match seen.path.as_str() {
            // The proof that it began with is too old for the next.
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
