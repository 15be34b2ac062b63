//! Finding out whether Oura knows the application, without touching anybody's grant.

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
async fn a_client_is_known_when_a_made_up_token_is_the_only_thing_wrong() {
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
async fn whatever_else_the_token_server_says_is_no_recognition() {
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
async fn a_callback_is_registered_when_oura_sends_the_error_there() {
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
async fn a_page_of_ouras_own_tells_nothing_and_a_bad_request_tells_enough() {
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
