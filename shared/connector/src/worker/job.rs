//! Runs one job of a batch.

use std::time::Duration;

use oura::Days;
use runtime::Deadline;
use store::{AthleteId, Connection, Save, Snapshot};

use super::{Disposition, SUPERSEDED_RETRY};
use crate::error::UNWELL;
use crate::queue::message::{Job, SealedGrant};
use crate::sync::Round;
use crate::{Connector, JobError, Revocation, Synced};

/// How a job ended.
pub(super) struct FinishedJob {
    pub(super) verdict: Disposition,
    pub(super) outcome: JobOutcome,
    /// The athlete, if the staff forms may have to change.
    pub(super) news: Option<AthleteId>,
}

impl FinishedJob {
    /// Whether the job read Oura's data and wrote to the forms everything that they accept.
    pub(super) fn is_synced(&self) -> bool {
        matches!(&self.outcome, JobOutcome::FinishedJob(Synced::Unchanged | Synced::Wrote(_) | Synced::Partly { .. }))
    }
}

/// The outcome of a job, for the metrics.
pub(super) enum JobOutcome {
    FinishedJob(Synced),
    /// The job did not begin, because too little time was left.
    HandedBack,
    /// Another worker is busy with the athlete, or wrote between this job's read and its write; or an outage or a hold
    /// is in force.
    Busy,
    NeedsAthlete,
    NeedsOperator,
    Failed,
}

impl Connector {
    pub(super) async fn run(&self, job: &Job, attempts: u32, snapshot: &Snapshot, deadline: Deadline) -> FinishedJob {
        let athlete = job.athlete();
        let Round { result, news } = match job {
            Job::Sync { .. } => self.run_sync(athlete, snapshot, deadline).await,
            Job::Backfill { from, to, .. } => {
                let days = Days { first: *from, last: *to };
                // A backfill follows a new connection, so the staff forms change, whatever the result.
                Round { result: self.run_backfill(athlete, days, snapshot, deadline).await, news: true }
            }
            Job::Rescue { generation, grant, .. } => {
                let result = self.run_rescue(athlete, *generation, grant, deadline).await;
                Round { news: matches!(result, Ok(Synced::Wrote(_))), result }
            }
            Job::Revoke { grant, oura_user, .. } => {
                let revoked = self.revoke(athlete, grant, oura_user.as_deref(), deadline).await;
                let news = !matches!(revoked, Ok(Revocation::InUse));
                let result = revoked.map(|revoked| match revoked {
                    Revocation::Elsewhere => Synced::Skipped("only the athlete can end the grant"),
                    Revocation::Done | Revocation::Open => Synced::Wrote(0),
                    Revocation::InUse => Synced::Skipped("the Oura account has a grant that is in use"),
                });
                Round { result, news }
            }
        };
        let news = news || is_noted(&result, snapshot.connections.get(athlete));
        let news = news.then(|| athlete.clone());
        match result {
            Ok(synced) => {
                match &synced {
                    Synced::Unchanged => {}
                    Synced::Wrote(records) => tracing::info!(%athlete, job = job.kind(), records, "done"),
                    Synced::Partly { wrote, note } => {
                        tracing::error!(%athlete, job = job.kind(), records = wrote, note, "partly done");
                    }
                    Synced::Skipped(why) => tracing::debug!(%athlete, job = job.kind(), why, "skipped"),
                }
                FinishedJob { verdict: Disposition::Done, outcome: JobOutcome::FinishedJob(synced), news }
            }
            Err(setback) => {
                let outcome = match setback {
                    JobError::NeedsAthlete(_) | JobError::OutdatedApp => JobOutcome::NeedsAthlete,
                    JobError::NeedsOperator(_) => JobOutcome::NeedsOperator,
                    JobError::Busy { .. } | JobError::Superseded => JobOutcome::Busy,
                    JobError::RetryAfter { .. } => JobOutcome::Failed,
                };
                FinishedJob { verdict: self.answer(job, attempts, setback, snapshot, deadline).await, outcome, news }
            }
        }
    }

    async fn run_sync(&self, athlete: &AthleteId, snapshot: &Snapshot, deadline: Deadline) -> Round {
        match snapshot.connections.get(athlete) {
            Some(connection) => self.sync(connection.clone(), &snapshot.holds, deadline).await,
            None => Round { result: absent(athlete, snapshot), news: false },
        }
    }

    async fn run_backfill(
        &self,
        athlete: &AthleteId,
        days: Days,
        snapshot: &Snapshot,
        deadline: Deadline,
    ) -> Result<Synced, JobError> {
        let Some(connection) = snapshot.connections.get(athlete) else { return absent(athlete, snapshot) };
        // A backfill needs the lease to deliver, so it fetches nothing while another worker holds it.
        if connection.lease.as_ref().is_some_and(|lease| self.clock.now() < lease.until) {
            return Err(JobError::Busy { after: SUPERSEDED_RETRY, why: "another worker has the athlete's lease" });
        }
        let (synced, next) = self.backfill(connection.clone(), days, &snapshot.holds, deadline).await?;
        if let Some(from) = next {
            let rest = Job::Backfill { athlete: athlete.clone(), from, to: days.last, put_off: 0 };
            let queued = self.queue.send(&[(rest, Duration::ZERO)], deadline).await;
            queued.map_err(|error| JobError::retry(UNWELL, error.to_string()))?;
        }
        Ok(synced)
    }

    async fn run_rescue(
        &self,
        athlete: &AthleteId,
        generation: u64,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Synced, JobError> {
        let why = match self.rescue(athlete, generation, grant, deadline).await? {
            Save::Saved { .. } => return Ok(Synced::Wrote(0)),
            Save::Superseded => "a later grant is stored",
            Save::Gone => "the connection is gone",
        };
        // The athlete may have disconnected while the message waited, so this grant must be revoked.
        self.revoke_later(athlete, grant.clone(), None, Duration::ZERO, deadline).await;
        Ok(Synced::Skipped(why))
    }
}

/// The result of a job for an athlete whose connection is not in the snapshot.
fn absent(athlete: &AthleteId, snapshot: &Snapshot) -> Result<Synced, JobError> {
    match snapshot.damaged.get(athlete) {
        Some(what) => Err(JobError::NeedsOperator(format!("the connection of {athlete} can't be read: {what}"))),
        None => Ok(Synced::Skipped("not connected")),
    }
}

/// Whether the error adds a new status or note to the connection.
fn is_noted(result: &Result<Synced, JobError>, read: Option<&Connection>) -> bool {
    match result {
        Err(JobError::NeedsAthlete(_) | JobError::OutdatedApp) => true,
        Err(JobError::NeedsOperator(reason)) => read.is_some_and(|read| read.note.as_deref() != Some(reason)),
        Ok(_) | Err(JobError::RetryAfter { .. } | JobError::Busy { .. } | JobError::Superseded) => false,
    }
}
