//! Enrolments: what the profile forms at Smartabase were last told about an athlete.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::edit::Edit;
use crate::error::StoreError;
use crate::item::{Item, Reader, instant, number, text};
use crate::keys::{ACTIVE_SHARD, ATHLETE, ENROLLED_SHARDS, Key, shard};
use crate::requests::Store;

const USER_ID: &str = "user_id";
const NAME: &str = "name";
const LINK_EXPIRES: &str = "link_expires";
const BASIS: &str = "basis";
const TOLD: &str = "told";

/// What the profile forms were last told.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// About whom.
    pub athlete: AthleteId,
    /// The athlete's user id at Smartabase.
    pub user_id: u64,
    /// What the athlete is called, for the page they open. `Debug` does not print it.
    pub name: String,
    /// When the personal link in the form expires.
    pub link_expires: Timestamp,
    /// What the link was made from besides the athlete and the expiry, as text: when that changes, so must the link.
    pub basis: String,
    /// When the forms were told.
    pub told: Timestamp,
}

impl Store {
    /// The enrolments of these athletes, as they were a moment ago. One `BatchGetItem` per hundred.
    ///
    /// A damaged enrolment is left out like a missing one: the forms are told once more, which replaces it.
    pub async fn enrolments(
        &self,
        athletes: &[AthleteId],
        deadline: Instant,
    ) -> Result<HashMap<AthleteId, Enrolment>, StoreError> {
        let keys: BTreeSet<_> = athletes.iter().map(Key::enrolment).collect();
        let items = self.batch_get(keys, false, "reading enrolments", deadline).await?;
        let read = |athlete: &AthleteId| Enrolment::read(athlete, items.get(&Key::enrolment(athlete))?).ok();
        Ok(athletes.iter().filter_map(|athlete| Some((athlete.clone(), read(athlete)?))).collect())
    }

    /// The enrolment of one athlete. One consistent `GetItem`.
    pub async fn enrolment(&self, athlete: &AthleteId, deadline: Instant) -> Result<Option<Enrolment>, StoreError> {
        let item = self.get(&Key::enrolment(athlete), "reading an enrolment", deadline).await?;
        item.map(|item| Enrolment::read(athlete, &item)).transpose()
    }

    /// Remembers what the forms have been told, in place of what they were told before, and lists the athlete as enrolled.
    pub async fn put_enrolment(&self, enrolment: &Enrolment, deadline: Instant) -> Result<(), StoreError> {
        Edit::of(Key::enrolment(&enrolment.athlete))
            .set(USER_ID, number(enrolment.user_id))
            .set(NAME, text(&enrolment.name))
            .set(LINK_EXPIRES, instant(enrolment.link_expires))
            .set(BASIS, text(&enrolment.basis))
            .set(TOLD, instant(enrolment.told))
            .set(ACTIVE_SHARD, text(shard(&enrolment.athlete, ENROLLED_SHARDS)))
            .set(ATHLETE, text(enrolment.athlete.as_str()))
            .send(self, "remembering an enrolment", deadline)
            .await?;
        Ok(())
    }
}

impl Enrolment {
    fn read(athlete: &AthleteId, item: &Item) -> Result<Self, StoreError> {
        let key = Key::enrolment(athlete);
        let reader = Reader::new(&key, item);
        Ok(Self {
            athlete: athlete.clone(),
            user_id: reader.required(USER_ID, Reader::number)?,
            name: reader.required(NAME, Reader::text)?,
            link_expires: reader.required(LINK_EXPIRES, Reader::instant)?,
            basis: reader.required(BASIS, Reader::text)?,
            told: reader.required(TOLD, Reader::instant)?,
        })
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolment")
            .field("athlete", &self.athlete)
            .field("user_id", &self.user_id)
            .field("link_expires", &self.link_expires)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
