//! Which grants the connector revokes at Oura, and which not, because a revocation could end another consent.

use std::time::Duration;

use e2e::{
    ADA, BEN, Spent, ada, ada_and_ben, athlete, audit, connected, connection, curtain, deadline, enrolled, faithful,
    living,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use sim::oura::Life;
use sim::wire::{Answer, Fault, When};
use store::Status;

/// Ada with two rings, each with its own Oura account.
fn ada_with_two_rings() -> Cast {
    let mut cast = ada();
    cast.people.push(living("ada-2", "Europe/Berlin", Life::Regular { since: date(2026, 1, 1) }));
    cast
}

/// Oura takes no revocation until the wire is healed.
fn refuse_revocations(stage: &Stage) {
    let revocation = When::every().path("/oauth/v2/ext/oauth-revoke");
    stage.oura_wire.inject(revocation, Fault::Answer(Answer::status(503)));
}

/// Whether each of a person's grants was revoked, from the oldest to the newest.
fn revoked(stage: &Stage, person: &str) -> Vec<bool> {
    stage.oura.grants(person).iter().map(|grant| grant.revoked).collect()
}

/// Replaces the queued revocation by one without the Oura account, as an earlier release sent it.
fn forget_the_account(stage: &Stage) {
    stage.pass(SignedDuration::from_mins(1));
    let mut received = stage.process.waiting.receive(10);
    assert_eq!(received.len(), 1);
    let mut message: serde_json::Value = serde_json::from_str(&received.remove(0).body).unwrap();
    message.as_object_mut().unwrap().remove("oura_user");
    stage.process.waiting.send(message.to_string(), Duration::ZERO);
}

/// Asserts that a tick can use the connection.
async fn works(stage: &Stage, user: i64, uuid: &str, person: &str) {
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    assert_eq!(connection(stage, uuid).await.unwrap().status, Status::Active);
    faithful(stage, user, person);
    curtain(stage).await;
}

mod a_queued_revocation {
    use super::*;

    #[tokio::test]
    async fn is_not_sent_when_the_athlete_has_reconnected() {
        for account_is_known in [true, false] {
            let stage = connected(ada()).await;
            refuse_revocations(&stage);
            stage.disconnect(ADA).await.unwrap();
            if !account_is_known {
                forget_the_account(&stage);
            }
            assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
            stage.oura_wire.heal();
            let _ = stage.cost();
            stage.settle().await;
            assert_eq!(Spent::since(&stage).revocations, 0);
            assert_eq!(revoked(&stage, "ada"), [false, false]);
            works(&stage, ADA, "uuid-ada", "ada").await;
        }
    }

    #[tokio::test]
    async fn is_not_sent_when_the_ring_feeds_another_athlete() {
        for account_is_known in [true, false] {
            let stage = enrolled(ada_and_ben()).await;
            stage.connect(ADA, "ada").await.unwrap();
            stage.settle().await;
            refuse_revocations(&stage);
            stage.disconnect(ADA).await.unwrap();
            if !account_is_known {
                forget_the_account(&stage);
            }
            assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 200);
            stage.oura_wire.heal();
            let _ = stage.cost();
            stage.settle().await;
            let spent = Spent::since(&stage);
            assert_eq!(spent.revocations, 0);
            assert_eq!(spent.personal, usize::from(!account_is_known), "Oura says whose grant it is");
            assert_eq!(revoked(&stage, "ada"), [false, false]);
            works(&stage, BEN, "uuid-ben", "ada").await;
        }
    }

    #[tokio::test]
    async fn is_sent_when_no_athlete_uses_the_account() {
        for account_is_known in [true, false] {
            let stage = connected(ada()).await;
            refuse_revocations(&stage);
            stage.disconnect(ADA).await.unwrap();
            if !account_is_known {
                forget_the_account(&stage);
            }
            stage.oura_wire.heal();
            stage.settle().await;
            assert_eq!(revoked(&stage, "ada"), [true]);
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn is_sent_when_the_athlete_has_connected_another_ring() {
        let stage = connected_first(ada_with_two_rings()).await;
        refuse_revocations(&stage);
        stage.disconnect(ADA).await.unwrap();
        assert_eq!(stage.connect(ADA, "ada-2").await.unwrap().status, 200);
        stage.oura_wire.heal();
        stage.settle().await;
        assert_eq!((revoked(&stage, "ada"), revoked(&stage, "ada-2")), (vec![true], vec![false]));
        works(&stage, ADA, "uuid-ada", "ada-2").await;
    }

    /// Oura answers 503 to the request for the account of the new grant.
    #[tokio::test]
    async fn waits_until_the_newer_consents_account_is_known() {
        for (ring, is_ended) in [("ada-2", true), ("ada", false)] {
            let stage = connected_first(ada_with_two_rings()).await;
            refuse_revocations(&stage);
            stage.disconnect(ADA).await.unwrap();
            stage.oura_wire.heal();
            let whose = When::every().path("/v2/usercollection/personal_info");
            stage.oura_wire.inject(whose, Fault::Answer(Answer::status(503)));
            assert_eq!(stage.connect(ADA, ring).await.unwrap().status, 200);
            assert_eq!(connection(&stage, "uuid-ada").await.unwrap().oura_user, None);
            for _ in 0..4 {
                stage.pass(SignedDuration::from_mins(1));
                stage.process.work().await;
            }
            assert!(!revoked(&stage, "ada")[0]);
            assert!(stage.process.waiting.bodies().iter().any(|body| body.contains("revoke")), "it is not given up");
            stage.oura_wire.heal();
            stage.pass(SignedDuration::from_mins(15));
            stage.tick().await.unwrap();
            assert_eq!(connection(&stage, "uuid-ada").await.unwrap().oura_user.as_deref(), Some(ring));
            stage.process.work_until(stage.clock.now() + SignedDuration::from_mins(30)).await;
            assert_eq!(revoked(&stage, "ada")[0], is_ended, "{ring}");
            assert!(!revoked(&stage, ring).last().unwrap(), "{ring}");
            assert_eq!(stage.process.waiting.dead_letters(), []);
            works(&stage, ADA, "uuid-ada", ring).await;
        }
    }

    #[tokio::test]
    async fn is_sent_when_the_newer_consent_has_ended() {
        let stage = connected(ada()).await;
        refuse_revocations(&stage);
        stage.disconnect(ADA).await.unwrap();
        stage.connect(ADA, "ada").await.unwrap();
        stage.oura_wire.heal();
        stage.disconnect(ADA).await.unwrap();
        stage.settle().await;
        assert_eq!(revoked(&stage, "ada"), [true, true]);
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn waits_until_oura_names_the_account_of_the_grant() {
        let stage = connected(ada()).await;
        refuse_revocations(&stage);
        stage.disconnect(ADA).await.unwrap();
        forget_the_account(&stage);
        stage.oura_wire.heal();
        let whose = When::every().path("/v2/usercollection/personal_info").first(2);
        stage.oura_wire.inject(whose, Fault::Answer(Answer::status(503)));
        stage.process.work().await;
        assert_eq!(revoked(&stage, "ada"), [false]);
        stage.settle().await;
        assert_eq!(revoked(&stage, "ada"), [true]);
        curtain(&stage).await;
    }
}

/// Both athletes connected Ada's ring while Oura did not name its account. A later sync found that another athlete has
/// it. Returns the athlete whom that sync refused.
async fn taken() -> (Stage, i64, &'static str) {
    let mut cast = ada_and_ben();
    cast.people[0].member = false;
    let stage = enrolled(cast).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.connect(BEN, "ada").await.unwrap();
    stage.settle().await;
    stage.oura.set_member("ada", true);
    stage.pass(SignedDuration::from_hours(25));
    stage.tick().await.unwrap();
    let ada_has_it = connection(&stage, "uuid-ada").await.unwrap().status == Status::Active;
    let (refused, uuid) = if ada_has_it { (BEN, "uuid-ben") } else { (ADA, "uuid-ada") };
    assert_eq!(connection(&stage, uuid).await.unwrap().status, Status::OuraAccountTaken);
    let _ = stage.cost();
    (stage, refused, uuid)
}

mod disconnecting_from_a_taken_account {
    use super::*;

    #[tokio::test]
    async fn leaves_the_other_athletes_consent_alone() {
        // The access token, which Oura needs to name the account, is valid or has expired.
        for idle in [SignedDuration::ZERO, SignedDuration::from_hours(48)] {
            let (stage, refused, _) = taken().await;
            stage.pass(idle);
            let visit = stage.disconnect(refused).await.unwrap();
            assert_eq!(visit.status, 200);
            assert!(visit.page.contains("erased here"), "{}", visit.page);
            stage.settle().await;
            assert_eq!(Spent::since(&stage).revocations, 0);
            assert_eq!(revoked(&stage, "ada"), [false, false]);
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn is_reported_to_the_operator_who_disconnects() {
        let (stage, _, uuid) = taken().await;
        let ended = stage.process.connector.end_connection(&athlete(uuid), deadline()).await.unwrap();
        assert_eq!(format!("{ended:?}"), "InUse");
        assert_eq!(Spent::since(&stage).revocations, 0);
        stage.settle().await;
        curtain(&stage).await;
    }
}

/// Connects the first person's ring to the first user.
async fn connected_first(cast: Cast) -> Stage {
    let stage = enrolled(cast).await;
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    stage.tick().await.unwrap();
    let _ = stage.cost();
    stage
}

mod a_grant_that_is_not_used {
    use super::*;

    #[tokio::test]
    async fn is_left_alone_when_its_account_feeds_another_athlete() {
        let stage = connected_first(ada_and_ben()).await;
        assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 409);
        stage.settle().await;
        assert_eq!(Spent::since(&stage).revocations, 0);
        works(&stage, ADA, "uuid-ada", "ada").await;
    }

    #[tokio::test]
    async fn is_revoked_when_the_other_athletes_consent_has_ended() {
        let stage = connected_first(ada_and_ben()).await;
        stage.oura.withdraw("ada");
        stage.pass(SignedDuration::from_hours(25));
        stage.tick().await.unwrap();
        assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::NeedsConsent);
        assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 409);
        stage.settle().await;
        assert_eq!(revoked(&stage, "ada"), [true, true]);
        curtain(&stage).await;
    }

    /// Oura answers 400 `invalid_request` for a day. The worker keeps the other athlete's grant and tries it once a
    /// day.
    #[tokio::test]
    async fn is_kept_while_the_other_grant_may_be_accepted_again() {
        let stage = connected_first(ada_and_ben()).await;
        let refusal = Answer::status(400).body(r#"{"error":"invalid_request"}"#);
        stage.oura_wire.inject(When::every().path("/oauth/v2/ext/oauth-token"), Fault::Answer(refusal));
        stage.pass(SignedDuration::from_hours(24));
        for _ in 0..26 {
            stage.tick().await.unwrap();
            stage.pass(SignedDuration::from_hours(1));
        }
        let ada = connection(&stage, "uuid-ada").await.unwrap();
        assert_eq!((ada.status, ada.grant.is_some()), (Status::NeedsConsent, true));
        stage.oura_wire.heal();
        let _ = stage.cost();
        assert_eq!(stage.connect(BEN, "ada").await.unwrap().status, 409);
        stage.settle().await;
        assert_eq!(Spent::since(&stage).revocations, 0);
        assert_eq!(revoked(&stage, "ada"), [false, false]);
        stage.pass(SignedDuration::from_hours(24));
        stage.tick().await.unwrap();
        works(&stage, ADA, "uuid-ada", "ada").await;
    }

    #[tokio::test]
    async fn is_revoked_when_another_account_has_replaced_it() {
        let stage = connected_first(ada_with_two_rings()).await;
        assert_eq!(stage.connect(ADA, "ada-2").await.unwrap().status, 200);
        stage.settle().await;
        assert_eq!((revoked(&stage, "ada"), revoked(&stage, "ada-2")), (vec![true], vec![false]));
        works(&stage, ADA, "uuid-ada", "ada-2").await;
    }

    #[tokio::test]
    async fn is_left_alone_when_the_same_account_has_replaced_it() {
        let stage = connected_first(ada()).await;
        assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
        stage.settle().await;
        assert_eq!(Spent::since(&stage).revocations, 0);
        works(&stage, ADA, "uuid-ada", "ada").await;
    }

    #[tokio::test]
    async fn is_revoked_when_it_lacks_the_scope_daily() {
        // At once, or through the queue when Oura refuses at first.
        for refused in [false, true] {
            let stage = enrolled(ada()).await;
            if refused {
                refuse_revocations(&stage);
            }
            let (consent, cookie) = stage.depart(ADA).await.unwrap();
            let back = stage.oura.approve_only(&consent, "ada", &["personal"]);
            let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
            assert_ne!(visit.status, 200, "{}", visit.page);
            assert_eq!(revoked(&stage, "ada"), [!refused]);
            stage.oura_wire.heal();
            stage.settle().await;
            assert_eq!(revoked(&stage, "ada"), [true]);
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn is_kept_when_it_lacks_the_scope_but_the_athlete_is_connected() {
        let stage = connected_first(ada()).await;
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        let back = stage.oura.approve_only(&consent, "ada", &["personal"]);
        stage.arrive(back.as_str(), &cookie).await.unwrap();
        stage.settle().await;
        assert_eq!(Spent::since(&stage).revocations, 0);
        works(&stage, ADA, "uuid-ada", "ada").await;
    }

    #[tokio::test]
    async fn is_revoked_when_the_table_did_not_store_it() {
        let stage = enrolled(ada()).await;
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        stage.table_wire.inject(When::every().operation("TransactWriteItems"), Fault::Answer(Answer::status(500)));
        let back = stage.oura.approve(&consent, "ada");
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        assert_ne!(visit.status, 200, "{}", visit.page);
        stage.table_wire.heal();
        assert!(connection(&stage, "uuid-ada").await.is_none());
        stage.settle().await;
        assert_eq!(revoked(&stage, "ada"), [true]);
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn is_kept_when_only_the_response_of_the_table_was_lost() {
        let stage = enrolled(ada()).await;
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        let (mut written, refusal) = (false, Answer::status(400).body(r#"{"__type":"ValidationException"}"#));
        stage.table_wire.decide(move |seen| {
            let connects = seen.operation == "TransactWriteItems" && !std::mem::replace(&mut written, true);
            connects.then(|| Fault::Replace(refusal.clone()))
        });
        let back = stage.oura.approve(&consent, "ada");
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        assert_ne!(visit.status, 200, "{}", visit.page);
        stage.table_wire.heal();
        stage.settle().await;
        assert_eq!(revoked(&stage, "ada"), [false]);
        works(&stage, ADA, "uuid-ada", "ada").await;
    }

    #[tokio::test]
    async fn is_revoked_when_refreshed_while_the_athlete_disconnected() {
        let stage = connected(ada()).await;
        stage.pass(SignedDuration::from_hours(24));
        stage.process.tick().await.unwrap();
        let (mut down, refusal) = (false, Answer::status(503));
        stage.table_wire.decide(move |seen| {
            down |= seen.operation == "UpdateItem" && String::from_utf8_lossy(&seen.body).contains("token_url");
            down.then(|| Fault::Answer(refusal.clone()))
        });
        stage.process.work().await;
        stage.table_wire.heal();
        assert!(stage.process.waiting.bodies().iter().any(|body| body.contains("rescue")), "the pair is on its way");
        // The disconnect finds the earlier pair, whose refresh token is spent.
        refuse_revocations(&stage);
        stage.disconnect(ADA).await.unwrap();
        stage.oura_wire.heal();
        let names: Vec<_> = stage.process.waiting.bodies();
        assert!(names.iter().any(|body| body.contains("revoke")));
        stage.settle().await;
        assert_eq!(revoked(&stage, "ada"), [true]);
        audit(&stage).await;
    }
}
