//! What the console has read, kept between refreshes. A refresh reads every athlete's connection, a hundred per
//! request. It reads a ledger only if the connection shows that a worker has changed it since the last refresh.

use std::collections::HashMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use store::{AthleteId, Connection, Entry, Record, Store};

use crate::failure::Failure;
use crate::installation::soon;
use crate::roster::Roster;

/// How many ledgers are read at once.
const REQUESTS: usize = 24;

/// The data behind all pages.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) roster: Roster,
    /// When it was read.
    pub(crate) read_at: Option<Timestamp>,
    ledgers: HashMap<AthleteId, Ledger>,
    /// How many ledgers the last refresh had to read.
    pub(crate) reread: usize,
}

/// One athlete’s records: one list per form, in the order of their dates.
#[derive(Debug)]
struct Ledger {
    seen: Seen,
    forms: Vec<Vec<Line>>,
}

/// The part of a connection that changes whenever its ledger does. Every write to the ledger happens under a lease.
/// Taking a lease raises the fence, and the worker releases the lease when its work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    fence: u64,
    at_work: bool,
}

/// What the console keeps of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) date: Date,
    /// Whether Smartabase has confirmed the record completely.
    pub(crate) confirmed: bool,
    /// The day on which the record was first confirmed, in the site's time zone.
    pub(crate) received: Option<Date>,
}

impl Memory {
    /// Refreshes everything, and keeps the given number of days of `forms`.
    pub(crate) async fn refresh(
        &mut self,
        store: &Store,
        forms: &[String],
        days: u16,
        zone: &TimeZone,
        advanced: impl Fn(usize, usize),
    ) -> Result<(), Failure> {
        let roster = Roster::read(store).await?;
        let now = Timestamp::now();
        let last = now.to_zoned(zone.clone()).date();
        let first = last.saturating_sub(i64::from(days).days());
        let changed: Vec<_> = roster
            .athletes
            .iter()
            .filter_map(|athlete| athlete.connection.as_ref())
            .filter(|connection| {
                self.ledgers.get(&connection.athlete).is_none_or(|ledger| ledger.seen != Seen::of(connection))
            })
            .collect();
        let reading: Vec<_> =
            changed.iter().map(|connection| read(store, connection, forms, first, last, zone)).collect();
        let mut reading = stream::iter(reading).buffer_unordered(REQUESTS);
        let mut done = 0;
        while let Some((athlete, ledger)) = reading.try_next().await? {
            self.ledgers.insert(athlete, ledger);
            done += 1;
            advanced(done, changed.len());
        }
        drop(reading);
        self.reread = done;
        self.read_at = Some(now);
        self.roster = roster;
        Ok(())
    }

    /// One athlete's records in one form, by the index of the form.
    pub(crate) fn lines(&self, athlete: &AthleteId, form: usize) -> &[Line] {
        self.ledgers.get(athlete).and_then(|ledger| ledger.forms.get(form)).map_or(&[], Vec::as_slice)
    }
}

impl Seen {
    fn of(connection: &Connection) -> Self {
        Self { fence: connection.fence, at_work: connection.lease.is_some() }
    }
}

async fn read(
    store: &Store,
    connection: &Connection,
    forms: &[String],
    first: Date,
    last: Date,
    zone: &TimeZone,
) -> Result<(AthleteId, Ledger), Failure> {
    let mut ledger = Ledger { seen: Seen::of(connection), forms: Vec::new() };
    for form in forms {
        let Connection { athlete, intended, .. } = connection;
        let entries = store.entries(athlete, intended, form, first, last, soon().instant()).await?;
        ledger.forms.push(entries.iter().map(|entry| Line::of(entry, zone)).collect());
    }
    Ok((connection.athlete.clone(), ledger))
}

impl Line {
    fn of(entry: &Entry, zone: &TimeZone) -> Self {
        let confirmed = match &entry.record {
            Record::Written(written) => !written.digest.is_empty(),
            Record::Intended { .. } => false,
        };
        let received = entry.received_at.map(|at| at.to_zoned(zone.clone()).date());
        Self { date: entry.date, confirmed, received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dynamo::Dynamo;
    use sim::wire::Wire;
    use store::{
        BackfillDebt, Claim, Finish, KeyVersion, Keyring, NewConnection, RecordKey, SealPurpose, Status, StoredGrant,
        WindowDigest, Written, schema,
    };

    const FORM: &str = "Sleep";

    struct Table {
        store: Store,
        wire: Wire,
        _dynamo: Dynamo,
    }

    impl Table {
        async fn with(athletes: &[&str]) -> Self {
            let dynamo = Dynamo::in_memory().await.unwrap();
            schema::create_table(&dynamo.client(), "table").await.unwrap();
            let wire = Wire::start(&dynamo.endpoint().await.unwrap()).await.unwrap();
            let table = Self { store: Store::new(dynamo::client_at(&wire.url()), "table"), wire, _dynamo: dynamo };
            for athlete in athletes {
                table.connect(&AthleteId::parse(athlete).unwrap()).await;
            }
            table
        }

        async fn connect(&self, athlete: &AthleteId) {
            let keyring = Keyring::new(KeyVersion { id: "v".to_owned(), secret: "s".into() });
            let grant = StoredGrant {
                sealed: keyring.seal(SealPurpose::Grant, athlete, b"x").unwrap(),
                token_url: "https://oura.test/token".parse().unwrap(),
                expires_at: Timestamp::now(),
            };
            let new = NewConnection {
                athlete: athlete.clone(),
                status: Status::Active,
                note: None,
                user_id: 1,
                oura_user: Some(athlete.to_string()),
                scopes: "daily".to_owned(),
                grant,
                held_until: None,
                backfill_from: None,
                now: Timestamp::now(),
            };
            self.store.connect(&new, soon().instant()).await.unwrap();
        }

        /// Writes one record as a worker would.
        async fn bring(&self, athlete: &AthleteId, date: Date) {
            let (now, deadline) = (Timestamp::now(), soon().instant());
            let claim = self.store.claim(athlete, "w", now, now, None, deadline).await.unwrap();
            let Claim::Won(connection) = claim else { panic!("{claim:?}") };
            let key = RecordKey { form: FORM.to_owned(), date };
            let finish = Finish {
                digest: WindowDigest::Keep,
                note: None,
                last_day: None,
                backfill: BackfillDebt::Keep,
                brought: None,
                synced: true,
                released: true,
                now,
            };
            let written = [(key, Written { event: 1, digest: "d".to_owned() })];
            self.store
                .confirm(athlete, connection.user_id, connection.fence, &written, finish, deadline)
                .await
                .unwrap();
        }

        /// How many ledgers one refresh read.
        async fn refresh(&self, memory: &mut Memory) -> usize {
            self.wire.take_log();
            memory.refresh(&self.store, &[FORM.to_owned()], 60, &TimeZone::UTC, |_, _| {}).await.unwrap();
            // Listing the athletes takes eight queries.
            self.wire.take_log().operations("Query") - 8
        }
    }

    #[tokio::test]
    async fn only_ledgers_changed_by_a_worker_are_read_again() {
        let table = Table::with(&["a", "b", "c"]).await;
        let (b, today) = (AthleteId::parse("b").unwrap(), Timestamp::now().to_zoned(TimeZone::UTC).date());
        let mut memory = Memory::default();
        assert_eq!(table.refresh(&mut memory).await, 3);
        assert_eq!(table.refresh(&mut memory).await, 0);
        // A heartbeat means that the sync found nothing new.
        table.store.heartbeat(&b, Timestamp::now(), soon().instant()).await.unwrap();
        assert_eq!(table.refresh(&mut memory).await, 0);
        assert!(memory.lines(&b, 0).is_empty());
        table.bring(&b, today).await;
        assert_eq!(table.refresh(&mut memory).await, 1);
        assert_eq!(memory.lines(&b, 0), [Line { date: today, confirmed: true, received: Some(today) }]);
    }

    #[tokio::test]
    async fn ledger_read_during_a_lease_is_read_again_after_it() {
        let table = Table::with(&["a"]).await;
        let (a, now) = (AthleteId::parse("a").unwrap(), Timestamp::now());
        let until = now + jiff::SignedDuration::from_mins(1);
        let claim = table.store.claim(&a, "w", now, until, None, soon().instant()).await.unwrap();
        let Claim::Won(connection) = claim else { panic!("{claim:?}") };
        let mut memory = Memory::default();
        assert_eq!(table.refresh(&mut memory).await, 1);
        table.store.release(&a, connection.fence, soon().instant()).await.unwrap();
        assert_eq!(table.refresh(&mut memory).await, 1);
        assert_eq!(table.refresh(&mut memory).await, 0);
    }
}
