//! Answers of the token server in other forms than the documented one, and what a revocation ends.

use serde_json::{Value, json};
use sim::oura::{Oura, TokenForm, TokenServer};

use crate::browser::{client, code, connect, exchange, get, oura, refresh, text};

/// A first answer for the scopes `daily` and `email`, and the one to a refresh with its refresh token.
async fn answers(form: TokenForm) -> (Oura, Value, Value) {
    let (oura, _) = oura(|settings| settings.token_form = form).await;
    let first: Value =
        exchange(&oura, TokenServer::New, &code(&oura, "ada", "daily email")).await.json().await.unwrap();
    let second = refresh(&oura, TokenServer::New, text(&first, "refresh_token")).await;
    assert_eq!(second.status(), 200);
    let second = second.json().await.unwrap();
    (oura, first, second)
}

#[tokio::test]
async fn every_form_changes_one_member_and_the_tokens_work() {
    for form in TokenForm::ALL {
        let (name, expected) = match form {
            TokenForm::Documented | TokenForm::ErrorsWithStatus200 | TokenForm::KeptRefreshToken => {
                ("expires_in", Some(json!(86_400)))
            }
            TokenForm::LifetimeAsText => ("expires_in", Some(json!("86400"))),
            TokenForm::NoLifetime => ("expires_in", None),
            TokenForm::NullLifetime => ("expires_in", Some(Value::Null)),
            TokenForm::ZeroLifetime => ("expires_in", Some(json!(0))),
            TokenForm::ScopesByComma => ("scope", Some(json!("extapi:daily,extapi:email"))),
            TokenForm::ScopesByPlus => ("scope", Some(json!("extapi:daily+extapi:email"))),
            TokenForm::ScopesInCapitals => ("scope", Some(json!("EXTAPI:DAILY EXTAPI:EMAIL"))),
            TokenForm::ScopesAsList => ("scope", Some(json!(["extapi:daily", "extapi:email"]))),
        };
        let (oura, first, second) = answers(form).await;
        for answer in [&first, &second] {
            assert_eq!(answer.get(name), expected.as_ref(), "{form:?}");
            assert_eq!(get(&oura, answer, "personal_info").await.status(), 200, "{form:?}");
        }
        assert!(first["refresh_token"].is_string(), "{form:?}");
        assert_eq!(second.get("refresh_token").is_none(), form == TokenForm::KeptRefreshToken, "{form:?}");
        assert_eq!(oura.violations(), [], "{form:?}");
    }
}

#[tokio::test]
async fn a_kept_refresh_token_works_again_and_again() {
    let (oura, first, _) = answers(TokenForm::KeptRefreshToken).await;
    let again = refresh(&oura, TokenServer::New, text(&first, "refresh_token")).await;
    assert_eq!(again.status(), 200);
    let grant = oura.grants("ada").remove(0);
    assert_eq!((grant.generation, grant.refresh_token.as_deref()), (0, first["refresh_token"].as_str()));
    oura.configure(|settings| settings.token_form = TokenForm::Documented);
    let last: Value = refresh(&oura, TokenServer::New, text(&first, "refresh_token")).await.json().await.unwrap();
    assert_ne!(first["refresh_token"], last["refresh_token"], "the documented form replaces it");
    assert_eq!(oura.violations(), []);
}

#[tokio::test]
async fn an_error_with_status_200_is_an_error_all_the_same() {
    let (oura, first, second) = answers(TokenForm::ErrorsWithStatus200).await;
    oura.withdraw("ada");
    let refused = refresh(&oura, TokenServer::New, text(&second, "refresh_token")).await;
    assert_eq!(refused.status(), 200);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"], "invalid_grant");
    assert!(refused.get("access_token").is_none());
    assert_eq!(get(&oura, &first, "personal_info").await.status(), 401);
}

#[tokio::test]
async fn a_revocation_ends_a_newer_grant_of_the_same_person_if_configured() {
    for ends_consent in [false, true] {
        let (oura, _) = oura(|settings| settings.revocation_ends_consent = ends_consent).await;
        let (older, newer) = (connect(&oura, "ada", "daily").await, connect(&oura, "ada", "daily").await);
        let other = connect(&oura, "bea", "daily").await;
        let form =
            [("token", text(&older, "refresh_token")), ("client_id", "client"), ("client_secret", "client-secret")];
        let answer = client().post(oura.revoke_url(TokenServer::New)).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(get(&oura, &older, "personal_info").await.status(), 401);
        let refreshed = refresh(&oura, TokenServer::New, text(&newer, "refresh_token")).await;
        assert_eq!(refreshed.status(), if ends_consent { 400 } else { 200 });
        assert_eq!(get(&oura, &other, "personal_info").await.status(), 200, "another person's");
    }
}
