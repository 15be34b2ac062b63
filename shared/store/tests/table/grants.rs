//! Saving and rescuing a refreshed grant.

use store::{Save, Status};
use tokio::sync::oneshot;

use crate::wire::Act;
use crate::{Table, at, athlete, grant, soon};

#[tokio::test]
async fn a_saved_grant_is_the_next_generation_and_keeps_the_lease() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let (ada, fresh) = (athlete("ada"), grant("ada"));
    let before = table.connection("ada").await;
    table.wire.requests();
    let save = table.store.save_grant(&ada, fence, 1, &fresh, "daily email", at(9), soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["UpdateItem"]);
    assert_eq!(save, Save::Saved { generation: 2 });
    let after = table.connection("ada").await;
    let expected = store::Connection {
        grant: Some(fresh),
        scopes: "daily email".to_owned(),
        generation: 2,
        rotated_at: Some(at(9)),
        ..before
    };
    assert_eq!(after, expected);
}

#[tokio::test]
async fn save_requires_the_generation_and_lease_of_the_refresh() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, fresh) = (athlete("ada"), grant("ada"));
    let old = table.claimed("ada").await;
    let fence = table.claimed("ada").await;
    let save = |fence, generation| table.store.save_grant(&ada, fence, generation, &fresh, "daily", at(9), soon());
    assert_eq!(save(old, 1).await.unwrap(), Save::Superseded);
    assert_eq!(save(fence, 2).await.unwrap(), Save::Superseded);
    assert_eq!(save(fence, 1).await.unwrap(), Save::Saved { generation: 2 });
    // A repetition with the stored grant is saved. Another grant from the same generation is not.
    assert_eq!(save(fence, 1).await.unwrap(), Save::Saved { generation: 2 });
    let other = table.store.save_grant(&ada, fence, 1, &grant("ada"), "daily", at(9), soon()).await.unwrap();
    assert_eq!(other, Save::Superseded);
    let nobody = table.store.save_grant(&athlete("nobody"), 1, 1, &fresh, "daily", at(9), soon()).await.unwrap();
    assert_eq!(nobody, Save::Gone);
}

#[tokio::test]
async fn rescue_needs_no_lease_and_is_idempotent() {
    let table = Table::new().await;
    table.connected("ada").await;
    table.claimed("ada").await;
    let (ada, fresh) = (athlete("ada"), grant("ada"));
    let rescue = |generation| table.store.rescue_grant(&ada, generation, &fresh, "daily", at(9), soon());
    assert_eq!(rescue(1).await.unwrap(), Save::Saved { generation: 2 });
    let after = table.connection("ada").await;
    assert_eq!(rescue(1).await.unwrap(), Save::Saved { generation: 2 });
    assert_eq!(table.connection("ada").await, after);
    assert_eq!(after.grant, Some(fresh.clone()));
    assert_eq!(after.lease.map(|lease| lease.owner).as_deref(), Some("the test"));
    // The stored grant counts as saved, whatever generation the call names.
    assert_eq!(rescue(5).await.unwrap(), Save::Saved { generation: 2 });
    let gone = table.store.rescue_grant(&athlete("nobody"), 1, &fresh, "daily", at(9), soon()).await.unwrap();
    assert_eq!(gone, Save::Gone);
}

#[tokio::test]
async fn an_older_rescue_does_not_replace_a_newer_grant() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let (ada, newer) = (athlete("ada"), grant("ada"));
    table.store.save_grant(&ada, fence, 1, &newer, "daily", at(9), soon()).await.unwrap();
    let late = table.store.rescue_grant(&ada, 1, &grant("ada"), "daily", at(10), soon()).await.unwrap();
    assert_eq!(late, Save::Superseded);
    assert_eq!(table.connection("ada").await.grant, Some(newer));
}

#[tokio::test]
async fn a_rescue_resets_only_the_status_needs_consent() {
    let table = Table::new().await;
    table.connected("ada").await;
    let (ada, fresh) = (athlete("ada"), grant("ada"));
    table.store.set_status(&ada, 1, Status::NeedsConsent, None, None, at(1), soon()).await.unwrap();
    table.store.rescue_grant(&ada, 1, &fresh, "daily", at(9), soon()).await.unwrap();
    let after = table.connection("ada").await;
    assert_eq!((after.status, after.status_at, after.generation), (Status::Active, at(9), 2));

    // The spent token caused no other status, so other statuses stay, and one request is enough.
    table.store.set_status(&ada, 2, Status::MembershipLapsed, None, None, at(10), soon()).await.unwrap();
    table.wire.requests();
    table.store.rescue_grant(&ada, 2, &grant("ada"), "daily", at(11), soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["UpdateItem"]);
    assert_eq!(table.connection("ada").await.status, Status::MembershipLapsed);
}

#[tokio::test]
async fn a_rescue_keeps_a_status_set_meanwhile() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    table.store.set_status(&ada, 1, Status::NeedsConsent, None, None, at(1), soon()).await.unwrap();
    let (was_saved, is_saved) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    table.wire.script([Act::HoldAnswer(was_saved, may_go_on)]);
    let rescuing = tokio::spawn({
        let (store, ada) = (table.store.clone(), ada.clone());
        async move { store.rescue_grant(&ada, 1, &grant("ada"), "daily", at(9), soon()).await.unwrap() }
    });
    is_saved.await.unwrap();
    table.store.set_status(&ada, 2, Status::MembershipLapsed, None, None, at(10), soon()).await.unwrap();
    go_on.send(()).unwrap();
    assert_eq!(rescuing.await.unwrap(), Save::Saved { generation: 2 });
    assert_eq!(table.connection("ada").await.status, Status::MembershipLapsed);
}
