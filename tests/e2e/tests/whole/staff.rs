//! The two profile forms in which staff read the state of an athlete's connection. Each change is written once, and
//! never a token.

use e2e::{
    ADA, BEN, LINKS, ROTATIONS, STANDINGS, Spent, ada, ada_and_ben, connected, connection, curtain, enrolled, faithful,
    gives_nothing_away,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use sim::smartabase::{Form, Profile};
use sim::wire::{Answer, Fault, When};
use store::Status;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The value of a field of a user's form; empty if it is blank.
fn says(stage: &Stage, user: i64, form: &str, field: &str) -> String {
    let profile = stage.smartabase.profile(user, form).unwrap();
    profile.value(field).unwrap_or_default().to_owned()
}

fn status(stage: &Stage, user: i64) -> String {
    says(stage, user, STANDINGS, "Status")
}

/// The number of times each of the two forms was written for a user.
fn told(stage: &Stage, user: i64) -> (u32, u32) {
    let times = |form| stage.smartabase.profile(user, form).map_or(0, |profile: Profile| profile.imports);
    (times(STANDINGS), times(ROTATIONS))
}

async fn tick(stage: &Stage) {
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
}

#[tokio::test]
async fn forms_follow_an_athlete_from_the_link_to_the_first_night() {
    let stage = enrolled(ada()).await;
    assert_eq!(status(&stage, ADA), "not connected yet");
    assert_eq!(told(&stage, ADA), (1, 0), "there is no token to speak of");
    stage.process.enrol().await.unwrap();
    assert_eq!(told(&stage, ADA), (1, 0));

    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    let field = |field| says(&stage, ADA, STANDINGS, field);
    assert_eq!((field("Status"), field("Reason")), ("connected".to_owned(), String::new()));
    assert_eq!((field("Connected Since"), field("Scopes")), ("3 March 2026, 08:30".to_owned(), "daily".to_owned()));
    assert_eq!(field("Last Night Received"), "Monday 2 March 2026");
    let token = |field| says(&stage, ADA, ROTATIONS, field);
    assert_eq!((token("Last Rotation"), token("Expires").is_empty()), ("3 March 2026, 08:30".to_owned(), false));
    assert_eq!(token("Fingerprint").len(), 8);
    assert_eq!(told(&stage, ADA), (2, 1));

    // Ticks and enrolments without a change write no form.
    let _ = stage.cost();
    for _ in 0..3 {
        tick(&stage).await;
    }
    stage.process.enrol().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.profiles, told(&stage, ADA)), (0, (2, 1)));
    curtain(&stage).await;
}

#[tokio::test]
async fn new_night_and_token_rotation_are_written_once_each() {
    let stage = connected(ada()).await;
    let fingerprint = says(&stage, ADA, ROTATIONS, "Fingerprint");
    let before = told(&stage, ADA);
    stage.pass(DAY);
    stage.tick().await.unwrap();
    assert_eq!(says(&stage, ADA, STANDINGS, "Last Night Received"), "Tuesday 3 March 2026");
    assert_eq!(says(&stage, ADA, ROTATIONS, "Last Rotation"), "4 March 2026, 08:30");
    assert_ne!(says(&stage, ADA, ROTATIONS, "Fingerprint"), fingerprint);
    assert_eq!(told(&stage, ADA), (before.0 + 1, before.1 + 1));
    // A revised night does not count as a new one.
    stage.oura.revise_night("ada", date(2026, 3, 4), |night| night["total_sleep_duration"] = 18_000.into());
    tick(&stage).await;
    faithful(&stage, ADA, "ada");
    assert_eq!(told(&stage, ADA), (before.0 + 1, before.1 + 1));
    curtain(&stage).await;
}

#[tokio::test]
async fn withdrawn_consent_shows_needs_to_reconnect_until_reconnected() {
    let stage = connected(ada_and_ben()).await;
    let bens = told(&stage, BEN);
    stage.oura.withdraw("ada");
    tick(&stage).await;
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::NeedsConsent);
    assert_eq!(status(&stage, ADA), "needs to reconnect");
    assert!(says(&stage, ADA, STANDINGS, "Reason").contains("connects again"));
    let before = told(&stage, ADA);
    tick(&stage).await;
    stage.process.enrol().await.unwrap();
    assert_eq!(told(&stage, ADA), before, "once");
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    assert_eq!(status(&stage, ADA), "connected");
    assert_eq!(told(&stage, BEN), bens, "it is nobody else's business");
    curtain(&stage).await;
}

#[tokio::test]
async fn missing_scope_is_written() {
    let stage = connected(ada()).await;
    stage.oura.withdraw_scope("ada", "daily");
    tick(&stage).await;
    assert_eq!(status(&stage, ADA), "sleep data not shared");
    curtain(&stage).await;
}

#[tokio::test]
async fn lapsed_and_renewed_membership_are_written() {
    let mut cast = ada_and_ben();
    cast.people[1].member = false;
    let stage = enrolled(cast).await;
    for (user, person) in [(ADA, "ada"), (BEN, "ben")] {
        stage.connect(user, person).await.unwrap();
    }
    stage.settle().await;
    assert_eq!(status(&stage, BEN), "no Oura membership", "lapsed when they connected");
    stage.tick().await.unwrap();
    stage.oura.set_member("ada", false);
    tick(&stage).await;
    assert_eq!(status(&stage, ADA), "no Oura membership", "lapsed later");
    for person in ["ada", "ben"] {
        stage.oura.set_member(person, true);
    }
    stage.pass(DAY + PERIOD);
    stage.tick().await.unwrap();
    assert_eq!((status(&stage, ADA), status(&stage, BEN)), ("connected".to_owned(), "connected".to_owned()));
    curtain(&stage).await;
}

#[tokio::test]
async fn account_of_another_athlete_is_written() {
    let mut cast = ada_and_ben();
    cast.people[0].member = false;
    let stage = enrolled(cast).await;
    for user in [ADA, BEN] {
        stage.connect(user, "ada").await.unwrap();
    }
    stage.settle().await;
    stage.oura.set_member("ada", true);
    stage.pass(DAY + PERIOD);
    stage.tick().await.unwrap();
    let mut statuses = [status(&stage, ADA), status(&stage, BEN)];
    statuses.sort();
    assert_eq!(statuses, ["Oura account belongs to another athlete", "connected"]);
    curtain(&stage).await;
}

#[tokio::test]
async fn disconnection_is_written_and_clears_the_token_form() {
    let stage = connected(ada()).await;
    stage.disconnect(ADA).await.unwrap();
    stage.settle().await;
    assert_eq!(status(&stage, ADA), "disconnected");
    let field = |form, field| says(&stage, ADA, form, field);
    assert_eq!((field(STANDINGS, "Connected Since"), field(STANDINGS, "Scopes")), (String::new(), String::new()));
    assert_eq!(field(STANDINGS, "Last Night Received"), "Monday 2 March 2026", "what arrived has arrived");
    for label in ["Last Rotation", "Expires", "Fingerprint"] {
        assert_eq!(field(ROTATIONS, label), "");
    }
    let before = told(&stage, ADA);
    stage.process.enrol().await.unwrap();
    assert_eq!(told(&stage, ADA), before);
    curtain(&stage).await;
}

#[tokio::test]
async fn enrolment_writes_missing_nights_until_the_next_night() {
    let stage = connected(ada()).await;
    let back = "2026-03-12T06:30:00Z".parse().unwrap();
    for day in 4..=12 {
        stage.oura.postpone("ada", date(2026, 3, day), back);
    }
    let mut heard = Vec::new();
    // The first enrolment runs in the night from Tuesday to Wednesday, then one runs each day.
    stage.pass(SignedDuration::from_hours(19));
    for _ in 0..8 {
        stage.tick().await.unwrap();
        stage.process.enrol().await.unwrap();
        let (said, times) = (status(&stage, ADA), told(&stage, ADA).0);
        if heard.last().is_none_or(|(last, _)| *last != said) {
            heard.push((said, times));
        }
        stage.pass(DAY);
    }
    let first = heard[0].1;
    let expected = [
        ("connected", first),
        ("has not opened the Oura app since Tuesday", first + 1),
        ("has not opened the Oura app since 3 March 2026", first + 2),
    ];
    assert_eq!(heard, expected.map(|(said, times)| (said.to_owned(), times)));
    stage.pass(DAY);
    stage.tick().await.unwrap();
    assert_eq!(status(&stage, ADA), "connected");
    assert_eq!(says(&stage, ADA, STANDINGS, "Last Night Received"), "Wednesday 11 March 2026");
    curtain(&stage).await;
}

#[tokio::test]
async fn missing_form_field_is_written_until_it_exists() {
    let stage = connected(ada()).await;
    let site = local::site_forms(&stage.process.connector.forms);
    let nights = site.iter().find(|form| form.name == e2e::NIGHTS).unwrap().clone();
    let mut without = nights.clone();
    without.fields.retain(|field| field != "Efficiency");
    stage.smartabase.set_form(without);
    stage.pass(DAY);
    stage.tick().await.unwrap();
    assert_eq!(status(&stage, ADA), "form field missing: tell your administrator");
    let reason = says(&stage, ADA, STANDINGS, "Reason");
    assert!(reason.contains("\"Oura Readiness and Sleep Summary\"") && reason.contains("Efficiency"), "{reason}");
    stage.smartabase.set_form(nights);
    tick(&stage).await;
    assert_eq!(status(&stage, ADA), "connected");
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn forms_contain_no_secret() {
    let stage = connected(ada()).await;
    for _ in 0..3 {
        stage.pass(DAY);
        stage.tick().await.unwrap();
        let fingerprint = says(&stage, ADA, ROTATIONS, "Fingerprint");
        let issued = stage.oura.issued();
        assert!(issued.len() > 2 && !issued.iter().any(|token| token.contains(&fingerprint)));
        for form in [STANDINGS, ROTATIONS] {
            let profile = stage.smartabase.profile(ADA, form).unwrap();
            let text = profile.rows.concat().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
            gives_nothing_away(&stage, &text);
        }
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn failed_writes_delay_no_sync_and_are_made_up_by_enrolment() {
    for fault in [Fault::Answer(Answer::status(503)), Fault::DropBefore, Fault::Answer(Answer::html())] {
        let stage = connected(ada()).await;
        let import = || When::every().path("/site/api/v1/profileimport");
        stage.smartabase_wire.inject(import(), fault.clone());
        stage.pass(DAY);
        stage.tick().await.unwrap();
        faithful(&stage, ADA, "ada");
        assert_eq!(stage.process.waiting.bodies(), Vec::<String>::new(), "nothing comes back for that");
        assert_eq!(says(&stage, ADA, STANDINGS, "Last Night Received"), "Monday 2 March 2026");
        let _ = stage.cost();
        tick(&stage).await;
        assert_eq!(Spent::since(&stage).profiles, 0, "it is left to the enrolment");
        let enrolled = stage.process.enrol().await.unwrap();
        assert_eq!((enrolled.failed, enrolled.staff_told, enrolled.staff_failed), (0, 0, 1));
        stage.smartabase_wire.heal();
        assert_eq!(stage.process.enrol().await.unwrap().staff_told, 2);
        assert_eq!(says(&stage, ADA, STANDINGS, "Last Night Received"), "Tuesday 3 March 2026");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn missing_form_does_not_prevent_the_other() {
    let stage = enrolled(ada()).await;
    stage.smartabase.remove_form(STANDINGS);
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    assert_eq!(says(&stage, ADA, ROTATIONS, "Last Rotation"), "3 March 2026, 08:30");
    faithful(&stage, ADA, "ada");
    stage.smartabase.set_form(Form::profile(STANDINGS, ["Status"]));
    let enrolled = stage.process.enrol().await.unwrap();
    assert_eq!((enrolled.staff_told, enrolled.staff_failed), (0, 1), "a form that lacks fields is not told in full");
    assert_eq!(status(&stage, ADA), "connected");
    curtain(&stage).await;
}

#[tokio::test]
async fn form_whose_digest_was_not_stored_is_written_again() {
    let stage = enrolled(ada()).await;
    // The table stores the note that a form is about to be written, but not the note that it was.
    stage.table_wire.inject(When::every().body(":if_status_told"), Fault::DropBefore);
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    assert_eq!((status(&stage, ADA), told(&stage, ADA)), ("connected".to_owned(), (2, 1)));
    stage.table_wire.heal();
    assert_eq!(stage.process.enrol().await.unwrap().staff_told, 1);
    assert_eq!((status(&stage, ADA), told(&stage, ADA)), ("connected".to_owned(), (3, 1)));
    assert_eq!(stage.process.enrol().await.unwrap().staff_told, 0);
    curtain(&stage).await;
}

#[tokio::test]
async fn overlapping_writes_end_with_the_current_status() {
    let stage = connected(ada()).await;
    let gate = sim::wire::Gate::new();
    // A worker's import hangs. Meanwhile the athlete reconnects, and the enrolment writes that.
    let first = When::every().path("/site/api/v1/profileimport").body(STANDINGS).first(1);
    stage.smartabase_wire.inject(first, Fault::HoldBefore(gate.clone()));
    stage.oura.withdraw("ada");
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let meanwhile = async {
        gate.reached().await;
        stage.connect(ADA, "ada").await.unwrap();
        stage.process.enrol().await.unwrap();
        assert_eq!(status(&stage, ADA), "connected");
        gate.open();
    };
    tokio::join!(stage.process.work(), meanwhile);
    assert_eq!(status(&stage, ADA), "needs to reconnect", "what was true before came last");
    stage.process.enrol().await.unwrap();
    assert_eq!(status(&stage, ADA), "connected");
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn outdated_write_that_comes_last_is_overwritten() {
    let stage = connected(ada()).await;
    let gate = sim::wire::Gate::new();
    let first = When::every().path("/site/api/v1/profileimport").body(STANDINGS).first(1);
    stage.smartabase_wire.inject(first, Fault::HoldBefore(gate.clone()));
    stage.oura.withdraw("ada");
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let meanwhile = async {
        gate.reached().await;
        stage.connect(ADA, "ada").await.unwrap();
        stage.process.enrol().await.unwrap();
        assert_eq!(status(&stage, ADA), "connected");
        // The table gets no further request from the worker whose import is in progress.
        stage.table_wire.inject(When::every().body(":if_status_told"), Fault::DropBefore);
        gate.open();
    };
    tokio::join!(stage.process.work(), meanwhile);
    stage.table_wire.heal();
    assert_eq!(status(&stage, ADA), "needs to reconnect", "what was true before came last");
    stage.process.enrol().await.unwrap();
    assert_eq!(status(&stage, ADA), "connected");
    assert_eq!(stage.process.enrol().await.unwrap().staff_told, 0, "and that is known");
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn refused_password_is_tried_once_and_forms_are_written_later() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase.set_password("another-api-password");
    for person in ["ada", "ben"] {
        stage.oura.withdraw(person);
    }
    tick(&stage).await;
    assert_eq!(stage.smartabase.refused_logins(), 1);
    stage.pass(SignedDuration::from_mins(2));
    assert!(stage.process.enrol().await.is_err());
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.refused_logins(), 1, "a hold is in force");
    stage.smartabase.set_password("api-password");
    stage.pass(PERIOD);
    assert_eq!(stage.process.enrol().await.unwrap().staff_told, 2);
    assert_eq!((status(&stage, ADA), status(&stage, BEN)), ("needs to reconnect".into(), "needs to reconnect".into()));
    assert!(stage.smartabase.profile(ADA, LINKS).is_some());
    curtain(&stage).await;
}
