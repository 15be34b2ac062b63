//! One Oura account feeds one athlete.

use e2e::{ADA, BEN, DAYS, NIGHTS, Spent, ada_and_ben, connection, curtain, enrolled, faithful};
use jiff::SignedDuration;
use local::Stage;
use serde_json::json;
use sim::wire::{Answer, Fault, When};
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
    // With the right account, the connect succeeds.
    assert_eq!(stage.connect(BEN, "ben").await.unwrap().status, 200);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_5_unknown_account_is_checked_at_the_first_sync() {
    let mut cast = ada_and_ben();
    cast.people[0].member = false;
    let stage = enrolled(cast).await;
    stage.connect(ADA, "ada").await.unwrap();
    // While the membership is lapsed, Oura does not say that it is the same account.
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
    // The other athlete costs no further requests.
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

/// A connection whose Oura account is still unknown, and an Oura that refuses to name it with this answer.
async fn unowned(answer: &Answer) -> Stage {
    let mut cast = ada_and_ben();
    cast.people[0].member = false;
    let stage = enrolled(cast).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    stage.oura.set_member("ada", true);
    stage.pass(SignedDuration::from_hours(25));
    let whose = When::every().matching(|seen| seen.path.ends_with("/personal_info"));
    stage.oura_wire.inject(whose, Fault::Answer(answer.clone()));
    let _ = stage.cost();
    stage
}

/// Once Oura names the account, the athlete must get all missing records.
async fn owned_again(stage: &Stage) {
    stage.oura_wire.heal();
    stage.pass(SignedDuration::from_mins(61));
    stage.tick().await.unwrap();
    stage.settle().await;
    let connection = connection(stage, "uuid-ada").await.unwrap();
    assert_eq!((connection.oura_user.as_deref(), connection.status), (Some("ada"), Status::Active));
    faithful(stage, ADA, "ada");
    curtain(stage).await;
}

#[tokio::test]
async fn fresh_token_refused_by_personal_info_waits_an_hour() {
    let stage = unowned(&Answer::status(401)).await;
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.tokens, stage.smartabase.events_of(ADA, NIGHTS).len()), (1, 0), "{spent:?}");
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::MembershipLapsed, "nobody is blamed");
    for _ in 0..3 {
        stage.pass(SignedDuration::from_mins(15));
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.tokens, spent.personal, spent.collections), (0, 0, 0), "{spent:?}");
    }
    owned_again(&stage).await;
}

#[tokio::test]
async fn personal_info_needing_a_scope_is_reported_to_the_operator() {
    let detail = json!({"detail": "The token does not have the required scope"});
    let stage =
        unowned(&Answer::status(403).header("content-type", "application/json").body(&detail.to_string())).await;
    stage.tick().await.unwrap();
    let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap_or_default();
    assert!(note.contains("add `personal` to OuraScopes"), "{note}");
    assert_eq!(stage.smartabase.events_of(ADA, NIGHTS), []);
    owned_again(&stage).await;
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().note, None);
}

#[tokio::test]
async fn disconnected_account_is_free_for_another_athlete() {
    let stage = enrolled(ada_and_ben()).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    stage.disconnect(ADA).await.unwrap();
    assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 200);
    stage.settle().await;
    assert_eq!(connection(&stage, "uuid-ben").await.unwrap().oura_user.as_deref(), Some("ada"));
    curtain(&stage).await;
}
