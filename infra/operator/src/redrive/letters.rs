//! The dead-letter queue in SQS. Receiving a message hides it from other readers for a while.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use connector::queue::message::Job;
use jiff::Timestamp;

use crate::aws;
use crate::failure::Failure;
use crate::stack::Stack;

/// The most messages that SQS returns, or accepts, in one call.
const BATCH: i32 = 10;

/// How long the letters stay hidden from others while one operator reads them, in seconds.
const HIDDEN: i32 = 600;

/// How long one call waits for messages, in seconds. With any wait above zero, SQS queries all its servers.
const WAIT: i32 = 1;

/// A deployment's dead-letter queue, and its job queue.
#[derive(Debug)]
pub(crate) struct Letters<'a> {
    client: Client,
    stack: &'a Stack,
    dead: &'a str,
    jobs: &'a str,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) body: String,
    /// Why the worker set it aside, if the message never was a job.
    pub(crate) reason: Option<String>,
    pub(crate) sent_at: Option<Timestamp>,
    receipt: String,
}

/// Counts the dead letters, hidden or not. Hides none.
pub(crate) async fn waiting(stack: &Stack) -> Result<u64, Failure> {
    let visible = QueueAttributeName::ApproximateNumberOfMessages;
    let hidden = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    let request = Client::new(&stack.aws)
        .get_queue_attributes()
        .queue_url(stack.output("DeadLetterQueueUrl")?)
        .attribute_names(visible.clone())
        .attribute_names(hidden.clone());
    let answer = request.send().await.map_err(|error| aws::explain("count the dead letters", &error, &stack.aws))?;
    let attributes = answer.attributes.unwrap_or_default();
    let count = |name| attributes.get(&name).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    Ok(count(visible) + count(hidden))
}

impl<'a> Letters<'a> {
    pub(crate) fn of(stack: &'a Stack) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::new(&stack.aws),
            stack,
            dead: stack.output("DeadLetterQueueUrl")?,
            jobs: stack.output("QueueUrl")?,
        })
    }

    /// Receives every letter that no other reader has hidden, the oldest first.
    pub(crate) async fn take(&self) -> Result<Vec<Letter>, Failure> {
        let mut letters: BTreeMap<String, Letter> = BTreeMap::new();
        loop {
            let request = self
                .client
                .receive_message()
                .queue_url(self.dead)
                .max_number_of_messages(BATCH)
                .visibility_timeout(HIDDEN)
                .wait_time_seconds(WAIT)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .message_attribute_names("All");
            let answer = request.send().await.map_err(|error| self.refused("read the dead letters", &error))?;
            let before = letters.len();
            // If a letter becomes visible again during the reading, only its newest receipt is valid.
            let read = answer.messages.unwrap_or_default().into_iter().filter_map(Letter::read);
            letters.extend(read.map(|letter| (letter.id.clone(), letter)));
            if letters.len() == before {
                let mut letters: Vec<_> = letters.into_values().collect();
                letters.sort_by_key(|letter| letter.sent_at);
                return Ok(letters);
            }
        }
    }

    /// Puts a job back on the queue as a new message.
    pub(crate) async fn send(&self, letter: &Letter, job: &Job) -> Result<(), Failure> {
        let body = match job {
            // A rescue retries for a day and a revocation for a week. Both count their attempts; a job sent again
            // starts from zero.
            Job::Rescue { athlete, generation, grant, .. } => {
                let (athlete, grant) = (athlete.clone(), grant.clone());
                Job::Rescue { athlete, generation: *generation, grant, tries: 0 }.to_message()
            }
            Job::Revoke { athlete, grant, oura_user, .. } => {
                let (athlete, grant, oura_user) = (athlete.clone(), grant.clone(), oura_user.clone());
                Job::Revoke { athlete, grant, oura_user, tries: 0 }.to_message()
            }
            Job::Sync { .. } | Job::Backfill { .. } => letter.body.clone(),
        };
        let request = self.client.send_message().queue_url(self.jobs).message_body(body);
        request.send().await.map_err(|error| self.refused("send a job again", &error))?;
        Ok(())
    }

    /// Deletes the letter.
    pub(crate) async fn delete(&self, letter: &Letter) -> Result<(), Failure> {
        let request = self.client.delete_message().queue_url(self.dead).receipt_handle(&letter.receipt);
        request.send().await.map_err(|error| self.refused("delete a dead letter", &error))?;
        Ok(())
    }

    /// Makes these letters visible again. If that fails, they become visible when the time-out ends.
    pub(crate) async fn put_back(&self, letters: &[&Letter]) {
        for letters in letters.chunks(BATCH.unsigned_abs() as usize) {
            let entries = letters.iter().enumerate().filter_map(|(position, letter)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(&letter.receipt)
                    .visibility_timeout(0)
                    .build()
                    .ok()
            });
            let entries = Some(entries.collect());
            let request = self.client.change_message_visibility_batch().queue_url(self.dead).set_entries(entries);
            let _ = request.send().await;
        }
    }

    fn refused<E, R>(&self, doing: &str, error: &aws_sdk_sqs::error::SdkError<E, R>) -> Failure
    where
        E: std::error::Error + aws_sdk_sqs::error::ProvideErrorMetadata + 'static,
        R: std::fmt::Debug + 'static,
    {
        aws::explain(doing, error, &self.stack.aws)
    }
}

impl Letter {
    /// SQS sends no message without an id or a receipt. Such a message could not be deleted.
    fn read(message: Message) -> Option<Self> {
        let attributes = message.message_attributes.unwrap_or_default();
        let reason = attributes.get("reason").and_then(|reason| reason.string_value.clone());
        let sent = message.attributes.unwrap_or_default().remove(&MessageSystemAttributeName::SentTimestamp);
        let sent_at = sent.and_then(|milliseconds| milliseconds.parse().ok());
        Some(Self {
            id: message.message_id?,
            body: message.body.unwrap_or_default(),
            reason,
            sent_at: sent_at.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok()),
            receipt: message.receipt_handle?,
        })
    }
}
