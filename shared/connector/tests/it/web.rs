//! The four routes: which headers every answer carries, and which requests are refused before any look-up.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use connector::Link;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Request, Response, StatusCode};
use jiff::SignedDuration;
use proptest::prelude::*;
use store::{AthleteId, KeyVersion, Keyring};
use url::Url;

use crate::installation::{Installation, keyring, now, soon};

/// Sends a request; a form has the token and cookie of our own page.
async fn send(installation: &Installation, method: &str, target: &str, body: impl Into<Vec<u8>>) -> Response<String> {
    send_with(installation, method, target, body, "").await
}

pub(crate) async fn send_with(
    installation: &Installation,
    method: &str,
    target: &str,
    body: impl Into<Vec<u8>>,
    cookie: &str,
) -> Response<String> {
    let (mut body, mut cookie) = (body.into(), cookie.to_owned());
    if method == "POST" {
        let token = "a".repeat(43);
        body.extend(format!("&token={token}").into_bytes());
        cookie = format!("__Host-form={token}; {cookie}");
    }
    let request = Request::builder().method(method).uri(target).header(COOKIE, cookie).body(body).unwrap();
    installation.connector.respond(request, soon()).await
}

fn header(response: &Response<String>, name: impl http::header::AsHeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn title(response: &Response<String>) -> &str {
    response.body().split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).unwrap().0
}

/// Presses the button; returns the browser's cookie and the query of Oura's consent page.
pub(crate) async fn depart(installation: &Installation, link: &str) -> (String, HashMap<String, String>) {
    let response = send(installation, "POST", "/club/connect", link).await;
    let cookie = header(&response, SET_COOKIE).split(';').next().unwrap().to_owned();
    let url = Url::parse(header(&response, LOCATION)).unwrap();
    (cookie, url.query_pairs().into_owned().collect())
}

#[tokio::test]
async fn every_answer_forbids_what_our_pages_do_not_need() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada Sample").await;
    let endless = "a".repeat(9_000);
    let policy = "img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self' https://cloud.ouraring.com \
                  https://moi.ouraring.com";
    for (method, target, body, status) in [
        ("GET", format!("/club/connect?{link}"), "", StatusCode::OK),
        ("GET", format!("/connect?{link}"), "", StatusCode::OK),
        ("GET", "/connect".to_owned(), "", StatusCode::BAD_REQUEST),
        ("POST", "/connect".to_owned(), link.as_str(), StatusCode::SEE_OTHER),
        ("POST", "/connect".to_owned(), "athlete=ada", StatusCode::BAD_REQUEST),
        ("GET", "/oauth/callback?state=unknown&code=c".to_owned(), "", StatusCode::BAD_REQUEST),
        ("POST", "/disconnect".to_owned(), link.as_str(), StatusCode::OK),
        ("GET", "/disconnect".to_owned(), "", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/".to_owned(), "", StatusCode::NOT_FOUND),
        ("GET", "/clubconnect".to_owned(), "", StatusCode::NOT_FOUND),
        ("GET", "/connect/".to_owned(), "", StatusCode::NOT_FOUND),
        ("POST", "/connect".to_owned(), endless.as_str(), StatusCode::PAYLOAD_TOO_LARGE),
        ("GET", format!("/connect?{endless}"), "", StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let response = send(&installation, method, &target, body).await;
        assert_eq!(response.status(), status, "{method} {target}");
        assert_eq!(header(&response, CACHE_CONTROL), "no-store", "{method} {target}");
        assert_eq!(header(&response, REFERRER_POLICY), "no-referrer", "{method} {target}");
        assert_eq!(header(&response, X_CONTENT_TYPE_OPTIONS), "nosniff", "{method} {target}");
        assert_eq!(header(&response, STRICT_TRANSPORT_SECURITY), "max-age=63072000", "{method} {target}");
        let said = header(&response, CONTENT_SECURITY_POLICY);
        assert!(said.starts_with("default-src 'none'; style-src 'sha256-") && said.ends_with(policy), "{said}");
        if status == StatusCode::SEE_OTHER {
            assert_eq!(response.body(), "");
            continue;
        }
        assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
        // The policy allows exactly the page's own stylesheet.
        let (_, style) = response.body().split_once("<style>").unwrap();
        let hash = BASE64_STANDARD.encode(digest(&SHA256, style.split_once("</style>").unwrap().0.as_bytes()));
        assert!(said.contains(&format!("'sha256-{hash}'")), "{method} {target}");
    }
}

#[tokio::test]
async fn a_wrong_method_gets_a_list_of_the_allowed_ones() {
    let installation = Installation::new().await;
    for (method, path, allowed) in [
        ("DELETE", "/connect", "GET, POST"),
        ("HEAD", "/club/connect", "GET, POST"),
        ("POST", "/oauth/callback", "GET"),
        ("GET", "/disconnect", "POST"),
        ("BREW", "/disconnect", "POST"),
    ] {
        let response = send(&installation, method, path, "").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(header(&response, ALLOW), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn the_button_leads_to_oura_and_sets_a_host_only_cookie() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada Sample").await;
    let response = send(&installation, "POST", "/connect", link.as_str()).await;
    let mut attributes = header(&response, SET_COOKIE).split("; ");
    let (name, value) = attributes.next().unwrap().split_once('=').unwrap();
    assert_eq!((name, value.len()), ("__Host-connect", 43), "256 bits");
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax", "Secure"]);

    let url = Url::parse(header(&response, LOCATION)).unwrap();
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(url.host_str(), Some("cloud.ouraring.com"));
    assert_eq!(query["redirect_uri"], "https://connect.example.org/club/oauth/callback");
    assert_eq!((query["scope"].as_str(), query["code_challenge_method"].as_str()), ("daily", "S256"));
    assert_eq!(query["state"].len(), 43, "256 bits");
    assert!(!url.as_str().contains(value), "the cookie stays between us and the browser");

    let (cookie, other) = depart(&installation, &link).await;
    assert_ne!((cookie.as_str(), &other["state"]), (value, &query["state"]), "another visit is another");
}

#[tokio::test]
async fn the_callback_uses_up_the_cookie_and_the_state() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada Sample").await;
    let (cookie, query) = depart(&installation, &link).await;
    let target = format!("/oauth/callback?error=access_denied&state={}", query["state"]);
    for expected in ["Nothing was connected", "We lost track of this visit"] {
        let response = send_with(&installation, "GET", &target, "", &format!("other=1; {cookie}")).await;
        assert_eq!(title(&response), expected);
        let spent = header(&response, SET_COOKIE);
        assert!(spent.starts_with("__Host-connect=; ") && spent.contains("Max-Age=0"), "{spent}");
        assert!(spent.contains("Secure") && spent.contains("Path=/"), "a browser ignores it otherwise: {spent}");
    }
}

#[tokio::test]
async fn a_duplicate_entry_is_ignored() {
    let installation = Installation::new().await;
    let link = installation.enrolled("ada", "Ada Sample").await;
    for name in ["athlete=ada", "expires=0", "signature=a"] {
        for twice in [format!("{link}&{name}"), format!("{name}&{link}")] {
            let response = send(&installation, "GET", &format!("/connect?{twice}"), "").await;
            assert_eq!(title(&response), "This link is damaged", "{twice}");
        }
    }
    let (cookie, query) = depart(&installation, &link).await;
    let state = &query["state"];
    for (twice, expected) in [
        (format!("error=access_denied&state={state}&state={state}"), "We lost track of this visit"),
        // The duplicate state was not looked up, so it is still valid. A duplicate error counts as absent, so the code
        // is missing.
        (format!("error=access_denied&error=access_denied&state={state}"), "Oura did not answer"),
    ] {
        let response = send_with(&installation, "GET", &format!("/oauth/callback?{twice}"), "", &cookie).await;
        assert_eq!(title(&response), expected, "{twice}");
    }
}

#[tokio::test]
async fn a_link_works_only_for_an_enrolled_athlete_until_it_expires() {
    let installation = Installation::new().await;
    let page = |query: String| {
        let installation = &installation;
        async move { send(installation, "GET", &format!("/connect?{query}"), "").await }
    };
    let link = |keyring: &Keyring, hours| {
        let expires = now() + SignedDuration::from_hours(hours);
        let link = Link::new(keyring, AthleteId::parse("nobody").unwrap(), expires);
        link.to_url("https://connect.example.org/connect".parse().unwrap()).query().unwrap().to_owned()
    };
    assert_eq!(page(link(&keyring(), 1)).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(page(link(&keyring(), -1)).await.status(), StatusCode::GONE);
    let forgotten = Keyring::new(KeyVersion { id: "zero".to_owned(), secret: "root of zero".into() });
    assert_eq!(page(link(&forgotten, 1)).await.status(), StatusCode::GONE, "signed with a key that is no more");
    let response = page(installation.enrolled("ada", "Ada <b>&amp; Sample").await).await;
    assert!(response.body().contains("Ada &lt;b&gt;&amp;amp; Sample"), "{}", response.body());
    assert!(response.body().contains("example.smartabase.com"), "{}", response.body());
}

#[test]
fn any_request_is_answered_with_a_page() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let installation = runtime.block_on(Installation::new());
    let routes = ["/connect", "/oauth/callback", "/disconnect", "/club/connect", "/"];
    let query = "(athlete|expires|signature|state|code|error|iss|&|=|%|%2|%FF|[a-z0-9]){0,30}";
    let config = ProptestConfig::with_cases(64);
    proptest!(config, |(route in 0..routes.len(), query in query, body in any::<Vec<u8>>(), form in any::<bool>(), post in any::<bool>())| {
        let target = format!("{}?{query}", routes[route]);
        let method = if post { "POST" } else { "GET" };
        let body = if form { query.into_bytes() } else { body };
        let response = runtime.block_on(send(&installation, method, &target, body));
        prop_assert!(response.status().is_client_error(), "{} to {} {}", response.status(), method, target);
        prop_assert!(!title(&response).is_empty());
    });
}
