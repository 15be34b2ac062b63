//! Oura sends the athlete back with an error code instead of an authorization code. Who sees which message for each
//! code.

use e2e::log::printed;
use e2e::{ADA, STANDINGS, Spent, ada, connected, connection, curtain, enrolled};
use jiff::SignedDuration;
use local::Stage;
use serde_json::Value;
use sim::wire::{Answer, Fault, When};
use store::Status;
use url::Url;

/// Ends a visit with this error code. Returns the status, the page, and the log lines since the visit began.
async fn sent_back(stage: &Stage, code: &str) -> (u16, String, Vec<Value>) {
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let mut back: Url = stage.oura.decline(&consent);
    let kept: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "error").collect();
    back.query_pairs_mut().clear().extend_pairs(kept).append_pair("error", code);
    let _ = printed();
    let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
    let log = printed().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(connection(stage, "uuid-ada").await.is_none());
    (visit.status, visit.page, log)
}

fn errors(log: &[Value]) -> Vec<&Value> {
    log.iter().filter(|line| line["level"] == "ERROR").collect()
}

fn needs_operator(log: &[Value]) -> u64 {
    log.iter().filter_map(|line| line["NeedsOperator"].as_u64()).sum()
}

#[tokio::test]
async fn configuration_error_is_reported_to_the_operator() {
    let stage = enrolled(ada()).await;
    for code in [
        "unauthorized_client",
        "invalid_scope",
        "invalid_request",
        "consent_required",
        "unsupported_response_type",
        "a_new_1",
    ] {
        let (status, page, log) = sent_back(&stage, code).await;
        assert!(status == 503 && page.contains("This service needs attention"), "{code}: {page}");
        let [error] = errors(&log)[..] else { panic!("{code}: {log:?}") };
        assert_eq!(error["error"], code);
        assert_eq!(needs_operator(&log), 1, "{code}");
    }
    assert_eq!(Spent::since(&stage).tokens, 0);
    curtain(&stage).await;
}

#[tokio::test]
async fn a_malformed_error_code_is_not_logged() {
    let stage = enrolled(ada()).await;
    for code in ["<script>alert(1)</script>", "Invalid Scope", "a\u{1b}[31m", &"a".repeat(41), "zürich", "a\nb"] {
        let (status, page, log) = sent_back(&stage, code).await;
        assert!(status == 503 && page.contains("This service needs attention"), "{code}: {page}");
        let [error] = errors(&log)[..] else { panic!("{code}: {log:?}") };
        assert_eq!(error["error"], "not an error code", "{code}");
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn a_temporary_error_asks_the_athlete_to_try_again() {
    let stage = enrolled(ada()).await;
    for code in ["server_error", "temporarily_unavailable"] {
        let (status, page, log) = sent_back(&stage, code).await;
        assert!(status == 502 && page.contains("Oura did not answer"), "{code}: {page}");
        assert_eq!((errors(&log).len(), needs_operator(&log)), (0, 0), "{code}");
        assert!(log.iter().any(|line| line["level"] == "WARN" && line["error"] == code), "{code}: {log:?}");
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn a_declined_consent_logs_no_warning() {
    let stage = enrolled(ada()).await;
    let (status, page, log) = sent_back(&stage, "access_denied").await;
    assert!(status == 200 && page.contains("Nothing was connected"), "{page}");
    assert!(errors(&log).is_empty() && !log.iter().any(|line| line["level"] == "WARN"), "{log:?}");
    curtain(&stage).await;
}

/// The same configuration errors, found one step later.
#[tokio::test]
async fn refused_code_exchange_is_reported_to_the_operator() {
    let stage = enrolled(ada()).await;
    for code in ["unauthorized_client", "invalid_scope", "invalid_request"] {
        let body = format!(r#"{{"error":"{code}"}}"#);
        let refusal = Answer::status(400).body(&body).header("content-type", "application/json");
        stage.oura_wire.inject(When::every().path("/oauth/v2/ext/oauth-token"), Fault::Answer(refusal));
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        let back = stage.oura.approve(&consent, "ada");
        let _ = printed();
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        stage.oura_wire.heal();
        let log: Vec<Value> = printed().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(visit.status, 503, "{}", visit.page);
        let [error] = errors(&log)[..] else { panic!("{code}: {log:?}") };
        assert!(error["error"].as_str().unwrap().contains(code), "{error}");
        assert_eq!(needs_operator(&log), 1, "{code}");
    }
    curtain(&stage).await;
}

/// The same error at the daily check of an athlete who must update the Oura app. Staff still read that; the operator
/// finds the error in the log.
#[tokio::test]
async fn refused_refresh_keeps_the_daily_check_of_an_outdated_app() {
    let stage = connected(ada()).await;
    let hours = async |hours: usize| {
        let _ = stage.cost();
        let _ = printed();
        for _ in 0..hours {
            stage.pass(SignedDuration::from_hours(1));
            stage.tick().await.unwrap();
        }
        Spent::since(&stage).tokens
    };
    let staff_read = || stage.smartabase.profile(ADA, STANDINGS).unwrap().value("Status").unwrap().to_owned();
    stage.oura.set_outdated_app("ada", true);
    hours(1).await;
    let found = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((found.status, staff_read()), (Status::MembershipLapsed, "needs to update the Oura app".to_owned()));
    let refusal = Answer::status(400).body(r#"{"error":"unauthorized_client"}"#);
    stage.oura_wire.inject(When::every().path("/oauth/v2/ext/oauth-token"), Fault::Answer(refusal));
    assert_eq!(hours(25).await, 1);
    assert!(printed().contains("check OuraTokenUrl"));
    assert_eq!(hours(48).await, 2, "one look a day");
    let refused = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((refused.status, refused.note), (found.status, found.note));
    assert_eq!(staff_read(), "needs to update the Oura app");
    stage.oura_wire.heal();
    stage.oura.set_outdated_app("ada", false);
    hours(25).await;
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    curtain(&stage).await;
}
