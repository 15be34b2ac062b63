//! Errors of the table, and what the caller must do about each.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A failure of the table. The result of a condition is never an error: it is an outcome, and each operation has its
/// own.
///
/// **Every operation of this crate is safe to repeat.** The variants say whether repeating can help. After
/// [`Unavailable`](Self::Unavailable) and [`TimedOut`](Self::TimedOut) a write may or may not have been made. Repeat
/// the call: its outcome says what is true now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused the request for now and did nothing. Try again later.
    #[error("the table is busy: {operation} was refused")]
    Throttled {
        /// What was attempted.
        operation: &'static str,
    },
    /// No answer, or an internal error of DynamoDB. A write may have been made.
    #[error("the table did not answer {operation} ({why}); a write may have been made")]
    Unavailable {
        /// What was attempted.
        operation: &'static str,
        /// The error code, or how the connection failed.
        why: String,
    },
    /// The caller's deadline passed. A write may have been made.
    #[error("the table did not answer {operation} in time; a write may have been made")]
    TimedOut {
        /// What was attempted.
        operation: &'static str,
    },
    /// An item is not as this program writes it: an attribute is missing or has another type. The operator must look at
    /// the table.
    #[error("the item {key} is damaged: {what}")]
    Damaged {
        /// The item's key.
        key: String,
        /// Which attribute, and what is wrong with it. Never its value.
        what: String,
    },
    /// The request itself was refused: the table is missing, the role lacks a permission, or the request is wrong.
    /// Trying again cannot help. The deployment or this program must be fixed.
    #[error("{operation} was rejected: {why}")]
    Bug {
        /// What was attempted.
        operation: &'static str,
        /// The error code.
        why: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without a fix.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. } | Self::TimedOut { .. })
    }
}

/// Translates an SDK error that is no outcome of the operation. Only this file knows DynamoDB's error codes. They are
/// listed under "Error handling with DynamoDB" in its developer guide (`Programming.Errors`). The reasons of a
/// cancelled transaction are in the API reference of `TransactWriteItems`.
///
/// Keeps only the code, because messages can repeat the data that was sent.
pub(crate) fn classify<E, R>(operation: &'static str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata,
{
    let unavailable = |why: &str| StoreError::Unavailable { operation, why: why.to_owned() };
    match error {
        SdkError::ServiceError(context) => by_code(operation, context.err().code()),
        SdkError::TimeoutError(_) => StoreError::TimedOut { operation },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => StoreError::TimedOut { operation },
        SdkError::DispatchFailure(failure) if failure.is_io() => unavailable("the connection failed"),
        SdkError::DispatchFailure(_) => unavailable("the request could not be sent"),
        SdkError::ResponseError(_) => unavailable("the answer could not be read"),
        SdkError::ConstructionFailure(_) => {
            StoreError::Bug { operation, why: "the request could not be built".to_owned() }
        }
        _ => unavailable("unknown failure"),
    }
}

/// Translates an error code, or the reason of a cancelled transaction.
pub(crate) fn by_code(operation: &'static str, code: Option<&str>) -> StoreError {
    match code {
        // Error handling with DynamoDB: "OK to retry? Yes", and the request was not carried out.
        Some(
            "ThrottlingException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            // Another transaction holds the item, or an earlier try of this one is still running.
            | "TransactionConflictException"
            | "TransactionInProgressException"
            | "ReplicatedWriteConflictException"
            // Reasons of a cancelled transaction.
            | "TransactionConflict"
            | "ThrottlingError"
            | "ProvisionedThroughputExceeded",
        ) => StoreError::Throttled { operation },
        // HTTP 500 and 503 of the same page; ExpiredTokenException passes once the credentials have been renewed.
        Some(
            code @ ("InternalServerError" | "InternalServerErrorException" | "InternalFailure" | "ServiceUnavailable"
            | "ServiceUnavailableException" | "ExpiredTokenException"),
        ) => StoreError::Unavailable { operation, why: code.to_owned() },
        Some(code) => StoreError::Bug { operation, why: code.to_owned() },
        // A page of a proxy, not an answer of DynamoDB.
        None => StoreError::Unavailable { operation, why: "an answer without an error code".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_code_is_retryable_or_a_bug() {
        let read = |code| by_code("get", code);
        assert_eq!(read(Some("ThrottlingException")), StoreError::Throttled { operation: "get" });
        assert!(matches!(read(Some("InternalServerError")), StoreError::Unavailable { .. }));
        assert!(matches!(read(None), StoreError::Unavailable { .. }));
        for code in ["AccessDeniedException", "ResourceNotFoundException", "ValidationException", "SomethingNew"] {
            assert!(matches!(read(Some(code)), StoreError::Bug { .. }), "{code}");
            assert!(!read(Some(code)).is_retryable(), "{code}");
        }
    }
}
