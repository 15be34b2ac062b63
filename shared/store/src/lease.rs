//! The lease: at most one attempt works on a connection at a time.
//!
//! - A lease is **claimed** by an owner, a text unique to the attempt, until an instant. Every claim that wins takes the
//!   next fence number.
//! - It ends when it is released, or when its instant has passed and another claims it. Making or ending the connection
//!   takes the next fence number, too, and leaves the lease to run out: what its holder has under way elsewhere may still
//!   arrive there.
//! - Every write made under a lease shows the fence number it was won with, and is refused if the connection has a later
//!   one. So a holder that was slow, paused or cut off does no harm, however long after.
//! - Clocks matter only to who waits for whom; that nobody's write overtakes a later holder's rests on the fence alone.

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

/// What came of claiming a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "matched on at once, never stored")]
pub enum Claim {
    /// It is yours: the connection as it is now, with your lease and fence.
    Won(Connection),
    /// Another attempt holds it until then.
    Held {
        /// When it ends, unless it is released before.
        until: Timestamp,
    },
    /// Nobody holds it, but a refresh was begun then, and nobody knows yet how it ended.
    Unsettled {
        /// When it was begun.
        since: Timestamp,
        /// When it was [doubted](Store::suspect_refresh), if it was.
        doubted: Option<Timestamp>,
    },
    /// The connection is no longer as you read it: it has another generation, or somebody has worked on it since.
    Moved,
    /// There is no such connection.
    Gone,
}

/// What came of releasing a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nobody holds it now. Also the answer to a repetition.
    Released,
    /// It was no longer yours.
    Lost,
}

impl Store {
    /// Claims the lease of a connection until `until`, if nobody holds it, or it has run out at `now`, or `owner` itself
    /// holds it: an attempt that got no answer may ask again, and takes a fresh fence with it.
    ///
    /// With `expect_fence`, only if nobody has won a lease, connected or disconnected since that fence was read: then what
    /// was fetched meanwhile is not older than what stands anywhere, and the connection but for its status is as it was
    /// read. One `UpdateItem`.
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
    /// begun. Refused as [`Claim::Unsettled`] while an earlier one is not known to have ended: its answer may be on its way
    /// through the queue, and the refresh token spent. That is over once the earlier one was
    /// [doubted](Self::suspect_refresh) at `settled` or before.
    ///
    /// The note goes when the grant is saved or rescued, or by [`settle_refresh`](Self::settle_refresh). One `UpdateItem`.
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
                    // Only a lease or a refresh refuses what the expectation does not; this is half a lease.
                    (_, None) => Err(reader.damaged(LEASE_OWNER, "is missing")),
                }
            }
        }
    }

    /// Notes at `now` that the refresh begun at `begun` is thought to have come to nothing, unless somebody noted it
    /// before, and answers when it was noted; `None` if it has ended meanwhile. One `UpdateItem`.
    ///
    /// The wait counts from `now`, when the table is known to answer, so that a token pair on the queue has time to
    /// arrive. If none can be on the queue, the caller passes an earlier `now` to allow the next refresh sooner.
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

    /// Notes that the refresh begun under the lease won with `fence` is over and brought no pair, and gives the lease back.
    /// `refused` is how the token server has [refused](Connection::refresh_refused) this grant. One `UpdateItem`.
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

    /// Gives a lease back, if it is still the one won with `fence`. One `UpdateItem`.
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
