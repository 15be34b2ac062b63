use jiff::ToSpan;
use jiff::civil::{Date, date};
use local::Stage;
use serde_json::Value;
use sim::oura::Collection;
use sim::smartabase::Event;

use crate::{DAYS, NIGHTS};

/// Asserts that the forms equal what Oura shows now, for Oura's days `from..=to`. The night of day D must be under D-1,
/// and the activity of day D under D. Each date has at most one event, and no event without documents.
pub fn told_truly(stage: &Stage, user: i64, person: &str, from: Date, to: Date) {
    let (nights, days) = (stage.smartabase.events_of(user, NIGHTS), stage.smartabase.events_of(user, DAYS));
    for day in from.series(1.day()).take_while(|day| *day <= to) {
        let night = stage.oura.night(person, day).unwrap_or_default();
        let of = |collection| stage.oura.documents_of(person, collection, day).pop().unwrap_or_default();
        let (sleep, readiness, activity) =
            (of(Collection::DailySleep), of(Collection::DailyReadiness), of(Collection::DailyActivity));
        let evening = day.yesterday().expect("no story begins with the calendar");
        says(
            &nights,
            evening,
            &[
                ("Sleep Score", number(&sleep["score"])),
                ("Score Timing", number(&sleep["contributors"]["timing"])),
                ("Readiness Score", number(&readiness["score"])),
                ("Score HRV Balance", number(&readiness["contributors"]["hrv_balance"])),
                ("Temperature Deviation", number(&readiness["temperature_deviation"])),
                ("Sleep Time (min)", minutes(&night["total_sleep_duration"])),
                ("Deep Sleep (min)", minutes(&night["deep_sleep_duration"])),
                ("Bedtime Start", time_of_day(&night["bedtime_start"])),
                ("Bedtime End", time_of_day(&night["bedtime_end"])),
                ("Average HRV", number(&night["average_hrv"])),
                ("Lowest Heart Rate", number(&night["lowest_heart_rate"])),
            ],
        );
        says(
            &days,
            day,
            &[
                ("Activity Score", number(&activity["score"])),
                ("Score Training Volume", number(&activity["contributors"]["training_volume"])),
                ("Steps", number(&activity["steps"])),
                ("Total Calories", number(&activity["total_calories"])),
                ("Sedentary Time (min)", minutes(&activity["sedentary_time"])),
                ("Equivalent Walking Distance (m)", number(&activity["equivalent_walking_distance"])),
            ],
        );
    }
}

/// Like [`told_truly`], for the seven days that every tick fetches, and tomorrow.
pub fn faithful(stage: &Stage, user: i64, person: &str) {
    let today = stage.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let first = today.saturating_sub(7.days()).max(date(2026, 1, 2));
    told_truly(stage, user, person, first, today.saturating_add(1.day()));
}

fn says(events: &[Event], date: Date, expected: &[(&str, Option<String>)]) {
    let standing: Vec<_> = events.iter().filter(|event| event.start_date == date).collect();
    assert!(standing.len() < 2, "several events on {date}: {standing:?}");
    for (field, expected) in expected {
        let found = standing.first().and_then(|event| event.value(field));
        assert_eq!(found, expected.as_deref(), "{field:?} on {date} in {:?}", standing.first());
    }
}

/// A number as Oura writes it. The simulator writes at most two decimals.
pub(crate) fn number(value: &Value) -> Option<String> {
    value.as_f64().map(|number| number.to_string())
}

/// Seconds as minutes, with one decimal.
pub(crate) fn minutes(seconds: &Value) -> Option<String> {
    let tenths = seconds.as_f64().map(|seconds| format!("{:.1}", seconds / 60.0));
    tenths.map(|minutes| minutes.strip_suffix(".0").map(str::to_owned).unwrap_or(minutes))
}

/// The hours and minutes of a local date-time: what the athlete's clock showed.
pub(crate) fn time_of_day(stamp: &Value) -> Option<String> {
    stamp.as_str().and_then(|stamp| stamp.get(11..16)).map(str::to_owned)
}
