//! Items that differ from what the store writes.

use aws_sdk_dynamodb::types::AttributeValue;
use store::{Connect, Fenced, RecordKey, Service, StoreError, TakeState, Written};

use crate::{Table, at, athlete, authorised, finish, s, soon};

const REQUIRED: [&str; 7] = ["status", "status_at", "user_id", "scopes", "generation", "fence", "connected_at"];

fn what(error: StoreError) -> (String, String) {
    match error {
        StoreError::Damaged { key, what } => (key, what),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_damaged_connection_is_named_and_affects_no_other() {
    let table = Table::new().await;
    let bob = table.connected("bob").await;
    let asked = ["ada", "bob"].map(athlete);
    let odd = [
        ("status", s("dancing")),
        ("fence", s("1")),
        ("generation", AttributeValue::N("-1".to_owned())),
        ("user_id", AttributeValue::N("1.5".to_owned())),
        ("grant", AttributeValue::B(b"junk".to_vec().into())),
        ("token_url", s("nowhere")),
        ("last_day", s("the second of March")),
        ("held_until", AttributeValue::Bool(true)),
        ("note", AttributeValue::L(Vec::new())),
    ];
    let missing = REQUIRED.into_iter().chain(["token_url", "expires_at"]).map(|attribute| (attribute, None));
    for (attribute, value) in missing.chain(odd.map(|(attribute, value)| (attribute, Some(value)))) {
        table.connected("ada").await;
        table.meddle("ATHLETE#ada", "CONNECTION", attribute, value).await;
        let (key, fault) = what(table.store.connection(&asked[0], soon()).await.unwrap_err());
        assert_eq!(key, "ATHLETE#ada / CONNECTION");
        assert!(fault.starts_with(&format!("`{attribute}` is ")), "{fault}");

        let snapshot = table.store.snapshot(&asked, soon()).await.unwrap();
        assert_eq!(snapshot.connections.into_iter().collect::<Vec<_>>(), [(asked[1].clone(), bob.clone())]);
        assert!(snapshot.damaged[&asked[0]].contains(&fault), "{:?}", snapshot.damaged);
        // The operator repairs the row by deleting it, and with it the generation that could not be read.
        let raw = table.raw.delete_item().table_name(crate::TABLE);
        raw.key("pk", s("ATHLETE#ada")).key("sk", s("CONNECTION")).send().await.unwrap();
    }
}

#[tokio::test]
async fn connecting_again_repairs_all_but_generation_and_fence() {
    let table = Table::new().await;
    table.connected("ada").await;
    for attribute in ["status", "grant", "scopes", "oura_user", "last_sync", "first_connected_at", "user_id"] {
        table.meddle("ATHLETE#ada", "CONNECTION", attribute, Some(AttributeValue::Bool(true))).await;
    }
    let outcome = table.store.connect(&authorised("ada"), soon()).await.unwrap();
    let Connect::Connected { connection, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(table.connection("ada").await, connection);
    assert_eq!(connection.generation, 2);

    table.meddle("ATHLETE#ada", "CONNECTION", "generation", Some(s("2"))).await;
    let (_, fault) = what(table.store.connect(&authorised("ada"), soon()).await.unwrap_err());
    assert_eq!(fault, "`generation` is not a number");
}

#[tokio::test]
async fn attributes_of_a_newer_version_are_ignored_and_kept() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    table.meddle("ATHLETE#ada", "CONNECTION", "novelty", Some(s("kept"))).await;
    assert_eq!(table.connection("ada").await, before);
    table.connected("ada").await;
    assert_eq!(table.item("ATHLETE#ada", "CONNECTION").await.unwrap()["novelty"], s("kept"));
}

#[tokio::test]
async fn a_lease_without_an_owner_is_an_error() {
    let table = Table::new().await;
    table.connected("ada").await;
    table.claimed("ada").await;
    table.meddle("ATHLETE#ada", "CONNECTION", "lease_owner", None).await;
    let claim = table.store.claim(&athlete("ada"), "another", at(1), at(2), None, soon()).await;
    assert_eq!(what(claim.unwrap_err()).1, "`lease_owner` is missing");
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    let record = RecordKey { form: "Sleep".to_owned(), date: jiff::civil::date(2026, 3, 1) };
    let written = [(record.clone(), Written { event: 7, digest: "d".to_owned() })];
    assert_eq!(table.store.confirm(&ada, 17, fence, &written, finish(1), soon()).await.unwrap(), Fenced::Done);
    let (connection, keys) = (table.connection("ada").await, [record]);
    for (value, fault) in [(None, "`event` is missing"), (Some(s("lost")), "`event` is not a number")] {
        table.meddle("ATHLETE#ada", "RECORD#Sleep#2026-03-01", "event", value).await;
        let (key, found) = what(table.store.records(&connection, &keys, soon()).await.unwrap_err());
        assert_eq!((key.as_str(), found.as_str()), ("ATHLETE#ada / RECORD#Sleep#2026-03-01", fault));
    }
}

#[tokio::test]
async fn a_damaged_hold_counts_as_none_and_is_named() {
    let table = Table::new().await;
    table.connected("ada").await;
    table.meddle("HOLD#oura", "HOLD", "until", Some(AttributeValue::N("5".to_owned()))).await;
    table.store.set_hold(Service::Smartabase, at(9), "wrong password", soon()).await.unwrap();
    let snapshot = table.store.snapshot(&[athlete("ada")], soon()).await.unwrap();
    assert_eq!(snapshot.connections.len(), 1);
    assert_eq!(snapshot.holds.oura, None);
    assert!(snapshot.holds.smartabase.is_some());
    assert_eq!(snapshot.holds.damaged, ["the item HOLD#oura / HOLD is damaged: `until` is not text"]);
    assert_eq!(what(table.store.hold(Service::Oura, soon()).await.unwrap_err()).1, "`until` is not text");
}

#[tokio::test]
async fn taking_a_damaged_state_spends_it() {
    let table = Table::new().await;
    table.meddle("STATE#hash", "STATE", "expires", Some(AttributeValue::N("99999999999".to_owned()))).await;
    let (_, fault) = what(table.store.take_state("hash", at(0), soon()).await.unwrap_err());
    assert_eq!(fault, "`athlete_id` is missing");
    assert_eq!(table.store.take_state("hash", at(0), soon()).await.unwrap(), TakeState::Unknown);
}

#[tokio::test]
async fn a_damaged_enrolment_counts_as_missing_in_a_batch() {
    let table = Table::new().await;
    table.meddle("ATHLETE#ada", "ENROLMENT", "user_id", Some(s("17"))).await;
    let ada = athlete("ada");
    assert!(table.store.enrolments(std::slice::from_ref(&ada), soon()).await.unwrap().is_empty());
    assert_eq!(what(table.store.enrolment(&ada, soon()).await.unwrap_err()).1, "`user_id` is not a number");
}
