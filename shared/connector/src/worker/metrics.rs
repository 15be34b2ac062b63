//! What is counted of a batch, for the log and the metrics.

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
    /// Syncs that got through, of athletes in order.
    synced: usize,
    /// Whether anybody was waited for: a batch that brings none of them to its end says so.
    awaited: bool,
    unchanged: usize,
    changed: usize,
    skipped: usize,
    records: usize,
    /// Records or fields that a form does not take.
    mismatched: usize,
    needs_athlete: usize,
    needs_operator: usize,
    pub(super) failed: usize,
    pub(super) unreadable: usize,
    /// The statuses of the connections that the batch synced, without athletes who must update the Oura app.
    statuses: Vec<Status>,
    outdated_apps: usize,
    /// The syncs of athletes in order that have not got through, by their place in the batch, and since when those go
    /// without one.
    waiting: HashMap<usize, Timestamp>,
}

impl BatchMetrics {
    pub(super) fn of(messages: usize) -> Self {
        Self { messages, ..Self::default() }
    }

    /// Takes note of the syncs of the batch, before they are run.
    pub(super) fn expect(&mut self, jobs: &[(usize, u32, Job)], snapshot: &Snapshot) {
        for (position, _, job) in jobs {
            let Job::Sync { athlete, .. } = job else { continue };
            // Of whom nothing can be read, it can't be said that they have to act first.
            self.awaited |= snapshot.damaged.contains_key(athlete);
            let Some(connection) = snapshot.connections.get(athlete) else { continue };
            if has_outdated_app(connection) {
                self.outdated_apps += 1;
            } else {
                self.statuses.push(connection.status);
            }
            // Whoever has to act first is not waited for.
            if connection.status == Status::Active {
                let since = connection.last_sync.unwrap_or_default().max(connection.connected_at);
                self.waiting.insert(*position, since);
                self.awaited = true;
            }
        }
    }

    /// Takes note of a sync that was not begun, of whoever it was.
    pub(super) fn miss(&mut self) {
        self.awaited = true;
    }

    /// BatchMetrics the job at this place of the batch, which has ended.
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

    /// One line for people, one for the metrics: the counts, what happened below the jobs, and the longest that anybody of
    /// the batch has gone without a sync, this batch included.
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
        // That nobody who was waited for was synced is what an alarm listens to.
        let none = (self.awaited && synced == 0).then(|| Metric::count("SyncsDone", 0));
        let lag = self.waiting.values().min().map(|since| Metric::seconds("SyncLag", now.duration_since(*since)));
        let metrics = counts.chain(happened).filter(|metric| metric.value > 0).chain(none).chain(lag);
        telemetry::report(&metrics.collect::<Vec<_>>());
    }
}
