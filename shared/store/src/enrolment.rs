//! Enrolments: what the connector last wrote into an athlete's profile forms at Smartabase.
//!
//! The athlete's own form holds the link; [`Enrolment`] stores what the link was made from. For each form for staff it
//! stores a digest ([`Told`]). One rule applies: **a digest is stored only while the site is known to hold exactly that
//! content**. So writing a form takes three steps:
//!
//! - The writer [begins](Store::begin_telling): this replaces the digest by an intention.
//! - It sends the content to the site.
//! - It [ends](Store::end_telling): this replaces the intention by the digest.
//!
//! A process that dies in between leaves its intention, and the site may still carry out its request, after a later
//! one. So a writer that begins over another writer's intention stores a mark for several writers. Ending never turns
//! that mark into a digest, but removes it. In each of these cases no digest is stored and the form is written again,
//! until one writer has written it alone.

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

/// The prefix of an intention; the digest follows.
const INTENDED: &str = "intended ";

/// The mark that replaces an intention when another writer begins before the first has ended.
const BY_SEVERAL: &str = "intended by several";

/// What was last written into the profile forms of an athlete.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The athlete.
    pub athlete: AthleteId,
    /// The athlete's user id at Smartabase.
    pub user_id: u64,
    /// The athlete's name, for the page that the link opens. `Debug` does not print it.
    pub name: String,
    /// When the personal link in the form expires.
    pub link_expires: Timestamp,
    /// Links that expire earlier than this are invalid. They were given to the former user of the UUID, or the operator
    /// [ended](Store::end_links) them.
    pub links_from: Option<Timestamp>,
    /// What the link was made from besides the athlete and the expiry, as text. When it changes, the link must change.
    pub basis: String,
    /// When the athlete's own form was last written.
    pub told: Timestamp,
    /// What the forms for staff hold. [`put_enrolment`](Store::put_enrolment) does not change it.
    pub staff: Told,
}

/// The digest of each profile form for staff; `None` if the content of the form is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The form that shows the athlete's status.
    pub status: Option<String>,
    /// The form that shows when the tokens were last refreshed.
    pub rotation: Option<String>,
}

/// One of the profile forms for staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaffForm {
    /// The form that shows the athlete's status.
    Status,
    /// The form that shows when the tokens were last refreshed.
    Rotation,
}

/// The outcome of beginning or ending to write a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is noted, by this call or an earlier one.
    Noted,
    /// Another writer writes different content into the same form, or began to and never ended. So the content of the
    /// form is not known, and the table now says that.
    Overlapped,
    /// The athlete is not enrolled. Nothing was noted.
    Gone,
}

impl Store {
    /// Reads the enrolments of these athletes. Eventually consistent. One `BatchGetItem` per hundred.
    ///
    /// Leaves out a damaged enrolment like a missing one. Its forms are then written again, which replaces it.
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

    /// Reads the enrolment of one athlete. One consistent `GetItem`.
    pub async fn enrolment(&self, athlete: &AthleteId, deadline: Instant) -> Result<Option<Enrolment>, StoreError> {
        let item = self.get(&Key::enrolment(athlete), "reading an enrolment", deadline).await?;
        item.filter(|item| !is_forgotten(item)).map(|item| Enrolment::read(athlete, &item)).transpose()
    }

    /// Stores what was written into the athlete's own form, in place of what was stored before, and lists the athlete
    /// as enrolled. One `UpdateItem`.
    pub async fn put_enrolment(&self, enrolment: &Enrolment, deadline: Instant) -> Result<(), StoreError> {
        enrolment.write().send(self, "remembering an enrolment", deadline).await?;
        Ok(())
    }

    /// Like [`put_enrolment`](Self::put_enrolment), over an enrolment that was read before. If the athlete's links were
    /// [ended](Self::end_links) since, writes nothing and returns [`ConnectionUpdate::Superseded`]. One `UpdateItem`.
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
            // An earlier attempt may have succeeded while its answer was lost.
            UpdateOutcome::Refused(Some(item)) => {
                let told = Reader::new(&key, &item).instant(TOLD)?;
                Ok(if told == Some(enrolment.told) { ConnectionUpdate::Done } else { ConnectionUpdate::Superseded })
            }
        }
    }

    /// Ends every link of the athlete that expires before `from`, so that the next enrolment writes a new link into the
    /// form. Returns [`ConnectionUpdate::Superseded`] if the UUID now belongs to another user, or its links were
    /// already ended from a later instant on. One `UpdateItem`.
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

    /// Forgets an enrolment: the athlete's link becomes invalid, and no form is written for this athlete any more. The
    /// key stays, because a role that may delete a row of an athlete could also delete their grant. One `UpdateItem`.
    pub async fn forget_enrolment(&self, athlete: &AthleteId, deadline: Instant) -> Result<(), StoreError> {
        let attributes =
            [USER_ID, NAME, LINK_EXPIRES, LINKS_FROM, BASIS, TOLD, STATUS_TOLD, ROTATION_TOLD, ACTIVE_SHARD, ATHLETE];
        let edit = ItemUpdate::of(Key::enrolment(athlete)).if_exists();
        let edit = attributes.into_iter().fold(edit, ItemUpdate::remove);
        edit.send(self, "forgetting an enrolment", deadline).await?;
        Ok(())
    }

    /// Notes that content with this digest is about to be written into a form for staff. Until that is confirmed, the
    /// form may hold anything. The caller may write the form even after [`Telling::Overlapped`]. One `UpdateItem`, two
    /// over another writer's intention.
    pub async fn begin_telling(
        &self,
        athlete: &AthleteId,
        form: StaffForm,
        digest: &str,
        deadline: Instant,
    ) -> Result<Telling, StoreError> {
        let (attribute, operation) = (form.attribute(), "intending to tell a form");
        let edit = || ItemUpdate::of(Key::enrolment(athlete)).when("attribute_exists(#user_id)", [USER_ID], []);
        // Two writers of the same content do not conflict. Nor does a writer that repeats a request whose answer was
        // lost.
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

    /// Notes that the site has confirmed the content with this digest, unless another writer has written the form
    /// meanwhile or begun to. When two imports overlap, it is not known which came last. One `UpdateItem`, two if
    /// another writer did.
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
    /// The digest of the content that this form is known to hold.
    #[must_use]
    pub fn of(&self, form: StaffForm) -> Option<&str> {
        match form {
            StaffForm::Status => self.status.as_deref(),
            StaffForm::Rotation => self.rotation.as_deref(),
        }
    }
}

/// Whether only the key is left.
fn is_forgotten(item: &Item) -> bool {
    item.keys().all(|name| name == PK || name == SK)
}

fn intention(digest: &str) -> String {
    format!("{INTENDED}{digest}")
}

impl Enrolment {
    /// Whether a link with this expiry was ended early.
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
        // A damaged digest must not lock the athlete out. It counts as unknown, so the form is written again.
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
