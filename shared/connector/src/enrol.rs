//! Enrolling: every athlete of the site gets a personal link, in the profile form the athlete can see, and then the forms
//! for staff are brought up to date.
//!
//! Athletes are found by their Smartabase UUID. Two users with one UUID are reported and left alone: a link would open
//! somebody else's connection. A link is renewed well before it expires, and what was last told is remembered, so a day
//! on which nothing changed writes nothing.
//!
//! A run begins nothing that it has no time to finish, and says how many athletes it left. The next one finds what is
//! done by reading the table alone, and goes on from there.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use runtime::telemetry::{self, Metric};
use runtime::{Deadline, SecretError};
use smartabase::{Credentials, Error, Roster, User, UserId};
use store::{AthleteId, Enrolment, Keyring, StoreError, Told};

use crate::link::Link;
use crate::profile::{PATIENCE, Unwritten};
use crate::{Connector, Setback};

/// How long a link is good for.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A link that expires sooner than this is renewed.
const RENEWAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Profiles written at once: the vendor asks for little load (Smartabase API documentation).
const CONCURRENCY: usize = 4;

/// Athletes whose rows are read in one request.
const PAGE: usize = 98;

/// An athlete is not begun with less than this left: two records may be written, and each be waited for.
const TO_WRITE: Duration = Duration::from_secs(2 * PATIENCE.as_secs() + 5);

/// What an enrolment did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolled {
    /// Athletes with a UUID in the roster (and in the group, if there is one).
    pub athletes: usize,
    /// Links written.
    pub told: usize,
    /// Athletes whose link could not be written; the next enrolment tries again.
    pub failed: usize,
    /// Forms for staff written.
    pub staff_told: usize,
    /// Athletes whose forms for staff could not be written; the next enrolment tries again.
    pub staff_failed: usize,
    /// Athletes for whom there was no time left; the next enrolment goes on with them.
    pub left: usize,
    /// Users left out because they have no UUID, or one that is not usable.
    pub without_uuid: usize,
    /// UUIDs that several users share.
    pub shared_uuids: usize,
}

/// Why nobody could be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No user has a UUID, so nobody can be told from anybody else.
    #[error(
        "no user of the site has a UUID: ask Teamworks support to enable UUIDs for the site, then give each athlete one"
    )]
    NoUuids,
    /// The group is empty or misspelt; the site does not say which.
    #[error("the group {0:?} has no members: check SmartabaseGroup, letter for letter")]
    EmptyGroup(String),
    /// A secret is missing.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Smartabase refused or failed.
    #[error("the roster could not be read: {0}")]
    Smartabase(#[from] Error),
    /// The account can't be used now: a secret is missing, or our name and password were refused.
    #[error("{0}")]
    Credentials(Setback),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An athlete to enrol.
struct Athlete {
    id: AthleteId,
    user: UserId,
    name: String,
}

impl Connector {
    /// Reads the roster and writes every missing or ageing link.
    pub async fn enrol(&self, deadline: Deadline) -> Result<Enrolled, EnrolError> {
        let hold = self.store.hold(store::Service::Smartabase, deadline.instant()).await?;
        if let Some(hold) = hold.filter(|hold| hold.until > self.clock.now()) {
            return Err(EnrolError::Credentials(Setback::NeedsOperator(hold.why)));
        }
        let keyring = self.secrets.keyring(deadline).await?;
        let admission = self.admission(deadline).await.map_err(EnrolError::Credentials)?;
        let credentials = &*admission.credentials;
        let read = self.members(credentials, deadline).await;
        let (roster, group) = match read {
            Err(Error::WrongCredentials) => {
                return Err(EnrolError::Credentials(self.password_refused(deadline).await));
            }
            other => other?,
        };
        if let (Some(group), Some(name)) = (&group, &self.settings.group)
            && group.is_empty()
        {
            return Err(EnrolError::EmptyGroup(name.clone()));
        }
        let mut enrolled = Enrolled::default();
        let athletes = select(&roster, group.as_ref(), &mut enrolled);
        if athletes.is_empty() && enrolled.shared_uuids == 0 {
            return Err(EnrolError::NoUuids);
        }
        self.give_links(credentials, &keyring, &athletes, &mut enrolled, deadline).await?;
        // Links come first: without one nobody can connect.
        if enrolled.left == 0 {
            self.tell_all(&athletes, &mut enrolled, deadline).await?;
        }
        tracing::info!(
            athletes = enrolled.athletes,
            told = enrolled.told,
            failed = enrolled.failed,
            staff_told = enrolled.staff_told,
            staff_failed = enrolled.staff_failed,
            left = enrolled.left,
            without_uuid = enrolled.without_uuid,
            shared_uuids = enrolled.shared_uuids,
            "enrolment"
        );
        let metrics = [
            Metric::count("AthletesOnRoster", enrolled.athletes),
            Metric::count("LinksFailed", enrolled.failed),
            Metric::count("StaffFormsFailed", enrolled.staff_failed),
            Metric::count("AthletesLeft", enrolled.left),
            Metric::count("UsersWithoutUuid", enrolled.without_uuid),
            Metric::count("UuidsShared", enrolled.shared_uuids),
        ];
        telemetry::report(&[&metrics[..], &self.happened()].concat());
        Ok(enrolled)
    }

    async fn members(
        &self,
        credentials: &Credentials,
        deadline: Deadline,
    ) -> Result<(Roster, Option<HashSet<UserId>>), Error> {
        let roster = self.smartabase.roster(credentials, deadline.instant()).await?;
        let group = match &self.settings.group {
            None => None,
            Some(name) => {
                let members = self.smartabase.group_members(credentials, name, deadline.instant()).await?;
                Some(members.into_iter().collect())
            }
        };
        Ok((roster, group))
    }

    /// Gives everybody a link whose own is missing or ageing.
    async fn give_links(
        &self,
        credentials: &Credentials,
        keyring: &Keyring,
        athletes: &[Athlete],
        enrolled: &mut Enrolled,
        deadline: Deadline,
    ) -> Result<(), EnrolError> {
        for page in athletes.chunks(PAGE) {
            let known = self.store.enrolments(&ids(page), deadline.instant()).await?;
            let giving = page.iter().map(|athlete| {
                let known = known.get(&athlete.id);
                self.give_link(credentials, keyring, athlete, known, deadline)
            });
            let giving: Vec<_> = giving.collect();
            let mut given = stream::iter(giving).buffer_unordered(CONCURRENCY);
            while let Some(given) = given.next().await {
                match given {
                    Ok(Given::Already) => {}
                    Ok(Given::Now) => enrolled.told += 1,
                    Ok(Given::Later) => enrolled.left += 1,
                    // Nobody else's turn comes: every further attempt would count against the account.
                    Err(Unwritten::NotLetIn(setback)) => return Err(EnrolError::Credentials(setback)),
                    Err(Unwritten::Failed) => enrolled.failed += 1,
                }
            }
        }
        Ok(())
    }

    /// Brings everybody's forms for staff up to date.
    async fn tell_all(
        &self,
        athletes: &[Athlete],
        enrolled: &mut Enrolled,
        deadline: Deadline,
    ) -> Result<(), EnrolError> {
        for page in athletes.chunks(PAGE) {
            let ids = ids(page);
            let (known, snapshot) = tokio::try_join!(
                self.store.enrolments(&ids, deadline.instant()),
                self.store.snapshot(&ids, deadline.instant())
            )?;
            let has_news = |id: &&AthleteId| {
                known.get(*id).is_some_and(|enrolment| self.has_news(enrolment, snapshot.connections.get(*id)))
            };
            let telling: Vec<_> = ids.iter().filter(has_news).map(|id| self.tell_in_time(id, deadline)).collect();
            let mut told = stream::iter(telling).buffer_unordered(CONCURRENCY);
            while let Some(told) = told.next().await {
                match told {
                    Ok(Some(forms)) => enrolled.staff_told += forms,
                    Ok(None) => enrolled.left += 1,
                    Err(Unwritten::NotLetIn(setback)) => return Err(EnrolError::Credentials(setback)),
                    Err(Unwritten::Failed) => enrolled.staff_failed += 1,
                }
            }
        }
        Ok(())
    }

    /// Tells the forms of one athlete; `None` when there is no time to.
    async fn tell_in_time(&self, athlete: &AthleteId, deadline: Deadline) -> Result<Option<usize>, Unwritten> {
        if deadline.remaining() < TO_WRITE { Ok(None) } else { self.tell(athlete, deadline).await.map(Some) }
    }

    /// Writes one athlete's link if it is missing, ageing, or about another user.
    async fn give_link(
        &self,
        credentials: &Credentials,
        keyring: &Keyring,
        athlete: &Athlete,
        known: Option<&Enrolment>,
        deadline: Deadline,
    ) -> Result<Given, Unwritten> {
        let now = self.clock.now();
        let page = self.settings.page("connect");
        // A link opens under another key for a while and under another address never: renew it at once.
        let basis = format!("{page} {}", keyring.current());
        let current = known.is_some_and(|known| {
            known.user_id == athlete.user.0 && known.link_expires > now + RENEWAL && known.basis == basis
        });
        if current && known.is_some_and(|known| known.name == athlete.name) {
            return Ok(Given::Already);
        }
        if deadline.remaining() < TO_WRITE {
            return Ok(Given::Later);
        }
        let (id, profile) = (&athlete.id, &self.forms.authorise);
        if known.is_some_and(|known| known.user_id != athlete.user.0) {
            // A merge, or a UUID that was given to another user: records go where the UUID is.
            self.store.repoint(id, athlete.user.0, deadline.instant()).await?;
            tracing::info!(athlete = %id, "the athlete is another Smartabase user now");
        }
        let expires = now + LINK_LIFETIME;
        let link = Link::new(keyring, id.clone(), expires).to_url(page);
        let fields = [(profile.link.clone(), link.to_string())];
        self.write_profile(credentials, id, athlete.user, &profile.name, &fields, deadline).await?;
        let enrolment = Enrolment {
            athlete: id.clone(),
            user_id: athlete.user.0,
            name: athlete.name.clone(),
            link_expires: expires,
            basis,
            told: now,
            staff: Told::default(),
        };
        self.store.put_enrolment(&enrolment, deadline.instant()).await?;
        Ok(Given::Now)
    }
}

/// What became of an athlete's link.
enum Given {
    /// It is good as it is.
    Already,
    /// It was written.
    Now,
    /// There was no time to.
    Later,
}

fn ids(page: &[Athlete]) -> Vec<AthleteId> {
    page.iter().map(|athlete| athlete.id.clone()).collect()
}

/// The athletes of the roster, in a stable order.
fn select(roster: &Roster, group: Option<&HashSet<UserId>>, enrolled: &mut Enrolled) -> Vec<Athlete> {
    let mut athletes: BTreeMap<AthleteId, Vec<&User>> = BTreeMap::new();
    for user in &roster.users {
        match user.uuid.as_deref().map(AthleteId::parse) {
            _ if group.is_some_and(|group| !group.contains(&user.id)) => {}
            Some(Ok(id)) => athletes.entry(id).or_default().push(user),
            Some(Err(_)) | None => enrolled.without_uuid += 1,
        }
    }
    let mut selected = Vec::new();
    for (id, users) in athletes {
        match users.as_slice() {
            [user] => selected.push(Athlete {
                id,
                user: user.id,
                name: format!("{} {}", user.first_name, user.last_name).trim().to_owned(),
            }),
            several => {
                enrolled.shared_uuids += 1;
                let users = several.iter().map(|user| user.id.to_string()).collect::<Vec<_>>().join(", ");
                tracing::error!(athlete = %id, users, "several users share this UUID; none of them is enrolled");
            }
        }
    }
    enrolled.athletes = selected.len();
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u64, uuid: Option<&str>, first_name: &str, last_name: &str) -> User {
        let uuid = uuid.map(str::to_owned);
        User { id: UserId(id), uuid, first_name: first_name.to_owned(), last_name: last_name.to_owned() }
    }

    fn selected(roster: &Roster, group: Option<&[u64]>) -> (Vec<(String, u64, String)>, Enrolled) {
        let group: Option<HashSet<_>> = group.map(|ids| ids.iter().copied().map(UserId).collect());
        let mut enrolled = Enrolled::default();
        let athletes = select(roster, group.as_ref(), &mut enrolled);
        (athletes.into_iter().map(|athlete| (athlete.id.to_string(), athlete.user.0, athlete.name)).collect(), enrolled)
    }

    fn roster(users: Vec<User>) -> Roster {
        Roster { users, merged: Vec::new(), deleted: Vec::new(), unreadable: 0 }
    }

    #[test]
    fn an_athlete_is_a_user_with_a_uuid_of_their_own() {
        let too_long = "x".repeat(AthleteId::MAX_CHARS + 1);
        let roster = roster(vec![
            user(2, Some("uuid-b"), "Ben", ""),
            user(1, Some("uuid-a"), "Ada", "Sample"),
            user(3, None, "Staff", "Member"),
            user(4, Some(&too_long), "Odd", "One"),
            user(5, Some("shared"), "Cal", "Twin"),
            user(6, Some("shared"), "Col", "Twin"),
        ]);
        let (athletes, enrolled) = selected(&roster, None);
        let athlete = |id: &str, user: u64, name: &str| (id.to_owned(), user, name.to_owned());
        assert_eq!(athletes, [athlete("uuid-a", 1, "Ada Sample"), athlete("uuid-b", 2, "Ben")]);
        assert_eq!(enrolled, Enrolled { athletes: 2, without_uuid: 2, shared_uuids: 1, ..Enrolled::default() });
    }

    #[test]
    fn nobody_outside_the_group_is_enrolled_or_counted() {
        let roster = roster(vec![
            user(1, Some("uuid-a"), "Ada", "Sample"),
            user(2, Some("uuid-b"), "Ben", "Sample"),
            user(3, None, "Staff", "Member"),
        ]);
        let (athletes, enrolled) = selected(&roster, Some(&[2]));
        assert_eq!(athletes, [("uuid-b".to_owned(), 2, "Ben Sample".to_owned())]);
        assert_eq!(enrolled, Enrolled { athletes: 1, ..Enrolled::default() });
        assert_eq!(selected(&roster, Some(&[])).1, Enrolled::default());
    }
}
