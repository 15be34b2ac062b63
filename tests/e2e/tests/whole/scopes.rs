//! Scopes that the athlete granted once and withdrew later.

use e2e::{ADA, NIGHTS, Spent, ada, connected, connection, curtain, faithful};
use jiff::SignedDuration;
use sim::oura::{MissingScope, TokenServer};
use store::Status;

#[tokio::test]
async fn athletes_page_asks_for_a_scope_withdrawn_later() {
    for missing_scope in [MissingScope::Unauthorized, MissingScope::Forbidden] {
        let mut cast = ada();
        cast.oura.missing_scope = missing_scope;
        let stage = connected(cast).await;
        let before = stage.smartabase.events(NIGHTS);
        stage.oura.withdraw_scope("ada", "daily");
        stage.pass(SignedDuration::from_mins(15));
        stage.tick().await.unwrap();
        assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::ScopeMissing, "{missing_scope:?}");
        let spent = Spent::since(&stage);
        assert!(spent.tokens <= 1, "one refresh at most: {spent:?}");
        assert_eq!(stage.smartabase.events(NIGHTS), before);
        let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("Oura no longer shares your sleep data"), "{page}");

        stage.pass(SignedDuration::from_mins(15));
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.collections, spent.tokens), (0, 0), "only the athlete can change it");

        assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
        stage.settle().await;
        stage.tick().await.unwrap();
        assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn consent_withdrawn_at_oura_asks_the_athlete_to_connect_again() {
    let stage = connected(ada()).await;
    stage.oura.withdraw("ada");
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::NeedsConsent);
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.tokens), (4, 1));
    let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Oura no longer lets us in"), "{page}");
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.tokens), (0, 0), "only the athlete can change it");
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    curtain(&stage).await;
}

#[tokio::test]
async fn both_token_servers_name_the_scope_their_own_way() {
    for server in [TokenServer::New, TokenServer::Legacy] {
        let mut cast = ada();
        cast.oura.server = server;
        let stage = connected(cast).await;
        let connection = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!((connection.scopes.as_str(), connection.status), ("daily", Status::Active));
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}
