//! Fuzzes every query and form that a browser could send to the pages, mainly to the OAuth callback. There is no table,
//! so each request ends at its first access to the table.
#![no_main]

use std::cell::LazyCell;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::{Client, Config};
use connector::forms::Forms;
use connector::{CredentialGuard, Connector, Counters, Queue, InProcessQueue};
use fuzz::for_good;
use http::Request;
use libfuzzer_sys::fuzz_target;
use runtime::{Clock, Deadline, Given, Secrets, Settings};
use store::{KeyVersion, Keyring, Store};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static PAGES: LazyCell<&'static (Runtime, Connector)> =
        LazyCell::new(|| for_good((Builder::new_current_thread().enable_all().build().expect("a runtime"), connector())));
}

fn connector() -> Connector {
    let settings = Settings::read(|name| match name {
        "SMARTABASE_URL" => Some("https://example.smartabase.com/site".to_owned()),
        "PUBLIC_URL" => Some("https://connect.example.org".to_owned()),
        _ => None,
    })
    .expect("settings");
    let secrets = Given::new(
        oura::ClientCredentials { client_id: "client".to_owned(), client_secret: "client secret".into() },
        smartabase::Credentials { username: "connector".to_owned(), password: "password".into() },
        Keyring::new(KeyVersion { id: "one".to_owned(), secret: "root of one".into() }),
    );
    // Without a working HTTP client, every request to the table fails at once.
    let database = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .endpoint_url("http://127.0.0.1:1")
        .retry_config(RetryConfig::disabled())
        .allow_no_auth()
        .build();
    let clock = Clock::manual("2026-03-03T07:30:00Z".parse().expect("a time"));
    Connector {
        forms: Forms::shipped().expect("the forms"),
        oura: oura::Client::new(settings.oura.clone()).expect("a client"),
        smartabase: smartabase::Client::new(settings.site.clone()).expect("a client"),
        store: Store::new(Client::from_conf(database), "connector"),
        queue: Queue::InProcess(InProcessQueue::new(clock.clone())),
        secrets: Secrets::Given(secrets),
        settings,
        clock,
        credential_guard: CredentialGuard::default(),
            counters: Counters::default(),
    }
}

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (route, query, body) = input;
    let (method, path) = match route % 4 {
        0 | 1 => ("GET", "/oauth/callback"),
        2 => ("GET", "/connect"),
        _ => ("POST", if body.len() % 2 == 0 { "/connect" } else { "/disconnect" }),
    };
    // As if one of our own pages sent the form, so that more than its CSRF token is read.
    let token = "a".repeat(43);
    let cookie = format!("__Host-form={token}; {}", String::from_utf8_lossy(body));
    let request = Request::builder().method(method).uri(format!("{path}?{query}")).header("cookie", cookie);
    let body = [body, format!("&token={token}").as_bytes()].concat();
    // The HTTP server in front of the handler would reject an invalid request.
    let Ok(request) = request.body(body) else { return };
    PAGES.with(|pages| {
        let (runtime, connector): &(Runtime, Connector) = pages;
        let answer = runtime.block_on(connector.respond(request, Deadline::within(Duration::from_secs(20))));
        assert!(answer.status().as_u16() != 500, "{}", answer.status());
        assert_eq!(answer.headers()["cache-control"], "no-store");
    });
});
