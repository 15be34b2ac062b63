//! The lease: at most one attempt works on a connection at a time.
//!
//! - A lease is **claimed** by an owner, a text unique to the attempt, until an instant. Every claim that wins takes the
//!   next fence number.
//! - It ends when it is released, when its instant has passed and another claims it, or when the connection is made or
//!   ended, which takes the next fence number too.
//! - Every write made under a lease shows the fence number it was won with, and is refused if the connection has a later
//!   one. So a holder that was slow, paused or cut off does no harm, however long after.
//! - Clocks matter only to who waits for whom; that nobody's write overtakes a later holder's rests on the fence alone.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::connection::{Connection, FENCE, GENERATION, LEASE_OWNER, LEASE_UNTIL, Lease};
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
        let mut edit = Edit::of(Key::connection(athlete))
            .if_exists()
            .when(
                "attribute_not_exists(#lease_until) OR #lease_until <= :now OR #lease_owner = :lease_owner",
                [LEASE_UNTIL, LEASE_OWNER],
                [(":now", instant(now))],
            )
            .set(LEASE_OWNER, text(owner))
            .set(LEASE_UNTIL, instant(until))
            .increment(FENCE);
        if let Some(generation) = expect_generation {
            edit = edit.if_equal(GENERATION, number(generation));
        }
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
                // Only a lease refuses what the generation does not; without an owner it is half a lease.
                let lease = lease.ok_or_else(|| reader.damaged(LEASE_OWNER, "is missing"))?;
                Ok(Claim::Held { until: lease.until })
            }
        }
    }

    /// Gives a lease back, if it is still the one won with `fence`. One `UpdateItem`.
    pub async fn release(&self, athlete: &AthleteId, fence: u64, deadline: Instant) -> Result<Release, StoreError> {
        let edit =
            Edit::of(Key::connection(athlete)).if_equal(FENCE, number(fence)).remove(LEASE_OWNER).remove(LEASE_UNTIL);
        Ok(match edit.send(self, "releasing a lease", deadline).await? {
            Edited::Applied(_) => Release::Released,
            Edited::Refused(_) => Release::Lost,
        })
    }
}
