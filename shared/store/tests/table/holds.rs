//! Holds on the remote services.

use store::{Hold, Service};

use crate::{Table, at, soon};

fn hold(until: i64, why: &str) -> Hold {
    Hold { until: at(until), why: why.to_owned() }
}

#[tokio::test]
async fn a_hold_is_extended_and_never_shortened() {
    let table = Table::new().await;
    let set = |until, why| table.store.set_hold(Service::Oura, at(until), why, soon());
    assert_eq!(table.store.hold(Service::Oura, soon()).await.unwrap(), None);
    assert_eq!(set(20, "first").await.unwrap(), hold(20, "first"));
    assert_eq!(set(10, "shorter").await.unwrap(), hold(20, "first"));
    assert_eq!(set(20, "the same").await.unwrap(), hold(20, "first"));
    assert_eq!(set(30, "longer").await.unwrap(), hold(30, "longer"));
    assert_eq!(table.store.hold(Service::Oura, soon()).await.unwrap(), Some(hold(30, "longer")));
    assert_eq!(table.store.hold(Service::Smartabase, soon()).await.unwrap(), None);
}

#[tokio::test]
async fn a_hold_is_in_force_until_its_instant_or_its_removal() {
    let table = Table::new().await;
    table.store.set_hold(Service::Smartabase, at(20), "wrong password", soon()).await.unwrap();
    let holds = table.store.snapshot(&[], soon()).await.unwrap().holds;
    assert_eq!(holds.in_force(Service::Smartabase, at(19)), Some(&hold(20, "wrong password")));
    assert_eq!(holds.in_force(Service::Smartabase, at(20)), None);
    assert_eq!(holds.in_force(Service::Oura, at(19)), None);
    for _ in 0..2 {
        table.store.lift_hold(Service::Smartabase, soon()).await.unwrap();
        assert_eq!(table.store.hold(Service::Smartabase, soon()).await.unwrap(), None);
    }
}
