//! The lease: at most one attempt works on a connection at a time.
//!
//! - An owner **claims** a lease until an instant. The owner is a text unique to the attempt. Each claim that wins
//!   takes the next fence number.
//! - A lease ends when its holder releases it, or when another attempt claims it after its instant. Connecting,
//!   disconnecting and moving a connection to another user also take the next fence number. They let the lease run out,
//!   because requests that its holder has sent to other services may still take effect.
//! - Every write under a lease carries the fence number of its claim. The table refuses it if the connection has a
//!   later number. So a holder that is slow, paused or cut off does no harm, however late it writes.
//! - Clocks only decide how long attempts wait for each other. The fence alone keeps a late write from overwriting the
//!   work of a later holder.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Reader, instant, number, text};
use crate::client::Store;
use crate::connection::{
    Connection, FENCE, GENERATION, LEASE_OWNER, LEASE_UNTIL, Lease, REFRESH_BEGUN, REFRESH_REFUSED,
    REFRESH_REFUSED_LAST, REFRESH_SUSPECT_AT, Refusals,
};
use crate::error::StoreError;
use crate::keys::Key;
use crate::update_expression::{ItemUpdate, UpdateOutcome};

/// The outcome of claiming a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "matched on at once, never stored")]
pub enum Claim {
    /// The caller holds the lease. Contains the connection as it is now, with the caller's lease and fence.
    Won(Connection),
    /// Another attempt holds it.
    Held {
        /// When it runs out, unless the holder releases it earlier.
        until: Timestamp,
    },
    /// No attempt holds it, but a refresh has begun whose outcome is not known yet.
    Unsettled {
        /// When the refresh began.
        since: Timestamp,
        /// When an attempt [noted that it probably failed](Store::suspect_refresh), if one did.
        doubted: Option<Timestamp>,
    },
    /// The connection is no longer as the caller read it. It has another generation, or another attempt has worked on
    /// it since.
    Moved,
    /// There is no such connection.
    Gone,
}

/// The outcome of releasing a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// No attempt holds it now. A repeated call has the same outcome.
    Released,
    /// The caller no longer held it.
    Lost,
}

impl Store {
    /// Claims the lease of a connection until `until`. Wins if no attempt holds it, if it has run out at `now`, or if
    /// `owner` itself holds it. So an attempt that got no answer may claim again; it gets a new fence.
    ///
    /// With `expect_fence`, wins only if no attempt has won a lease, connected or disconnected since that fence was
    /// read. Then documents fetched meanwhile are not older than anything already sent or stored, and the connection,
    /// except its status, is as it was read. One `UpdateItem`.
    pub async fn claim(
        &self,
        athlete: &AthleteId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        expect_fence: Option<u64>,
        deadline: Instant,
    ) -> Result<Claim, StoreError> {
        let edit = claiming(athlete, owner, now, until);
        let edit = match expect_fence {
            Some(fence) => {
                let read = "#fence = :read OR #lease_owner = :lease_owner";
                edit.when(read, [FENCE], [(":read", number(fence))])
            }
            None => edit,
        };
        self.claimed(edit, now, expect_fence.map(|fence| (FENCE, fence)), deadline).await
    }

    /// Claims the lease of a connection that still has `generation`, to refresh its grant, and notes that a refresh has
    /// begun. Returns [`Claim::Unsettled`] while the outcome of an earlier refresh is not known: its token pair may be
    /// on the queue, and the refresh token spent. An earlier refresh stops blocking once it was
    /// [suspected](Self::suspect_refresh) at `settled` or before.
    ///
    /// The note is removed when the grant is saved or rescued, or by [`settle_refresh`](Self::settle_refresh). One
    /// `UpdateItem`.
    #[expect(clippy::too_many_arguments, reason = "one value per attribute and condition")]
    pub async fn claim_to_refresh(
        &self,
        athlete: &AthleteId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        generation: u64,
        settled: Timestamp,
        deadline: Instant,
    ) -> Result<Claim, StoreError> {
        let edit = claiming(athlete, owner, now, until)
            .if_equal(GENERATION, number(generation))
            .when(
                "attribute_not_exists(#refresh_begun) OR #refresh_doubted <= :settled OR #lease_owner = :lease_owner",
                [REFRESH_BEGUN, REFRESH_SUSPECT_AT],
                [(":settled", instant(settled))],
            )
            .set(REFRESH_BEGUN, instant(now))
            .remove(REFRESH_SUSPECT_AT);
        self.claimed(edit, now, Some((GENERATION, generation)), deadline).await
    }

    async fn claimed(
        &self,
        edit: ItemUpdate,
        now: Timestamp,
        expected: Option<(&'static str, u64)>,
        deadline: Instant,
    ) -> Result<Claim, StoreError> {
        let key = edit.key().clone();
        match edit.send(self, "claiming a lease", deadline).await? {
            UpdateOutcome::Applied(item) => Ok(Claim::Won(Connection::read(&key, &item)?)),
            UpdateOutcome::Refused(None) => Ok(Claim::Gone),
            UpdateOutcome::Refused(Some(item)) => {
                let reader = Reader::new(&key, &item);
                if let Some((attribute, value)) = expected
                    && reader.required(attribute, Reader::number)? != value
                {
                    return Ok(Claim::Moved);
                }
                let lease = Lease::read(&reader, reader.required(FENCE, Reader::number)?)?;
                match (lease, reader.instant(REFRESH_BEGUN)?) {
                    (Some(lease), _) if now < lease.until => Ok(Claim::Held { until: lease.until }),
                    (_, Some(since)) => Ok(Claim::Unsettled { since, doubted: reader.instant(REFRESH_SUSPECT_AT)? }),
                    // The expectation holds and no refresh has begun, so a lease refused the claim. That lease has no
                    // owner.
                    (_, None) => Err(reader.damaged(LEASE_OWNER, "is missing")),
                }
            }
        }
    }

    /// Notes at `now` that the refresh begun at `begun` probably failed, unless an attempt noted that before. Returns
    /// when it was noted; `None` if the refresh has ended meanwhile. One `UpdateItem`.
    ///
    /// The wait counts from `now`, when the table is known to answer. So a worker has time to store a token pair from
    /// the queue. If none can be on the queue, the caller passes an earlier `now` to allow the next refresh sooner.
    pub async fn suspect_refresh(
        &self,
        athlete: &AthleteId,
        begun: Timestamp,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Timestamp>, StoreError> {
        let edit = ItemUpdate::of(Key::connection(athlete))
            .if_equal(REFRESH_BEGUN, instant(begun))
            .set_once(REFRESH_SUSPECT_AT, instant(now));
        let key = edit.key().clone();
        match edit.send(self, "doubting a refresh", deadline).await? {
            UpdateOutcome::Applied(item) => Reader::new(&key, &item).instant(REFRESH_SUSPECT_AT),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }

    /// Notes that the refresh begun under the lease won with `fence` has ended without a token pair, and releases the
    /// lease. `refused` says since when the token server has [refused](Connection::refresh_refused) this grant; `None`
    /// if it has not. One `UpdateItem`.
    pub async fn settle_refresh(
        &self,
        athlete: &AthleteId,
        fence: u64,
        refused: Option<Refusals>,
        deadline: Instant,
    ) -> Result<Release, StoreError> {
        let edit = releasing(athlete, fence)
            .remove(REFRESH_BEGUN)
            .remove(REFRESH_SUSPECT_AT)
            .set_or_remove(REFRESH_REFUSED, refused.map(|refused| instant(refused.since)))
            .set_or_remove(REFRESH_REFUSED_LAST, refused.map(|refused| instant(refused.last)));
        self.released(edit, deadline).await
    }

    /// Releases a lease, if it is still the one won with `fence`. One `UpdateItem`.
    pub async fn release(&self, athlete: &AthleteId, fence: u64, deadline: Instant) -> Result<Release, StoreError> {
        self.released(releasing(athlete, fence), deadline).await
    }

    async fn released(&self, edit: ItemUpdate, deadline: Instant) -> Result<Release, StoreError> {
        Ok(match edit.send(self, "releasing a lease", deadline).await? {
            UpdateOutcome::Applied(_) => Release::Released,
            UpdateOutcome::Refused(_) => Release::Lost,
        })
    }
}

fn claiming(athlete: &AthleteId, owner: &str, now: Timestamp, until: Timestamp) -> ItemUpdate {
    ItemUpdate::of(Key::connection(athlete))
        .if_exists()
        .when(
            "attribute_not_exists(#lease_until) OR #lease_until <= :now OR #lease_owner = :lease_owner",
            [LEASE_UNTIL, LEASE_OWNER],
            [(":now", instant(now))],
        )
        .set(LEASE_OWNER, text(owner))
        .set(LEASE_UNTIL, instant(until))
        .increment(FENCE)
}

fn releasing(athlete: &AthleteId, fence: u64) -> ItemUpdate {
    ItemUpdate::of(Key::connection(athlete)).if_equal(FENCE, number(fence)).remove(LEASE_OWNER).remove(LEASE_UNTIL)
}
