//! Counts the results of a batch, for the log and the metrics.

use std::collections::HashMap;

use jiff::Timestamp;
use runtime::telemetry::{self, Metric};
use store::{Snapshot, Status};

use super::job::{FinishedJob, JobOutcome};
use crate::Synced;
use crate::athlete_status::has_outdated_app;
use crate::queue::message::Job;

#[derive(Default)]
pub(super) struct BatchMetrics {
    messages: usize,
    /// Successful syncs of healthy athletes (status active).
    synced: usize,
    /// Whether a sync of a healthy athlete was due. If so and none succeeded, the batch reports zero syncs.
    awaited: bool,
    unchanged: usize,
    changed: usize,
    skipped: usize,
    records: usize,
    /// Syncs with records or fields that a form does not accept.
    mismatched: usize,
    needs_athlete: usize,
    needs_operator: usize,
    pub(super) failed: usize,
    pub(super) unreadable: usize,
    /// The statuses of the connections that the batch synced, without athletes who must update the Oura app.
    statuses: Vec<Status>,
    outdated_apps: usize,
    /// The syncs of healthy athletes that have not succeeded yet, by their position in the batch. The value is the time
    /// of the athlete's last sync, or of the connect if that is later.
    waiting: HashMap<usize, Timestamp>,
}

impl BatchMetrics {
    pub(super) fn of(messages: usize) -> Self {
        Self { messages, ..Self::default() }
    }

    /// Notes the syncs of the batch before they run.
    pub(super) fn expect(&mut self, jobs: &[(usize, u32, Job)], snapshot: &Snapshot) {
        for (position, _, job) in jobs {
            let Job::Sync { athlete, .. } = job else { continue };
            // An athlete whose row can't be read counts as healthy, because the status is not known.
            self.awaited |= snapshot.damaged.contains_key(athlete);
            let Some(connection) = snapshot.connections.get(athlete) else { continue };
            if has_outdated_app(connection) {
                self.outdated_apps += 1;
            } else {
                self.statuses.push(connection.status);
            }
            // An athlete who must act first is not expected to sync.
            if connection.status == Status::Active {
                let since = connection.last_sync.unwrap_or_default().max(connection.connected_at);
                self.waiting.insert(*position, since);
                self.awaited = true;
            }
        }
    }

    /// Notes a sync that did not begin. Its athlete counts as healthy.
    pub(super) fn miss(&mut self) {
        self.awaited = true;
    }

    /// Counts the job at this position of the batch, which has ended.
    pub(super) fn count(&mut self, position: usize, ended: &FinishedJob) {
        if ended.is_synced() && self.waiting.remove(&position).is_some() {
            self.synced += 1;
        }
        match &ended.outcome {
            JobOutcome::FinishedJob(Synced::Unchanged) => self.unchanged += 1,
            JobOutcome::FinishedJob(Synced::Skipped(_)) => self.skipped += 1,
            JobOutcome::FinishedJob(Synced::Wrote(records)) => {
                self.changed += 1;
                self.records += records;
            }
            JobOutcome::FinishedJob(Synced::Partly { wrote, .. }) => {
                self.mismatched += 1;
                self.records += wrote;
            }
            JobOutcome::NeedsAthlete => self.needs_athlete += 1,
            JobOutcome::NeedsOperator => self.needs_operator += 1,
            JobOutcome::Failed => self.failed += 1,
            JobOutcome::HandedBack | JobOutcome::Busy => {}
        }
    }

    /// Writes one log line for people and one for the metrics. The metrics are the batch's counts, the counters in
    /// `happened`, and the longest time that an athlete of the batch has been without a sync.
    pub(super) fn report(&self, now: Timestamp, happened: Vec<Metric>) {
        let Self { messages, synced, unchanged, changed, skipped, records, .. } = *self;
        let Self { mismatched, needs_athlete, needs_operator, failed, unreadable, .. } = *self;
        let standing = |status| self.statuses.iter().filter(|other| **other == status).count();
        tracing::info!(
            messages,
            unchanged,
            changed,
            skipped,
            records,
            mismatched,
            needs_athlete,
            needs_operator,
            failed,
            unreadable,
            "batch"
        );
        let counts = [
            ("SyncsDone", synced),
            ("SyncsChanged", changed),
            ("SyncsFailed", failed),
            ("RecordsWritten", records),
            ("FormMismatches", mismatched),
            ("NeedsAthlete", needs_athlete),
            ("NeedsOperator", needs_operator),
            ("MessagesUnreadable", unreadable),
            ("AthletesActive", standing(Status::Active)),
            ("AthletesWithoutConsent", standing(Status::NeedsConsent)),
            ("AthletesWithoutScope", standing(Status::ScopeMissing)),
            ("AthletesWithoutMembership", standing(Status::MembershipLapsed)),
            ("AthletesWithOutdatedApp", self.outdated_apps),
            ("AthletesWithTakenAccount", standing(Status::OuraAccountTaken)),
        ];
        let counts = counts.map(|(name, value)| Metric::count(name, value)).into_iter();
        // An alarm watches this zero: healthy athletes were due, but no sync succeeded.
        let none = (self.awaited && synced == 0).then(|| Metric::count("SyncsDone", 0));
        let lag = self.waiting.values().min().map(|since| Metric::seconds("SyncLag", now.duration_since(*since)));
        let metrics = counts.chain(happened).filter(|metric| metric.value > 0).chain(none).chain(lag);
        telemetry::report(&metrics.collect::<Vec<_>>());
    }
}
