//! One Oura account feeds one athlete.

use e2e::{ADA, BEN, DAYS, NIGHTS, Spent, ada_and_ben, connection, curtain, enrolled};
use jiff::SignedDuration;
use store::Status;

#[tokio::test]
async fn invariant_5_the_same_ring_on_two_athletes_is_refused() {
    let stage = enrolled(ada_and_ben()).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    let before = connection(&stage, "uuid-ada").await;
    let visit = stage.connect(BEN, "ada").await.unwrap();
    assert_eq!(visit.status, 409);
    assert!(visit.page.contains("belongs to another athlete") && !visit.page.contains("Ada"), "{}", visit.page);
    assert!(connection(&stage, "uuid-ben").await.is_none());
    assert_eq!(connection(&stage, "uuid-ada").await, before);
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.events_of(BEN, NIGHTS), []);
    // With the right account it works.
    assert_eq!(stage.connect(BEN, "ben").await.unwrap().status, 200);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_5_an_account_whose_owner_could_not_be_asked_is_settled_at_the_first_sync() {
    let mut cast = ada_and_ben();
    cast.people[0].member = false;
    let stage = enrolled(cast).await;
    stage.connect(ADA, "ada").await.unwrap();
    // Lapsed, Oura does not say that it is the same account.
    assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 200);
    stage.settle().await;
    stage.oura.set_member("ada", true);
    stage.pass(SignedDuration::from_hours(25));
    stage.tick().await.unwrap();
    let (ada, ben) = (connection(&stage, "uuid-ada").await.unwrap(), connection(&stage, "uuid-ben").await.unwrap());
    let mut statuses = [ada.status, ben.status];
    statuses.sort_by_key(|status| status.name());
    assert_eq!(statuses, [Status::Active, Status::OuraAccountTaken], "one of them has it");
    let refused = if ada.status == Status::Active { BEN } else { ADA };
    assert_eq!(stage.smartabase.events_of(refused, NIGHTS), []);
    assert_eq!(stage.smartabase.events_of(refused, DAYS), []);
    // No further calls for the other.
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    let _ = stage.cost();
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.personal), (4, 0));
    let page = stage.browser.get(stage.link(refused).unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("already belongs to another athlete"), "{page}");
    curtain(&stage).await;
}

#[tokio::test]
async fn an_account_given_up_is_free_for_another_athlete() {
    let stage = enrolled(ada_and_ben()).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    stage.disconnect(ADA).await.unwrap();
    assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 200);
    stage.settle().await;
    assert_eq!(connection(&stage, "uuid-ben").await.unwrap().oura_user.as_deref(), Some("ada"));
    curtain(&stage).await;
}
