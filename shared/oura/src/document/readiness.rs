//! `daily_readiness`: how ready the body is for the day.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::Quantity::{CelsiusDeviation, Score};
use super::{Document, Field, LocalTime, lenient_time, non_empty, null_as_default, number, show};

/// The readiness of a day, calculated after the night that ended on it.
#[derive(Clone, PartialEq, Deserialize)]
pub struct DailyReadiness {
    /// Oura's opaque id.
    #[serde(deserialize_with = "non_empty")]
    pub id: String,
    /// The day of waking up.
    pub day: Date,
    /// The document's timestamp, `None` if it is missing or unreadable.
    #[serde(default, deserialize_with = "lenient_time")]
    pub timestamp: Option<LocalTime>,
    /// Readiness score, 1 to 100.
    pub score: Option<f64>,
    /// Difference from the person's usual skin temperature, degrees Celsius.
    pub temperature_deviation: Option<f64>,
    /// The same difference over several days, degrees Celsius.
    pub temperature_trend_deviation: Option<f64>,
    /// The contributors of the score.
    #[serde(default, deserialize_with = "null_as_default")]
    pub contributors: ReadinessContributors,
}

/// The readiness after one sleep period; part of a [`Sleep`](super::Sleep).
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct Readiness {
    /// Readiness score, 1 to 100.
    pub score: Option<f64>,
    /// Difference from the person's usual skin temperature, degrees Celsius.
    pub temperature_deviation: Option<f64>,
    /// The same difference over several days, degrees Celsius.
    pub temperature_trend_deviation: Option<f64>,
    /// The contributors of the score.
    #[serde(default, deserialize_with = "null_as_default")]
    pub contributors: ReadinessContributors,
}

/// The contributors of a readiness score, each 1 to 100.
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct ReadinessContributors {
    /// Balance of activity over the last days.
    pub activity_balance: Option<f64>,
    /// Body temperature.
    pub body_temperature: Option<f64>,
    /// Balance of heart rate variability.
    pub hrv_balance: Option<f64>,
    /// Activity of the previous day.
    pub previous_day_activity: Option<f64>,
    /// Sleep of the previous night.
    pub previous_night: Option<f64>,
    /// How early in the night the resting heart rate was reached.
    pub recovery_index: Option<f64>,
    /// Resting heart rate.
    pub resting_heart_rate: Option<f64>,
    /// Balance of sleep over the last days.
    pub sleep_balance: Option<f64>,
    /// Regularity of sleep.
    pub sleep_regularity: Option<f64>,
}

impl Document for DailyReadiness {
    const COLLECTION: &'static str = "daily_readiness";

    const FIELDS: &'static [Field<Self>] = &[
        Field::new("score", Score, |day| number(day.score)),
        Field::new("temperature_deviation", CelsiusDeviation, |day| number(day.temperature_deviation)),
        Field::new("temperature_trend_deviation", CelsiusDeviation, |day| number(day.temperature_trend_deviation)),
        Field::new("contributors.activity_balance", Score, |day| number(day.contributors.activity_balance)),
        Field::new("contributors.body_temperature", Score, |day| number(day.contributors.body_temperature)),
        Field::new("contributors.hrv_balance", Score, |day| number(day.contributors.hrv_balance)),
        Field::new("contributors.previous_day_activity", Score, |day| number(day.contributors.previous_day_activity)),
        Field::new("contributors.previous_night", Score, |day| number(day.contributors.previous_night)),
        Field::new("contributors.recovery_index", Score, |day| number(day.contributors.recovery_index)),
        Field::new("contributors.resting_heart_rate", Score, |day| number(day.contributors.resting_heart_rate)),
        Field::new("contributors.sleep_balance", Score, |day| number(day.contributors.sleep_balance)),
        Field::new("contributors.sleep_regularity", Score, |day| number(day.contributors.sleep_regularity)),
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

impl fmt::Debug for DailyReadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("DailyReadiness", &self.id, self.day, f)
    }
}
