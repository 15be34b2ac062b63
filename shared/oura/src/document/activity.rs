//! `daily_activity`: a person's activity on one day.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::Quantity::{Count, Kilocalories, MetMinutes, Metres, Score, Seconds};
use super::{Document, Field, LocalTime, lenient_time, non_empty, null_as_default, number, show};

/// The activity of a day. The day runs from 04:00 to 04:00, and its values are provisional until some time after its
/// end.
#[derive(Clone, PartialEq, Deserialize)]
pub struct DailyActivity {
    /// Oura's opaque id.
    #[serde(deserialize_with = "non_empty")]
    pub id: String,
    /// The day on which the period began, at 04:00.
    pub day: Date,
    /// The document's timestamp, `None` if it is missing or unreadable.
    #[serde(default, deserialize_with = "lenient_time")]
    pub timestamp: Option<LocalTime>,
    /// Activity score, 1 to 100.
    pub score: Option<f64>,
    /// Energy spent through activity, kcal.
    pub active_calories: Option<f64>,
    /// Total energy spent, kcal.
    pub total_calories: Option<f64>,
    /// The day's target for energy spent through activity, kcal.
    pub target_calories: Option<f64>,
    /// Steps taken.
    pub steps: Option<f64>,
    /// The energy spent, expressed as a walking distance, in metres.
    pub equivalent_walking_distance: Option<f64>,
    /// The day's target distance, in metres.
    pub target_meters: Option<f64>,
    /// Metres missing to the target.
    pub meters_to_target: Option<f64>,
    /// Time at high intensity, s.
    pub high_activity_time: Option<f64>,
    /// Time at medium intensity, s.
    pub medium_activity_time: Option<f64>,
    /// Time at low intensity, s.
    pub low_activity_time: Option<f64>,
    /// Time sitting or standing still, s.
    pub sedentary_time: Option<f64>,
    /// Time at rest, s.
    pub resting_time: Option<f64>,
    /// Time without the ring, s.
    pub non_wear_time: Option<f64>,
    /// Effort at high intensity, MET minutes.
    pub high_activity_met_minutes: Option<f64>,
    /// Effort at medium intensity, MET minutes.
    pub medium_activity_met_minutes: Option<f64>,
    /// Effort at low intensity, MET minutes.
    pub low_activity_met_minutes: Option<f64>,
    /// Effort while sedentary, MET minutes.
    pub sedentary_met_minutes: Option<f64>,
    /// Average effort, MET minutes.
    pub average_met_minutes: Option<f64>,
    /// The number of alerts that asked the person to move.
    pub inactivity_alerts: Option<f64>,
    /// The contributors of the score.
    #[serde(default, deserialize_with = "null_as_default")]
    pub contributors: ActivityContributors,
}

/// The contributors of an activity score, each 1 to 100.
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct ActivityContributors {
    /// Daily targets that were met in the last 7 days.
    pub meet_daily_targets: Option<f64>,
    /// Freedom from inactivity alerts in the last 24 hours.
    pub move_every_hour: Option<f64>,
    /// Recovery time in the last 7 days.
    pub recovery_time: Option<f64>,
    /// Activity in the last 24 hours.
    pub stay_active: Option<f64>,
    /// How often the person trained in the last 7 days.
    pub training_frequency: Option<f64>,
    /// How much the person trained in the last 7 days.
    pub training_volume: Option<f64>,
}

impl Document for DailyActivity {
    const COLLECTION: &'static str = "daily_activity";

    const FIELDS: &'static [Field<Self>] = &[
        Field::new("score", Score, |day| number(day.score)),
        Field::new("active_calories", Kilocalories, |day| number(day.active_calories)),
        Field::new("total_calories", Kilocalories, |day| number(day.total_calories)),
        Field::new("target_calories", Kilocalories, |day| number(day.target_calories)),
        Field::new("steps", Count, |day| number(day.steps)),
        Field::new("equivalent_walking_distance", Metres, |day| number(day.equivalent_walking_distance)),
        Field::new("target_meters", Metres, |day| number(day.target_meters)),
        Field::new("meters_to_target", Metres, |day| number(day.meters_to_target)),
        Field::new("high_activity_time", Seconds, |day| number(day.high_activity_time)),
        Field::new("medium_activity_time", Seconds, |day| number(day.medium_activity_time)),
        Field::new("low_activity_time", Seconds, |day| number(day.low_activity_time)),
        Field::new("sedentary_time", Seconds, |day| number(day.sedentary_time)),
        Field::new("resting_time", Seconds, |day| number(day.resting_time)),
        Field::new("non_wear_time", Seconds, |day| number(day.non_wear_time)),
        Field::new("high_activity_met_minutes", MetMinutes, |day| number(day.high_activity_met_minutes)),
        Field::new("medium_activity_met_minutes", MetMinutes, |day| number(day.medium_activity_met_minutes)),
        Field::new("low_activity_met_minutes", MetMinutes, |day| number(day.low_activity_met_minutes)),
        Field::new("sedentary_met_minutes", MetMinutes, |day| number(day.sedentary_met_minutes)),
        Field::new("average_met_minutes", MetMinutes, |day| number(day.average_met_minutes)),
        Field::new("inactivity_alerts", Count, |day| number(day.inactivity_alerts)),
        Field::new("contributors.meet_daily_targets", Score, |day| number(day.contributors.meet_daily_targets)),
        Field::new("contributors.move_every_hour", Score, |day| number(day.contributors.move_every_hour)),
        Field::new("contributors.recovery_time", Score, |day| number(day.contributors.recovery_time)),
        Field::new("contributors.stay_active", Score, |day| number(day.contributors.stay_active)),
        Field::new("contributors.training_frequency", Score, |day| number(day.contributors.training_frequency)),
        Field::new("contributors.training_volume", Score, |day| number(day.contributors.training_volume)),
    ];

    const IDENTITY: &'static [&'static str] = &["id", "day", "timestamp"];

    fn id(&self) -> &str {
        &self.id
    }

    fn day(&self) -> Date {
        self.day
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp?.instant()
    }
}

impl fmt::Debug for DailyActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("DailyActivity", &self.id, self.day, f)
    }
}
