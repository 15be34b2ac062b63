//! The athletes of an installation, enrolled or connected, and the state of each.
//!
//! Two queries of the table's index list them, and batches of a hundred read them. Five thousand athletes take about a
//! hundred small requests, however much is stored about them. There is no scan.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use store::{AthleteId, Connection, Enrolment, Holds, Service, Status, Store};

use crate::failure::Failure;
use crate::installation::soon;

/// Athletes per request: a `BatchGetItem` takes a hundred keys, and the two holds and the outage need some of them.
const PAGE: usize = 97;

/// Concurrent requests.
const REQUESTS: usize = 8;

/// All athletes, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    pub(crate) athletes: Vec<Athlete>,
    pub(crate) holds: Holds,
}

/// What the table holds about one athlete.
#[derive(Clone, Debug)]
pub(crate) struct Athlete {
    pub(crate) id: AthleteId,
    pub(crate) enrolment: Option<Enrolment>,
    pub(crate) connection: Option<Connection>,
    /// Why the connection can't be read, if it can't.
    pub(crate) damage: Option<String>,
}

impl Roster {
    /// Reads all athletes.
    pub(crate) async fn read(store: &Store) -> Result<Self, Failure> {
        let deadline = soon().instant();
        let (enrolled, active) = tokio::try_join!(store.enrolled_athletes(deadline), store.active_athletes(deadline))?;
        Self::of(store, enrolled.into_iter().chain(active)).await
    }

    /// Reads these athletes, known or not, each once.
    pub(crate) async fn of(store: &Store, ids: impl IntoIterator<Item = AthleteId>) -> Result<Self, Failure> {
        let deadline = soon().instant();
        let ids: Vec<_> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        if ids.is_empty() {
            // A batch of athletes also returns the holds. Without athletes, read the holds alone.
            let (oura, smartabase, outage) = tokio::try_join!(
                store.hold(Service::Oura, deadline),
                store.hold(Service::Smartabase, deadline),
                store.outage(Service::Smartabase, deadline),
            )?;
            return Ok(Self { holds: Holds { oura, smartabase, outage, ..Holds::default() }, ..Self::default() });
        }
        let pages = ids.chunks(PAGE).map(async |page| {
            let (mut snapshot, mut enrolments) =
                tokio::try_join!(store.snapshot(page, deadline), store.enrolments(page, deadline))?;
            let athletes: Vec<_> = page
                .iter()
                .map(|id| Athlete {
                    id: id.clone(),
                    enrolment: enrolments.remove(id),
                    connection: snapshot.connections.remove(id),
                    damage: snapshot.damaged.remove(id),
                })
                .collect();
            Ok::<_, Failure>((athletes, snapshot.holds))
        });
        let pages: Vec<_> = pages.collect();
        let mut roster = Self::default();
        let pages: Vec<_> = stream::iter(pages).buffered(REQUESTS).try_collect().await?;
        for (athletes, holds) in pages {
            roster.athletes.extend(athletes);
            roster.holds = holds;
        }
        roster.athletes.sort_by_cached_key(|athlete| (athlete.name().to_lowercase(), athlete.id.clone()));
        Ok(roster)
    }

    /// Finds the one athlete that `text` names: by UUID, by Smartabase user id, or by a unique part of the enrolled
    /// name.
    pub(crate) fn find(&self, text: &str) -> Result<&Athlete, Failure> {
        let wanted = text.trim();
        let lower = wanted.to_lowercase();
        let user: Option<u64> = wanted.parse().ok();
        let exactly = |athlete: &&Athlete| {
            athlete.id.as_str() == wanted
                || (user.is_some() && athlete.user_id() == user)
                || athlete.name().to_lowercase() == lower
        };
        let partly = |athlete: &&Athlete| athlete.name().to_lowercase().contains(&lower);
        let mut found: Vec<_> = self.athletes.iter().filter(exactly).collect();
        if found.is_empty() && !wanted.is_empty() {
            found = self.athletes.iter().filter(partly).collect();
        }
        match found.as_slice() {
            [] => Err(Failure::Usage(format!(
                "no athlete is called “{wanted}”, by UUID, Smartabase user id or name: `connector status` lists everybody enrolled"
            ))),
            [athlete] => Ok(athlete),
            several => Err(Failure::Usage(format!(
                "“{wanted}” may be {}: give more of the name, the UUID or the user id",
                listed(several)
            ))),
        }
    }
}

impl Athlete {
    /// The enrolled name, or the UUID of an athlete who was never enrolled.
    pub(crate) fn name(&self) -> &str {
        self.enrolment.as_ref().map_or(self.id.as_str(), |enrolment| &enrolment.name)
    }

    /// The user id at Smartabase.
    pub(crate) fn user_id(&self) -> Option<u64> {
        let connected = self.connection.as_ref().map(|connection| connection.user_id);
        self.enrolment.as_ref().map(|enrolment| enrolment.user_id).or(connected)
    }

    /// Whether the athlete has an active connection, healthy or not: ticks plan syncs for it.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.grant.is_some())
    }

    /// The time since a healthy athlete's last sync. `None` for an athlete who is not synced: not connected, or has to
    /// act first.
    pub(crate) fn lag(&self, now: Timestamp) -> Option<SignedDuration> {
        let connection = self.connection.as_ref().filter(|connection| connection.status == Status::Active)?;
        Some(now.duration_since(connection.last_sync.unwrap_or(connection.connected_at)))
    }
}

/// The first few names of several athletes, as part of a sentence.
fn listed(several: &[&Athlete]) -> String {
    const SHOWN: usize = 4;
    let described = several.iter().take(SHOWN).map(|athlete| match athlete.user_id() {
        Some(user) => format!("{} (UUID {}, user {user})", athlete.name(), athlete.id),
        None => format!("{} (UUID {})", athlete.name(), athlete.id),
    });
    let described = described.collect::<Vec<_>>().join(", ");
    match several.len().saturating_sub(SHOWN) {
        0 => described,
        more => format!("{described} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(people: &[(&str, u64, &str)]) -> Roster {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let athletes = people.iter().map(|(id, user_id, name)| {
            let id = AthleteId::parse(id).unwrap();
            let enrolment = Enrolment {
                athlete: id.clone(),
                user_id: *user_id,
                name: (*name).to_owned(),
                link_expires: now,
                basis: String::new(),
                told: now,
                links_from: None,
                staff: store::Told::default(),
            };
            Athlete { id, enrolment: Some(enrolment), connection: None, damage: None }
        });
        Roster { athletes: athletes.collect(), holds: Holds::default() }
    }

    fn found(roster: &Roster, text: &str) -> Result<String, String> {
        roster.find(text).map(|athlete| athlete.id.to_string()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_athlete_is_found_by_uuid_user_id_or_a_part_of_the_name() {
        let squad = roster(&[("a-1", 31, "Ada Okafor"), ("b-2", 32, "Ben Ødegaard"), ("c-3", 33, "Joanna Ben-Ami")]);
        for (text, id) in [("a-1", "a-1"), ("32", "b-2"), ("okafor", "a-1"), (" ødeg", "b-2"), ("Joanna", "c-3")] {
            assert_eq!(found(&squad, text).as_deref(), Ok(id), "{text}");
        }
    }

    #[test]
    fn a_whole_name_wins_over_a_part_of_another() {
        let squad = roster(&[("a", 1, "Ann Lee"), ("b", 2, "Joann Leeds")]);
        assert_eq!(found(&squad, "ann lee").as_deref(), Ok("a"));
    }

    #[test]
    fn ambiguous_text_lists_all_matches() {
        let squad = roster(&[("31", 7, "Ada Okafor"), ("b", 31, "Ben Adair")]);
        // One athlete's UUID equals another's user id.
        for text in ["31", "ada"] {
            let refused = found(&squad, text).unwrap_err();
            assert!(refused.contains("Ada Okafor (UUID 31, user 7), Ben Adair (UUID b, user 31)"), "{refused}");
        }
        let crowd: Vec<_> =
            (0..9).map(|n| (["a", "b", "c", "d", "e", "f", "g", "h", "i"][n], n as u64 + 100, "Ann")).collect();
        assert!(found(&roster(&crowd), "ann").unwrap_err().contains("and 5 more"));
    }

    #[test]
    fn text_without_a_match_is_refused() {
        let squad = roster(&[("a", 1, "Ada")]);
        for text in ["", "  ", "Zoe", "11"] {
            assert!(found(&squad, text).unwrap_err().contains("connector status"), "{text:?}");
        }
    }
}
