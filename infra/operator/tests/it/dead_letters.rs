//! `connector redrive`.

use connector::queue::message::{Job, SealedGrant};
use serde_json::{Value, json};
use store::SealPurpose;

use crate::aws::{Aws, keyring};
use crate::squad::{self, ago, id};

/// A rescue: a refreshed grant of an athlete that could not be stored.
fn rescue(athlete: &str, generation: u64, tries: u32) -> String {
    let sealed = keyring().seal(SealPurpose::Grant, &id(athlete), b"the only copy").unwrap().to_base64();
    let token_url = "https://oura.test/token".parse().unwrap();
    let grant = SealedGrant { sealed, token_url, expires_at: ago(0), scopes: "daily".to_owned() };
    Job::Rescue { athlete: id(athlete), generation, grant, tries }.to_message()
}

/// A revocation that Oura has not confirmed for a week.
fn revocation(athlete: &str) -> String {
    let Ok(Job::Rescue { athlete, grant, .. }) = Job::from_message(&rescue(athlete, 1, 0)) else { unreachable!() };
    Job::Revoke { athlete, grant, oura_user: None, tries: 672 }.to_message()
}

fn backfill(athlete: &str) -> String {
    let (from, to) = ("2026-01-01".parse().unwrap(), "2026-01-31".parse().unwrap());
    Job::Backfill { athlete: id(athlete), from, to, put_off: 0 }.to_message()
}

/// A squad, and one dead letter of each relevant kind.
async fn buried() -> Aws {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    aws.queues(|queues| {
        queues.bury("1-unreadable", "this is not a job", Some("the message is not one of ours"));
        queues.bury("2-alive", &backfill("a-1"), None);
        queues.bury("3-waiting", &backfill("c-3"), None);
        queues.bury("4-only-copy", &rescue("b-2", 1, 360), None);
        queues.bury("5-too-late", &rescue("b-2", 0, 360), None);
    });
    aws
}

fn column<'a>(listing: &'a Value, name: &str) -> Vec<&'a Value> {
    listing["dead_letters"].as_array().unwrap().iter().map(|letter| &letter[name]).collect()
}

#[tokio::test]
async fn rescue_is_kept_while_a_damaged_row_can_be_repaired() {
    let aws = buried().await;
    aws.damage("b-2").await;
    let listing = aws.run(&["redrive", "--json"]).await.json();
    assert_eq!(column(&listing, "advice")[3..], ["send", "send"], "{listing}");
    let explanation = column(&listing, "explanation")[3].as_str().unwrap();
    assert!(explanation.contains("mend the row"), "{explanation}");
}

#[tokio::test]
async fn letters_are_explained_by_their_athletes_current_state() {
    let aws = buried().await;
    let ended = aws.run(&["redrive", "--json"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    let listing = ended.json();
    assert_eq!(
        column(&listing, "job"),
        [&json!(null), &json!("backfill"), &json!("backfill"), &json!("rescue"), &json!("rescue")]
    );
    assert_eq!(column(&listing, "advice"), ["drop", "send", "drop", "send_soon", "drop"]);
    assert_eq!(column(&listing, "name")[3], "Ben Ødegaard");
    let explained = column(&listing, "explanation");
    for (explanation, part) in explained.iter().zip([
        "not one of ours",
        "2026-01-01 to 2026-01-31",
        "needs to reconnect",
        "only copy",
        "later one",
    ]) {
        assert!(explanation.as_str().unwrap().contains(part), "{explanation}");
    }
    // Listing leaves the letters visible for the next listing, and prints no secret.
    assert_eq!(aws.queues(|queues| queues.visible().len()), 5);
    let text = aws.run(&["redrive", "list"]).await.stdout;
    assert!(text.contains("5 waiting here") && text.contains("send it again now"), "{text}");
    let sealed = keyring().seal(SealPurpose::Grant, &id("b-2"), b"x").unwrap().to_base64();
    for output in [text, listing.to_string()] {
        assert!(!output.contains(&sealed[..8]) && !output.contains("token_url"), "{output}");
    }
}

#[tokio::test]
async fn send_all_skips_unreadable_letters() {
    let aws = buried().await;
    let ended = aws.run(&["redrive", "send", "--all", "--json"]).await;
    assert_eq!(ended.code, 3, "the unreadable one is still there: {ended:?}");
    assert_eq!(column(&ended.json(), "outcome"), ["kept", "sent", "sent", "sent", "sent"]);
    let (jobs, visible) = aws.queues(|queues| (queues.jobs.clone(), queues.visible().join(" ")));
    assert_eq!(visible, "1-unreadable");
    let jobs: Vec<_> = jobs.iter().map(|(body, _)| Job::from_message(body).unwrap()).collect();
    assert_eq!(jobs[0].to_message(), backfill("a-1"));
    // The rescue may retry for another day.
    assert!(matches!(&jobs[2], Job::Rescue { generation: 1, tries: 0, .. }), "{jobs:?}");
}

#[tokio::test]
async fn revocation_sent_again_has_another_week() {
    let aws = buried().await;
    aws.queues(|queues| queues.bury("6-revocation", &revocation("c-3"), None));
    let listing = aws.run(&["redrive", "--json"]).await.json();
    assert_eq!((column(&listing, "job")[5], column(&listing, "advice")[5]), (&json!("revoke"), &json!("send")));
    aws.run(&["redrive", "send", "6"]).await;
    let sent = aws.queues(|queues| Job::from_message(&queues.jobs[0].0).unwrap());
    assert!(matches!(sent, Job::Revoke { tries: 0, .. }), "{sent:?}");
}

#[tokio::test]
async fn letter_is_chosen_by_an_id_prefix() {
    let aws = buried().await;
    assert_eq!(aws.run(&["redrive", "send", "2-a"]).await.code, 3);
    aws.run(&["redrive", "drop", "1-unread", "3"]).await;
    assert_eq!(
        aws.queues(|queues| (queues.jobs.len(), queues.visible().join(" "))),
        (1, "4-only-copy 5-too-late".to_owned())
    );
    aws.run(&["redrive", "send", "9"]).await.refused(2, &["no dead letter has the id “9”"]);
    aws.run(&["redrive", "send", ""]).await.refused(2, &["several dead letters"]);
}

#[tokio::test]
async fn rescue_is_dropped_only_with_a_reason() {
    let aws = buried().await;
    let refused = aws.run(&["redrive", "drop", "1-unreadable", "4-only-copy"]).await;
    refused.refused(2, &["only copy of an athlete’s token", "--lose-tokens-because"]);
    assert_eq!(aws.queues(|queues| queues.visible().len()), 5, "a refused command does nothing");
    let ended = aws.run(&["redrive", "drop", "--all"]).await;
    assert_eq!(ended.code, 3);
    assert_eq!(aws.queues(|queues| queues.visible().join(" ")), "4-only-copy 5-too-late");
    let ended =
        aws.run(&["redrive", "drop", "--all", "--lose-tokens-because", "Ben connects again today", "--json"]).await;
    assert_eq!((ended.code, aws.queues(|queues| queues.buried())), (0, 0));
    assert_eq!(ended.json()["lost_tokens_because"], "Ben connects again today");
    assert_eq!(aws.run(&["redrive"]).await.stdout, "no dead letters\n");
}

#[tokio::test]
async fn interrupted_send_reports_what_was_sent() {
    let aws = buried().await;
    aws.queues(|queues| queues.permitted.insert("SendMessage", 2));
    let ended = aws.run(&["redrive", "send", "--all", "--json"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    let listing = ended.json();
    assert_eq!(column(&listing, "outcome"), ["kept", "sent", "sent", "failed", "kept"]);
    assert!(column(&listing, "why")[3].as_str().unwrap().contains("not allowed to send a job again"), "{listing}");
    // The rest is visible again at once, for the next reader.
    let (jobs, visible) = aws.queues(|queues| (queues.jobs.len(), queues.visible().join(" ")));
    assert_eq!((jobs, visible.as_str()), (2, "1-unreadable 4-only-copy 5-too-late"));
}

#[tokio::test]
async fn job_sent_without_deleting_its_letter_is_reported() {
    let aws = buried().await;
    aws.queues(|queues| queues.permitted.insert("DeleteMessage", 0));
    let ended = aws.run(&["redrive", "send", "--all"]).await;
    assert_eq!((ended.code, aws.queues(|queues| queues.jobs.len())), (3, 1), "{ended:?}");
    assert!(ended.stdout.contains("failed: it is sent again, but still here as well"), "{ended:?}");
    assert!(ended.stdout.ends_with("\n1 failed, 4 waiting here\n"), "{ended:?}");
}

#[tokio::test]
async fn interrupted_drop_reports_progress_or_fails_if_none() {
    let aws = buried().await;
    aws.queues(|queues| queues.permitted.insert("DeleteMessage", 1));
    let ended = aws.run(&["redrive", "drop", "--all", "--json"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(column(&ended.json(), "outcome"), ["dropped", "failed", "kept", "kept", "kept"]);
    assert_eq!(aws.queues(|queues| queues.visible().len()), 4);
    aws.run(&["redrive", "drop", "--all"]).await.refused(1, &["not allowed to delete a dead letter"]);
    assert_eq!(aws.queues(|queues| queues.visible().len()), 4);
}

#[tokio::test]
async fn unreadable_letter_is_not_sent_again() {
    let aws = buried().await;
    aws.run(&["redrive", "send", "1-unreadable"]).await.refused(2, &["nobody can read it", "drop it"]);
}

#[tokio::test]
async fn more_letters_than_one_call_returns_are_all_listed() {
    let aws = Aws::start().await;
    aws.queues(|queues| (10..35).for_each(|n| queues.bury(&format!("letter-{n}"), "?", None)));
    let listing = aws.run(&["redrive", "--json"]).await.json();
    assert_eq!(column(&listing, "id").len(), 25);
    assert_eq!(aws.queues(|queues| queues.visible().len()), 25);
}
