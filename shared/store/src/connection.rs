//! The connection of an athlete: its data, and small changes to it. `lease` decides which attempt may work on it,
//! `grant` stores its tokens, and `lifecycle` connects and disconnects it.

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

/// The link between an athlete and an Oura account. After a disconnection the row stays, without its grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The athlete it belongs to.
    pub athlete: AthleteId,
    /// Whether it works, and if not, why.
    pub status: Status,
    /// When [`status`](Self::status) was last set.
    pub status_at: Timestamp,
    /// What the operator must fix, as text. With a lapsed membership: what else the athlete must do.
    pub note: Option<String>,
    /// The athlete's user id at Smartabase.
    pub user_id: u64,
    /// The Oura account that feeds the athlete, once Oura has named it. If it is set, and only then, the owner row of
    /// that account names this athlete.
    pub oura_user: Option<String>,
    /// The granted scopes, separated by spaces.
    pub scopes: String,
    /// The tokens; `None` after a disconnection.
    pub grant: Option<StoredGrant>,
    /// Counts the grants. Increases with every token pair, and when the grant is erased. A decision about one
    /// generation does not apply to the next.
    pub generation: u64,
    /// Counts the leases. Increases with every claim, connect and disconnect, and when the connection moves to another
    /// user. A holder with a lower number has lost its lease.
    pub fence: u64,
    /// The attempt that works on the connection now, or did and never released the lease.
    pub lease: Option<Lease>,
    /// The digest of the last window whose records Smartabase confirmed completely.
    pub digest: Option<String>,
    /// When the connection was last synced, or last marked as found unchanged.
    pub last_sync: Option<Timestamp>,
    /// The last day that Oura had data for.
    pub last_day: Option<Date>,
    /// When the athlete first authorised any Oura account.
    pub first_connected_at: Timestamp,
    /// When the athlete last authorised. All later token pairs descend from that authorisation.
    pub connected_at: Timestamp,
    /// When the athlete last connected an Oura account not known to be the previous one; `None` if never.
    pub account_changed_at: Option<Timestamp>,
    /// When the tokens were last refreshed; `None` while they are still those of the authorisation.
    pub rotated_at: Option<Timestamp>,
    /// No request to Oura before this instant. Oura's token tier asked for the pause, or a lapsed membership is checked
    /// again then.
    pub held_until: Option<Timestamp>,
    /// The first date of the missing days: history that the forms do not have yet.
    pub backfill_from: Option<Date>,
    /// The records that a worker was about to send to Smartabase and that were not confirmed since. For each, the site
    /// may hold the old content or the sent content.
    pub intended: BTreeSet<RecordKey>,
    /// The last part of the history that was delivered. It shows the operator how far a backfill is.
    pub brought: Option<Brought>,
    /// When a refresh began whose outcome is not known yet. The refresh token may be spent, and the new token pair may
    /// be on the queue.
    pub refresh_begun: Option<Timestamp>,
    /// When an attempt first noted that this refresh probably failed.
    pub refresh_suspect_at: Option<Timestamp>,
    /// Since when the token server has refused to refresh this grant, for a reason that is not the athlete's. A release
    /// that does not know this attribute keeps it when it stores a new grant. So ignore refusals that are older than
    /// the grant.
    pub refresh_refused: Option<Refusals>,
}

/// Whether a connection works, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It works.
    Active,
    /// Oura no longer accepts the grant. The athlete must authorise again.
    NeedsConsent,
    /// The athlete did not grant a required scope and must authorise again.
    ScopeMissing,
    /// The athlete's Oura membership has lapsed, or Oura returns no data for another reason. The note then names that
    /// reason.
    MembershipLapsed,
    /// The Oura account already feeds another athlete.
    OuraAccountTaken,
    /// The athlete has disconnected. The grant is erased.
    Disconnected,
}

/// A grant as it is stored: sealed tokens, and beside them the facts that are needed without opening them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The sealed token pair.
    pub sealed: Sealed,
    /// The only endpoint that the refresh token may be sent to, in the clear. Releases that know of it also seal the
    /// endpoint with the tokens. The sealed one counts, because any process that can write the table can change this
    /// one.
    pub token_url: Url,
    /// When the access token expires.
    pub expires_at: Timestamp,
}

/// A part of the history that was delivered to the forms. The connection's note names what could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The first day, as Oura dates it.
    pub first: Date,
    /// The last day, as Oura dates it.
    pub last: Date,
    /// When it was delivered.
    pub at: Timestamp,
}

/// Consecutive refusals of the token server to refresh one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// When the first refusal was received.
    pub since: Timestamp,
    /// When the last refusal was received.
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
    /// The attempt that holds it. Unique to the attempt, not to the process.
    pub owner: String,
    /// From this instant on, any attempt may claim it.
    pub until: Timestamp,
    /// The fence number that the holder's writes must carry: the connection's [`fence`](Connection::fence).
    pub fence: u64,
}

/// The outcome of a small change to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionUpdate {
    /// The change is made, by this call or an earlier one.
    Done,
    /// Nothing was changed. The connection has another generation or a newer authorisation, or is disconnected.
    Superseded,
    /// There is no such connection.
    Gone,
}

impl Store {
    /// Reads the connection of one athlete. A consistent read: it includes every write answered before this call. One
    /// `GetItem`.
    pub async fn connection(&self, athlete: &AthleteId, deadline: Instant) -> Result<Option<Connection>, StoreError> {
        let key = Key::connection(athlete);
        self.get(&key, "reading a connection", deadline).await?.map(|item| Connection::read(&key, &item)).transpose()
    }

    /// Sets the status, note and pause of a connection, if it still has the generation that the decision is about. If
    /// `note` or `held_until` is `None`, the stored value is removed.
    ///
    /// Only [`disconnect`](Self::disconnect) sets [`Status::Disconnected`], because it also erases the grant. Passing
    /// it here is a [`StoreError::Bug`]. This function never changes whether the athlete is listed for syncing.
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

    /// Sets or removes the note that says what an operator must fix. It does so only if the connection is still the one
    /// made at `connected_at`, however often its grant was refreshed since. Nothing else changes.
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

    /// Pauses the requests to Oura for one athlete until `until`. Never shortens a longer pause. For a disconnected
    /// athlete, returns [`ConnectionUpdate::Superseded`].
    pub async fn hold_athlete(
        &self,
        athlete: &AthleteId,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        self.advance(athlete, HELD_UNTIL, until, "holding an athlete", deadline).await
    }

    /// Marks a connection as checked and unchanged. Never moves [`last_sync`](Connection::last_sync) back. For a
    /// disconnected athlete, returns [`ConnectionUpdate::Superseded`].
    pub async fn heartbeat(
        &self,
        athlete: &AthleteId,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<ConnectionUpdate, StoreError> {
        self.advance(athlete, LAST_SYNC, now, "marking a connection as synced", deadline).await
    }

    /// Moves a connection to another Smartabase user, whose forms receive the records from now on. `owed` is the first
    /// of the missing days to look up in that user's forms.
    ///
    /// What the new user's forms hold is not known, so the window's digest is removed. The fence increases, so that a
    /// job which began with the former user can write nothing more. For a disconnected athlete, returns
    /// [`ConnectionUpdate::Superseded`].
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

    /// Moves an instant forward, never back. Refuses a disconnected connection.
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

    /// Sends an update whose conditions fail only for a disconnected connection, or for one that already is as asked.
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

    /// Writes every attribute and removes those that are `None`. Lists the athlete for syncing unless the connection is
    /// disconnected.
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

    /// The status as it is stored. Also a stable name for logs and forms.
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
    /// Reads the three attributes together; `None` if there is no grant.
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
    /// Reads the three attributes together; `None` if there is no instant.
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
