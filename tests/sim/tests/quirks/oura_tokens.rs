//! Codes and refresh tokens work once, in time, and at the right server.

use jiff::SignedDuration;
use serde_json::{Value, json};
use sim::oura::{LifetimeFormat, ScopeFormat, TokenErrorStatus, TokenServer, Violation};

use crate::browser::{CALLBACK, client, code, connect, exchange, get, oura, refresh, text};

#[tokio::test]
async fn code_is_exchanged_once() {
    let (oura, _) = oura(|_| {}).await;
    let code = code(&oura, "ada", "daily");
    let first: Value = exchange(&oura, TokenServer::New, &code).await.json().await.unwrap();
    assert_eq!(first["token_type"], "bearer");
    assert_eq!(first["expires_in"], 86_400);
    assert_eq!(first["scope"], "extapi:daily");
    assert!(first.as_object().unwrap().contains_key("id_token") && first["id_token"].is_null());

    let again = exchange(&oura, TokenServer::New, &code).await;
    assert_eq!(again.status(), 400);
    assert_eq!(again.json::<Value>().await.unwrap()["error"], "invalid_grant");
    assert_eq!(oura.violations(), [Violation::CodeReused { person: "ada".to_owned() }]);
    for secret in [&code, text(&first, "access_token"), text(&first, "refresh_token")] {
        assert!(oura.issued().iter().any(|issued| issued == secret));
    }
}

#[tokio::test]
async fn code_is_valid_for_ten_minutes() {
    let (oura, clock) = oura(|_| {}).await;
    let in_time = code(&oura, "ada", "daily");
    let late = code(&oura, "ada", "daily");
    clock.advance(SignedDuration::from_secs(599));
    assert_eq!(exchange(&oura, TokenServer::New, &in_time).await.status(), 200);
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(exchange(&oura, TokenServer::New, &late).await.status(), 400);
}

#[tokio::test]
async fn code_needs_its_verifier_and_its_redirect_uri() {
    let (oura, _) = oura(|_| {}).await;
    let attempts = [
        (CALLBACK, Some("wrong"), "invalid_grant"),
        (CALLBACK, None, "invalid_grant"),
        ("https://connector.example/", None, "invalid_redirect_uri"),
    ];
    for (redirect_uri, verifier, error) in attempts {
        let code = code(&oura, "ada", "daily");
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect_uri),
            ("client_id", "client"),
            ("client_secret", "client-secret"),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let answer = client().post(oura.token_url(TokenServer::New)).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], error);
    }
    assert_eq!(oura.violations().len(), 2);
    assert!(oura.grants("ada").is_empty());
}

#[tokio::test]
async fn code_at_the_wrong_server_becomes_invalid() {
    let (oura, _) = oura(|_| {}).await;
    let code = code(&oura, "ada", "daily");
    assert_eq!(exchange(&oura, TokenServer::Legacy, &code).await.status(), 401);
    assert_eq!(exchange(&oura, TokenServer::New, &code).await.status(), 400);
    assert_eq!(oura.violations()[0], Violation::CodeAtWrongServer { person: "ada".to_owned() });
}

#[tokio::test]
async fn refresh_token_works_once() {
    let (oura, _) = oura(|_| {}).await;
    let first = connect(&oura, "ada", "daily").await;
    let second: Value = refresh(&oura, TokenServer::New, text(&first, "refresh_token")).await.json().await.unwrap();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    assert!(oura.violations().is_empty());

    let again = refresh(&oura, TokenServer::New, text(&first, "refresh_token")).await;
    assert_eq!(again.status(), 400);
    assert_eq!(again.json::<Value>().await.unwrap()["error"], "invalid_grant");
    assert_eq!(oura.violations(), [Violation::RefreshTokenReused { person: "ada".to_owned(), generation: 0 }]);

    let grants = oura.grants("ada");
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].generation, 1);
    assert_eq!(grants[0].refresh_token.as_deref(), second["refresh_token"].as_str());
    assert_eq!(refresh(&oura, TokenServer::New, text(&second, "refresh_token")).await.status(), 200);
}

#[tokio::test]
async fn refresh_token_at_the_wrong_server_is_refused() {
    for burns in [true, false] {
        let (oura, _) = oura(|settings| settings.wrong_server_burns_refresh_tokens = burns).await;
        let tokens = connect(&oura, "ada", "daily").await;
        let token = text(&tokens, "refresh_token");
        let elsewhere = refresh(&oura, TokenServer::Legacy, token).await;
        assert_eq!(elsewhere.status(), 400);
        assert_eq!(elsewhere.json::<Value>().await.unwrap()["error"], "invalid_request");
        assert_eq!(oura.violations(), [Violation::RefreshTokenAtWrongServer { person: "ada".to_owned() }]);
        let home = refresh(&oura, TokenServer::New, token).await;
        assert_eq!(home.status(), if burns { 400 } else { 200 });
    }
}

#[tokio::test]
async fn grant_stays_at_its_server_when_the_application_moves() {
    let (oura, _) = oura(|settings| settings.server = TokenServer::Legacy).await;
    let answer = exchange(&oura, TokenServer::Legacy, &code(&oura, "ada", "daily")).await;
    let old: Value = answer.json().await.unwrap();
    assert_eq!(old["scope"], "daily");
    assert!(old.get("id_token").is_none());
    oura.configure(|settings| settings.server = TokenServer::New);
    assert_eq!(refresh(&oura, TokenServer::Legacy, text(&old, "refresh_token")).await.status(), 200);
    assert_eq!(exchange(&oura, TokenServer::New, &code(&oura, "ada", "daily")).await.status(), 200);
}

#[tokio::test]
async fn wrong_secret_is_invalid_client_and_keeps_the_token() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    oura.configure(|settings| settings.client_secret = "another".to_owned());
    let answer = refresh(&oura, TokenServer::New, text(&tokens, "refresh_token")).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_client");
    oura.configure(|settings| settings.client_secret = "client-secret".to_owned());
    let answer = refresh(&oura, TokenServer::New, text(&tokens, "refresh_token")).await;
    assert_eq!(answer.status(), 200, "the token is none the worse");
}

#[tokio::test]
async fn client_may_use_basic_authentication() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    let url = oura.token_url(TokenServer::New);
    let answer = client().post(url).basic_auth("client", Some("client-secret")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn access_token_ends_by_lifetime_expiry_and_withdrawal() {
    let (oura, clock) = oura(|_| {}).await;
    let tokens = connect(&oura, "bea", "daily").await;
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 200);
    clock.advance(SignedDuration::from_hours(24));
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 401);

    let tokens: Value = refresh(&oura, TokenServer::New, text(&tokens, "refresh_token")).await.json().await.unwrap();
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 200);
    oura.expire_access_tokens("bea");
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 401);

    let tokens: Value = refresh(&oura, TokenServer::New, text(&tokens, "refresh_token")).await.json().await.unwrap();
    oura.withdraw("bea");
    assert_eq!(get(&oura, &tokens, "personal_info").await.status(), 401);
    assert_eq!(refresh(&oura, TokenServer::New, text(&tokens, "refresh_token")).await.status(), 400);
    assert!(oura.violations().is_empty());
}

#[tokio::test]
async fn new_server_answers_every_revocation_with_200() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily").await;
    let url = oura.revoke_url(TokenServer::New);
    let form = |token: &str| {
        [("token", token.to_owned()), ("client_id", "client".to_owned()), ("client_secret", "client-secret".to_owned())]
    };
    for _ in 0..2 {
        let form = form(text(&tokens, "refresh_token"));
        assert_eq!(client().post(&url).form(&form).send().await.unwrap().status(), 200);
    }
    assert!(oura.grants("ada")[0].revoked);
    assert_eq!(client().post(&url).form(&[("token", "x")]).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn legacy_server_answers_a_second_revocation_with_401() {
    let (oura, _) = oura(|settings| settings.server = TokenServer::Legacy).await;
    let answer = exchange(&oura, TokenServer::Legacy, &code(&oura, "ada", "daily")).await;
    let tokens: Value = answer.json().await.unwrap();
    let url = format!("{}?access_token={}", oura.revoke_url(TokenServer::Legacy), text(&tokens, "access_token"));
    assert_eq!(client().post(&url).send().await.unwrap().status(), 200);
    assert_eq!(client().get(&url).send().await.unwrap().status(), 401);
    assert!(oura.grants("ada")[0].revoked);
}

#[tokio::test]
async fn withdrawn_scope_is_missing_after_the_next_refresh() {
    let (oura, _) = oura(|_| {}).await;
    let tokens = connect(&oura, "ada", "daily email").await;
    oura.withdraw_scope("ada", "daily");
    let tokens: Value = refresh(&oura, TokenServer::New, text(&tokens, "refresh_token")).await.json().await.unwrap();
    assert_eq!(tokens["scope"], "extapi:email");
}

#[tokio::test]
async fn refresh_without_rotation_keeps_the_old_refresh_token() {
    let (oura, _) = oura(|settings| settings.rotates_refresh_tokens = false).await;
    let first = connect(&oura, "ada", "daily").await;
    let token = text(&first, "refresh_token");
    for _ in 0..2 {
        let answer: Value = refresh(&oura, TokenServer::New, token).await.json().await.unwrap();
        assert!(answer.get("refresh_token").is_none(), "{answer}");
        assert_eq!(get(&oura, &answer, "personal_info").await.status(), 200);
    }
    assert_eq!(oura.violations(), []);
}

#[tokio::test]
async fn token_answers_use_the_configured_format() {
    let (oura, _) = oura(|_| {}).await;
    for (lifetime, expected) in [
        (LifetimeFormat::Text, Some(json!("86400"))),
        (LifetimeFormat::Null, Some(Value::Null)),
        (LifetimeFormat::Zero, Some(json!(0))),
        (LifetimeFormat::Absent, None),
    ] {
        oura.configure(|settings| settings.lifetime_format = lifetime);
        assert_eq!(connect(&oura, "ada", "daily").await.get("expires_in"), expected.as_ref(), "{lifetime:?}");
    }
    for (scopes, expected) in [
        (ScopeFormat::Commas, json!("extapi:daily,extapi:email")),
        (ScopeFormat::Pluses, json!("extapi:daily+extapi:email")),
        (ScopeFormat::Capitals, json!("EXTAPI:DAILY EXTAPI:EMAIL")),
        (ScopeFormat::List, json!(["extapi:daily", "extapi:email"])),
        (ScopeFormat::Object, json!({"extapi:daily": true, "extapi:email": true})),
        (ScopeFormat::Foreign, json!("read")),
    ] {
        oura.configure(|settings| settings.scope_format = scopes);
        assert_eq!(connect(&oura, "ada", "daily email").await["scope"], expected, "{scopes:?}");
    }
    oura.configure(|settings| settings.token_error_status = TokenErrorStatus::Ok);
    let refused = refresh(&oura, TokenServer::New, "unknown").await;
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_grant");
}
