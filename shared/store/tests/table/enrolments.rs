//! What the profile forms are known to hold.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use store::{Enrolment, StaffForm, Telling, Told};

use crate::{Table, at, athlete, soon};

fn enrolment(name: &str) -> Enrolment {
    Enrolment {
        athlete: athlete(name),
        user_id: 17,
        name: "Ada L.".to_owned(),
        link_expires: at(1000),
        basis: "version-1".to_owned(),
        told: at(0),
        links_from: None,
        staff: Told::default(),
    }
}

#[tokio::test]
async fn put_enrolment_replaces_and_both_reads_find_it() {
    let table = Table::new().await;
    let (ada, bob) = (enrolment("ada"), enrolment("bob"));
    assert_eq!(table.store.enrolment(&ada.athlete, soon()).await.unwrap(), None);
    table.store.put_enrolment(&Enrolment { told: at(-9), ..ada.clone() }, soon()).await.unwrap();
    for enrolment in [&ada, &bob] {
        table.store.put_enrolment(enrolment, soon()).await.unwrap();
    }
    assert_eq!(table.store.enrolment(&ada.athlete, soon()).await.unwrap(), Some(ada.clone()));

    let mut asked: Vec<_> = (0..150).map(|n| athlete(&format!("athlete {n}"))).collect();
    asked.extend([ada.athlete.clone(), bob.athlete.clone(), ada.athlete.clone()]);
    table.wire.requests();
    let found = table.store.enrolments(&asked, soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["BatchGetItem", "BatchGetItem"]);
    assert_eq!(found, HashMap::from([(ada.athlete.clone(), ada), (bob.athlete.clone(), bob)]));
}

#[tokio::test]
async fn reading_an_empty_list_sends_no_request() {
    let table = Table::new().await;
    let connection = table.connected("ada").await;
    table.wire.requests();
    assert!(table.store.enrolments(&[], soon()).await.unwrap().is_empty());
    assert!(table.store.records(&connection, &[], soon()).await.unwrap().is_empty());
    assert!(table.wire.requests().is_empty());
}

#[test]
fn debug_does_not_print_the_name() {
    assert!(!format!("{:?}", enrolment("ada")).contains("Ada L."));
}

/// What the table says the forms for staff hold.
async fn staff(table: &Table) -> Told {
    table.store.enrolment(&athlete("ada"), soon()).await.unwrap().unwrap().staff
}

#[tokio::test]
async fn a_digest_is_stored_only_while_the_form_holds_it() {
    let table = Table::new().await;
    let (ada, store) = (enrolment("ada"), &table.store);
    store.put_enrolment(&ada, soon()).await.unwrap();
    for form in [StaffForm::Status, StaffForm::Rotation] {
        assert_eq!(staff(&table).await.of(form), None);
        assert_eq!(store.begin_telling(&ada.athlete, form, "one", soon()).await.unwrap(), Telling::Noted);
        assert_eq!(staff(&table).await.of(form), None, "it may not have arrived");
        assert_eq!(store.end_telling(&ada.athlete, form, "one", soon()).await.unwrap(), Telling::Noted);
        assert_eq!(staff(&table).await.of(form), Some("one"));
        assert_eq!(store.begin_telling(&ada.athlete, form, "two", soon()).await.unwrap(), Telling::Noted);
        assert_eq!(staff(&table).await.of(form), None, "it may hold either");
        assert_eq!(store.end_telling(&ada.athlete, form, "two", soon()).await.unwrap(), Telling::Noted);
    }
    let both = Told { status: Some("two".to_owned()), rotation: Some("two".to_owned()) };
    assert_eq!(staff(&table).await, both);
    store.put_enrolment(&Enrolment { told: at(9), ..ada }, soon()).await.unwrap();
    assert_eq!(staff(&table).await, both, "the link is another form's");
}

#[tokio::test]
async fn overlapping_writers_store_no_digest() {
    // Both writers have sent their content. They end in either order.
    for first in ["old", "new"] {
        let table = Table::new().await;
        let (ada, store, form) = (enrolment("ada"), &table.store, StaffForm::Status);
        store.put_enrolment(&ada, soon()).await.unwrap();
        store.begin_telling(&ada.athlete, form, "old", soon()).await.unwrap();
        store.begin_telling(&ada.athlete, form, "new", soon()).await.unwrap();
        let second = if first == "old" { "new" } else { "old" };
        let ends = [
            store.end_telling(&ada.athlete, form, first, soon()).await.unwrap(),
            store.end_telling(&ada.athlete, form, second, soon()).await.unwrap(),
        ];
        assert!(ends.contains(&Telling::Overlapped), "{ends:?}");
        assert_eq!(staff(&table).await.status, None, "{first} ended first");
    }
}

#[tokio::test]
async fn after_an_unfinished_write_only_a_lone_one_stores_digests() {
    let table = Table::new().await;
    let (ada, store, form) = (enrolment("ada"), &table.store, StaffForm::Status);
    store.put_enrolment(&ada, soon()).await.unwrap();
    let begin = async |digest| store.begin_telling(&ada.athlete, form, digest, soon()).await.unwrap();
    let end = async |digest| store.end_telling(&ada.athlete, form, digest, soon()).await.unwrap();
    assert_eq!(begin("dead").await, Telling::Noted);
    // The request of the dead process may take effect after any of these.
    for digest in ["one", "two", "two"] {
        assert_eq!(begin(digest).await, Telling::Overlapped, "begun by several, and ended by none");
        assert_eq!(staff(&table).await.status, None);
    }
    assert_eq!(end("two").await, Telling::Overlapped);
    assert_eq!(staff(&table).await.status, None);
    assert_eq!((begin("two").await, end("two").await), (Telling::Noted, Telling::Noted));
    assert_eq!(staff(&table).await.status.as_deref(), Some("two"));
}

#[tokio::test]
async fn two_writers_of_the_same_content_store_its_digest() {
    let table = Table::new().await;
    let (ada, store, form) = (enrolment("ada"), &table.store, StaffForm::Rotation);
    store.put_enrolment(&ada, soon()).await.unwrap();
    for _ in 0..2 {
        store.begin_telling(&ada.athlete, form, "one", soon()).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(store.end_telling(&ada.athlete, form, "one", soon()).await.unwrap(), Telling::Noted);
    }
    assert_eq!(staff(&table).await.rotation.as_deref(), Some("one"));
}

#[tokio::test]
async fn writing_a_form_does_not_enrol_an_athlete() {
    let table = Table::new().await;
    let (ada, form) = (athlete("ada"), StaffForm::Status);
    assert_eq!(table.store.begin_telling(&ada, form, "one", soon()).await.unwrap(), Telling::Gone);
    assert_eq!(table.store.end_telling(&ada, form, "one", soon()).await.unwrap(), Telling::Gone);
    assert!(table.item("ATHLETE#ada", "ENROLMENT").await.is_none());
}

#[tokio::test]
async fn a_damaged_digest_counts_as_unknown() {
    let table = Table::new().await;
    table.store.put_enrolment(&enrolment("ada"), soon()).await.unwrap();
    let number = AttributeValue::N("7".to_owned());
    table.meddle("ATHLETE#ada", "ENROLMENT", "status_told", Some(number)).await;
    assert_eq!(staff(&table).await, Told::default());
}

#[tokio::test]
async fn a_forgotten_enrolment_is_gone_and_not_listed() {
    let table = Table::new().await;
    let (ada, bob) = (enrolment("ada"), enrolment("bob"));
    for enrolment in [&ada, &bob] {
        table.store.put_enrolment(enrolment, soon()).await.unwrap();
    }
    for _ in 0..2 {
        table.store.forget_enrolment(&ada.athlete, soon()).await.unwrap();
        assert_eq!(table.store.enrolment(&ada.athlete, soon()).await.unwrap(), None);
        assert_eq!(table.store.enrolled_athletes(soon()).await.unwrap(), [athlete("bob")]);
    }
    let found = table.store.enrolments(&[ada.athlete.clone(), bob.athlete.clone()], soon()).await.unwrap();
    assert_eq!(found, HashMap::from([(bob.athlete.clone(), bob)]));
    let telling = table.store.begin_telling(&ada.athlete, StaffForm::Status, "one", soon()).await.unwrap();
    assert_eq!(telling, Telling::Gone);
    table.store.put_enrolment(&ada, soon()).await.unwrap();
    assert_eq!(table.store.enrolment(&ada.athlete, soon()).await.unwrap(), Some(ada));
    table.store.forget_enrolment(&athlete("nobody"), soon()).await.unwrap();
    assert!(table.item("ATHLETE#nobody", "ENROLMENT").await.is_none());
}
