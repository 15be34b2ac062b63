//! The lists of athletes to sync and of enrolled athletes.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use store::{BackfillDebt, Enrolment, Finish, Status, WindowDigest};

use crate::{Table, at, athlete, grant, soon};

#[tokio::test]
async fn all_shards_and_all_pages_are_listed_in_order() {
    let table = Table::new().await;
    // Written without the store, because a thousand connects would be slow; the index needs only the keys. With names
    // this long, most of them in one shard, the keys exceed the one megabyte that DynamoDB puts on a page.
    let mut expected = BTreeSet::new();
    for chunk in (0..1500).collect::<Vec<_>>().chunks(25) {
        let puts = chunk.iter().map(|n| {
            let shard = if *n < 4 { *n } else { 0 };
            let name = format!("{n:04} {}", "\u{1F3C3}".repeat(120));
            expected.insert(athlete(&name));
            let item = HashMap::from(
                [
                    ("pk", format!("ATHLETE#{name}")),
                    ("sk", "CONNECTION".to_owned()),
                    ("active_shard", shard.to_string()),
                    ("athlete", name),
                ]
                .map(|(attribute, value)| (attribute.to_owned(), AttributeValue::S(value))),
            );
            let put = aws_sdk_dynamodb::types::PutRequest::builder().set_item(Some(item)).build().unwrap();
            aws_sdk_dynamodb::types::WriteRequest::builder().put_request(put).build()
        });
        let puts = puts.collect();
        table.raw.batch_write_item().request_items(crate::TABLE, puts).send().await.unwrap();
    }
    table.wire.requests();
    let listed = table.store.active_athletes(soon()).await.unwrap();
    assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());
    let queries = table.wire.requests().len();
    assert!(queries > 4, "{queries} queries: no shard had a second page, so this test shows nothing");
}

#[tokio::test]
async fn enrolled_and_connected_athletes_are_separate_lists() {
    let table = Table::new().await;
    table.connected("ada").await;
    let store = &table.store;
    for name in ["ada", "bob", "cyd"] {
        let enrolment = Enrolment {
            athlete: athlete(name),
            user_id: 17,
            name: name.to_owned(),
            link_expires: at(1000),
            basis: "version-1".to_owned(),
            told: at(0),
            links_from: None,
            staff: store::Told::default(),
        };
        store.put_enrolment(&enrolment, soon()).await.unwrap();
    }
    assert_eq!(store.active_athletes(soon()).await.unwrap(), [athlete("ada")]);
    assert_eq!(store.enrolled_athletes(soon()).await.unwrap(), ["ada", "bob", "cyd"].map(athlete));
    store.disconnect(&athlete("ada"), 1, at(1), soon()).await.unwrap();
    assert!(store.active_athletes(soon()).await.unwrap().is_empty());
    assert_eq!(store.enrolled_athletes(soon()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn only_connect_and_disconnect_write_to_the_index() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    let listing = || async {
        let mut item = table.item("ATHLETE#ada", "CONNECTION").await.unwrap();
        (item.remove("active_shard"), item.remove("athlete"))
    };
    let listed = listing().await;
    assert!(matches!(&listed, (Some(_), Some(AttributeValue::S(name))) if name == "ada"), "{listed:?}");
    // Remove the attributes: an operation that writes them would bring them back.
    for attribute in ["active_shard", "athlete"] {
        table.meddle("ATHLETE#ada", "CONNECTION", attribute, None).await;
    }
    let fence = table.claimed("ada").await;
    let store = &table.store;
    let record = store::RecordKey { form: "Sleep".to_owned(), date: jiff::civil::date(2026, 3, 1) };
    let written = store::Written { event: 7, digest: "d".to_owned() };
    let finish = Finish {
        digest: WindowDigest::Clear,
        note: None,
        last_day: None,
        backfill: BackfillDebt::Paid,
        brought: None,
        synced: true,
        released: true,
        now: at(1),
    };
    store.save_grant(&ada, fence, 1, &grant("ada"), "daily", at(1), soon()).await.unwrap();
    store.rescue_grant(&ada, 2, &grant("ada"), "daily", at(1), soon()).await.unwrap();
    store.set_status(&ada, 3, Status::NeedsConsent, None, None, at(1), soon()).await.unwrap();
    store.settle_owner(&ada, 3, "oura-ada", soon()).await.unwrap();
    store.hold_athlete(&ada, at(1), soon()).await.unwrap();
    store.heartbeat(&ada, at(1), soon()).await.unwrap();
    store.repoint(&ada, 18, None, soon()).await.unwrap();
    store.intend(&ada, fence, &[record.clone()].into(), soon()).await.unwrap();
    store.confirm(&ada, 17, fence, &[(record, written)], finish, soon()).await.unwrap();
    store.release(&ada, fence, soon()).await.unwrap();
    assert_eq!(listing().await, (None, None));
    assert!(store.active_athletes(soon()).await.unwrap().is_empty());
    // Each of these operations did write.
    let connection = table.connection("ada").await;
    assert_eq!((connection.generation, connection.status), (3, Status::NeedsConsent));
    assert_eq!(connection.user_id, 18);
    assert_eq!((connection.last_sync, connection.held_until), (Some(at(1)), Some(at(1))));

    table.connected("ada").await;
    assert_eq!(listing().await, listed);
}
