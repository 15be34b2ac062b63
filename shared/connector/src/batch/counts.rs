//! What is counted of a batch, for the log and the metrics.

use std::collections::HashMap;

use jiff::Timestamp;
use runtime::telemetry::{self, Metric};
use store::{Snapshot, Status};

use super::run::{Ended, Outcome};
use crate::Synced;
use crate::job::Job;

#[derive(Default)]
pub(super) struct Counts {
    messages: usize,
    /// Syncs that asked Oura, whatever the answer, or had nobody to ask for.
    synced: usize,
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
    /// How the connections of the batch's syncs stand.
    statuses: Vec<Status>,
    /// The syncs that have not got through to Oura, by their place in the batch: how the athlete's connection stands, and
    /// since when they go without one.
    waiting: HashMap<usize, (Status, Timestamp)>,
}

impl Counts {
    pub(super) fn of(messages: usize) -> Self {
        Self { messages, ..Self::default() }
    }

    /// Takes note of the syncs of the batch, before they are run.
    pub(super) fn expect(&mut self, jobs: &[(usize, u32, Job)], snapshot: &Snapshot) {
        for (position, _, job) in jobs {
            let Job::Sync { athlete, .. } = job else { continue };
            if let Some(connection) = snapshot.connections.get(athlete) {
                let since = connection.last_sync.unwrap_or_default().max(connection.connected_at);
                self.waiting.insert(*position, (connection.status, since));
                self.statuses.push(connection.status);
            }
        }
    }

    /// Counts the job at this place of the batch, which has ended.
    pub(super) fn count(&mut self, position: usize, ended: &Ended) {
        // Whoever has to act first is not waited for.
        let active = self.waiting.get(&position).map(|(status, _)| *status == Status::Active);
        if active.is_some_and(|active| !active || ended.is_synced()) {
            self.waiting.remove(&position);
            self.synced += 1;
        }
        match &ended.outcome {
            Outcome::Ended(Synced::Unchanged) => self.unchanged += 1,
            Outcome::Ended(Synced::Skipped(_)) => self.skipped += 1,
            Outcome::Ended(Synced::Wrote(records)) => {
                self.changed += 1;
                self.records += records;
            }
            Outcome::Ended(Synced::Partly { wrote, .. }) => {
                self.mismatched += 1;
                self.records += wrote;
            }
            Outcome::NeedsAthlete => self.needs_athlete += 1,
            Outcome::NeedsOperator => self.needs_operator += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::HandedBack => {}
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
            ("AthletesWithTakenAccount", standing(Status::OuraAccountTaken)),
        ];
        let counts = counts.map(|(name, value)| Metric::count(name, value)).into_iter();
        let longest = self.waiting.values().map(|(_, since)| *since).min();
        let lag = longest.map(|since| Metric::seconds("SyncLag", now.duration_since(since)));
        let metrics = counts.chain(happened).filter(|metric| metric.value > 0).chain(lag);
        telemetry::report(&metrics.collect::<Vec<_>>());
    }
}
