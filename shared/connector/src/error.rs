use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::SecretError;
use store::{Status, StoreError};

/// Why a job failed or could not begin. The variant says who must do what; the text is for people.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A temporary failure: try again after the given time.
    #[error("{why}")]
    RetryAfter {
        /// How long to wait.
        after: Duration,
        /// What happened.
        why: String,
    },
    /// The athlete must do what the status names. Until then, no job tries.
    #[error("the athlete must act: {0}")]
    NeedsAthlete(Status),
    /// The athlete must update the Oura app: Oura gives no data for the installed version.
    #[error("the athlete must act: {OUTDATED_APP}")]
    OutdatedApp,
    /// The operator must repair something; the text says what.
    #[error("{0}")]
    NeedsOperator(String),
    /// The job can't begin yet: another worker is busy with the athlete, or an outage or a hold is in force. This is
    /// not a failure: try again after the given time.
    #[error("{why}")]
    Busy {
        /// How long to wait.
        after: Duration,
        /// What must end.
        why: &'static str,
    },
    /// Another worker, or the athlete's reconnect or disconnect, wrote first. Its result stays.
    #[error("overtaken by another worker or by the athlete")]
    Superseded,
}

/// How long to wait before the next request to a table or a remote service that failed.
pub(crate) const UNWELL: Duration = Duration::from_secs(30);

/// The note of a connection whose athlete must update the Oura app. Its status is that of a lapsed membership, because
/// both are handled alike: Oura gives no data, and one request a day checks whether it does again. Releases that know
/// no separate status can also read the row.
pub(crate) const OUTDATED_APP: &str = "the athlete's Oura app is too old for Oura to give data";

/// How often the worker checks whether a lapsed membership, or an app that is too old, gives data again.
pub(crate) const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// The time from `now` until an instant, rounded up, because a queue counts in whole seconds.
pub(crate) fn until(instant: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(instant.duration_since(now).as_secs().max(0).unsigned_abs() + 1)
}

impl JobError {
    pub(crate) fn retry(after: Duration, why: impl Into<String>) -> Self {
        Self::RetryAfter { after, why: why.into() }
    }

    /// Turns a retry into [`Busy`](Self::Busy), for a job that only waited and has sent no request yet.
    pub(crate) fn not_begun(self, why: &'static str) -> Self {
        match self {
            Self::RetryAfter { after, .. } => Self::Busy { after, why },
            other => other,
        }
    }

    /// The same error, but a retry comes no sooner than `least`.
    pub(crate) fn no_sooner_than(self, least: Duration) -> Self {
        match self {
            Self::RetryAfter { after, why } => Self::RetryAfter { after: after.max(least), why },
            other => other,
        }
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() {
            Self::retry(UNWELL, format!("the table: {error}"))
        } else {
            Self::NeedsOperator(format!("the table: {error}"))
        }
    }
}

impl From<SecretError> for JobError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unavailable { .. } => Self::retry(UNWELL, error.to_string()),
            SecretError::Unfilled { .. } | SecretError::Malformed { .. } | SecretError::KeyGone { .. } => {
                Self::NeedsOperator(error.to_string())
            }
        }
    }
}
