//! One job of a batch, from its beginning to its end.

use std::time::Duration;

use oura::Days;
use runtime::Deadline;
use store::{AthleteId, Connection, Save, Snapshot};

use super::Verdict;
use crate::job::{Job, SealedGrant};
use crate::setback::UNWELL;
use crate::sync::Round;
use crate::{Connector, Revocation, Setback, Synced};

/// How a job ended.
pub(super) struct Ended {
    pub(super) verdict: Verdict,
    pub(super) outcome: Outcome,
    /// The athlete, if staff have to be told something of them.
    pub(super) news: Option<AthleteId>,
}

impl Ended {
    /// Whether Oura was asked, and what it said is in the forms as far as they take it.
    pub(super) fn is_synced(&self) -> bool {
        matches!(&self.outcome, Outcome::Ended(Synced::Unchanged | Synced::Wrote(_) | Synced::Partly { .. }))
    }
}

/// What is counted of how it ended.
pub(super) enum Outcome {
    Ended(Synced),
    HandedBack,
    NeedsAthlete,
    NeedsOperator,
    Failed,
}

impl Connector {
    pub(super) async fn run(&self, job: &Job, attempts: u32, snapshot: &Snapshot, deadline: Deadline) -> Ended {
        let athlete = job.athlete();
        let Round { result, news } = match job {
            Job::Sync { .. } => self.run_sync(athlete, snapshot, deadline).await,
            Job::Backfill { from, to, .. } => {
                let days = Days { first: *from, last: *to };
                // It comes with a new connection, so there is something to tell, however it ends.
                Round { result: self.run_backfill(athlete, days, snapshot, deadline).await, news: true }
            }
            Job::Rescue { generation, grant, .. } => {
                let result = self.run_rescue(athlete, *generation, grant, deadline).await;
                Round { news: matches!(result, Ok(Synced::Wrote(_))), result }
            }
            Job::Revoke { grant, .. } => {
                let revoked = self.revoke_queued(athlete, grant, deadline).await;
                let news = !matches!(revoked, Ok(None));
                let result = revoked.map(|revoked| match revoked {
                    Some(Revocation::Elsewhere) => Synced::Skipped("only the athlete can end the grant"),
                    Some(Revocation::Done | Revocation::Open) => Synced::Wrote(0),
                    None => Synced::Skipped("the grant is still in use"),
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
                Ended { verdict: Verdict::Done, outcome: Outcome::Ended(synced), news }
            }
            Err(setback) => {
                let outcome = match setback {
                    Setback::NeedsAthlete(_) | Setback::OutdatedApp => Outcome::NeedsAthlete,
                    Setback::NeedsOperator(_) => Outcome::NeedsOperator,
                    Setback::RetryAfter { .. } | Setback::Overtaken => Outcome::Failed,
                };
                Ended { verdict: self.answer(job, attempts, setback, snapshot, deadline).await, outcome, news }
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
    ) -> Result<Synced, Setback> {
        let Some(connection) = snapshot.connections.get(athlete) else { return absent(athlete, snapshot) };
        let (synced, next) = self.backfill(connection.clone(), days, &snapshot.holds, deadline).await?;
        if let Some(from) = next {
            let rest = Job::Backfill { athlete: athlete.clone(), from, to: days.last };
            let queued = self.queue.send(&[(rest, Duration::ZERO)], deadline).await;
            queued.map_err(|error| Setback::retry(UNWELL, error.to_string()))?;
        }
        Ok(synced)
    }

    async fn run_rescue(
        &self,
        athlete: &AthleteId,
        generation: u64,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Synced, Setback> {
        Ok(match self.rescue(athlete, generation, grant, deadline).await? {
            Save::Saved { .. } => Synced::Wrote(0),
            Save::Superseded => Synced::Skipped("a later grant is stored"),
            Save::Gone => Synced::Skipped("the connection is gone"),
        })
    }
}

/// A job about somebody the snapshot does not have.
fn absent(athlete: &AthleteId, snapshot: &Snapshot) -> Result<Synced, Setback> {
    match snapshot.damaged.get(athlete) {
        Some(what) => Err(Setback::NeedsOperator(format!("the connection of {athlete} can't be read: {what}"))),
        None => Ok(Synced::Skipped("not connected")),
    }
}

/// Whether a setback leaves word on the connection that was not there before.
fn is_noted(result: &Result<Synced, Setback>, read: Option<&Connection>) -> bool {
    match result {
        Err(Setback::NeedsAthlete(_) | Setback::OutdatedApp) => true,
        Err(Setback::NeedsOperator(reason)) => read.is_some_and(|read| read.note.as_deref() != Some(reason)),
        Ok(_) | Err(Setback::RetryAfter { .. } | Setback::Overtaken) => false,
    }
}
