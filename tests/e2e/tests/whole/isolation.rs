//! One athlete's failure never delays, fails or changes another's sync.

use std::time::Duration;

use e2e::{ADA, BEN, NIGHTS, Spent, ada_and_ben, audit, connected, connection, curtain, faithful, squad};
use jiff::SignedDuration;
use jiff::civil::date;
use sim::oura::Collection;
use sim::wire::{Fault, Gate, When};
use store::Status::{Active, Disconnected, MembershipLapsed, NeedsConsent, ScopeMissing};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const IMPORT: &str = "/site/api/v1/eventsimport";

#[tokio::test]
async fn invariant_6_broken_documents_affect_only_their_athlete() {
    let stage = connected(ada_and_ben()).await;
    let adas = stage.smartabase.events_of(ADA, NIGHTS);
    // With this document, even the page is no longer JSON.
    stage.oura.put_raw("ada", Collection::Sleep, "broken", "{]");
    stage.oura.revise_night("ben", date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert_eq!(stage.smartabase.event_on(BEN, NIGHTS, date(2026, 2, 28)).unwrap().updates, 1);
    faithful(&stage, BEN, "ben");
    assert_eq!(stage.smartabase.events_of(ADA, NIGHTS), adas);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Active);
    stage.oura.remove_document("ada", Collection::Sleep, "broken");
    stage.settle().await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_6_hanging_import_delays_no_other_athlete() {
    let stage = connected(ada_and_ben()).await;
    for person in ["ada", "ben"] {
        stage.oura.revise_night(person, date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_000.into());
    }
    let (adas, bens) = (Gate::new(), Gate::new());
    stage.smartabase_wire.inject(When::every().path(IMPORT).body("\"userId\":1001"), Fault::HoldBefore(adas.clone()));
    stage.smartabase_wire.inject(When::every().path(IMPORT).body("\"userId\":1002"), Fault::HoldAfter(bens.clone()));
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    tokio::join!(stage.process.work(), async {
        adas.reached().await;
        bens.reached().await;
        assert_eq!(stage.smartabase.event_on(BEN, NIGHTS, date(2026, 2, 28)).unwrap().updates, 1);
        assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).unwrap().updates, 0, "Ada still waits");
        bens.open();
        adas.open();
    });
    faithful(&stage, ADA, "ada");
    faithful(&stage, BEN, "ben");
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_6_every_kind_of_failure_leaves_others_synced() {
    let stage = connected(squad(10)).await;
    stage.oura.set_member("p2001", false);
    stage.oura.withdraw("p2002");
    stage.oura.withdraw_scope("p2003", "daily");
    stage.oura.expire_access_tokens("p2004");
    stage.oura.put_raw("p2005", Collection::DailyReadiness, "broken", "{]");
    stage.disconnect(2006).await.unwrap();
    stage.smartabase.hide_user(2007);
    for number in 2001..2011 {
        let person = format!("p{number}");
        stage.oura.revise_night(&person, date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    }
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    for number in [2004, 2008, 2009, 2010] {
        faithful(&stage, number, &format!("p{number}"));
    }
    let mut statuses = Vec::new();
    for number in 2001..2011 {
        statuses.push(connection(&stage, &format!("uuid-{number}")).await.unwrap().status);
    }
    let expected =
        [MembershipLapsed, NeedsConsent, ScopeMissing, Active, Active, Disconnected, Active, Active, Active, Active];
    assert_eq!(statuses, expected);
    audit(&stage).await;
}

#[tokio::test]
async fn invariant_6_a_damaged_connection_stops_only_its_own_athlete() {
    let stage = connected(ada_and_ben()).await;
    let database = stage.dynamo.client();
    let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let table = stage.process.connector.store.table();
    let damage =
        database.update_item().table_name(table).key("pk", key("ATHLETE#uuid-ada")).key("sk", key("CONNECTION"));
    let damage = damage.update_expression("SET generation = :text").expression_attribute_values(":text", key("many"));
    damage.send().await.unwrap();
    stage.oura.revise_night("ben", date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(Spent::since(&stage).collections, 4);
    faithful(&stage, BEN, "ben");
    curtain(&stage).await;
}

#[tokio::test]
async fn unreadable_table_only_delays_the_jobs() {
    let stage = connected(ada_and_ben()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let refused = sim::wire::Answer::status(400)
        .header("content-type", "application/x-amz-json-1.0")
        .body(r#"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","Message":"no"}"#);
    stage.table_wire.inject(When::every().operation("BatchGetItem"), Fault::Answer(refused));
    stage.process.work().await;
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.imports, spent.writes), (0, 0, 0));
    assert_eq!(stage.process.waiting.len(), 2, "the messages come back");
    stage.table_wire.heal();
    stage.pass(SignedDuration::try_from(Duration::from_mins(1)).unwrap());
    stage.settle().await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
