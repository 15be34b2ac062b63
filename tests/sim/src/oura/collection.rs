/// The collections that the simulator fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// Steps, energy and minutes per intensity of a day, which runs from 04:00 to 04:00.
    DailyActivity,
    /// The readiness score of a wake-up day.
    DailyReadiness,
    /// The sleep score of a wake-up day.
    DailySleep,
    /// One document per sleep period.
    Sleep,
}

impl Collection {
    /// All collections.
    pub const ALL: [Self; 4] = [Self::DailyActivity, Self::DailyReadiness, Self::DailySleep, Self::Sleep];

    /// The name in the address.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DailyActivity => "daily_activity",
            Self::DailyReadiness => "daily_readiness",
            Self::DailySleep => "daily_sleep",
            Self::Sleep => "sleep",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.name() == name)
    }

    /// The fields that a caller may select. Other names are ignored.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::DailyActivity => DAILY_ACTIVITY,
            Self::DailyReadiness => &[
                "id",
                "day",
                "timestamp",
                "score",
                "temperature_deviation",
                "temperature_trend_deviation",
                "contributors",
            ],
            Self::DailySleep => &["id", "day", "timestamp", "score", "contributors"],
            Self::Sleep => SLEEP,
        }
    }

    /// The fields that are present whatever is selected. `day` is not one of them.
    pub(super) fn always(self) -> [&'static str; 2] {
        match self {
            Self::Sleep => ["id", "bedtime_start"],
            _ => ["id", "timestamp"],
        }
    }
}

const DAILY_ACTIVITY: &[&str] = &[
    "id",
    "day",
    "timestamp",
    "score",
    "active_calories",
    "total_calories",
    "target_calories",
    "steps",
    "equivalent_walking_distance",
    "target_meters",
    "meters_to_target",
    "high_activity_time",
    "medium_activity_time",
    "low_activity_time",
    "sedentary_time",
    "resting_time",
    "non_wear_time",
    "high_activity_met_minutes",
    "medium_activity_met_minutes",
    "low_activity_met_minutes",
    "sedentary_met_minutes",
    "average_met_minutes",
    "inactivity_alerts",
    "class_5_min",
    "met",
    "contributors",
];

const SLEEP: &[&str] = &[
    "id",
    "day",
    "type",
    "period",
    "bedtime_start",
    "bedtime_end",
    "time_in_bed",
    "total_sleep_duration",
    "awake_time",
    "deep_sleep_duration",
    "light_sleep_duration",
    "rem_sleep_duration",
    "latency",
    "efficiency",
    "restless_periods",
    "average_breath",
    "average_heart_rate",
    "lowest_heart_rate",
    "average_hrv",
    "heart_rate",
    "hrv",
    "sleep_phase_5_min",
    "sleep_phase_30_sec",
    "app_sleep_phase_5_min",
    "movement_30_sec",
    "low_battery_alert",
    "readiness",
    "readiness_score_delta",
    "sleep_score_delta",
    "sleep_algorithm_version",
    "sleep_analysis_reason",
    "ring_id",
];
