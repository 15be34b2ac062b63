//! Updates connections after the site's users were merged or deleted.
//!
//! **Invariant**: an athlete's absence from a roster never disconnects the athlete: the roster may be cut short, or the
//! account may no longer see that user. The site must answer, when asked about this user, that the user is deleted. If
//! it says so of most connected athletes at once, the answer is not believed.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use runtime::Deadline;
use smartabase::{Error, UserId};
use store::{AthleteId, ConnectionUpdate, StoreError};

use crate::credential_guard::Permit;
use crate::{Connector, EnrolError, JobError};

/// At least this many deletions at once that also exceed half of the connected athletes are not believed.
const MASS: usize = 10;

/// Athletes whose connections are read in one request.
const PAGE: usize = 97;

impl Connector {
    /// The user of each active connection. A damaged connection is left out: the athlete's syncs report it.
    pub(crate) async fn connected(&self, deadline: Deadline) -> Result<BTreeMap<AthleteId, UserId>, EnrolError> {
        let athletes = self.store.active_athletes(deadline.instant()).await?;
        let mut connected = BTreeMap::new();
        for page in athletes.chunks(PAGE) {
            let read = self.store.snapshot(page, deadline.instant()).await?;
            connected.extend(read.connections.into_iter().map(|(id, connection)| (id, UserId(connection.user_id))));
        }
        Ok(connected)
    }

    /// Disconnects the missing athletes whose users the site reports as deleted, and returns them.
    pub(crate) async fn end_deleted(
        &self,
        permit: &Permit<'_>,
        missing: &[(AthleteId, UserId)],
        connected: usize,
        deadline: Deadline,
    ) -> Result<Vec<AthleteId>, EnrolError> {
        let users: Vec<_> = missing.iter().map(|(_, user)| *user).collect();
        let credentials = permit.credentials(deadline).await.map_err(EnrolError::Credentials)?;
        let deleted = match self.smartabase.deleted_users(credentials, &users, deadline.instant()).await {
            Ok(deleted) => deleted,
            Err(Error::WrongCredentials) => {
                return Err(EnrolError::Credentials(permit.refused(deadline).await));
            }
            Err(error) => {
                tracing::warn!(%error, "the site does not say who was deleted");
                return Ok(Vec::new());
            }
        };
        if is_beyond_belief(deleted.len(), connected) {
            tracing::error!(
                deleted = deleted.len(),
                connected,
                "the site says that most connected athletes are deleted; nobody is disconnected: check what the account sees"
            );
            return Ok(Vec::new());
        }
        let mut ended = Vec::new();
        for (athlete, _) in missing.iter().filter(|(_, user)| deleted.contains(user)) {
            match self.end_for_good(athlete, deadline).await {
                Ok(()) => {
                    tracing::info!(%athlete, "the user is deleted; disconnected");
                    ended.push(athlete.clone());
                }
                Err(setback) => {
                    tracing::warn!(%athlete, %setback, "a deleted user is left connected until the next run");
                }
            }
        }
        Ok(ended)
    }

    /// Ends the connection of a deleted user, and makes their link invalid.
    async fn end_for_good(&self, athlete: &AthleteId, deadline: Deadline) -> Result<(), JobError> {
        self.store.forget_enrolment(athlete, deadline.instant()).await?;
        self.erase_grant(athlete, deadline).await.map(drop)
    }

    /// Moves connections to the users into whom theirs were merged, and queues a look-up of those users' forms. Returns
    /// how many connections moved.
    pub(crate) async fn follow_mergers(&self, moved: &[(AthleteId, UserId)], deadline: Deadline) -> usize {
        let mut followed = 0;
        for (athlete, user) in moved {
            let (owed, to) = match self.owed_anew(athlete, deadline).await {
                Ok(days) => days,
                Err(error) => {
                    tracing::warn!(%athlete, %error, "a merger is left to the next run");
                    continue;
                }
            };
            match self.store.repoint(athlete, user.0, owed, deadline.instant()).await {
                Ok(ConnectionUpdate::Done) => {
                    tracing::info!(%athlete, %user, "the user was merged; the connection follows");
                    followed += 1;
                    if let Some(from) = owed {
                        self.queue_backfill(athlete, from, to, deadline).await;
                    }
                }
                Ok(ConnectionUpdate::Superseded | ConnectionUpdate::Gone) => {}
                Err(error) => tracing::warn!(%athlete, %error, "a merger is left to the next run"),
            }
        }
        followed
    }

    /// The first missing day, if any, and the last. The ledger does not know the other user's events, so the connection
    /// gets as much history as a new one, besides the days that were missing before.
    async fn owed_anew(&self, athlete: &AthleteId, deadline: Deadline) -> Result<(Option<Date>, Date), StoreError> {
        let to = self.window().last;
        let anew = to.saturating_sub(i64::from(self.settings.backfill_days).days());
        let before = self.store.connection(athlete, deadline.instant()).await?.and_then(|found| found.backfill_from);
        let anew = (self.settings.backfill_days > 0).then_some(anew);
        Ok((anew.into_iter().chain(before).min(), to))
    }
}

fn is_beyond_belief(deleted: usize, connected: usize) -> bool {
    deleted >= MASS && deleted > connected / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleting_most_of_the_squad_at_once_is_not_believed() {
        for (deleted, connected, beyond) in [
            (0, 0, false),
            (1, 1, false),
            (9, 9, false),
            (10, 20, false),
            (10, 19, true),
            (11, 20, true),
            (500, 5_000, false),
        ] {
            assert_eq!(is_beyond_belief(deleted, connected), beyond, "{deleted} of {connected}");
        }
    }
}
