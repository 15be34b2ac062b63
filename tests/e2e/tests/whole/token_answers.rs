//! Unusual token responses. A response with both tokens is used, and only `invalid_grant` ends the consent.
//! `shared/oura/tests/it/token_answers.rs` lists the meaning of each response; these tests show what follows from it.

use std::time::Duration;

use connector::queue::message::Job;
use e2e::{
    ADA, Order, STANDINGS, Spent, ada, athlete, connected, connection, curtain, deadline, enrolled, faithful,
    gives_nothing_away, log, squad,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use oura::ClientCredentials;
use serde_json::json;
use sim::oura::{LifetimeFormat, ScopeFormat, TokenErrorStatus};
use sim::wire::{Answer, Fault, Gate, When};
use store::{Connection, Status};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const TOKEN: &str = "/oauth/v2/ext/oauth-token";

/// Until an access token that lasts a day has four minutes left.
const NEARLY_A_DAY: SignedDuration = SignedDuration::from_mins(24 * 60 - 4);

/// When a job is retried after its refresh failed.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

async fn adas(stage: &Stage) -> Connection {
    connection(stage, "uuid-ada").await.unwrap()
}

/// Ada, asked for three scopes, at an Oura with changed settings.
fn ada_at(change: impl FnOnce(&mut sim::oura::Settings)) -> Cast {
    let mut cast = ada();
    cast.variables.push(("OURA_SCOPES", "daily personal heartrate".to_owned()));
    change(&mut cast.oura);
    cast
}

/// Runs a tick and its jobs once, without their retries.
async fn tick_once(stage: &Stage) {
    stage.process.tick().await.unwrap();
    stage.process.work().await;
}

/// `"expires_in"` is `"86400"`, `null`, `0`, or absent.
mod odd_lifetime {
    use super::*;

    const FORMATS: [LifetimeFormat; 4] =
        [LifetimeFormat::Text, LifetimeFormat::Null, LifetimeFormat::Zero, LifetimeFormat::Absent];

    #[tokio::test]
    async fn connects_and_refreshes() {
        for format in FORMATS {
            let stage = connected(ada_at(|oura| oura.lifetime_format = format)).await;
            for generation in 2..4 {
                stage.pass(NEARLY_A_DAY);
                stage.tick().await.unwrap();
                let known = adas(&stage).await;
                assert_eq!((known.status, known.generation), (Status::Active, generation), "{format:?}");
            }
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn is_refreshed_by_a_401_before_the_assumed_end() {
        for format in FORMATS {
            let stage = connected(ada_at(|oura| oura.lifetime_format = format)).await;
            stage.oura.expire_access_tokens("ada");
            stage.pass(PERIOD);
            stage.tick().await.unwrap();
            let known = adas(&stage).await;
            assert_eq!((known.status, known.generation), (Status::Active, 2), "{format:?}");
            let spent = Spent::since(&stage);
            assert_eq!((spent.tokens, spent.collections), (1, 8), "{format:?}");
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn is_not_refreshed_at_every_tick() {
        let stage = connected(ada_at(|oura| oura.lifetime_format = LifetimeFormat::Absent)).await;
        for _ in 0..8 {
            stage.pass(PERIOD);
            stage.tick().await.unwrap();
        }
        assert_eq!(Spent::since(&stage).tokens, 2, "about once an hour");
        curtain(&stage).await;
    }
}

/// `{"access_token": "...", "expires_in": 86400}`
mod no_refresh_token {
    use super::*;

    #[tokio::test]
    async fn keeps_the_stored_one_and_uses_the_access_token() {
        let stage = connected(ada_at(|oura| oura.rotates_refresh_tokens = false)).await;
        for generation in 2..4 {
            let nights = 18_000 + 600 * generation;
            stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = nights.into());
            stage.pass(NEARLY_A_DAY);
            stage.tick().await.unwrap();
            let spent = Spent::since(&stage);
            assert_eq!((spent.tokens, spent.imports > 0), (1, true));
            assert_eq!(adas(&stage).await.generation, generation, "stored, like any other grant");
            faithful(&stage, ADA, "ada");
        }
        // Oura still accepts the stored refresh token.
        stage.oura.configure(|oura| oura.rotates_refresh_tokens = true);
        stage.pass(NEARLY_A_DAY);
        stage.tick().await.unwrap();
        assert_eq!(adas(&stage).await.generation, 4);
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn is_stored_before_the_access_token_is_used() {
        let stage = connected(ada_at(|oura| oura.rotates_refresh_tokens = false)).await;
        stage.pass(NEARLY_A_DAY);
        let order = Order::watch(&stage);
        stage.tick().await.unwrap();
        let (refresh, writes, uses) = (order.of(TOKEN), order.of("UpdateItem"), order.of("/v2/usercollection"));
        assert_eq!((refresh.len(), uses.len()), (1, 4));
        // The first write claims the lease, the next one stores the grant.
        assert!(writes.iter().any(|write| refresh[0] < *write && *write < uses[0]), "{writes:?}");
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn at_a_code_exchange_connects_no_athlete_and_says_why() {
        let stage = enrolled(ada()).await;
        let lone = json!({"access_token": "lone", "token_type": "bearer", "expires_in": 86_400});
        stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(Answer::json(&lone)));
        let visit = stage.connect(ADA, "ada").await.unwrap();
        assert_ne!(visit.status, 200);
        gives_nothing_away(&stage, &visit.page);
        assert!(connection(&stage, "uuid-ada").await.is_none());
        assert!(log::everything().contains("no refresh token, so it could not be kept alive"));
    }
}

/// 200 with `{"error": "invalid_grant"}` or `{"error": "invalid_client"}`
mod error_with_status_200 {
    use super::*;

    #[tokio::test]
    async fn ends_a_consent_that_was_withdrawn() {
        let stage = connected(ada_at(|oura| oura.token_error_status = TokenErrorStatus::Ok)).await;
        stage.oura.withdraw("ada");
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(adas(&stage).await.status, Status::NeedsConsent);
        stage.pass(PERIOD);
        let _ = stage.cost();
        stage.tick().await.unwrap();
        assert_eq!(Spent::since(&stage).tokens, 0, "only the athlete can change it");
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn pauses_all_athletes_when_the_client_secret_is_wrong() {
        let mut cast = squad(2);
        cast.oura.token_error_status = TokenErrorStatus::Ok;
        let stage = connected(cast).await;
        let credentials =
            |secret: &str| ClientCredentials { client_id: "client".to_owned(), client_secret: secret.into() };
        stage.secrets().unwrap().replace_oura(credentials("outdated"));
        stage.pass(NEARLY_A_DAY);
        tick_once(&stage).await;
        let store = &stage.process.connector.store;
        let holds = store.snapshot(&[athlete("uuid-2001")], deadline().instant()).await.unwrap().holds;
        assert!(holds.oura.is_some_and(|hold| hold.until > stage.clock.now()));
        stage.secrets().unwrap().replace_oura(credentials("client-secret"));
        stage.settle().await;
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        for number in 2001..2003 {
            assert_eq!(connection(&stage, &format!("uuid-{number}")).await.unwrap().status, Status::Active);
            faithful(&stage, number, &format!("p{number}"));
        }
        curtain(&stage).await;
    }
}

/// Readable: `"daily,personal"`, `"daily+personal"`, `"DAILY PERSONAL"`, `["daily", "personal"]`. Unreadable:
/// `{"daily": true}` and `"read"`.
mod scope_list {
    use super::*;

    const READ: [ScopeFormat; 4] = [ScopeFormat::Commas, ScopeFormat::Pluses, ScopeFormat::Capitals, ScopeFormat::List];
    const UNREADABLE: [ScopeFormat; 2] = [ScopeFormat::Object, ScopeFormat::Foreign];

    #[tokio::test]
    async fn is_read_at_connect_and_at_a_refresh() {
        for format in READ {
            let stage = connected(ada_at(|oura| oura.scope_format = format)).await;
            assert_eq!(adas(&stage).await.scopes, "daily heartrate personal", "{format:?}");
            stage.pass(NEARLY_A_DAY);
            stage.tick().await.unwrap();
            let known = adas(&stage).await;
            assert_eq!((known.status, known.generation), (Status::Active, 2), "{format:?}");
            assert_eq!(known.scopes, "daily heartrate personal", "{format:?}");
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn without_daily_is_a_withdrawal_in_every_format() {
        for format in READ {
            let stage = connected(ada_at(|oura| oura.scope_format = format)).await;
            stage.oura.withdraw_scope("ada", "daily");
            stage.pass(NEARLY_A_DAY);
            stage.tick().await.unwrap();
            assert_eq!(adas(&stage).await.status, Status::ScopeMissing, "{format:?}");
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn that_cannot_be_read_changes_nothing_at_a_refresh() {
        for format in UNREADABLE {
            let stage = connected(ada_at(|_| {})).await;
            stage.oura.configure(|oura| oura.scope_format = format);
            stage.pass(NEARLY_A_DAY);
            stage.tick().await.unwrap();
            let known = adas(&stage).await;
            assert_eq!((known.status, known.generation), (Status::Active, 2), "{format:?}");
            assert_eq!(known.scopes, "daily heartrate personal", "{format:?}");
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }

    /// The token response does not say what was granted, so the `scope` of the callback counts.
    #[tokio::test]
    async fn of_the_callback_is_read_in_the_same_way() {
        for (said, granted) in [
            ("daily,personal", Some("daily personal")),
            ("EXTAPI:DAILY EXTAPI:PERSONAL", Some("daily personal")),
            ("daily+personal", Some("daily personal")),
            // It can't be read, so the scopes that were asked for count.
            ("read", Some("daily heartrate personal")),
            // Nothing was granted, or sleep data was left out.
            ("", None),
            ("personal,heartrate", None),
        ] {
            let stage = enrolled(ada_at(|oura| oura.scope_format = ScopeFormat::Object)).await;
            let (consent, cookie) = stage.depart(ADA).await.unwrap();
            let mut back = stage.oura.approve(&consent, "ada");
            let pairs: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "scope").collect();
            back.query_pairs_mut().clear().extend_pairs(pairs).append_pair("scope", said);
            let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
            let connected = connection(&stage, "uuid-ada").await.map(|known| known.scopes);
            assert_eq!(connected.as_deref(), granted, "{said}: {}", visit.page);
        }
    }
}

/// 503, an HTML page, or a lost connection, once. The refresh token is still valid.
mod no_pair_came {
    use super::*;

    fn failures() -> Vec<Fault> {
        vec![
            Fault::Answer(Answer::status(503)),
            Fault::Answer(Answer::status(403).body("<html>Request blocked</html>")),
            Fault::Answer(Answer::html()),
            Fault::Answer(Answer::json(&json!({"status": "ok"}))),
            Fault::DropBefore,
        ]
    }

    #[tokio::test]
    async fn is_tried_again_when_the_job_is_retried() {
        for fault in failures() {
            let stage = connected(ada()).await;
            let what = format!("{fault:?}");
            stage.oura_wire.inject(When::every().path(TOKEN).first(1), fault);
            stage.pass(NEARLY_A_DAY);
            tick_once(&stage).await;
            let failed = adas(&stage).await;
            assert_eq!((failed.generation, failed.status, failed.lease), (1, Status::Active, None), "{what}");
            stage.pass(RETRY);
            stage.process.work().await;
            let known = adas(&stage).await;
            assert_eq!((known.generation, known.refresh_begun), (2, None), "{what}");
            assert_eq!(Spent::since(&stage).tokens, 2, "{what}");
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }

    /// The response with the new pair was lost. Only a new consent helps, so the athlete is asked soon to connect
    /// again.
    #[tokio::test]
    async fn after_the_token_was_spent_asks_for_consent_at_the_retry() {
        let stage = connected(ada()).await;
        stage.oura_wire.inject(When::every().path(TOKEN).first(1), Fault::DropAfter);
        stage.pass(NEARLY_A_DAY);
        tick_once(&stage).await;
        assert_eq!(adas(&stage).await.status, Status::Active);
        stage.pass(RETRY);
        stage.process.work().await;
        assert_eq!(adas(&stage).await.status, Status::NeedsConsent);
    }

    /// Meanwhile another job of the same athlete waits for the lease.
    #[tokio::test]
    async fn does_not_send_the_token_again_at_once() {
        let stage = connected(ada()).await;
        stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(Answer::status(503)));
        stage.pass(NEARLY_A_DAY);
        let days = (date(2026, 2, 20), date(2026, 2, 21));
        let other = Job::Backfill { athlete: athlete("uuid-ada"), from: days.0, to: days.1, put_off: 0 };
        stage.process.tick().await.unwrap();
        stage.process.waiting.send(other.to_message(), Duration::ZERO);
        let _ = stage.cost();
        stage.process.work().await;
        assert_eq!(Spent::since(&stage).tokens, 1);
        stage.oura_wire.heal();
        stage.settle().await;
        assert_eq!(adas(&stage).await.generation, 2);
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }

    /// A worker that died may have sent the pair to the queue. For ten minutes, no job sends the token again.
    #[tokio::test]
    async fn after_a_worker_died_waits_ten_minutes() {
        let stage = connected(ada()).await;
        let gate = Gate::new();
        stage.oura_wire.inject(When::every().path(TOKEN).first(1), Fault::HoldBefore(gate.clone()));
        stage.pass(NEARLY_A_DAY);
        stage.process.tick().await.unwrap();
        tokio::select! {
            _ = stage.process.work() => panic!("the worker goes on"),
            () = gate.reached() => {}
        }
        stage.oura_wire.heal();
        let _ = stage.cost();
        // The lease has expired.
        stage.pass(SignedDuration::from_mins(4));
        tick_once(&stage).await;
        assert_eq!(Spent::since(&stage).tokens, 0);
        for _ in 0..3 {
            stage.pass(PERIOD);
            stage.tick().await.unwrap();
        }
        assert_eq!(adas(&stage).await.generation, 2);
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

/// 400 `invalid_request`, as an older token server may answer after Oura has replaced it.
mod refused_for_a_day {
    use super::*;

    fn refuse(stage: &Stage, code: &str) {
        let refusal = Answer::status(400).body(&json!({ "error": code }).to_string());
        stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(refusal));
    }

    /// Runs ticks, one an hour.
    async fn hours(stage: &Stage, hours: usize) {
        for _ in 0..hours {
            stage.tick().await.unwrap();
            stage.pass(SignedDuration::from_hours(1));
        }
    }

    fn reason(stage: &Stage) -> String {
        let form = stage.smartabase.profile(ADA, STANDINGS).unwrap();
        form.value("Reason").unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn asks_the_athlete_to_connect_again_and_says_why() {
        let stage = connected(ada()).await;
        stage.pass(NEARLY_A_DAY);
        refuse(&stage, "invalid_request");
        hours(&stage, 23).await;
        let refused = adas(&stage).await;
        assert_eq!(refused.status, Status::Active, "the operator is told first");
        assert!(refused.note.unwrap().contains("check OuraTokenUrl"));
        hours(&stage, 3).await;
        let asked = adas(&stage).await;
        assert_eq!((asked.status, asked.grant.is_some()), (Status::NeedsConsent, true));
        assert!(asked.note.unwrap().contains("refused to refresh this grant for a day"));
        assert!(reason(&stage).contains("the athlete connects again"), "{}", reason(&stage));
        stage.oura_wire.heal();
        assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
        stage.settle().await;
        let again = adas(&stage).await;
        assert_eq!((again.status, again.note, again.refresh_refused), (Status::Active, None, None));
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn is_tried_once_a_day_and_recovers_when_accepted_again() {
        let stage = connected(ada()).await;
        stage.pass(NEARLY_A_DAY);
        refuse(&stage, "invalid_request");
        hours(&stage, 26).await;
        assert_eq!(adas(&stage).await.status, Status::NeedsConsent);
        let _ = stage.cost();
        hours(&stage, 48).await;
        assert_eq!(Spent::since(&stage).tokens, 2, "once a day");
        stage.oura_wire.heal();
        hours(&stage, 24).await;
        let known = adas(&stage).await;
        assert_eq!((known.status, known.note, known.generation > 1), (Status::Active, None, true));
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn counts_from_the_first_refusal_of_this_grant() {
        let stage = connected(ada()).await;
        for _ in 0..2 {
            stage.pass(NEARLY_A_DAY);
            refuse(&stage, "invalid_request");
            hours(&stage, 20).await;
            stage.oura_wire.heal();
            hours(&stage, 1).await;
            let known = adas(&stage).await;
            assert_eq!((known.status, known.note, known.refresh_refused), (Status::Active, None, None));
        }
        curtain(&stage).await;
    }

    /// If the operator's settings for the current token server are wrong, the athlete is not asked to act.
    #[tokio::test]
    async fn by_another_code_asks_nothing_of_the_athlete() {
        for code in ["unauthorized_client", "unsupported_grant_type"] {
            let stage = connected(ada()).await;
            stage.pass(NEARLY_A_DAY);
            refuse(&stage, code);
            hours(&stage, 50).await;
            assert_eq!(adas(&stage).await.status, Status::Active, "{code}");
            stage.oura_wire.heal();
            hours(&stage, 1).await;
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }

    /// The operator has switched to another token server, and the old one no longer knows the application.
    #[tokio::test]
    async fn by_a_server_that_is_no_longer_in_use_asks_the_athlete() {
        for (status, code) in [(401, "invalid_client"), (400, "unauthorized_client")] {
            let stage = connected(ada()).await;
            let mut settings = stage.process.connector.settings.clone();
            settings.oura.token = "http://127.0.0.1:9/oauth/token".parse().unwrap();
            let moved = e2e::beside_with(&stage, settings, stage.process.connector.forms.clone()).await;
            let refusal = Answer::status(status).body(&json!({ "error": code }).to_string());
            stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(refusal));
            stage.pass(NEARLY_A_DAY);
            for _ in 0..26 {
                moved.tick().await.unwrap();
                moved.work().await;
                stage.pass(SignedDuration::from_hours(1));
            }
            assert_eq!(adas(&stage).await.status, Status::NeedsConsent, "{code}");
        }
    }
}
