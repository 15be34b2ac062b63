//! Documents that a test puts into Oura are served unchanged.

use jiff::SignedDuration;
use jiff::civil::date;
use serde_json::{Value, json};
use sim::oura::{Collection, Kind, Period};

use crate::browser::{connect, get, oura, rows, text};

const WINDOW: &str = "start_date=2026-03-01&end_date=2026-03-12";

#[tokio::test]
async fn put_document_is_served_unchanged() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    let document = json!({"id": "x", "day": "2026-03-05", "timestamp": 4, "score": "high", "new_field": [1]});
    oura.put_document("ada", Collection::DailySleep, document.clone());
    assert_eq!(rows(&oura, &tokens, &format!("daily_sleep?{WINDOW}")).await, [document]);
    oura.remove_document("ada", Collection::DailySleep, "x");
    assert!(rows(&oura, &tokens, &format!("daily_sleep?{WINDOW}")).await.is_empty());
}

#[tokio::test]
async fn document_without_a_readable_day_is_in_every_window() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    oura.put_document("ada", Collection::Sleep, json!({"id": "x", "day": 5}));
    assert_eq!(rows(&oura, &tokens, "sleep?start_date=2020-01-01&end_date=2020-01-02").await.len(), 1);
}

#[tokio::test]
async fn raw_text_makes_its_page_invalid_json() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    oura.put_raw("ada", Collection::Sleep, "x", r#"{"id":"x","day""#);
    let body = get(&oura, &tokens, &format!("sleep?{WINDOW}")).await.text().await.unwrap();
    assert_eq!(body, r#"{"data":[{"id":"x","day"],"next_token":null}"#);
}

#[tokio::test]
async fn late_document_appears_at_its_instant() {
    let (oura, clock) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    let later = clock.now() + SignedDuration::from_hours(3);
    oura.put_document_at("ada", Collection::DailySleep, json!({"id": "x", "day": "2026-03-05"}), later);
    assert!(rows(&oura, &tokens, &format!("daily_sleep?{WINDOW}")).await.is_empty());
    clock.set(later);
    assert_eq!(rows(&oura, &tokens, &format!("daily_sleep?{WINDOW}")).await.len(), 1);
}

#[tokio::test]
async fn revised_night_keeps_its_id() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let day = date(2026, 3, 5);
    let before = oura.night("bea", day).unwrap();
    oura.revise_night("bea", day, |night| night["total_sleep_duration"] = json!(12_345));
    let rows = rows(&oura, &tokens, "sleep?start_date=2026-03-05&end_date=2026-03-06").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["id"], &rows[0]["total_sleep_duration"]), (&before["id"], &json!(12_345)));
}

#[tokio::test]
async fn removing_a_night_removes_its_scores_but_not_the_activity() {
    let (oura, _) = oura(|_| {}).await;
    let day = date(2026, 3, 5);
    oura.remove_night("bea", day);
    for collection in [Collection::Sleep, Collection::DailySleep, Collection::DailyReadiness] {
        assert!(oura.documents_of("bea", collection, day).is_empty());
    }
    assert_eq!(oura.documents_of("bea", Collection::DailyActivity, day).len(), 1);
}

#[tokio::test]
async fn postponed_day_appears_complete() {
    let (oura, clock) = oura(|_| {}).await;
    let day = date(2026, 3, 5);
    let later = clock.now() + SignedDuration::from_hours(30);
    oura.postpone("bea", day, later);
    assert!(Collection::ALL.iter().all(|collection| oura.documents_of("bea", *collection, day).is_empty()));
    clock.set(later);
    assert!(Collection::ALL.iter().all(|collection| oura.documents_of("bea", *collection, day).len() == 1));
}

#[tokio::test]
async fn put_period_accepts_every_kind() {
    let (oura, _) = oura(|_| {}).await;
    let day = date(2026, 3, 6);
    let begins = date(2026, 3, 5).at(22, 30, 0, 0);
    let kinds = [
        (Kind::LongSleep, "long_sleep"),
        (Kind::Nap, "sleep"),
        (Kind::LateNap, "late_nap"),
        (Kind::Rest, "rest"),
        (Kind::Deleted, "deleted"),
    ];
    for (kind, name) in kinds {
        let id = oura.put_period("ada", day, Period { kind, begins, minutes: 100, finished: true });
        let period = oura.documents_of("ada", Collection::Sleep, day).into_iter().find(|one| one["id"] == id.as_str());
        assert_eq!(period.unwrap()["type"], name);
    }
    oura.put_period("ada", day, Period { kind: Kind::LongSleep, begins, minutes: 300, finished: false });
    let open = oura.documents_of("ada", Collection::Sleep, day);
    assert_eq!(open.iter().filter(|period| period["bedtime_end"] == Value::Null).count(), 1);
    assert_eq!(oura.night("ada", day).unwrap()["time_in_bed"], 6000, "one in progress is no night");
}

#[tokio::test]
async fn blank_person_can_get_a_single_regular_day() {
    let (oura, _) = oura(|_| {}).await;
    let day = date(2026, 3, 5);
    oura.live_regular_day("ada", day);
    assert_eq!(text(&oura.night("ada", day).unwrap(), "day"), "2026-03-05");
    assert_eq!(oura.documents("ada", Collection::DailyActivity).len(), 1);
}
