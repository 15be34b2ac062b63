//! Connects and disconnects athletes, and decides which athlete owns an Oura account. Besides confirming records, only
//! these writes touch two items at once. No other writes change which athletes the index lists for syncing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Reader, number, text};
use crate::client::{Store, Transacted};
use crate::connection::{
    ACCOUNT_CHANGED_AT, BACKFILL_FROM, Connection, FENCE, FIRST_CONNECTED_AT, GENERATION, INTENDED, LAST_DAY,
    LAST_SYNC, Lease, OURA_USER, SCOPES, Status, StoredGrant, USER_ID,
};
use crate::error::StoreError;
use crate::keys::{Key, RecordKey};
use crate::update_expression::ItemUpdate;

/// The athlete, on an owner and a state. Not named `athlete`, because that attribute belongs to the index.
pub(crate) const ATHLETE_ID: &str = "athlete_id";

/// How many times a connect or disconnect is tried when a sync writes to the connection in between. A sync writes only
/// a few times, with network requests in between, so even one repetition is rare.
const ATTEMPTS: usize = 5;

/// The connection that an athlete has just authorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnection {
    /// The athlete who authorised.
    pub athlete: AthleteId,
    /// [`Status::Active`], or [`Status::MembershipLapsed`] if Oura said that when asked.
    pub status: Status,
    /// What an operator must fix, as text.
    pub note: Option<String>,
    /// The athlete's user id at Smartabase.
    pub user_id: u64,
    /// The Oura account; `None` if Oura did not name it. [`settle_owner`](Store::settle_owner) then sets it later.
    pub oura_user: Option<String>,
    /// The granted scopes, separated by spaces.
    pub scopes: String,
    /// The tokens.
    pub grant: StoredGrant,
    /// No request to Oura before this instant.
    pub held_until: Option<Timestamp>,
    /// The first of the missing days: history that the forms do not have yet.
    pub backfill_from: Option<Date>,
    /// The instant of the authorisation.
    pub now: Timestamp,
}

/// The outcome of connecting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "matched on at once, never stored")]
pub enum Connect {
    /// The athlete is connected and listed for syncing.
    Connected {
        /// The connection as it was written.
        connection: Connection,
        /// The grant that the connection had before, if it had one that can be read.
        replaced: Option<Replaced>,
    },
    /// The Oura account feeds another athlete. Nothing was changed.
    Taken,
    /// Other writers kept changing the connection in between. Nothing was changed; try again.
    Raced,
}

/// The grant that a new one has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The tokens.
    pub grant: StoredGrant,
    /// The granted scopes, separated by spaces.
    pub scopes: String,
    /// The Oura account that it gives access to, if Oura ever named it.
    pub oura_user: Option<String>,
}

/// The outcome of making an athlete the owner of an Oura account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// The athlete owns the account, by this call or an earlier one.
    Settled,
    /// The account feeds another athlete. Nothing was changed.
    Taken,
    /// The connection has another generation or another account, or does not exist. Nothing was changed.
    Superseded,
}

/// The outcome of disconnecting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "matched on at once, never stored")]
pub enum Disconnect {
    /// The grant is erased, and the athlete is no longer listed for syncing.
    Disconnected {
        /// The connection as it was before, with the grant that the caller must now revoke.
        connection_before: Connection,
    },
    /// There was no connection, or it was already disconnected.
    Already,
    /// The connection no longer has the given generation, or other writers kept changing it. Read it and try again.
    Raced,
}

impl Store {
    /// Connects an athlete, for the first time or again. Replaces the grant, keeps the ledger, and a running job can
    /// write nothing more. If the UUID belonged to another Smartabase user before, takes over only the generation, the
    /// fence and the lease, which order the writes.
    ///
    /// One `GetItem` and one `TransactWriteItems`. The transaction writes the connection and makes the athlete the
    /// owner of the Oura account, if the account is free. It frees the athlete's former account, if that is another
    /// one. The last authorisation wins. If a sync writes in between, this function starts over.
    ///
    /// An older connection that is damaged is replaced like any other, as long as its generation and fence can be read.
    pub async fn connect(&self, new: &NewConnection, deadline: Instant) -> Result<Connect, StoreError> {
        let operation = "connecting an athlete";
        let key = Key::connection(&new.athlete);
        let mut may_free = true;
        for _ in 0..ATTEMPTS {
            let item = self.get(&key, operation, deadline).await?;
            let before = item.as_ref().map(|item| Before::read(&Reader::new(&key, item))).transpose()?;
            let connection = new.over(before.as_ref());
            let row = match &before {
                None => connection.write().if_absent(),
                Some(before) => connection
                    .write()
                    .if_equal(GENERATION, number(before.generation))
                    .if_equal(FENCE, number(before.fence)),
            };
            let mut parts = vec![row.in_transaction(self.table())?];
            let former = before.as_ref().and_then(|before| before.oura_user.clone()).filter(|_| may_free);
            if let Some(former) = former.filter(|former| Some(former) != new.oura_user.as_ref()) {
                parts.push(owned(&former, &new.athlete).delete_in_transaction(self.table())?);
            }
            let former_place = parts.len().saturating_sub(1);
            if let Some(oura_user) = &new.oura_user {
                parts.push(own(oura_user, &new.athlete).in_transaction(self.table())?);
            }
            match self.transact(parts, operation, deadline).await? {
                Transacted::Done => {
                    let replaced = before.and_then(Before::replaced);
                    return Ok(Connect::Connected { connection, replaced });
                }
                Transacted::Refused(places) if places.contains(&0) => {}
                // Another athlete already owns the former account, so there is nothing to free.
                Transacted::Refused(places) if former_place > 0 && places.contains(&former_place) => may_free = false,
                Transacted::Refused(_) => return Ok(Connect::Taken),
            }
        }
        Ok(Connect::Raced)
    }

    /// Makes the athlete the owner of the Oura account behind their connection. Requires that the connection still has
    /// that generation and that the account is free. One `TransactWriteItems`.
    pub async fn settle_owner(
        &self,
        athlete: &AthleteId,
        generation: u64,
        oura_user: &str,
        deadline: Instant,
    ) -> Result<Settle, StoreError> {
        let connection = ItemUpdate::of(Key::connection(athlete))
            .if_equal(GENERATION, number(generation))
            .when("attribute_not_exists(#oura_user) OR #oura_user = :oura_user", [OURA_USER], [])
            .set(OURA_USER, text(oura_user));
        let parts =
            vec![connection.in_transaction(self.table())?, own(oura_user, athlete).in_transaction(self.table())?];
        Ok(match self.transact(parts, "settling an owner", deadline).await? {
            Transacted::Done => Settle::Settled,
            Transacted::Refused(places) if places.contains(&0) => Settle::Superseded,
            Transacted::Refused(_) => Settle::Taken,
        })
    }

    /// Reads which athlete this Oura account is connected to, if any. One consistent `GetItem`.
    pub async fn owner(&self, oura_user: &str, deadline: Instant) -> Result<Option<AthleteId>, StoreError> {
        let key = Key::owner(oura_user);
        let item = self.get(&key, "reading whose an Oura account is", deadline).await?;
        let read =
            |item| Reader::new(&key, &item).required(ATHLETE_ID, |reader, name| reader.parsed(name, "is not a UUID"));
        item.map(read).transpose()
    }

    /// Disconnects an athlete, if the connection still has that generation. Erases the grant, frees the Oura account,
    /// and removes the athlete from the list for syncing. Keeps the row and the ledger. One `GetItem` and one
    /// `TransactWriteItems`.
    ///
    /// The generation increases by one, so that no grant can be saved or rescued into the connection afterwards.
    pub async fn disconnect(
        &self,
        athlete: &AthleteId,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Disconnect, StoreError> {
        let operation = "disconnecting an athlete";
        let key = Key::connection(athlete);
        let mut may_free = true;
        for _ in 0..ATTEMPTS {
            let Some(item) = self.get(&key, operation, deadline).await? else { return Ok(Disconnect::Already) };
            let before = Connection::read(&key, &item)?;
            if before.status == Status::Disconnected {
                return Ok(Disconnect::Already);
            }
            if before.generation != generation {
                return Ok(Disconnect::Raced);
            }
            let row = before.ended(now).write();
            let row = row.if_equal(GENERATION, number(generation)).if_equal(FENCE, number(before.fence));
            let mut parts = vec![row.in_transaction(self.table())?];
            if let Some(oura_user) = before.oura_user.as_ref().filter(|_| may_free) {
                parts.push(owned(oura_user, athlete).delete_in_transaction(self.table())?);
            }
            match self.transact(parts, operation, deadline).await? {
                Transacted::Done => return Ok(Disconnect::Disconnected { connection_before: before }),
                Transacted::Refused(places) if places.contains(&0) => {}
                Transacted::Refused(_) => may_free = false,
            }
        }
        Ok(Disconnect::Raced)
    }
}

/// What a new connection takes over from the previous one.
struct Before {
    generation: u64,
    fence: u64,
    lease: Option<Lease>,
    oura_user: Option<String>,
    grant: Option<StoredGrant>,
    scopes: Option<String>,
    user_id: Option<u64>,
    first_connected_at: Option<Timestamp>,
    account_changed_at: Option<Timestamp>,
    last_sync: Option<Timestamp>,
    last_day: Option<Date>,
    backfill_from: Option<Date>,
    intended: BTreeSet<RecordKey>,
}

impl Before {
    /// Only the generation and the fence must be readable. The rest is replaced, or the new connection works without
    /// it.
    fn read(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let fence = reader.required(FENCE, Reader::number)?;
        Ok(Self {
            generation: reader.required(GENERATION, Reader::number)?,
            fence,
            // A damaged lease blocks no attempt.
            lease: Lease::read(reader, fence).unwrap_or_default(),
            oura_user: reader.text(OURA_USER).unwrap_or_default(),
            grant: StoredGrant::read(reader).unwrap_or_default(),
            scopes: reader.text(SCOPES).unwrap_or_default(),
            user_id: reader.number(USER_ID).unwrap_or_default(),
            first_connected_at: reader.instant(FIRST_CONNECTED_AT).unwrap_or_default(),
            account_changed_at: reader.instant(ACCOUNT_CHANGED_AT).unwrap_or_default(),
            last_sync: reader.instant(LAST_SYNC).unwrap_or_default(),
            last_day: reader.date(LAST_DAY).unwrap_or_default(),
            backfill_from: reader.date(BACKFILL_FROM).unwrap_or_default(),
            intended: reader.texts(INTENDED, "names no record").unwrap_or_default(),
        })
    }

    fn replaced(self) -> Option<Replaced> {
        let Self { grant, scopes, oura_user, .. } = self;
        grant.map(|grant| Replaced { grant, scopes: scopes.unwrap_or_default(), oura_user })
    }
}

/// The lease of a job that was running when the athlete connected or disconnected. The job can write nothing more. But
/// a request that it sent to Smartabase may still take effect, so other attempts wait until the lease runs out.
fn outlived(lease: Option<&Lease>, fence: u64) -> Option<Lease> {
    lease.map(|lease| Lease { fence: fence.saturating_add(1), ..lease.clone() })
}

impl NewConnection {
    fn over(&self, before: Option<&Before>) -> Connection {
        // The UUID may have named another user before, whose data must not count for this athlete.
        let same = before.filter(|before| before.user_id == Some(self.user_id));
        Connection {
            athlete: self.athlete.clone(),
            status: self.status,
            status_at: self.now,
            note: self.note.clone(),
            user_id: self.user_id,
            oura_user: self.oura_user.clone(),
            scopes: self.scopes.clone(),
            grant: Some(self.grant.clone()),
            generation: before.map_or(1, |before| before.generation.saturating_add(1)),
            fence: before.map_or(1, |before| before.fence.saturating_add(1)),
            lease: before.and_then(|before| outlived(before.lease.as_ref(), before.fence)),
            digest: None,
            last_sync: same.and_then(|before| before.last_sync),
            last_day: same.and_then(|before| before.last_day),
            first_connected_at: same.and_then(|before| before.first_connected_at).unwrap_or(self.now),
            connected_at: self.now,
            // Disconnecting removes the account, and Oura does not always name it.
            account_changed_at: same.and_then(|before| {
                let is_known = before.oura_user.is_some() && before.oura_user == self.oura_user;
                if is_known { before.account_changed_at } else { Some(self.now) }
            }),
            rotated_at: None,
            held_until: self.held_until,
            // Keep the earlier of the two first missing days.
            backfill_from: self.backfill_from.into_iter().chain(same.and_then(|before| before.backfill_from)).min(),
            intended: same.map(|before| before.intended.clone()).unwrap_or_default(),
            brought: None,
            refresh_begun: None,
            refresh_suspect_at: None,
            refresh_refused: None,
        }
    }
}

impl Connection {
    /// The connection after the athlete has disconnected.
    fn ended(&self, now: Timestamp) -> Self {
        Self {
            status: Status::Disconnected,
            status_at: now,
            note: None,
            oura_user: None,
            grant: None,
            generation: self.generation.saturating_add(1),
            fence: self.fence.saturating_add(1),
            lease: outlived(self.lease.as_ref(), self.fence),
            digest: None,
            held_until: None,
            refresh_begun: None,
            refresh_suspect_at: None,
            refresh_refused: None,
            ..self.clone()
        }
    }
}

/// Makes an athlete the owner of an Oura account that is free or already theirs.
fn own(oura_user: &str, athlete: &AthleteId) -> ItemUpdate {
    let free_or_mine = "attribute_not_exists(#athlete_id) OR #athlete_id = :athlete_id";
    ItemUpdate::of(Key::owner(oura_user)).when(free_or_mine, [ATHLETE_ID], []).set(ATHLETE_ID, text(athlete.as_str()))
}

/// Checks that the athlete owns the Oura account, or that no athlete does.
fn owned(oura_user: &str, athlete: &AthleteId) -> ItemUpdate {
    ItemUpdate::of(Key::owner(oura_user)).when(
        "attribute_not_exists(#athlete_id) OR #athlete_id = :athlete_id",
        [ATHLETE_ID],
        [(":athlete_id", text(athlete.as_str()))],
    )
}
