//! Sends requests to DynamoDB. Never waits past the deadline, and repeats until DynamoDB has answered everything it was
//! asked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, TransactWriteItem};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::attributes::Item;
use crate::error::{StoreError, by_code, classify};
use crate::keys::Key;

/// The maximum number of items in one `BatchGetItem`.
const BATCH: usize = 100;
/// The reason DynamoDB gives for a part of a cancelled transaction whose condition failed (API reference,
/// `CancellationReason`).
const CONDITION_FAILED: &str = "ConditionalCheckFailed";
/// The pause before the first repetition, and the maximum pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(320));

/// The table. Cheap to clone: every clone shares the client's connections.
///
/// Each operation takes a `deadline` and never waits past it. The client does its own retries.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: Arc<str>,
}

/// The outcome of a transaction.
pub(crate) enum Transacted {
    Done,
    /// Nothing was written. Holds the positions of the parts whose conditions failed.
    Refused(BTreeSet<usize>),
}

impl Store {
    /// A store on the table named `table`, through a client that the caller has configured.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into().into() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Reads one item. A consistent read: it includes every write that was answered before this call.
    pub(crate) async fn get(
        &self,
        key: &Key,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Option<Item>, StoreError> {
        let request =
            self.client.get_item().table_name(self.table()).set_key(Some(key.attributes())).consistent_read(true);
        let answer = bounded(operation, deadline, request.send()).await?;
        Ok(answer.map_err(|error| classify(operation, &error))?.item)
    }

    /// Reads those of the items that exist. Sends one request per hundred keys. When DynamoDB leaves keys out of an
    /// answer (`UnprocessedKeys`), asks again with growing pauses, until the deadline.
    pub(crate) async fn batch_get(
        &self,
        keys: BTreeSet<Key>,
        consistent: bool,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<HashMap<Key, Item>, StoreError> {
        let mut wanted: Vec<_> = keys.iter().map(Key::attributes).collect();
        let mut found = HashMap::new();
        let mut pause = Pause::new(operation, deadline);
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(BATCH));
            let asked = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(consistent)
                .build()
                .map_err(|error| StoreError::Bug { operation, why: error.to_string() })?;
            let request = self.client.batch_get_item().request_items(self.table(), asked);
            let answer = bounded(operation, deadline, request.send()).await?;
            let answer = answer.map_err(|error| classify(operation, &error))?;
            let items = answer.responses.unwrap_or_default().into_values().flatten();
            found.extend(items.filter_map(|item| Some((Key::of(&item)?, item))));
            wanted = rest;
            let unprocessed: Vec<_> =
                answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|asked| asked.keys).collect();
            if !unprocessed.is_empty() {
                wanted.extend(unprocessed);
                pause.wait().await?;
            }
        }
        Ok(found)
    }

    /// Writes all the parts or none. If the transaction only conflicted with another one on the same item, sends it
    /// again until the deadline: a conflict in time is no outcome.
    pub(crate) async fn transact(
        &self,
        parts: Vec<TransactWriteItem>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Transacted, StoreError> {
        let mut pause = Pause::new(operation, deadline);
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(parts.clone()));
            let Err(error) = bounded(operation, deadline, request.send()).await? else { return Ok(Transacted::Done) };
            match cancelled(operation, &error) {
                Ok(refused) => return Ok(Transacted::Refused(refused)),
                Err(StoreError::Throttled { .. }) => pause.wait().await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Waits for an answer, but never past the deadline. If the deadline has already passed, sends nothing.
pub(crate) async fn bounded<T>(
    operation: &'static str,
    deadline: Instant,
    request: impl Future<Output = T>,
) -> Result<T, StoreError> {
    if Instant::now() >= deadline {
        return Err(StoreError::TimedOut { operation });
    }
    // On the heap, because the SDK's futures are large and callers hold several of them.
    timeout_at(deadline, Box::pin(request)).await.map_err(|_| StoreError::TimedOut { operation })
}

/// The positions of the parts whose conditions failed. If none failed, the error that cancelled the transaction.
fn cancelled<R>(
    operation: &'static str,
    error: &SdkError<TransactWriteItemsError, R>,
) -> Result<BTreeSet<usize>, StoreError> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return Err(classify(operation, error));
    };
    let reasons = cancelled.cancellation_reasons();
    let refused = |(place, reason): (usize, &aws_sdk_dynamodb::types::CancellationReason)| {
        (reason.code() == Some(CONDITION_FAILED)).then_some(place)
    };
    let refused: BTreeSet<usize> = reasons.iter().enumerate().filter_map(refused).collect();
    if !refused.is_empty() {
        return Ok(refused);
    }
    let code = reasons.iter().filter_map(|reason| reason.code()).find(|&code| code != "None");
    Err(by_code(operation, code.or(error.code())))
}

/// Pauses that double up to a maximum and end at the deadline.
pub(crate) struct Pause {
    operation: &'static str,
    deadline: Instant,
    next: Duration,
}

impl Pause {
    pub(crate) fn new(operation: &'static str, deadline: Instant) -> Self {
        Self { operation, deadline, next: PAUSES.0 }
    }

    /// Waits twice as long as last time, up to the maximum. If the deadline is too near for that, returns
    /// [`StoreError::Throttled`].
    pub(crate) async fn wait(&mut self) -> Result<(), StoreError> {
        let until = Instant::now() + self.next;
        if until >= self.deadline {
            return Err(StoreError::Throttled { operation: self.operation });
        }
        self.next = (self.next * 2).min(PAUSES.1);
        sleep_until(until).await;
        Ok(())
    }
}
