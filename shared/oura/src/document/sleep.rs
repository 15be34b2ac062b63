//! `sleep`, one document per sleep period, and `daily_sleep`, the sleep score of a day.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::Quantity::{
    BeatsPerMinute, BreathsPerMinute, CelsiusDeviation, Count, LocalTime as Clock, Milliseconds, Percent, Score,
    Seconds, Text,
};
use super::{
    Document, Field, LocalTime, Readiness, lenient_time, non_empty, null_as_default, number, show, text, time,
};

/// The sleep score of a day, naps included.
#[derive(Clone, PartialEq, Deserialize)]
pub struct DailySleep {
    /// Oura's opaque id.
    #[serde(deserialize_with = "non_empty")]
    pub id: String,
    /// The day of waking up.
    pub day: Date,
    /// The document's timestamp, `None` if it is missing or unreadable.
    #[serde(default, deserialize_with = "lenient_time")]
    pub timestamp: Option<LocalTime>,
    /// Sleep score, 1 to 100.
    pub score: Option<f64>,
    /// The contributors of the score.
    #[serde(default, deserialize_with = "null_as_default")]
    pub contributors: SleepContributors,
}

/// The contributors of a sleep score, each 1 to 100.
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct SleepContributors {
    /// Deep sleep.
    pub deep_sleep: Option<f64>,
    /// Share of the time in bed that the person was asleep.
    pub efficiency: Option<f64>,
    /// Time to fall asleep.
    pub latency: Option<f64>,
    /// REM sleep.
    pub rem_sleep: Option<f64>,
    /// How undisturbed the sleep was.
    pub restfulness: Option<f64>,
    /// The time of day at which the person slept.
    pub timing: Option<f64>,
    /// Total sleep.
    pub total_sleep: Option<f64>,
}

/// One sleep period: a night, part of a night, or a nap. A day has several, in no defined order.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Sleep {
    /// Oura's opaque id.
    #[serde(deserialize_with = "non_empty")]
    pub id: String,
    /// The day it counts for: the day of waking up, except for a [`SleepType::LateNap`].
    pub day: Date,
    /// The kind of sleep (`type`).
    #[serde(rename = "type")]
    pub kind: Option<SleepType>,
    /// Oura's internal number for the period.
    pub period: Option<f64>,
    /// When the person went to bed.
    pub bedtime_start: Option<LocalTime>,
    /// When the person got up; missing while the sleep is in progress.
    pub bedtime_end: Option<LocalTime>,
    /// Time in bed, s.
    pub time_in_bed: Option<f64>,
    /// Time asleep, s.
    pub total_sleep_duration: Option<f64>,
    /// Time awake in bed, s.
    pub awake_time: Option<f64>,
    /// Time in deep sleep, s.
    pub deep_sleep_duration: Option<f64>,
    /// Time in light sleep, s.
    pub light_sleep_duration: Option<f64>,
    /// Time in REM sleep, s.
    pub rem_sleep_duration: Option<f64>,
    /// Time to fall asleep, s.
    pub latency: Option<f64>,
    /// Share of the time in bed that the person was asleep, percent.
    pub efficiency: Option<f64>,
    /// Number of restless periods.
    pub restless_periods: Option<f64>,
    /// Average breaths per minute.
    pub average_breath: Option<f64>,
    /// Average beats per minute, from 30-second samples. Oura's app shows 5-minute values, so the two differ.
    pub average_heart_rate: Option<f64>,
    /// Lowest beats per minute, from 30-second samples as well.
    pub lowest_heart_rate: Option<f64>,
    /// Heart rate variability, RMSSD, ms.
    pub average_hrv: Option<f64>,
    /// The effect of this period on the readiness score, in points.
    pub readiness_score_delta: Option<f64>,
    /// The effect of this period on the sleep score, in points.
    pub sleep_score_delta: Option<f64>,
    /// The algorithm that analysed the period (`v1`, `v2`).
    pub sleep_algorithm_version: Option<String>,
    /// Why Oura wrote this version of the document: the only sign of a later change.
    pub sleep_analysis_reason: Option<String>,
    /// The readiness after this period.
    #[serde(default, deserialize_with = "null_as_default")]
    pub readiness: Readiness,
}

/// The kinds of sleep; the list is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
pub enum SleepType {
    /// `long_sleep`: longer than three hours. It counts for the scores.
    LongSleep,
    /// `sleep`: a nap that the person confirmed. It counts for the scores.
    Sleep,
    /// `late_nap`: it ended after 18:00 and counts for the next day.
    LateNap,
    /// `rest`: a false detection.
    Rest,
    /// `deleted`: removed by the person.
    Deleted,
    /// A kind that this crate does not know.
    Other(String),
}

impl SleepType {
    /// The kind in Oura's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::LongSleep => "long_sleep",
            Self::Sleep => "sleep",
            Self::LateNap => "late_nap",
            Self::Rest => "rest",
            Self::Deleted => "deleted",
            Self::Other(kind) => kind,
        }
    }
}

impl From<String> for SleepType {
    fn from(kind: String) -> Self {
        match &*kind.trim().to_ascii_lowercase() {
            "long_sleep" => Self::LongSleep,
            "sleep" => Self::Sleep,
            "late_nap" => Self::LateNap,
            "rest" => Self::Rest,
            "deleted" => Self::Deleted,
            _ => Self::Other(kind),
        }
    }
}

impl Document for DailySleep {
    const COLLECTION: &'static str = "daily_sleep";

    const FIELDS: &'static [Field<Self>] = &[
        Field::new("score", Score, |day| number(day.score)),
        Field::new("contributors.deep_sleep", Score, |day| number(day.contributors.deep_sleep)),
        Field::new("contributors.efficiency", Score, |day| number(day.contributors.efficiency)),
        Field::new("contributors.latency", Score, |day| number(day.contributors.latency)),
        Field::new("contributors.rem_sleep", Score, |day| number(day.contributors.rem_sleep)),
        Field::new("contributors.restfulness", Score, |day| number(day.contributors.restfulness)),
        Field::new("contributors.timing", Score, |day| number(day.contributors.timing)),
        Field::new("contributors.total_sleep", Score, |day| number(day.contributors.total_sleep)),
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

impl Document for Sleep {
    const COLLECTION: &'static str = "sleep";

    const FIELDS: &'static [Field<Self>] = &[
        Field::new("type", Text, |sleep| text(sleep.kind.as_ref().map(SleepType::as_str))),
        Field::new("period", Count, |sleep| number(sleep.period)),
        Field::new("bedtime_start", Clock, |sleep| time(sleep.bedtime_start)),
        Field::new("bedtime_end", Clock, |sleep| time(sleep.bedtime_end)),
        Field::new("time_in_bed", Seconds, |sleep| number(sleep.time_in_bed)),
        Field::new("total_sleep_duration", Seconds, |sleep| number(sleep.total_sleep_duration)),
        Field::new("awake_time", Seconds, |sleep| number(sleep.awake_time)),
        Field::new("deep_sleep_duration", Seconds, |sleep| number(sleep.deep_sleep_duration)),
        Field::new("light_sleep_duration", Seconds, |sleep| number(sleep.light_sleep_duration)),
        Field::new("rem_sleep_duration", Seconds, |sleep| number(sleep.rem_sleep_duration)),
        Field::new("latency", Seconds, |sleep| number(sleep.latency)),
        Field::new("efficiency", Percent, |sleep| number(sleep.efficiency)),
        Field::new("restless_periods", Count, |sleep| number(sleep.restless_periods)),
        Field::new("average_breath", BreathsPerMinute, |sleep| number(sleep.average_breath)),
        Field::new("average_heart_rate", BeatsPerMinute, |sleep| number(sleep.average_heart_rate)),
        Field::new("lowest_heart_rate", BeatsPerMinute, |sleep| number(sleep.lowest_heart_rate)),
        Field::new("average_hrv", Milliseconds, |sleep| number(sleep.average_hrv)),
        Field::new("readiness_score_delta", Score, |sleep| number(sleep.readiness_score_delta)),
        Field::new("sleep_score_delta", Score, |sleep| number(sleep.sleep_score_delta)),
        Field::new("sleep_algorithm_version", Text, |sleep| text(sleep.sleep_algorithm_version.as_deref())),
        Field::new("sleep_analysis_reason", Text, |sleep| text(sleep.sleep_analysis_reason.as_deref())),
        Field::new("readiness.score", Score, |sleep| number(sleep.readiness.score)),
        Field::new("readiness.temperature_deviation", CelsiusDeviation, |sleep| {
            number(sleep.readiness.temperature_deviation)
        }),
        Field::new("readiness.temperature_trend_deviation", CelsiusDeviation, |sleep| {
            number(sleep.readiness.temperature_trend_deviation)
        }),
        Field::new("readiness.contributors.activity_balance", Score, |sleep| {
            number(sleep.readiness.contributors.activity_balance)
        }),
        Field::new("readiness.contributors.body_temperature", Score, |sleep| {
            number(sleep.readiness.contributors.body_temperature)
        }),
        Field::new("readiness.contributors.hrv_balance", Score, |sleep| {
            number(sleep.readiness.contributors.hrv_balance)
        }),
        Field::new("readiness.contributors.previous_day_activity", Score, |sleep| {
            number(sleep.readiness.contributors.previous_day_activity)
        }),
        Field::new("readiness.contributors.previous_night", Score, |sleep| {
            number(sleep.readiness.contributors.previous_night)
        }),
        Field::new("readiness.contributors.recovery_index", Score, |sleep| {
            number(sleep.readiness.contributors.recovery_index)
        }),
        Field::new("readiness.contributors.resting_heart_rate", Score, |sleep| {
            number(sleep.readiness.contributors.resting_heart_rate)
        }),
        Field::new("readiness.contributors.sleep_balance", Score, |sleep| {
            number(sleep.readiness.contributors.sleep_balance)
        }),
        Field::new("readiness.contributors.sleep_regularity", Score, |sleep| {
            number(sleep.readiness.contributors.sleep_regularity)
        }),
    ];

    const IDENTITY: &'static [&'static str] = &["id", "day"];

    fn id(&self) -> &str {
        &self.id
    }

    fn day(&self) -> Date {
        self.day
    }

    /// Always `None`: such documents have no timestamp, and a day has several of them anyway.
    fn timestamp(&self) -> Option<Timestamp> {
        None
    }
}

impl fmt::Debug for DailySleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("DailySleep", &self.id, self.day, f)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("Sleep", &self.id, self.day, f)
    }
}
