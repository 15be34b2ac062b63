//! What the product does, as the bill counts it.

use serde::Deserialize;

use crate::Error;

/// All counts; `counts.toml` says of each which test holds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// What is deployed.
    pub template: Template,
    /// What one athlete's ordinary day comes to.
    pub day: Day,
    /// How long things are.
    pub bytes: Bytes,
    /// What the code says.
    pub code: Code,
    /// What can't be counted here.
    pub assumed: Assumed,
}

/// What the template says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the template")]
pub struct Template {
    pub period_minutes: f64,
    /// Messages of the queue in one invocation of the worker.
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

/// One athlete's day of ordinary life, all ticks and enrolments together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// Syncs that found something to bring.
    pub changes: f64,
    /// Requests to Smartabase, whatever for.
    pub smartabase_requests: f64,
    /// Writes that only say that the athlete was looked after.
    pub heartbeats: f64,
    /// Read units of the table, without the list of athletes that a tick reads.
    pub read_units: f64,
    /// Write units of the table, without the heartbeats.
    pub write_units: f64,
    /// What is logged of the athlete, beside the lines of each invocation.
    pub log_bytes: f64,
    /// In so many lines.
    pub log_lines: f64,
}

/// How long things are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    /// What a batch logs in which nothing changed: one line, and one of metrics.
    pub batch_log: f64,
    /// What a tick logs: one line, and one of metrics.
    pub tick_log: f64,
    /// An athlete in the index that a tick lists.
    pub index_entry: f64,
    /// An athlete's connection.
    pub connection: f64,
    /// A record of the ledger.
    pub record: f64,
}

/// What the code says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Messages in one call to the queue.
    pub messages_in_a_call: f64,
    /// Calls to the queue under way at once.
    pub calls_at_once: f64,
    /// Deliveries to Smartabase that one process makes at once.
    pub deliveries_at_once: f64,
    /// How long a secret that was read is used.
    pub secrets_believed_minutes: f64,
    /// Metrics written at any hour of the day.
    pub metrics_of_a_day: f64,
    /// Metrics written in the hours of the enrolments only.
    pub metrics_of_enrolment: f64,
}

/// What can't be counted here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// Until the slowest of Oura's four answers for an athlete.
    pub oura_ms: f64,
    /// Until an answer of Smartabase.
    pub smartabase_ms: f64,
    /// Until an answer of the table.
    pub table_ms: f64,
    /// What an unchanged athlete takes of a whole processor.
    pub cpu_ms: f64,
    /// How long a tick of nobody takes.
    pub tick_ms: f64,
    /// How much longer one more athlete makes an enrolment.
    pub enrolment_ms: f64,
    /// How long the requests of a visit to the connect page take together.
    pub visit_ms: f64,
    /// An athlete's visits to the connect page.
    pub visits_a_month: f64,
    /// How old the ledger is.
    pub days_kept: f64,
    /// Records of one athlete a day.
    pub records_a_day: f64,
    /// Polls that Lambda keeps open at the queue.
    pub pollers: f64,
    /// Bytes that Lambda itself logs of an invocation.
    pub platform_log: f64,
}

impl Counts {
    /// Those of `counts.toml`.
    pub fn held() -> Result<Self, Error> {
        toml::from_str(include_str!("../counts.toml")).map_err(|source| Error { file: "counts.toml", source })
    }
}
