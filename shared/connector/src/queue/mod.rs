//! The queue of jobs: SQS when deployed, otherwise a list in this process.

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

/// The most batch calls sent concurrently.
const CALLS: usize = 8;

/// How often an entry of a batch call is sent before it counts as failed.
const ATTEMPTS: usize = 3;

/// The longest delay of a new message, in seconds (SQS: `DelaySeconds`).
const LONGEST_DELAY: i32 = 900;

/// The longest visibility timeout, in seconds (SQS: twelve hours).
const LONGEST_INVISIBLE: i32 = 43_200;

/// The queue of jobs and its dead-letter queue.
#[derive(Clone, Debug)]
pub enum Queue {
    /// Two SQS queues.
    Sqs {
        /// The client.
        client: Client,
        /// The URL of the job queue.
        jobs: String,
        /// The URL of the dead-letter queue.
        dead_letters: String,
    },
    /// Two lists in this process.
    InProcess(InProcessQueue),
}

/// The queue of a single process, with the rules of SQS. A message becomes visible after its delay, is received by one
/// worker at a time, returns when it was not handled, and becomes a dead letter after five attempts. The queue is lost
/// when the process ends. The table remembers missing days, but not a grant that could not be stored, nor a revocation
/// still to do. Dead letters are logged, since an operator cannot inspect this queue.
#[derive(Clone, Debug)]
pub struct InProcessQueue {
    clock: Clock,
    lists: Arc<Mutex<Lists>>,
}

/// A received message.
#[derive(Clone, Debug)]
pub struct Received {
    /// The text.
    pub body: String,
    /// How often it was received, this time included.
    pub attempts: u32,
}

#[derive(Debug, Default)]
struct Lists {
    jobs: Vec<(Timestamp, Received)>,
    dead_letters: Vec<(String, String)>,
}

/// How often a message is tried before it becomes a dead letter (the template's `maxReceiveCount`).
const ATTEMPTS_BEFORE_BURIAL: u32 = 5;

/// Messages could not be queued, or their outcome is unknown. Sending them again is harmless.
#[derive(Debug, thiserror::Error)]
#[error("{lost} of {sent} messages could not be queued: {why}")]
pub struct QueueError {
    /// How many were to be sent.
    pub sent: usize,
    /// How many were not.
    pub lost: usize,
    /// How many messages from the start of the list were certainly queued.
    pub queued_first: usize,
    /// The service's error.
    pub why: String,
}

impl Queue {
    /// Queues jobs, each with its delay (at most 15 minutes). Failed entries of a batch are sent again; the error
    /// counts those that failed on every attempt.
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

    /// Moves a message that can never be handled to the dead-letter queue, with the reason, for the operator.
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
                // SQS refuses an empty body. It never delivers one either, so no content is lost.
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

    /// Makes a message invisible for `delay` from now, after which it is tried again.
    pub async fn postpone(&self, receipt: &str, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let Self::Sqs { client, jobs, .. } = self else { return Ok(()) };
        let failed = |why| QueueError { sent: 1, lost: 1, queued_first: 0, why };
        let seconds = seconds(delay, LONGEST_INVISIBLE);
        let request =
            client.change_message_visibility().queue_url(jobs).receipt_handle(receipt).visibility_timeout(seconds);
        in_time(request.send(), deadline).await.map(drop).map_err(failed)
    }
}

/// Sends up to ten jobs, and failed ones again. Returns how many were lost, and why.
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

/// The result of a call, or the error if there is none by the deadline.
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
    /// An empty queue that measures delays with `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, lists: Arc::default() }
    }

    /// Receives up to `most` visible messages, those visible longest first.
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

    /// Processes the next batch as the worker function does; returns the number of messages.
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

    /// Returns an unhandled message to the queue, visible after `delay`. After its last attempt, it becomes a dead
    /// letter instead.
    pub fn put_back(&self, message: Received, delay: Duration) {
        if message.attempts >= ATTEMPTS_BEFORE_BURIAL {
            // Log no text of the message: it may hold a sealed grant.
            if let Ok(job) = Job::from_message(&message.body) {
                tracing::error!(athlete = %job.athlete(), job = job.kind(), "given up: tried too often");
            }
            self.with(|lists| lists.dead_letters.push((message.body, "tried too often".to_owned())));
        } else {
            self.put(message, delay);
        }
    }

    /// Queues any text, valid message or not.
    pub fn send(&self, body: String, delay: Duration) {
        self.put(Received { body, attempts: 0 }, delay);
    }

    /// The latest time, up to `until`, at which a message becomes visible, if there is one.
    #[must_use]
    pub fn last_visible(&self, until: Timestamp) -> Option<Timestamp> {
        self.with(|lists| lists.jobs.iter().map(|(visible, _)| *visible).filter(|visible| *visible <= until).max())
    }

    /// The number of queued messages, visible or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|lists| lists.jobs.len())
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts of the queued messages.
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
