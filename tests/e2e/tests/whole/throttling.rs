//! Status 429: which athletes pause, and for how long.

use e2e::{ADA, BEN, Spent, ada_and_ben, connected, connection, curtain, deadline, faithful};
use jiff::SignedDuration;
use local::Stage;
use sim::oura::Tier;
use store::{Service, Status};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

async fn tick(stage: &Stage) -> Spent {
    let _ = stage.cost();
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    Spent::since(stage)
}

/// Waits until the pause is over and asserts that all athletes are synced again.
async fn recovers(stage: &Stage) {
    stage.pass(SignedDuration::from_mins(6));
    stage.settle().await;
    stage.pass(PERIOD);
    assert_eq!(tick(stage).await.collections, 8);
    stage.settle().await;
    faithful(stage, ADA, "ada");
    faithful(stage, BEN, "ben");
    curtain(stage).await;
}

#[tokio::test]
async fn invariant_6_token_tier_pauses_only_that_athlete() {
    let stage = connected(ada_and_ben()).await;
    stage.pass(PERIOD);
    let until = stage.clock.now() + SignedDuration::from_mins(10);
    stage.oura.throttle(Tier::Token, "ada", until);
    assert_eq!(tick(&stage).await.collections, 8, "four refused, four served");
    let held = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((held.status, held.held_until), (Status::Active, Some(until)));
    let store = &stage.process.connector.store;
    assert_eq!(store.hold(Service::Oura, deadline().instant()).await.unwrap(), None);
    assert_eq!(connection(&stage, "uuid-ben").await.unwrap().held_until, None);

    stage.pass(SignedDuration::from_mins(5));
    assert_eq!(tick(&stage).await.collections, 4, "Ben's only");
    recovers(&stage).await;
}

#[tokio::test]
async fn application_tier_pauses_all_athletes() {
    let stage = connected(ada_and_ben()).await;
    stage.pass(PERIOD);
    let until = stage.clock.now() + SignedDuration::from_mins(10);
    stage.oura.throttle(Tier::Application, "", until);
    tick(&stage).await;
    let store = &stage.process.connector.store;
    let hold = store.hold(Service::Oura, deadline().instant()).await.unwrap().unwrap();
    assert_eq!(hold.until, until);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().held_until, None);

    stage.pass(SignedDuration::from_mins(5));
    let ticked = stage.process.tick().await.unwrap();
    assert!(ticked.held && ticked.queued == 2, "{ticked:?}");
    stage.process.work().await;
    assert_eq!(Spent::since(&stage).collections, 0, "nobody asks while the hold lasts");
    recovers(&stage).await;
}

#[tokio::test]
async fn unknown_tier_pauses_all_athletes() {
    let mut cast = ada_and_ben();
    cast.oura.tier_names.token = "basalt".to_owned();
    let stage = connected(cast).await;
    stage.pass(PERIOD);
    let until = stage.clock.now() + SignedDuration::from_mins(10);
    stage.oura.throttle(Tier::Token, "ada", until);
    tick(&stage).await;
    let store = &stage.process.connector.store;
    assert_eq!(store.hold(Service::Oura, deadline().instant()).await.unwrap().unwrap().until, until);
    recovers(&stage).await;
}

#[tokio::test]
async fn pause_longer_than_a_period_leaves_the_queue_empty() {
    let stage = connected(ada_and_ben()).await;
    stage.pass(PERIOD);
    stage.oura.throttle(Tier::Application, "", stage.clock.now() + SignedDuration::from_hours(1));
    tick(&stage).await;
    stage.settle().await;
    let _ = stage.cost();
    for _ in 0..2 {
        stage.pass(SignedDuration::from_mins(10));
        let ticked = stage.process.tick().await.unwrap();
        assert_eq!((ticked.queued, ticked.postponed, ticked.held), (0, 2, true));
        stage.settle().await;
    }
    assert_eq!(Spent::since(&stage).collections, 0);
    stage.pass(SignedDuration::from_hours(1));
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
