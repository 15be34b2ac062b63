use std::ops::Range;

use aws_sdk_dynamodb::types::AttributeValue;
use local::Stage;

use crate::log;
use crate::{DAYS, LINKS, NIGHTS, ROTATIONS, STANDINGS};

/// The secrets of an installation. A story that replaces one uses a value that contains the original text, so the audit
/// also finds the replacement.
pub(crate) const SECRETS: [&str; 3] = ["client-secret", "api-password", "the root key of the stage"];

/// The user ids that a story may use.
const USERS: Range<i64> = 1..8000;

/// Checks a story at its end: runs [`audit`], and asserts that no message is left on the queue.
pub async fn curtain(stage: &Stage) {
    audit(stage).await;
    assert_eq!(stage.process.waiting.dead_letters(), []);
    assert_eq!(stage.process.waiting.bodies(), Vec::<String>::new());
}

/// Asserts what must be true after every story: one event per athlete, form and date; no violation at either service;
/// no token or secret outside its place.
pub async fn audit(stage: &Stage) {
    assert_eq!(stage.smartabase.duplicates(), []);
    assert_eq!(stage.oura.violations(), []);
    assert_eq!(stage.smartabase.violations(), []);
    keeps_secrets(stage).await;
}

/// Asserts that no token or secret appears in the clear in the table, on the queue, in a form or in the log. A link's
/// signature must not appear in the log either.
pub async fn keeps_secrets(stage: &Stage) {
    let table = table_text(stage).await;
    let dead = stage.process.waiting.dead_letters().into_iter().flat_map(|(body, reason)| [body, reason]);
    let queue = stage.process.waiting.bodies().into_iter().chain(dead).collect::<Vec<_>>().join("\n");
    let (forms, log) = (forms_text(stage), log::everything());
    for secret in secrets(stage) {
        for (place, text) in [("table", &table), ("queue", &queue), ("forms", &forms), ("log", &log)] {
            assert!(!text.contains(&secret), "in the {place}: {secret}");
        }
    }
    for signature in signatures(stage) {
        assert!(!log.contains(&signature), "in the log: {signature}");
    }
}

/// Asserts that a text that people read, such as a page, contains no secret, token or code.
pub fn gives_nothing_away(stage: &Stage, text: &str) {
    for secret in secrets(stage) {
        assert!(!text.contains(&secret), "{secret} in: {text}");
    }
}

/// Every code and token that Oura issued, and the secrets of the installation.
fn secrets(stage: &Stage) -> Vec<String> {
    stage.oura.issued().into_iter().chain(SECRETS.map(str::to_owned)).collect()
}

/// The signatures of all personal links in the profile form.
fn signatures(stage: &Stage) -> Vec<String> {
    let profiles = USERS.filter_map(|user| stage.smartabase.profile(user, LINKS));
    let values = profiles.flat_map(|profile| profile.rows).flatten().map(|(_, value)| value);
    let signatures: Vec<_> = values.filter_map(|value| Some(value.rsplit_once("signature=")?.1.to_owned())).collect();
    assert!(!signatures.is_empty(), "nobody has a link");
    signatures
}

/// All items of the table as text, read without the wire. Bytes are converted as far as they are UTF-8.
async fn table_text(stage: &Stage) -> String {
    let database = stage.dynamo.client();
    let mut text = String::new();
    for table in database.list_tables().send().await.unwrap().table_names() {
        let mut pages = database.scan().table_name(table).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            for (name, value) in item.unwrap() {
                text.push_str(&name);
                text.push('\n');
                write(&value, &mut text);
            }
        }
    }
    assert!(text.contains("ENROLMENT"), "the table was not read, or nobody is enrolled");
    text
}

fn write(value: &AttributeValue, text: &mut String) {
    match value {
        AttributeValue::S(string) => text.push_str(string),
        AttributeValue::B(bytes) => text.push_str(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::M(map) => map.values().for_each(|value| write(value, text)),
        AttributeValue::L(list) => list.iter().for_each(|value| write(value, text)),
        // The other types hold only digits.
        other => text.push_str(other.as_n().map_or("", String::as_str)),
    }
    text.push('\n');
}

fn forms_text(stage: &Stage) -> String {
    let events = [NIGHTS, DAYS].into_iter().flat_map(|form| stage.smartabase.events(form)).flat_map(|event| event.rows);
    let profiles = [LINKS, STANDINGS, ROTATIONS].into_iter().flat_map(|form| {
        USERS.filter_map(|user| stage.smartabase.profile(user, form)).flat_map(|profile| profile.rows)
    });
    events.chain(profiles).flatten().flat_map(|(key, value)| [key, "=".to_owned(), value, "\n".to_owned()]).collect()
}
