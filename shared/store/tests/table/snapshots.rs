//! The one read at the start of a batch.

use store::Service;

use crate::{Table, at, athlete, soon};

#[tokio::test]
async fn a_snapshot_is_one_request() {
    let table = Table::new().await;
    let (ada, bob) = (table.connected("ada").await, table.connected("bob").await);
    table.store.set_hold(Service::Oura, at(9), "throttled", soon()).await.unwrap();
    table.wire.requests();
    // Two jobs for one athlete, and one for an athlete who is not connected.
    let asked = ["ada", "bob", "ada", "nobody"].map(athlete);
    let snapshot = table.store.snapshot(&asked, soon()).await.unwrap();
    assert_eq!(table.wire.requests(), ["BatchGetItem"]);
    assert_eq!(snapshot.connections.len(), 2);
    assert_eq!(snapshot.connections[&asked[0]], ada);
    assert_eq!(snapshot.connections[&asked[1]], bob);
    assert!(snapshot.damaged.is_empty());
    assert_eq!(snapshot.holds.in_force(Service::Oura, at(8)).map(|hold| hold.why.as_str()), Some("throttled"));
    assert_eq!(snapshot.holds.smartabase, None);
}

#[tokio::test]
async fn a_snapshot_of_98_athletes_is_two_requests() {
    let table = Table::new().await;
    table.connected("ada").await;
    let mut asked: Vec<_> = (0..96).map(|n| athlete(&format!("athlete {n}"))).collect();
    asked.push(athlete("ada"));
    table.wire.requests();
    assert_eq!(table.store.snapshot(&asked, soon()).await.unwrap().connections.len(), 1);
    assert_eq!(table.wire.requests().len(), 1);
    asked.push(athlete("one more"));
    assert_eq!(table.store.snapshot(&asked, soon()).await.unwrap().connections.len(), 1);
    assert_eq!(table.wire.requests().len(), 2);
}
