//! What the forms should hold, computed from what Oura shows and without the connector's own forms.

use jiff::civil::Date;
use sim::oura::{Collection, Oura};

use crate::NIGHTS;
use crate::faithful::{minutes, number, time_of_day};

/// The fields that are checked, with their expected values.
pub(crate) type Told = Vec<(&'static str, Option<String>)>;

/// What the record of a form for a date should hold now.
pub(crate) fn told(oura: &Oura, person: &str, form: &str, date: Date) -> Told {
    let of = |collection, day| oura.documents_of(person, collection, day).pop().unwrap_or_default();
    if form == NIGHTS {
        // The night of day D is under the evening before.
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
