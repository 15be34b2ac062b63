//! Claiming and releasing a lease.

use futures::future::join_all;
use store::{Claim, Release};

use crate::{Table, at, athlete, soon};

#[tokio::test]
async fn of_twenty_claims_exactly_one_wins() {
    let table = Table::new().await;
    table.connected("ada").await;
    let claims = (0..20).map(|n| {
        let store = table.store.clone();
        tokio::spawn(async move {
            store.claim(&athlete("ada"), &format!("job {n}"), at(0), at(60), None, soon()).await.unwrap()
        })
    });
    let claims: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
    let won: Vec<_> = claims.iter().filter(|claim| matches!(claim, Claim::Won(_))).collect();
    let held = claims.iter().filter(|claim| **claim == Claim::Held { until: at(60) }).count();
    assert_eq!((won.len(), held), (1, 19));
    let Claim::Won(winner) = won[0] else { panic!() };
    assert_eq!(*winner, table.connection("ada").await);
    assert_eq!(winner.lease.as_ref().map(|lease| lease.fence), Some(winner.fence));
}

#[tokio::test]
async fn a_lease_ends_exactly_at_its_instant() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    let first = table.claimed("ada").await;
    let just_before = at(60) - jiff::SignedDuration::from_nanos(1);
    let held = table.store.claim(&ada, "another", just_before, at(99), None, soon()).await.unwrap();
    assert_eq!(held, Claim::Held { until: at(60) });
    let won = table.store.claim(&ada, "another", at(60), at(120), None, soon()).await.unwrap();
    let Claim::Won(connection) = won else { panic!() };
    assert_eq!(connection.fence, first + 1);
    assert_eq!(table.store.release(&ada, first, soon()).await.unwrap(), Release::Lost);
    assert_eq!(table.connection("ada").await.lease.map(|lease| lease.owner).as_deref(), Some("another"));
}

#[tokio::test]
async fn a_released_lease_can_be_claimed_at_once_and_released_twice() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    let fence = table.claimed("ada").await;
    assert_eq!(table.store.release(&ada, fence, soon()).await.unwrap(), Release::Released);
    assert_eq!(table.store.release(&ada, fence, soon()).await.unwrap(), Release::Released);
    let won = table.store.claim(&ada, "another", at(1), at(2), None, soon()).await.unwrap();
    assert!(matches!(won, Claim::Won(connection) if connection.fence == fence + 1));
    assert_eq!(table.store.release(&athlete("nobody"), 1, soon()).await.unwrap(), Release::Lost);
}

#[tokio::test]
async fn a_claim_on_an_outdated_read_returns_moved() {
    let table = Table::new().await;
    let read = table.connected("ada").await.fence;
    let ada = athlete("ada");
    let claim = |owner, fence| table.store.claim(&ada, owner, at(0), at(60), Some(fence), soon());
    assert_eq!(claim("job", read + 7).await.unwrap(), Claim::Moved);
    assert_eq!(table.connection("ada").await.lease, None);
    let Claim::Won(won) = claim("job", read).await.unwrap() else { panic!() };
    // `Moved` comes before `Held`: waiting for the lease would not help.
    assert_eq!(claim("another", read).await.unwrap(), Claim::Moved);
    assert_eq!(claim("another", won.fence).await.unwrap(), Claim::Held { until: at(60) });
    // An attempt that got no answer may claim again. No other may, even after the lease was released.
    let Claim::Won(again) = claim("job", read).await.unwrap() else { panic!() };
    assert_eq!(again.fence, won.fence + 1);
    assert_eq!(table.store.release(&ada, again.fence, soon()).await.unwrap(), Release::Released);
    assert_eq!(claim("another", read).await.unwrap(), Claim::Moved);
}

#[tokio::test]
async fn a_claim_does_not_create_a_connection() {
    let table = Table::new().await;
    let gone = table.store.claim(&athlete("nobody"), "job", at(0), at(60), None, soon()).await.unwrap();
    assert_eq!(gone, Claim::Gone);
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());
}
