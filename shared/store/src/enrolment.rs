//! Enrolments: what the profile forms at Smartabase were last told about an athlete.
//!
//! The athlete's own form holds the link, of which [`Enrolment`] knows what it was made from. Of the forms for staff it
//! knows a digest each ([`Told`]), under one rule: **a digest stands there only while the site is known to hold exactly
//! that**. Whoever tells a form something else therefore [begins](Store::begin_telling), which replaces the digest by an
//! intention, sends, and [ends](Store::end_telling), which turns the intention into the digest. A process that dies in
//! between leaves the intention, and what it sent may still arrive, after what is sent later. So whoever begins over
//! somebody else's intention leaves neither, but a mark that several told, of which no end makes a digest: it goes, and
//! nothing stands there. In each of these cases the form is told once more, until somebody has told it alone.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Item, Reader, instant, number, text};
use crate::client::Store;
use crate::connection::ConnectionUpdate;
use crate::error::StoreError;
use crate::keys::{ACTIVE_SHARD, ATHLETE, ENROLLED_SHARDS, Key, PK, SK, shard};
use crate::update_expression::{ItemUpdate, UpdateOutcome};

const USER_ID: &str = "user_id";
const NAME: &str = "name";
const LINK_EXPIRES: &str = "link_expires";
const LINKS_FROM: &str = "links_from";
const BASIS: &str = "basis";
const TOLD: &str = "told";
const STATUS_TOLD: &str = "status_told";
const ROTATION_TOLD: &str = "rotation_told";

/// What stands before a digest whose telling has begun.
const INTENDED: &str = "intended ";

/// What stands there when a telling has begun before another had ended.
const BY_SEVERAL: &str = "intended by several";

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
    /// Links that expire earlier than this open nothing: they were given to the user who had the UUID before, or were
    /// [ended](Store::end_links) by the operator.
    pub links_from: Option<Timestamp>,
    /// What the link was made from besides the athlete and the expiry, as text: when that changes, so must the link.
    pub basis: String,
    /// When the athlete's form was told.
    pub told: Timestamp,
    /// What the forms for staff were told. [`put_enrolment`](Store::put_enrolment) leaves it as it is.
    pub staff: Told,
}

/// What the profile forms for staff are known to hold, as a digest of each; `None` where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The form that says how the athlete stands.
    pub status: Option<String>,
    /// The form that says when the tokens were last exchanged.
    pub rotation: Option<String>,
}

/// One of the profile forms for staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaffForm {
    /// The form that says how the athlete stands.
    Status,
    /// The form that says when the tokens were last exchanged.
    Rotation,
}

/// What came of a step of telling a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Noted, now or already.
    Noted,
    /// Somebody else tells the same form something else, or began to and never said that it was done: what the form will
    /// hold is not known, and noted as that.
    Overlapped,
    /// The athlete is not enrolled; nothing was noted.
    Gone,
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
        let read = |athlete: &AthleteId| {
            let item = items.get(&Key::enrolment(athlete)).filter(|item| !is_forgotten(item))?;
            Enrolment::read(athlete, item).ok()
        };
        Ok(athletes.iter().filter_map(|athlete| Some((athlete.clone(), read(athlete)?))).collect())
    }

    /// The enrolment of one athlete. One consistent `GetItem`.
    pub async fn enrolment(&self, athlete: &AthleteId, deadline: Instant) -> Result<Option<Enrolment>, StoreError> {
        let item = self.get(&Key::enrolment(athlete), "reading an enrolment", deadline).await?;
        item.filter(|item| !is_forgotten(item)).map(|item| Enrolment::read(athlete, &item)).transpose()
    }

    /// Remembers what the athlete's form has been told, in place of what it was told before, and lists the athlete as
    /// enrolled.
    pub async fn put_enrolment(&self, enrolment: &Enrolment, deadline: Instant) -> Result<(), StoreError> {
        enrolment.write().send(self, "remembering an enrolment", deadline).await?;
        Ok(())
    }

    /// The same over an enrolment that was read before, unless the athlete's links were [ended](Self::end_links) since:
    /// then nothing is written and the answer is [`ConnectionUpdate::Superseded`]. One `UpdateItem`.
    pub async fn replace_enrolment(
        &self,
        enrolment: &Enrolment,
        known: &Enrolment,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let edit = enrolment.write();
        let edit = match known.links_from {
            Some(from) => edit.when("#links_from = :known", [LINKS_FROM], [(":known", instant(from))]),
            None => edit.when("attribute_not_exists(#links_from)", [LINKS_FROM], []),
        };
        let key = edit.key().clone();
        match edit.send(self, "remembering an enrolment", deadline).await? {
            UpdateOutcome::Applied(_) => Ok(ConnectionUpdate::Done),
            UpdateOutcome::Refused(None) => Ok(ConnectionUpdate::Gone),
            // The first attempt may have been carried out and its answer lost.
            UpdateOutcome::Refused(Some(item)) => {
                let told = Reader::new(&key, &item).instant(TOLD)?;
                Ok(if told == Some(enrolment.told) { ConnectionUpdate::Done } else { ConnectionUpdate::Superseded })
            }
        }
    }

    /// Ends every link of the athlete that expires before `from`, and makes the next enrolment write a new one into the
    /// form. [`ConnectionUpdate::Superseded`] if the UUID is another user's now or its links end later already. One `UpdateItem`.
    pub async fn end_links(
        &self,
        athlete: &AthleteId,
        user_id: u64,
        from: Timestamp,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let edit = ItemUpdate::of(Key::enrolment(athlete))
            .if_equal(USER_ID, number(user_id))
            .when("attribute_not_exists(#links_from) OR #links_from <= :links_from", [LINKS_FROM], [])
            .set(LINKS_FROM, instant(from))
            .set(LINK_EXPIRES, instant(from))
            // No link has this basis, so the next enrolment sees a different one and writes a new link.
            .set(BASIS, text("renewed"));
        Ok(match edit.send(self, "ending an athlete's links", deadline).await? {
            UpdateOutcome::Applied(_) => ConnectionUpdate::Done,
            UpdateOutcome::Refused(Some(item)) if !is_forgotten(&item) => ConnectionUpdate::Superseded,
            UpdateOutcome::Refused(_) => ConnectionUpdate::Gone,
        })
    }

    /// Forgets an enrolment: the athlete's link opens nothing any more, and no form is told of them. The key is left behind,
    /// since whoever may delete a row of an athlete may delete their grant. One `UpdateItem`.
    pub async fn forget_enrolment(&self, athlete: &AthleteId, deadline: Instant) -> Result<(), StoreError> {
        let attributes =
            [USER_ID, NAME, LINK_EXPIRES, LINKS_FROM, BASIS, TOLD, STATUS_TOLD, ROTATION_TOLD, ACTIVE_SHARD, ATHLETE];
        let edit = ItemUpdate::of(Key::enrolment(athlete)).if_exists();
        let edit = attributes.into_iter().fold(edit, ItemUpdate::remove);
        edit.send(self, "forgetting an enrolment", deadline).await?;
        Ok(())
    }

    /// Notes that a form for staff is about to be told what has this digest: until that is confirmed, it may hold
    /// anything. [`Telling::Overlapped`] keeps nobody from telling it. One `UpdateItem`, two over another's intention.
    pub async fn begin_telling(
        &self,
        athlete: &AthleteId,
        form: StaffForm,
        digest: &str,
        deadline: Instant,
    ) -> Result<Telling, StoreError> {
        let (attribute, operation) = (form.attribute(), "intending to tell a form");
        let edit = || ItemUpdate::of(Key::enrolment(athlete)).when("attribute_exists(#user_id)", [USER_ID], []);
        // Two who say the same agree, as does one whose first request was answered by nobody.
        let alone = format!("NOT begins_with(#{attribute}, :intended) OR #{attribute} = :{attribute}");
        let alone = edit().when(&alone, [], [(":intended", text(INTENDED))]).set(attribute, text(intention(digest)));
        if let UpdateOutcome::Applied(_) = alone.send(self, operation, deadline).await? {
            return Ok(Telling::Noted);
        }
        Ok(match edit().set(attribute, text(BY_SEVERAL)).send(self, operation, deadline).await? {
            UpdateOutcome::Applied(_) => Telling::Overlapped,
            UpdateOutcome::Refused(_) => Telling::Gone,
        })
    }

    /// Notes that the site has confirmed what has this digest, unless somebody else has told the form meanwhile, or has
    /// begun to: of two imports that overlap nobody knows which came last. One `UpdateItem`, two where somebody has.
    pub async fn end_telling(
        &self,
        athlete: &AthleteId,
        form: StaffForm,
        digest: &str,
        deadline: Instant,
    ) -> Result<Telling, StoreError> {
        let (key, attribute, operation) = (Key::enrolment(athlete), form.attribute(), "noting what a form was told");
        let confirmed =
            ItemUpdate::of(key.clone()).if_equal(attribute, text(intention(digest))).set(attribute, text(digest));
        match confirmed.send(self, operation, deadline).await? {
            UpdateOutcome::Applied(_) => Ok(Telling::Noted),
            UpdateOutcome::Refused(None) => Ok(Telling::Gone),
            UpdateOutcome::Refused(Some(item))
                if Reader::new(&key, &item).text(attribute)?.as_deref() == Some(digest) =>
            {
                Ok(Telling::Noted)
            }
            UpdateOutcome::Refused(Some(_)) => {
                ItemUpdate::of(key).if_exists().remove(attribute).send(self, operation, deadline).await?;
                Ok(Telling::Overlapped)
            }
        }
    }
}

impl StaffForm {
    fn attribute(self) -> &'static str {
        match self {
            Self::Status => STATUS_TOLD,
            Self::Rotation => ROTATION_TOLD,
        }
    }
}

impl Told {
    /// The digest of what this form is known to hold.
    #[must_use]
    pub fn of(&self, form: StaffForm) -> Option<&str> {
        match form {
            StaffForm::Status => self.status.as_deref(),
            StaffForm::Rotation => self.rotation.as_deref(),
        }
    }
}

/// Whether nothing is there but the key.
fn is_forgotten(item: &Item) -> bool {
    item.keys().all(|name| name == PK || name == SK)
}

fn intention(digest: &str) -> String {
    format!("{INTENDED}{digest}")
}

impl Enrolment {
    /// Whether a link that expires then opens nothing any more, although it has not expired.
    #[must_use]
    pub fn has_ended(&self, link_expires: Timestamp) -> bool {
        self.links_from.is_some_and(|from| link_expires < from)
    }

    fn write(&self) -> ItemUpdate {
        ItemUpdate::of(Key::enrolment(&self.athlete))
            .set(USER_ID, number(self.user_id))
            .set(NAME, text(&self.name))
            .set(LINK_EXPIRES, instant(self.link_expires))
            .set_or_remove(LINKS_FROM, self.links_from.map(instant))
            .set(BASIS, text(&self.basis))
            .set(TOLD, instant(self.told))
            .set(ACTIVE_SHARD, text(shard(&self.athlete, ENROLLED_SHARDS)))
            .set(ATHLETE, text(self.athlete.as_str()))
    }

    fn read(athlete: &AthleteId, item: &Item) -> Result<Self, StoreError> {
        let key = Key::enrolment(athlete);
        let reader = Reader::new(&key, item);
        // Half an entry is no reason to turn the athlete away: the form is told once more.
        let told = |form: StaffForm| {
            let digest = reader.text(form.attribute()).unwrap_or_default();
            digest.filter(|digest| !digest.starts_with(INTENDED))
        };
        Ok(Self {
            athlete: athlete.clone(),
            user_id: reader.required(USER_ID, Reader::number)?,
            name: reader.required(NAME, Reader::text)?,
            link_expires: reader.required(LINK_EXPIRES, Reader::instant)?,
            links_from: reader.instant(LINKS_FROM)?,
            basis: reader.required(BASIS, Reader::text)?,
            told: reader.required(TOLD, Reader::instant)?,
            staff: Told { status: told(StaffForm::Status), rotation: told(StaffForm::Rotation) },
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
            .field("staff", &self.staff)
            .finish_non_exhaustive()
    }
}
