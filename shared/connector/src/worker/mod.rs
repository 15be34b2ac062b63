//! Handles one batch of messages from the queue.
//!
//! The connections and holds of the whole batch are read in one request. Then each athlete's jobs run separately, with
//! limits on their number and time: a job that fails, hangs or panics does not affect other athletes. Jobs to retry go
//! back to the queue, each with its own delay. Jobs that can never succeed go to the dead-letter queue at once. If an
//! athlete's refreshed grant is in the batch, it is stored before the athlete is synced: until then, the table holds a
//! spent grant.
//!
//! The jobs of one athlete run one after the other. In parallel they would fetch the same documents and wait for each
//! other's lease. Each job after the first reads the connection again. Of several syncs only one runs. A backfill whose
//! days are part of another backfill counts as done with that one. When a job finds another process busy with the
//! athlete, the athlete's remaining jobs are put off, too. This is not a failure and does not count towards the
//! dead-letter queue.
//!
//! `job` runs one job, `retry` decides what happens to the message of a job that failed, and `metrics` counts.

mod job;
mod metrics;
mod retry;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::{Deadline, telemetry};
use store::{AthleteId, Holds, Snapshot};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};

use crate::Connector;
use crate::error::UNWELL;
use crate::queue::message::Job;

use job::{FinishedJob, JobOutcome};
use metrics::BatchMetrics;

/// How many jobs of one batch run at once.
const CONCURRENCY: usize = 64;

/// A job does not begin with less time than this left. An unchanged athlete takes a second or two, a changed one a few
/// more.
const TO_SYNC: Duration = Duration::from_secs(20);

/// How long to wait before the next try of a job that was superseded.
const SUPERSEDED_RETRY: Duration = Duration::from_secs(10);

/// One message of a batch.
#[derive(Clone, Debug)]
pub struct WorkerMessage {
    /// The id under which the disposition is reported.
    pub id: String,
    /// The text.
    pub body: String,
    /// The SQS receipt handle, which changes the message's visibility; `None` without SQS.
    pub receipt: Option<String>,
    /// How often the queue has delivered it, including this time.
    pub attempts: u32,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The message is finished: delete it.
    Done,
    /// Try it again after this long.
    RetryAfter(Duration),
}

impl Connector {
    /// Handles a batch and returns a disposition for every message, in the batch's order.
    pub async fn work(self: &Arc<Self>, batch: Vec<WorkerMessage>, deadline: Deadline) -> Vec<(String, Disposition)> {
        let mut verdicts: Vec<Disposition> = vec![Disposition::RetryAfter(UNWELL); batch.len()];
        let mut jobs = Vec::new();
        let mut syncing = HashSet::new();
        let mut counts = BatchMetrics::of(batch.len());
        let (mut news, mut holds) = (BTreeSet::new(), Holds::default());
        for ((position, message), verdict) in batch.iter().enumerate().zip(&mut verdicts) {
            match Job::from_message(&message.body) {
                Err(unreadable) => {
                    counts.unreadable += 1;
                    *verdict = self.bury(message, &unreadable.to_string(), deadline).await;
                }
                Ok(Job::Sync { tick, .. }) if self.is_stale(tick) => {
                    counts.miss();
                    *verdict = Disposition::Done;
                }
                Ok(Job::Sync { athlete, .. }) if !syncing.insert(athlete.clone()) => *verdict = Disposition::Done,
                Ok(job) => jobs.push((position, message.attempts, job)),
            }
        }
        let rescued: HashSet<AthleteId> = jobs
            .iter()
            .filter(|(_, _, job)| matches!(job, Job::Rescue { .. }))
            .map(|(_, _, job)| job.athlete().clone())
            .collect();
        let mut together = Vec::new();
        for (position, attempts, job) in jobs {
            let verdict = match job {
                Job::Sync { .. } if rescued.contains(job.athlete()) => Disposition::Done,
                Job::Backfill { .. } if rescued.contains(job.athlete()) => {
                    self.put_off(&job, attempts, SUPERSEDED_RETRY, deadline).await
                }
                job => {
                    together.push((position, attempts, job));
                    continue;
                }
            };
            set(&mut verdicts, position, verdict);
        }
        let (jobs, covered) = without_covered(together);
        for position in covered {
            set(&mut verdicts, position, Disposition::Done);
        }
        let athletes: Vec<AthleteId> = jobs.iter().map(|(_, _, job)| job.athlete().clone()).collect();
        match self.snapshot(&athletes, deadline).await {
            Err(error) => {
                tracing::error!(%error, "the batch's connections could not be read");
                counts.failed = jobs.len();
                for (position, attempts, job) in jobs {
                    if matches!(job, Job::Sync { .. }) {
                        counts.miss();
                    }
                    let again = self.try_again(&job, attempts, UNWELL, deadline).await;
                    set(&mut verdicts, position, again);
                }
            }
            Ok(snapshot) => {
                counts.expect(&jobs, &snapshot);
                holds.clone_from(&snapshot.holds);
                let mut running = Running::new(self, snapshot, deadline);
                for jobs in by_athlete(jobs) {
                    running.begin(jobs);
                }
                while let Some((ended, rest)) = running.next().await {
                    let Ok((position, ended)) = ended else {
                        // The panic's message is not logged, because it may quote the data that caused it.
                        tracing::error!("a job panicked; its message comes back");
                        counts.failed += 1;
                        running.go_on(rest);
                        continue;
                    };
                    counts.count(position, &ended);
                    if matches!(ended.outcome, JobOutcome::Busy) {
                        for (position, attempts, job) in rest {
                            let verdict = self.put_off(&job, attempts, SUPERSEDED_RETRY, deadline).await;
                            set(&mut verdicts, position, verdict);
                        }
                    } else {
                        running.go_on(rest);
                    }
                    news.extend(ended.news);
                    set(&mut verdicts, position, ended.verdict);
                }
            }
        }
        self.postpone(&batch, &verdicts, deadline.handover()).await;
        counts.report(self.clock.now(), self.happened());
        // Last, because the staff forms are only for people to read, and no athlete's records may wait for them.
        self.write_changed_statuses(news, &holds, deadline).await;
        // A second report with the counters of the staff forms. The first one is sent even if writing the forms fails.
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

    /// Runs a job from the batch's snapshot. A job that follows another job of the same athlete first rereads the
    /// connection with a consistent read, because the earlier job has probably changed it.
    async fn run_in_turn(
        &self,
        job: &Job,
        attempts: u32,
        snapshot: &Snapshot,
        turn: Turn,
        deadline: Deadline,
    ) -> FinishedJob {
        if deadline.remaining() < TO_SYNC {
            let verdict = self.put_off(job, attempts, Duration::ZERO, deadline).await;
            return FinishedJob { verdict, outcome: JobOutcome::HandedBack, news: None };
        }
        let run = Box::pin(async {
            if matches!(turn, Turn::First) {
                return Ok(self.run(job, attempts, snapshot, deadline).await);
            }
            let athlete = job.athlete().clone();
            let connection = self.store.connection(&athlete, deadline.instant()).await?;
            let connections = connection.map(|connection| (athlete, connection)).into_iter().collect();
            let snapshot = Snapshot { connections, holds: snapshot.holds.clone(), ..Snapshot::default() };
            Ok(self.run(job, attempts, &snapshot, deadline).await)
        });
        match tokio::time::timeout_at(deadline.instant(), run).await {
            Ok(Ok(ended)) => return ended,
            Ok(Err(error)) => {
                let error: store::StoreError = error;
                tracing::error!(athlete = %job.athlete(), job = job.kind(), %error, "the connection could not be read");
            }
            Err(_) => tracing::error!(athlete = %job.athlete(), job = job.kind(), "the job ran out of time"),
        }
        let verdict = self.try_again(job, attempts, UNWELL, deadline).await;
        FinishedJob { verdict, outcome: JobOutcome::Failed, news: None }
    }

    fn is_stale(&self, tick: Timestamp) -> bool {
        let age = self.clock.now().duration_since(tick);
        age > SignedDuration::try_from(self.settings.period).unwrap_or(SignedDuration::MAX)
    }

    async fn bury(&self, message: &WorkerMessage, reason: &str, deadline: Deadline) -> Disposition {
        tracing::error!(message = message.id, reason, "unreadable message");
        match self.queue.bury(&message.body, reason, deadline).await {
            Ok(()) => Disposition::Done,
            Err(error) => {
                tracing::error!(message = message.id, %error, "an unreadable message could not be buried");
                Disposition::RetryAfter(UNWELL)
            }
        }
    }

    /// Sets on the queue when each unfinished message comes back. If that fails, it comes back when its visibility
    /// time-out ends.
    async fn postpone(&self, batch: &[WorkerMessage], verdicts: &[Disposition], deadline: Deadline) {
        let again = batch.iter().zip(verdicts).filter_map(|(message, verdict)| match verdict {
            Disposition::RetryAfter(after) => message.receipt.as_deref().map(|receipt| (message, receipt, *after)),
            Disposition::Done => None,
        });
        futures::future::join_all(again.map(async |(message, receipt, after)| {
            if let Err(error) = self.queue.postpone(receipt, after, deadline).await {
                tracing::warn!(message = message.id, %error, "a message comes back later than asked");
            }
        }))
        .await;
    }
}

/// Whether a job is the first of its athlete in the batch.
#[derive(Clone, Copy)]
enum Turn {
    First,
    Later,
}

/// A job, its place in the batch, and how often its message was received.
type Entry = (usize, u32, Job);

/// The running jobs of a batch. Each job is a separate task, so that a panic ends only that job. Each athlete has at
/// most one running job.
struct Running<'a> {
    connector: &'a Arc<Connector>,
    snapshot: Arc<Snapshot>,
    places: Arc<Semaphore>,
    deadline: Deadline,
    tasks: JoinSet<(usize, FinishedJob)>,
    /// The athlete's remaining jobs after each task.
    rest: HashMap<Id, VecDeque<Entry>>,
}

impl<'a> Running<'a> {
    fn new(connector: &'a Arc<Connector>, snapshot: Snapshot, deadline: Deadline) -> Self {
        let (snapshot, places) = (Arc::new(snapshot), Arc::new(Semaphore::new(CONCURRENCY)));
        Self { connector, snapshot, places, deadline, tasks: JoinSet::new(), rest: HashMap::new() }
    }

    /// Starts an athlete's first job.
    fn begin(&mut self, jobs: VecDeque<Entry>) {
        self.start(jobs, Turn::First);
    }

    /// Starts an athlete's next job.
    fn go_on(&mut self, jobs: VecDeque<Entry>) {
        self.start(jobs, Turn::Later);
    }

    fn start(&mut self, mut jobs: VecDeque<Entry>, turn: Turn) {
        let Some((position, attempts, job)) = jobs.pop_front() else { return };
        let (connector, places, deadline) = (Arc::clone(self.connector), Arc::clone(&self.places), self.deadline);
        let snapshot = Arc::clone(&self.snapshot);
        let task = self.tasks.spawn(async move {
            let _place = places.acquire().await;
            (position, connector.run_in_turn(&job, attempts, &snapshot, turn, deadline).await)
        });
        self.rest.insert(task.id(), jobs);
    }

    /// Waits for the next job to end. Returns its result and its athlete's remaining jobs; `None` when all have ended.
    async fn next(&mut self) -> Option<(Result<(usize, FinishedJob), JoinError>, VecDeque<Entry>)> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        Some((ended.map(|(_, ended)| ended), self.rest.remove(&id).unwrap_or_default()))
    }
}

/// Groups the jobs by athlete, in the order in which they run.
fn by_athlete(jobs: Vec<Entry>) -> Vec<VecDeque<Entry>> {
    let mut grouped: BTreeMap<AthleteId, Vec<Entry>> = BTreeMap::new();
    for entry in jobs {
        grouped.entry(entry.2.athlete().clone()).or_default().push(entry);
    }
    let in_order = |mut jobs: Vec<Entry>| {
        // The sort is stable. A rescued grant comes before the jobs that need it, and the window before history.
        jobs.sort_by_key(|(_, _, job)| match job {
            Job::Rescue { .. } => 0,
            Job::Revoke { .. } => 1,
            Job::Sync { .. } => 2,
            Job::Backfill { .. } => 3,
        });
        VecDeque::from(jobs)
    };
    grouped.into_values().map(in_order).collect()
}

/// Leaves out every backfill whose days are part of another backfill in the batch. Returns also the positions of those
/// left out.
fn without_covered(jobs: Vec<Entry>) -> (Vec<Entry>, Vec<usize>) {
    let mut kept: Vec<Entry> = Vec::new();
    let mut covered = Vec::new();
    for entry in jobs {
        if kept.iter().any(|(_, _, other)| covers(other, &entry.2)) {
            covered.push(entry.0);
            continue;
        }
        covered.extend(kept.extract_if(.., |(_, _, other)| covers(&entry.2, other)).map(|(position, _, _)| position));
        kept.push(entry);
    }
    (kept, covered)
}

/// Whether one backfill includes every day of another.
fn covers(wide: &Job, narrow: &Job) -> bool {
    match (wide, narrow) {
        (Job::Backfill { athlete, from, to, .. }, Job::Backfill { athlete: other, from: first, to: last, .. }) => {
            athlete == other && from <= first && last <= to
        }
        _ => false,
    }
}

fn set(verdicts: &mut [Disposition], position: usize, verdict: Disposition) {
    if let Some(place) = verdicts.get_mut(position) {
        *place = verdict;
    }
}
