//! Decides what happens to the message of a job that failed or was put off, and what the connection stores about it.

use std::time::Duration;

use runtime::Deadline;
use store::{AthleteId, Sealed, Snapshot, Status};

use super::{Disposition, SUPERSEDED_RETRY};
use crate::athlete_status::has_outdated_app;
use crate::error::{LOOK_AGAIN, OUTDATED_APP, UNWELL};
use crate::queue::message::Job;
use crate::schedule::plan::LONGEST_DELAY;
use crate::tokens::RECONNECT;
use crate::{Connector, JobError};

/// The shortest wait before the next try, by the number of tries so far. The waits are long enough that an outage of an
/// hour does not move a job to the dead-letter queue that no scheduler sends again.
const SCHEDULE: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_mins(2), Duration::from_mins(10), Duration::from_hours(1)];

/// How soon a rescue job tries again to store its grant: several times before a worker may send the old refresh token.
const RESCUE: Duration = Duration::from_mins(4);

/// After this many messages (about a day), a rescue job goes to the dead-letter queue, where an operator finds it.
const RESCUES: u32 = 360;

/// After this many messages (about a week), a revocation that Oura does not accept goes to the dead-letter queue. The
/// messages follow [`SCHEDULE`], and then come 15 minutes apart, the longest delay that SQS allows for a new message.
const REVOCATIONS: u32 = 672;

/// A backfill that was put off this many times (about a day) counts as failed.
const MAX_PUT_OFFS: u32 = 100;

/// This many put-offs come without extra delay; after that, the delay doubles each time.
const IMMEDIATE_RETRIES: u32 = 6;

/// How long a job waits for the operator before the next try. In the end it goes to the dead-letter queue.
const BLOCKED: Duration = Duration::from_mins(15);

impl Connector {
    /// Logs a job's error, stores it on the connection if a person must act, and decides what happens to the message.
    pub(super) async fn answer(
        &self,
        job: &Job,
        attempts: u32,
        setback: JobError,
        snapshot: &Snapshot,
        deadline: Deadline,
    ) -> Disposition {
        let (athlete, kind) = (job.athlete(), job.kind());
        let after = match setback {
            JobError::RetryAfter { after, why } => {
                tracing::warn!(%athlete, job = kind, after_seconds = after.as_secs(), why, "setback");
                after
            }
            JobError::NeedsAthlete(status) => {
                tracing::warn!(%athlete, job = kind, %status, "the athlete must act");
                return self.mark(athlete, status, None, snapshot, deadline).await;
            }
            JobError::OutdatedApp => {
                tracing::warn!(%athlete, job = kind, "the athlete must update the Oura app; looking again in a day");
                let status = Status::MembershipLapsed;
                return self.mark(athlete, status, Some(OUTDATED_APP), snapshot, deadline).await;
            }
            JobError::NeedsOperator(reason) => {
                tracing::error!(%athlete, job = kind, reason, "the operator must act");
                self.note(athlete, &reason, snapshot, deadline).await;
                BLOCKED
            }
            JobError::Busy { after, why } => {
                tracing::info!(%athlete, job = kind, after_seconds = after.as_secs(), why, "put off");
                return self.put_off(job, attempts, after, deadline).await;
            }
            JobError::Superseded => {
                tracing::info!(%athlete, job = kind, "overtaken");
                return self.put_off(job, attempts, SUPERSEDED_RETRY, deadline).await;
            }
        };
        self.try_again(job, attempts, after, deadline).await
    }

    /// When to retry a job that was not finished, although nothing failed: another worker was busy with the athlete, an
    /// outage or a hold was known, or there was too little time to begin. A backfill is sent as a new message: a
    /// further receive would count towards the dead-letter queue.
    pub(super) async fn put_off(&self, job: &Job, attempts: u32, after: Duration, deadline: Deadline) -> Disposition {
        match job {
            Job::Backfill { athlete, from, to, put_off } if *put_off < MAX_PUT_OFFS => {
                let next = Job::Backfill { athlete: athlete.clone(), from: *from, to: *to, put_off: put_off + 1 };
                // The first few come back soon, so that the athlete's history is not late; then the delay grows.
                let growing = after.saturating_mul(1 << put_off.saturating_sub(IMMEDIATE_RETRIES).min(8));
                self.go_round(next, growing.min(LONGEST_DELAY), deadline).await
            }
            // A put-off sync has not failed, so its delay does not grow.
            Job::Sync { .. } if after < self.settings.period && tried(attempts) < SCHEDULE.len() => {
                Disposition::RetryAfter(after)
            }
            // Not a failure: the same message comes back, and `tries` does not grow.
            Job::Rescue { .. } | Job::Revoke { .. } if tried(attempts) < SCHEDULE.len() => {
                Disposition::RetryAfter(after)
            }
            _ => self.try_again(job, attempts, after, deadline).await,
        }
    }

    /// Decides when a failed job is tried again.
    ///
    /// - A sync is left to the next tick if that comes first, or after enough tries. It never becomes a dead letter.
    /// - A rescue is sent as a new message each time, because Oura will not issue its grant again.
    /// - A revocation is also sent as a new message, because its grant is stored only there.
    pub(super) async fn try_again(&self, job: &Job, attempts: u32, after: Duration, deadline: Deadline) -> Disposition {
        let scheduled = SCHEDULE.get(tried(attempts)).copied();
        match job {
            Job::Sync { .. } => match scheduled.map(|least| after.max(least)) {
                Some(wait) if wait < self.settings.period => Disposition::RetryAfter(wait),
                _ => Disposition::Done,
            },
            Job::Rescue { athlete, generation, grant, tries } if *tries < RESCUES => {
                let (athlete, grant) = (athlete.clone(), grant.clone());
                let next = Job::Rescue { athlete, generation: *generation, grant, tries: tries + 1 };
                self.go_round(next, RESCUE, deadline).await
            }
            // A damaged grant can't be revoked later either.
            Job::Revoke { athlete, grant, oura_user, tries }
                if *tries < REVOCATIONS && Sealed::from_base64(&grant.sealed).is_ok() =>
            {
                let (athlete, grant, oura_user) = (athlete.clone(), grant.clone(), oura_user.clone());
                let scheduled = SCHEDULE.get(usize::try_from(*tries).unwrap_or(usize::MAX)).copied();
                let wait = after.max(scheduled.unwrap_or(LONGEST_DELAY)).min(LONGEST_DELAY);
                self.go_round(Job::Revoke { athlete, grant, oura_user, tries: tries + 1 }, wait, deadline).await
            }
            Job::Backfill { .. } | Job::Rescue { .. } | Job::Revoke { .. } => {
                Disposition::RetryAfter(after.max(scheduled.unwrap_or_default()))
            }
        }
    }

    /// Sends the job as a new message, whose receive count starts again.
    async fn go_round(&self, next: Job, wait: Duration, deadline: Deadline) -> Disposition {
        match self.queue.send(&[(next, wait)], deadline.handover()).await {
            Ok(()) => Disposition::Done,
            Err(_) => Disposition::RetryAfter(wait),
        }
    }

    /// Stores the status that asks the athlete to act, unless the athlete has reconnected meanwhile.
    async fn mark(
        &self,
        athlete: &AthleteId,
        status: Status,
        note: Option<&str>,
        snapshot: &Snapshot,
        deadline: Deadline,
    ) -> Disposition {
        let now = self.clock.now();
        let Some(read) = snapshot.connections.get(athlete) else { return Disposition::Done };
        // A refresh in this job may have raised the generation. A different `connected_at` means a reconnect.
        let current = match self.store.connection(athlete, deadline.instant()).await {
            Ok(Some(current)) if current.connected_at == read.connected_at => current,
            Ok(_) => return Disposition::Done,
            Err(_) => return Disposition::RetryAfter(UNWELL),
        };
        // The refused consent concerns the grant that was read, and says nothing about a later one.
        let generation = if status == Status::NeedsConsent { read.generation } else { current.generation };
        let refused = status == Status::NeedsConsent && Self::may_be_accepted_again(&current);
        let note = note.or(refused.then_some(RECONNECT));
        let look_again = (refused || status == Status::MembershipLapsed).then(|| now + LOOK_AGAIN);
        match self.store.set_status(athlete, generation, status, note, look_again, now, deadline.instant()).await {
            Ok(_) => Disposition::Done,
            Err(error) => {
                tracing::warn!(%athlete, %error, "the status could not be stored");
                Disposition::RetryAfter(UNWELL)
            }
        }
    }

    /// Stores on the connection what the operator must repair, unless it is already stored there. An athlete for whom
    /// Oura gives no data is still checked once a day. A note that the athlete must update the Oura app stays.
    async fn note(&self, athlete: &AthleteId, reason: &str, snapshot: &Snapshot, deadline: Deadline) {
        let Some(read) = snapshot.connections.get(athlete) else { return };
        if has_outdated_app(read) {
            let look_again = self.clock.now() + LOOK_AGAIN;
            if let Err(error) = self.store.hold_athlete(athlete, look_again, deadline.instant()).await {
                tracing::warn!(%athlete, %error, "the next daily look could not be stored; every tick looks");
            }
            return;
        }
        if read.note.as_deref() == Some(reason) {
            return;
        }
        if let Err(error) = self.store.set_note(athlete, read.connected_at, Some(reason), deadline.instant()).await {
            tracing::warn!(%athlete, %error, "the reason could not be noted on the connection");
        }
    }
}

/// How often the job was tried before this receive of its message.
fn tried(attempts: u32) -> usize {
    usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX)
}
