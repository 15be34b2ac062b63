//! Storing and taking a state.

use futures::future::join_all;
use store::{NewState, SealPurpose, State, TakeState};

use crate::{Table, at, athlete, keyring, soon};

fn state(hash: &str) -> NewState {
    NewState {
        hash: hash.to_owned(),
        athlete: athlete("ada"),
        user_id: 17,
        verifier: keyring().seal(SealPurpose::PkceVerifier, &athlete("ada"), b"verifier").unwrap(),
        browser: "cookie hash".to_owned(),
        link_expires: at(1000),
        expires: at(600),
    }
}

#[tokio::test]
async fn of_twenty_takers_exactly_one_gets_the_state() {
    let table = Table::new().await;
    let new = state("hash");
    table.store.put_state(&new, soon()).await.unwrap();
    let takers = (0..20).map(|_| {
        let store = table.store.clone();
        tokio::spawn(async move { store.take_state("hash", at(1), soon()).await.unwrap() })
    });
    let taken: Vec<_> = join_all(takers).await.into_iter().map(Result::unwrap).collect();
    let expected = State {
        athlete: new.athlete,
        user_id: 17,
        verifier: new.verifier,
        browser: new.browser,
        link_expires: Some(new.link_expires),
    };
    assert_eq!(taken.iter().filter(|taken| **taken == TakeState::Taken(expected.clone())).count(), 1);
    assert_eq!(taken.iter().filter(|taken| **taken == TakeState::Unknown).count(), 19);
}

#[tokio::test]
async fn a_state_expires_by_the_clock_not_by_its_deletion() {
    let table = Table::new().await;
    for hash in ["in time", "too late"] {
        table.store.put_state(&state(hash), soon()).await.unwrap();
    }
    assert!(matches!(table.store.take_state("in time", at(599), soon()).await.unwrap(), TakeState::Taken(_)));
    assert_eq!(table.store.take_state("too late", at(600), soon()).await.unwrap(), TakeState::Expired);
    assert_eq!(table.store.take_state("too late", at(0), soon()).await.unwrap(), TakeState::Unknown);
    assert_eq!(table.store.take_state("never made", at(0), soon()).await.unwrap(), TakeState::Unknown);
}

#[tokio::test]
async fn a_state_without_a_user_id_is_unknown() {
    let table = Table::new().await;
    table.store.put_state(&state("hash"), soon()).await.unwrap();
    table.meddle("STATE#hash", "STATE", "user_id", None).await;
    assert_eq!(table.store.take_state("hash", at(1), soon()).await.unwrap(), TakeState::Unknown);
}

#[tokio::test]
async fn a_state_of_an_earlier_release_has_no_link_expiry() {
    let table = Table::new().await;
    table.store.put_state(&state("hash"), soon()).await.unwrap();
    table.meddle("STATE#hash", "STATE", "link_expires", None).await;
    let taken = table.store.take_state("hash", at(1), soon()).await.unwrap();
    assert!(matches!(taken, TakeState::Taken(State { link_expires: None, .. })), "{taken:?}");
}

#[tokio::test]
async fn a_state_stores_its_expiry_in_seconds() {
    let table = Table::new().await;
    table.store.put_state(&state("hash"), soon()).await.unwrap();
    let item = table.item("STATE#hash", "STATE").await.unwrap();
    assert_eq!(item["expires"].as_n().unwrap(), &at(600).as_second().to_string());
    assert_eq!(item["athlete_id"], crate::s("ada"));
    assert!(!item.contains_key("athlete"));
}
