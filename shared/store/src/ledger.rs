//! The ledger: which records an athlete has in Smartabase, under which event id and with which content.
//!
//! A worker marks a record as intended before it sends it to Smartabase, new or changed. It marks the record as written
//! after Smartabase confirmed it. A worker that finds a record intended knows that it must look it up before it writes.
//!
//! A written record is a row of its own. Intended records are stored on the connection, beside the fence that guards
//! them. So marking them is one small write, however many records there are, and an attempt that wins the lease also
//! reads them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Item, Reader, date, instant, number, text, texts};
use crate::client::{Store, Transacted, bounded};
use crate::connection::{
    BACKFILL_FROM, BROUGHT_AT, BROUGHT_FIRST, BROUGHT_LAST, Connection, DIGEST, FENCE, INTENDED, LAST_DAY, LAST_SYNC,
    LEASE_OWNER, LEASE_UNTIL, NOTE, USER_ID,
};
use crate::error::{StoreError, classify};
use crate::keys::{Key, PK, RecordKey, SK};
use crate::update_expression::{ItemUpdate, UpdateOutcome};

/// Always `written`. Earlier releases also kept intentions in these rows. They read this attribute, and the operator
/// may roll back to one.
const STATE: &str = "state";
const EVENT: &str = "event";
const CONTENT: &str = "digest";
const WRITTEN_AT: &str = "written_at";
const RECEIVED_AT: &str = "received_at";

/// The maximum number of records in one transaction, beside the connection. DynamoDB allows 100 parts.
const RECORDS_PER_TRANSACTION: usize = 99;

/// The state of a record in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Smartabase may or may not have the record, with any content that was ever sent for it.
    Intended {
        /// The event that the worker intended to overwrite, if one was known.
        event: Option<u64>,
    },
    /// Smartabase has the record.
    Written(Written),
}

/// What Smartabase confirmed of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The id of the event at Smartabase.
    pub event: u64,
    /// The digest of its content.
    pub digest: String,
}

/// One entry of the ledger, for operators who look into what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The date of the record in Smartabase.
    pub date: Date,
    /// The state of the record.
    pub record: Record,
    /// When Smartabase first confirmed it; `None` if it never has.
    pub received_at: Option<Timestamp>,
    /// When Smartabase last confirmed it.
    pub changed_at: Option<Timestamp>,
}

/// What happens to the digest of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowDigest {
    /// Keeps the stored digest: the sync covered other days, or sent nothing.
    Keep,
    /// Removes it: not every record of the window was confirmed, so the next sync tries again.
    Clear,
    /// Stores this digest: every record of the window was confirmed.
    Set(String),
}

/// What happens to the missing days: history that the forms do not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillDebt {
    /// No change.
    Keep,
    /// Every day before this one has been delivered.
    From(Date),
    /// All missing days have been delivered.
    Paid,
}

/// What a sync writes to the connection at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The digest of the window.
    pub digest: WindowDigest,
    /// What an operator must fix; `None` removes the stored note.
    pub note: Option<String>,
    /// The last day that Oura had data for; `None` keeps the stored day.
    pub last_day: Option<Date>,
    /// The missing days.
    pub backfill: BackfillDebt,
    /// The first and last missing day that this sync delivered; `None` if it delivered none.
    pub brought: Option<(Date, Date)>,
    /// Whether the connection counts as synced at `now`.
    pub synced: bool,
    /// Whether the lease is released. A lease is left to run out while a request to Smartabase may still take effect.
    pub released: bool,
    /// The instant of this write.
    pub now: Timestamp,
}

/// The outcome of a write under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// Written, by this call or an earlier one.
    Done,
    /// The caller has lost the lease and must stop. What the call wrote before the loss stays written.
    Lost,
}

impl Store {
    /// Reads these records of a connection whose lease the caller has held since it read the connection. Leaves out
    /// records that the ledger does not know. An event that belongs to another Smartabase user than the connection's
    /// counts as unknown.
    ///
    /// A consistent read: it includes every write answered before this call. One `Query` per form, from the earliest to
    /// the latest of its dates, all at once. The rows are small: DynamoDB bills the rows of a query together, but rows
    /// read by their keys one by one.
    pub async fn records(
        &self,
        connection: &Connection,
        keys: &[RecordKey],
        deadline: Instant,
    ) -> Result<BTreeMap<RecordKey, Record>, StoreError> {
        let Connection { athlete, user_id, intended, .. } = connection;
        let mut wanted: BTreeMap<&str, BTreeSet<Date>> = BTreeMap::new();
        for key in keys {
            wanted.entry(&key.form).or_default().insert(key.date);
        }
        let forms = wanted.iter().filter_map(|(form, dates)| Some((*form, *dates.first()?, *dates.last()?)));
        let rows = try_join_all(forms.map(async |(form, first, last)| {
            let rows = self.rows(athlete, form, first, last, "reading the ledger", deadline).await?;
            Ok::<_, StoreError>((form, rows))
        }));
        let mut known = BTreeMap::new();
        for (form, rows) in rows.await? {
            for (date, key, item) in rows {
                let asked = wanted.get(form).is_some_and(|dates| dates.contains(&date));
                // Rows from before the ledger stored a user belong to the athlete's own user.
                if asked && Reader::new(&key, &item).number(USER_ID)?.is_none_or(|user| user == *user_id) {
                    known.insert(RecordKey { form: form.to_owned(), date }, Record::read(&key, &item)?);
                }
            }
        }
        for key in keys.iter().filter(|key| intended.contains(key)) {
            let event = known.get(key).and_then(Record::event);
            known.insert(key.clone(), Record::Intended { event });
        }
        Ok(known)
    }

    /// Reads the entries of one form for the dates from `first` to `last`, in order. `intended` is the connection's set
    /// of intended records. A consistent read, and one `Query` for a year or two. Only operators' commands use this.
    pub async fn entries(
        &self,
        athlete: &AthleteId,
        intended: &BTreeSet<RecordKey>,
        form: &str,
        first: Date,
        last: Date,
        deadline: Instant,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = self.rows(athlete, form, first, last, "reading the ledger of a form", deadline).await?;
        let entries = rows.iter().map(|(date, key, item)| Ok((*date, Entry::read(key, item, *date)?)));
        let mut entries = entries.collect::<Result<BTreeMap<_, _>, StoreError>>()?;
        for key in intended.iter().filter(|key| key.form == form && (first..=last).contains(&key.date)) {
            let before = entries.get(&key.date);
            let record = Record::Intended { event: before.and_then(|entry| entry.record.event()) };
            let (received_at, changed_at) = before.map_or((None, None), |entry| (entry.received_at, entry.changed_at));
            entries.insert(key.date, Entry { date: key.date, record, received_at, changed_at });
        }
        Ok(entries.into_values().collect())
    }

    /// Reads the rows of one form for these dates, in order.
    async fn rows(
        &self,
        athlete: &AthleteId,
        form: &str,
        first: Date,
        last: Date,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Vec<(Date, Key, Item)>, StoreError> {
        let [from, to] = [first, last].map(|date| RecordKey { form: form.to_owned(), date });
        let (from, to) = (Key::record(athlete, &from), Key::record(athlete, &to));
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let request = self
                .client()
                .query()
                .table_name(self.table())
                .consistent_read(true)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
                .expression_attribute_names("#pk", PK)
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":pk", text(from.partition()))
                .expression_attribute_values(":from", text(from.sort()))
                .expression_attribute_values(":to", text(to.sort()))
                .set_exclusive_start_key(start);
            let answer = bounded(operation, deadline, request.send()).await?;
            let page = answer.map_err(|error| classify(operation, &error))?;
            for item in page.items.unwrap_or_default() {
                let Some(key) = Key::of(&item) else { continue };
                // The name of another form may begin with this one's, followed by `#` and digits.
                let Some(date) = key.record_date(form) else { continue };
                rows.push((date, key, item));
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Marks these records as intended and removes the window's digest. Until they are confirmed, the site may hold the
    /// old content or the content being sent, and neither may be assumed. The ledger keeps the id of a known event.
    ///
    /// One `UpdateItem`. For an empty set, no request.
    pub async fn intend(
        &self,
        athlete: &AthleteId,
        fence: u64,
        records: &BTreeSet<RecordKey>,
        deadline: Instant,
    ) -> Result<Fenced, StoreError> {
        if records.is_empty() {
            return Ok(Fenced::Done);
        }
        let edit = held(athlete, fence).add(INTENDED, texts(records)).remove(DIGEST);
        Ok(match edit.send(self, "intending records", deadline).await? {
            UpdateOutcome::Applied(_) => Fenced::Done,
            UpdateOutcome::Refused(_) => Fenced::Lost,
        })
    }

    /// Marks these records of a user as confirmed by Smartabase, then writes how the sync ended and, if `finish` says
    /// so, releases the lease.
    ///
    /// One `TransactWriteItems` per 99 records. Only the last one changes the connection, so that the window never
    /// counts as done before every record of it is stored.
    pub async fn confirm(
        &self,
        athlete: &AthleteId,
        user_id: u64,
        fence: u64,
        written: &[(RecordKey, Written)],
        finish: Finish,
        deadline: Instant,
    ) -> Result<Fenced, StoreError> {
        let operation = "confirming records";
        // If a record is listed twice, the later entry counts.
        let written: BTreeMap<_, _> = written.iter().map(|(record, written)| (record, written)).collect();
        let mut connection = finish.clone().write(held(athlete, fence));
        if !written.is_empty() {
            connection = connection.delete(INTENDED, texts(written.keys()));
        }
        let edits: Vec<_> = written
            .into_iter()
            .map(|(record, written)| {
                ItemUpdate::of(Key::record(athlete, record))
                    .set(STATE, text("written"))
                    .set(EVENT, number(written.event))
                    .set(USER_ID, number(user_id))
                    .set(CONTENT, text(&written.digest))
                    .set(WRITTEN_AT, instant(finish.now))
                    .set_once(RECEIVED_AT, instant(finish.now))
            })
            .collect();
        let in_the_last = edits.len() % RECORDS_PER_TRANSACTION;
        let (before, last) = edits.split_at(edits.len() - in_the_last);
        for edits in before.chunks(RECORDS_PER_TRANSACTION) {
            let check = held(athlete, fence).check_in_transaction(self.table())?;
            if self.fenced(check, edits, operation, deadline).await? == Fenced::Lost {
                return Ok(Fenced::Lost);
            }
        }
        self.fenced(connection.in_transaction(self.table())?, last, operation, deadline).await
    }

    /// Sends one transaction: a change or check of the connection, whose fence decides, and these records.
    async fn fenced(
        &self,
        connection: TransactWriteItem,
        records: &[ItemUpdate],
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Fenced, StoreError> {
        let mut parts = vec![connection];
        for record in records {
            parts.push(record.clone().in_transaction(self.table())?);
        }
        Ok(match self.transact(parts, operation, deadline).await? {
            Transacted::Done => Fenced::Done,
            Transacted::Refused(_) => Fenced::Lost,
        })
    }
}

impl Record {
    fn read(key: &Key, item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new(key, item);
        // Earlier releases kept intentions in these rows, without a digest.
        let Some(digest) = reader.text(CONTENT)? else { return Ok(Self::Intended { event: reader.number(EVENT)? }) };
        Ok(Self::Written(Written { event: reader.required(EVENT, Reader::number)?, digest }))
    }

    /// The id of the record's event, if it is known.
    #[must_use]
    pub fn event(&self) -> Option<u64> {
        match self {
            Self::Intended { event } => *event,
            Self::Written(written) => Some(written.event),
        }
    }
}

impl Entry {
    fn read(key: &Key, item: &Item, date: Date) -> Result<Self, StoreError> {
        let reader = Reader::new(key, item);
        let changed_at = reader.instant(WRITTEN_AT)?;
        // An earlier release stored only the time of the last confirmation.
        let received_at = reader.instant(RECEIVED_AT)?.or(changed_at);
        Ok(Self { date, record: Record::read(key, item)?, received_at, changed_at })
    }
}

impl Finish {
    fn write(self, edit: ItemUpdate) -> ItemUpdate {
        let mut edit = edit.set_or_remove(NOTE, self.note.map(text));
        if self.released {
            edit = edit.remove(LEASE_OWNER).remove(LEASE_UNTIL);
        }
        if self.synced {
            edit = edit.set(LAST_SYNC, instant(self.now));
        }
        if let Some(day) = self.last_day {
            edit = edit.set(LAST_DAY, date(day));
        }
        if let Some((first, last)) = self.brought {
            edit =
                edit.set(BROUGHT_FIRST, date(first)).set(BROUGHT_LAST, date(last)).set(BROUGHT_AT, instant(self.now));
        }
        edit = match self.digest {
            WindowDigest::Keep => edit,
            WindowDigest::Clear => edit.remove(DIGEST),
            WindowDigest::Set(digest) => edit.set(DIGEST, text(digest)),
        };
        match self.backfill {
            BackfillDebt::Keep => edit,
            BackfillDebt::From(day) => edit.set(BACKFILL_FROM, date(day)),
            BackfillDebt::Paid => edit.remove(BACKFILL_FROM),
        }
    }
}

/// An update of the connection that is refused once a later lease has been won.
fn held(athlete: &AthleteId, fence: u64) -> ItemUpdate {
    ItemUpdate::of(Key::connection(athlete)).if_equal(FENCE, number(fence))
}
