//! The consent page, as a browser uses it.

use sim::oura::TokenServer;

use crate::browser::{CALLBACK, CHALLENGE, authorize_url, client, oura, parameter};

#[tokio::test]
async fn consent_page_offers_people_and_scopes_and_redirects() {
    let (oura, _) = oura(|_| {}).await;
    let url = authorize_url(&oura, "daily email");
    let page = client().get(&url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    for part in ["Ada Sample", "Bea Sample", "value=\"daily\"", "value=\"email\"", "Approve", "Decline"] {
        assert!(page.contains(part), "{part} is missing from {page}");
    }
    assert!(!page.contains("value=\"heartrate\""), "only what was asked for is offered");

    let form = [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", CALLBACK),
        ("scope", "daily email"),
        ("state", "st4te"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("person", "bea"),
        ("granted", "daily"),
        ("decision", "approve"),
    ];
    let answer = client().post(oura.authorize_url()).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let back = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    assert!(back.as_str().starts_with(CALLBACK));
    assert_eq!(parameter(&back, "state").as_deref(), Some("st4te"));
    assert_eq!(parameter(&back, "scope").as_deref(), Some("extapi:daily"), "email was unchecked");
    assert_eq!(parameter(&back, "iss").as_deref(), Some("https://moi.ouraring.com/oauth/v2/ext/oauth-anonymous"));
    assert!(parameter(&back, "code").is_some());
}

#[tokio::test]
async fn declining_redirects_with_an_error_and_the_state() {
    let (oura, _) = oura(|_| {}).await;
    let back = oura.decline(&authorize_url(&oura, "daily"));
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("st4te"));
    assert_eq!(parameter(&back, "code"), None);
}

#[tokio::test]
async fn legacy_server_uses_bare_scopes_and_no_issuer() {
    let (oura, _) = oura(|settings| settings.server = TokenServer::Legacy).await;
    let back = oura.approve_only(&authorize_url(&oura, "daily personal"), "ada", &["daily", "personal"]);
    assert_eq!(parameter(&back, "scope").as_deref(), Some("daily personal"));
    assert_eq!(parameter(&back, "iss"), None);
}

#[tokio::test]
async fn empty_scope_requests_all_scopes() {
    let (oura, _) = oura(|_| {}).await;
    let back = oura.approve(&authorize_url(&oura, ""), "ada");
    let granted = parameter(&back, "scope").unwrap();
    assert!(granted.contains("extapi:daily") && granted.contains("extapi:heartrate"), "{granted}");
}

#[tokio::test]
async fn new_endpoint_ignores_bare_scope_names() {
    let (oura, _) = oura(|_| {}).await;
    let url = authorize_url(&oura, "daily extapi:email").replace("/oauth/authorize", "/oauth/v2/ext/oauth-authorize");
    let back = oura.approve(&url, "ada");
    assert_eq!(parameter(&back, "scope").as_deref(), Some("extapi:email"));
}

#[tokio::test]
async fn unregistered_redirect_uri_or_client_gets_400() {
    let (oura, _) = oura(|_| {}).await;
    let good = authorize_url(&oura, "daily");
    let another_uri = good.replace("callback", "callback%2F");
    let another_client = good.replace("client_id=client", "client_id=nobody");
    for url in [another_uri, another_client] {
        let page = client().get(&url).send().await.unwrap();
        assert_eq!(page.status(), 400, "{url}");
        assert!(page.headers().get("location").is_none());
    }
}

#[tokio::test]
async fn other_errors_redirect_to_the_application() {
    let (oura, _) = oura(|_| {}).await;
    let good = authorize_url(&oura, "daily");
    let cases = [
        (good.replace("response_type=code", "response_type=token"), "unsupported_response_type"),
        (good.replace(CHALLENGE, "short"), "invalid_request"),
    ];
    for (url, error) in cases {
        let answer = client().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        let back = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        assert_eq!(parameter(&back, "error").as_deref(), Some(error));
        assert_eq!(parameter(&back, "state").as_deref(), Some("st4te"));
    }
}
