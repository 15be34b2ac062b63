//! How the collections refuse requests.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use sim::oura::{ErrorBody, Limit, MissingScope, Tier};

use crate::browser::{client, connect, get, oura};

#[tokio::test]
async fn invalid_token_gets_401() {
    let (oura, _) = oura(|_| {}).await;
    let url = format!("{}/v2/usercollection/sleep", oura.url());
    assert_eq!(client().get(&url).send().await.unwrap().status(), 401);
    assert_eq!(client().get(&url).bearer_auth("nonsense").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn missing_scope_gets_401_or_403_except_for_personal_info() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "email").await;
    for (setting, status) in [(MissingScope::Unauthorized, 401), (MissingScope::Forbidden, 403)] {
        oura.configure(|settings| settings.missing_scope = setting);
        for name in ["daily_activity", "daily_readiness", "daily_sleep", "sleep"] {
            assert_eq!(get(&oura, &tokens, name).await.status(), status, "{name}");
        }
    }
    let info: Value = get(&oura, &tokens, "personal_info").await.json().await.unwrap();
    assert_eq!(info["id"], "ada");
    assert_eq!(info["email"], "ada@example.org");
    assert!(info["age"].is_null(), "personal was not granted");
}

#[tokio::test]
async fn lapsed_membership_gets_403_everywhere() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    oura.set_member("ada", false);
    for name in ["daily_activity", "daily_readiness", "daily_sleep", "sleep", "personal_info"] {
        assert_eq!(get(&oura, &tokens, name).await.status(), 403, "{name}");
    }
    oura.set_member("ada", true);
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 200);
}

#[tokio::test]
async fn outdated_app_gets_426_everywhere() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    oura.set_outdated_app("ada", true);
    for name in ["daily_activity", "daily_readiness", "daily_sleep", "sleep", "personal_info"] {
        assert_eq!(get(&oura, &tokens, name).await.status(), 426, "{name}");
    }
    oura.set_outdated_app("ada", false);
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 200);
}

#[tokio::test]
async fn error_bodies_have_three_shapes() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    oura.set_member("ada", false);
    let body = async |shape| {
        oura.configure(|settings| settings.error_body = shape);
        get(&oura, &tokens, "sleep").await.text().await.unwrap()
    };
    let problem: Value = serde_json::from_str(&body(ErrorBody::Problem).await).unwrap();
    assert_eq!((&problem["status"], &problem["title"]), (&403.into(), &"Forbidden".into()));
    let detail: Value = serde_json::from_str(&body(ErrorBody::Detail).await).unwrap();
    assert_eq!(detail.as_object().unwrap().keys().collect::<Vec<_>>(), ["detail"]);
    assert_eq!(body(ErrorBody::Empty).await, "");
}

#[tokio::test]
async fn unknown_collection_gets_404() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    assert_eq!(get(&oura, &tokens, "vo2_max").await.status(), 404);
}

#[tokio::test]
async fn token_over_its_limit_gets_429() {
    let limit = Limit { requests: 2, window: Duration::from_mins(1) };
    let (oura, clock) = oura(|settings| settings.token_limit = Some(limit)).await;
    let ada = connect(&oura, "ada", "daily").await;
    let bea = connect(&oura, "bea", "daily").await;
    for _ in 0..2 {
        assert_eq!(get(&oura, &ada, "sleep").await.status(), 200);
    }
    clock.advance(SignedDuration::from_millis(20_500));
    let refused = get(&oura, &ada, "sleep").await;
    assert_eq!(refused.status(), 429);
    let header = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "40", "39.5 seconds, rounded up");
    assert_eq!(header("x-ratelimit-limit"), "2");
    assert_eq!(header("x-ratelimit-window"), "60");
    assert_eq!(header("x-ratelimit-reset"), (clock.now().as_second() + 40).to_string());
    assert_eq!(header("x-ratelimit-tier"), "token");
    assert_eq!(get(&oura, &bea, "sleep").await.status(), 200, "another token is not concerned");
    clock.advance(SignedDuration::from_secs(40));
    assert_eq!(get(&oura, &ada, "sleep").await.status(), 200);
}

#[tokio::test]
async fn application_over_its_limit_gets_429() {
    let limit = Limit { requests: 1, window: Duration::from_mins(5) };
    let (oura, _) = oura(|settings| settings.application_limit = Some(limit)).await;
    let ada = connect(&oura, "ada", "daily").await;
    let bea = connect(&oura, "bea", "daily").await;
    assert_eq!(get(&oura, &ada, "sleep").await.status(), 200);
    let refused = get(&oura, &bea, "sleep").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["x-ratelimit-tier"], "application");
}

#[tokio::test]
async fn throttle_refuses_a_tier_until_an_instant() {
    let (oura, clock) = oura(|_| {}).await;
    let ada = connect(&oura, "ada", "daily").await;
    let bea = connect(&oura, "bea", "daily").await;
    oura.throttle(Tier::Token, "ada", clock.now() + SignedDuration::from_secs(90));
    let refused = get(&oura, &ada, "sleep").await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "90"));
    assert_eq!(get(&oura, &bea, "sleep").await.status(), 200);
    oura.throttle(Tier::Application, "", clock.now() + SignedDuration::from_secs(90));
    assert_eq!(get(&oura, &bea, "sleep").await.status(), 429);
    clock.advance(SignedDuration::from_secs(90));
    assert_eq!(get(&oura, &bea, "sleep").await.status(), 200);
}
