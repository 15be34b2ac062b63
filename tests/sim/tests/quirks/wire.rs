//! The wire: what it counts, and every fault.

use std::time::Duration;

use serde_json::json;
use sim::smartabase::Smartabase;
use sim::wire::{Answer, Fault, Gate, When, Wire};

use crate::browser::client;
use crate::coach::{ANN, SLEEP, event, site};

const IMPORT: &str = "/site/api/v1/eventsimport";

async fn wired() -> (Smartabase, Wire) {
    let (site, _) = site(|_| {}).await;
    let wire = Wire::start(&site.url()).await.unwrap();
    (site, wire)
}

/// Sends an import over the wire; returns what the client received.
async fn import(wire: &Wire, date: &str) -> reqwest::Result<(u16, String)> {
    let url = format!("{}/api/v1/eventsimport?informat=json&format=json", wire.url());
    let body = json!({"events": [event(ANN, date, &[])]});
    let answer = client().post(url).basic_auth("api.account", Some("api-password")).json(&body).send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await?))
}

fn arrived(site: &Smartabase) -> usize {
    site.events(SLEEP).len()
}

#[tokio::test]
async fn wire_without_rules_forwards_and_counts_all() {
    let (site, wire) = wired().await;
    wire.keep_bodies();
    let (status, body) = import(&wire, "08/03/2026").await.unwrap();
    assert_eq!((status, arrived(&site)), (200, 1));
    let log = wire.log();
    assert_eq!((log.len(), log.count("POST", IMPORT), log.count("GET", "/"), log.reached()), (1, 1, 0, 1));
    let entry = &log.entries[0];
    assert_eq!((entry.status, entry.upstream, entry.faulted), (Some(200), Some(200), false));
    assert_eq!(entry.query, "informat=json&format=json");
    assert_eq!(log.received(), body.len() as u64);
    assert_eq!(entry.response, body.as_bytes());
    assert_eq!(log.sent(), entry.request.len() as u64);
    assert_eq!(wire.take_log().len(), 1);
    assert!(wire.log().is_empty());
}

#[tokio::test]
async fn headers_and_framing_are_unchanged() {
    let (_site, wire) = wired().await;
    let answer = client().get(format!("{}/api/v3/forms/summaries", wire.url())).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["transfer-encoding"], "chunked");
    assert_eq!(answer.headers()["server"], "Apache");

    let (host, seen) = tokio::sync::oneshot::channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.unwrap();
        host.send(String::from_utf8_lossy(&head[..length]).into_owned()).unwrap();
    });
    let wire = Wire::start(&upstream).await.unwrap();
    let request =
        client().post(format!("{}/a?b=c%2F", wire.url())).header("x-signed", "s").header("host", "table.example");
    assert!(request.body("body").send().await.is_err(), "the upstream hung up");
    let head = seen.await.unwrap();
    for part in ["POST /a?b=c%2F HTTP/1.1", "host: table.example", "x-signed: s", "content-length: 4"] {
        assert!(head.contains(part), "{part} is missing from {head}");
    }
}

#[tokio::test]
async fn request_that_is_dropped_before_has_no_effect() {
    for fault in [Fault::DropBefore, Fault::Answer(Answer::status(500))] {
        let (site, wire) = wired().await;
        wire.inject(When::every().path(IMPORT).nth(1), fault.clone());
        let outcome = import(&wire, "08/03/2026").await;
        assert_eq!(outcome.is_err(), matches!(fault, Fault::DropBefore));
        assert_eq!(arrived(&site), 0);
        let entry = &wire.log().entries[0];
        assert!(entry.faulted && entry.upstream.is_none());
        assert_eq!(import(&wire, "08/03/2026").await.unwrap().0, 200, "only the first one");
    }
}

#[tokio::test]
async fn request_with_a_lost_answer_has_its_effect() {
    let lost = [Fault::DropAfter, Fault::Truncate, Fault::Replace(Answer::html()), Fault::Replace(Answer::status(502))];
    for fault in lost {
        let (site, wire) = wired().await;
        wire.inject(When::every().nth(1), fault.clone());
        let outcome = import(&wire, "08/03/2026").await;
        match &fault {
            Fault::Replace(_) => assert!(!outcome.unwrap().1.contains("SUCCESSFULLY")),
            _ => assert!(outcome.is_err()),
        }
        assert_eq!(arrived(&site), 1, "{fault:?}");
        assert_eq!(wire.log().entries[0].upstream, Some(200));
    }
}

#[tokio::test]
async fn answer_with_a_content_length_is_truncated() {
    let (oura, _) = crate::browser::oura(|_| {}).await;
    let wire = Wire::start(&oura.url()).await.unwrap();
    wire.inject(When::every(), Fault::Truncate);
    let answer = client().get(wire.url()).send().await.unwrap();
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 0 && answer.bytes().await.is_err());
}

#[tokio::test]
async fn injected_answer_has_its_headers_and_body() {
    let (_site, wire) = wired().await;
    let throttled = Answer::status(429).header("retry-after", "7").body("slow down");
    wire.inject(When::every(), Fault::Answer(throttled));
    let answer = client().get(wire.url()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(answer.text().await.unwrap(), "slow down");
}

#[tokio::test]
async fn hanging_request_gets_no_answer() {
    for (fault, effect) in [(Fault::HangBefore, 0), (Fault::HangAfter, 1)] {
        let (site, wire) = wired().await;
        wire.inject(When::every(), fault);
        let waiting = import(&wire, "08/03/2026");
        assert!(tokio::time::timeout(Duration::from_millis(300), waiting).await.is_err());
        assert_eq!(arrived(&site), effect);
        assert_eq!(wire.log().entries[0].status, None);
    }
}

#[tokio::test]
async fn gate_holds_a_request_until_it_is_opened() {
    let (site, wire) = wired().await;
    let gate = Gate::new();
    wire.inject(When::every().body("08/03/2026"), Fault::HoldBefore(gate.clone()));
    let wire = std::sync::Arc::new(wire);
    let held = tokio::spawn({
        let wire = std::sync::Arc::clone(&wire);
        async move { import(&wire, "08/03/2026").await.unwrap() }
    });
    gate.reached().await;
    assert_eq!(import(&wire, "09/03/2026").await.unwrap().0, 200);
    assert_eq!(arrived(&site), 1);
    gate.open();
    assert_eq!(held.await.unwrap().0, 200);
    let days: Vec<i8> = {
        let mut events = site.events(SLEEP);
        events.sort_by_key(|event| event.id);
        events.iter().map(|event| event.start_date.day()).collect()
    };
    assert_eq!(days, [9, 8]);
}

#[tokio::test]
async fn delayed_request_is_carried_out() {
    let (site, wire) = wired().await;
    wire.inject(When::every(), Fault::Delay(Duration::from_millis(20)));
    let begun = std::time::Instant::now();
    assert_eq!(import(&wire, "08/03/2026").await.unwrap().0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(arrived(&site), 1);
}

#[tokio::test]
async fn rules_select_by_turn_method_body_and_closure() {
    let (_site, wire) = wired().await;
    let refuse = |status| Fault::Answer(Answer::status(status));
    wire.inject(When::every().method("POST").body("08/03").first(2), refuse(501));
    wire.inject(When::every().body("08/03").nth(3), refuse(502));
    wire.decide(|seen| (seen.number == 5).then(|| Fault::Answer(Answer::status(503))));
    let mut statuses = Vec::new();
    for date in ["08/03/2026", "09/03/2026", "08/03/2026", "08/03/2026", "09/03/2026"] {
        statuses.push(import(&wire, date).await.unwrap().0);
    }
    assert_eq!(statuses, [501, 200, 501, 502, 503]);
    wire.inject(When::every(), refuse(504));
    wire.heal();
    assert_eq!(import(&wire, "07/03/2026").await.unwrap().0, 200);
}

#[tokio::test]
async fn rules_and_log_know_aws_operations() {
    let (_site, wire) = wired().await;
    wire.inject(When::every().operation("PutItem"), Fault::Answer(Answer::status(500)));
    for (target, status) in [("DynamoDB_20120810.GetItem", 404), ("DynamoDB_20120810.PutItem", 500)] {
        let answer = client().post(wire.url()).header("x-amz-target", target).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    assert_eq!((wire.log().operations("GetItem"), wire.log().operations("PutItem")), (1, 1));
}

#[tokio::test]
async fn wire_without_an_upstream_cuts_the_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let wire = Wire::start(&upstream).await.unwrap();
    assert!(client().get(wire.url()).send().await.is_err());
    assert!(Wire::start("https://example.org").await.is_err());
}
