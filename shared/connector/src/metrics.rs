//! What happened below the jobs, for the metrics: what Oura and Smartabase refused, and how refreshes ended.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use runtime::telemetry::Metric;

/// Something an operator wants counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Oura throttled one athlete's token.
    AthleteThrottled,
    /// Oura throttled the whole application, or did not say whom.
    ApplicationThrottled,
    /// A grant was refreshed and stored.
    Refreshed,
    /// A refresh token was no longer accepted: the athlete has to connect again.
    ConsentLost,
    /// A refresh failed otherwise, or its result could not be stored at once.
    RefreshFailed,
    /// Oura refused the application's own credentials.
    OuraRefused,
    /// Smartabase refused our name and password.
    SmartabaseRefused,
    /// A visitor's request failed for another reason that the operator has to fix.
    OperatorNeeded,
}

const NAMES: [(Counter, &str); 8] = [
    (Counter::AthleteThrottled, "AthletesThrottled"),
    (Counter::ApplicationThrottled, "ApplicationThrottled"),
    (Counter::Refreshed, "RefreshesDone"),
    (Counter::ConsentLost, "ConsentsLost"),
    (Counter::RefreshFailed, "RefreshesFailed"),
    (Counter::OuraRefused, "OuraRefusals"),
    (Counter::SmartabaseRefused, "SmartabaseRefusals"),
    (Counter::OperatorNeeded, "NeedsOperator"),
];

/// Counts until the next report.
#[derive(Debug, Default)]
pub struct Counters {
    counts: [AtomicUsize; NAMES.len()],
    /// Requests to Oura that were reported before.
    reported: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, happening: Counter) {
        for ((named, _), count) in NAMES.iter().zip(&self.counts) {
            if *named == happening {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether this happened since the last report.
    pub(crate) fn has_counted(&self, happening: Counter) -> bool {
        NAMES
            .iter()
            .zip(&self.counts)
            .any(|((named, _), count)| *named == happening && count.load(Ordering::Relaxed) > 0)
    }

    /// What happened since the last time, without what did not; `requests` is all that Oura was ever asked.
    pub(crate) fn take(&self, requests: u64) -> impl Iterator<Item = Metric> {
        let requests = requests.saturating_sub(self.reported.swap(requests, Ordering::Relaxed));
        let requests = Metric::count("OuraRequests", usize::try_from(requests).unwrap_or(usize::MAX));
        let happened = NAMES.iter().zip(&self.counts);
        let happened = happened.map(|((_, name), count)| Metric::count(name, count.swap(0, Ordering::Relaxed)));
        std::iter::once(requests).chain(happened).filter(|metric| metric.value > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_reported_once_and_nothing_else() {
        let meter = Counters::default();
        for happening in [Counter::Refreshed, Counter::RefreshFailed, Counter::Refreshed] {
            meter.count(happening);
        }
        let told: Vec<_> = meter.take(12).map(|metric| (metric.name, metric.value)).collect();
        assert_eq!(told, [("OuraRequests", 12), ("RefreshesDone", 2), ("RefreshesFailed", 1)]);
        assert_eq!(meter.take(12).count(), 0);
        assert_eq!(meter.take(13).map(|metric| metric.value).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn every_happening_has_a_name_of_its_own() {
        let meter = Counters::default();
        for (happening, _) in NAMES {
            meter.count(happening);
        }
        let mut names: Vec<_> = meter.take(0).map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
