//! A batch of messages, as the worker receives it.
//!
//! The connections and holds of the whole batch are read in one request. Then every job runs on its own: bounded in
//! number and time, and isolated, so that one that fails, hangs or panics takes nobody with it. What must be tried again
//! is handed back with its own delay; what can never be handled goes to the dead-letter queue at once. Only an athlete
//! whose refreshed grant is in the batch is not synced beside it: until that is stored, the table holds a spent one.
//!
//! How one job is run is in `run`, what becomes of one that did not end well in `answer`, what is counted in `counts`.

mod answer;
mod counts;
mod run;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::{Deadline, telemetry};
use store::{AthleteId, Holds, Snapshot};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Connector;
use crate::job::Job;
use crate::setback::UNWELL;

use counts::Counts;
use run::{Ended, Outcome};

/// Jobs of one batch under way at once.
const CONCURRENCY: usize = 64;

/// A job is not begun with less than this left: an unchanged athlete takes a second or two, a changed one a few more.
const TO_SYNC: Duration = Duration::from_secs(20);

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
        let mut counts = Counts::of(batch.len());
        let (mut news, mut holds) = (BTreeSet::new(), Holds::default());
        for ((position, message), verdict) in batch.iter().enumerate().zip(&mut verdicts) {
            match Job::from_message(&message.body) {
                Err(unreadable) => {
                    counts.unreadable += 1;
                    *verdict = self.bury(message, &unreadable.to_string(), deadline).await;
                }
                Ok(Job::Sync { tick, .. }) if self.is_stale(tick) => {
                    counts.miss();
                    *verdict = Verdict::Done;
                }
                Ok(Job::Sync { athlete, .. }) if !syncing.insert(athlete.clone()) => *verdict = Verdict::Done,
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
                    if matches!(job, Job::Sync { .. }) {
                        counts.miss();
                    }
                    let again = self.try_again(&job, attempts, UNWELL, deadline).await;
                    if let Some(verdict) = verdicts.get_mut(position) {
                        *verdict = again;
                    }
                }
            }
            Ok(snapshot) => {
                counts.expect(&jobs, &snapshot);
                holds.clone_from(&snapshot.holds);
                let mut running = self.start(jobs, snapshot, deadline);
                while let Some(ended) = running.join_next().await {
                    let Ok((position, ended)) = ended else {
                        // The panic's own message may quote what it choked on.
                        tracing::error!("a job panicked; its message comes back");
                        counts.failed += 1;
                        continue;
                    };
                    counts.count(position, &ended);
                    news.extend(ended.news);
                    if let Some(verdict) = verdicts.get_mut(position) {
                        *verdict = ended.verdict;
                    }
                }
            }
        }
        self.postpone(&batch, &verdicts, deadline.handover()).await;
        counts.report(self.clock.now(), self.happened());
        // After everything else: what is told here is for people to read, and nobody's records wait for it.
        self.tell_news(news, &holds, deadline).await;
        // What that met is this batch's as well; what was counted before is reported whatever becomes of the telling.
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
