//! Marking records as intended and confirming them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::{Date, date};
use store::{BackfillDebt, Brought, Claim, Entry, Fenced, Finish, Record, RecordKey, WindowDigest, Written};

use crate::{Table, at, athlete, finish, soon};

fn record(form: &str, date: Date) -> RecordKey {
    RecordKey { form: form.to_owned(), date }
}

/// This many records of one form, one a day.
fn records(count: usize) -> Vec<RecordKey> {
    date(2025, 1, 1).series(1.day()).take(count).map(|date| record("Sleep # 1", date)).collect()
}

fn written(event: u64) -> Written {
    Written { event, digest: format!("digest of {event}") }
}

fn set(keys: &[RecordKey]) -> BTreeSet<RecordKey> {
    keys.iter().cloned().collect()
}

/// What the ledger now says about these records of an athlete.
async fn known(table: &Table, name: &str, keys: &[RecordKey]) -> BTreeMap<RecordKey, Record> {
    let connection = table.connection(name).await;
    table.store.records(&connection, keys, soon()).await.unwrap()
}

#[tokio::test]
async fn a_record_is_intended_before_every_write() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    let [one, two] = [record("Sleep", date(2026, 3, 1)), record("Activity", date(2026, 3, 1))];
    let both = [one.clone(), two.clone()];
    assert!(known(&table, "ada", &both).await.is_empty());

    assert_eq!(table.store.intend(&ada, fence, &set(&both[..1]), soon()).await.unwrap(), Fenced::Done);
    assert_eq!(known(&table, "ada", &both).await, [(one.clone(), Record::Intended { event: None })].into());
    assert_eq!(known(&table, "ada", &both[1..]).await, BTreeMap::new(), "only what was asked for");

    let confirmed = [(one.clone(), written(7))];
    assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, finish(2), soon()).await.unwrap(), Fenced::Done);
    assert_eq!(known(&table, "ada", &both).await, [(one.clone(), Record::Written(written(7)))].into());
    let connection = table.connection("ada").await;
    assert_eq!((connection.intended.len(), connection.digest.as_deref()), (0, Some("window")));

    // During an overwrite neither the record's digest nor the window's counts. The event id is kept.
    let fence = table.claimed("ada").await;
    assert_eq!(table.store.intend(&ada, fence, &set(&both), soon()).await.unwrap(), Fenced::Done);
    let unsettled = known(&table, "ada", &both).await;
    assert_eq!(unsettled[&one], Record::Intended { event: Some(7) });
    assert_eq!(unsettled[&two], Record::Intended { event: None });
    let connection = table.connection("ada").await;
    assert_eq!((connection.intended, connection.digest), (set(&both), None));

    // A record that one sync leaves unconfirmed stays intended, whatever the next sync covers.
    let confirmed = [(two.clone(), written(8))];
    assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, finish(3), soon()).await.unwrap(), Fenced::Done);
    let fence = table.claimed("ada").await;
    assert_eq!(table.store.confirm(&ada, 17, fence, &[], finish(4), soon()).await.unwrap(), Fenced::Done);
    let unsettled = known(&table, "ada", &both).await;
    assert_eq!(unsettled[&one], Record::Intended { event: Some(7) });
    assert_eq!(unsettled[&two], Record::Written(written(8)));
}

#[tokio::test]
async fn intend_is_one_request_for_any_number_of_records() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, fence) = (athlete("ada"), table.claimed("ada").await);
    table.wire.requests();
    assert_eq!(table.store.intend(&ada, fence, &set(&[]), soon()).await.unwrap(), Fenced::Done);
    assert!(table.wire.requests().is_empty());
    let keys = records(250);
    assert_eq!(table.store.intend(&ada, fence, &set(&keys), soon()).await.unwrap(), Fenced::Done);
    assert_eq!(table.wire.requests(), ["UpdateItem"]);
    assert_eq!(table.connection("ada").await.intended, set(&keys));
}

#[tokio::test]
async fn forms_and_athletes_with_similar_names_stay_separate() {
    let table = Table::new().await;
    for name in ["a", "a#b"] {
        table.connected(name).await;
    }
    let day = date(2026, 3, 1);
    let keys = [record("F", day), record("F#2026-03-01", day), record("F#", day)];
    for (place, key) in keys.iter().enumerate() {
        let fence = table.claimed("a").await;
        table.store.intend(&athlete("a"), fence, &set(&keys[place..=place]), soon()).await.unwrap();
        assert_eq!(known(&table, "a", &keys[place..]).await, [(key.clone(), Record::Intended { event: None })].into());
        let confirmed = [(key.clone(), written(7))];
        table.store.confirm(&athlete("a"), 17, fence, &confirmed, finish(1), soon()).await.unwrap();
        assert_eq!(known(&table, "a", &keys[..=place]).await.len(), place + 1);
        assert_eq!(known(&table, "a", &keys[place + 1..]).await.len(), 0);
        assert!(known(&table, "a#b", &keys).await.is_empty());
    }
}

#[tokio::test]
async fn confirm_ends_the_sync_in_one_request() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    table.wire.requests();
    let confirmed = [(record("Sleep", date(2026, 3, 1)), written(7))];
    let done = Finish { note: Some("a field is missing".to_owned()), backfill: BackfillDebt::Paid, ..finish(2) };
    assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, done, soon()).await.unwrap(), Fenced::Done);
    assert_eq!(table.wire.requests(), ["TransactWriteItems"]);
    let expected = store::Connection {
        fence,
        lease: None,
        digest: Some("window".to_owned()),
        note: Some("a field is missing".to_owned()),
        last_sync: Some(at(2)),
        last_day: Some(date(2026, 3, 2)),
        backfill_from: None,
        ..before
    };
    assert_eq!(table.connection("ada").await, expected);

    // A backfill keeps the window digest, and delivers a part of the missing days.
    let fence = table.claimed("ada").await;
    let owed = date(2026, 2, 14);
    let history = Finish {
        digest: WindowDigest::Keep,
        note: None,
        last_day: None,
        backfill: BackfillDebt::From(owed),
        brought: None,
        synced: true,
        released: true,
        now: at(70),
    };
    assert_eq!(table.store.confirm(&ada, 17, fence, &[], history, soon()).await.unwrap(), Fenced::Done);
    let last_sync = Some(at(70));
    let expected = store::Connection { fence, note: None, last_sync, backfill_from: Some(owed), ..expected };
    assert_eq!(table.connection("ada").await, expected);

    // The next sync is cut short. It stores no digest, so that the sync after it tries again, and it does not count as
    // a sync.
    let fence = table.claimed("ada").await;
    let partly = Finish {
        digest: WindowDigest::Clear,
        note: None,
        last_day: None,
        backfill: BackfillDebt::Keep,
        brought: None,
        synced: false,
        released: true,
        now: at(80),
    };
    assert_eq!(table.store.confirm(&ada, 17, fence, &[], partly, soon()).await.unwrap(), Fenced::Done);
    let expected = store::Connection { fence, digest: None, ..expected };
    assert_eq!(table.connection("ada").await, expected);
}

#[tokio::test]
async fn a_holder_that_lost_the_lease_writes_nothing() {
    let table = Table::new().await;
    table.connected("ada").await;
    let old = table.claimed("ada").await;
    let ada = athlete("ada");
    let claim = table.store.claim(&ada, "another", at(60), at(120), None, soon()).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)));
    let before = table.connection("ada").await;
    let keys = records(150);
    assert_eq!(table.store.intend(&ada, old, &set(&keys), soon()).await.unwrap(), Fenced::Lost);
    let confirmed: Vec<_> = keys.iter().cloned().map(|key| (key, written(7))).collect();
    assert_eq!(table.store.confirm(&ada, 17, old, &confirmed, finish(61), soon()).await.unwrap(), Fenced::Lost);
    assert!(known(&table, "ada", &keys).await.is_empty());
    assert_eq!(table.connection("ada").await, before);
    let nobody = athlete("nobody");
    assert_eq!(table.store.intend(&nobody, 1, &set(&keys[..1]), soon()).await.unwrap(), Fenced::Lost);
    assert_eq!(table.store.confirm(&nobody, 17, 1, &[], finish(61), soon()).await.unwrap(), Fenced::Lost);
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());
}

#[tokio::test]
async fn confirm_splits_many_records_into_transactions() {
    for (count, transactions) in [(98, 1), (99, 2), (100, 2), (250, 3)] {
        let table = Table::new().await;
        table.connected("ada").await;
        let fence = table.claimed("ada").await;
        let (ada, keys) = (athlete("ada"), records(count));
        table.store.intend(&ada, fence, &set(&keys), soon()).await.unwrap();
        let confirmed: Vec<_> = (0..).map(written).zip(&keys).map(|(written, key)| (key.clone(), written)).collect();

        table.wire.requests();
        assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, finish(2), soon()).await.unwrap(), Fenced::Done);
        assert_eq!(table.wire.requests(), vec!["TransactWriteItems"; transactions], "{count} records");
        let connection = table.connection("ada").await;
        assert_eq!((connection.digest.as_deref(), connection.intended.len()), (Some("window"), 0));
        table.wire.requests();
        let known = table.store.records(&connection, &keys, soon()).await.unwrap();
        assert_eq!(table.wire.requests(), ["Query"], "{count} records");
        let expected = confirmed.into_iter().map(|(key, written)| (key, Record::Written(written))).collect();
        assert_eq!(known, expected, "{count} records");
    }
}

#[tokio::test]
async fn entries_say_when_a_record_was_first_confirmed() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    let sleep = |day| RecordKey { form: "Sleep".to_owned(), date: date(2026, 3, day) };
    // Its name begins with the name of the other form, and its key sorts between that form's dates.
    let odd = RecordKey { form: "Sleep#2026-03-02".to_owned(), date: date(2026, 3, 2) };
    let event = |event| Written { event, digest: "d".to_owned() };
    let confirmed = |key: &RecordKey, id| (key.clone(), event(id));
    for (seconds, written) in [
        (1, vec![confirmed(&sleep(1), 1), confirmed(&sleep(2), 2), confirmed(&odd, 9)]),
        (2, vec![confirmed(&sleep(2), 2), confirmed(&sleep(3), 3)]),
    ] {
        let fence = table.claimed("ada").await;
        table.store.confirm(&ada, 17, fence, &written, finish(seconds), soon()).await.unwrap();
    }
    let fence = table.claimed("ada").await;
    let again = set(&[sleep(3), sleep(4), sleep(10), odd]);
    table.store.intend(&ada, fence, &again, soon()).await.unwrap();
    let intended = table.connection("ada").await.intended;
    table.wire.requests();
    let (first, last) = (date(2026, 3, 2), date(2026, 3, 9));
    let entries = table.store.entries(&ada, &intended, "Sleep", first, last, soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["Query"]);
    let entry = |date, record, received: Option<i64>, changed: Option<i64>| Entry {
        date,
        record,
        received_at: received.map(at),
        changed_at: changed.map(at),
    };
    assert_eq!(
        entries,
        [
            entry(date(2026, 3, 2), Record::Written(event(2)), Some(1), Some(2)),
            entry(date(2026, 3, 3), Record::Intended { event: Some(3) }, Some(2), Some(2)),
            entry(date(2026, 3, 4), Record::Intended { event: None }, None, None),
        ]
    );
}

#[tokio::test]
async fn a_backfill_stores_which_days_it_delivered() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, days) = (athlete("ada"), (date(2026, 1, 1), date(2026, 1, 31)));
    for (second, brought) in [(1, Some(days)), (2, None)] {
        let fence = table.claimed("ada").await;
        table.store.confirm(&ada, 17, fence, &[], Finish { brought, ..finish(second) }, soon()).await.unwrap();
    }
    assert_eq!(table.connection("ada").await.brought, Some(Brought { first: days.0, last: days.1, at: at(1) }));
}

#[tokio::test]
async fn an_event_of_another_user_counts_as_unknown() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, store) = (athlete("ada"), &table.store);
    let keys = records(2);
    let [one, two] = &keys[..] else { panic!("{keys:?}") };
    // The connection as if it belonged to this user.
    let of = async |user: u64| {
        let connection = store::Connection { user_id: user, ..table.connection("ada").await };
        store.records(&connection, &keys, soon()).await.unwrap()
    };
    let settle = async |user: u64, confirmed: &[(RecordKey, Written)]| {
        let fence = table.claimed("ada").await;
        assert_eq!(store.confirm(&ada, user, fence, confirmed, finish(1), soon()).await.unwrap(), Fenced::Done);
    };
    settle(17, &[(one.clone(), written(7)), (two.clone(), written(8))]).await;
    assert_eq!(of(17).await.len(), 2);
    assert!(of(18).await.is_empty(), "they are user 17's");

    // Sent for another user: the stored event id is not an event of theirs.
    let fence = table.claimed("ada").await;
    store.intend(&ada, fence, &set(&keys[..1]), soon()).await.unwrap();
    assert_eq!(of(18).await, [(one.clone(), Record::Intended { event: None })].into());
    assert_eq!(of(17).await[one], Record::Intended { event: Some(7) });
    store.release(&ada, fence, soon()).await.unwrap();
    settle(18, &[(one.clone(), written(9))]).await;
    assert_eq!(of(18).await, [(one.clone(), Record::Written(written(9)))].into());
    assert_eq!(of(17).await, [(two.clone(), Record::Written(written(8)))].into());

    // A row from before the ledger stored users.
    table.meddle("ATHLETE#ada", &format!("RECORD#{one}"), "user_id", None).await;
    assert_eq!(of(17).await.len(), 2);
}
