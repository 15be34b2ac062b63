//! Intending and confirming records.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use store::{BackfillDebt, Brought, Claim, Entry, Fenced, Finish, Intent, Record, RecordKey, WindowDigest, Written};

use crate::{Table, at, athlete, soon};

fn record(form: &str, date: Date) -> RecordKey {
    RecordKey { form: form.to_owned(), date }
}

/// So many records of one form, one a day.
fn records(count: usize) -> Vec<RecordKey> {
    date(2025, 1, 1).series(1.day()).take(count).map(|date| record("Sleep # 1", date)).collect()
}

fn written(event: u64) -> Written {
    Written { event, digest: format!("digest of {event}") }
}

/// To be created, each of them.
fn intents(keys: &[RecordKey]) -> Vec<Intent> {
    keys.iter().cloned().map(|key| Intent { key, event: None }).collect()
}

fn finish(seconds: i64) -> Finish {
    Finish {
        digest: WindowDigest::Set("window".to_owned()),
        note: None,
        last_day: Some(date(2026, 3, 2)),
        backfill: BackfillDebt::Keep,
        brought: None,
        synced: true,
        now: at(seconds),
    }
}

#[tokio::test]
async fn a_record_is_intended_then_written_and_intended_again_before_it_is_overwritten() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    let [one, two] = [record("Sleep", date(2026, 3, 1)), record("Activity", date(2026, 3, 1))];
    let both = [one.clone(), two.clone()];
    assert!(table.store.records(&ada, 17, &both, soon()).await.unwrap().is_empty());

    // A record twice in one call does no harm.
    let first = intents(&[one.clone(), one.clone()]);
    assert_eq!(table.store.intend(&ada, 17, fence, &first, at(1), soon()).await.unwrap(), Fenced::Done);
    let known = table.store.records(&ada, 17, &both, soon()).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [(one.clone(), Record::Intended { event: None })]);

    let confirmed = [(one.clone(), written(7))];
    assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, finish(2), soon()).await.unwrap(), Fenced::Done);
    let known = table.store.records(&ada, 17, &both, soon()).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [(one.clone(), Record::Written(written(7)))]);

    // While it is being overwritten its old digest says nothing, and nor does the window's. Its event is not forgotten,
    // even by an intent that does not know it.
    let again = [Intent { key: one.clone(), event: None }, Intent { key: two.clone(), event: Some(8) }];
    assert_eq!(table.store.intend(&ada, 17, fence, &again, at(3), soon()).await.unwrap(), Fenced::Done);
    let known = table.store.records(&ada, 17, &both, soon()).await.unwrap();
    assert_eq!(known[&one], Record::Intended { event: Some(7) });
    assert_eq!(known[&two], Record::Intended { event: Some(8) });
    assert_eq!(table.connection("ada").await.digest, None);
    let item = table.item("ATHLETE#ada", "RECORD#Sleep#2026-03-01").await.unwrap();
    assert!(!item.contains_key("digest"), "{item:?}");
}

#[tokio::test]
async fn records_of_forms_and_athletes_with_like_names_are_kept_apart() {
    let table = Table::new().await;
    for name in ["a", "a#b"] {
        table.connected(name).await;
    }
    let fence = table.claimed("a").await;
    let day = date(2026, 3, 1);
    let keys = [record("F", day), record("F#2026-03-01", day), record("F#", day)];
    table.store.intend(&athlete("a"), 17, fence, &intents(&keys[..1]), at(1), soon()).await.unwrap();
    assert_eq!(table.store.records(&athlete("a"), 17, &keys, soon()).await.unwrap().len(), 1);
    assert!(table.store.records(&athlete("a#b"), 17, &keys, soon()).await.unwrap().is_empty());
}

#[tokio::test]
async fn confirming_finishes_the_sync_in_one_request() {
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

    // A backfill knows nothing of the window, and pays a part of what is owed.
    let fence = table.claimed("ada").await;
    let owed = date(2026, 2, 14);
    let history = Finish {
        digest: WindowDigest::Keep,
        note: None,
        last_day: None,
        backfill: BackfillDebt::From(owed),
        brought: None,
        synced: true,
        now: at(70),
    };
    assert_eq!(table.store.confirm(&ada, 17, fence, &[], history, soon()).await.unwrap(), Fenced::Done);
    let last_sync = Some(at(70));
    let expected = store::Connection { fence, note: None, last_sync, backfill_from: Some(owed), ..expected };
    assert_eq!(table.connection("ada").await, expected);

    // The next sync is cut short: no digest, so that the one after it tries again, and it is not counted as one.
    let fence = table.claimed("ada").await;
    let partly = Finish {
        digest: WindowDigest::Clear,
        note: None,
        last_day: None,
        backfill: BackfillDebt::Keep,
        brought: None,
        synced: false,
        now: at(80),
    };
    assert_eq!(table.store.confirm(&ada, 17, fence, &[], partly, soon()).await.unwrap(), Fenced::Done);
    let expected = store::Connection { fence, digest: None, ..expected };
    assert_eq!(table.connection("ada").await, expected);
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_writes_nothing() {
    let table = Table::new().await;
    table.connected("ada").await;
    let old = table.claimed("ada").await;
    let ada = athlete("ada");
    let claim = table.store.claim(&ada, "another", at(60), at(120), None, soon()).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)));
    let before = table.connection("ada").await;
    let keys = records(150);
    assert_eq!(table.store.intend(&ada, 17, old, &intents(&keys), at(61), soon()).await.unwrap(), Fenced::Lost);
    let confirmed: Vec<_> = keys.iter().cloned().map(|key| (key, written(7))).collect();
    assert_eq!(table.store.confirm(&ada, 17, old, &confirmed, finish(61), soon()).await.unwrap(), Fenced::Lost);
    assert!(table.store.records(&ada, 17, &keys, soon()).await.unwrap().is_empty());
    assert_eq!(table.connection("ada").await, before);
    let nobody = athlete("nobody");
    assert_eq!(table.store.intend(&nobody, 17, 1, &intents(&keys[..1]), at(61), soon()).await.unwrap(), Fenced::Lost);
    assert_eq!(table.store.confirm(&nobody, 17, 1, &[], finish(61), soon()).await.unwrap(), Fenced::Lost);
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());
}

#[tokio::test]
async fn more_records_than_a_request_holds_take_more_requests_and_the_connection_comes_last() {
    for (count, transactions) in [(98, 1), (99, 2), (100, 2), (250, 3)] {
        let table = Table::new().await;
        table.connected("ada").await;
        let fence = table.claimed("ada").await;
        let (ada, keys) = (athlete("ada"), records(count));
        table.store.intend(&ada, 17, fence, &intents(&keys), at(1), soon()).await.unwrap();
        let confirmed: Vec<_> = (0..).map(written).zip(&keys).map(|(written, key)| (key.clone(), written)).collect();

        table.wire.requests();
        assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, finish(2), soon()).await.unwrap(), Fenced::Done);
        assert_eq!(table.wire.requests(), vec!["TransactWriteItems"; transactions], "{count} records");
        let known = table.store.records(&ada, 17, &keys, soon()).await.unwrap();
        assert_eq!(table.wire.requests(), ["Query"], "{count} records");
        let expected = confirmed.into_iter().map(|(key, written)| (key, Record::Written(written))).collect();
        assert_eq!(known, expected, "{count} records");
        assert_eq!(table.connection("ada").await.digest.as_deref(), Some("window"));
    }
}

#[tokio::test]
async fn the_entries_of_a_form_say_when_a_record_first_arrived() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    let sleep = |day| RecordKey { form: "Sleep".to_owned(), date: date(2026, 3, day) };
    // Its name begins with the other's, and its dates lie between the other's.
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
    let again = Intent { key: sleep(3), event: Some(3) };
    table.store.intend(&ada, 17, fence, &[again], at(7), soon()).await.unwrap();
    table.wire.requests();
    let entries = table.store.entries(&ada, "Sleep", date(2026, 3, 2), date(2026, 3, 9), soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["Query"]);
    let entry = |date, record, received, changed| Entry {
        date,
        record,
        received_at: Some(at(received)),
        changed_at: Some(at(changed)),
    };
    assert_eq!(
        entries,
        [
            entry(date(2026, 3, 2), Record::Written(event(2)), 1, 2),
            entry(date(2026, 3, 3), Record::Intended { event: Some(3) }, 2, 7),
        ]
    );
}

#[tokio::test]
async fn a_backfill_leaves_word_of_what_it_brought() {
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
async fn an_event_of_another_user_is_not_known_until_it_is_this_users() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let (ada, store) = (athlete("ada"), &table.store);
    let keys = records(2);
    let [sent, confirmed] = &keys[..] else { panic!("{keys:?}") };
    let of = async |user: u64| store.records(&ada, user, &keys, soon()).await.unwrap();
    let intent = |event: Option<u64>| [Intent { key: sent.clone(), event }];
    let settle = async |user: u64, event: u64| {
        let fence = table.claimed("ada").await;
        let written = [(confirmed.clone(), written(event))];
        assert_eq!(store.confirm(&ada, user, fence, &written, finish(1), soon()).await.unwrap(), Fenced::Done);
    };
    store.intend(&ada, 17, fence, &intent(Some(7)), at(1), soon()).await.unwrap();
    settle(17, 8).await;
    assert_eq!(of(17).await.len(), 2);
    assert!(of(18).await.is_empty(), "they are user 17's");

    // Sent for another user, without an event to overwrite: the id that stands there is still not theirs.
    let fence = table.claimed("ada").await;
    store.intend(&ada, 18, fence, &intent(None), at(2), soon()).await.unwrap();
    assert!(of(18).await.is_empty());
    store.intend(&ada, 18, fence, &intent(Some(9)), at(2), soon()).await.unwrap();
    settle(18, 10).await;
    let known = of(18).await;
    assert_eq!(
        (&known[sent], &known[confirmed]),
        (&Record::Intended { event: Some(9) }, &Record::Written(written(10)))
    );
    assert!(of(17).await.is_empty());

    // A ledger from before there were users in it.
    table.meddle("ATHLETE#ada", &format!("RECORD#{}#{}", sent.form, sent.date), "user_id", None).await;
    assert_eq!(of(17).await.len(), 1);
}
