//! Athletes in the table, as enrolments and connections leave them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{AthleteId, Connect, Enrolment, Keyring, NewConnection, SealPurpose, Status, Store, StoredGrant};
use tokio::time::Instant;

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(crate) fn id(text: &str) -> AthleteId {
    AthleteId::parse(text).unwrap()
}

pub(crate) fn ago(hours: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(hours)
}

/// Enrols an athlete, with a link that is valid for so many hours.
pub(crate) async fn enrol(store: &Store, athlete: &str, user_id: u64, name: &str, hours: i64) {
    let enrolment = Enrolment {
        athlete: id(athlete),
        user_id,
        name: name.to_owned(),
        link_expires: ago(-hours),
        basis: "a page and a key".to_owned(),
        told: ago(24),
        links_from: None,
        staff: store::Told::default(),
    };
    store.put_enrolment(&enrolment, soon()).await.unwrap();
}

/// Connects an athlete, two days ago.
pub(crate) async fn connect(store: &Store, keyring: &Keyring, athlete: &str, user_id: u64) {
    let grant = StoredGrant {
        sealed: keyring.seal(SealPurpose::Grant, &id(athlete), b"a token pair").unwrap(),
        token_url: "https://oura.test/token".parse().unwrap(),
        expires_at: ago(-10),
    };
    let new = NewConnection {
        athlete: id(athlete),
        status: Status::Active,
        note: None,
        user_id,
        oura_user: Some(format!("oura-{athlete}")),
        scopes: "daily".to_owned(),
        grant,
        held_until: None,
        backfill_from: None,
        now: ago(48),
    };
    assert!(matches!(store.connect(&new, soon()).await.unwrap(), Connect::Connected { .. }));
}

/// Four athletes: connected, in need of the operator, in need of consent, never connected.
pub(crate) async fn fill(store: &Store, keyring: &Keyring) {
    for (athlete, user_id, name) in [("a-1", 31, "Ada Okafor"), ("b-2", 32, "Ben Ødegaard"), ("c-3", 33, "Cyd Ng")] {
        enrol(store, athlete, user_id, name, 500).await;
        connect(store, keyring, athlete, user_id).await;
    }
    enrol(store, "d-4", 34, "Dee Ndiaye", 500).await;
    store.heartbeat(&id("a-1"), ago(0), soon()).await.unwrap();
    store.heartbeat(&id("b-2"), ago(30), soon()).await.unwrap();
    let note = Some("the form \"Sleep\" does not have the fields Score");
    store.set_status(&id("b-2"), 1, Status::Active, note, None, ago(30), soon()).await.unwrap();
    store.set_status(&id("c-3"), 1, Status::NeedsConsent, None, None, ago(30), soon()).await.unwrap();
}
