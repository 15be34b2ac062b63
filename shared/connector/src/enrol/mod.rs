//! The daily enrolment: gives every athlete of the site a personal link, in a profile form that the athlete can see.
//! Then it brings the forms for staff up to date.
//!
//! Athletes are identified by their Smartabase UUID. `roster_diff` decides who is an athlete, and whose a connection is
//! after users were merged, deleted or renamed. When two users share a UUID, both are reported and get no link: it
//! would open another person's connection. A link is renewed well before it expires. The table remembers what was
//! written last, so a day without changes writes nothing.
//!
//! A run starts no write that it has no time to finish, and reports how many athletes it left. The next run sees in the
//! table which athletes are done, and continues with the others.

mod roster_diff;
mod user_changes;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use runtime::telemetry::{self, Metric};
use runtime::{Deadline, SecretError};
use smartabase::{Credentials, Error, Roster, UserId};
use store::{AthleteId, Connection, ConnectionUpdate, Enrolment, Keyring, Status, StoreError, Told};

use crate::credential_guard::Permit;
use crate::enrol::roster_diff::{Athlete, RosterDiff};
use crate::http::Link;
use crate::staff_forms::write::{PATIENCE, WriteError};
use crate::{Connector, JobError};

/// How long a link is valid.
pub const LINK_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When a UUID passes to a new user, links that expire at least this much before that user's first link are refused:
/// they belong to the former user. The margin allows for two enrolments that write at once, in any order.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);

/// A link with less than this left is renewed.
const RENEWAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Profiles written concurrently: the vendor asks for little load (Smartabase API documentation).
const CONCURRENCY: usize = 4;

/// Athletes whose rows are read in one request.
const PAGE: usize = 97;

/// How many unreadable parts of a roster are logged, one line each.
const NAMED: usize = 20;

/// The time that must be left to start with an athlete: two records may be written, each up to its time limit.
const TO_WRITE: Duration = Duration::from_secs(2 * PATIENCE.as_secs() + 5);

/// The result of an enrolment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnrolSummary {
    /// Athletes: users of the roster with a unique UUID (and in the group, if one is set), and other connected
    /// athletes.
    pub athletes: usize,
    /// Links written.
    pub told: usize,
    /// Athletes whose link could not be written; the next enrolment tries again.
    pub failed: usize,
    /// Forms for staff written.
    pub staff_told: usize,
    /// Athletes whose forms for staff could not be written; the next enrolment tries again.
    pub staff_failed: usize,
    /// Athletes for whom no time was left; the next enrolment continues with them.
    pub left: usize,
    /// Users left out because they have no usable UUID.
    pub without_uuid: usize,
    /// UUIDs that several users share.
    pub shared_uuids: usize,
    /// Users and mergers of the roster that could not be read, or only in part. Such a user gets no link. The log says
    /// where in the site's response they are.
    pub unreadable: usize,
    /// Connected athletes outside the group: their connection continues, but they get no new link.
    pub outside_group: usize,
    /// Connections that moved to another user because of a merger.
    pub merged: usize,
    /// Athletes disconnected because the site reports the user as deleted.
    pub disconnected: usize,
    /// Connected athletes who are not on the roster, or who no longer have their UUID, or share it. The log names each
    /// problem.
    pub unaccounted: usize,
}

/// Why no athlete could be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No user has a UUID, so athletes cannot be identified.
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
    /// The Smartabase account can't be used now: a secret is missing, or Smartabase refused our name and password.
    #[error("{0}")]
    Credentials(JobError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Connector {
    /// Reads the roster and writes every link that is missing or about to expire.
    pub async fn enrol(&self, deadline: Deadline) -> Result<EnrolSummary, EnrolError> {
        let ended = self.enrol_everybody(deadline).await;
        if ended.is_err() {
            // Report the metrics now: by the next run, the error may be repaired.
            telemetry::report(&self.happened());
        }
        ended
    }

    async fn enrol_everybody(&self, deadline: Deadline) -> Result<EnrolSummary, EnrolError> {
        let hold = self.store.hold(store::Service::Smartabase, deadline.instant()).await?;
        if let Some(hold) = hold.filter(|hold| hold.until > self.clock.now()) {
            return Err(EnrolError::Credentials(JobError::NeedsOperator(hold.why)));
        }
        let keyring = self.secrets.keyring(deadline).await?;
        let permit = self.permit(deadline).await.map_err(|not| EnrolError::Credentials(not.setback()))?;
        let credentials = permit.credentials(deadline).await.map_err(EnrolError::Credentials)?;
        let read = self.members(credentials, deadline).await;
        let (roster, group) = match read {
            Err(Error::WrongCredentials) => {
                return Err(EnrolError::Credentials(permit.refused(deadline).await));
            }
            other => other?,
        };
        if let (Some(group), Some(name)) = (&group, &self.settings.group)
            && group.is_empty()
        {
            return Err(EnrolError::EmptyGroup(name.clone()));
        }
        let mut enrolled = EnrolSummary::default();
        let census = self.census(&permit, &roster, group.as_ref(), &mut enrolled, deadline).await?;
        let athletes = census.athletes;
        // Each write below asks for its own permit: this run may last longer than this permit is valid.
        drop(permit);
        self.give_links(&keyring, &athletes, &mut enrolled, deadline).await?;
        // Links come first: without a link, an athlete cannot connect.
        if enrolled.left == 0 {
            self.write_all_statuses(&roster, &athletes, &mut enrolled, deadline).await?;
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
            unreadable = enrolled.unreadable,
            outside_group = enrolled.outside_group,
            merged = enrolled.merged,
            disconnected = enrolled.disconnected,
            unaccounted = enrolled.unaccounted,
            "enrolment"
        );
        let metrics = [
            Metric::count("AthletesOnRoster", enrolled.athletes),
            Metric::count("ProfilesFailed", enrolled.failed + enrolled.staff_failed),
            Metric::count("AthletesLeft", enrolled.left),
            Metric::count("UsersWithoutUuid", enrolled.without_uuid),
            Metric::count("UuidsShared", enrolled.shared_uuids),
            Metric::count("AthletesUnaccounted", enrolled.unaccounted),
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

    /// Decides who is an athlete, and updates connections after users were merged or deleted.
    async fn census(
        &self,
        permit: &Permit<'_>,
        roster: &Roster,
        group: Option<&HashSet<UserId>>,
        enrolled: &mut EnrolSummary,
        deadline: Deadline,
    ) -> Result<RosterDiff, EnrolError> {
        let mut connected = self.connected(deadline).await?;
        let mut census = RosterDiff::of(roster, group, &connected);
        if census.named == 0 && census.shared.is_empty() {
            return Err(EnrolError::NoUuids);
        }
        let ended = self.end_deleted(permit, &census.missing, connected.len(), deadline).await?;
        if !ended.is_empty() {
            connected.retain(|athlete, _| !ended.contains(athlete));
            census = RosterDiff::of(roster, group, &connected);
        }
        for unreadable in roster.unreadable.iter().take(NAMED) {
            let (what, user) = (&unreadable.what, unreadable.user.map(|user| user.0));
            tracing::error!(what, user, "Smartabase's roster has an entry that can't be read; it is left out");
        }
        for (athlete, users) in &census.shared {
            let users = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::error!(%athlete, users, "several users share this UUID; none of them gets a link");
        }
        for (athlete, user) in &census.missing {
            tracing::error!(%athlete, %user, "connected, and not on the roster: may the account still see the user?");
        }
        for (athlete, oddity) in &census.odd {
            tracing::error!(%athlete, %oddity, "connected, and not who the roster says");
        }
        *enrolled = EnrolSummary {
            athletes: census.athletes.len(),
            without_uuid: census.without_uuid,
            shared_uuids: census.shared.len(),
            unreadable: roster.unreadable.len(),
            outside_group: census.outside_group,
            merged: self.follow_mergers(&census.moved, deadline).await,
            disconnected: ended.len(),
            unaccounted: census.missing.len() + census.odd.len(),
            ..EnrolSummary::default()
        };
        Ok(census)
    }

    /// Writes a link for each athlete whose link is missing or about to expire.
    async fn give_links(
        &self,
        keyring: &Keyring,
        athletes: &[Athlete],
        enrolled: &mut EnrolSummary,
        deadline: Deadline,
    ) -> Result<(), EnrolError> {
        for page in athletes.chunks(PAGE) {
            let known = self.store.enrolments(&ids(page), deadline.instant()).await?;
            let giving = page.iter().filter(|athlete| athlete.link).map(|athlete| {
                let known = known.get(&athlete.id);
                self.give_link(keyring, athlete, known, deadline)
            });
            let giving: Vec<_> = giving.collect();
            let mut given = stream::iter(giving).buffer_unordered(CONCURRENCY);
            let mut refused = None;
            while let Some(given) = given.next().await {
                match given {
                    Ok(Given::Already) => {}
                    Ok(Given::Now) => enrolled.told += 1,
                    Ok(Given::Later) => enrolled.left += 1,
                    // The other writes of this page finish what they began and send nothing more.
                    Err(WriteError::NotLetIn(setback)) => refused = Some(setback),
                    Err(WriteError::Failed) => enrolled.failed += 1,
                }
            }
            if let Some(setback) = refused {
                return Err(EnrolError::Credentials(setback));
            }
        }
        Ok(())
    }

    /// Writes the outdated forms for staff, of the athletes and of former athletes. A former athlete's last status may
    /// still be unwritten.
    async fn write_all_statuses(
        &self,
        roster: &Roster,
        athletes: &[Athlete],
        enrolled: &mut EnrolSummary,
        deadline: Deadline,
    ) -> Result<(), EnrolError> {
        let now: BTreeSet<_> = ids(athletes).into_iter().collect();
        let former = Former::of(roster, athletes);
        let ever = self.store.enrolled_athletes(deadline.instant()).await?;
        let everybody: Vec<_> = now.iter().cloned().chain(ever.into_iter().filter(|id| !now.contains(id))).collect();
        for page in everybody.chunks(PAGE) {
            let (known, snapshot) = tokio::try_join!(
                self.store.enrolments(page, deadline.instant()),
                self.store.snapshot(page, deadline.instant())
            )?;
            let is_outdated = |id: &&AthleteId| {
                let connection = snapshot.connections.get(*id);
                known.get(*id).is_some_and(|enrolment| {
                    (now.contains(*id) || former.is_told(enrolment, connection))
                        && self.is_outdated(enrolment, connection)
                })
            };
            let telling: Vec<_> =
                page.iter().filter(is_outdated).map(|id| self.write_status_in_time(id, deadline)).collect();
            let mut told = stream::iter(telling).buffer_unordered(CONCURRENCY);
            let mut refused = None;
            while let Some(told) = told.next().await {
                match told {
                    Ok(Some(forms)) => enrolled.staff_told += forms,
                    Ok(None) => enrolled.left += 1,
                    Err(WriteError::NotLetIn(setback)) => refused = Some(setback),
                    Err(WriteError::Failed) => enrolled.staff_failed += 1,
                }
            }
            if let Some(setback) = refused {
                return Err(EnrolError::Credentials(setback));
            }
        }
        Ok(())
    }

    /// Writes the forms of one athlete; `None` if there is too little time.
    async fn write_status_in_time(&self, athlete: &AthleteId, deadline: Deadline) -> Result<Option<usize>, WriteError> {
        if deadline.remaining() < TO_WRITE { Ok(None) } else { self.write_status(athlete, deadline).await.map(Some) }
    }

    /// Writes one athlete's link if it is missing, about to expire, or was made for another user.
    async fn give_link(
        &self,
        keyring: &Keyring,
        athlete: &Athlete,
        known: Option<&Enrolment>,
        deadline: Deadline,
    ) -> Result<Given, WriteError> {
        let now = self.clock.now();
        let page = self.settings.page("connect");
        // After a key rotation, an old link works only for a while; after a change of address, it never does. Renew it
        // at once.
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
        let same = known.filter(|known| known.user_id == athlete.user.0);
        let links_from = same.and_then(|same| same.links_from);
        // A link that expires before `links_from` would be refused.
        let expires = links_from.map_or(now + LINK_LIFETIME, |from| from.max(now + LINK_LIFETIME));
        let link = Link::new(keyring, id.clone(), expires).to_url(page);
        let fields = [(profile.link.clone(), link.to_string())];
        let permit = self.permit(deadline).await?;
        self.write_profile(&permit, id, athlete.user, &profile.name, &fields, deadline).await?;
        let enrolment = Enrolment {
            athlete: id.clone(),
            user_id: athlete.user.0,
            name: athlete.name.clone(),
            link_expires: expires,
            links_from: if same.is_some() { links_from } else { Some(expires - OVERLAP) },
            basis,
            told: now,
            staff: Told::default(),
        };
        let Some(known) = known else {
            self.store.put_enrolment(&enrolment, deadline.instant()).await?;
            return Ok(Given::Now);
        };
        match self.store.replace_enrolment(&enrolment, known, deadline.instant()).await? {
            ConnectionUpdate::Done => Ok(Given::Now),
            ConnectionUpdate::Superseded | ConnectionUpdate::Gone => {
                tracing::warn!(athlete = %id, "the athlete's links were ended meanwhile; the next enrolment writes another");
                Err(WriteError::Failed)
            }
        }
    }
}

/// The outcome for one athlete's link.
enum Given {
    /// The link is still good.
    Already,
    /// The link was written.
    Now,
    /// There was no time to write it.
    Later,
}

/// Decides which athletes of earlier enrolments still get their forms written, though this run does not list them.
struct Former {
    /// Users on the roster; no form of another user can be written.
    there: HashSet<UserId>,
    /// Users whose forms already show the status of an athlete of this run.
    spoken_for: HashSet<UserId>,
}

impl Former {
    fn of(roster: &Roster, athletes: &[Athlete]) -> Self {
        Self {
            there: roster.users.iter().map(|user| user.id).collect(),
            spoken_for: athletes.iter().map(|athlete| athlete.user).collect(),
        }
    }

    /// Whether the forms of this former athlete are still written. A former athlete who is still connected is reported
    /// instead.
    fn is_told(&self, enrolment: &Enrolment, connection: Option<&Connection>) -> bool {
        let user = UserId(enrolment.user_id);
        connection.is_none_or(|connection| connection.status == Status::Disconnected)
            && self.there.contains(&user)
            && !self.spoken_for.contains(&user)
    }
}

fn ids(page: &[Athlete]) -> Vec<AthleteId> {
    page.iter().map(|athlete| athlete.id.clone()).collect()
}
