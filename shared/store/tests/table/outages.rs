//! The outage of a remote service.

use store::{Outage, OutageWrite, Service};

use crate::{Table, at, soon};

const SITE: Service = Service::Smartabase;

fn outage(until: i64, version: u64, answered_at: Option<i64>) -> Outage {
    Outage { until: at(until), why: "status 503".to_owned(), failures: 1, answered_at: answered_at.map(at), version }
}

#[tokio::test]
async fn a_second_write_over_the_same_version_is_refused() {
    let table = Table::new().await;
    let replace = async |read: Option<&Outage>, next: &Outage| {
        table.store.replace_outage(SITE, read, next, soon()).await.unwrap()
    };
    assert_eq!(table.store.outage(SITE, soon()).await.unwrap(), None);
    let (first, longer, answered) = (outage(60, 1, None), outage(180, 3, None), outage(60, 2, Some(70)));
    assert_eq!(replace(None, &first).await, OutageWrite::Done);
    assert_eq!(replace(None, &longer).await, OutageWrite::Refused(Some(first.clone())));
    assert_eq!(replace(Some(&first), &answered).await, OutageWrite::Done);
    assert_eq!(replace(Some(&first), &longer).await, OutageWrite::Refused(Some(answered.clone())));
    assert_eq!(replace(Some(&answered), &longer).await, OutageWrite::Done);
    assert_eq!(table.store.outage(SITE, soon()).await.unwrap(), Some(longer));
    assert_eq!(table.store.outage(Service::Oura, soon()).await.unwrap(), None);
}

#[tokio::test]
async fn an_outage_is_in_the_snapshot_and_is_not_a_hold() {
    let table = Table::new().await;
    let down = outage(60, 1, None);
    table.store.replace_outage(SITE, None, &down, soon()).await.unwrap();
    let holds = table.store.snapshot(&[], soon()).await.unwrap().holds;
    assert_eq!((holds.outage, holds.smartabase, holds.damaged), (Some(down), None, vec![]));
    assert_eq!(table.store.hold(SITE, soon()).await.unwrap(), None);
}

#[test]
fn an_outage_is_in_force_until_its_instant_or_an_answer() {
    assert!(outage(60, 1, None).in_force(at(59)));
    assert!(!outage(60, 1, None).in_force(at(60)));
    assert!(!outage(60, 1, Some(30)).in_force(at(59)));
}
