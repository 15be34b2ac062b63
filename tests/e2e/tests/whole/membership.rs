//! A lapsed Oura membership: the worker notices it at once, checks it once a day, and resumes after its renewal.

use e2e::{ADA, NIGHTS, Spent, ada, ada_and_ben, connected, connection, curtain, enrolled, faithful, told_truly};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use serde_json::json;
use sim::wire::{Answer, Fault, When};
use store::Status;

/// Runs this many ticks, one an hour. Returns their cost.
async fn hours(stage: &Stage, hours: i64) -> Spent {
    let _ = stage.cost();
    for _ in 0..hours {
        stage.pass(SignedDuration::from_hours(1));
        stage.tick().await.unwrap();
    }
    Spent::since(stage)
}

#[tokio::test]
async fn membership_lapsed_at_connect_does_not_stop_the_connect() {
    let mut cast = ada();
    cast.people[0].member = false;
    let stage = enrolled(cast).await;
    let visit = stage.connect(ADA, "ada").await.unwrap();
    assert_eq!(visit.status, 200);
    assert!(visit.page.contains("your Oura membership has lapsed"), "{}", visit.page);
    stage.settle().await;
    let lapsed = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((lapsed.status, lapsed.oura_user), (Status::MembershipLapsed, None));

    let spent = hours(&stage, 23).await;
    assert_eq!((spent.collections, spent.personal, spent.imports), (0, 0, 0), "no call before a day is over");
    let spent = hours(&stage, 24).await;
    assert_eq!((spent.collections, spent.personal, spent.imports), (4, 1, 0), "one look a day");

    stage.oura.set_member("ada", true);
    hours(&stage, 25).await;
    let recovered = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((recovered.status, recovered.oura_user.as_deref()), (Status::Active, Some("ada")));
    assert_eq!(recovered.backfill_from, None, "the history that was owed is delivered");
    told_truly(&stage, ADA, "ada", date(2026, 2, 4), date(2026, 3, 6));
    curtain(&stage).await;
}

#[tokio::test]
async fn lapsed_membership_pauses_the_athlete_until_it_is_renewed() {
    let stage = connected(ada()).await;
    let before = stage.smartabase.events(NIGHTS);
    stage.oura.set_member("ada", false);
    let spent = hours(&stage, 24).await;
    assert_eq!((spent.collections, spent.imports), (4, 0), "the look that found out");
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::MembershipLapsed);
    assert_eq!(stage.smartabase.events(NIGHTS), before, "nothing is taken back");
    let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("membership has lapsed"), "{page}");
    let spent = hours(&stage, 24).await;
    assert_eq!((spent.collections, spent.tokens), (4, 1), "one look a day");

    stage.oura.set_member("ada", true);
    hours(&stage, 25).await;
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

/// 402 and 403 with Oura's explanation, at `personal_info` alone, while the owner of the account is still unknown.
#[tokio::test]
async fn membership_is_not_lapsed_while_the_collections_answer() {
    let explained = "The user's Oura subscription has expired";
    for status in [402, 403] {
        let stage = enrolled(ada()).await;
        let whose = || When::every().path("/v2/usercollection/personal_info");
        stage.oura_wire.inject(whose(), Fault::Answer(Answer::status(503)));
        stage.connect(ADA, "ada").await.unwrap();
        stage.oura_wire.heal();
        let body = json!({"detail": explained}).to_string();
        let refusal = Answer::status(status).header("content-type", "application/json").body(&body);
        stage.oura_wire.inject(whose(), Fault::Answer(refusal));
        stage.pass(SignedDuration::from_mins(15));
        stage.tick().await.unwrap();
        let found = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!((found.status, found.held_until, found.oura_user), (Status::Active, None, None), "{status}");
        assert!(stage.smartabase.events(NIGHTS).is_empty(), "nothing is delivered for an unknown owner");

        stage.oura_wire.heal();
        let _ = hours(&stage, 1).await;
        assert_eq!(connection(&stage, "uuid-ada").await.unwrap().oura_user.as_deref(), Some("ada"), "{status}");
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn renewed_membership_backfills_the_missed_nights() {
    let stage = connected(ada()).await;
    stage.tick().await.unwrap();
    stage.oura.set_member("ada", false);
    for _ in 0..20 {
        stage.pass(SignedDuration::from_hours(24));
        stage.tick().await.unwrap();
    }
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::MembershipLapsed);

    stage.oura.set_member("ada", true);
    hours(&stage, 25).await;
    let recovered = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((recovered.status, recovered.backfill_from), (Status::Active, None));
    told_truly(&stage, ADA, "ada", date(2026, 2, 20), date(2026, 3, 23));
    let spent = hours(&stage, 1).await;
    assert_eq!((spent.collections, spent.imports), (4, 0), "what was missed is brought once");
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_6_lapsed_membership_affects_no_other_athlete() {
    let stage = connected(ada_and_ben()).await;
    stage.oura.set_member("ada", false);
    let spent = hours(&stage, 12).await;
    assert_eq!(spent.collections, 4 + 4 * 12);
    assert_eq!(connection(&stage, "uuid-ben").await.unwrap().status, Status::Active);
    faithful(&stage, e2e::BEN, "ben");
    curtain(&stage).await;
}
