//! Answers requests of the AWS SDK, for the operations that the product and its tests use.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The headers that name the operation and the format.
pub(crate) const TARGET: &str = "x-amz-target";
pub(crate) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The longest request that DynamoDB accepts, in bytes.
pub(crate) const LARGEST_REQUEST: usize = 16 << 20;

/// A status and a JSON document.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Runs the operation that the header [`TARGET`] names, such as `DynamoDB_20120810.GetItem`. It blocks while SQLite
/// works.
pub(crate) fn answer(database: &Database, target: &str, body: &[u8]) -> Answer {
    match carry_out(database, target.rsplit('.').next().unwrap_or_default(), body) {
        Ok(body) => Answer { status: 200, body },
        Err(error) => Answer { status: error.status_code(), body: error.to_json() },
    }
}

fn carry_out(database: &Database, operation: &str, body: &[u8]) -> dynoxide::Result<String> {
    match operation {
        "BatchGetItem" => with(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => with(body, |request| database.batch_write_item(request)),
        "CreateTable" => with(body, |request| database.create_table(request)),
        "DeleteItem" => with(body, |request| database.delete_item(request)),
        "DeleteTable" => with(body, |request| database.delete_table(request)),
        "DescribeTable" => with(body, |request| database.describe_table(request)),
        "DescribeTimeToLive" => with(body, |request| database.describe_time_to_live(request)),
        "GetItem" => with(body, |request| database.get_item(request)),
        "ListTables" => with(body, |request| database.list_tables(request)),
        "PutItem" => with(body, |request| database.put_item(request)),
        "Query" => with(body, |request| database.query(request)),
        "Scan" => with(body, |request| database.scan(request)),
        "TransactWriteItems" => with(body, |request| database.transact_write_items(request)),
        "UpdateItem" => with(body, |request| database.update_item(request)),
        "UpdateTimeToLive" => with(body, |request| database.update_time_to_live(request)),
        other => Err(DynoxideError::ValidationException(format!("the embedded DynamoDB has no operation {other:?}"))),
    }
}

fn with<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> dynoxide::Result<String> {
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::ValidationException(error.to_string()))?;
    let answer = operation(request)?;
    serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
