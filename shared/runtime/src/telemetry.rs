//! Logs: one JSON object per line on standard output. Lambda sends them to CloudWatch.
//!
//! May be logged: athlete and event ids, form names, dates, counts, reasons. Must not be logged: tokens, secrets,
//! codes, states, link signatures, health values, response bodies. Third-party libraries log only at `warn` and above,
//! whatever `LOG_LEVEL` says, because at `debug` some of them print requests.
//!
//! Metrics are lines in the same output, in CloudWatch's embedded metric format ([`report`]). They need no request to
//! any service.

use std::fmt::Debug;
use std::io::{self, Write};
use std::time::SystemTime;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::visible;

/// The namespace of the product's metrics in CloudWatch.
pub const NAMESPACE: &str = "OuraSmartabase";

/// The target of the events that carry metrics.
const METRICS: &str = "metrics";

/// The crates whose level `LOG_LEVEL` sets.
const OURS: [&str; 10] =
    ["connector", "oura", "smartabase", "store", "runtime", "scheduler", "worker", "oauth", "enrol", "local"];

/// The levels `LOG_LEVEL` may name.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Starts logging for the process, at `LOG_LEVEL`. Call it once, first in `main`. If the level is unset or not one of
/// [`LEVELS`], it is `info`; [`Settings`](crate::Settings) reports an unknown level.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").ok().filter(|level| LEVELS.contains(&level.as_str()));
    let subscriber = subscriber(level.as_deref().unwrap_or("info"), std::io::stdout);
    // A panic's message may quote the data that caused it, so log only the location, which is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    // A second start in one process keeps the first subscriber: the tests of one binary share it.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The subscriber that [`start`] installs: the log at `level` and the metrics, written to `writer`.
pub fn subscriber<W>(level: &str, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'line> MakeWriter<'line> + Clone + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(Visible(writer.clone()))
        .with_filter(filter(level));
    let metrics = EmbeddedMetrics(writer).with_filter(Targets::new().with_target(METRICS, LevelFilter::INFO));
    tracing_subscriber::registry().with(lines).with(metrics)
}

/// The filter for `level`; an unknown level is `info`. Not an `EnvFilter`, which would add a regular expression engine
/// that we do not need.
fn filter(level: &str) -> Targets {
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    let ours = OURS.map(|name| (name, level));
    Targets::new().with_default(LevelFilter::WARN).with_target(METRICS, LevelFilter::OFF).with_targets(ours)
}

/// Escapes terminal control characters that JSON allows, because operators read logs in terminals.
#[derive(Clone)]
struct Visible<W>(W);

impl<'line, W: MakeWriter<'line>> MakeWriter<'line> for Visible<W> {
    type Writer = Visible<W::Writer>;

    fn make_writer(&'line self) -> Self::Writer {
        Visible(self.0.make_writer())
    }
}

impl<W: Write> Write for Visible<W> {
    /// The subscriber writes each line with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(visible(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of events.
    Count,
    /// A time span in seconds.
    Seconds,
}

/// One metric of one invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value.
    pub value: u64,
}

impl Metric {
    /// A metric that counts events.
    #[must_use]
    pub fn count(name: &'static str, value: usize) -> Self {
        Self { name, unit: Unit::Count, value: u64::try_from(value).unwrap_or(u64::MAX) }
    }

    /// A metric of a time span. A negative span, from clocks that disagree, is zero.
    #[must_use]
    pub fn seconds(name: &'static str, span: SignedDuration) -> Self {
        Self { name, unit: Unit::Seconds, value: u64::try_from(span.as_secs()).unwrap_or(0) }
    }
}

/// Reports the metrics of one invocation of a function. The only dimension is the installation (`STACK_NAME`, or
/// "local"), because one per athlete would cost more than the rest of the product. CloudWatch charges for every metric
/// written in an hour. So leave out a metric that is zero, unless an alarm needs it.
pub fn report(metrics: &[Metric]) {
    if !metrics.is_empty() {
        let stack = std::env::var("STACK_NAME").unwrap_or_else(|_| "local".to_owned());
        tracing::info!(target: METRICS, document = %document(&stack, metrics));
    }
}

fn document(stack: &str, metrics: &[Metric]) -> Value {
    let milliseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let definition = |metric: &Metric| json!({ "Name": metric.name, "Unit": format!("{:?}", metric.unit) });
    let definitions: Vec<_> = metrics.iter().map(definition).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": definitions });
    let mut document = Map::new();
    document.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": u64::try_from(milliseconds).unwrap_or(0), "CloudWatchMetrics": [directive] }),
    );
    document.insert("Stack".to_owned(), stack.into());
    document.extend(metrics.iter().map(|metric| (metric.name.to_owned(), metric.value.into())));
    Value::Object(document)
}

/// Writes the document of a metrics event as a line of its own, as CloudWatch expects it.
struct EmbeddedMetrics<W>(W);

impl<S: Subscriber, W: for<'line> MakeWriter<'line> + 'static> Layer<S> for EmbeddedMetrics<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Line(self.0.make_writer()));
    }
}

struct Line<W>(W);

impl<W: Write> Visit for Line<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "document" {
            // A failure to write a metric must not fail the invocation.
            let _ = writeln!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn under<T>(level: &str, look: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter(level)), look)
    }

    #[test]
    fn log_level_applies_only_to_our_crates() {
        under("trace", || {
            assert!(tracing::enabled!(target: "connector::sync", Level::TRACE));
            assert!(tracing::enabled!(target: "worker", Level::TRACE));
            // These crates print requests with their headers.
            assert!(!tracing::enabled!(target: "hyper_util::client", Level::INFO));
            assert!(!tracing::enabled!(target: "aws_smithy_runtime::client", Level::DEBUG));
            assert!(!tracing::enabled!(target: "reqwest::connect", Level::INFO));
            assert!(tracing::enabled!(target: "aws_config", Level::WARN));
        });
        under("error", || {
            assert!(!tracing::enabled!(target: "oura::client", Level::WARN));
            assert!(tracing::enabled!(target: "oura::client", Level::ERROR));
        });
    }

    #[test]
    fn metrics_follow_the_embedded_metric_format() {
        let lag = Metric::seconds("Lag", SignedDuration::from_mins(3));
        let document = document("club", &[Metric::count("Unchanged", 5), Metric::count("Failed", 0), lag]);
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!(NAMESPACE), &json!([["Stack"]])));
        let definition = |name, unit| json!({ "Name": name, "Unit": unit });
        let definitions =
            [definition("Unchanged", "Count"), definition("Failed", "Count"), definition("Lag", "Seconds")];
        assert_eq!(directive["Metrics"], json!(definitions));
        let values = [&document["Unchanged"], &document["Failed"], &document["Lag"], &document["Stack"]];
        assert_eq!(values, [&json!(5), &json!(0), &json!(180), &json!("club")]);
        assert!(document["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    }

    #[test]
    fn log_lines_contain_no_terminal_control_characters() {
        let lines = tempfile::NamedTempFile::new().unwrap();
        let file = std::sync::Arc::new(lines.reopen().unwrap());
        let why = "\u{1b}]0;title\u{7} \u{9b}2J \u{202e} \n second line";
        tracing::subscriber::with_default(subscriber("info", file), || tracing::warn!(target: "connector", why, "odd"));
        let line = std::fs::read_to_string(lines.path()).unwrap();
        assert_eq!(
            line.chars().filter(|letter| letter.is_control() || *letter == '\u{202e}').collect::<String>(),
            "\n"
        );
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["why"], why, "a program reads what was there");
    }

    #[test]
    fn a_negative_time_span_counts_as_zero() {
        assert_eq!(Metric::seconds("Lag", SignedDuration::from_secs(-5)).value, 0);
    }

    #[test]
    fn metrics_events_are_not_logged() {
        under("trace", || assert!(!tracing::enabled!(target: METRICS, Level::INFO)));
    }
}
