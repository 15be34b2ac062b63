//! Errors of Oura. The worker never takes data that it could not read for data that Oura removed.

use e2e::{ADA, BEN, DAYS, NIGHTS, Spent, ada, ada_and_ben, audit, connected, connection, curtain, faithful};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use sim::oura::Collection;
use sim::smartabase::Event;
use sim::wire::{Answer, Fault, When};
use store::Status;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const SLEEP: &str = "/v2/usercollection/sleep";

fn everything(stage: &Stage) -> Vec<Event> {
    [stage.smartabase.events(NIGHTS), stage.smartabase.events(DAYS)].concat()
}

async fn revised() -> Stage {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage
}

fn ailments() -> Vec<Fault> {
    vec![
        Fault::Answer(Answer::status(503)),
        Fault::Answer(Answer::status(500).body("<html>")),
        Fault::Answer(Answer::html()),
        Fault::Answer(Answer::status(200)),
        Fault::Answer(Answer::json(&serde_json::json!({"error": "none"}))),
        Fault::Answer(Answer::json(&serde_json::json!([1, 2]))),
        Fault::Truncate,
        Fault::DropBefore,
        Fault::DropAfter,
    ]
}

#[tokio::test]
async fn failing_collection_holds_back_the_whole_window() {
    let stage = connected(ada()).await;
    for (turn, fault) in (0..).zip(ailments()) {
        let asleep = 18_000 + 600 * turn;
        stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = asleep.into());
        stage.pass(PERIOD);
        let before = everything(&stage);
        stage.oura_wire.inject(When::every().path(SLEEP).first(1), fault);
        let _ = stage.cost();
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        assert_eq!(everything(&stage), before);
        let spent = Spent::since(&stage);
        assert_eq!((spent.imports, spent.lookups, spent.writes), (0, 0, 0), "nothing half read is half written");
        stage.settle().await;
        faithful(&stage, ADA, "ada");
        stage.oura_wire.heal();
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn first_tick_after_an_oura_outage_delivers() {
    let stage = revised().await;
    let before = everything(&stage);
    stage.oura_wire.inject(When::every(), Fault::Answer(Answer::status(503)));
    for _ in 0..4 {
        stage.tick().await.unwrap();
        stage.pass(PERIOD);
    }
    assert_eq!(everything(&stage), before);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active, "nobody is blamed");
    stage.oura_wire.heal();
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    audit(&stage).await;
}

#[tokio::test]
async fn rejected_request_is_not_retried_within_the_tick() {
    let stage = revised().await;
    for status in [400, 404, 422] {
        stage.oura_wire.inject(When::every().path(SLEEP), Fault::Answer(Answer::status(status)));
        let _ = stage.cost();
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.collections, spent.imports, spent.tokens), (4, 0, 0), "{status}");
        stage.oura_wire.heal();
        stage.pass(PERIOD);
    }
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn empty_collections_empty_no_record() {
    let stage = connected(ada()).await;
    let before = everything(&stage);
    let nothing = serde_json::json!({"data": [], "next_token": null});
    stage.oura_wire.inject(When::every().path("/v2/usercollection/"), Fault::Answer(Answer::json(&nothing)));
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(everything(&stage), before);
    stage.oura_wire.heal();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn unreadable_document_affects_only_its_own_date() {
    let stage = connected(ada_and_ben()).await;
    let sunday = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = "long".into());
    stage.oura.revise_night("ada", date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_000.into());
    stage.oura.revise_night("ben", date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_600.into());
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let unread = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    assert_eq!(unread, sunday, "a fuller record is not overwritten");
    let next = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).unwrap();
    assert_eq!(next.value("Sleep Time (min)"), Some("300"));
    faithful(&stage, BEN, "ben");

    stage.oura.revise_night("ada", date(2026, 3, 3), |night| night["total_sleep_duration"] = 19_200.into());
    for document in stage.oura.documents_of("ada", Collection::Sleep, date(2026, 3, 2)) {
        let id = document["id"].as_str().unwrap().to_owned();
        stage.oura.revise("ada", Collection::Sleep, &id, |night| night["total_sleep_duration"] = 19_800.into());
    }
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn malformed_document_is_skipped() {
    let stage = connected(ada()).await;
    let odd = ["7", "null", "\"night\"", "[]", "{}", r#"{"id":""}"#, r#"{"id":"x","day":"2026-13-41"}"#];
    for (number, text) in odd.into_iter().enumerate() {
        for collection in Collection::ALL {
            stage.oura.put_raw("ada", collection, &format!("odd-{number}"), text);
        }
        stage.pass(SignedDuration::from_hours(24));
        stage.tick().await.unwrap();
        let last_night = stage.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date().yesterday().unwrap();
        assert!(stage.smartabase.event_on(ADA, NIGHTS, last_night).is_some(), "{text}");
        assert!(stage.smartabase.event_on(ADA, DAYS, last_night).is_some(), "{text}");
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn refused_collection_is_skipped_and_overwrites_nothing() {
    let stage = revised().await;
    let nights = stage.smartabase.events(NIGHTS);
    let refusal = Fault::Answer(Answer::status(401));
    stage.oura_wire.inject(When::every().path(SLEEP), refusal);
    stage.pass(SignedDuration::from_hours(4));
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.tokens), (4, 0), "the token opens the others, so another would not help");
    for night in nights {
        assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, night.start_date), Some(night));
    }
    assert!(stage.smartabase.event_on(ADA, DAYS, date(2026, 3, 3)).is_some(), "the day goes on");
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    stage.oura_wire.heal();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
