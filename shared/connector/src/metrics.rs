//! Counts events inside the jobs for the metrics: refusals by Oura and Smartabase, and the results of refreshes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use runtime::telemetry::Metric;

/// An event that the metrics count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Oura throttled one athlete's token.
    AthleteThrottled,
    /// Oura throttled the whole application, or did not say what it throttled.
    ApplicationThrottled,
    /// A grant was refreshed and stored.
    Refreshed,
    /// Oura no longer accepted a refresh token: the athlete has to connect again.
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

/// The counts since the last report.
#[derive(Debug, Default)]
pub struct Counters {
    counts: [AtomicUsize; NAMES.len()],
    /// Requests to Oura already reported.
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

    /// Whether this event was counted since the last report.
    pub(crate) fn has_counted(&self, happening: Counter) -> bool {
        NAMES
            .iter()
            .zip(&self.counts)
            .any(|((named, _), count)| *named == happening && count.load(Ordering::Relaxed) > 0)
    }

    /// Takes the counts since the last call, without zeros. `requests` is the total of requests to Oura so far.
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
    fn each_event_is_reported_once() {
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
    fn every_counter_has_its_own_name() {
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
