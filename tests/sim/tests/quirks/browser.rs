//! A plain HTTP client, and the steps that every Oura test starts with.

use reqwest::{Client, Response, redirect};
use serde_json::Value;
use sim::Clock;
use sim::oura::{Config, Life, Oura, Person, Settings, TokenServer};

pub(crate) const CALLBACK: &str = "https://connector.example/oauth/callback";
/// The example pair of RFC 7636.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) fn client() -> Client {
    Client::builder().redirect(redirect::Policy::none()).build().unwrap()
}

pub(crate) fn noon(day: &str) -> Clock {
    Clock::at(format!("{day}T12:00:00Z").parse().unwrap())
}

/// A service at noon UTC on 10 March 2026, with one person of each life in Berlin: `ada` (blank), `bea` (regular) and
/// `cleo` (varied).
pub(crate) async fn oura(change: impl FnOnce(&mut Settings)) -> (Oura, Clock) {
    let clock = noon("2026-03-10");
    let since = "2026-01-01".parse().unwrap();
    let people = vec![
        Person::new("ada", "Ada Sample", "Europe/Berlin"),
        Person::new("bea", "Bea Sample", "Europe/Berlin").living(Life::Regular { since }),
        Person::new("cleo", "Cleo Sample", "Europe/Berlin").living(Life::Varied { since }),
    ];
    let mut settings = Settings { redirect_uris: vec![CALLBACK.to_owned()], ..Settings::default() };
    change(&mut settings);
    let oura = Oura::start(Config { clock: clock.clone(), seed: 7, people, settings }).await.unwrap();
    (oura, clock)
}

pub(crate) fn authorize_url(oura: &Oura, scope: &str) -> String {
    let query = [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", CALLBACK),
        ("scope", scope),
        ("state", "st4te"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    reqwest::Url::parse_with_params(&oura.authorize_url(), query).unwrap().to_string()
}

pub(crate) fn parameter(url: &reqwest::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A code for all scopes in `scope`.
pub(crate) fn code(oura: &Oura, person: &str, scope: &str) -> String {
    parameter(&oura.approve(&authorize_url(oura, scope), person), "code").unwrap()
}

pub(crate) async fn exchange(oura: &Oura, server: TokenServer, code: &str) -> Response {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("client_id", "client"),
        ("client_secret", "client-secret"),
        ("code_verifier", VERIFIER),
    ];
    client().post(oura.token_url(server)).form(&form).send().await.unwrap()
}

pub(crate) async fn refresh(oura: &Oura, server: TokenServer, token: &str) -> Response {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "client"),
        ("client_secret", "client-secret"),
    ];
    client().post(oura.token_url(server)).form(&form).send().await.unwrap()
}

/// Connects a person at the new server; returns the token pair.
pub(crate) async fn connect(oura: &Oura, person: &str, scope: &str) -> Value {
    let response = exchange(oura, TokenServer::New, &code(oura, person, scope)).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

/// `GET /v2/usercollection/<rest>` with a connection's access token.
pub(crate) async fn get(oura: &Oura, tokens: &Value, rest: &str) -> Response {
    let url = format!("{}/v2/usercollection/{rest}", oura.url());
    client().get(url).bearer_auth(text(tokens, "access_token")).send().await.unwrap()
}

/// The rows of one window of a collection.
pub(crate) async fn rows(oura: &Oura, tokens: &Value, rest: &str) -> Vec<Value> {
    let response = get(oura, tokens, rest).await;
    assert_eq!(response.status(), 200, "{rest}");
    let page: Value = response.json().await.unwrap();
    page["data"].as_array().unwrap().clone()
}

/// The days of the rows of one window of a collection, sorted.
pub(crate) async fn days(oura: &Oura, tokens: &Value, rest: &str) -> Vec<String> {
    let mut days: Vec<String> = rows(oura, tokens, rest).await.iter().map(|row| text(row, "day").to_owned()).collect();
    days.sort();
    days
}
