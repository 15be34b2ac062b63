//! Small changes of a connection: status, note, hold, heartbeat, and another user after a merger.

use jiff::ToSpan;
use jiff::civil::date;
use store::{BackfillDebt, ConnectionUpdate, Fenced, Finish, Status, StoreError, WindowDigest};

use crate::{Table, at, athlete, soon};

const STATUSES: [Status; 5] =
    [Status::Active, Status::NeedsConsent, Status::ScopeMissing, Status::MembershipLapsed, Status::OuraAccountTaken];

#[tokio::test]
async fn every_status_is_stored_with_its_note_and_hold() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let ada = athlete("ada");
    for status in STATUSES {
        let change = table.store.set_status(&ada, 1, status, Some("mend it"), Some(at(9)), at(5), soon()).await;
        assert_eq!(change.unwrap(), ConnectionUpdate::Done);
        let expected = store::Connection {
            status,
            status_at: at(5),
            note: Some("mend it".to_owned()),
            held_until: Some(at(9)),
            ..before.clone()
        };
        assert_eq!(table.connection("ada").await, expected);
    }
    table.store.set_status(&ada, 1, Status::Active, None, None, at(0), soon()).await.unwrap();
    assert_eq!(table.connection("ada").await, before);
}

#[tokio::test]
async fn a_status_applies_to_one_generation() {
    let table = Table::new().await;
    table.connected("ada").await;
    let set = |name: &'static str, generation| {
        let store = &table.store;
        async move {
            store.set_status(&athlete(name), generation, Status::NeedsConsent, None, None, at(5), soon()).await.unwrap()
        }
    };
    assert_eq!(set("ada", 2).await, ConnectionUpdate::Superseded);
    assert_eq!(set("nobody", 1).await, ConnectionUpdate::Gone);
    assert_eq!(table.connection("ada").await.status, Status::Active);
}

#[tokio::test]
async fn setting_or_removing_a_note_changes_nothing_else() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, store) = (athlete("ada"), &table.store);
    // A note must not overwrite what another worker stored after the connection was read.
    store.set_status(&ada, 1, Status::MembershipLapsed, None, Some(at(9)), at(5), soon()).await.unwrap();
    let before = table.connection("ada").await;
    for note in [Some("mend it"), Some("mend that"), None] {
        assert_eq!(store.set_note(&ada, before.connected_at, note, soon()).await.unwrap(), ConnectionUpdate::Done);
        let expected = store::Connection { note: note.map(str::to_owned), ..before.clone() };
        assert_eq!(table.connection("ada").await, expected);
    }
    assert_eq!(
        store.set_note(&ada, before.connected_at + 1.second(), Some("mend it"), soon()).await.unwrap(),
        ConnectionUpdate::Superseded
    );
    assert_eq!(
        store.set_note(&athlete("nobody"), before.connected_at, Some("mend it"), soon()).await.unwrap(),
        ConnectionUpdate::Gone
    );
    assert_eq!(table.connection("ada").await, before);
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());
}

#[tokio::test]
async fn setting_the_status_disconnected_is_refused() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let refused = table.store.set_status(&athlete("ada"), 1, Status::Disconnected, None, None, at(5), soon()).await;
    assert!(matches!(refused, Err(StoreError::Bug { .. })), "{refused:?}");
    assert_eq!(table.connection("ada").await, before);
}

#[tokio::test]
async fn holds_and_heartbeats_only_move_forward() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    for (to, kept) in [(20, 20), (10, 20), (20, 20), (30, 30)] {
        assert_eq!(table.store.hold_athlete(&ada, at(to), soon()).await.unwrap(), ConnectionUpdate::Done);
        assert_eq!(table.store.heartbeat(&ada, at(to), soon()).await.unwrap(), ConnectionUpdate::Done);
        let connection = table.connection("ada").await;
        assert_eq!((connection.held_until, connection.last_sync), (Some(at(kept)), Some(at(kept))));
    }
}

#[tokio::test]
async fn repoint_keeps_the_grant_and_fences_the_running_job() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, store) = (athlete("ada"), &table.store);
    let finish = Finish {
        digest: WindowDigest::Set("all that the other user's forms say".to_owned()),
        note: None,
        last_day: None,
        backfill: BackfillDebt::Keep,
        brought: None,
        synced: true,
        released: true,
        now: at(1),
    };
    let fence = table.claimed("ada").await;
    assert_eq!(store.confirm(&ada, 17, fence, &[], finish.clone(), soon()).await.unwrap(), Fenced::Done);
    let before = table.connection("ada").await;
    assert!(before.digest.is_some());
    let running = table.claimed("ada").await;
    for _ in 0..2 {
        let owed = Some(date(2026, 1, 1));
        assert_eq!(store.repoint(&ada, 18, owed, soon()).await.unwrap(), ConnectionUpdate::Done);
        let now = table.connection("ada").await;
        assert_eq!(now.backfill_from, owed);
        assert_eq!((now.user_id, now.digest, now.fence), (18, None, running + 1), "once");
        assert_eq!((now.grant, now.generation, now.status), (before.grant.clone(), before.generation, before.status));
    }
    assert_eq!(store.confirm(&ada, 17, running, &[], finish, soon()).await.unwrap(), Fenced::Lost);
    assert_eq!(table.connection("ada").await.digest, None);
}

#[tokio::test]
async fn small_changes_neither_create_nor_revive_a_connection() {
    let table = Table::new().await;
    let nobody = athlete("nobody");
    assert_eq!(table.store.hold_athlete(&nobody, at(1), soon()).await.unwrap(), ConnectionUpdate::Gone);
    assert_eq!(table.store.heartbeat(&nobody, at(1), soon()).await.unwrap(), ConnectionUpdate::Gone);
    assert_eq!(table.store.repoint(&nobody, 18, None, soon()).await.unwrap(), ConnectionUpdate::Gone);
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());

    let ada = athlete("ada");
    table.connected("ada").await;
    table.store.disconnect(&ada, 1, at(1), soon()).await.unwrap();
    let ended = table.connection("ada").await;
    assert_eq!(table.store.hold_athlete(&ada, at(2), soon()).await.unwrap(), ConnectionUpdate::Superseded);
    assert_eq!(table.store.heartbeat(&ada, at(2), soon()).await.unwrap(), ConnectionUpdate::Superseded);
    assert_eq!(table.store.repoint(&ada, 18, None, soon()).await.unwrap(), ConnectionUpdate::Superseded);
    assert_eq!(
        table.store.set_note(&ada, ended.connected_at, Some("mend it"), soon()).await.unwrap(),
        ConnectionUpdate::Superseded
    );
    assert_eq!(table.connection("ada").await, ended);
}
