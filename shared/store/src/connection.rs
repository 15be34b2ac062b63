//! The connection of an athlete: what it is, and the small changes to it. Who may work on it is decided in `lease`,
//! its tokens in `grant`, its beginning and end in `consent`.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;
use url::Url;

use crate::athlete::AthleteId;
use crate::attributes::{Item, Reader, date, instant, number, sealed, text, texts};
use crate::client::Store;
use crate::error::StoreError;
use crate::keys::{ACTIVE_SHARD, ATHLETE, Key, RecordKey, SHARDS, shard};
use crate::sealed::Sealed;
use crate::update_expression::{ItemUpdate, UpdateOutcome};

pub(crate) const STATUS: &str = "status";
pub(crate) const STATUS_AT: &str = "status_at";
pub(crate) const NOTE: &str = "note";
pub(crate) const USER_ID: &str = "user_id";
pub(crate) const OURA_USER: &str = "oura_user";
pub(crate) const SCOPES: &str = "scopes";
pub(crate) const GRANT: &str = "grant";
pub(crate) const TOKEN_URL: &str = "token_url";
pub(crate) const EXPIRES_AT: &str = "expires_at";
pub(crate) const GENERATION: &str = "generation";
pub(crate) const FENCE: &str = "fence";
pub(crate) const LEASE_OWNER: &str = "lease_owner";
pub(crate) const LEASE_UNTIL: &str = "lease_until";
pub(crate) const DIGEST: &str = "digest";
pub(crate) const LAST_SYNC: &str = "last_sync";
pub(crate) const LAST_DAY: &str = "last_day";
pub(crate) const FIRST_CONNECTED_AT: &str = "first_connected_at";
pub(crate) const CONNECTED_AT: &str = "connected_at";
pub(crate) const ACCOUNT_CHANGED_AT: &str = "account_changed_at";
pub(crate) const ROTATED_AT: &str = "rotated_at";
pub(crate) const HELD_UNTIL: &str = "held_until";
pub(crate) const BACKFILL_FROM: &str = "backfill_from";
pub(crate) const BROUGHT_FIRST: &str = "brought_first";
pub(crate) const BROUGHT_LAST: &str = "brought_last";
pub(crate) const BROUGHT_AT: &str = "brought_at";
pub(crate) const INTENDED: &str = "intended";
pub(crate) const REFRESH_BEGUN: &str = "refresh_begun";
pub(crate) const REFRESH_SUSPECT_AT: &str = "refresh_doubted";
pub(crate) const REFRESH_REFUSED: &str = "refresh_refused";
pub(crate) const REFRESH_REFUSED_LAST: &str = "refresh_refused_last";

/// The link between an athlete and an Oura account. It outlives a disconnection, without its grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose it is.
    pub athlete: AthleteId,
    /// How it stands.
    pub status: Status,
    /// When [`status`](Self::status) was last set.
    pub status_at: Timestamp,
    /// What the operator must fix, in words; with a lapsed membership, what else the athlete must do.
    pub note: Option<String>,
    /// The athlete's user id at Smartabase.
    pub user_id: u64,
    /// The Oura account that feeds the athlete, once Oura has said which one it is. Then, and only then, the account's
    /// owner in the table is this athlete.
    pub oura_user: Option<String>,
    /// The scopes granted, separated by spaces.
    pub scopes: String,
    /// The tokens; `None` after a disconnection.
    pub grant: Option<StoredGrant>,
    /// Counts the grants: one more with every token pair, and with their erasure. What was decided over one generation
    /// says nothing about the next.
    pub generation: u64,
    /// Counts the leases: one more with every claim, connect and disconnect. Whoever holds an older number has lost.
    pub fence: u64,
    /// Who works on the connection now, or did and never said that it was done.
    pub lease: Option<Lease>,
    /// The digest of the last window of records that Smartabase confirmed entirely.
    pub digest: Option<String>,
    /// When the connection was last synced, or found unchanged and marked so.
    pub last_sync: Option<Timestamp>,
    /// The last day that Oura had data for.
    pub last_day: Option<Date>,
    /// When the athlete first authorised any Oura account.
    pub first_connected_at: Timestamp,
    /// When the athlete last authorised, which is when this grant's line began.
    pub connected_at: Timestamp,
    /// When the athlete last connected an Oura account that is not known to be the one before; `None` if never.
    pub account_changed_at: Option<Timestamp>,
    /// When the tokens were last refreshed; `None` while they are those of the authorisation.
    pub rotated_at: Option<Timestamp>,
    /// No call to Oura before this: its token tier said so, or a lapsed membership is looked at again then.
    pub held_until: Option<Timestamp>,
    /// The first date of the history still owed to the forms.
    pub backfill_from: Option<Date>,
    /// The records that were about to be sent to Smartabase and were not confirmed since: of each the site may hold what it
    /// held before, or what was sent.
    pub intended: BTreeSet<RecordKey>,
    /// The last stretch of history that was brought to the forms, by which an operator sees a backfill advance.
    pub brought: Option<Brought>,
    /// When a refresh was begun of which nobody knows yet how it ended: the refresh token may be spent, and its successor
    /// on the way here.
    pub refresh_begun: Option<Timestamp>,
    /// When somebody first thought that this refresh came to nothing.
    pub refresh_suspect_at: Option<Timestamp>,
    /// That the token server has refused to refresh this grant for a reason that is not the athlete's. A release that
    /// does not know this attribute leaves it there when it stores a new grant, so what is older than the grant says nothing.
    pub refresh_refused: Option<Refusals>,
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// In order.
    Active,
    /// Oura no longer accepts the grant: the athlete must authorise again.
    NeedsConsent,
    /// The athlete left out a scope that is needed: they must authorise again.
    ScopeMissing,
    /// The athlete's Oura membership has lapsed, or Oura gives no data for another reason, which the note then names.
    MembershipLapsed,
    /// The Oura account turned out to feed another athlete already.
    OuraAccountTaken,
    /// The athlete has withdrawn; the grant is erased.
    Disconnected,
}

/// A grant as it is stored: the tokens sealed, what must be known without opening them beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The sealed token pair.
    pub sealed: Sealed,
    /// The only endpoint its refresh token may ever be sent to, in the clear. The endpoint is sealed with the tokens, too, by
    /// releases that know of it: that one counts, since anybody who can write the table can change this one.
    pub token_url: Url,
    /// When the access token expires.
    pub expires_at: Timestamp,
}

/// A stretch of history that was brought to the forms; what of it could not be is in the connection's note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought {
    /// Oura's first day of it.
    pub first: Date,
    /// Oura's last day of it.
    pub last: Date,
    /// When that was done.
    pub at: Timestamp,
}

/// Refusals to refresh a grant that followed each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// When the first was received.
    pub since: Timestamp,
    /// When the last was received.
    pub last: Timestamp,
}

impl Refusals {
    fn read(reader: &Reader<'_>) -> Result<Option<Self>, StoreError> {
        let Some(since) = reader.instant(REFRESH_REFUSED)? else { return Ok(None) };
        let last = reader.instant(REFRESH_REFUSED_LAST)?.map_or(since, |last| last.max(since));
        Ok(Some(Self { since, last }))
    }
}

/// The exclusive right to work on one connection, until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The attempt that holds it: unique to the attempt, not to the process.
    pub owner: String,
    /// From then on anyone may claim it.
    pub until: Timestamp,
    /// What the holder's writes must show: the connection's [`fence`](Connection::fence).
    pub fence: u64,
}

/// What came of a small change to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionUpdate {
    /// It is as asked, now or already.
    Done,
    /// Nothing was changed: the connection has moved on to another generation or consent, or is disconnected.
    Superseded,
    /// There is no such connection.
    Gone,
}

impl Store {
    /// The connection of one athlete, as it is after every write answered before this call. One `GetItem`.
    pub async fn connection(&self, athlete: &AthleteId, deadline: Instant) -> Result<Option<Connection>, StoreError> {
        let key = Key::connection(athlete);
        self.get(&key, "reading a connection", deadline).await?.map(|item| Connection::read(&key, &item)).transpose()
    }

    /// Sets what is to be shown and done about a connection, if it still has the grant that the decision is about. With
    /// `note` or `held_until` as `None`, what stood there is removed.
    ///
    /// [`Status::Disconnected`] is not set here but by [`disconnect`](Self::disconnect), which also erases the grant;
    /// asking for it is a [`StoreError::Bug`]. Whether the athlete is listed for syncing never changes here.
    #[expect(clippy::too_many_arguments, reason = "one value per attribute, all of different types")]
    pub async fn set_status(
        &self,
        athlete: &AthleteId,
        expect_generation: u64,
        status: Status,
        note: Option<&str>,
        held_until: Option<Timestamp>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let operation = "setting a connection's status";
        if status == Status::Disconnected {
            return Err(StoreError::Bug { operation, why: "a connection is ended by disconnecting it".to_owned() });
        }
        let edit = ItemUpdate::of(Key::connection(athlete))
            .if_equal(GENERATION, number(expect_generation))
            .when("#status <> :disconnected", [STATUS], [(":disconnected", text(Status::Disconnected.name()))])
            .set(STATUS, text(status.name()))
            .set(STATUS_AT, instant(now))
            .set_or_remove(NOTE, note.map(text))
            .set_or_remove(HELD_UNTIL, held_until.map(instant));
        Ok(match edit.send(self, operation, deadline).await? {
            UpdateOutcome::Applied(_) => ConnectionUpdate::Done,
            UpdateOutcome::Refused(Some(_)) => ConnectionUpdate::Superseded,
            UpdateOutcome::Refused(None) => ConnectionUpdate::Gone,
        })
    }

    /// Leaves word of what an operator must mend, or takes it away, if the connection is still the one that was made at
    /// `connected_at`, however often its grant was refreshed since. The rest stays as it is.
    pub async fn set_note(
        &self,
        athlete: &AthleteId,
        connected_at: Timestamp,
        note: Option<&str>,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let edit = ItemUpdate::of(Key::connection(athlete))
            .if_equal(CONNECTED_AT, instant(connected_at))
            .when("#status <> :disconnected", [STATUS], [(":disconnected", text(Status::Disconnected.name()))])
            .set_or_remove(NOTE, note.map(text));
        Ok(match edit.send(self, "setting a connection's note", deadline).await? {
            UpdateOutcome::Applied(_) => ConnectionUpdate::Done,
            UpdateOutcome::Refused(Some(_)) => ConnectionUpdate::Superseded,
            UpdateOutcome::Refused(None) => ConnectionUpdate::Gone,
        })
    }

    /// Pauses the calls to Oura for one athlete until `until`. Never shortens a longer pause. A disconnected athlete is
    /// [`ConnectionUpdate::Superseded`].
    pub async fn hold_athlete(
        &self,
        athlete: &AthleteId,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        self.advance(athlete, HELD_UNTIL, until, "holding an athlete", deadline).await
    }

    /// Marks a connection as looked at and found unchanged. Never turns [`last_sync`](Connection::last_sync) back. A
    /// disconnected athlete is [`ConnectionUpdate::Superseded`].
    pub async fn heartbeat(
        &self,
        athlete: &AthleteId,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        self.advance(athlete, LAST_SYNC, now, "marking a connection as synced", deadline).await
    }

    /// Points a connection at another Smartabase user, whose forms are to receive the records from now on. Nothing is known
    /// of what stands there, so the window's digest is forgotten, and the next fence is taken: a job that began with the
    /// other user can note nothing more. `owed` is the history that is to be looked up in that user's forms, from when on.
    /// A disconnected athlete is [`ConnectionUpdate::Superseded`].
    pub async fn repoint(
        &self,
        athlete: &AthleteId,
        user_id: u64,
        owed: Option<Date>,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let edit = ItemUpdate::of(Key::connection(athlete))
            .if_exists()
            .when("#status <> :disconnected", [STATUS], [(":disconnected", text(Status::Disconnected.name()))])
            .when("#user_id <> :user_id", [USER_ID], [])
            .set(USER_ID, number(user_id))
            .set_or_remove(BACKFILL_FROM, owed.map(date))
            .remove(DIGEST)
            .increment(FENCE);
        self.unless_disconnected(edit, "pointing a connection at another user", deadline).await
    }

    /// Moves an instant forward, never back, on a connection that is not disconnected.
    async fn advance(
        &self,
        athlete: &AthleteId,
        attribute: &'static str,
        to: Timestamp,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let later = format!("attribute_not_exists(#{attribute}) OR #{attribute} < :{attribute}");
        let edit = ItemUpdate::of(Key::connection(athlete))
            .if_exists()
            .when("#status <> :disconnected", [STATUS], [(":disconnected", text(Status::Disconnected.name()))])
            .when(&later, [attribute], [])
            .set(attribute, instant(to));
        self.unless_disconnected(edit, operation, deadline).await
    }

    /// Sends an edit that a disconnected connection refuses, and so does one that is as asked already.
    async fn unless_disconnected(
        &self,
        edit: ItemUpdate,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        let key = edit.key().clone();
        match edit.send(self, operation, deadline).await? {
            UpdateOutcome::Applied(_) => Ok(ConnectionUpdate::Done),
            UpdateOutcome::Refused(None) => Ok(ConnectionUpdate::Gone),
            UpdateOutcome::Refused(Some(item)) => {
                let disconnected = Status::read(&Reader::new(&key, &item))? == Status::Disconnected;
                Ok(if disconnected { ConnectionUpdate::Superseded } else { ConnectionUpdate::Done })
            }
        }
    }
}

impl Connection {
    pub(crate) fn read(key: &Key, item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new(key, item);
        let athlete = key.connected_athlete().ok_or_else(|| reader.damaged("pk", "names no athlete"))?;
        let fence = reader.required(FENCE, Reader::number)?;
        Ok(Self {
            athlete,
            status: Status::read(&reader)?,
            status_at: reader.required(STATUS_AT, Reader::instant)?,
            note: reader.text(NOTE)?,
            user_id: reader.required(USER_ID, Reader::number)?,
            oura_user: reader.text(OURA_USER)?,
            scopes: reader.required(SCOPES, Reader::text)?,
            grant: StoredGrant::read(&reader)?,
            generation: reader.required(GENERATION, Reader::number)?,
            fence,
            lease: Lease::read(&reader, fence)?,
            digest: reader.text(DIGEST)?,
            last_sync: reader.instant(LAST_SYNC)?,
            last_day: reader.date(LAST_DAY)?,
            first_connected_at: reader.required(FIRST_CONNECTED_AT, Reader::instant)?,
            connected_at: reader.required(CONNECTED_AT, Reader::instant)?,
            account_changed_at: reader.instant(ACCOUNT_CHANGED_AT)?,
            rotated_at: reader.instant(ROTATED_AT)?,
            held_until: reader.instant(HELD_UNTIL)?,
            backfill_from: reader.date(BACKFILL_FROM)?,
            intended: reader.texts(INTENDED, "names no record")?,
            brought: Brought::read(&reader)?,
            refresh_begun: reader.instant(REFRESH_BEGUN)?,
            refresh_suspect_at: reader.instant(REFRESH_SUSPECT_AT)?,
            refresh_refused: Refusals::read(&reader)?,
        })
    }

    /// Writes every attribute, those that are `None` by removing them, and lists the athlete for syncing unless the
    /// connection is disconnected.
    pub(crate) fn write(&self) -> ItemUpdate {
        let listed = self.status != Status::Disconnected;
        let grant = self.grant.as_ref();
        let lease = self.lease.as_ref();
        ItemUpdate::of(Key::connection(&self.athlete))
            .set(STATUS, text(self.status.name()))
            .set(STATUS_AT, instant(self.status_at))
            .set_or_remove(NOTE, self.note.as_deref().map(text))
            .set(USER_ID, number(self.user_id))
            .set_or_remove(OURA_USER, self.oura_user.as_deref().map(text))
            .set(SCOPES, text(&self.scopes))
            .set_or_remove(GRANT, grant.map(|grant| sealed(&grant.sealed)))
            .set_or_remove(TOKEN_URL, grant.map(|grant| text(grant.token_url.as_str())))
            .set_or_remove(EXPIRES_AT, grant.map(|grant| instant(grant.expires_at)))
            .set(GENERATION, number(self.generation))
            .set(FENCE, number(self.fence))
            .set_or_remove(LEASE_OWNER, lease.map(|lease| text(&lease.owner)))
            .set_or_remove(LEASE_UNTIL, lease.map(|lease| instant(lease.until)))
            .set_or_remove(DIGEST, self.digest.as_deref().map(text))
            .set_or_remove(LAST_SYNC, self.last_sync.map(instant))
            .set_or_remove(LAST_DAY, self.last_day.map(date))
            .set(FIRST_CONNECTED_AT, instant(self.first_connected_at))
            .set(CONNECTED_AT, instant(self.connected_at))
            .set_or_remove(ACCOUNT_CHANGED_AT, self.account_changed_at.map(instant))
            .set_or_remove(ROTATED_AT, self.rotated_at.map(instant))
            .set_or_remove(HELD_UNTIL, self.held_until.map(instant))
            .set_or_remove(BACKFILL_FROM, self.backfill_from.map(date))
            .set_or_remove(INTENDED, (!self.intended.is_empty()).then(|| texts(&self.intended)))
            .set_or_remove(BROUGHT_FIRST, self.brought.map(|brought| date(brought.first)))
            .set_or_remove(BROUGHT_LAST, self.brought.map(|brought| date(brought.last)))
            .set_or_remove(BROUGHT_AT, self.brought.map(|brought| instant(brought.at)))
            .set_or_remove(REFRESH_BEGUN, self.refresh_begun.map(instant))
            .set_or_remove(REFRESH_SUSPECT_AT, self.refresh_suspect_at.map(instant))
            .set_or_remove(REFRESH_REFUSED, self.refresh_refused.map(|refused| instant(refused.since)))
            .set_or_remove(REFRESH_REFUSED_LAST, self.refresh_refused.map(|refused| instant(refused.last)))
            .set_or_remove(ACTIVE_SHARD, listed.then(|| text(shard(&self.athlete, SHARDS))))
            .set_or_remove(ATHLETE, listed.then(|| text(self.athlete.as_str())))
    }
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Active,
        Self::NeedsConsent,
        Self::ScopeMissing,
        Self::MembershipLapsed,
        Self::OuraAccountTaken,
        Self::Disconnected,
    ];

    /// The status as it is stored, and a stable name for logs and forms.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsConsent => "needs_consent",
            Self::ScopeMissing => "scope_missing",
            Self::MembershipLapsed => "membership_lapsed",
            Self::OuraAccountTaken => "oura_account_taken",
            Self::Disconnected => "disconnected",
        }
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let name = reader.required(STATUS, Reader::text)?;
        let known = Self::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or_else(|| reader.damaged(STATUS, "is not a status"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl StoredGrant {
    /// The three attributes together, or none of them.
    pub(crate) fn read(reader: &Reader<'_>) -> Result<Option<Self>, StoreError> {
        let Some(sealed) = reader.sealed(GRANT)? else { return Ok(None) };
        Ok(Some(Self {
            sealed,
            token_url: reader.required(TOKEN_URL, Reader::url)?,
            expires_at: reader.required(EXPIRES_AT, Reader::instant)?,
        }))
    }
}

impl Brought {
    /// The three attributes together, or none of them.
    fn read(reader: &Reader<'_>) -> Result<Option<Self>, StoreError> {
        let Some(at) = reader.instant(BROUGHT_AT)? else { return Ok(None) };
        let (first, last) =
            (reader.required(BROUGHT_FIRST, Reader::date)?, reader.required(BROUGHT_LAST, Reader::date)?);
        Ok(Some(Self { first, last, at }))
    }
}

impl Lease {
    pub(crate) fn read(reader: &Reader<'_>, fence: u64) -> Result<Option<Self>, StoreError> {
        let Some(owner) = reader.text(LEASE_OWNER)? else { return Ok(None) };
        Ok(Some(Self { owner, until: reader.required(LEASE_UNTIL, Reader::instant)?, fence }))
    }
}
