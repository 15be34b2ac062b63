//! The ledger: which records an athlete has in Smartabase, under which event and with which content. It is written ahead:
//! a record is intended before Smartabase hears of it, new or changed, and written after Smartabase confirmed it, so that
//! whoever finds it intended knows to look before writing.
//!
//! A written record is a row of its own. What is intended stands on the connection, beside the fence that guards it: one
//! small write, however many records it is about, and whoever wins the lease has been told of it.

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

/// Always `written`. A release that kept intentions here, too, reads it, and one may be rolled back to.
const STATE: &str = "state";
const EVENT: &str = "event";
const CONTENT: &str = "digest";
const WRITTEN_AT: &str = "written_at";
const RECEIVED_AT: &str = "received_at";

/// How many records go into one transaction beside the connection, of the 100 parts that DynamoDB allows.
const RECORDS_PER_TRANSACTION: usize = 99;

/// What the ledger says about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Smartabase may or may not have it, and what it has may be anything that was ever sent.
    Intended {
        /// The event it was to overwrite, if one was known.
        event: Option<u64>,
    },
    /// Smartabase has it.
    Written(Written),
}

/// A record that Smartabase confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The event's id at Smartabase.
    pub event: u64,
    /// The digest of its content.
    pub digest: String,
}

/// A line of the ledger, as somebody reads it who wants to know what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The date the record stands under in Smartabase.
    pub date: Date,
    /// What is known of it.
    pub record: Record,
    /// When Smartabase first confirmed it; `None` while it never has.
    pub received_at: Option<Timestamp>,
    /// When it was last confirmed.
    pub changed_at: Option<Timestamp>,
}

/// What becomes of the digest of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowDigest {
    /// The sync was about other days, or sent nothing: what stood there still holds.
    Keep,
    /// Not every record of the window was confirmed: the next sync tries again.
    Clear,
    /// Every record of the window was confirmed.
    Set(String),
}

/// What becomes of the history still owed to the forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillDebt {
    /// As it was.
    Keep,
    /// Everything before this day has been delivered.
    From(Date),
    /// All of it has been delivered.
    Paid,
}

/// How a sync ends, for the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The digest of the window.
    pub digest: WindowDigest,
    /// What an operator must mend; `None` removes what stood there.
    pub note: Option<String>,
    /// The last day that Oura had data for; `None` keeps what stood there.
    pub last_day: Option<Date>,
    /// The history still owed.
    pub backfill: BackfillDebt,
    /// The first and the last day of the history that this sync brought, if it brought any.
    pub brought: Option<(Date, Date)>,
    /// Whether the connection counts as synced now.
    pub synced: bool,
    /// Whether the lease is given back. It is left to run out while what was sent may still arrive.
    pub released: bool,
    /// When this happens.
    pub now: Timestamp,
}

/// What came of a write under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// Written, now or already.
    Done,
    /// The lease is no longer yours: stop. What one call wrote before it was lost stays written.
    Lost,
}

impl Store {
    /// What the ledger says about these records of a connection, whose lease is held since it was read; those it does not
    /// know are left out. An event of another Smartabase user than the connection's is not known. Consistent: it sees
    /// every write answered before this call. One `Query` per form, from the earliest to the latest of its dates, all at
    /// once: rows are small, and those of a query are paid for together, those asked for by name one by one.
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
                // What was noted before the ledger knew of users is the athlete's own.
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

    /// What the ledger has of one form for the dates from `first` to `last`, in order, where the connection has these
    /// records `intended`. Consistent, and one `Query` for a year or two: for people who look at an installation. No
    /// function asks this.
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

    /// The rows of one form for these dates, in order.
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
                // Another form's name may begin with this one's and go on with `#` and digits.
                let Some(date) = key.record_date(form) else { continue };
                rows.push((date, key, item));
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Notes that these records are about to be sent, and forgets the window's digest: from now until they are confirmed
    /// the site may hold what was there before or what is being sent, and neither may be taken for the other. The id of an
    /// event that is known stays known.
    ///
    /// One `UpdateItem`; none for no records.
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

    /// Notes that Smartabase confirmed these records of a user, then how the sync ended, and gives the lease back if that is
    /// how it ends.
    ///
    /// One `TransactWriteItems` per 99 records. The connection is in the last, so that nothing says the window is done
    /// before every record of it is noted.
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
        // Of two entries for one record the later holds.
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

    /// One transaction: what is done with the connection, whose fence decides, and these records.
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
        // A release that kept intentions here, too, left them without a digest.
        let Some(digest) = reader.text(CONTENT)? else { return Ok(Self::Intended { event: reader.number(EVENT)? }) };
        Ok(Self::Written(Written { event: reader.required(EVENT, Reader::number)?, digest }))
    }

    /// The event that is known to be its own.
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
        // A record of a release that did not note the first time has only the last.
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

/// The connection, as long as no later lease has been won.
fn held(athlete: &AthleteId, fence: u64) -> ItemUpdate {
    ItemUpdate::of(Key::connection(athlete)).if_equal(FENCE, number(fence))
}
