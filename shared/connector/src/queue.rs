//! Where jobs wait: SQS when deployed, a list in this process otherwise.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures::stream::{self, StreamExt};
use runtime::Deadline;

use crate::job::Job;

/// SQS takes at most this many messages in one call.
const BATCH: usize = 10;

/// Batch calls under way at once.
const CALLS: usize = 8;

/// How often the entries a batch call failed are sent again.
const ATTEMPTS: usize = 3;

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
    InProcess(Waiting),
}

/// The queue of a single process: nothing is delivered twice, nothing survives the process. What must not be lost, the
/// table remembers.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<Lists>>);

#[derive(Debug, Default)]
struct Lists {
    jobs: VecDeque<(String, Duration)>,
    dead_letters: Vec<(String, String)>,
}

/// A message could not be put on the queue; nothing says whether it was. Sending it again does no harm.
#[derive(Debug, thiserror::Error)]
#[error("{lost} of {sent} messages could not be queued: {why}")]
pub struct QueueError {
    /// How many were to be sent.
    pub sent: usize,
    /// How many were not.
    pub lost: usize,
    /// What the service said.
    pub why: String,
}

impl Queue {
    /// Queues jobs, each to become visible after its delay (at most 15 minutes). Entries that fail in a batch are sent
    /// again; the error counts those that failed for good.
    pub async fn send(&self, jobs: &[(Job, Duration)], deadline: Deadline) -> Result<(), QueueError> {
        match self {
            Self::InProcess(waiting) => {
                waiting.lists(|lists| lists.jobs.extend(jobs.iter().map(|(job, delay)| (job.to_message(), *delay))));
                Ok(())
            }
            Self::Sqs { client, jobs: address, .. } => {
                let calls = jobs.chunks(BATCH).map(|chunk| send_batch(client, address, chunk, deadline));
                let calls: Vec<_> = calls.collect();
                let outcomes: Vec<_> = stream::iter(calls).buffer_unordered(CALLS).collect().await;
                let lost = outcomes.iter().map(|(lost, _)| lost).sum();
                let why = outcomes.into_iter().find_map(|(lost, why)| (lost > 0).then_some(why));
                why.map_or(Ok(()), |why| Err(QueueError { sent: jobs.len(), lost, why }))
            }
        }
    }

    /// Puts a message that can never be handled where an operator finds it, with the reason.
    pub async fn bury(&self, message: &str, reason: &str, deadline: Deadline) -> Result<(), QueueError> {
        match self {
            Self::InProcess(waiting) => {
                waiting.lists(|lists| lists.dead_letters.push((message.to_owned(), reason.to_owned())));
                Ok(())
            }
            Self::Sqs { client, dead_letters, .. } => {
                let failed = |why| QueueError { sent: 1, lost: 1, why };
                let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
                let reason = reason.map_err(|error| failed(error.to_string()))?;
                // SQS refuses an empty body, but an empty message can't have come from it either.
                let body = if message.is_empty() { " " } else { message };
                let request =
                    client.send_message().queue_url(dead_letters).message_body(body).message_attributes("reason", reason);
                match tokio::time::timeout_at(deadline.instant(), request.send()).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(failed(DisplayErrorContext(error).to_string())),
                    Err(elapsed) => Err(failed(elapsed.to_string())),
                }
            }
        }
    }

    /// Makes a message invisible for `delay` from now, so that it is tried again then.
    pub async fn postpone(&self, receipt: &str, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let Self::Sqs { client, jobs, .. } = self else { return Ok(()) };
        let failed = |why| QueueError { sent: 1, lost: 1, why };
        let seconds = i32::try_from(delay.as_secs()).unwrap_or(i32::MAX).clamp(0, LONGEST_INVISIBLE);
        let request = client.change_message_visibility().queue_url(jobs).receipt_handle(receipt).visibility_timeout(seconds);
        match tokio::time::timeout_at(deadline.instant(), request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(DisplayErrorContext(error).to_string())),
            Err(elapsed) => Err(failed(elapsed.to_string())),
        }
    }
}

/// The longest visibility time-out (SQS: twelve hours).
const LONGEST_INVISIBLE: i32 = 43_200;

/// Sends up to ten jobs and again what of them failed; answers how many were lost, and why.
async fn send_batch(client: &Client, address: &str, jobs: &[(Job, Duration)], deadline: Deadline) -> (usize, String) {
    let mut entries: Vec<_> = jobs
        .iter()
        .enumerate()
        .filter_map(|(position, (job, delay))| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_body(job.to_message())
                .delay_seconds(i32::try_from(delay.as_secs()).unwrap_or(900).min(900))
                .build()
                .ok()
        })
        .collect();
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        let request = client.send_message_batch().queue_url(address).set_entries(Some(entries.clone()));
        match tokio::time::timeout_at(deadline.instant(), request.send()).await {
            Ok(Ok(answer)) => {
                let failed: Vec<_> = answer.failed().iter().map(|failure| failure.id().to_owned()).collect();
                why = answer.failed().first().map(|failure| failure.code().to_owned()).unwrap_or_default();
                entries.retain(|entry| failed.iter().any(|id| id == entry.id()));
            }
            Ok(Err(error)) => why = DisplayErrorContext(error).to_string(),
            Err(elapsed) => return (entries.len(), elapsed.to_string()),
        }
        if entries.is_empty() {
            break;
        }
    }
    (entries.len(), why)
}

impl Waiting {
    /// Takes the first message that waits, with its delay.
    #[must_use]
    pub fn take(&self) -> Option<(String, Duration)> {
        self.lists(|lists| lists.jobs.pop_front())
    }

    /// Takes up to `count` messages.
    #[must_use]
    pub fn take_up_to(&self, count: usize) -> Vec<(String, Duration)> {
        self.lists(|lists| {
            let count = count.min(lists.jobs.len());
            lists.jobs.drain(..count).collect()
        })
    }

    /// Puts a message at the end, as a queue does with one that was not handled.
    pub fn put(&self, message: String, delay: Duration) {
        self.lists(|lists| lists.jobs.push_back((message, delay)));
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists(|lists| lists.jobs.len())
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dead letters, each with its reason.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<(String, String)> {
        self.lists(|lists| lists.dead_letters.clone())
    }

    fn lists<T>(&self, with: impl FnOnce(&mut Lists) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
