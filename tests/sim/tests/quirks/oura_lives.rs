//! Lives: plausible, repeatable, and with every unusual event.

use std::collections::BTreeSet;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::Value;
use sim::Clock;
use sim::oura::{Collection, Config, Life, Oura, Person};

use crate::browser::{noon, oura, text};

async fn living(seed: u64, zone: &str, life: Life, clock: Clock) -> Oura {
    let people = vec![Person::new("zoe", "Zoe Sample", zone).living(life)];
    Oura::start(Config { clock, seed, people, ..Config::default() }).await.unwrap()
}

fn everything(oura: &Oura) -> Vec<Value> {
    Collection::ALL.into_iter().flat_map(|collection| oura.documents("zoe", collection)).collect()
}

fn number(document: &Value, field: &str) -> i64 {
    let value = &document[field];
    assert!(value.is_i64(), "{field} of {document}");
    value.as_i64().unwrap()
}

#[tokio::test]
async fn same_seed_gives_the_same_life() {
    let life = Life::Varied { since: date(2026, 2, 1) };
    let one = living(3, "Europe/Berlin", life, noon("2026-03-10")).await;
    let same = living(3, "Europe/Berlin", life, noon("2026-03-10")).await;
    let other = living(4, "Europe/Berlin", life, noon("2026-03-10")).await;
    assert_eq!(everything(&one), everything(&same));
    assert_ne!(everything(&one), everything(&other));
}

#[tokio::test]
async fn regular_life_has_one_document_per_collection_and_day() {
    let (oura, _) = oura(|_| {}).await;
    let mut day = date(2026, 1, 1);
    while day < date(2026, 3, 10) {
        for collection in Collection::ALL {
            assert_eq!(oura.documents_of("bea", collection, day).len(), 1, "{collection:?} of {day}");
        }
        day = day.tomorrow().unwrap();
    }
}

#[tokio::test]
async fn durations_of_a_night_are_consistent() {
    let life = Life::Varied { since: date(2025, 10, 1) };
    let oura = living(5, "Asia/Kathmandu", life, noon("2026-03-10")).await;
    for sleep in oura.documents("zoe", Collection::Sleep) {
        let asleep = number(&sleep, "total_sleep_duration");
        let stages: i64 = ["deep_sleep_duration", "light_sleep_duration", "rem_sleep_duration"]
            .into_iter()
            .map(|stage| number(&sleep, stage))
            .sum();
        assert_eq!(asleep, stages, "{sleep}");
        assert_eq!(number(&sleep, "time_in_bed"), asleep + number(&sleep, "awake_time"), "{sleep}");
        assert!(text(&sleep, "bedtime_start").ends_with(".000+05:45"));
        if let Some(ends) = sleep["bedtime_end"].as_str() {
            let [begins, ends] = [text(&sleep, "bedtime_start"), ends].map(|stamp| stamp.parse::<Timestamp>().unwrap());
            assert_eq!(begins + SignedDuration::from_secs(number(&sleep, "time_in_bed")), ends);
        }
    }
}

#[tokio::test]
async fn night_is_dated_by_its_end_in_every_zone() {
    // Zones with extreme offsets, and nights over both changes of clock and over the end of the year.
    for zone in ["Asia/Kathmandu", "Pacific/Tongatapu", "Pacific/Marquesas", "Europe/Berlin", "America/New_York"] {
        let life = Life::Regular { since: date(2025, 10, 20) };
        let oura = living(6, zone, life, noon("2026-04-10")).await;
        let nights = oura.documents("zoe", Collection::Sleep);
        assert!(nights.len() > 165);
        for night in nights {
            let ends: Timestamp = text(&night, "bedtime_end").parse().unwrap();
            let woke = ends.to_zoned(TimeZone::get(zone).unwrap());
            assert_eq!(woke.date().to_string(), text(&night, "day"), "{zone}");
            let offset = text(&night, "bedtime_end")[23..].to_owned();
            assert_eq!(offset, woke.strftime("%:z").to_string(), "{zone}");
        }
    }
}

#[tokio::test]
async fn night_over_a_change_of_clocks_has_two_offsets() {
    let life = Life::Regular { since: date(2026, 3, 20) };
    let oura = living(6, "Europe/Berlin", life, noon("2026-04-10")).await;
    let night = oura.night("zoe", date(2026, 3, 29)).unwrap();
    assert!(text(&night, "bedtime_start").ends_with("+01:00"));
    assert!(text(&night, "bedtime_end").ends_with("+02:00"));
}

#[tokio::test]
async fn varied_life_contains_every_unusual_event() {
    let since = date(2025, 3, 1);
    let clock = noon("2026-03-10");
    let oura = living(8, "Europe/Berlin", Life::Varied { since }, clock.clone()).await;
    let sleeps = oura.documents("zoe", Collection::Sleep);
    let kinds: BTreeSet<&str> = sleeps.iter().map(|sleep| text(sleep, "type")).collect();
    assert_eq!(kinds, BTreeSet::from(["deleted", "late_nap", "long_sleep", "rest", "sleep"]));

    let long = |day: Date| {
        let of_day = sleeps.iter().filter(|sleep| sleep["day"] == day.to_string().as_str());
        of_day.filter(|sleep| sleep["type"] == "long_sleep").count()
    };
    let days: Vec<Date> = since.series(1.day()).take(370).collect();
    assert!(days.iter().any(|day| long(*day) == 0), "a night without a ring");
    assert!(days.iter().any(|day| long(*day) == 2), "two long sleeps on one day");
    assert!(sleeps.iter().any(|sleep| sleep["average_hrv"].is_null()), "missing values");
    assert!(sleeps.iter().any(|sleep| sleep.get("restless_periods").is_none()), "missing fields");
    assert!(sleeps.iter().any(|sleep| sleep["sleep_analysis_reason"] == "bedtime_edit"), "a revised night");
    let scores = oura.documents("zoe", Collection::DailySleep);
    assert!(scores.iter().any(|daily| daily["score"].is_null()), "a day without a score");
    for nap in sleeps.iter().filter(|sleep| sleep["type"] == "late_nap") {
        let ended: jiff::civil::DateTime = text(nap, "bedtime_end").parse().unwrap();
        assert!(ended.hour() >= 18);
        assert_eq!(ended.date().tomorrow().unwrap().to_string(), text(nap, "day"), "counts for the next day");
    }
}

#[tokio::test]
async fn varied_life_has_nights_in_progress_and_late_syncs() {
    let clock = noon("2026-02-01");
    let oura = living(8, "Europe/Berlin", Life::Varied { since: date(2026, 1, 1) }, clock.clone()).await;
    let mut in_progress = 0;
    let mut late = 0;
    let mut known: BTreeSet<String> = BTreeSet::new();
    for _ in 0..(40 * 24) {
        clock.advance(SignedDuration::from_hours(1));
        let today = clock.now().to_zoned(TimeZone::get("Europe/Berlin").unwrap()).date();
        let recent = today.saturating_sub(4.days()).series(1.day()).take(6);
        for (day, sleep) in recent
            .flat_map(|day| oura.documents_of("zoe", Collection::Sleep, day).into_iter().map(move |sleep| (day, sleep)))
        {
            in_progress += usize::from(sleep["bedtime_end"].is_null());
            let is_new = known.insert(text(&sleep, "id").to_owned());
            late += usize::from(is_new && sleep["type"] == "long_sleep" && day >= date(2026, 2, 2) && day < today);
        }
    }
    assert!(in_progress > 0, "sleep in progress was seen");
    assert!(late > 0, "a night synced on a later day was seen");
}

#[tokio::test]
async fn activity_grows_and_is_scored_when_the_day_is_over() {
    let clock = Clock::at("2026-03-10T03:00:00Z".parse().unwrap());
    let oura = living(9, "Europe/Berlin", Life::Regular { since: date(2026, 3, 1) }, clock.clone()).await;
    let today = date(2026, 3, 10);
    assert!(oura.documents_of("zoe", Collection::DailyActivity, today).is_empty(), "nothing was synced yet");
    let mut ids = BTreeSet::new();
    let mut steps = Vec::new();
    for _ in 0..34 {
        clock.advance(SignedDuration::from_hours(1));
        for activity in oura.documents_of("zoe", Collection::DailyActivity, today) {
            ids.insert(text(&activity, "id").to_owned());
            let open = clock.now() < "2026-03-11T03:00:00Z".parse().unwrap();
            assert!(!(open && activity["score"].is_number()), "no score while the day is open");
            steps.push(number(&activity, "steps"));
        }
    }
    assert_eq!(ids.len(), 1, "one document all day");
    assert!(steps.is_sorted(), "{steps:?}");
    steps.dedup();
    assert_eq!(steps.len(), 6, "five syncs and the final one");
    let last = oura.documents_of("zoe", Collection::DailyActivity, today).remove(0);
    assert!(last["score"].is_number());
    assert_eq!(last["met"]["interval"], 60.0);
    assert!(text(&last, "timestamp").starts_with("2026-03-10T04:00:00"));
}

#[tokio::test]
async fn night_appears_in_the_morning_and_readiness_last() {
    let clock = Clock::at("2026-03-10T02:00:00Z".parse().unwrap());
    let oura = living(9, "Europe/Berlin", Life::Regular { since: date(2026, 3, 1) }, clock.clone()).await;
    let today = date(2026, 3, 10);
    let seen = |collection| oura.documents_of("zoe", collection, today).len();
    assert_eq!(seen(Collection::Sleep), 0);
    while seen(Collection::Sleep) == 0 {
        clock.advance(SignedDuration::from_mins(1));
    }
    assert_eq!((seen(Collection::DailySleep), seen(Collection::DailyReadiness)), (1, 0));
    clock.advance(SignedDuration::from_mins(5));
    assert_eq!(seen(Collection::DailyReadiness), 1);
}
