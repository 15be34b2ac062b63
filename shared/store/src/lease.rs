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
use crate::connection::{Connection, FENCE, GENERATION, LEASE_OWNER, LEASE_UNTIL, Lease, REFRESH_BEGUN};
use crate::edit::{Edit, Edited};
use crate::error::StoreError;
use crate::item::{Reader, instant, number, text};
use crate::keys::Key;
use crate::requests::Store;

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
    },
    /// The connection no longer has the generation you expected: read it again.
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
    /// With `expect_generation`, only if the connection still has that generation. One `UpdateItem`.
    pub async fn claim(
        &self,
        athlete: &AthleteId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
        expect_generation: Option<u64>,
        deadline: Instant,
    ) -> Result<Claim, StoreError> {
        let edit = claiming(athlete, owner, now, until);
        let edit = match expect_generation {
            Some(generation) => edit.if_equal(GENERATION, number(generation)),
            None => edit,
        };
        self.claimed(edit, now, expect_generation, deadline).await
    }

    /// Claims the lease of a connection that still has `generation`, to refresh its grant, and notes that a refresh has
    /// begun. Refused as [`Claim::Unsettled`] while an earlier one, begun after `settled`, is not known to have ended: its
    /// answer may be on its way through the queue, and the refresh token spent.
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
                "attribute_not_exists(#refresh_begun) OR #refresh_begun <= :settled OR #lease_owner = :lease_owner",
                [REFRESH_BEGUN],
                [(":settled", instant(settled))],
            )
            .set(REFRESH_BEGUN, instant(now));
        self.claimed(edit, now, Some(generation), deadline).await
    }

    async fn claimed(
        &self,
        edit: Edit,
        now: Timestamp,
        expect_generation: Option<u64>,
        deadline: Instant,
    ) -> Result<Claim, StoreError> {
        let key = edit.key().clone();
        match edit.send(self, "claiming a lease", deadline).await? {
            Edited::Applied(item) => Ok(Claim::Won(Connection::read(&key, &item)?)),
            Edited::Refused(None) => Ok(Claim::Gone),
            Edited::Refused(Some(item)) => {
                let reader = Reader::new(&key, &item);
                let generation = reader.required(GENERATION, Reader::number)?;
                if expect_generation.is_some_and(|expected| expected != generation) {
                    return Ok(Claim::Moved);
                }
                let lease = Lease::read(&reader, reader.required(FENCE, Reader::number)?)?;
                match (lease, reader.instant(REFRESH_BEGUN)?) {
                    (Some(lease), _) if now < lease.until => Ok(Claim::Held { until: lease.until }),
                    (_, Some(since)) => Ok(Claim::Unsettled { since }),
                    // Only a lease or a refresh refuses what the generation does not; this is half a lease.
                    (_, None) => Err(reader.damaged(LEASE_OWNER, "is missing")),
                }
            }
        }
    }

    /// Notes that the refresh begun under the lease won with `fence` is known not to have spent the refresh token, and
    /// gives the lease back. One `UpdateItem`.
    pub async fn settle_refresh(
        &self,
        athlete: &AthleteId,
        fence: u64,
        deadline: Instant,
    ) -> Result<Release, StoreError> {
        self.released(releasing(athlete, fence).remove(REFRESH_BEGUN), deadline).await
    }

    /// Gives a lease back, if it is still the one won with `fence`. One `UpdateItem`.
    pub async fn release(&self, athlete: &AthleteId, fence: u64, deadline: Instant) -> Result<Release, StoreError> {
        self.released(releasing(athlete, fence), deadline).await
    }

    async fn released(&self, edit: Edit, deadline: Instant) -> Result<Release, StoreError> {
        Ok(match edit.send(self, "releasing a lease", deadline).await? {
            Edited::Applied(_) => Release::Released,
            Edited::Refused(_) => Release::Lost,
        })
    }
}

fn claiming(athlete: &AthleteId, owner: &str, now: Timestamp, until: Timestamp) -> Edit {
    Edit::of(Key::connection(athlete))
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

fn releasing(athlete: &AthleteId, fence: u64) -> Edit {
    Edit::of(Key::connection(athlete)).if_equal(FENCE, number(fence)).remove(LEASE_OWNER).remove(LEASE_UNTIL)
}
