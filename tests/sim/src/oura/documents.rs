//! Generates the documents of ordinary and unusual days, in Oura's shapes and with plausible values.

use fastrand::Rng;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};
use serde_json::{Value, json};

/// The five kinds of sleep period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Longer than three hours: counts by itself.
    LongSleep,
    /// A nap that the person confirmed.
    Nap,
    /// A nap that ended after 18:00 and counts for the next day.
    LateNap,
    /// Detected as sleep, rejected by the person.
    Rest,
    /// Removed by the person.
    Deleted,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::LongSleep => "long_sleep",
            Self::Nap => "sleep",
            Self::LateNap => "late_nap",
            Self::Rest => "rest",
            Self::Deleted => "deleted",
        }
    }
}

/// A sleep period that a test adds, see [`Oura::put_period`](super::Oura::put_period).
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// The kind of the period.
    pub kind: Kind,
    /// When it begins, as local time.
    pub begins: DateTime,
    /// How long it lasts, or has lasted so far.
    pub minutes: i64,
    /// Whether it is over; one in progress has no `bedtime_end`.
    pub finished: bool,
}

/// One sleep period, without its series.
pub(super) fn sleep(draw: &mut Rng, id: &str, day: Date, period: Period, zone: &TimeZone) -> Value {
    let begins = local(zone, period.begins);
    let ends = ended(&begins, period.minutes);
    let in_bed = period.minutes * 60;
    let asleep = half_minutes(in_bed * draw.i64(82..=95) / 100);
    let deep = half_minutes(asleep * draw.i64(14..=23) / 100);
    let rem = half_minutes(asleep * draw.i64(17..=26) / 100);
    let pulse = draw.i64(46..=62);
    json!({
        "id": id,
        "day": day.to_string(),
        "type": period.kind.name(),
        "period": draw.i64(0..9),
        "bedtime_start": stamp(&begins),
        "bedtime_end": period.finished.then(|| stamp(&ends)),
        "time_in_bed": in_bed,
        "total_sleep_duration": asleep,
        "awake_time": in_bed - asleep,
        "deep_sleep_duration": deep,
        "light_sleep_duration": asleep - deep - rem,
        "rem_sleep_duration": rem,
        "latency": half_minutes(draw.i64(180..1500)),
        "efficiency": asleep * 100 / in_bed.max(1),
        "restless_periods": draw.i64(60..280),
        "average_breath": tenths(draw.i64(124..168)),
        "average_heart_rate": tenths(pulse * 10 + draw.i64(0..10)),
        "lowest_heart_rate": pulse - draw.i64(3..9),
        "average_hrv": draw.i64(28..110),
        "low_battery_alert": draw.u8(0..20) == 0,
        "readiness": readiness_part(draw),
        "readiness_score_delta": Value::Null,
        "sleep_score_delta": Value::Null,
        "sleep_algorithm_version": "v2",
        "sleep_analysis_reason": "foreground_sleep_analysis",
        "ring_id": Value::Null,
    })
}

/// The same night, analysed again: other durations of sleep and other averages, but the same id and times in bed.
pub(super) fn reanalysed(draw: &mut Rng, sleep: &Value) -> Value {
    let mut sleep = sleep.clone();
    let shift = 30 * draw.i64(6..40);
    for (field, change) in [("total_sleep_duration", -shift), ("light_sleep_duration", -shift), ("awake_time", shift)] {
        if let Some(seconds) = sleep[field].as_i64() {
            sleep[field] = json!((seconds + change).max(0));
        }
    }
    if let (Some(asleep), Some(in_bed)) = (sleep["total_sleep_duration"].as_i64(), sleep["time_in_bed"].as_i64()) {
        sleep["efficiency"] = json!(asleep * 100 / in_bed.max(1));
    }
    sleep["average_hrv"] = json!(draw.i64(28..110));
    sleep["sleep_analysis_reason"] = json!("bedtime_edit");
    sleep
}

/// The night after the ring's battery ran empty: all optional values are missing, some as null and some as absent
/// fields.
pub(super) fn hollow(sleep: &Value) -> Value {
    let mut sleep = sleep.clone();
    for field in ["average_breath", "average_heart_rate", "lowest_heart_rate", "average_hrv", "latency", "readiness"] {
        sleep[field] = Value::Null;
    }
    if let Some(fields) = sleep.as_object_mut() {
        fields.remove("restless_periods");
        fields.remove("sleep_algorithm_version");
    }
    sleep
}

/// The sleep score of a day.
pub(super) fn daily_sleep(draw: &mut Rng, id: &str, day: Date, zone: &TimeZone, scored: bool) -> Value {
    let mut part = || scored.then(|| draw.i64(45..=100));
    json!({
        "id": id,
        "day": day.to_string(),
        "timestamp": stamp(&local(zone, day.at(0, 0, 0, 0))),
        "score": part(),
        "contributors": {
            "deep_sleep": part(), "efficiency": part(), "latency": part(), "rem_sleep": part(),
            "restfulness": part(), "timing": part(), "total_sleep": part(),
        },
    })
}

/// The readiness score of a day.
pub(super) fn daily_readiness(draw: &mut Rng, id: &str, day: Date, zone: &TimeZone, scored: bool) -> Value {
    let mut part = readiness_part(draw);
    if !scored {
        part = json!({"contributors": {"resting_heart_rate": null}, "score": null});
    }
    part["id"] = json!(id);
    part["day"] = json!(day.to_string());
    part["timestamp"] = json!(stamp(&local(zone, day.at(0, 0, 0, 0))));
    part
}

fn readiness_part(draw: &mut Rng) -> Value {
    let mut part = || draw.i64(40..=100);
    json!({
        "score": part(),
        "contributors": {
            "activity_balance": part(), "body_temperature": part(), "hrv_balance": part(),
            "previous_day_activity": part(), "previous_night": part(), "recovery_index": part(),
            "resting_heart_rate": part(), "sleep_balance": part(), "sleep_regularity": part(),
        },
        "temperature_deviation": hundredths(draw.i64(-70..90)),
        "temperature_trend_deviation": hundredths(draw.i64(-30..40)),
    })
}

/// The activity of a day after `minutes` of its 1440 minutes, without the series. All hours of a day use the same
/// draws, so a later document never has less than an earlier one.
pub(super) fn daily_activity(mut draw: Rng, id: &str, day: Date, zone: &TimeZone, minutes: i64) -> Value {
    let draw = &mut draw;
    let so_far = |whole_day: i64| whole_day * minutes / 1440;
    let [high, medium, low] = [draw.i64(0..4200), draw.i64(600..5400), draw.i64(7200..21600)].map(half_minutes);
    let resting = half_minutes(draw.i64(24_000..32_000));
    let worn = minutes * 60;
    let (high, medium, low, resting) = (so_far(high), so_far(medium), so_far(low), so_far(resting));
    let steps = so_far(draw.i64(3_000..19_000));
    let walked = so_far(draw.i64(2_500..16_000));
    let target = 1000 * draw.i64(6..12);
    let active = so_far(draw.i64(180..1_100));
    let mut part = || draw.i64(35..=100);
    // The score is final when the day is over.
    let over = minutes >= 1440;
    json!({
        "id": id,
        "day": day.to_string(),
        "timestamp": stamp(&local(zone, day.at(4, 0, 0, 0))),
        "score": over.then(&mut part),
        "contributors": {
            "meet_daily_targets": part(), "move_every_hour": part(), "recovery_time": part(),
            "stay_active": part(), "training_frequency": part(), "training_volume": over.then(&mut part),
        },
        "active_calories": active,
        "total_calories": active + so_far(1_900),
        "target_calories": 500,
        "steps": steps,
        "equivalent_walking_distance": walked,
        "target_meters": target,
        "meters_to_target": (target - walked).max(0),
        "high_activity_time": high,
        "medium_activity_time": medium,
        "low_activity_time": low,
        "sedentary_time": (worn - high - medium - low - resting).max(0),
        "resting_time": resting,
        "non_wear_time": 0,
        "high_activity_met_minutes": high * 7 / 60,
        "medium_activity_met_minutes": medium * 4 / 60,
        "low_activity_met_minutes": low * 2 / 60,
        "sedentary_met_minutes": (worn - high - medium - low - resting).max(0) / 600,
        "average_met_minutes": hundredths(130 + active / 10),
        "inactivity_alerts": minutes / 480,
    })
}

/// Oura's local date-time: with an offset, and always with milliseconds.
pub(super) fn stamp(instant: &Zoned) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// The instant at which a local clock shows `wall`. In a gap, the instant after it.
pub(super) fn local(zone: &TimeZone, wall: DateTime) -> Zoned {
    zone.to_zoned(wall).expect("a date-time within the range of time zones")
}

/// The time `minutes` of real time later, across any change of clocks.
pub(super) fn ended(begins: &Zoned, minutes: i64) -> Zoned {
    begins.checked_add(SignedDuration::from_mins(minutes)).expect("an instant in range")
}

fn half_minutes(seconds: i64) -> i64 {
    seconds / 30 * 30
}

#[expect(clippy::cast_precision_loss, reason = "a handful of digits")]
fn tenths(number: i64) -> f64 {
    number as f64 / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "a handful of digits")]
fn hundredths(number: i64) -> f64 {
    number as f64 / 100.0
}
