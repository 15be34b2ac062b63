//! What a tick costs when nothing has changed, and what it delivers when something has.

use e2e::{ADA, BEN, NIGHTS, Spent, ada, ada_and_ben, connected, curtain, faithful, living, squad};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use sim::oura::Life;
use sim::smartabase::User;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// Runs a tick and one batch. Returns the cost of each.
async fn tick_apart(stage: &Stage) -> (Spent, Spent) {
    let _ = stage.cost();
    stage.process.tick().await.unwrap();
    let planning = Spent::since(stage);
    stage.process.work().await;
    (planning, Spent::since(stage))
}

#[tokio::test]
async fn invariant_7_unchanged_athlete_costs_four_oura_requests() {
    let stage = connected(ada_and_ben()).await;
    for _ in 0..3 {
        stage.pass(PERIOD);
        let (planning, working) = tick_apart(&stage).await;
        // The scheduler lists the athletes shard by shard and reads Oura's hold.
        assert_eq!(planning, Spent { reads: 5, ..Spent::default() });
        assert_eq!(working, Spent { collections: 8, snapshots: 1, ..Spent::default() });
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_7_squad_is_read_in_one_request() {
    let stage = connected(squad(25)).await;
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    let _ = stage.cost();
    stage.settle().await;
    assert_eq!(Spent::since(&stage), Spent { collections: 100, snapshots: 1, ..Spent::default() });
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_7_heartbeat_is_the_only_write_once_an_hour() {
    let stage = connected(ada()).await;
    // In Berlin, the phone syncs at half past seven and then at a quarter to eleven.
    stage.clock.advance("2026-03-03T19:30:00Z".parse::<jiff::Timestamp>().unwrap().duration_since(stage.clock.now()));
    stage.tick().await.unwrap();
    let _ = stage.cost();
    let mut writes = 0;
    for _ in 0..8 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.collections, spent.imports, spent.lookups), (4, 0, 0));
        writes += spent.writes;
    }
    assert_eq!(writes, 2);
    curtain(&stage).await;
}

#[tokio::test]
async fn tick_that_fires_twice_writes_once() {
    let stage = connected(ada()).await;
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    stage.process.tick().await.unwrap();
    stage.settle().await;
    let event = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    assert_eq!((event.value("Sleep Time (min)"), event.updates), (Some("300"), 1));
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_2_records_agree_with_oura_after_a_normal_week() {
    let since = date(2026, 1, 1);
    let zones = ["Europe/Berlin", "America/Lima", "Asia/Kathmandu", "Pacific/Auckland"];
    let people =
        zones.iter().enumerate().map(|(number, zone)| living(&format!("p{number}"), zone, Life::Varied { since }));
    let users = (0..4).map(|number| User::new(2001 + number, &format!("uuid-{number}"), "Player", &number.to_string()));
    let stage = connected(Cast { people: people.collect(), users: users.collect(), ..Cast::new() }).await;
    for _ in 0..7 * 4 {
        stage.pass(SignedDuration::from_hours(6));
        stage.tick().await.unwrap();
        for number in 0..4 {
            faithful(&stage, 2001 + number, &format!("p{number}"));
        }
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn night_is_delivered_by_the_first_tick_after_the_ring_synced() {
    let stage = connected(ada_and_ben()).await;
    let (monday, tuesday) = (date(2026, 3, 2), date(2026, 3, 3));
    assert!(stage.smartabase.event_on(BEN, NIGHTS, monday).is_none(), "Ben sleeps");
    while stage.oura.night("ben", tuesday).is_none() {
        assert!(stage.smartabase.event_on(BEN, NIGHTS, monday).is_none());
        stage.pass(PERIOD);
    }
    stage.tick().await.unwrap();
    assert!(stage.smartabase.event_on(BEN, NIGHTS, monday).is_some());
    faithful(&stage, BEN, "ben");
    curtain(&stage).await;
}
