//! Which days a window of dates contains, how rows are paged, and which fields they have.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sim::oura::{Collection, Kind, Period, SleepWindow};

use crate::browser::{connect, days, get, oura, rows, text};

#[tokio::test]
async fn window_end_is_inclusive_for_scores_only() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let one_day = "start_date=2026-03-05&end_date=2026-03-05";
    let two_days = "start_date=2026-03-05&end_date=2026-03-06";
    for name in ["daily_sleep", "daily_readiness"] {
        assert_eq!(days(&oura, &tokens, &format!("{name}?{one_day}")).await, ["2026-03-05"], "{name}");
        assert_eq!(days(&oura, &tokens, &format!("{name}?{two_days}")).await, ["2026-03-05", "2026-03-06"], "{name}");
    }
    for name in ["daily_activity", "sleep"] {
        assert!(days(&oura, &tokens, &format!("{name}?{one_day}")).await.is_empty(), "{name}");
        assert_eq!(days(&oura, &tokens, &format!("{name}?{two_days}")).await, ["2026-03-05"], "{name}");
    }
    oura.configure(|settings| settings.summaries_include_end = false);
    assert!(days(&oura, &tokens, &format!("daily_sleep?{one_day}")).await.is_empty());
}

#[tokio::test]
async fn date_time_end_includes_its_day() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let window = "start_date=2026-03-05&end_date=2026-03-05T23:59:59";
    assert_eq!(days(&oura, &tokens, &format!("daily_activity?{window}")).await, ["2026-03-05"]);
}

#[tokio::test]
async fn sleep_can_be_selected_by_bedtime() {
    let (oura, _) = oura(|settings| settings.sleep_window = SleepWindow::BedtimeStart).await;
    let tokens = connect(&oura, "ada", "daily").await;
    let day = "2026-03-06".parse().unwrap();
    let begins = "2026-03-05T22:10:00".parse().unwrap();
    oura.put_period("ada", day, Period { kind: Kind::LongSleep, begins, minutes: 450, finished: true });
    for end in ["2026-03-06", "2026-03-07", "2026-03-08"] {
        assert!(days(&oura, &tokens, &format!("sleep?start_date=2026-03-06&end_date={end}")).await.is_empty());
    }
    for end in ["2026-03-06", "2026-03-07"] {
        assert_eq!(days(&oura, &tokens, &format!("sleep?start_date=2026-03-05&end_date={end}")).await, ["2026-03-06"]);
    }
}

#[tokio::test]
async fn window_with_margins_finds_the_day_under_every_rule() {
    for zone in ["Asia/Kathmandu", "Pacific/Tongatapu", "Pacific/Marquesas", "Europe/Berlin"] {
        for rule in [SleepWindow::Day, SleepWindow::BedtimeStart, SleepWindow::BedtimeStartUtc] {
            let (oura, _) = oura(|settings| settings.sleep_window = rule).await;
            oura.change_person("bea", |bea| bea.zone = jiff::tz::TimeZone::get(zone).unwrap());
            let tokens = connect(&oura, "bea", "daily").await;
            let found = days(&oura, &tokens, "sleep?start_date=2026-03-04&end_date=2026-03-06").await;
            assert!(found.contains(&"2026-03-05".to_owned()), "{zone} {rule:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn query_without_dates_is_yesterday_to_today() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    assert_eq!(days(&oura, &tokens, "daily_sleep").await, ["2026-03-09", "2026-03-10"]);
    assert_eq!(days(&oura, &tokens, "daily_activity").await, ["2026-03-09"]);
}

#[tokio::test]
async fn invalid_dates_are_refused() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let unreadable = get(&oura, &tokens, "sleep?start_date=05/03/2026").await;
    assert_eq!(unreadable.status(), 422);
    let body: Value = unreadable.json().await.unwrap();
    assert_eq!(body["detail"][0]["loc"], json!(["query", "start_date"]));
    assert_eq!(get(&oura, &tokens, "sleep?start_date=2026-03-05&end_date=2026-03-01").await.status(), 400);
}

#[tokio::test]
async fn paging_works_with_and_without_repeated_dates() {
    let (oura, _) = oura(|settings| settings.page_size = 4).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let window = "start_date=2026-02-20&end_date=2026-03-01";
    for repeat in ["", window] {
        let mut seen = BTreeSet::new();
        let mut pages = 0;
        let mut rest = format!("daily_sleep?{window}");
        loop {
            let page: Value = get(&oura, &tokens, &rest).await.json().await.unwrap();
            pages += 1;
            for row in page["data"].as_array().unwrap() {
                assert!(seen.insert(text(row, "day").to_owned()), "no row twice");
            }
            let Some(next) = page["next_token"].as_str() else { break };
            rest = format!("daily_sleep?next_token={next}&{repeat}");
        }
        assert_eq!((pages, seen.len()), (3, 10));
    }
    assert_eq!(get(&oura, &tokens, "daily_sleep?next_token=nonsense").await.status(), 400);
}

#[tokio::test]
async fn rows_are_not_ordered_by_day() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    for day in 1..=9 {
        let day = format!("2026-03-0{day}");
        oura.put_document("ada", Collection::DailySleep, json!({"id": day, "day": day}));
    }
    let rows = rows(&oura, &tokens, "daily_sleep?start_date=2026-03-01&end_date=2026-03-09").await;
    let unsorted: Vec<&str> = rows.iter().map(|row| text(row, "day")).collect();
    assert!(!unsorted.is_sorted() && !unsorted.iter().rev().is_sorted());
}

#[tokio::test]
async fn fields_parameter_selects_as_measured() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let names = |row: &Value| -> Vec<String> { row.as_object().unwrap().keys().cloned().collect() };
    let window = "start_date=2026-03-05&end_date=2026-03-06";

    let sleep = rows(&oura, &tokens, &format!("sleep?{window}&fields=average_hrv,made_up")).await;
    assert_eq!(names(&sleep[0]), ["average_hrv", "bedtime_start", "id"], "neither day nor what is unknown");
    let daily = rows(&oura, &tokens, &format!("daily_sleep?{window}&fields=score,day")).await;
    assert_eq!(names(&daily[0]), ["day", "id", "score", "timestamp"]);
    let whole = rows(&oura, &tokens, &format!("daily_sleep?{window}&fields=made_up")).await;
    assert_eq!(names(&whole[0]), ["contributors", "day", "id", "score", "timestamp"]);
}

#[tokio::test]
async fn single_document_has_no_wrapper() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    let night = oura.night("bea", "2026-03-05".parse().unwrap()).unwrap();
    let found: Value = get(&oura, &tokens, &format!("sleep/{}", text(&night, "id"))).await.json().await.unwrap();
    assert_eq!(found, night);
    assert_eq!(get(&oura, &tokens, "sleep/unknown").await.status(), 404);
    assert_eq!(oura.documents("bea", Collection::Sleep).iter().filter(|other| **other == night).count(), 1);
}
