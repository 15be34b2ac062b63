//! What the profile forms were told.

use std::collections::HashMap;

use store::Enrolment;

use crate::{Table, at, athlete, soon};

fn enrolment(name: &str) -> Enrolment {
    Enrolment {
        athlete: athlete(name),
        user_id: 17,
        name: "Ada L.".to_owned(),
        link_expires: at(1000),
        basis: "version-1".to_owned(),
        told: at(0),
    }
}

#[tokio::test]
async fn an_enrolment_is_replaced_by_the_next_and_found_alone_or_among_many() {
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
async fn asking_about_nobody_asks_nothing() {
    let table = Table::new().await;
    assert!(table.store.enrolments(&[], soon()).await.unwrap().is_empty());
    assert!(table.store.records(&athlete("ada"), &[], soon()).await.unwrap().is_empty());
    assert!(table.wire.requests().is_empty());
}

#[test]
fn an_athlete_s_name_is_not_printed() {
    assert!(!format!("{:?}", enrolment("ada")).contains("Ada L."));
}
