//! Authorisation: what the client sends, that it sends it once, and what each response means.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use oura::{ApiError, Client, ClientCredentials, Endpoints, Grant, Throttle, Tier, TokenError};
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::Url;

use crate::server::{RawServer, Server, Silence, client_of, gzip, json as answer, nobody, plain, redirect, typed};
use crate::{credentials, later, secret, soon};

/// `{"access_token":"aa","refresh_token":"rr","expires_in":60}`, compressed.
const GRANT_GZ: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x4c\x4e\x4e\x2d\x2e\x8e\x2f\xc9\xcf\x4e\xcd\x53\xb2\x52\x4a\x4c\x54\xd2\x51\x2a\x4a\x4d\x2b\x4a\x2d\xce\x80\x0b\x16\x15\x01\x05\x53\x2b\x0a\x32\x81\xa2\xf1\x99\x40\x11\x33\x83\x5a\x00\xbc\x58\xaf\xa8\x3a\x00\x00\x00";

fn callback() -> Url {
    "https://example.org/back?a=1".parse().unwrap()
}

fn usable() -> Response<Body> {
    answer(&json!({"access_token": "hush-aa", "refresh_token": "hush-rr", "expires_in": 60, "scope": "extapi:daily"}))
}

pub(crate) async fn refresh(client: &Client, at: &Url) -> Result<Grant, TokenError> {
    client.refresh(&credentials(), at, &secret("old+token"), later()).await
}

pub(crate) async fn exchange(client: &Client) -> Result<Grant, TokenError> {
    client.exchange(&credentials(), &secret("the/code"), &callback(), &secret("the-verifier"), later()).await
}

fn pairs(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn consent_address_has_exact_parameters() {
    let client = Client::new(Endpoints::default()).unwrap();
    let authorization = client.authorization("our id", &callback(), " daily  personal ", "a&b=c");
    let verifier = authorization.pkce_verifier.expose_secret();
    assert!((43..=128).contains(&verifier.len()), "RFC 7636, section 4.1");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(
        authorization.url.as_str(),
        format!(
            "https://cloud.ouraring.com/oauth/authorize?response_type=code&client_id=our+id&state=a%26b%3Dc\
             &code_challenge={challenge}&code_challenge_method=S256\
             &redirect_uri=https%3A%2F%2Fexample.org%2Fback%3Fa%3D1&scope=daily+personal"
        )
    );
    let again = client.authorization("our id", &callback(), "daily", "a&b=c");
    assert_ne!(again.pkce_verifier.expose_secret(), verifier);
}

#[test]
fn empty_scopes_send_no_scope_parameter() {
    let client = Client::new(Endpoints::default()).unwrap();
    let authorization = client.authorization("id", &callback(), "", "state");
    assert!(!authorization.url.query_pairs().any(|(name, _)| name == "scope"));
}

#[tokio::test]
async fn exchange_sends_one_exact_form() {
    let server = Server::start(|_| usable()).await;
    let client = server.client();
    let grant = exchange(&client).await.unwrap();
    assert_eq!(grant.access_token.expose_secret(), "hush-aa");
    assert_eq!(grant.refresh_token.expose_secret(), "hush-rr");
    assert_eq!(grant.expires_in, Duration::from_mins(1));
    assert!(grant.scopes.contains("daily"));

    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!((&seen.method, seen.path.as_str()), (&Method::POST, "/token"));
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!seen.headers.contains_key("authorization"), "the client authenticates in the body");
    assert_eq!(
        pairs(&seen.form),
        [
            ("grant_type", "authorization_code"),
            ("code", "the/code"),
            ("code_verifier", "the-verifier"),
            ("client_id", "our id"),
            ("client_secret", "hush&secret"),
            ("redirect_uri", "https://example.org/back?a=1"),
        ]
    );
}

#[tokio::test]
async fn refresh_sends_one_exact_form_to_the_issuing_endpoint() {
    let (server, elsewhere) = (Server::start(|_| usable()).await, Server::start(|_| usable()).await);
    refresh(&elsewhere.client(), &server.url.join("/older/token").unwrap()).await.unwrap();
    assert!(elsewhere.seen().is_empty(), "the configured endpoint is for new grants");
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!((&seen.method, seen.path.as_str()), (&Method::POST, "/older/token"));
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(
        pairs(&seen.form),
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", "old+token"),
            ("client_id", "our id"),
            ("client_secret", "hush&secret"),
        ]
    );
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Server::start(|_| usable()).await;
    let to = elsewhere.url.clone();
    let server = Server::start(move |_| redirect(&to)).await;
    let refused = TokenError::Refused { code: "http_307".to_owned() };
    assert_eq!(refresh(&server.client(), &server.url).await.unwrap_err(), refused);
    assert_eq!(exchange(&server.client()).await.unwrap_err(), refused);
    assert_eq!(server.seen().len(), 2);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn refusals_name_the_party_at_fault() {
    let refused = |code: &str| TokenError::Refused { code: code.to_owned() };
    for (status, body, expected) in [
        (400, r#"{"error": "invalid_grant", "error_description": "hush"}"#, TokenError::InvalidGrant),
        (401, r#"{"error": "invalid_grant"}"#, TokenError::InvalidGrant),
        (400, r#"{"error": "invalid_client"}"#, TokenError::InvalidClient),
        (401, r#"{"error": "invalid_client"}"#, TokenError::InvalidClient),
        (401, "", TokenError::InvalidClient),
        (401, "<html>hush</html>", TokenError::InvalidClient),
        (401, r#"{"detail": "hush"}"#, TokenError::InvalidClient),
        (401, r#"{"error": "invalid_request"}"#, TokenError::InvalidClient),
        (400, r#"{"error": "invalid_request"}"#, refused("invalid_request")),
        (400, r#"{"error": "invalid_redirect_uri"}"#, refused("invalid_redirect_uri")),
        (400, r#"{"error": "unauthorized_client"}"#, refused("unauthorized_client")),
        (400, r#"{"error": "Invalid_Grant"}"#, TokenError::InvalidGrant),
        (400, r#"{"error": "<A\nBC>"}"#, refused("http_400")),
        (400, r#"{"error": {"code": 7}}"#, refused("http_400")),
        (400, r#"{"error": null}"#, refused("http_400")),
        (400, "[]", refused("http_400")),
        (400, "", refused("http_400")),
        (404, "\u{0}", refused("http_404")),
    ] {
        let server = Server::start(move |_| typed(status, "application/json", body)).await;
        let error = refresh(&server.client(), &server.url).await.unwrap_err();
        assert_eq!(error, expected, "{status} {body}");
        assert!(!format!("{error} {error:?}").contains("hush"));
        assert_eq!(server.seen().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn does_not_repeat_an_invalid_error_code() {
    for code in ["hush hush".to_owned(), "hush".repeat(11), "hush".repeat(300_000), String::new()] {
        let body = json!({"error": code}).to_string();
        let server = Server::start(move |_| typed(400, "application/json", body.clone())).await;
        let error = refresh(&server.client(), &server.url).await.unwrap_err();
        assert_eq!(error, TokenError::Refused { code: "http_400".to_owned() });
    }
}

#[tokio::test]
async fn throttled_token_request_has_a_wait() {
    let server = Server::start(|_| {
        let answer =
            Response::builder().status(429).header("retry-after", "7").header("x-ratelimit-tier", "application");
        answer.body(Body::from(r#"{"error": "invalid_grant"}"#)).unwrap()
    })
    .await;
    let throttle = Throttle { after: Some(Duration::from_secs(7)), tier: Tier::Application };
    assert_eq!(refresh(&server.client(), &server.url).await.unwrap_err(), TokenError::Throttled(throttle));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn incomplete_success_is_uncertain() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/html" => typed(200, "text/html", "<html>"),
        "/empty" => typed(200, "application/json", ""),
        "/cut" => typed(200, "application/json", r#"{"access_token": "hush"#),
        "/bytes" => typed(200, "application/json", &b"\xff\xfe\x00\xc3\x28"[..]),
        "/large" => typed(200, "application/json", "{".repeat(1 << 20)),
        "/gzip" => gzip("not compressed"),
        "/500" => plain(500, r#"{"error": "invalid_grant"}"#),
        "/503" => plain(503, ""),
        _ => plain(408, ""),
    })
    .await;
    let paths = ["/html", "/empty", "/cut", "/bytes", "/large", "/gzip", "/500", "/503", "/408"];
    for path in paths {
        let error = refresh(&server.client(), &server.url.join(path).unwrap()).await.unwrap_err();
        assert!(matches!(error, TokenError::Uncertain { .. }), "{path}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{path}");
    }
    let seen: Vec<_> = server.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(seen, paths, "each sent once");
}

#[tokio::test]
async fn lost_connection_is_uncertain_and_not_retried() {
    for reply in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"access_token\": \"hush\"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":",
        b"garbage\r\n\r\n",
    ] {
        let server = RawServer::start(reply, false);
        let error = refresh(&server.client(), &server.url).await.unwrap_err();
        assert!(matches!(error, TokenError::Uncertain { .. }), "{error:?} {}", reply.escape_ascii());
        assert_eq!(server.connections(), 1, "{}", reply.escape_ascii());
    }
}

#[tokio::test]
async fn no_response_by_the_deadline_is_uncertain() {
    let silence = Silence::start();
    let client = client_of(&silence.url);
    let error = client.refresh(&credentials(), &silence.url, &secret("old"), soon()).await.unwrap_err();
    assert!(matches!(error, TokenError::Uncertain { .. }), "{error:?}");
}

#[tokio::test]
async fn unsent_request_is_not_uncertain() {
    let gone = nobody();
    let error = refresh(&client_of(&gone), &gone).await.unwrap_err();
    assert!(matches!(error, TokenError::Unwell { .. }), "{error:?}");

    let server = Server::start(|_| usable()).await;
    let late = tokio::time::Instant::now();
    let error = server.client().refresh(&credentials(), &server.url, &secret("old"), late).await.unwrap_err();
    assert!(matches!(error, TokenError::Unwell { .. }), "{error:?}");
    let mail = "mailto:a@example.org".parse().unwrap();
    let error = refresh(&server.client(), &mail).await.unwrap_err();
    assert!(matches!(error, TokenError::Unwell { .. }), "{error:?}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn accepts_a_pair_with_any_success_status_or_encoding() {
    let pair = r#"{"access_token": "aa", "refresh_token": "rr", "expires_in": 60, "id_token": null}"#;
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/gzip" => gzip(GRANT_GZ),
        "/created" => typed(201, "application/json; charset=utf-8", pair),
        _ => typed(200, "text/html", pair),
    })
    .await;
    for path in ["/gzip", "/created", "/html"] {
        let grant = refresh(&server.client(), &server.url.join(path).unwrap()).await.unwrap();
        assert_eq!(grant.refresh_token.expose_secret(), "rr", "{path}");
        assert!(grant.scopes.is_unknown(), "{path}");
    }
}

#[tokio::test]
async fn each_token_request_opens_a_new_connection() {
    let body = r#"{"access_token":"aa","refresh_token":"rr","expires_in":60}"#;
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = RawServer::start(reply, true);
    let client = server.client();
    for round in 1..=3 {
        refresh(&client, &server.url).await.unwrap();
        assert_eq!(server.connections(), round);
    }
}

#[tokio::test]
async fn revocation_sends_one_exact_form() {
    for status in [200, 204] {
        let server = Server::start(move |_| plain(status, Body::empty())).await;
        server.client().revoke(&credentials(), &secret("rr&"), later()).await.unwrap();
        let [seen] = &server.seen()[..] else { panic!("one request") };
        assert_eq!((&seen.method, seen.path.as_str()), (&Method::POST, "/revoke"));
        assert_eq!(
            pairs(&seen.form),
            [
                ("token", "rr&"),
                ("token_type_hint", "refresh_token"),
                ("client_id", "our id"),
                ("client_secret", "hush&secret"),
            ]
        );
    }
}

#[tokio::test]
async fn older_server_gets_the_token_as_a_bearer() {
    for status in [200, 204, 401] {
        let server = Server::start(move |_| plain(status, Body::empty())).await;
        let revoke = server.url.join("/oauth/revoke").unwrap();
        let client = Client::new(Endpoints { revoke, ..server.client().endpoints().clone() }).unwrap();
        client.revoke(&credentials(), &secret("rr"), later()).await.unwrap();
        let [seen] = &server.seen()[..] else { panic!("one request") };
        assert_eq!((&seen.method, seen.path.as_str()), (&Method::POST, "/oauth/revoke"));
        assert_eq!(seen.headers["authorization"], "Bearer rr");
        assert!(seen.query.is_empty() && seen.form.is_empty(), "the token stands in the header alone");
    }
}

#[tokio::test]
async fn failed_revocation_returns_the_error() {
    for (status, expected) in [
        (401, ApiError::TokenRefused),
        (400, ApiError::Rejected { status: 400 }),
        (307, ApiError::Rejected { status: 307 }),
        (503, ApiError::Unwell { status: Some(503) }),
        (429, ApiError::Throttled(Throttle { after: None, tier: Tier::Unknown })),
    ] {
        let server = Server::start(move |_| plain(status, "")).await;
        assert_eq!(server.client().revoke(&credentials(), &secret("rr"), later()).await, Err(expected));
        assert_eq!(server.seen().len(), 1);
    }
    let gone = client_of(&nobody());
    assert_eq!(gone.revoke(&credentials(), &secret("rr"), later()).await, Err(ApiError::Unwell { status: None }));
    let silence = Silence::start();
    let revoked = client_of(&silence.url).revoke(&credentials(), &secret("rr"), soon()).await;
    assert_eq!(revoked, Err(ApiError::TimedOut));
}

#[test]
fn debug_shows_no_secret() {
    let text = r#"{"client_id": "our id", "client_secret": "hush"}"#;
    let credentials: ClientCredentials = serde_json::from_str(text).unwrap();
    assert_eq!(credentials.client_secret.expose_secret(), "hush");
    let printed = format!("{credentials:?} {credentials:#?}");
    assert!(printed.contains("our id") && !printed.contains("hush"), "{printed}");

    let client = Client::new(Endpoints::default()).unwrap();
    let authorization = client.authorization("id", &callback(), "daily", "hush");
    let printed = format!("{authorization:?} {authorization:#?}");
    assert!(!printed.contains("hush") && !printed.contains(authorization.pkce_verifier.expose_secret()));
}

#[tokio::test]
async fn sends_nothing_to_an_endpoint_without_https() {
    let server = Server::start(|_| usable()).await;
    let port = server.url.port().unwrap();
    // Each of these names means this machine, so a request would reach the server.
    for host in ["0.0.0.0", "[::ffff:127.0.0.1]", "localhost.localdomain"] {
        let elsewhere = format!("http://{host}:{port}/token").parse().unwrap();
        let error = refresh(&server.client(), &elsewhere).await.unwrap_err();
        assert!(matches!(error, TokenError::Unwell { .. }), "{host}: {error:?}");
        let endpoints = |change: fn(&mut Endpoints, Url)| {
            let mut endpoints = Endpoints::default();
            change(&mut endpoints, elsewhere.clone());
            Client::new(endpoints).unwrap_err().to_string()
        };
        let refused = [
            endpoints(|endpoints, url| endpoints.token = url),
            endpoints(|endpoints, url| endpoints.revoke = url),
            endpoints(|endpoints, url| endpoints.api = url),
        ];
        assert!(refused.iter().all(|why| why.contains("not an https address")), "{refused:?}");
    }
    assert_eq!(server.seen().len(), 0);
    for host in ["127.0.0.1", "localhost"] {
        refresh(&server.client(), &format!("http://{host}:{port}/token").parse().unwrap()).await.unwrap();
    }
}

#[test]
fn knows_the_configured_and_published_token_endpoints() {
    let configured: Url = "https://proxy.example.org/token".parse().unwrap();
    let client = Client::new(Endpoints { token: configured.clone(), ..Endpoints::default() }).unwrap();
    let known = |text: &str| client.is_known_token_endpoint(&text.parse().unwrap());
    for endpoint in [
        configured.as_str(),
        "https://moi.ouraring.com/oauth/v2/ext/oauth-token",
        "https://api.ouraring.com/oauth/token",
    ] {
        assert!(known(endpoint), "{endpoint}");
    }
    for other in [
        "https://proxy.example.org/other",
        "http://proxy.example.org/token",
        "http://api.ouraring.com/oauth/token",
        "https://api.ouraring.com.example.org/oauth/token",
        "https://api.ouraring.com:8443/oauth/token",
        "https://user@api.ouraring.com/oauth/token",
        "https://api.ouraring.com/oauth/token?to=elsewhere",
        "https://api.ouraring.com/oauth/revoke",
        "http://127.0.0.1/oauth/token",
    ] {
        assert!(!known(other), "{other}");
    }
}

#[test]
fn rejects_an_endpoint_that_is_not_http() {
    let odd: Url = "data:text/plain,a".parse().unwrap();
    let endpoints = Endpoints { token: odd, ..Endpoints::default() };
    let error = Client::new(endpoints).unwrap_err();
    assert_eq!(error.to_string(), "the token endpoint is not an https address (http is for this machine only)");
}
