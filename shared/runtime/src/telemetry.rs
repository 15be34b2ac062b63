//! Logs: one JSON object per line on standard output, which Lambda ships to CloudWatch.
//!
//! What may be logged: athlete and event ids, form names, dates, counts, reasons. What may not: tokens, secrets, codes,
//! states, link signatures, health values, response bodies. The libraries below us log at `warn` and above whatever the
//! level chosen, because at `debug` some of them print requests.

use tracing_subscriber::EnvFilter;

/// The crates whose level `LOG_LEVEL` chooses.
const OURS: [&str; 10] =
    ["connector", "oura", "smartabase", "store", "runtime", "scheduler", "worker", "oauth", "enrol", "local"];

/// The levels `LOG_LEVEL` may name.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Starts logging for the process, at `LOG_LEVEL` (`info` when it is unset or not one of [`LEVELS`]; an unknown one is
/// reported with the rest of the configuration). Call it once, first thing in `main`.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").ok().filter(|level| LEVELS.contains(&level.as_str()));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter(level.as_deref().unwrap_or("info")))
        .finish();
    // A second start in one process keeps the first: the tests of one binary share it.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn filter(level: &str) -> EnvFilter {
    let ours = OURS.map(|name| format!("{name}={level}")).join(",");
    EnvFilter::new(format!("warn,{ours}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn under<T>(level: &str, look: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(tracing_subscriber::fmt().with_env_filter(filter(level)).finish(), look)
    }

    #[test]
    fn the_level_chosen_is_ours_alone() {
        under("trace", || {
            assert!(tracing::enabled!(target: "connector::sync", Level::TRACE));
            assert!(tracing::enabled!(target: "worker", Level::TRACE));
            // These print requests, headers and all.
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
}
