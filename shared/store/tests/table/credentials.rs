//! Probing credentials that are not proven: one attempt at a time, however many processes ask.

use futures::future::join_all;
use store::{ProbeClaim, Service};

use crate::wire::Act;
use crate::{Table, at, soon};

impl Table {
    /// Asks at `at(now)` whether the credentials with this fingerprint may be used. A probe lasts a minute.
    async fn tries(&self, fingerprint: &str, now: i64) -> ProbeClaim {
        let until = at(now + 60);
        self.store.try_credentials(Service::Smartabase, fingerprint, at(now), until, soon()).await.unwrap()
    }

    /// Reports that the probe begun at `at(now)` was accepted, which counts until `at(600)`. Returns whether it was
    /// written.
    async fn proves(&self, fingerprint: &str, now: i64) -> bool {
        let (trial, until) = (at(now + 60), at(600));
        self.store.prove_credentials(Service::Smartabase, fingerprint, trial, until, soon()).await.unwrap()
    }

    /// Probes the credentials at `at(now)`, with success.
    async fn accepts(&self, fingerprint: &str, now: i64) {
        assert_eq!(self.tries(fingerprint, now).await, ProbeClaim::Yours);
        assert!(self.proves(fingerprint, now).await);
    }

    /// Reports a refusal at `at(now)`, which blocks probes until `at(300)`. Returns whether it was written.
    async fn disproves(&self, fingerprint: &str, now: i64) -> bool {
        let (now, until) = (at(now), at(300));
        self.store.disprove_credentials(Service::Smartabase, fingerprint, now, until, soon()).await.unwrap()
    }

    /// Gives up the probe begun at `at(now)`. The next one may begin at `at(until)`.
    async fn leaves(&self, now: i64, until: i64) {
        self.store.leave_trial(Service::Smartabase, at(now + 60), at(until), soon()).await.unwrap();
    }
}

#[tokio::test]
async fn of_twenty_attempts_exactly_one_probes() {
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
async fn proven_credentials_may_be_used_until_the_proof_expires() {
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
async fn an_unfinished_probe_passes_on_when_its_time_is_up() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, ProbeClaim::Yours);
    assert_eq!(table.tries("one", 59).await, ProbeClaim::Wait { until: at(60) });
    assert_eq!(table.tries("one", 60).await, ProbeClaim::Yours);
    assert_eq!(table.tries("one", 61).await, ProbeClaim::Wait { until: at(120) });
}

#[tokio::test]
async fn after_a_refusal_all_credentials_must_wait() {
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
async fn a_proof_covers_one_service_and_one_fingerprint() {
    let table = Table::new().await;
    table.accepts("one", 0).await;
    assert_eq!(table.tries("two", 0).await, ProbeClaim::Yours);
    // While the new credentials are probed, the old ones still count as accepted.
    assert_eq!(table.tries("one", 1).await, ProbeClaim::Proven);
    assert!(table.proves("two", 0).await);
    assert_eq!(table.tries("one", 2).await, ProbeClaim::Yours);
    let elsewhere = table.store.try_credentials(Service::Oura, "two", at(2), at(62), soon()).await.unwrap();
    assert_eq!(elsewhere, ProbeClaim::Yours);
}

#[tokio::test]
async fn a_lost_answer_causes_no_second_probe() {
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
async fn a_late_success_does_not_override_a_refusal() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, ProbeClaim::Yours);
    assert!(table.disproves("one", 0).await);
    assert!(!table.proves("one", 0).await);
    assert_eq!(table.tries("one", 1).await, ProbeClaim::Wait { until: at(300) });
    // Nor is a result that comes after another process has begun the next probe.
    assert_eq!(table.tries("one", 300).await, ProbeClaim::Yours);
    assert_eq!(table.tries("one", 360).await, ProbeClaim::Yours);
    assert!(!table.proves("one", 300).await);
    assert!(table.proves("one", 360).await);
}

#[tokio::test]
async fn a_given_up_probe_passes_on_at_the_given_instant() {
    let table = Table::new().await;
    assert_eq!(table.tries("one", 0).await, ProbeClaim::Yours);
    table.leaves(0, 20).await;
    assert_eq!(table.tries("one", 19).await, ProbeClaim::Wait { until: at(20) });
    assert_eq!(table.tries("one", 20).await, ProbeClaim::Yours);
    // Giving up a probe late, when the next probe has begun, changes neither that probe nor a refusal.
    table.leaves(0, 20).await;
    assert_eq!(table.tries("one", 21).await, ProbeClaim::Wait { until: at(80) });
    assert!(table.disproves("one", 22).await);
    table.leaves(20, 22).await;
    assert_eq!(table.tries("one", 23).await, ProbeClaim::Wait { until: at(300) });
}

#[tokio::test]
async fn a_refusal_of_old_credentials_keeps_the_new_proof() {
    let table = Table::new().await;
    table.accepts("new", 0).await;
    assert!(!table.disproves("old", 1).await);
    assert_eq!(table.tries("new", 1).await, ProbeClaim::Proven);
    // An expired proof does not count.
    assert!(table.disproves("old", 600).await);
}
