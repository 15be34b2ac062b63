//! A batch of messages, as the worker receives it.
//!
//! The connections and holds of the whole batch are read in one request. Then every job runs on its own: bounded in
//! number and time, and isolated, so that one that fails, hangs or panics takes nobody with it. What must be tried again
//! is handed back with its own delay; what can never be handled goes to the dead-letter queue at once. Only an athlete
//! whose refreshed grant is in the batch is not synced beside it: until that is stored, the table holds a spent one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use oura::Days;
use runtime::Deadline;
use runtime::telemetry::{self, Metric};
use store::{AthleteId, Connection, Holds, Save, Snapshot, Status};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::job::{Job, SealedGrant};
use crate::setback::{LOOK_AGAIN, UNWELL};
use crate::sync::Round;
use crate::{Connector, Setback, Synced};

/// Jobs of one batch under way at once.
const CONCURRENCY: usize = 16;

/// A job is not begun with less than this left: an unchanged athlete takes a second or two, a changed one a few more.
const TO_SYNC: Duration = Duration::from_secs(20);

/// The least a job other than a sync waits before it is tried again, by how often it was tried: a table or a service
/// that is down for an hour must not drive what nobody will send again into the dead-letter queue.
const SCHEDULE: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_mins(2), Duration::from_mins(10), Duration::from_hours(1)];

/// How soon a grant that can't be stored is tried again: several times before anybody tries the old one.
const RESCUE: Duration = Duration::from_mins(4);

/// After so many messages, a day's worth, a grant that can't be stored is buried, where an operator finds it.
const RESCUES: u32 = 360;

/// How long a job that only an operator can unblock is left alone before it is tried again, and in the end buried.
const BLOCKED: Duration = Duration::from_mins(15);

/// How long until a job that was overtaken is worth another look.
const OVERTAKEN: Duration = Duration::from_secs(10);

/// One message of a batch.
#[derive(Clone, Debug)]
pub struct Message {
    /// The id the verdict is reported under.
    pub id: String,
    /// The text.
    pub body: String,
    /// What the queue wants to hear to change the message's visibility, if it is SQS.
    pub receipt: Option<String>,
    /// How often it was handed out, this time included.
    pub attempts: u32,
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with: delete it.
    Done,
    /// Try it again after this long.
    RetryAfter(Duration),
}

impl Connector {
    /// Handles a batch and answers with a verdict for every message, in the batch's order.
    pub async fn work(self: &Arc<Self>, batch: Vec<Message>, deadline: Deadline) -> Vec<(String, Verdict)> {
        let mut verdicts: Vec<Verdict> = vec![Verdict::RetryAfter(UNWELL); batch.len()];
        let mut jobs = Vec::new();
        let mut syncing = HashSet::new();
        let mut counts = Counts { messages: batch.len(), ..Counts::default() };
        let (mut news, mut holds) = (BTreeSet::new(), Holds::default());
        for ((position, message), verdict) in batch.iter().enumerate().zip(&mut verdicts) {
            match Job::from_message(&message.body) {
                Err(unreadable) => {
                    counts.unreadable += 1;
                    *verdict = self.bury(message, &unreadable.to_string(), deadline).await;
                }
                Ok(Job::Sync { athlete, tick }) if self.is_stale(tick) || !syncing.insert(athlete.clone()) => {
                    *verdict = Verdict::Done;
                }
                Ok(job) => jobs.push((position, message.attempts, job)),
            }
        }
        let rescued: HashSet<AthleteId> = jobs
            .iter()
            .filter(|(_, _, job)| matches!(job, Job::Rescue { .. }))
            .map(|(_, _, job)| job.athlete().clone())
            .collect();
        jobs.retain(|(position, _, job)| {
            let wait = if rescued.contains(job.athlete()) { before_rescue(job) } else { None };
            if let (Some(wait), Some(verdict)) = (wait, verdicts.get_mut(*position)) {
                *verdict = wait;
            }
            wait.is_none()
        });
        let athletes: Vec<AthleteId> = jobs.iter().map(|(_, _, job)| job.athlete().clone()).collect();
        match self.snapshot(&athletes, deadline).await {
            Err(error) => {
                tracing::error!(%error, "the batch's connections could not be read");
                counts.failed = jobs.len();
                for (position, attempts, job) in jobs {
                    let again = self.try_again(&job, attempts, UNWELL, deadline).await;
                    if let Some(verdict) = verdicts.get_mut(position) {
                        *verdict = again;
                    }
                }
            }
            Ok(snapshot) => {
                let mut waiting = Self::waiting(&jobs, &snapshot);
                counts.statuses = waiting.values().map(|(status, _)| *status).collect();
                holds.clone_from(&snapshot.holds);
                let mut running = self.start(jobs, snapshot, deadline);
                while let Some(ended) = running.join_next().await {
                    let Ok((position, ended)) = ended else {
                        // The panic's own message may quote what it choked on.
                        tracing::error!("a job panicked; its message comes back");
                        counts.failed += 1;
                        continue;
                    };
                    counts.count(&ended);
                    // Whoever has to act first is not waited for.
                    let active = waiting.get(&position).map(|(status, _)| *status == Status::Active);
                    if active.is_some_and(|active| !active || ended.is_synced()) {
                        waiting.remove(&position);
                        counts.synced += 1;
                    }
                    news.extend(ended.news);
                    if let Some(verdict) = verdicts.get_mut(position) {
                        *verdict = ended.verdict;
                    }
                }
                counts.lag = waiting
                    .into_values()
                    .map(|(_, since)| since)
                    .min()
                    .map(|since| self.clock.now().duration_since(since));
            }
        }
        self.postpone(&batch, &verdicts, deadline.handover()).await;
        counts.report(self.happened());
        // After everything else: what is told here is for people to read, and nobody's records wait for it.
        self.tell_news(news, &holds, deadline).await;
        telemetry::report(&self.happened());
        batch.into_iter().map(|message| message.id).zip(verdicts).collect()
    }

    async fn snapshot(&self, athletes: &[AthleteId], deadline: Deadline) -> Result<Snapshot, store::StoreError> {
        if athletes.is_empty() {
            Ok(Snapshot::default())
        } else {
            self.store.snapshot(athletes, deadline.instant()).await
        }
    }

    /// The syncs of the batch: how each athlete's connection stands, and since when they go without one.
    fn waiting(jobs: &[(usize, u32, Job)], snapshot: &Snapshot) -> HashMap<usize, (Status, Timestamp)> {
        let syncs = jobs.iter().filter(|(_, _, job)| matches!(job, Job::Sync { .. }));
        let stands = syncs.filter_map(|(position, _, job)| {
            let connection = snapshot.connections.get(job.athlete())?;
            Some((
                *position,
                (connection.status, connection.last_sync.unwrap_or_default().max(connection.connected_at)),
            ))
        });
        stands.collect()
    }

    /// Starts every job as a task of its own: a panic ends one task.
    fn start(
        self: &Arc<Self>,
        jobs: Vec<(usize, u32, Job)>,
        snapshot: Snapshot,
        deadline: Deadline,
    ) -> JoinSet<(usize, Ended)> {
        let snapshot = Arc::new(snapshot);
        let places = Arc::new(Semaphore::new(CONCURRENCY));
        let mut running = JoinSet::new();
        for (position, attempts, job) in jobs {
            let (connector, snapshot, places) = (Arc::clone(self), Arc::clone(&snapshot), Arc::clone(&places));
            running.spawn(async move {
                let _place = places.acquire().await;
                if deadline.remaining() < TO_SYNC {
                    return (
                        position,
                        Ended {
                            verdict: Verdict::RetryAfter(Duration::ZERO),
                            outcome: Outcome::HandedBack,
                            news: None,
                        },
                    );
                }
                let run = Box::pin(connector.run(&job, attempts, &snapshot, deadline));
                if let Ok(ended) = tokio::time::timeout_at(deadline.instant(), run).await {
                    return (position, ended);
                }
                tracing::error!(athlete = %job.athlete(), job = job.kind(), "the job ran out of time");
                let verdict = connector.try_again(&job, attempts, UNWELL, deadline).await;
                (position, Ended { verdict, outcome: Outcome::Failed, news: None })
            });
        }
        running
    }

    async fn run(&self, job: &Job, attempts: u32, snapshot: &Snapshot, deadline: Deadline) -> Ended {
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
                let result = self.revoke_queued(athlete, grant, deadline).await;
                Round { news: !matches!(result, Ok(Synced::Skipped(_))), result }
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
                    Setback::NeedsAthlete(_) => Outcome::NeedsAthlete,
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

    /// What a setback does to the message, and to the connection.
    async fn answer(
        &self,
        job: &Job,
        attempts: u32,
        setback: Setback,
        snapshot: &Snapshot,
        deadline: Deadline,
    ) -> Verdict {
        let (athlete, kind) = (job.athlete(), job.kind());
        let after = match setback {
            Setback::RetryAfter { after, why } => {
                tracing::warn!(%athlete, job = kind, after_seconds = after.as_secs(), why, "setback");
                after
            }
            Setback::NeedsAthlete(status) => {
                tracing::warn!(%athlete, job = kind, %status, "the athlete must act");
                return self.mark(athlete, status, snapshot, deadline).await;
            }
            Setback::NeedsOperator(reason) => {
                tracing::error!(%athlete, job = kind, reason, "the operator must act");
                self.note(athlete, &reason, snapshot, deadline).await;
                BLOCKED
            }
            Setback::Overtaken => {
                tracing::info!(%athlete, job = kind, "overtaken");
                OVERTAKEN
            }
        };
        self.try_again(job, attempts, after, deadline).await
    }

    /// When a job that did not end well is tried again. A sync is left to the next tick once that is near, or it has been
    /// tried often enough; it never becomes a dead letter. A grant to be stored goes round in new messages, because
    /// nobody will ever issue it again.
    async fn try_again(&self, job: &Job, attempts: u32, after: Duration, deadline: Deadline) -> Verdict {
        let tried = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let scheduled = SCHEDULE.get(tried).copied();
        match job {
            Job::Sync { .. } if after < self.settings.period && scheduled.is_some() => Verdict::RetryAfter(after),
            Job::Sync { .. } => Verdict::Done,
            Job::Rescue { athlete, generation, grant, tries } if *tries < RESCUES => {
                let (athlete, grant) = (athlete.clone(), grant.clone());
                let next = Job::Rescue { athlete, generation: *generation, grant, tries: tries + 1 };
                match self.queue.send(&[(next, RESCUE)], deadline.handover()).await {
                    Ok(()) => Verdict::Done,
                    Err(_) => Verdict::RetryAfter(RESCUE),
                }
            }
            Job::Backfill { .. } | Job::Rescue { .. } | Job::Revoke { .. } => {
                Verdict::RetryAfter(after.max(scheduled.unwrap_or_default()))
            }
        }
    }

    /// Stores what the athlete has to do, unless they have done it meanwhile.
    async fn mark(&self, athlete: &AthleteId, status: Status, snapshot: &Snapshot, deadline: Deadline) -> Verdict {
        let now = self.clock.now();
        let look_again = (status == Status::MembershipLapsed).then(|| now + LOOK_AGAIN);
        let Some(read) = snapshot.connections.get(athlete) else { return Verdict::Done };
        // A refresh on the way may have moved the generation by one; anything beyond that is a reconnect.
        let current = match self.store.connection(athlete, deadline.instant()).await {
            Ok(Some(current)) if current.connected_at == read.connected_at => current,
            Ok(_) => return Verdict::Done,
            Err(_) => return Verdict::RetryAfter(UNWELL),
        };
        // That consent is gone was found out with the grant that was read; about its successor it says nothing.
        let generation = if status == Status::NeedsConsent { read.generation } else { current.generation };
        match self.store.set_status(athlete, generation, status, None, look_again, now, deadline.instant()).await {
            Ok(_) => Verdict::Done,
            Err(error) => {
                tracing::warn!(%athlete, %error, "the status could not be stored");
                Verdict::RetryAfter(UNWELL)
            }
        }
    }

    /// Leaves word on the connection of what the operator must mend, unless it stands there already.
    async fn note(&self, athlete: &AthleteId, reason: &str, snapshot: &Snapshot, deadline: Deadline) {
        let Some(read) = snapshot.connections.get(athlete).filter(|read| read.note.as_deref() != Some(reason)) else {
            return;
        };
        let (generation, status, held) = (read.generation, read.status, read.held_until);
        let now = self.clock.now();
        if status == Status::Disconnected {
            return;
        }
        if let Err(error) =
            self.store.set_status(athlete, generation, status, Some(reason), held, now, deadline.instant()).await
        {
            tracing::warn!(%athlete, %error, "the reason could not be noted on the connection");
        }
    }

    fn is_stale(&self, tick: Timestamp) -> bool {
        let age = self.clock.now().duration_since(tick);
        age > SignedDuration::try_from(self.settings.period).unwrap_or(SignedDuration::MAX)
    }

    async fn bury(&self, message: &Message, reason: &str, deadline: Deadline) -> Verdict {
        tracing::error!(message = message.id, reason, "unreadable message");
        match self.queue.bury(&message.body, reason, deadline).await {
            Ok(()) => Verdict::Done,
            Err(error) => {
                tracing::error!(message = message.id, %error, "an unreadable message could not be buried");
                Verdict::RetryAfter(UNWELL)
            }
        }
    }

    /// Tells the queue when each unfinished message is to come back. Should that fail, it comes back when its visibility
    /// time-out ends.
    async fn postpone(&self, batch: &[Message], verdicts: &[Verdict], deadline: Deadline) {
        let again = batch.iter().zip(verdicts).filter_map(|(message, verdict)| match verdict {
            Verdict::RetryAfter(after) => message.receipt.as_deref().map(|receipt| (message, receipt, *after)),
            Verdict::Done => None,
        });
        futures::future::join_all(again.map(async |(message, receipt, after)| {
            if let Err(error) = self.queue.postpone(receipt, after, deadline).await {
                tracing::warn!(message = message.id, %error, "a message comes back later than asked");
            }
        }))
        .await;
    }
}

/// What becomes of a job whose athlete's living grant is in the same batch. The refresh token in the table is spent, and
/// must not be sent again before its successor has taken its place.
fn before_rescue(job: &Job) -> Option<Verdict> {
    match job {
        Job::Sync { .. } => Some(Verdict::Done),
        Job::Backfill { .. } => Some(Verdict::RetryAfter(OVERTAKEN)),
        Job::Rescue { .. } | Job::Revoke { .. } => None,
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
        Err(Setback::NeedsAthlete(_)) => true,
        Err(Setback::NeedsOperator(reason)) => read.is_some_and(|read| read.note.as_deref() != Some(reason)),
        Ok(_) | Err(Setback::RetryAfter { .. } | Setback::Overtaken) => false,
    }
}

struct Ended {
    verdict: Verdict,
    outcome: Outcome,
    /// The athlete, if staff have to be told something of them.
    news: Option<AthleteId>,
}

impl Ended {
    /// Whether Oura was asked, and what it said is in the forms as far as they take it.
    fn is_synced(&self) -> bool {
        matches!(&self.outcome, Outcome::Ended(Synced::Unchanged | Synced::Wrote(_) | Synced::Partly { .. }))
    }
}

enum Outcome {
    Ended(Synced),
    HandedBack,
    NeedsAthlete,
    NeedsOperator,
    Failed,
}

#[derive(Default)]
struct Counts {
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
    failed: usize,
    unreadable: usize,
    /// How the connections of the batch's syncs stand.
    statuses: Vec<Status>,
    /// The longest that anybody of the batch has gone without a sync, this batch included.
    lag: Option<SignedDuration>,
}

impl Counts {
    fn count(&mut self, ended: &Ended) {
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

    /// One line for people, one for the metrics.
    fn report(&self, happened: Vec<Metric>) {
        let Self { messages, synced, unchanged, changed, skipped, records, .. } = *self;
        let Self { mismatched, needs_athlete, needs_operator, failed, unreadable, lag, .. } = *self;
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
        let lag = lag.map(|lag| Metric::seconds("SyncLag", lag));
        let metrics = counts.chain(happened).filter(|metric| metric.value > 0).chain(lag);
        telemetry::report(&metrics.collect::<Vec<_>>());
    }
}
