//! Documents that Oura changes after the first delivery.

use std::collections::BTreeMap;

use e2e::{ADA, BEN, DAYS, NIGHTS, Spent, ada, ada_and_ben, connected, curtain, enrolled, faithful};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use sim::oura::Collection;
use sim::smartabase::Event;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// All events of the site, by id.
fn standing(stage: &Stage) -> BTreeMap<i64, Event> {
    [NIGHTS, DAYS].into_iter().flat_map(|form| stage.smartabase.events(form)).map(|event| (event.id, event)).collect()
}

/// The ids of the events that differ from `before`, new ones included.
fn changed(stage: &Stage, before: &BTreeMap<i64, Event>) -> Vec<i64> {
    let now = standing(stage);
    assert!(before.keys().all(|id| now.contains_key(id)), "an event is gone");
    now.into_iter().filter(|(id, event)| before.get(id) != Some(event)).map(|(id, _)| id).collect()
}

#[tokio::test]
async fn revised_night_changes_one_event_in_place() {
    let stage = connected(ada_and_ben()).await;
    let before = standing(&stage);
    let sunday = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| {
        night["total_sleep_duration"] = 18_030.into();
        night["average_hrv"] = serde_json::Value::Null;
    });
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(changed(&stage, &before), [sunday.id]);
    let revised = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    assert_eq!((revised.id, revised.updates, sunday.updates), (sunday.id, 1, 0));
    assert_eq!(revised.value("Sleep Time (min)"), Some("300.5"));
    assert!(sunday.value("Average HRV").is_some());
    assert_eq!(revised.value("Average HRV"), None, "what Oura took back is cleared");
    let spent = Spent::since(&stage);
    assert_eq!((spent.imports, spent.lookups), (1, 0), "the ledger knows the event");
    faithful(&stage, ADA, "ada");

    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.imports, spent.lookups, spent.writes), (0, 0, 0));
    curtain(&stage).await;
}

#[tokio::test]
async fn night_that_comes_days_late_gets_its_own_date() {
    let stage = enrolled(ada()).await;
    stage.oura.postpone("ada", date(2026, 3, 1), "2026-03-03T12:00:00Z".parse().unwrap());
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    stage.tick().await.unwrap();
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).is_none());
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).is_some());
    let before = standing(&stage);
    stage.pass(SignedDuration::from_hours(4));
    stage.tick().await.unwrap();
    let night = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).unwrap();
    let day = stage.smartabase.event_on(ADA, DAYS, date(2026, 3, 1)).unwrap();
    assert!(changed(&stage, &before).contains(&night.id) && changed(&stage, &before).contains(&day.id));
    for event in before.values().filter(|event| event.form == NIGHTS) {
        assert_eq!(Some(event), standing(&stage).get(&event.id), "the other nights are as they were");
    }
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn night_removed_at_oura_is_emptied_and_can_come_back() {
    let stage = connected(ada()).await;
    let before = standing(&stage);
    let sunday = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    stage.oura.remove_night("ada", date(2026, 3, 2));
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(changed(&stage, &before), [sunday.id]);
    let emptied = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    assert_eq!((emptied.id, emptied.updates), (sunday.id, 1));
    assert_eq!(emptied.rows.concat(), []);

    let _ = stage.cost();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(Spent::since(&stage).imports, 0, "it is emptied once");

    let night = serde_json::json!({
        "id": "again", "day": "2026-03-02", "type": "long_sleep", "total_sleep_duration": 21_600,
        "bedtime_start": "2026-03-01T23:10:00.000+01:00", "bedtime_end": "2026-03-02T06:10:00.000+01:00",
    });
    stage.oura.put_document("ada", Collection::Sleep, night);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let back = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    assert_eq!((back.id, back.value("Sleep Time (min)")), (sunday.id, Some("360")));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn growing_activity_of_a_day_updates_one_event() {
    let stage = connected(ada()).await;
    let tuesday = date(2026, 3, 3);
    let mut ids = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..26 {
        stage.pass(SignedDuration::from_hours(1));
        stage.tick().await.unwrap();
        let Some(event) = stage.smartabase.event_on(ADA, DAYS, tuesday) else { continue };
        ids.push(event.id);
        steps.push(event.value("Steps").unwrap().parse::<u32>().unwrap());
        faithful(&stage, ADA, "ada");
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one event all day");
    assert!(steps.is_sorted(), "{steps:?}");
    steps.dedup();
    assert!(steps.len() >= 5, "it was seen growing: {steps:?}");
    let settled = stage.smartabase.event_on(ADA, DAYS, tuesday).unwrap();
    assert!(settled.value("Activity Score").is_some(), "the score comes when the day is over");
    curtain(&stage).await;
}

#[tokio::test]
async fn change_of_one_athlete_affects_no_other() {
    let stage = connected(ada_and_ben()).await;
    let bens = stage.smartabase.events_of(BEN, NIGHTS);
    stage.oura.revise_night("ada", date(2026, 3, 1), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.events_of(BEN, NIGHTS), bens);
    assert_eq!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).unwrap().updates, 1);
    curtain(&stage).await;
}
