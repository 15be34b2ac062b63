//! Errors of Smartabase. Whatever the response to an import, each date ends with one event that agrees with Oura.

use std::sync::{Arc, Mutex};

use e2e::{ADA, NIGHTS, Spent, ada, audit, connected, curtain, enrolled, faithful, squad, told_truly};
use jiff::SignedDuration;
use jiff::civil::date;
use sim::smartabase::{Empty, Event};
use sim::wire::{Answer, Fault, When};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const IMPORT: &str = "/site/api/v1/eventsimport";

fn ailments() -> Vec<Fault> {
    let exception = serde_json::json!({"__is_rpc_exception__": true, "type": "x", "value": {"detailMessage": "busy"}});
    let mut faults = vec![Fault::Truncate, Fault::DropBefore, Fault::DropAfter];
    for answer in [
        Answer::status(500),
        Answer::status(503).header("retry-after", "20"),
        Answer::status(429).header("retry-after", "20"),
        Answer::status(422).body("<html>"),
        Answer::html(),
        Answer::status(200),
        Answer::json(&serde_json::json!({"result": {"state": "UNEXPECTED_ERROR", "message": ""}})),
        Answer::json(&exception),
        Answer::json(&serde_json::json!({"error": "try later"})),
    ] {
        faults.push(Fault::Answer(answer.clone()));
        faults.push(Fault::Replace(answer));
    }
    faults
}

#[tokio::test]
async fn invariant_1_import_errors_create_no_night_twice() {
    let faults = ailments();
    let athletes = i64::try_from(faults.len()).unwrap();
    let stage = enrolled(squad(athletes)).await;
    // Each athlete's import meets another error, once.
    for (user, fault) in (2001..).zip(faults) {
        let whose = format!("\"userId\":{user}}}");
        stage.smartabase_wire.inject(When::every().path(IMPORT).body(whose).first(1), fault);
        stage.connect(user, &format!("p{user}")).await.unwrap();
    }
    stage.settle().await;
    // Failures of this many athletes in a row count as an outage of the site. Some athletes are therefore delivered
    // after the next tick.
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let met = stage.cost().smartabase.entries.iter().filter(|entry| entry.faulted).count();
    assert_eq!(i64::try_from(met).unwrap(), athletes);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    for user in 2001..2001 + athletes {
        told_truly(&stage, user, &format!("p{user}"), date(2026, 2, 2), date(2026, 3, 4));
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_2_import_errors_lose_no_revision() {
    let stage = connected(ada()).await;
    for (turn, fault) in (0..).zip(ailments()) {
        let asleep = 18_000 + 600 * turn;
        stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = asleep.into());
        stage.smartabase_wire.inject(When::every().path(IMPORT).first(1), fault);
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let event = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
        assert_eq!(event.value("Sleep Time (min)"), Some((asleep / 60).to_string().as_str()));
        stage.smartabase_wire.heal();
    }
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn failed_look_up_creates_nothing() {
    for answer in [Answer::status(500), Answer::html(), Answer::status(403), Answer::json(&serde_json::json!([]))] {
        let stage = enrolled(ada()).await;
        let look_up = When::every().matching(|seen| seen.path.starts_with("/site/api/v1/") && seen.path != IMPORT);
        stage.smartabase_wire.inject(look_up, Fault::Answer(answer));
        stage.connect(ADA, "ada").await.unwrap();
        stage.process.work().await;
        assert_eq!(stage.smartabase.events(NIGHTS), []);
        assert_eq!(Spent::since(&stage).imports, 0);
        stage.smartabase_wire.heal();
        stage.settle().await;
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn first_tick_after_a_smartabase_outage_delivers() {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.smartabase_wire.inject(When::every(), Fault::DropBefore);
    for _ in 0..3 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    stage.smartabase_wire.heal();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    audit(&stage).await;
}

#[tokio::test]
async fn existing_event_is_updated_instead_of_a_second() {
    let stage = enrolled(ada()).await;
    let template = Event {
        id: 0,
        form: NIGHTS.to_owned(),
        user: ADA,
        entered_by: 1,
        start_date: date(2026, 3, 1),
        start_time: jiff::civil::time(20, 0, 0, 0),
        finish_date: date(2026, 3, 1),
        finish_time: jiff::civil::time(21, 0, 0, 0),
        rows: vec![vec![("Sleep Score".to_owned(), "1".to_owned())]],
        changed: stage.clock.now(),
        updates: 0,
    };
    let id = stage.smartabase.put_event(template);
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap().id, id);
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn every_form_of_an_empty_result_is_understood() {
    for empty in [Empty::List, Empty::Object, Empty::Nothing] {
        let mut cast = ada();
        cast.smartabase.empty = empty;
        let stage = connected(cast).await;
        told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
        curtain(&stage).await;
    }
}

/// The site answers with an error and carries the import out a minute later.
#[tokio::test]
async fn invariant_1_late_import_makes_no_second_event() {
    let stage = connected(ada()).await;
    stage.pass(SignedDuration::from_hours(24));
    let (first, kept) = (Arc::new(Mutex::new(None)), Answer::status(504));
    let body = Arc::clone(&first);
    stage.smartabase_wire.decide(move |seen| {
        let mut body = body.lock().unwrap();
        let late = seen.path == IMPORT && body.is_none();
        late.then(|| {
            *body = Some((format!("{}?{}", seen.path, seen.query), seen.body.clone()));
            Fault::Answer(kept.clone())
        })
    });
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    stage.smartabase_wire.heal();
    stage.pass(SignedDuration::from_secs(31));
    stage.process.work().await;
    let (path, body) = first.lock().unwrap().take().unwrap();
    let site = stage.smartabase.url().trim_end_matches("/site").to_owned();
    let late = stage.browser.post(format!("{site}{path}")).basic_auth("api.account", Some("api-password"));
    let late = late.header("content-type", "application/json").body(body.to_vec()).send().await.unwrap();
    assert_eq!(late.status(), 200);
    for _ in 0..2 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
