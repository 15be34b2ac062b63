//! What the forms should say: computed from what Oura shows, without the connector's own forms.

use jiff::civil::Date;
use serde_json::Value;
use sim::oura::{Collection, Oura};

use crate::NIGHTS;

/// The fields that are looked at, and what they should hold.
pub(crate) type Told = Vec<(&'static str, Option<String>)>;

/// What the record of a form under a date should say now.
pub(crate) fn told(oura: &Oura, person: &str, form: &str, date: Date) -> Told {
    let of = |collection, day| oura.documents_of(person, collection, day).pop().unwrap_or_default();
    if form == NIGHTS {
        // The night of day D stands under the evening before.
        let Ok(day) = date.tomorrow() else { return Told::new() };
        let (sleep, readiness) = (of(Collection::DailySleep, day), of(Collection::DailyReadiness, day));
        let night = oura.night(person, day).unwrap_or_default();
        vec![
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
        ]
    } else {
        let activity = of(Collection::DailyActivity, date);
        vec![
            ("Activity Score", number(&activity["score"])),
            ("Score Training Volume", number(&activity["contributors"]["training_volume"])),
            ("Steps", number(&activity["steps"])),
            ("Total Calories", number(&activity["total_calories"])),
            ("Sedentary Time (min)", minutes(&activity["sedentary_time"])),
            ("Equivalent Walking Distance (m)", number(&activity["equivalent_walking_distance"])),
        ]
    }
}

/// Oura's own digits, as far as the simulator writes them: at most two decimals.
fn number(value: &Value) -> Option<String> {
    value.as_f64().map(|number| number.to_string())
}

/// Whole seconds as minutes, to a tenth.
fn minutes(seconds: &Value) -> Option<String> {
    let tenths = seconds.as_f64().map(|seconds| format!("{:.1}", seconds / 60.0));
    tenths.map(|minutes| minutes.strip_suffix(".0").map(str::to_owned).unwrap_or(minutes))
}

/// The hours and minutes of a local date-time: what the athlete's own clock showed.
fn time_of_day(stamp: &Value) -> Option<String> {
    stamp.as_str().and_then(|stamp| stamp.get(11..16)).map(str::to_owned)
}
