//! Credentials that nobody has proven: one attempt at a time, whoever and however many ask.

use futures::future::join_all;
use store::{ProbeClaim, Service};

use crate::wire::Act;
use crate::{Table, at, soon};

impl Table {
    /// Asks at `at(now)` whether the account with this fingerprint may be used; a trial has a minute.
    async fn tries(&self, fingerprint: &str, now: i64) -> ProbeClaim {
        let until = at(now + 60);
        self.store.try_credentials(Service::Smartabase, fingerprint, at(now), until, soon()).await.unwrap()
    }

    /// They were accepted, in the trial that began at `at(now)`; that is believed until `at(600)`. Answers whether it was
    /// written.
    async fn proves(&self, fingerprint: &str, now: i64) -> bool {
        let (trial, until) = (at(now + 60), at(600));
        self.store.prove_credentials(Service::Smartabase, fingerprint, trial, until, soon()).await.unwrap()
    }

    /// They are tried at `at(now)`, and accepted.
    async fn accepts(&self, fingerprint: &str, now: i64) {
        assert_eq!(self.tries(fingerprint, now).await, ProbeClaim::Yours);
        assert!(self.proves(fingerprint, now).await);
    }

    /// They were refused at `at(now)`, and are to be left alone until `at(300)`. Answers whether that was written.
    async fn disproves(&self, fingerprint: &str, now: i64) -> bool {
        let (now, until) = (at(now), at(300));
        self.store.disprove_credentials(Service::Smartabase, fingerprint, now, until, soon()).await.unwrap()
    }

    /// The trial that began at `at(now)` found nothing out; the next is not before `at(until)`.
    async fn leaves(&self, now: i64, until: i64) {
        self.store.leave_trial(Service::Smartabase, at(now + 60), at(until), soon()).await.unwrap();
    }
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
    let yours = trials.iter().filter(|trial| **trial == ProbeClaim::Yours).count();
    let wait = trials.iter().filter(|trial| **trial == ProbeClaim::Wait { until: at(60) }).count();
    assert_eq!((yours, wait), (1, 19));
}

#[tokio::test]
async fn proven_credentials_may_be_used_by_everybody_until_the_proof_is_too_old() {
    let table = Table::new().await;
    table.accepts("one", 0).await;
    table.wire.requests();
    for now in [0, 59, 60, 599] {
        assert_eq!(table.tries("one", now).await, ProbeClaim::Proven);
    }
    assert_eq!(table.wire.requests(), ["GetItem"; 4]);
    assert_eq!(table.tries("one", 600).await, ProbeClaim::Yours, "for one of them");
    assert_eq!(table.tries("one", 601).await, ProbeClaim::Wait { until: at(660) });
}

#[tokio::test]
async fn a_trial_that_never_ended_is_anothers_when_its_time_is_up() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, ProbeClaim::Yours);
    assert_eq!(table.tries("one", 59).await, ProbeClaim::Wait { until: at(60) });
    assert_eq!(table.tries("one", 60).await, ProbeClaim::Yours);
    assert_eq!(table.tries("one", 61).await, ProbeClaim::Wait { until: at(120) });
}

#[tokio::test]
async fn after_a_refusal_nobody_tries_anything_for_a_while() {
    let table = Table::new().await;
    table.accepts("one", 0).await;
    assert!(table.disproves("one", 0).await);
    for fingerprint in ["one", "two"] {
        assert_eq!(table.tries(fingerprint, 299).await, ProbeClaim::Wait { until: at(300) }, "{fingerprint}");
    }
    table.accepts("two", 300).await;
    assert_eq!(table.tries("two", 301).await, ProbeClaim::Proven);
}

#[tokio::test]
async fn what_is_proven_says_nothing_about_other_credentials_or_another_service() {
    let table = Table::new().await;
    table.accepts("one", 0).await;
    assert_eq!(table.tries("two", 0).await, ProbeClaim::Yours);
    // While the new ones are tried, the old ones are still those that were accepted.
    assert_eq!(table.tries("one", 1).await, ProbeClaim::Proven);
    assert!(table.proves("two", 0).await);
    assert_eq!(table.tries("one", 2).await, ProbeClaim::Yours);
    let elsewhere = table.store.try_credentials(Service::Oura, "two", at(2), at(62), soon()).await.unwrap();
    assert_eq!(elsewhere, ProbeClaim::Yours);
}

#[tokio::test]
async fn an_answer_lost_on_the_way_costs_time_and_never_a_second_attempt() {
    let table = Table::new().await;
    table.wire.script([Act::Pass, Act::LoseAnswer]);
    let lost = table.store.try_credentials(Service::Smartabase, "one", at(0), at(60), soon()).await;
    lost.unwrap_err();
    assert_eq!(table.tries("one", 1).await, ProbeClaim::Wait { until: at(60) }, "nobody knows whose it is");

    assert_eq!(table.tries("one", 60).await, ProbeClaim::Yours);
    table.wire.script([Act::LoseAnswer]);
    let lost = table.store.prove_credentials(Service::Smartabase, "one", at(120), at(600), soon()).await;
    lost.unwrap_err();
    assert!(!table.proves("one", 60).await, "there is no trial any more");
    assert_eq!(table.tries("one", 61).await, ProbeClaim::Proven);

    table.wire.script([Act::LoseAnswer]);
    let lost = table.store.disprove_credentials(Service::Smartabase, "one", at(62), at(300), soon()).await;
    lost.unwrap_err();
    assert!(table.disproves("one", 62).await);
    assert_eq!(table.tries("one", 62).await, ProbeClaim::Wait { until: at(300) });
}

#[tokio::test]
async fn who_was_let_in_before_a_refusal_and_says_so_after_it_is_not_believed() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, ProbeClaim::Yours);
    assert!(table.disproves("one", 0).await);
    assert!(!table.proves("one", 0).await);
    assert_eq!(table.tries("one", 1).await, ProbeClaim::Wait { until: at(300) });
    // Nor whoever took so long that it became another's turn.
    assert_eq!(table.tries("one", 300).await, ProbeClaim::Yours);
    assert_eq!(table.tries("one", 360).await, ProbeClaim::Yours);
    assert!(!table.proves("one", 300).await);
    assert!(table.proves("one", 360).await);
}

#[tokio::test]
async fn a_trial_that_found_nothing_out_is_anothers_from_when_it_says() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, ProbeClaim::Yours);
    table.leaves(0, 20).await;
    assert_eq!(table.tries("one", 19).await, ProbeClaim::Wait { until: at(20) });
    assert_eq!(table.tries("one", 20).await, ProbeClaim::Yours);
    // Whoever took so long that it became another's turn leaves nobody else's trial, and no refusal.
    table.leaves(0, 20).await;
    assert_eq!(table.tries("one", 21).await, ProbeClaim::Wait { until: at(80) });
    assert!(table.disproves("one", 22).await);
    table.leaves(20, 22).await;
    assert_eq!(table.tries("one", 23).await, ProbeClaim::Wait { until: at(300) });
}

#[tokio::test]
async fn a_refusal_of_credentials_that_were_replaced_says_nothing_about_those_that_are_right() {
    let table = Table::new().await;
    table.accepts("new", 0).await;
    assert!(!table.disproves("old", 1).await);
    assert_eq!(table.tries("new", 1).await, ProbeClaim::Proven);
    // A proof that is too old is none.
    assert!(table.disproves("old", 600).await);
}
