//! A refresh whose outcome is not known yet. While its token pair may be on the way to the table, no attempt sends its
//! refresh token again.

use futures::future::join_all;
use jiff::Timestamp;
use store::{Claim, Disconnect, Refusals, Release, Save};

use crate::wire::Act;
use crate::{Table, at, athlete, authorised, grant, soon};

impl Table {
    /// Claims the lease as `owner` for a minute from `at(now)`, to refresh generation `generation`. A refresh suspected
    /// at `at(settled)` or before no longer blocks.
    async fn claimed_to_refresh(&self, owner: &str, now: i64, generation: u64, settled: i64) -> Claim {
        let ada = athlete("ada");
        self.store.claim_to_refresh(&ada, owner, at(now), at(now + 60), generation, at(settled), soon()).await.unwrap()
    }

    /// Begins a refresh of generation 1 at `at(0)`, and returns the fence.
    async fn refreshing(&self) -> u64 {
        self.connected("ada").await;
        match self.claimed_to_refresh("the test", 0, 1, -600).await {
            Claim::Won(connection) => connection.fence,
            other => panic!("{other:?}"),
        }
    }

    async fn refresh_begun(&self) -> Option<Timestamp> {
        self.connection("ada").await.refresh_begun
    }
}

#[tokio::test]
async fn a_claim_to_refresh_takes_the_lease_and_notes_when_it_began() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    table.wire.requests();
    let claim = table.claimed_to_refresh("job", 7, 1, -600).await;
    assert_eq!(table.wire.requests(), ["UpdateItem"]);
    let Claim::Won(won) = claim else { panic!("{claim:?}") };
    assert_eq!(won, table.connection("ada").await);
    assert_eq!((won.refresh_begun, won.fence, won.generation), (Some(at(7)), before.fence + 1, 1));
    assert_eq!(won.lease.map(|lease| (lease.owner, lease.until)), Some(("job".to_owned(), at(67))));
}

#[tokio::test]
async fn of_twenty_claims_to_refresh_exactly_one_wins() {
    let table = Table::new().await;
    table.connected("ada").await;
    let claims = (0..20).map(|n| {
        let store = table.store.clone();
        tokio::spawn(async move {
            let (ada, owner) = (athlete("ada"), format!("job {n}"));
            store.claim_to_refresh(&ada, &owner, at(0), at(60), 1, at(-600), soon()).await.unwrap()
        })
    });
    let claims: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
    let won = claims.iter().filter(|claim| matches!(claim, Claim::Won(_))).count();
    let held = claims.iter().filter(|claim| **claim == Claim::Held { until: at(60) }).count();
    assert_eq!((won, held), (1, 19));
}

#[tokio::test]
async fn an_unsettled_refresh_blocks_the_next_for_a_fixed_time() {
    let table = Table::new().await;
    let fence = table.refreshing().await;
    assert_eq!(table.claimed_to_refresh("another", 59, 1, -600).await, Claim::Held { until: at(60) });
    // The lease has run out or was released. The note about the refresh stays.
    assert_eq!(table.claimed_to_refresh("another", 60, 1, -1).await, Claim::Unsettled { since: at(0), doubted: None });
    assert_eq!(table.store.release(&athlete("ada"), fence, soon()).await.unwrap(), Release::Released);
    assert_eq!(table.claimed_to_refresh("another", 1, 1, -1).await, Claim::Unsettled { since: at(0), doubted: None });
    // Other work may go on meanwhile. Only the refresh token must not be used.
    let claim = table.store.claim(&athlete("ada"), "another", at(2), at(3), None, soon()).await.unwrap();
    assert!(matches!(claim, Claim::Won(connection) if connection.refresh_begun == Some(at(0))));

    // Even after a long time: the table may have been down, and the token pair may still be on the queue.
    assert_eq!(
        table.claimed_to_refresh("a third", 7200, 1, 6600).await,
        Claim::Unsettled { since: at(0), doubted: None }
    );
    let doubt = |begun, now| {
        let store = table.store.clone();
        async move { store.suspect_refresh(&athlete("ada"), at(begun), at(now), soon()).await.unwrap() }
    };
    assert_eq!(doubt(5, 7200).await, None, "that is another refresh");
    assert_eq!(doubt(0, 7200).await, Some(at(7200)));
    assert_eq!(doubt(0, 7300).await, Some(at(7200)), "whoever doubts it next learns since when");
    let doubted = Claim::Unsettled { since: at(0), doubted: Some(at(7200)) };
    assert_eq!(table.claimed_to_refresh("a third", 7799, 1, 7199).await, doubted);
    // A refresh suspected exactly at `settled` no longer blocks.
    let claim = table.claimed_to_refresh("a third", 7800, 1, 7200).await;
    let Claim::Won(connection) = claim else { panic!("{claim:?}") };
    assert_eq!((connection.refresh_begun, connection.refresh_suspect_at), (Some(at(7800)), None));
    assert_eq!(doubt(0, 7801).await, None);
}

#[tokio::test]
async fn suspect_mark_is_removed_when_its_refresh_ends() {
    for end in 0..3 {
        let table = Table::new().await;
        let (ada, fence) = (athlete("ada"), table.refreshing().await);
        table.store.suspect_refresh(&ada, at(0), at(1), soon()).await.unwrap();
        assert_eq!(table.connection("ada").await.refresh_suspect_at, Some(at(1)));
        match end {
            0 => drop(table.store.settle_refresh(&ada, fence, None, soon()).await.unwrap()),
            1 => drop(table.store.save_grant(&ada, fence, 1, &grant("ada"), "daily", at(2), soon()).await.unwrap()),
            _ => drop(table.store.rescue_grant(&ada, 1, &grant("ada"), "daily", at(2), soon()).await.unwrap()),
        }
        let ended = table.connection("ada").await;
        assert_eq!((ended.refresh_begun, ended.refresh_suspect_at), (None, None));
    }
}

#[tokio::test]
async fn claiming_to_refresh_another_generation_returns_moved() {
    let table = Table::new().await;
    table.refreshing().await;
    assert_eq!(table.claimed_to_refresh("another", 1, 7, -600).await, Claim::Moved);
    assert_eq!(table.claimed_to_refresh("another", 99, 7, -600).await, Claim::Moved);
    assert_eq!(table.refresh_begun().await, Some(at(0)));
}

#[tokio::test]
async fn a_claim_to_refresh_does_not_create_a_connection() {
    let table = Table::new().await;
    assert_eq!(table.claimed_to_refresh("job", 0, 1, -600).await, Claim::Gone);
    assert!(table.item("ATHLETE#ada", "CONNECTION").await.is_none());
}

#[tokio::test]
async fn the_owner_repeats_a_claim_whose_answer_was_lost() {
    let table = Table::new().await;
    table.connected("ada").await;
    table.wire.script([Act::LoseAnswer]);
    let ada = athlete("ada");
    let claim = |now| table.store.claim_to_refresh(&ada, "job", at(now), at(60), 1, at(-600), soon());
    claim(0).await.unwrap_err();
    assert_eq!(table.refresh_begun().await, Some(at(0)), "it was carried out");
    assert!(matches!(claim(1).await.unwrap(), Claim::Won(connection) if connection.refresh_begun == Some(at(1))));
}

#[tokio::test]
async fn a_settled_refresh_may_begin_again_at_once() {
    let table = Table::new().await;
    let fence = table.refreshing().await;
    let ada = athlete("ada");
    table.wire.requests();
    for _ in 0..2 {
        assert_eq!(table.store.settle_refresh(&ada, fence, None, soon()).await.unwrap(), Release::Released);
    }
    assert_eq!(table.wire.requests(), ["UpdateItem", "UpdateItem"]);
    let settled = table.connection("ada").await;
    assert_eq!((settled.refresh_begun, settled.lease), (None, None));
    assert!(matches!(table.claimed_to_refresh("another", 1, 1, -600).await, Claim::Won(_)));
}

#[tokio::test]
async fn refusals_are_kept_until_settled_or_replaced() {
    for end in 0..4 {
        let table = Table::new().await;
        let (ada, fence) = (athlete("ada"), table.refreshing().await);
        let refused = Some(Refusals { since: at(5), last: at(7) });
        table.store.settle_refresh(&ada, fence, refused, soon()).await.unwrap();
        let Claim::Won(claimed) = table.claimed_to_refresh("another", 9, 1, -600).await else { panic!("settled") };
        assert_eq!(claimed.refresh_refused, refused, "a claim leaves it");
        match end {
            0 => drop(table.store.settle_refresh(&ada, claimed.fence, None, soon()).await.unwrap()),
            1 => drop(
                table.store.save_grant(&ada, claimed.fence, 1, &grant("ada"), "daily", at(10), soon()).await.unwrap(),
            ),
            2 => drop(table.store.rescue_grant(&ada, 1, &grant("ada"), "daily", at(10), soon()).await.unwrap()),
            _ => drop(table.store.connect(&authorised("ada"), soon()).await.unwrap()),
        }
        assert_eq!(table.connection("ada").await.refresh_refused, None, "{end}");
    }
}

#[tokio::test]
async fn an_earlier_suspicion_allows_the_next_refresh_sooner() {
    let table = Table::new().await;
    let (ada, fence) = (athlete("ada"), table.refreshing().await);
    // Stops blocking at 20, if a refresh suspected 600 seconds ago no longer blocks.
    assert_eq!(table.store.suspect_refresh(&ada, at(0), at(-580), soon()).await.unwrap(), Some(at(-580)));
    table.store.release(&ada, fence, soon()).await.unwrap();
    let early = table.claimed_to_refresh("another", 19, 1, 19 - 600).await;
    assert_eq!(early, Claim::Unsettled { since: at(0), doubted: Some(at(-580)) });
    let claim = table.claimed_to_refresh("another", 20, 1, 20 - 600).await;
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
}

#[tokio::test]
async fn only_the_holder_of_the_lease_can_end_a_refresh() {
    let table = Table::new().await;
    let fence = table.refreshing().await;
    table.store.suspect_refresh(&athlete("ada"), at(0), at(1), soon()).await.unwrap();
    let later = table.claimed_to_refresh("another", 600, 1, 1).await;
    assert!(matches!(later, Claim::Won(_)), "{later:?}");
    assert_eq!(table.store.settle_refresh(&athlete("ada"), fence, None, soon()).await.unwrap(), Release::Lost);
    assert_eq!(table.refresh_begun().await, Some(at(600)));
    let nobody = table.store.settle_refresh(&athlete("nobody"), 1, None, soon()).await.unwrap();
    assert_eq!(nobody, Release::Lost);
    assert!(table.item("ATHLETE#nobody", "CONNECTION").await.is_none());
}

#[tokio::test]
async fn saving_the_new_grant_ends_the_refresh() {
    let table = Table::new().await;
    let fence = table.refreshing().await;
    let save = table.store.save_grant(&athlete("ada"), fence, 1, &grant("ada"), "daily", at(9), soon()).await.unwrap();
    assert_eq!(save, Save::Saved { generation: 2 });
    assert_eq!(table.refresh_begun().await, None);
    // A save that is refused ends no refresh: the note belongs to the stored generation.
    let claim = table.claimed_to_refresh("the test", 10, 2, -600).await;
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
    let late = table.store.save_grant(&athlete("ada"), fence, 1, &grant("ada"), "daily", at(11), soon()).await.unwrap();
    assert_eq!(late, Save::Superseded);
    assert_eq!(table.refresh_begun().await, Some(at(10)));
}

#[tokio::test]
async fn rescuing_the_new_grant_ends_the_refresh() {
    let table = Table::new().await;
    table.refreshing().await;
    let ada = athlete("ada");
    let save = table.store.rescue_grant(&ada, 1, &grant("ada"), "daily", at(300), soon()).await.unwrap();
    assert_eq!(save, Save::Saved { generation: 2 });
    assert_eq!(table.refresh_begun().await, None);
    let claim = table.claimed_to_refresh("another", 301, 2, -600).await;
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
    let late = table.store.rescue_grant(&ada, 1, &grant("ada"), "daily", at(302), soon()).await.unwrap();
    assert_eq!(late, Save::Superseded);
    assert_eq!(table.refresh_begun().await, Some(at(301)), "an older rescue settles no newer refresh");
}

#[tokio::test]
async fn connecting_and_disconnecting_remove_the_refresh_note() {
    let table = Table::new().await;
    table.refreshing().await;
    table.store.connect(&authorised("ada"), soon()).await.unwrap();
    assert_eq!(table.refresh_begun().await, None);

    let claim = table.claimed_to_refresh("job", 61, 2, -600).await;
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
    let ended = table.store.disconnect(&athlete("ada"), 2, at(2), soon()).await.unwrap();
    assert!(matches!(ended, Disconnect::Disconnected { .. }), "{ended:?}");
    assert_eq!(table.refresh_begun().await, None);
}
