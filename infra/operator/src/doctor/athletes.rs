//! Whether the connected athletes are being synced.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{Status, Store};

use super::checkup::Checkup;
use crate::failure::Failure;
use crate::installation::soon;
use crate::roster::Roster;
use crate::time_format;

pub(super) const SYNCS: &str = "syncs";

/// A healthy athlete is marked as synced once an hour. If no athlete was marked for this long, no syncs run.
const STALE: SignedDuration = SignedDuration::from_hours(2);

/// Checks the latest sync. `period` is the period of the schedule, if it is known.
pub(super) async fn check(checkup: &mut Checkup, store: &Store, period: Option<Duration>) {
    let latest = match latest(store).await {
        Ok(latest) => latest,
        Err(failure) => return checkup.unknown(SYNCS, failure.to_string(), "then ask again"),
    };
    let now = Timestamp::now();
    let period = period.and_then(|period| SignedDuration::try_from(period).ok()).unwrap_or_default();
    match latest {
        None => checkup.pass(SYNCS, "nobody is connected yet, or everybody waits for something"),
        Some(at) if now.duration_since(at) <= STALE.max(period * 2) => {
            checkup.pass(SYNCS, format!("the last athlete was synced {}", time_format::ago(at, now)));
        }
        Some(at) => {
            let says = format!("nobody was synced since {} ago", time_format::ago(at, now).trim_end_matches(" ago"));
            let remedy = "see that the schedule is on, then look at the logs of the scheduler and the worker";
            checkup.fail(SYNCS, "nothing-synced", says, remedy);
        }
    }
}

/// The latest sync or connect of all athletes who should be synced.
async fn latest(store: &Store) -> Result<Option<Timestamp>, Failure> {
    let ids = store.active_athletes(soon().instant()).await?;
    let roster = Roster::of(store, ids).await?;
    let now = Timestamp::now();
    let connections = roster.athletes.iter().filter_map(|athlete| athlete.connection.as_ref());
    let to_sync = connections.filter(|connection| {
        connection.status == Status::Active && connection.held_until.is_none_or(|until| until <= now)
    });
    Ok(to_sync.map(|connection| connection.last_sync.unwrap_or(connection.connected_at)).max())
}
