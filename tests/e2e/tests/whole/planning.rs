//! Ticks that have no room for every athlete.

use std::collections::BTreeMap;
use std::time::Duration;

use connector::queue::message::Job;
use e2e::{ada, athlete, deadline, opening};
use jiff::SignedDuration;
use local::{Cast, Stage};
use sim::wire::{Answer, Fault, When};
use store::{KeyVersion, Keyring, NewConnection, SealPurpose, Service, Status, StoredGrant};

const PERIOD: SignedDuration = SignedDuration::from_mins(1);

/// A site whose ticks are a minute apart. A tick has room for 100 athletes, or for 50 while a hold takes half of the
/// minute. The athletes exist only in the table: no job is run.
async fn site(athletes: usize) -> Stage {
    let variables = vec![("SYNC_SCHEDULE", "rate(1 minute)".to_owned())];
    let stage = opening(Cast { variables, ..ada() }).await;
    let keyring = Keyring::new(KeyVersion { id: "first".to_owned(), secret: "the root key of the stage".into() });
    let connector = &stage.process.connector;
    for number in 0..athletes {
        let athlete = athlete(&format!("uuid-{number:03}"));
        let new = NewConnection {
            status: Status::Active,
            note: None,
            user_id: 1,
            oura_user: Some(format!("oura-{number}")),
            scopes: "daily".to_owned(),
            grant: StoredGrant {
                sealed: keyring.seal(SealPurpose::Grant, &athlete, b"{}").unwrap(),
                token_url: connector.settings.oura.token.clone(),
                expires_at: stage.clock.now(),
            },
            held_until: None,
            backfill_from: None,
            now: stage.clock.now(),
            athlete,
        };
        connector.store.connect(&new, deadline().instant()).await.unwrap();
    }
    let _ = stage.cost();
    stage
}

/// Oura asks for a pause of half a minute for all athletes.
async fn hold(stage: &Stage) {
    let until = stage.clock.now() + SignedDuration::from_secs(30);
    stage.process.connector.store.set_hold(Service::Oura, until, "a test", deadline().instant()).await.unwrap();
}

/// The number of jobs queued for each athlete.
fn turns(stage: &Stage) -> BTreeMap<String, usize> {
    let mut turns = BTreeMap::new();
    for body in stage.process.waiting.bodies() {
        *turns.entry(Job::from_message(&body).unwrap().athlete().to_string()).or_default() += 1;
    }
    turns
}

#[tokio::test]
async fn hold_at_every_second_tick_leaves_no_athlete_out() {
    let stage = site(150).await;
    for round in 0..4 {
        if round % 2 == 0 {
            hold(&stage).await;
        }
        stage.process.tick().await.unwrap();
        stage.pass(PERIOD);
    }
    // Ticks of 50 and 100 athletes in turn.
    let turns = turns(&stage);
    assert_eq!((turns.len(), turns.values().all(|turns| *turns == 2)), (150, true), "{turns:?}");
}

#[tokio::test]
async fn schedule_firing_every_second_time_leaves_no_athlete_out() {
    let stage = site(100).await;
    for _ in 0..2 {
        hold(&stage).await;
        stage.process.tick().await.unwrap();
        stage.pass(PERIOD * 2);
    }
    let turns = turns(&stage);
    assert_eq!((turns.len(), turns.values().all(|turns| *turns == 1)), (100, true), "{turns:?}");
}

#[tokio::test]
async fn tick_with_room_for_all_athletes_writes_nothing() {
    let stage = site(100).await;
    stage.process.tick().await.unwrap();
    let cost = stage.cost().table;
    assert_eq!((cost.operations("Query"), cost.operations("GetItem"), cost.len()), (4, 1, 5));
    // While some athletes have to wait, each tick reads and writes one row more.
    hold(&stage).await;
    let _ = stage.cost();
    stage.process.tick().await.unwrap();
    let cost = stage.cost().table;
    assert_eq!((cost.operations("GetItem"), cost.operations("UpdateItem"), cost.len()), (2, 1, 7));
}

#[tokio::test]
async fn tick_that_cannot_store_its_last_athlete_skips_none() {
    let stage = site(100).await;
    hold(&stage).await;
    stage.table_wire.inject(When::every().operation("UpdateItem"), Fault::Answer(Answer::status(500)));
    let planned = tokio::time::timeout(Duration::from_mins(1), stage.process.tick()).await.unwrap().unwrap();
    assert_eq!((planned.queued, planned.postponed), (50, 50), "the jobs are queued all the same");
    stage.table_wire.heal();
    for _ in 0..2 {
        stage.pass(PERIOD);
        hold(&stage).await;
        stage.process.tick().await.unwrap();
    }
    let turns = turns(&stage);
    assert_eq!(turns.len(), 100, "{turns:?}");
}

/// EventBridge delivers the same tick again some seconds later.
#[tokio::test]
async fn tick_delivered_twice_plans_the_same_athletes() {
    let stage = site(250).await;
    for planned in [100, 200, 250] {
        for _ in 0..3 {
            stage.process.tick().await.unwrap();
            stage.pass(SignedDuration::from_secs(5));
        }
        assert_eq!(turns(&stage).len(), planned);
        stage.pass(SignedDuration::from_secs(45));
    }
    let turns = turns(&stage);
    assert_eq!((turns["uuid-000"], turns["uuid-049"], turns["uuid-050"]), (6, 6, 3), "{turns:?}");
}
