//! An athlete connects again, with the same Oura account or another.

use e2e::{ADA, NIGHTS, Spent, ada, connected, connection, curtain, faithful, living, told_truly};
use jiff::SignedDuration;
use jiff::civil::date;
use sim::oura::Life;
use store::Status;

#[tokio::test]
async fn same_account_keeps_the_ledger() {
    let stage = connected(ada()).await;
    let events = stage.smartabase.events(NIGHTS);
    let before = connection(&stage, "uuid-ada").await.unwrap();
    let visit = stage.connect(ADA, "ada").await.unwrap();
    assert_eq!(visit.status, 200, "{}", visit.page);
    let after = connection(&stage, "uuid-ada").await.unwrap();
    assert!(after.generation > before.generation && after.grant != before.grant);
    assert_eq!(after.first_connected_at, before.first_connected_at);
    let _ = stage.cost();
    stage.settle().await;
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.imports, spent.lookups), (0, 0), "nothing is written twice");
    assert_eq!(stage.smartabase.events(NIGHTS), events);
    stage.pass(SignedDuration::from_hours(24));
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn another_account_overwrites_the_same_events() {
    let mut cast = ada();
    cast.people.push(living("ada-2", "Europe/Berlin", Life::Regular { since: date(2026, 1, 1) }));
    let stage = connected(cast).await;
    let ids = |stage: &local::Stage| stage.smartabase.events(NIGHTS).iter().map(|event| event.id).collect::<Vec<_>>();
    let before = ids(&stage);
    assert_eq!(stage.connect(ADA, "ada-2").await.unwrap().status, 200);
    stage.settle().await;
    stage.tick().await.unwrap();
    assert_eq!(ids(&stage), before);
    told_truly(&stage, ADA, "ada-2", date(2026, 2, 2), date(2026, 3, 4));
    let connection = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((connection.oura_user.as_deref(), connection.status), (Some("ada-2"), Status::Active));
    curtain(&stage).await;
}

#[tokio::test]
async fn reconnecting_after_a_disconnection_resumes_delivery() {
    let stage = connected(ada()).await;
    let ids: Vec<_> = stage.smartabase.events(NIGHTS).iter().map(|event| event.id).collect();
    stage.disconnect(ADA).await.unwrap();
    stage.pass(SignedDuration::from_hours(48));
    stage.tick().await.unwrap();
    stage.process.enrol().await.unwrap();
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    let now: Vec<_> = stage.smartabase.events(NIGHTS).iter().map(|event| event.id).collect();
    assert!(
        ids.iter().all(|id| now.contains(id)) && now.len() == ids.len() + 2,
        "two nights more, the others the same"
    );
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
