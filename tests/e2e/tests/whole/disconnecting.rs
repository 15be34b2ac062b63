//! The athlete disconnects.

use e2e::{ADA, BEN, NIGHTS, Spent, ada, ada_and_ben, connected, connection, curtain, faithful, gives_nothing_away};
use jiff::SignedDuration;
use jiff::civil::date;
use sim::oura::TokenServer;
use sim::wire::{Answer, Fault, When};
use store::Status;

use e2e::log::{listen, printed};

#[tokio::test]
async fn disconnecting_revokes_erases_the_grant_and_keeps_records() {
    for server in [TokenServer::New, TokenServer::Legacy] {
        let mut cast = ada_and_ben();
        cast.oura.server = server;
        let stage = connected(cast).await;
        let events = stage.smartabase.events_of(ADA, NIGHTS);
        let visit = stage.disconnect(ADA).await.unwrap();
        assert_eq!(visit.status, 200);
        assert!(visit.page.contains("Your Oura ring is disconnected"), "{}", visit.page);
        gives_nothing_away(&stage, &visit.page);
        assert!(stage.oura.grants("ada").iter().all(|grant| grant.revoked), "revoked at Oura ({server:?})");
        let connection = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!((connection.status, connection.grant), (Status::Disconnected, None));
        assert_eq!(stage.smartabase.events_of(ADA, NIGHTS), events);

        let _ = stage.cost();
        stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
        stage.pass(SignedDuration::from_mins(15));
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.collections, spent.tokens, spent.imports), (4, 0, 0), "Ben's only");
        assert_eq!(stage.smartabase.events_of(ADA, NIGHTS), events);
        faithful(&stage, BEN, "ben");

        let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("Continue to Oura"), "{page}");
        let again = stage.disconnect(ADA).await.unwrap();
        assert_eq!(again.status, 200, "twice is as good as once");
        assert!(again.page.contains("It was disconnected before"), "{}", again.page);
        assert!(!stage.oura.grants("ben").iter().any(|grant| grant.revoked));
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn job_queued_before_a_disconnect_does_nothing() {
    let stage = connected(ada()).await;
    stage.pass(SignedDuration::from_mins(15));
    stage.process.tick().await.unwrap();
    stage.disconnect(ADA).await.unwrap();
    let _ = stage.cost();
    stage.process.work().await;
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.imports, spent.writes), (0, 0, 0));
    stage.settle().await;
    assert_eq!(Spent::since(&stage).collections, 0);
    curtain(&stage).await;
}

#[tokio::test]
async fn revocation_refused_for_days_becomes_a_dead_letter() {
    listen();
    let stage = connected(ada()).await;
    let revocation = When::every().path("/oauth/v2/ext/oauth-revoke");
    stage.oura_wire.inject(revocation, Fault::Answer(Answer::status(503)));
    stage.disconnect(ADA).await.unwrap();
    stage.process.work_until(stage.clock.now() + SignedDuration::from_hours(6 * 24)).await;
    assert_eq!(stage.process.waiting.dead_letters(), []);
    assert_eq!(stage.process.waiting.len(), 1, "it is one message, and still tried");
    assert!(!stage.oura.grants("ada")[0].revoked);
    stage.process.work_until(stage.clock.now() + SignedDuration::from_hours(2 * 24)).await;
    assert_eq!((stage.process.waiting.dead_letters().len(), stage.process.waiting.len()), (1, 0));
    let log = printed();
    let burials = log.lines().filter(|line| line.contains("given up: tried too often"));
    let burials: Vec<_> = burials.inspect(|line| assert!(line.contains("revoke") && line.contains("ERROR"))).collect();
    assert_eq!(burials.len(), 1, "a pilot has no other place to look at");
    // Once the operator sends it again, Oura takes it.
    stage.oura_wire.heal();
    let (letter, _) = stage.process.waiting.dead_letters().remove(0);
    stage.process.waiting.send(letter, std::time::Duration::ZERO);
    stage.settle().await;
    assert!(stage.oura.grants("ada")[0].revoked);
}

#[tokio::test]
async fn refused_revocation_is_retried_until_oura_takes_it() {
    let stage = connected(ada()).await;
    let revocation = When::every().path("/oauth/v2/ext/oauth-revoke").first(2);
    stage.oura_wire.inject(revocation, Fault::Answer(Answer::status(503)));
    let visit = stage.disconnect(ADA).await.unwrap();
    assert_eq!(visit.status, 200);
    assert!(visit.page.contains("Oura has not confirmed yet"), "{}", visit.page);
    let connection = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((connection.status, connection.grant), (Status::Disconnected, None), "erased here at once");
    assert!(!stage.oura.grants("ada")[0].revoked);
    let again = stage.disconnect(ADA).await.unwrap();
    assert!(!again.page.contains("is revoked at Oura"), "nobody knows that: {}", again.page);
    assert!(again.page.contains("is being withdrawn there"), "{}", again.page);
    e2e::audit(&stage).await;
    stage.settle().await;
    assert!(stage.oura.grants("ada")[0].revoked);
    curtain(&stage).await;
}

#[tokio::test]
async fn disconnecting_without_a_connection_succeeds() {
    let stage = e2e::enrolled(ada()).await;
    assert_eq!(stage.disconnect(ADA).await.unwrap().status, 200);
    assert!(connection(&stage, "uuid-ada").await.is_none());
    let spent = Spent::since(&stage);
    assert_eq!((spent.revocations, spent.writes), (0, 0));
    curtain(&stage).await;
}
