use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::SecretError;
use store::{Status, StoreError};

/// Why an athlete's sync did not end well: the variant says who must do what, the text is for people.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It will pass: try again after the time given.
    #[error("{why}")]
    RetryAfter {
        /// How long to wait.
        after: Duration,
        /// What happened.
        why: String,
    },
    /// The athlete has to do something, which the status names. Nothing is tried until that can have happened.
    #[error("the athlete must act: {0}")]
    NeedsAthlete(Status),
    /// The athlete has to update the Oura app: Oura gives no data to the one they have.
    #[error("the athlete must act: {OUTDATED_APP}")]
    OutdatedApp,
    /// The operator has to mend something; the text says what.
    #[error("{0}")]
    NeedsOperator(String),
    /// Something must end before the job can begin: another worker is busy with the athlete, or an outage or a hold is
    /// known. That is no failure: try again after the time given.
    #[error("{why}")]
    Busy {
        /// How long to wait.
        after: Duration,
        /// What must end.
        why: &'static str,
    },
    /// Another worker, or the athlete's own reconnect or disconnect, got there first; what it did stands.
    #[error("overtaken by another worker or by the athlete")]
    Superseded,
}

/// How long to leave a table or a remote service that is unwell.
pub(crate) const UNWELL: Duration = Duration::from_secs(30);

/// The note of a connection whose athlete has to update the Oura app. Its status is that of a lapsed membership: Oura
/// gives no data, one request a day finds out whether it does again, and versions of this program that know no other
/// status for it can read the row.
pub(crate) const OUTDATED_APP: &str = "the athlete's Oura app is too old for Oura to give data";

/// How often a lapsed membership, or an app that is too old, is looked at.
pub(crate) const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// From `now` until an instant, in the whole seconds that a queue counts in: not too early by a fraction of one.
pub(crate) fn until(instant: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(instant.duration_since(now).as_secs().max(0).unsigned_abs() + 1)
}

impl JobError {
    pub(crate) fn retry(after: Duration, why: impl Into<String>) -> Self {
        Self::RetryAfter { after, why: why.into() }
    }

    /// The same of a job that only waited and asked nothing yet: it is put off and has not failed.
    pub(crate) fn not_begun(self, why: &'static str) -> Self {
        match self {
            Self::RetryAfter { after, .. } => Self::Busy { after, why },
            other => other,
        }
    }

    /// The same, and if it is tried again, then not before so much time has passed.
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
