//! From the personal link to the first records.

use e2e::{
    ADA, BEN, DAYS, NIGHTS, Spent, ada, ada_and_ben, connected, connection, curtain, enrolled, gives_nothing_away,
    told_truly,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Cast;
use store::Status;

#[tokio::test]
async fn link_and_consent_make_a_connection() {
    let stage = enrolled(ada()).await;
    let link = stage.link(ADA).unwrap();
    let page = stage.browser.get(&link).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("Ada Sample") && page.contains("Continue to Oura") && !page.contains("Disconnect"), "{page}");
    assert!(connection(&stage, "uuid-ada").await.is_none());

    let visit = stage.connect(ADA, "ada").await.unwrap();
    assert_eq!(visit.status, 200, "{}", visit.page);
    assert!(visit.page.contains("Your Oura ring is connected"), "{}", visit.page);
    gives_nothing_away(&stage, &visit.page);
    let connection = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!(connection.status, Status::Active);
    assert_eq!(connection.oura_user.as_deref(), Some("ada"));
    assert_eq!(connection.scopes, "daily");

    stage.settle().await;
    let page = stage.browser.get(&link).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Connect again") && page.contains("Disconnect"), "{page}");
    assert!(page.contains("Monday night, 2 March"), "the last night received: {page}");
    curtain(&stage).await;
}

#[tokio::test]
async fn monday_nights_sleep_is_recorded_on_monday() {
    let stage = connected(ada()).await;
    let (monday, tuesday) = (date(2026, 3, 2), date(2026, 3, 3));
    let night = stage.oura.night("ada", tuesday).unwrap();
    assert!(night["bedtime_start"].as_str().unwrap().starts_with("2026-03-02T2"), "it began on Monday evening");
    let event = stage.smartabase.event_on(ADA, NIGHTS, monday).unwrap();
    let minutes = night["total_sleep_duration"].as_f64().unwrap() / 60.0;
    assert_eq!(event.value("Sleep Time (min)"), Some(minutes.to_string().as_str()));
    assert_eq!(event.finish_date, monday);
    assert!(stage.smartabase.event_on(ADA, NIGHTS, tuesday).is_none());
    assert!(stage.smartabase.event_on(ADA, DAYS, monday).is_some());
    curtain(&stage).await;
}

#[tokio::test]
async fn thirty_days_of_history_are_delivered() {
    let stage = enrolled(ada_and_ben()).await;
    for (user, person) in [(ADA, "ada"), (BEN, "ben")] {
        stage.connect(user, person).await.unwrap();
    }
    let _ = stage.cost();
    stage.settle().await;
    // Thirty days back from tomorrow, the last day that can have data.
    let (oldest, newest) = (date(2026, 2, 2), date(2026, 3, 4));
    for (user, person) in [(ADA, "ada"), (BEN, "ben")] {
        told_truly(&stage, user, person, oldest, newest);
        let oldest_night = stage.smartabase.events_of(user, NIGHTS).first().unwrap().start_date;
        let oldest_day = stage.smartabase.events_of(user, DAYS).first().unwrap().start_date;
        assert_eq!((oldest_night, oldest_day), (date(2026, 2, 1), oldest));
        let connection = connection(&stage, &format!("uuid-{person}")).await.unwrap();
        assert_eq!(connection.backfill_from, None, "the history is no longer owed");
    }
    // One look-up and two batches of at most 25 events, for each athlete and form.
    let spent = Spent::since(&stage);
    assert_eq!((spent.imports, spent.lookups), (8, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn long_history_is_delivered_in_chunks() {
    let stage = enrolled(Cast { variables: vec![("BACKFILL_DAYS", "61".to_owned())], ..ada() }).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    told_truly(&stage, ADA, "ada", date(2026, 1, 2), date(2026, 3, 4));
    assert_eq!(stage.smartabase.events_of(ADA, NIGHTS).first().unwrap().start_date, date(2026, 1, 1));
    curtain(&stage).await;
}

#[tokio::test]
async fn without_backfill_the_first_tick_delivers_the_last_week() {
    let stage = enrolled(Cast { variables: vec![("BACKFILL_DAYS", "0".to_owned())], ..ada() }).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    assert_eq!(stage.smartabase.events(NIGHTS), []);
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.events_of(ADA, NIGHTS).first().unwrap().start_date, date(2026, 2, 23));
    told_truly(&stage, ADA, "ada", date(2026, 2, 24), date(2026, 3, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn history_of_a_lost_job_is_delivered_by_the_next_tick() {
    let stage = enrolled(ada()).await;
    stage.connect(ADA, "ada").await.unwrap();
    let lost = stage.process.waiting.receive(10);
    assert_eq!(lost.len(), 1);
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().backfill_from, None);
    curtain(&stage).await;
}
