//! Credentials that nobody has proven: one attempt at a time, whoever and however many ask.

use futures::future::join_all;
use store::{Service, Trial};

use crate::wire::Act;
use crate::{Table, at, soon};

impl Table {
    /// Asks at `at(now)` whether the account with this fingerprint may be used; a trial has a minute.
    async fn tries(&self, fingerprint: &str, now: i64) -> Trial {
        let until = at(now + 60);
        self.store.try_credentials(Service::Smartabase, fingerprint, at(now), until, soon()).await.unwrap()
    }

    /// They were accepted; that is believed until `at(600)`.
    async fn proves(&self, fingerprint: &str) {
        self.store.prove_credentials(Service::Smartabase, fingerprint, at(600), soon()).await.unwrap();
    }

    async fn disproves(&self, until: i64) {
        self.store.disprove_credentials(Service::Smartabase, at(until), soon()).await.unwrap();
    }
}

fn proven() -> Trial {
    Trial::Proven { until: at(600) }
}

#[tokio::test]
async fn of_twenty_who_would_try_them_exactly_one_does() {
    let table = Table::new().await;
    let trials = (0..20).map(|_| {
        let store = table.store.clone();
        tokio::spawn(
            async move { store.try_credentials(Service::Smartabase, "one", at(0), at(60), soon()).await.unwrap() },
        )
    });
    let trials: Vec<_> = join_all(trials).await.into_iter().map(Result::unwrap).collect();
    let yours = trials.iter().filter(|trial| **trial == Trial::Yours).count();
    let wait = trials.iter().filter(|trial| **trial == Trial::Wait { until: at(60) }).count();
    assert_eq!((yours, wait), (1, 19));
}

#[tokio::test]
async fn proven_credentials_may_be_used_by_everybody_until_the_proof_is_too_old() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, Trial::Yours);
    table.proves("one").await;
    table.wire.requests();
    for now in [0, 59, 60, 599] {
        assert_eq!(table.tries("one", now).await, proven());
    }
    assert_eq!(table.wire.requests(), ["UpdateItem"; 4]);
    assert_eq!(table.tries("one", 600).await, Trial::Yours, "for one of them");
    assert_eq!(table.tries("one", 601).await, Trial::Wait { until: at(660) });
}

#[tokio::test]
async fn a_trial_that_never_ended_is_anothers_when_its_time_is_up() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, Trial::Yours);
    assert_eq!(table.tries("one", 59).await, Trial::Wait { until: at(60) });
    assert_eq!(table.tries("one", 60).await, Trial::Yours);
    assert_eq!(table.tries("one", 61).await, Trial::Wait { until: at(120) });
}

#[tokio::test]
async fn after_a_refusal_nobody_tries_anything_for_a_while() {
    let table = Table::new().await;
    table.proves("one").await;
    table.disproves(300).await;
    for fingerprint in ["one", "two"] {
        assert_eq!(table.tries(fingerprint, 299).await, Trial::Wait { until: at(300) }, "{fingerprint}");
    }
    assert_eq!(table.tries("two", 300).await, Trial::Yours);
    table.proves("two").await;
    assert_eq!(table.tries("two", 301).await, proven());
}

#[tokio::test]
async fn what_is_proven_says_nothing_about_other_credentials_or_another_service() {
    let table = Table::new().await;
    table.proves("one").await;
    assert_eq!(table.tries("two", 0).await, Trial::Yours);
    // While the new ones are tried, the old ones are still those that were accepted.
    assert_eq!(table.tries("one", 1).await, proven());
    table.proves("two").await;
    assert_eq!(table.tries("one", 2).await, Trial::Yours);
    let elsewhere = table.store.try_credentials(Service::Oura, "two", at(2), at(62), soon()).await.unwrap();
    assert_eq!(elsewhere, Trial::Yours);
}

#[tokio::test]
async fn an_answer_lost_on_the_way_costs_time_and_never_a_second_attempt() {
    let table = Table::new().await;
    table.wire.script([Act::LoseAnswer]);
    let lost = table.store.try_credentials(Service::Smartabase, "one", at(0), at(60), soon()).await;
    lost.unwrap_err();
    assert_eq!(table.tries("one", 1).await, Trial::Wait { until: at(60) }, "nobody knows whose it is");

    table.wire.script([Act::LoseAnswer]);
    table.store.prove_credentials(Service::Smartabase, "one", at(600), soon()).await.unwrap_err();
    table.proves("one").await;
    assert_eq!(table.tries("one", 2).await, proven());

    table.wire.script([Act::LoseAnswer]);
    table.store.disprove_credentials(Service::Smartabase, at(300), soon()).await.unwrap_err();
    table.disproves(300).await;
    assert_eq!(table.tries("one", 3).await, Trial::Wait { until: at(300) });
}
