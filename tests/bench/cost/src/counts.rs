//! How often the product does what costs money.

use serde::Deserialize;

use crate::Error;

/// All counts. `counts.toml` names the test that checks each of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Values of the template.
    pub template: Template,
    /// The counts of one athlete's ordinary day.
    pub day: Day,
    /// Sizes in bytes.
    pub bytes: Bytes,
    /// Values of the code.
    pub code: Code,
    /// Values that cannot be counted here.
    pub assumed: Assumed,
}

/// Values of the template.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the template")]
pub struct Template {
    pub period_minutes: f64,
    /// Messages in one invocation of the worker.
    pub batch: f64,
    pub worker_mb: f64,
    pub scheduler_mb: f64,
    pub enrol_mb: f64,
    pub oauth_mb: f64,
    pub enrolments_a_day: f64,
    pub secrets: f64,
    pub alarms: f64,
    pub dashboards: f64,
}

/// One athlete's ordinary day, with all ticks and enrolments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// Syncs that found new data.
    pub changes: f64,
    /// Requests to Smartabase, of all kinds.
    pub smartabase_requests: f64,
    /// Writes that only record that an unchanged athlete was synced.
    pub heartbeats: f64,
    /// Read units of the table, without the list of athletes that a tick reads.
    pub read_units: f64,
    /// Write units of the table, without the heartbeats.
    pub write_units: f64,
    /// Bytes logged about the athlete, besides the lines of each invocation.
    pub log_bytes: f64,
    /// The number of those lines.
    pub log_lines: f64,
}

/// Sizes in bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    /// The log of a batch in which nothing changed: one line, and one with metrics.
    pub batch_log: f64,
    /// The log of a tick: one line, and one with metrics.
    pub tick_log: f64,
    /// An athlete in the index that a tick reads.
    pub index_entry: f64,
    /// An athlete's connection.
    pub connection: f64,
    /// A record of the ledger.
    pub record: f64,
}

/// Values of the code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Messages in one call to the queue.
    pub messages_in_a_call: f64,
    /// Concurrent calls to the queue.
    pub calls_at_once: f64,
    /// Concurrent deliveries to Smartabase by one process.
    pub deliveries_at_once: f64,
    /// How long a secret that was read is used.
    pub secrets_believed_minutes: f64,
    /// Metrics that are written at any hour of the day.
    pub metrics_of_a_day: f64,
    /// Metrics that are written only in the hours of the enrolments.
    pub metrics_of_enrolment: f64,
}

/// Values that cannot be counted here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// Time until the slowest of Oura's four answers for an athlete.
    pub oura_ms: f64,
    /// Time until an answer of Smartabase.
    pub smartabase_ms: f64,
    /// Time until an answer of the table.
    pub table_ms: f64,
    /// Time of a whole processor that an unchanged athlete takes.
    pub cpu_ms: f64,
    /// Duration of a tick without athletes.
    pub tick_ms: f64,
    /// How much longer an enrolment takes for one more athlete.
    pub enrolment_ms: f64,
    /// How long the requests of a visit to the connect page take together.
    pub visit_ms: f64,
    /// Visits of an athlete to the connect page.
    pub visits_a_month: f64,
    /// Age of the ledger.
    pub days_kept: f64,
    /// Records of one athlete a day.
    pub records_a_day: f64,
    /// Polls that Lambda keeps open at the queue.
    pub pollers: f64,
    /// Bytes that Lambda itself logs of an invocation.
    pub platform_log: f64,
}

impl Counts {
    /// The counts in `counts.toml`.
    pub fn held() -> Result<Self, Error> {
        toml::from_str(include_str!("../counts.toml")).map_err(|source| Error { file: "counts.toml", source })
    }
}
