//! The lease of one athlete's connection, from the side of the process that holds it.
//!
//! Smartabase may carry out a request after it has answered with an error or not at all. If the lease were released
//! before that, the next sync could look the record up, find nothing, and create it a second time. So a lease can be
//! released only while every request that changes the site has had a clear answer:
//! - [`Lease::change`] takes the release permission out of the lease before such a request is sent, and puts it back
//!   after a clear answer;
//! - if the request ends in any other way (an error, an early return, a panic, a cancelled task), the permission is
//!   dropped for good;
//! - a lease without the permission is left to run out, which takes at least a minute longer than the invocation.

use jiff::Timestamp;
use runtime::Deadline;
use smartabase::Error;
use store::{AthleteId, Connection};

use crate::Connector;

/// A lease that this process holds. Dropping it does not release it.
#[derive(Debug)]
pub(crate) struct Lease {
    fence: u64,
    until: Timestamp,
    release: Option<ReleasePermission>,
}

/// A token for the right to release. It is held by the lease or by the running request, never by both.
#[derive(Debug)]
struct ReleasePermission;

impl Lease {
    /// The lease in a connection that this process has just claimed; `None` if the connection has none.
    pub(crate) fn of(connection: &Connection) -> Option<Self> {
        let lease = connection.lease.as_ref()?;
        Some(Self { fence: lease.fence, until: lease.until, release: Some(ReleasePermission) })
    }

    /// The fencing token that every write under this lease must present.
    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    /// Until when the lease must be left to run out; `None` if it can be released.
    pub(crate) fn runs_out(&self) -> Option<Timestamp> {
        if self.release.is_some() { None } else { Some(self.until) }
    }

    /// Sends a request that changes something at the site. Unless its answer is clear, the lease can no longer be
    /// released.
    pub(crate) async fn change<T>(&mut self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let permission = self.release.take();
        let answer = request.await;
        if answer.as_ref().err().is_none_or(|error| !error.leaves_import_in_doubt()) {
            self.release = permission;
        }
        answer
    }
}

impl Connector {
    /// Releases the lease, if there is one, unless a request is in doubt. If the table does not answer, the lease runs
    /// out by itself.
    pub(crate) async fn release(&self, athlete: &AthleteId, lease: Option<Lease>, deadline: Deadline) {
        let Some(lease) = lease else { return };
        if let Some(until) = lease.runs_out() {
            tracing::warn!(%athlete, %until, "a request to Smartabase is in doubt; the lease runs out by itself");
            return;
        }
        if let Err(error) = self.store.release(athlete, lease.fence, deadline.instant()).await {
            tracing::warn!(%athlete, %error, "could not release the lease; it runs out by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn lease() -> Lease {
        Lease { fence: 1, until: Timestamp::UNIX_EPOCH, release: Some(ReleasePermission) }
    }

    const DOUBT: Error = Error::Unwell { status: Some(504) };

    #[tokio::test]
    async fn clear_answers_leave_a_lease_that_can_be_released() {
        let mut lease = lease();
        for answer in [Ok(()), Err(Error::Unwell { status: None }), Err(Error::WrongCredentials), Ok(())] {
            let _ = lease.change(ready(answer)).await;
            assert_eq!(lease.runs_out(), None);
        }
    }

    #[tokio::test]
    async fn a_later_answer_does_not_restore_the_release_permission() {
        let mut lease = lease();
        for answer in [Err(DOUBT), Ok(()), Err(Error::NotFound), Ok(())] {
            let _ = lease.change(ready(answer)).await;
            assert_eq!(lease.runs_out(), Some(Timestamp::UNIX_EPOCH));
        }
    }

    #[tokio::test]
    async fn a_cancelled_request_leaves_the_lease_to_expire() {
        let mut lease = lease();
        tokio::select! {
            biased;
            _ = lease.change(pending::<Result<(), Error>>()) => {}
            () = ready(()) => {}
        }
        assert_eq!(lease.runs_out(), Some(Timestamp::UNIX_EPOCH));
    }
}
