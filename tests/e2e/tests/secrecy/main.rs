//! No secret and no health value appears in a log, on a page, in the table or on the queue.
//!
//! One long story in a process of its own, because the log belongs to the process. The subscriber that the functions
//! install, at level `trace`, writes into a buffer. Athletes connect and disconnect, and Oura revises nights. Links,
//! callbacks and messages are tampered with. Every service fails in every way and, like some real services, quotes the
//! request in its error. At the end, the test searches all output and stored data for every secret.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the lints know test functions, but not what those share")]

mod endpoints;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{ADA, BEN, DAYS, NIGHTS, ada_and_ben, connection};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Stage, Visit};
use runtime::telemetry;
use sim::oura::Collection;
use sim::wire::{Answer, Fault, Seen, Wire};
use smartabase::Credentials;
use store::Status;
use url::Url;

/// The secrets that an operator enters, and what is derived from them on the wire.
const INSTALLATION: [&str; 5] = [
    "client-secret",
    "api-password",
    "the root key of the stage",
    "YXBpLmFjY291bnQ6YXBpLXBhc3N3b3Jk",
    "rotated-password",
];

/// The health values of this story count up from here. They have seven digits, unlike any time or id.
const FIRST_VALUE: u64 = 7_350_001;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The ways in which a service fails.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Refuses with this status and quotes the request in the body.
    Echo(u16),
    /// Answers 200 with an error that quotes the request.
    Quote,
    /// Answers with an HTML page.
    Page,
    /// Carries the request out; the response breaks off.
    Cut,
    /// Carries the request out; no response comes.
    Lost,
}

const TROUBLES: [Trouble; 9] = [
    Trouble::Echo(400),
    Trouble::Echo(401),
    Trouble::Echo(403),
    Trouble::Echo(429),
    Trouble::Echo(500),
    Trouble::Quote,
    Trouble::Page,
    Trouble::Cut,
    Trouble::Lost,
];

impl Trouble {
    fn fault(self, seen: &Seen) -> Fault {
        let asked = format!("{} {}", seen.query, String::from_utf8_lossy(&seen.body));
        match self {
            Self::Echo(status) => Fault::Answer(Answer::status(status).body(&asked)),
            Self::Quote => Fault::Answer(Answer::json(&serde_json::json!({
                "error": asked, "error_description": asked, "detail": asked, "message": asked, "__type": asked,
                "result": {"state": "UNEXPECTED_ERROR", "message": asked},
                "access_token": asked, "token_type": asked, "expires_in": asked, "data": asked, "events": asked,
            }))),
            Self::Page => Fault::Answer(Answer::html().body(&format!("<html>{asked}</html>"))),
            Self::Cut => Fault::Truncate,
            Self::Lost => Fault::DropAfter,
        }
    }
}

struct Story {
    stage: Stage,
    values: u64,
    /// Every value that grants access.
    secrets: BTreeSet<String>,
    /// The signatures of the personal links. The pages behind those links contain them.
    signatures: BTreeSet<String>,
    pages: Vec<String>,
    /// Every message that was on the queue at any time, except those that this story sends itself.
    queue: Vec<String>,
}

impl Story {
    async fn begin() -> Self {
        // Not `enrolled`, which installs a log listener: this process has its own subscriber.
        let stage = Stage::set(ada_and_ben()).await.unwrap();
        stage.process.enrol().await.unwrap();
        stage.oura_wire.keep_bodies();
        let mut story = Self {
            stage,
            values: 0,
            secrets: INSTALLATION.map(str::to_owned).into(),
            signatures: BTreeSet::new(),
            pages: Vec::new(),
            queue: Vec::new(),
        };
        for user in [ADA, BEN] {
            let link = story.stage.link(user).unwrap();
            story.signatures.insert(link.split_once("signature=").unwrap().1.to_owned());
        }
        story
    }

    /// Returns a health value that the story has not used before.
    fn value(&mut self) -> u64 {
        self.values += 1;
        FIRST_VALUE + self.values - 1
    }

    /// Oura revises a night of each athlete.
    fn revise(&mut self) {
        for person in ["ada", "ben"] {
            let (pulse, breath) = (self.value(), self.value());
            self.stage.oura.revise_night(person, date(2026, 3, 2), |night| {
                night["average_hrv"] = pulse.into();
                night["average_breath"] = breath.into();
            });
        }
    }

    /// Takes the user to Oura and back, up to the callback's address.
    async fn depart(&mut self, user: i64, person: &str) -> (Url, String) {
        let (consent, cookie) = self.stage.depart(user).await.unwrap();
        let back = self.stage.oura.approve(&consent, person);
        for (name, value) in back.query_pairs() {
            if name == "state" || name == "code" {
                self.secrets.insert(value.into_owned());
            }
        }
        self.secrets.insert(cookie.split_once('=').unwrap().1.to_owned());
        (back, cookie)
    }

    async fn arrive(&mut self, back: &Url, cookie: &str) {
        let visit = self.stage.arrive(back.as_str(), cookie).await.unwrap();
        self.pages.push(visit.page);
    }

    /// Repairs all connections, whatever happened before.
    async fn mend(&mut self) {
        self.queue.extend(self.stage.process.waiting.bodies());
        for wire in [&self.stage.oura_wire, &self.stage.smartabase_wire, &self.stage.table_wire] {
            wire.heal();
        }
        self.stage.pass(SignedDuration::from_mins(6));
        self.stage.settle().await;
        for (user, person) in [(ADA, "ada"), (BEN, "ben")] {
            let known = connection(&self.stage, &format!("uuid-{person}")).await;
            if known.is_none_or(|known| known.status != Status::Active) {
                let (back, cookie) = self.depart(user, person).await;
                self.arrive(&back, &cookie).await;
            }
        }
        self.stage.tick().await.unwrap();
        // Collects PKCE verifiers, codes and tokens as they were sent.
        for request in self.stage.cost().oura.entries {
            for (name, value) in url::form_urlencoded::parse(&request.request) {
                if ["code", "code_verifier", "refresh_token", "token", "client_secret"].contains(&&*name) {
                    self.secrets.insert(value.into_owned());
                }
            }
        }
    }
}

fn trouble(wire: &Wire, trouble: Trouble, about: impl Fn(&Seen) -> bool + Send + 'static) {
    wire.decide(move |seen| about(seen).then(|| trouble.fault(seen)));
}

fn is_token(seen: &Seen) -> bool {
    seen.path.contains("token") || seen.path.contains("revoke")
}

/// Opens links and callbacks that were tampered with, cut off, or moved to another browser.
async fn visits_that_go_wrong(story: &mut Story) {
    let link = story.stage.link(ADA).unwrap();
    let (address, query) = link.split_once('?').unwrap();
    let tampered = [
        query.replace("uuid-ada", "uuid-ben"),
        query.replace("expires=", "expires=1"),
        query.replace("signature=", "signature=x"),
        format!("{query}x"),
        query.split_once("&signature").unwrap().0.to_owned(),
        String::new(),
    ];
    for query in tampered {
        for page in ["/connect", "/disconnect"] {
            let posted = story.stage.post(&address.replace("/connect", page), &query).await.unwrap();
            story.pages.push(Visit::of(posted).await.unwrap().page);
        }
        let shown = story.stage.browser.get(format!("{address}?{query}")).send().await.unwrap();
        story.pages.push(shown.text().await.unwrap());
    }
    for (name, instead) in [("state", "x"), ("code", ""), ("iss", "https://issuer.example.org"), ("", "")] {
        let (mut back, cookie) = story.depart(ADA, "ada").await;
        let pairs: Vec<_> = back.query_pairs().into_owned().collect();
        let pairs =
            pairs.into_iter().map(|(key, value)| if key == name { (key, instead.to_owned()) } else { (key, value) });
        let pairs: Vec<_> = pairs.collect();
        back.query_pairs_mut().clear().extend_pairs(pairs);
        let cookie = if name.is_empty() { "__Host-connect=another" } else { &cookie };
        story.arrive(&back, cookie).await;
    }
    for kind in TROUBLES {
        trouble(&story.stage.oura_wire, kind, is_token);
        let (back, cookie) = story.depart(ADA, "ada").await;
        story.arrive(&back, &cookie).await;
        story.stage.oura_wire.heal();
        // The hold that Oura asked for is over.
        story.stage.pass(SignedDuration::from_mins(6));
    }
}

/// Makes each service fail in each way, one after the other, while there is data to deliver and a token to refresh.
async fn services_that_fail(story: &mut Story) {
    type Pick = fn(&Stage) -> &Wire;
    type About = fn(&Seen) -> bool;
    let (oura, smartabase, table): (Pick, Pick, Pick) =
        (|stage| &stage.oura_wire, |stage| &stage.smartabase_wire, |stage| &stage.table_wire);
    let places: [(Pick, About); 7] = [
        (oura, is_token),
        (oura, |seen| seen.path.starts_with("/v2/")),
        (smartabase, |seen| seen.path.ends_with("/eventsimport")),
        (smartabase, |seen| seen.path.ends_with("search") || seen.path.ends_with("/synchronise")),
        (smartabase, |seen| seen.path.ends_with("/listgroups")),
        (table, |seen| seen.operation.starts_with("Transact")),
        (table, |seen| seen.operation == "UpdateItem"),
    ];
    for kind in TROUBLES {
        for (wire, about) in places {
            story.revise();
            story.stage.oura.expire_access_tokens("ada");
            trouble(wire(&story.stage), kind, about);
            story.stage.pass(SignedDuration::from_mins(15));
            // The tick itself may fail. What it logs then is searched, too.
            let _ = story.stage.process.tick().await;
            story.stage.process.work().await;
            story.mend().await;
        }
    }
}

/// Documents, records and messages that are unreadable, or refused with a quotation; and a wrong password.
async fn what_is_not_as_agreed(story: &mut Story) {
    let (one, other) = (story.value(), story.value());
    story.stage.oura.revise_night("ada", date(2026, 3, 1), |night| night["average_hrv"] = one.to_string().into());
    let odd = format!(r#"{{"id":"odd","day":"2026-03-01","score":"score of {other}"}}"#);
    story.stage.oura.put_raw("ben", Collection::DailySleep, "odd", &odd);
    story.revise();
    story.stage.pass(SignedDuration::from_mins(15));
    story.stage.tick().await.unwrap();

    let token = story.stage.oura.issued().pop().unwrap();
    let value = story.value();
    for message in [
        format!(r#"{{"v":1,"job":"{token}"}}"#),
        format!(r#"{{"v":1,"job":"sync","athlete":{value},"tick":"{token}"}}"#),
        format!(r#"{{"v":1,"job":"rescue","athlete":"uuid-ada","grant":"{token}"}}"#),
        format!("{token} {value}"),
    ] {
        story.stage.process.waiting.send(message, Duration::ZERO);
    }
    story.stage.process.work().await;

    story.stage.smartabase.set_password("rotated-password");
    story.revise();
    story.stage.pass(SignedDuration::from_mins(15));
    story.stage.tick().await.unwrap();
    let _ = story.stage.process.enrol().await;
    let right = Credentials { username: "api.account".to_owned(), password: "rotated-password".into() };
    story.stage.secrets().unwrap().replace_smartabase(right);
    story.mend().await;
}

async fn withdrawals_that_fail(story: &mut Story) {
    for kind in TROUBLES {
        story.mend().await;
        trouble(&story.stage.oura_wire, kind, is_token);
        let visit = story.stage.disconnect(ADA).await.unwrap();
        story.pages.push(visit.page);
        story.queue.extend(story.stage.process.waiting.bodies());
        story.stage.settle().await;
    }
    story.mend().await;
}

/// The whole table, read directly: strings as they are, bytes as far as they are text.
async fn table(stage: &Stage) -> String {
    let name = stage.process.connector.store.table();
    let mut pages = stage.dynamo.client().scan().table_name(name).into_paginator().items().send();
    let mut text = String::new();
    while let Some(item) = pages.next().await {
        for value in item.unwrap().values() {
            match value {
                AttributeValue::S(string) | AttributeValue::N(string) => text.push_str(string),
                AttributeValue::B(bytes) => text.push_str(&String::from_utf8_lossy(bytes.as_ref())),
                other => panic!("the store has no use for {other:?}"),
            }
            text.push('\n');
        }
    }
    text
}

#[tokio::test]
async fn secrets_and_health_values_are_never_logged_shown_or_stored() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = telemetry::subscriber("trace", move || writer.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let mut story = Story::begin().await;
    visits_that_go_wrong(&mut story).await;
    story.mend().await;
    services_that_fail(&mut story).await;
    what_is_not_as_agreed(&mut story).await;
    withdrawals_that_fail(&mut story).await;

    let Story { stage, values, mut secrets, signatures, pages, queue } = story;
    secrets.extend(stage.oura.issued());
    let values: Vec<_> = (FIRST_VALUE..FIRST_VALUE + values).map(|value| value.to_string()).collect();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let reasons: Vec<_> = stage.process.waiting.dead_letters().into_iter().map(|(_, reason)| reason).collect();
    assert!(queue.iter().any(|body| body.contains("revoke")), "a sealed grant waited on the queue");
    for (place, text) in
        [("log", &log), ("table", &table(&stage).await), ("queue", &[queue, reasons].concat().join("\n"))]
    {
        holds_none(place, text, &secrets);
        holds_none(place, text, &signatures);
        holds_none(place, text, &values);
    }
    let pages = pages.join("\n");
    holds_none("pages", &pages, &secrets);
    holds_none("pages", &pages, &values);
    let events = [NIGHTS, DAYS].into_iter().flat_map(|form| stage.smartabase.events(form)).flat_map(|event| event.rows);
    let forms = events.flatten().map(|(label, text)| format!("{label}={text}")).collect::<Vec<_>>().join("\n");
    holds_none("forms", &forms, &secrets);
    assert!(values.iter().any(|value| forms.contains(value)), "the health values went where they belong");
    // There were secrets to find, and the log shows the operator what happened.
    assert!(secrets.len() > 200 && values.len() > 200, "{} secrets, {} values", secrets.len(), values.len());
    for said in [
        "uuid-ada",
        "connected",
        "disconnected",
        "unreadable document",
        "unreadable message",
        "could not be exchanged",
        "the operator must act",
        "smartabase secret",
        "SyncsDone",
    ] {
        assert!(log.contains(said), "the log does not say {said:?}");
    }
    println!("{} secrets and {} health values, {} bytes of log", secrets.len(), values.len(), log.len());
    assert_eq!(stage.smartabase.duplicates(), []);
}

fn holds_none<'a>(place: &str, text: &str, secrets: impl IntoIterator<Item = &'a String>) {
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret} is in the {place}");
    }
}
