//! Failures of the table and of the network.

use std::time::Duration;

use store::{Store, StoreError};
use tokio::time::Instant;

use crate::wire::Act;
use crate::{TABLE, Table, at, athlete, authorised, soon};

/// An error answer of DynamoDB, with the code after a `#`, as in its JSON protocol.
fn error(status: u16, code: &str) -> Act {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    Act::Answer(status, format!(r#"{{"__type":"{kind}","message":"about ATHLETE#ada"}}"#))
}

/// A cancelled transaction, with the code of each part.
fn cancelled(codes: &[&str]) -> Act {
    let reasons: Vec<_> = codes.iter().map(|code| format!(r#"{{"Code":"{code}"}}"#)).collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let reasons = reasons.join(",");
    Act::Answer(400, format!(r#"{{"__type":"{kind}","message":"cancelled","CancellationReasons":[{reasons}]}}"#))
}

async fn read(table: &Table) -> StoreError {
    table.store.connection(&athlete("ada"), soon()).await.unwrap_err()
}

#[tokio::test]
async fn each_error_is_classified_and_its_message_dropped() {
    let table = Table::new().await;
    for code in ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"] {
        table.wire.script([error(400, code)]);
        assert!(matches!(read(&table).await, StoreError::Throttled { .. }), "{code}");
    }
    for (status, code) in [(500, "InternalServerError"), (503, "ServiceUnavailable")] {
        table.wire.script([error(status, code)]);
        assert!(matches!(read(&table).await, StoreError::Unavailable { why, .. } if why == code), "{code}");
    }
    for code in ["ResourceNotFoundException", "AccessDeniedException", "ValidationException"] {
        table.wire.script([error(400, code)]);
        let error = read(&table).await;
        assert!(matches!(&error, StoreError::Bug { why, .. } if why == code), "{error}");
        assert!(!format!("{error} {error:?}").contains("ada"), "{error:?}");
        assert!(!error.is_retryable());
    }
    table.wire.script([Act::Answer(502, "<html>".to_owned())]);
    assert!(matches!(read(&table).await, StoreError::Unavailable { .. }));
    table.wire.script([Act::Answer(200, "{".to_owned())]);
    assert!(matches!(read(&table).await, StoreError::Unavailable { .. }));
    table.wire.script([Act::LoseAnswer]);
    assert!(matches!(read(&table).await, StoreError::Unavailable { .. }));
}

#[tokio::test]
async fn a_missing_table_is_not_retryable() {
    let table = Table::new().await;
    let elsewhere = Store::new(table.raw.clone(), "another-table");
    let error = elsewhere.connection(&athlete("ada"), soon()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Bug { why, .. } if why == "ResourceNotFoundException"), "{error}");
}

#[tokio::test]
async fn nothing_waits_past_its_deadline() {
    let table = Table::new().await;
    table.wire.script([Act::Silence]);
    let deadline = Instant::now() + Duration::from_millis(50);
    let error = table.store.connection(&athlete("ada"), deadline).await.unwrap_err();
    assert!(matches!(error, StoreError::TimedOut { .. }) && error.is_retryable(), "{error}");

    // After the deadline, no request is sent at all.
    table.wire.requests();
    let error = table.store.put_enrolment(&enrolment(), Instant::now()).await.unwrap_err();
    assert!(matches!(error, StoreError::TimedOut { .. }), "{error}");
    assert!(table.wire.requests().is_empty());
}

fn enrolment() -> store::Enrolment {
    store::Enrolment {
        athlete: athlete("ada"),
        user_id: 1,
        name: String::new(),
        link_expires: at(0),
        basis: String::new(),
        told: at(0),
        links_from: None,
        staff: store::Told::default(),
    }
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    // Bound but not listening: the port refuses connections, and no other process can take it meanwhile.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", port.local_addr().unwrap());
    let store = Store::new(dynamo::client_at(&endpoint), TABLE);
    let error = store.connection(&athlete("ada"), soon()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn unprocessed_keys_are_requested_again() {
    let table = Table::new().await;
    for name in ["ada", "bob"] {
        table.connected(name).await;
    }
    let asked = ["ada", "bob"].map(athlete);
    table.wire.requests();
    let key = |name| format!(r#"{{"pk":{{"S":"ATHLETE#{name}"}},"sk":{{"S":"CONNECTION"}}}}"#);
    let left_out = format!(r#"{{"{TABLE}":{{"Keys":[{},{}]}}}}"#, key("ada"), key("bob"));
    let none = format!(r#"{{"Responses":{{"{TABLE}":[]}},"UnprocessedKeys":{left_out}}}"#);
    table.wire.script([Act::Answer(200, none.clone()), Act::Answer(200, none.clone())]);
    assert_eq!(table.store.snapshot(&asked, soon()).await.unwrap().connections.len(), 2);
    assert_eq!(table.wire.requests(), ["BatchGetItem"; 3]);

    // A table that stays busy: the call fails at the deadline and never returns a partial result.
    table.wire.script(std::iter::repeat_with(|| Act::Answer(200, none.clone())).take(1000));
    let deadline = Instant::now() + Duration::from_millis(100);
    let error = table.store.snapshot(&asked, deadline).await.unwrap_err();
    assert!(matches!(error, StoreError::Throttled { .. } | StoreError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_conflicting_transaction_is_sent_again() {
    let table = Table::new().await;
    table.wire.script([
        Act::Pass,
        cancelled(&["None", "TransactionConflict"]),
        error(400, "TransactionInProgressException"),
    ]);
    table.connected("ada").await;
    let transaction = "TransactWriteItems";
    assert_eq!(table.wire.requests(), ["GetItem", transaction, transaction, transaction]);

    table.wire.script([Act::Pass, cancelled(&["ValidationError", "None"])]);
    let error = table.store.connect(&authorised("ada"), soon()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Bug { why, .. } if why == "ValidationError"), "{error}");
}
