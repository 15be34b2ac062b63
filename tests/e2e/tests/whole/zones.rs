//! Dates and times of day are in the athlete's own time zone, whatever the site's.

use e2e::{ADA, NIGHTS, ada, connected, curtain, faithful, living, told_truly};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use sim::oura::{Life, SleepWindow};

/// Ada in `zone` at `now`, on a site in the zone `site`.
async fn there(zone: &str, now: &str, site: &str) -> Stage {
    let life = Life::Regular { since: date(2026, 1, 1) };
    connected(Cast {
        now: now.parse().unwrap(),
        people: vec![living("ada", zone, life)],
        variables: vec![("TIME_ZONE", site.to_owned())],
        ..ada()
    })
    .await
}

#[tokio::test]
async fn unusual_utc_offsets_keep_their_dates() {
    // Kathmandu +05:45, Tongatapu +13:00, Marquesas -09:30; local time is eleven on Tuesday morning, 3 March.
    let places = [
        ("Asia/Kathmandu", "2026-03-03T05:15:00Z"),
        ("Pacific/Tongatapu", "2026-03-02T22:00:00Z"),
        ("Pacific/Marquesas", "2026-03-03T20:30:00Z"),
    ];
    for (zone, now) in places {
        let stage = there(zone, now, "UTC").await;
        let night = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 2));
        assert!(night.is_some(), "Monday night in {zone} stands under Monday");
        told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
        stage.pass(SignedDuration::from_hours(24));
        stage.tick().await.unwrap();
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn records_do_not_depend_on_how_oura_reads_window_dates() {
    let mut cast = ada();
    cast.people = vec![living("ada", "Pacific/Auckland", Life::Regular { since: date(2026, 1, 1) })];
    cast.oura.page_size = 4;
    let stage = connected(cast).await;
    for sleep_window in [SleepWindow::Day, SleepWindow::BedtimeStart, SleepWindow::BedtimeStartUtc] {
        for summaries_include_end in [true, false] {
            stage.oura.configure(|settings| {
                settings.sleep_window = sleep_window;
                settings.summaries_include_end = summaries_include_end;
            });
            stage.pass(SignedDuration::from_hours(24));
            stage.tick().await.unwrap();
            faithful(&stage, ADA, "ada");
        }
    }
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 9));
    curtain(&stage).await;
}

#[tokio::test]
async fn night_of_an_athlete_east_of_the_site_is_delivered_at_once() {
    // Half past nine on Tuesday morning in Auckland is Monday noon in Los Angeles.
    let stage = there("Pacific/Auckland", "2026-03-02T20:30:00Z", "America/Los_Angeles").await;
    let night = stage.oura.night("ada", date(2026, 3, 3)).unwrap();
    let event = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 2)).unwrap();
    assert_eq!(event.value("Bedtime Start"), night["bedtime_start"].as_str().unwrap().get(11..16));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn athlete_west_of_the_site_loses_no_day() {
    let stage = there("Pacific/Marquesas", "2026-03-03T20:30:00Z", "Pacific/Auckland").await;
    for _ in 0..8 {
        stage.pass(SignedDuration::from_hours(6));
        stage.tick().await.unwrap();
        faithful(&stage, ADA, "ada");
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn clock_change_neither_doubles_nor_drops_a_night() {
    // The mornings of the clock changes: forward in Berlin and in New York, back in Berlin.
    let mornings = [
        ("Europe/Berlin", "2026-03-29T09:30:00Z", date(2026, 3, 29)),
        ("America/New_York", "2026-03-08T15:30:00Z", date(2026, 3, 8)),
        ("Europe/Berlin", "2026-10-25T09:30:00Z", date(2026, 10, 25)),
    ];
    for (zone, now, day) in mornings {
        let stage = there(zone, now, zone).await;
        assert!(stage.smartabase.event_on(ADA, NIGHTS, day.yesterday().unwrap()).is_some(), "{zone} on {day}");
        told_truly(&stage, ADA, "ada", day.yesterday().unwrap(), day);
        stage.pass(SignedDuration::from_hours(24));
        stage.tick().await.unwrap();
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn night_over_new_year_is_delivered() {
    let stage = there("Europe/Berlin", "2027-01-01T09:00:00Z", "Europe/Berlin").await;
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 12, 31)).is_some());
    told_truly(&stage, ADA, "ada", date(2026, 12, 4), date(2027, 1, 1));
    stage.pass(SignedDuration::from_hours(24));
    stage.tick().await.unwrap();
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2027, 1, 1)).is_some());
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
