//! Checks of the application's registration at Oura, which use no grant.

use axum::http::{Method, Response};
use oura::{ApiError, Callback, TokenError};
use serde_json::json;
use url::Url;

use crate::server::{Server, json as answer, plain, redirect, typed};
use crate::{credentials, later};

fn callback() -> Url {
    "https://example.org/oauth/callback".parse().unwrap()
}

fn refusal(code: &'static str) -> Response<axum::body::Body> {
    typed(400, "application/json", json!({ "error": code }).to_string())
}

#[tokio::test]
async fn accepts_client_if_only_the_made_up_token_is_refused() {
    let server = Server::start(|_| refusal("invalid_grant")).await;
    let client = server.client();
    assert_eq!(client.recognises(&credentials(), later()).await, Ok(()));
    assert_eq!(client.recognises(&credentials(), later()).await, Ok(()));

    let seen = server.seen();
    let sent = |at: usize, name: &str| {
        let found = seen[at].form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!((seen.len(), &seen[0].method, seen[0].path.as_str()), (2, &Method::POST, "/token"));
    assert_eq!(sent(0, "grant_type"), "refresh_token");
    assert_ne!(sent(0, "refresh_token"), sent(1, "refresh_token"), "a token that nobody could have been given");
}

#[tokio::test]
async fn any_other_token_answer_is_an_error() {
    let refused = |code: &str| TokenError::Refused { code: code.to_owned() };
    for (code, error) in [
        ("invalid_client", TokenError::InvalidClient),
        ("invalid_request", refused("invalid_request")),
        ("unauthorized_client", refused("unauthorized_client")),
    ] {
        let server = Server::start(move |_| refusal(code)).await;
        assert_eq!(server.client().recognises(&credentials(), later()).await, Err(error));
    }
    let grant = json!({"access_token": "aa", "refresh_token": "rr", "expires_in": 60});
    let server = Server::start(move |_| answer(&grant)).await;
    let absurd = server.client().recognises(&credentials(), later()).await;
    assert!(matches!(absurd, Err(TokenError::Unusable { .. })), "{absurd:?}");
}

#[tokio::test]
async fn callback_is_registered_if_oura_redirects_to_it() {
    let back: Url = "https://example.org/oauth/callback?error=unsupported_response_type&state=x".parse().unwrap();
    let server = Server::start(move |_| redirect(&back)).await;
    assert_eq!(server.client().callback("our id", &callback(), later()).await, Ok(Callback::Registered));

    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!((&seen.method, seen.path.as_str()), (&Method::GET, "/authorize"));
    let asked = |name| seen.parameter(name).unwrap();
    assert_eq!((asked("client_id"), asked("redirect_uri")), ("our id", callback().as_str()));
    assert_ne!(asked("response_type"), "code", "nobody is asked for consent");
}

#[tokio::test]
async fn page_of_oura_is_unknown_and_bad_request_is_refused() {
    let answered = async |response: fn() -> Response<axum::body::Body>| {
        let server = Server::start(move |_| response()).await;
        server.client().callback("our id", &callback(), later()).await
    };
    let elsewhere = || redirect(&"https://example.org/oauth/callback/other?error=x".parse().unwrap());
    assert_eq!(answered(elsewhere).await, Ok(Callback::Untold));
    assert_eq!(answered(|| redirect(&"https://moi.example/sign-in".parse().unwrap())).await, Ok(Callback::Untold));
    assert_eq!(answered(|| plain(200, "Sign in")).await, Ok(Callback::Untold));
    assert_eq!(answered(|| plain(200, "x".repeat(1 << 20))).await, Ok(Callback::Untold));
    assert_eq!(answered(|| plain(400, "not registered")).await, Ok(Callback::Refused));
    assert_eq!(answered(|| plain(404, "")).await, Err(ApiError::Rejected { status: 404 }));
    assert_eq!(answered(|| plain(503, "")).await, Err(ApiError::Unwell { status: Some(503) }));
}
