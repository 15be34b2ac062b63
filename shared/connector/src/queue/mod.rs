//! Where jobs wait: SQS when deployed, a list in this process otherwise.

pub mod message;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use runtime::{Clock, Deadline};

use crate::queue::message::Job;
use crate::schedule::plan;
use crate::{Connector, Disposition, WorkerMessage};

/// SQS takes at most this many messages in one call.
const BATCH: usize = 10;

/// Batch calls under way at once.
const CALLS: usize = 8;

/// How often an entry of a batch call is sent before it is given up.
const ATTEMPTS: usize = 3;

/// The longest a message is kept back (SQS: `DelaySeconds`).
const LONGEST_DELAY: i32 = 900;

/// The longest visibility time-out (SQS: twelve hours).
const LONGEST_INVISIBLE: i32 = 43_200;

/// The queue of jobs and the dead-letter queue beside it.
#[derive(Clone, Debug)]
pub enum Queue {
    /// Two SQS queues.
    Sqs {
        /// The client.
        client: Client,
        /// The jobs' address.
        jobs: String,
        /// The dead letters' address.
        dead_letters: String,
    },
    /// Two lists in this process.
    InProcess(InProcessQueue),
}

/// The queue of a single process, with the rules of the real one: a message becomes visible when its delay is over, is
/// handed out once at a time, comes back when it was not handled, and is buried after five attempts. It does not
/// survive the process: what is owed to the forms the table remembers, but not a grant that could not be stored, nor one
/// that Oura has not revoked. What is buried is logged, since nobody can look here.
#[derive(Clone, Debug)]
pub struct InProcessQueue {
    clock: Clock,
    lists: Arc<Mutex<Lists>>,
}

/// A message that was handed out.
#[derive(Clone, Debug)]
pub struct Received {
    /// The text.
    pub body: String,
    /// How often it was handed out, this time included.
    pub attempts: u32,
}

#[derive(Debug, Default)]
struct Lists {
    jobs: Vec<(Timestamp, Received)>,
    dead_letters: Vec<(String, String)>,
}

/// How often a message is tried before it is buried (the template's `maxReceiveCount`).
const ATTEMPTS_BEFORE_BURIAL: u32 = 5;

/// A message could not be put on the queue; nothing says whether it was. Sending it again does no harm.
#[derive(Debug, thiserror::Error)]
#[error("{lost} of {sent} messages could not be queued: {why}")]
pub struct QueueError {
    /// How many were to be sent.
    pub sent: usize,
    /// How many were not.
    pub lost: usize,
    /// How many of the first were certainly queued.
    pub queued_first: usize,
    /// What the service said.
    pub why: String,
}

impl Queue {
    /// Queues jobs, each to become visible after its delay (at most 15 minutes). Entries that fail in a batch are sent
    /// again; the error counts those that failed for good.
    pub async fn send(&self, jobs: &[(Job, Duration)], deadline: Deadline) -> Result<(), QueueError> {
        match self {
            Self::InProcess(waiting) => {
                for (job, delay) in jobs {
                    waiting.send(job.to_message(), *delay);
                }
                Ok(())
            }
            Self::Sqs { client, jobs: address, .. } => {
                let calls = jobs.chunks(BATCH).map(|chunk| send_batch(client, address, chunk, deadline));
                let calls: Vec<_> = calls.collect();
                let outcomes: Vec<_> = stream::iter(calls).buffered(CALLS).collect().await;
                let lost = outcomes.iter().map(|(lost, _)| lost).sum();
                let queued_first = outcomes.iter().take_while(|(lost, _)| *lost == 0).count() * BATCH;
                let why = outcomes.into_iter().find_map(|(lost, why)| (lost > 0).then_some(why));
                why.map_or(Ok(()), |why| Err(QueueError { sent: jobs.len(), lost, queued_first, why }))
            }
        }
    }

    /// Puts a message that can never be handled where an operator finds it, with the reason.
    pub async fn bury(&self, message: &str, reason: &str, deadline: Deadline) -> Result<(), QueueError> {
        match self {
            Self::InProcess(waiting) => {
                waiting.bury(message, reason);
                Ok(())
            }
            Self::Sqs { client, dead_letters, .. } => {
                let failed = |why| QueueError { sent: 1, lost: 1, queued_first: 0, why };
                let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
                let reason = reason.map_err(|error| failed(error.to_string()))?;
                // SQS refuses an empty body, but an empty message can't have come from it either.
                let body = if message.is_empty() { " " } else { message };
                let request = client
                    .send_message()
                    .queue_url(dead_letters)
                    .message_body(body)
                    .message_attributes("reason", reason);
                in_time(request.send(), deadline).await.map(drop).map_err(failed)
            }
        }
    }

    /// Makes a message invisible for `delay` from now, so that it is tried again then.
    pub async fn postpone(&self, receipt: &str, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let Self::Sqs { client, jobs, .. } = self else { return Ok(()) };
        let failed = |why| QueueError { sent: 1, lost: 1, queued_first: 0, why };
        let seconds = seconds(delay, LONGEST_INVISIBLE);
        let request =
            client.change_message_visibility().queue_url(jobs).receipt_handle(receipt).visibility_timeout(seconds);
        in_time(request.send(), deadline).await.map(drop).map_err(failed)
    }
}

/// Sends up to ten jobs and again what of them failed; answers how many were lost, and why.
async fn send_batch(client: &Client, address: &str, jobs: &[(Job, Duration)], deadline: Deadline) -> (usize, String) {
    let mut entries: Vec<_> = jobs
        .iter()
        .enumerate()
        .filter_map(|(position, (job, delay))| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_body(job.to_message())
                .delay_seconds(seconds(*delay, LONGEST_DELAY))
                .build()
                .ok()
        })
        .collect();
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        let request = client.send_message_batch().queue_url(address).set_entries(Some(entries.clone()));
        match in_time(request.send(), deadline).await {
            Ok(answer) => {
                let failed: Vec<_> = answer.failed().iter().map(|failure| failure.id().to_owned()).collect();
                why = answer.failed().first().map(|failure| failure.code().to_owned()).unwrap_or_default();
                entries.retain(|entry| failed.iter().any(|id| id == entry.id()));
            }
            Err(error) => why = error,
        }
        if entries.is_empty() || deadline.remaining().is_zero() {
            break;
        }
    }
    (entries.len(), why)
}

/// The answer of a call, or why there is none by the deadline.
async fn in_time<T, E: Error>(call: impl Future<Output = Result<T, E>>, deadline: Deadline) -> Result<T, String> {
    match tokio::time::timeout_at(deadline.instant(), call).await {
        Ok(answer) => answer.map_err(|error| DisplayErrorContext(error).to_string()),
        Err(elapsed) => Err(elapsed.to_string()),
    }
}

/// Whole seconds, at most `most`.
fn seconds(delay: Duration, most: i32) -> i32 {
    i32::try_from(delay.as_secs()).map_or(most, |seconds| seconds.min(most))
}

impl InProcessQueue {
    /// An empty queue whose delays run on `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, lists: Arc::default() }
    }

    /// Hands out up to `most` messages that are visible now, the longest visible first.
    #[must_use]
    pub fn receive(&self, most: usize) -> Vec<Received> {
        let now = self.clock.now();
        self.with(|lists| {
            lists.jobs.sort_by_key(|(visible, _)| *visible);
            let visible = lists.jobs.iter().take(most).take_while(|(visible, _)| *visible <= now).count();
            lists
                .jobs
                .drain(..visible)
                .map(|(_, message)| Received { attempts: message.attempts + 1, ..message })
                .collect()
        })
    }

    /// What the worker function does with the next batch; answers how many messages there were.
    pub async fn work(&self, connector: &Arc<Connector>, deadline: Deadline) -> usize {
        let received = self.receive(plan::BURST as usize);
        if received.is_empty() {
            return 0;
        }
        let batch = received.iter().enumerate();
        let batch = batch.map(|(position, message)| WorkerMessage {
            id: position.to_string(),
            body: message.body.clone(),
            receipt: None,
            attempts: message.attempts,
        });
        let verdicts = connector.work(batch.collect(), deadline).await;
        let count = received.len();
        for (message, (_, verdict)) in received.into_iter().zip(verdicts) {
            if let Disposition::RetryAfter(delay) = verdict {
                self.put_back(message, delay);
            }
        }
        count
    }

    /// Puts back a message that was not handled, to become visible after `delay`; or buries it, if that was its last
    /// attempt.
    pub fn put_back(&self, message: Received, delay: Duration) {
        if message.attempts >= ATTEMPTS_BEFORE_BURIAL {
            // Its text may hold a sealed grant.
            if let Ok(job) = Job::from_message(&message.body) {
                tracing::error!(athlete = %job.athlete(), job = job.kind(), "given up: tried too often");
            }
            self.with(|lists| lists.dead_letters.push((message.body, "tried too often".to_owned())));
        } else {
            self.put(message, delay);
        }
    }

    /// Queues a text, whatever it says.
    pub fn send(&self, body: String, delay: Duration) {
        self.put(Received { body, attempts: 0 }, delay);
    }

    /// When the last of the messages that become visible up to `until` does so, if there is one.
    #[must_use]
    pub fn last_visible(&self, until: Timestamp) -> Option<Timestamp> {
        self.with(|lists| lists.jobs.iter().map(|(visible, _)| *visible).filter(|visible| *visible <= until).max())
    }

    /// How many messages wait, visible or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|lists| lists.jobs.len())
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts that wait.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.with(|lists| lists.jobs.iter().map(|(_, message)| message.body.clone()).collect())
    }

    /// The dead letters, each with its reason.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<(String, String)> {
        self.with(|lists| lists.dead_letters.clone())
    }

    fn put(&self, message: Received, delay: Duration) {
        let visible = self.clock.now().checked_add(delay).unwrap_or(Timestamp::MAX);
        self.with(|lists| lists.jobs.push((visible, message)));
    }

    fn bury(&self, body: &str, reason: &str) {
        self.with(|lists| lists.dead_letters.push((body.to_owned(), reason.to_owned())));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Lists) -> T) -> T {
        change(&mut self.lists.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
