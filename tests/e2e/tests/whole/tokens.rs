//! Grants are refreshed in time, once, and stored before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connector::forms::Forms;
use e2e::{
    ADA, Order, Spent, ada, ada_and_ben, beside_with, connected, connection, curtain, enrolled, faithful,
    gives_nothing_away, squad,
};
use jiff::SignedDuration;
use jiff::civil::date;
use oura::ClientCredentials;
use sim::oura::TokenServer;
use sim::wire::{Answer, Fault, Gate, When};
use store::Status;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const TOKEN: &str = "/oauth/v2/ext/oauth-token";

/// Until an access token that lasts a day has four minutes left.
const NEARLY_A_DAY: SignedDuration = SignedDuration::from_mins(24 * 60 - 4);

#[tokio::test]
async fn expiring_token_is_refreshed_once_at_either_server() {
    for server in [TokenServer::New, TokenServer::Legacy] {
        let mut cast = ada();
        cast.oura.server = server;
        let stage = connected(cast).await;
        let before = connection(&stage, "uuid-ada").await.unwrap();
        stage.pass(NEARLY_A_DAY);
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.tokens, spent.collections), (1, 4), "{server:?}: nothing was refused");
        let after = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!((after.generation, after.status, after.lease), (before.generation + 1, Status::Active, None));
        assert_eq!(stage.oura.grants("ada")[0].generation, 1);
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(Spent::since(&stage).tokens, 0);
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn token_refused_before_its_expiry_is_refreshed_within_the_sync() {
    for server in [TokenServer::New, TokenServer::Legacy] {
        let mut cast = ada();
        cast.oura.server = server;
        let stage = connected(cast).await;
        stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
        stage.oura.expire_access_tokens("ada");
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let spent = Spent::since(&stage);
        assert_eq!((spent.collections, spent.tokens, spent.imports), (8, 1, 1), "{server:?}");
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn a_month_of_ticks_keeps_the_grant_alive() {
    let stage = connected(ada()).await;
    for _ in 0..30 {
        stage.pass(SignedDuration::from_hours(24));
        stage.tick().await.unwrap();
    }
    assert_eq!(stage.oura.grants("ada")[0].generation, 30);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_3_refreshed_pair_is_stored_before_it_is_used() {
    let stage = connected(ada()).await;
    let before = connection(&stage, "uuid-ada").await.unwrap();
    let order = Order::watch(&stage);
    // The first write after the refresh reaches the table, and the wire holds its response back.
    let (refreshed, gate) = (Arc::new(AtomicBool::new(false)), Gate::new());
    let seen = Arc::clone(&refreshed);
    stage.oura_wire.decide(move |request| {
        seen.fetch_or(request.path == TOKEN, Ordering::SeqCst);
        None
    });
    let (mut done, at) = (false, gate.clone());
    stage.table_wire.decide(move |request| {
        let write = ["UpdateItem", "PutItem", "TransactWriteItems"].contains(&request.operation.as_str());
        let first = write && !done && refreshed.load(Ordering::SeqCst);
        done |= first;
        first.then(|| Fault::HoldAfter(at.clone()))
    });
    stage.pass(NEARLY_A_DAY);
    stage.process.tick().await.unwrap();
    tokio::join!(stage.process.work(), async {
        gate.reached().await;
        let stored = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!(stored.generation, before.generation + 1, "the new pair stands in the table");
        assert_eq!(order.of("/v2/usercollection"), Vec::<usize>::new(), "and has not been used");
        gate.open();
    });
    let refresh = order.of(TOKEN);
    let uses = order.of("/v2/usercollection");
    assert_eq!((refresh.len(), uses.len()), (1, 4));
    assert!(order.of("UpdateItem").iter().any(|write| refresh[0] < *write && *write < uses[0]));
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_3_refresh_token_goes_only_to_the_token_endpoint() {
    let stage = enrolled(ada_and_ben()).await;
    for wire in [&stage.oura_wire, &stage.smartabase_wire, &stage.table_wire] {
        wire.keep_bodies();
    }
    for (user, person) in [(ADA, "ada"), (e2e::BEN, "ben")] {
        stage.connect(user, person).await.unwrap();
    }
    stage.settle().await;
    for _ in 0..3 {
        stage.oura.expire_access_tokens("ada");
        stage.pass(NEARLY_A_DAY);
        stage.tick().await.unwrap();
    }
    let cost = stage.cost();
    let issued = stage.oura.issued();
    let refreshes = issued.iter().filter(|token| token.starts_with("refresh.")).count();
    assert!(refreshes > 6, "{refreshes}");
    let (mut rightly, mut uses) = (0, std::collections::BTreeMap::<&str, usize>::new());
    let entries = [&cost.oura, &cost.smartabase, &cost.table].into_iter().flat_map(|log| &log.entries);
    for entry in entries {
        let sent = format!("{}?{} {}", entry.path, entry.query, String::from_utf8_lossy(&entry.request));
        for token in issued.iter().filter(|token| sent.contains(*token)) {
            assert_eq!(entry.path, TOKEN, "a token or code in the request to {}", entry.path);
            assert!(!token.starts_with("access."), "an access token in a body");
            *uses.entry(token).or_default() += 1;
            rightly += 1;
        }
    }
    assert!(rightly > 6, "the refreshes were seen: {rightly}");
    assert!(uses.values().all(|uses| *uses == 1), "each code and refresh token is sent once");
    curtain(&stage).await;
}

#[tokio::test]
async fn failing_token_server_delays_a_tick_and_loses_no_grant() {
    let half = serde_json::json!({"refresh_token": "r", "token_type": "bearer", "expires_in": 60});
    let stage = connected(ada()).await;
    for answer in [Answer::status(503), Answer::html(), Answer::json(&half), Answer::status(404)] {
        stage.pass(NEARLY_A_DAY);
        let before = connection(&stage, "uuid-ada").await.unwrap();
        let refreshed = stage.oura.grants("ada")[0].generation;
        stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(answer));
        let _ = stage.cost();
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        let kept = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!((kept.grant, kept.status, kept.lease), (before.grant, Status::Active, None), "the pair stays");
        let spent = Spent::since(&stage);
        assert_eq!((spent.tokens, spent.collections), (1, 0), "one attempt");
        stage.oura_wire.heal();
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(stage.oura.grants("ada")[0].generation, refreshed + 1);
        faithful(&stage, ADA, "ada");
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn wrong_client_secret_pauses_all_and_changes_no_status() {
    let stage = connected(squad(3)).await;
    let credentials = |secret: &str| ClientCredentials { client_id: "client".to_owned(), client_secret: secret.into() };
    stage.secrets().unwrap().replace_oura(credentials("outdated"));
    stage.pass(NEARLY_A_DAY);
    stage.tick().await.unwrap();
    let _ = stage.cost();
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert_eq!(Spent::since(&stage).tokens, 0, "nobody tries while the hold lasts");
    for number in 2001..2004 {
        let connection = connection(&stage, &format!("uuid-{number}")).await.unwrap();
        assert_eq!((connection.status, connection.lease), (Status::Active, None));
    }
    stage.secrets().unwrap().replace_oura(credentials("client-secret"));
    stage.settle().await;
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    for number in 2001..2004 {
        faithful(&stage, number, &format!("p{number}"));
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn wrong_client_secret_at_connect_refers_to_the_staff() {
    let stage = enrolled(ada()).await;
    let credentials = ClientCredentials { client_id: "client".to_owned(), client_secret: "outdated".into() };
    stage.secrets().unwrap().replace_oura(credentials);
    let visit = stage.connect(ADA, "ada").await.unwrap();
    assert_eq!(visit.status, 503);
    assert!(visit.page.contains("This service needs attention"), "{}", visit.page);
    gives_nothing_away(&stage, &visit.page);
    assert!(!visit.page.contains("outdated") && connection(&stage, "uuid-ada").await.is_none());
}

#[tokio::test]
async fn table_down_half_an_hour_after_a_refresh_loses_no_grant() {
    let stage = connected(ada()).await;
    stage.pass(NEARLY_A_DAY);
    stage.process.tick().await.unwrap();
    // The table fails from the moment when the worker stores the new pair.
    let (mut down, refusal) = (false, Answer::status(503));
    stage.table_wire.decide(move |seen| {
        down |= seen.operation == "UpdateItem" && String::from_utf8_lossy(&seen.body).contains("token_url");
        down.then(|| Fault::Answer(refusal.clone()))
    });
    stage.process.work().await;
    for _ in 0..30 {
        stage.pass(SignedDuration::from_mins(1));
        stage.process.work().await;
    }
    assert!(stage.process.waiting.bodies().iter().any(|body| body.contains("rescue")), "the pair is on its way");
    stage.table_wire.heal();
    // A tick comes before the rescue.
    stage.pass(SignedDuration::from_secs(1));
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().generation, 1);
    assert_eq!(stage.oura.violations(), []);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    stage.settle().await;
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let rescued = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((rescued.status, rescued.generation, rescued.refresh_begun), (Status::Active, 2, None));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn unfinished_refresh_is_repeated_later() {
    let stage = connected(ada()).await;
    stage.pass(NEARLY_A_DAY);
    // The request is lost before it reaches Oura.
    stage.oura_wire.inject(When::every().path(TOKEN).first(1), Fault::DropBefore);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    stage.oura_wire.heal();
    for _ in 0..3 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    let refreshed = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((refreshed.status, refreshed.generation), (Status::Active, 2));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn grant_stays_with_its_token_server_after_a_settings_change() {
    let stage = connected(ada()).await;
    let before = connection(&stage, "uuid-ada").await.unwrap().grant.unwrap().token_url;
    let mut settings = stage.process.connector.settings.clone();
    settings.oura.token = "http://127.0.0.1:9/oauth/token".parse().unwrap();
    let moved = beside_with(&stage, settings, Forms::shipped().unwrap()).await;
    stage.pass(NEARLY_A_DAY);
    moved.tick().await.unwrap();
    moved.work().await;
    let refreshed = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((refreshed.generation, refreshed.status), (2, Status::Active));
    assert_eq!(refreshed.grant.unwrap().token_url, before);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
