//! Connecting, deciding which athlete owns an Oura account, and disconnecting.

use futures::future::join_all;
use store::{
    BackfillDebt, Connect, ConnectionUpdate, Disconnect, Fenced, Finish, Record, RecordKey, Save, Settle, Status,
    WindowDigest, Written,
};
use tokio::sync::oneshot;

use crate::wire::Act;
use crate::{Table, at, athlete, authorised, grant, soon};

#[tokio::test]
async fn a_first_connection_is_stored_as_authorised() {
    let table = Table::new().await;
    let new = authorised("ada");
    let Connect::Connected { connection, .. } = table.store.connect(&new, soon()).await.unwrap() else { panic!() };
    assert_eq!(table.wire.requests(), ["GetItem", "TransactWriteItems"]);
    assert_eq!(connection, table.connection("ada").await);
    assert_eq!(connection.status, Status::Active);
    assert_eq!(connection.grant.as_ref(), Some(&new.grant));
    assert_eq!((connection.generation, connection.fence), (1, 1));
    assert_eq!((connection.first_connected_at, connection.connected_at), (at(0), at(0)));
    assert_eq!(connection.backfill_from, new.backfill_from);
    assert_eq!(table.store.active_athletes(soon()).await.unwrap(), [athlete("ada")]);
    let owner = table.item("OURA#oura-ada", "OWNER").await.unwrap();
    assert_eq!(owner["athlete_id"], crate::s("ada"));
    assert!(!owner.contains_key("athlete"), "the index's attributes are the connections' alone");
}

#[tokio::test]
async fn connecting_another_athletes_account_writes_nothing() {
    let table = Table::new().await;
    table.connected("ada").await;
    let mut second = authorised("bob");
    second.oura_user = Some("oura-ada".to_owned());
    assert_eq!(table.store.connect(&second, soon()).await.unwrap(), Connect::Taken);
    assert_eq!(table.store.connection(&athlete("bob"), soon()).await.unwrap(), None);
    assert_eq!(table.store.active_athletes(soon()).await.unwrap(), [athlete("ada")]);

    // An athlete who is already connected keeps their connection and their account.
    let before = table.connected("bob").await;
    assert_eq!(table.store.connect(&second, soon()).await.unwrap(), Connect::Taken);
    assert_eq!(table.connection("bob").await, before);
    assert!(table.item("OURA#oura-bob", "OWNER").await.is_some());
}

#[tokio::test]
async fn of_many_athletes_with_one_account_exactly_one_connects() {
    let table = Table::new().await;
    let attempts = (0..20).map(|n| {
        let mut new = authorised(&format!("athlete-{n}"));
        new.oura_user = Some("the ring".to_owned());
        let store = table.store.clone();
        tokio::spawn(async move { store.connect(&new, soon()).await.unwrap() })
    });
    let outcomes: Vec<_> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Connect::Connected { .. })).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Connect::Taken)).count(), 19);
    assert_eq!(table.store.active_athletes(soon()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn reconnecting_fences_the_running_job_and_keeps_the_ledger() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    let record = RecordKey { form: "Sleep".to_owned(), date: jiff::civil::date(2026, 3, 1) };
    let written = Written { event: 9, digest: "d".to_owned() };
    let finish = Finish {
        digest: WindowDigest::Set("window".to_owned()),
        note: None,
        last_day: Some(record.date),
        backfill: BackfillDebt::Paid,
        brought: None,
        synced: true,
        released: true,
        now: at(1),
    };
    let confirmed = [(record.clone(), written.clone())];
    table.store.confirm(&ada, 17, fence, &confirmed, finish.clone(), soon()).await.unwrap();
    let fence = table.claimed("ada").await;
    let sent = RecordKey { form: "Activity".to_owned(), date: record.date };
    table.store.intend(&ada, fence, &[sent.clone()].into(), soon()).await.unwrap();

    let again = store::NewConnection { now: at(100), ..authorised("ada") };
    let Connect::Connected { connection, .. } = table.store.connect(&again, soon()).await.unwrap() else { panic!() };
    assert_eq!(connection, table.connection("ada").await);
    assert_eq!(connection.grant, Some(again.grant));
    assert_eq!((connection.generation, connection.fence), (2, fence + 1));
    assert_eq!(connection.digest, None);
    let lease = connection.lease.clone().expect("what the job has sent may still arrive, so others wait");
    assert_eq!((lease.owner.as_str(), lease.fence), ("the test", fence + 1));
    assert_eq!((connection.first_connected_at, connection.connected_at), (at(0), at(100)));
    assert_eq!((connection.last_sync, connection.last_day), (Some(at(1)), Some(record.date)));

    let both = [record.clone(), sent.clone()];
    let records = table.store.records(&connection, &both, soon()).await.unwrap();
    assert_eq!(records[&record], Record::Written(written));
    assert_eq!(records[&sent], Record::Intended { event: None }, "what the job has sent may have arrived");
    assert_eq!(table.store.intend(&ada, fence, &[record].into(), soon()).await.unwrap(), Fenced::Lost);
    assert_eq!(table.store.confirm(&ada, 17, fence, &confirmed, finish, soon()).await.unwrap(), Fenced::Lost);
}

#[tokio::test]
async fn reconnecting_the_same_user_keeps_earlier_missing_days() {
    let table = Table::new().await;
    let ada = athlete("ada");
    let new = |from, user_id| {
        let backfill_from = Some(jiff::civil::date(2026, from, 1));
        store::NewConnection { backfill_from, user_id, ..authorised("ada") }
    };
    let owed = async |new: &store::NewConnection| match table.store.connect(new, soon()).await.unwrap() {
        Connect::Connected { connection, .. } => {
            assert_eq!(connection, table.connection("ada").await);
            (connection.generation, connection.backfill_from.unwrap().month())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(owed(&new(2, 17)).await, (1, 2));
    assert_eq!(owed(&new(3, 17)).await, (2, 2));
    assert_eq!(owed(&new(1, 17)).await, (3, 1));
    table.store.disconnect(&ada, 3, at(1), soon()).await.unwrap();
    assert_eq!(owed(&new(4, 17)).await, (5, 1));
    assert_eq!(owed(&new(4, 18)).await, (6, 4), "another user owes nothing of that");
}

#[tokio::test]
async fn the_next_user_of_a_uuid_takes_over_no_sync_data() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, fence) = (athlete("ada"), table.claimed("ada").await);
    let finish = Finish {
        digest: WindowDigest::Set("window".to_owned()),
        note: None,
        last_day: Some(jiff::civil::date(2026, 3, 1)),
        backfill: BackfillDebt::Paid,
        brought: None,
        synced: true,
        released: true,
        now: at(1),
    };
    table.store.confirm(&ada, 17, fence, &[], finish, soon()).await.unwrap();
    table.store.disconnect(&ada, 1, at(2), soon()).await.unwrap();

    let heir = store::NewConnection { user_id: 18, now: at(100), ..authorised("ada") };
    let Connect::Connected { connection, .. } = table.store.connect(&heir, soon()).await.unwrap() else { panic!() };
    assert_eq!(connection, table.connection("ada").await);
    assert_eq!((connection.last_sync, connection.last_day, connection.first_connected_at), (None, None, at(100)));
    assert!(connection.fence > fence && connection.generation == 3, "what orders the writes goes on");
}

#[tokio::test]
async fn connecting_another_account_frees_the_former_one() {
    let table = Table::new().await;
    table.connected("ada").await;
    let mut other = authorised("ada");
    other.oura_user = Some("a new ring".to_owned());
    assert!(matches!(table.store.connect(&other, soon()).await.unwrap(), Connect::Connected { .. }));
    assert!(table.item("OURA#oura-ada", "OWNER").await.is_none());
    let mut heir = authorised("bob");
    heir.oura_user = Some("oura-ada".to_owned());
    assert!(matches!(table.store.connect(&heir, soon()).await.unwrap(), Connect::Connected { .. }));
}

#[tokio::test]
async fn an_account_owned_by_another_athlete_is_not_freed() {
    let table = Table::new().await;
    table.connected("ada").await;
    table.meddle("OURA#oura-ada", "OWNER", "athlete_id", Some(crate::s("bob"))).await;
    let mut other = authorised("ada");
    other.oura_user = Some("a new ring".to_owned());
    assert!(matches!(table.store.connect(&other, soon()).await.unwrap(), Connect::Connected { .. }));
    assert_eq!(table.item("OURA#oura-ada", "OWNER").await.unwrap()["athlete_id"], crate::s("bob"));
    // The same for an athlete who disconnects.
    table.meddle("OURA#a new ring", "OWNER", "athlete_id", Some(crate::s("bob"))).await;
    let ended = table.store.disconnect(&athlete("ada"), 2, at(1), soon()).await.unwrap();
    assert!(matches!(ended, Disconnect::Disconnected { .. }));
    assert!(table.item("OURA#a new ring", "OWNER").await.is_some());
}

#[tokio::test]
async fn an_account_unknown_at_connect_gets_its_owner_later() {
    let table = Table::new().await;
    table.connected("bob").await;
    let mut new = authorised("ada");
    (new.oura_user, new.status) = (None, Status::MembershipLapsed);
    let Connect::Connected { connection, .. } = table.store.connect(&new, soon()).await.unwrap() else { panic!() };
    assert_eq!((connection.status, connection.oura_user), (Status::MembershipLapsed, None));
    assert_eq!(table.store.active_athletes(soon()).await.unwrap(), [athlete("ada"), athlete("bob")]);

    let settle = |athlete_name: &'static str, generation, account: &'static str| {
        let store = &table.store;
        async move { store.settle_owner(&athlete(athlete_name), generation, account, soon()).await.unwrap() }
    };
    assert_eq!(settle("ada", 7, "oura-ada").await, Settle::Superseded);
    assert_eq!(settle("nobody", 1, "oura-ada").await, Settle::Superseded);
    assert_eq!(settle("ada", 1, "oura-bob").await, Settle::Taken);
    assert_eq!(table.connection("ada").await.oura_user, None);
    assert_eq!(settle("ada", 1, "oura-ada").await, Settle::Settled);
    assert_eq!(settle("ada", 1, "oura-ada").await, Settle::Settled, "settling again changes nothing");
    assert_eq!(settle("ada", 1, "oura-other").await, Settle::Superseded, "one connection has one account");
    assert_eq!(table.connection("ada").await.oura_user.as_deref(), Some("oura-ada"));
    assert!(table.item("OURA#oura-other", "OWNER").await.is_none());
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());
}

#[tokio::test]
async fn disconnecting_erases_the_grant_and_frees_the_account() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let ada = athlete("ada");
    table.wire.requests();
    let ended = table.store.disconnect(&ada, before.generation, at(5), soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["GetItem", "TransactWriteItems"]);
    assert_eq!(ended, Disconnect::Disconnected { connection_before: before.clone() });

    let after = table.connection("ada").await;
    assert_eq!((after.status, after.status_at), (Status::Disconnected, at(5)));
    assert_eq!((&after.grant, &after.oura_user, &after.lease), (&None, &None, &None));
    assert_eq!((after.generation, after.fence), (before.generation + 1, before.fence + 1));
    assert!(table.item("OURA#oura-ada", "OWNER").await.is_none());
    assert!(table.store.active_athletes(soon()).await.unwrap().is_empty());
    let item = table.item("ATHLETE#ada", "CONNECTION").await.unwrap();
    for erased in ["grant", "token_url", "expires_at", "active_shard", "athlete"] {
        assert!(!item.contains_key(erased), "{erased}");
    }

    assert_eq!(table.store.disconnect(&ada, after.generation, at(6), soon()).await.unwrap(), Disconnect::Already);
    assert_eq!(table.store.disconnect(&athlete("nobody"), 1, at(6), soon()).await.unwrap(), Disconnect::Already);
}

#[tokio::test]
async fn no_write_restores_a_grant_after_a_disconnection() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    table.store.disconnect(&ada, before.generation, at(5), soon()).await.unwrap();
    let (generation, late) = (before.generation, grant("ada"));
    let saved = table.store.save_grant(&ada, fence, generation, &late, "daily", at(6), soon()).await.unwrap();
    let rescued = table.store.rescue_grant(&ada, generation, &late, "daily", at(6), soon()).await.unwrap();
    assert_eq!((saved, rescued), (Save::Superseded, Save::Superseded));
    for generation in [generation, generation + 1] {
        let status = table.store.set_status(&ada, generation, Status::Active, None, None, at(6), soon()).await.unwrap();
        assert_eq!(status, ConnectionUpdate::Superseded);
    }
    assert_eq!(table.connection("ada").await.grant, None);
}

#[tokio::test]
async fn disconnecting_an_older_generation_is_refused() {
    let table = Table::new().await;
    table.connected("ada").await;
    table.connected("ada").await;
    let raced = table.store.disconnect(&athlete("ada"), 1, at(5), soon()).await.unwrap();
    assert_eq!(raced, Disconnect::Raced);
    assert_eq!(table.connection("ada").await.status, Status::Active);
}

#[tokio::test]
async fn an_athlete_can_connect_again_after_disconnecting() {
    let table = Table::new().await;
    let first = table.connected("ada").await;
    table.store.disconnect(&athlete("ada"), first.generation, at(5), soon()).await.unwrap();
    let back = table.connected("ada").await;
    assert_eq!((back.status, back.generation), (Status::Active, first.generation + 2));
    assert_eq!(table.store.active_athletes(soon()).await.unwrap(), [athlete("ada")]);
}

/// DynamoDB's answer when another writer changed the connection after it was read.
fn raced() -> Act {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let reasons = r#"[{"Code":"ConditionalCheckFailed"},{"Code":"None"}]"#;
    Act::Answer(400, format!(r#"{{"__type":"{kind}","message":"","CancellationReasons":{reasons}}}"#))
}

#[tokio::test]
async fn connect_and_disconnect_start_over_after_a_race() {
    let table = Table::new().await;
    let ada = athlete("ada");
    let one_try = ["GetItem", "TransactWriteItems"];
    table.wire.script([Act::Pass, raced()]);
    table.connected("ada").await;
    assert_eq!(table.wire.requests(), [one_try; 2].concat());

    table.wire.script([Act::Pass, raced()]);
    let ended = table.store.disconnect(&ada, 1, at(1), soon()).await.unwrap();
    assert!(matches!(ended, Disconnect::Disconnected { .. }), "{ended:?}");
    assert_eq!(table.wire.requests(), [one_try; 2].concat());
}

#[tokio::test]
async fn losing_every_race_returns_raced_and_writes_nothing() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let always = || (0..5).flat_map(|_| [Act::Pass, raced()]);
    table.wire.script(always());
    assert_eq!(table.store.connect(&authorised("ada"), soon()).await.unwrap(), Connect::Raced);
    table.wire.script(always());
    assert_eq!(table.store.disconnect(&athlete("ada"), 1, at(1), soon()).await.unwrap(), Disconnect::Raced);
    assert_eq!(table.connection("ada").await, before);
}

#[tokio::test]
async fn connecting_notices_a_claim_made_since_it_read() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (was_read, has_read) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    table.wire.script([Act::HoldAnswer(was_read, may_go_on)]);
    let connecting = tokio::spawn({
        let store = table.store.clone();
        async move { store.connect(&authorised("ada"), soon()).await.unwrap() }
    });
    has_read.await.unwrap();
    let claimed = table.claimed("ada").await;
    go_on.send(()).unwrap();
    let outcome = connecting.await.unwrap();
    let Connect::Connected { connection, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(connection.fence, claimed + 1);
    assert_eq!(connection.lease.map(|lease| lease.owner).as_deref(), Some("the test"));
}
