//! The visit to Oura and back, and every way in which it can fail.

use e2e::{
    ADA, BEN, STANDINGS, Spent, ada, ada_and_ben, connected, connection, curtain, enrolled, gives_nothing_away, living,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage, Visit};
use sim::oura::Life;
use sim::wire::{Answer, Fault, When};
use store::Status;
use url::Url;

/// Replaces or removes one parameter of the URL's query.
fn with(back: &Url, name: &str, value: Option<&str>) -> Url {
    let kept: Vec<_> = back.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    let mut changed = back.clone();
    changed.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(value.map(|value| (name, value)));
    changed
}

/// Asserts how a visit ended, that its page reveals no secret, and that no athlete was connected.
async fn ended(stage: &Stage, visit: &Visit, back: &Url, status: u16, says: &str) {
    assert_eq!(visit.status, status, "{}", visit.page);
    assert!(visit.page.contains(says), "{}", visit.page);
    for (name, value) in back.query_pairs() {
        let secret = ["code", "state"].contains(&&*name) && value.len() > 10;
        assert!(!secret || !visit.page.contains(&*value), "the page repeats the {name}");
    }
    gives_nothing_away(stage, &visit.page);
    assert!(connection(stage, "uuid-ada").await.is_none());
    assert_eq!(stage.process.waiting.bodies(), Vec::<String>::new());
}

#[tokio::test]
async fn declined_consent_shows_that_nothing_was_connected() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.decline(&consent);
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    ended(&stage, &visit, &back, 200, "Nothing was connected").await;
    assert_eq!(Spent::since(&stage).tokens, 0);
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn declining_to_reconnect_leaves_the_connection_as_it_is() {
    let stage = connected(ada()).await;
    let before = connection(&stage, "uuid-ada").await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    stage.arrive(stage.oura.decline(&consent).as_str(), &cookie).await.unwrap();
    assert_eq!(connection(&stage, "uuid-ada").await, before);
    curtain(&stage).await;
}

#[tokio::test]
async fn consent_without_sleep_data_is_refused_with_the_reason() {
    let cast = Cast { variables: vec![("OURA_SCOPES", "daily email".to_owned())], ..ada() };
    let stage = enrolled(cast).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.approve_only(&consent, "ada", &["email"]);
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    ended(&stage, &visit, &back, 403, "Sleep data was not shared").await;
    curtain(&stage).await;
}

#[tokio::test]
async fn consent_without_any_scope_is_refused_with_the_reason() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.approve_only(&consent, "ada", &[]);
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    ended(&stage, &visit, &back, 403, "Sleep data was not shared").await;
    curtain(&stage).await;
}

/// `?code=...&state=...&error=`
#[tokio::test]
async fn empty_error_beside_a_code_connects() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = with(&stage.oura.approve(&consent, "ada"), "error", Some(""));
    assert_eq!(stage.arrive(back.as_str(), &cookie).await.unwrap().status, 200);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    stage.settle().await;
    curtain(&stage).await;
}

/// `BackfillDays` is 0.
#[tokio::test]
async fn another_account_is_reported_at_once_without_backfill() {
    let mut cast = Cast { variables: vec![("BACKFILL_DAYS", "0".to_owned())], ..ada() };
    cast.people.push(living("other", "Europe/Berlin", Life::Regular { since: date(2026, 1, 1) }));
    let stage = connected(cast).await;
    let reason = || stage.smartabase.profile(ADA, STANDINGS).unwrap().value("Reason").unwrap_or_default().to_owned();
    assert_eq!(reason(), "");
    assert_eq!(stage.connect(ADA, "other").await.unwrap().status, 200);
    stage.process.work().await;
    assert!(reason().contains("perhaps another Oura account"), "{}", reason());
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn a_state_works_once() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.approve(&consent, "ada");
    assert_eq!(stage.arrive(back.as_str(), &cookie).await.unwrap().status, 200);
    stage.settle().await;
    let before = connection(&stage, "uuid-ada").await;
    let _ = stage.cost();
    let again = stage.arrive(back.as_str(), &cookie).await.unwrap();
    assert_eq!(again.status, 400);
    assert!(again.page.contains("We lost track of this visit"), "{}", again.page);
    assert_eq!(Spent::since(&stage).tokens, 0, "the code is not sent again");
    assert_eq!(connection(&stage, "uuid-ada").await, before);
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_5_another_browser_cannot_finish_a_visit() {
    let stage = enrolled(ada_and_ben()).await;
    let (_, bens) = stage.depart(BEN).await.unwrap();
    for cookie in [bens.as_str(), "", "__Host-connect=", "__Host-connect=guess", "connect=other"] {
        let (consent, own) = stage.depart(ADA).await.unwrap();
        let back = stage.oura.approve(&consent, "ada");
        let visit = stage.arrive(back.as_str(), cookie).await.unwrap();
        ended(&stage, &visit, &back, 400, "We lost track of this visit").await;
        let visit = stage.arrive(back.as_str(), &own).await.unwrap();
        ended(&stage, &visit, &back, 400, "We lost track of this visit").await;
    }
    assert_eq!(Spent::since(&stage).tokens, 0, "no code was sent");
    curtain(&stage).await;
}

#[tokio::test]
async fn the_cookie_binds_to_this_host_and_is_spent_on_return() {
    let stage = enrolled(ada()).await;
    let link = stage.link(ADA).unwrap();
    let (address, query) = link.split_once('?').unwrap();
    let left = stage.post(address, query).await.unwrap();
    let cookie = left.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-connect="), "{cookie}");
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(cookie.split("; ").any(|other| other == part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let consent = left.headers()["location"].to_str().unwrap().to_owned();
    let back = stage.oura.approve(&consent, "ada");
    let cookie = cookie.split(';').next().unwrap();
    let arrived = stage.browser.get(back).header("cookie", cookie).send().await.unwrap();
    let spent = arrived.headers()["set-cookie"].to_str().unwrap();
    assert!(spent.starts_with("__Host-connect=;") && spent.contains("Max-Age=0"), "{spent}");
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn visit_that_takes_too_long_is_ended() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.approve(&consent, "ada");
    stage.pass(SignedDuration::from_mins(10));
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    ended(&stage, &visit, &back, 410, "That took too long").await;
    assert_eq!(Spent::since(&stage).tokens, 0);
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_3_code_of_another_issuer_is_not_sent() {
    let stage = enrolled(ada()).await;
    for issuer in ["https://evil.example.org", "https://moi.ouraring.com.evil.example.org/oauth", "not an address", ""]
    {
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        let back = with(&stage.oura.approve(&consent, "ada"), "iss", Some(issuer));
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        ended(&stage, &visit, &back, 503, "This service needs attention").await;
    }
    assert_eq!(Spent::since(&stage).tokens, 0);
    curtain(&stage).await;
}

#[tokio::test]
async fn incomplete_callback_ends_the_visit() {
    let stage = enrolled(ada()).await;
    let cases = [
        ("state", None, 400, "We lost track of this visit"),
        ("state", Some("guess"), 400, "We lost track of this visit"),
        ("state", Some(""), 400, "We lost track of this visit"),
        ("code", None, 502, "Oura did not answer"),
        ("code", Some(""), 502, "Oura did not answer"),
        ("code", Some("code.0123456789"), 410, "That took too long"),
        ("error", Some("server_error"), 502, "Oura did not answer"),
        ("error", Some("<script>alert(1)</script>"), 503, "This service needs attention"),
    ];
    for (name, value, status, says) in cases {
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        let back = with(&stage.oura.approve(&consent, "ada"), name, value);
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        ended(&stage, &visit, &back, status, says).await;
        assert!(!visit.page.contains("alert(1)"), "{}", visit.page);
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn token_response_without_a_grant_connects_no_athlete() {
    let half = serde_json::json!({"access_token": "a", "token_type": "bearer", "expires_in": 60});
    let answers = [
        (Answer::status(500), 502),
        (Answer::status(503).body("<html>"), 502),
        (Answer::html(), 502),
        (Answer::status(200), 502),
        (Answer::json(&half), 502),
        (Answer::status(429).header("retry-after", "60"), 502),
        (Answer::status(404), 503),
    ];
    let stage = enrolled(ada()).await;
    for (answer, status) in answers {
        stage.oura_wire.inject(When::every().path("/oauth/v2/ext/oauth-token"), Fault::Answer(answer));
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        let back = stage.oura.approve(&consent, "ada");
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        ended(&stage, &visit, &back, status, "").await;
        stage.oura_wire.heal();
    }
    assert_eq!(Spent::since(&stage).tokens, 7, "each code was sent once");
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn first_sync_asks_for_an_account_unknown_at_connect() {
    let stage = enrolled(ada()).await;
    let personal = When::every().path("/v2/usercollection/personal_info").first(1);
    stage.oura_wire.inject(personal, Fault::Answer(Answer::status(503)));
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().oura_user, None);
    stage.settle().await;
    let connection = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((connection.oura_user.as_deref(), connection.status), (Some("ada"), Status::Active));
    curtain(&stage).await;
}
