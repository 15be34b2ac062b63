//! The metrics behind the alarms and the dashboard, read from the log as CloudWatch reads it.

use std::collections::BTreeMap;

use e2e::{ADA, ada, ada_and_ben, connected, curtain, enrolled};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use runtime::telemetry;
use serde_json::Value;
use sim::oura::Tier;
use sim::wire::{Answer, Fault, When};

use e2e::log::{listen, printed};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const TOKEN: &str = "/oauth/v2/ext/oauth-token";

/// Sums of the counts, and maxima of the durations, since the last call.
fn look() -> BTreeMap<String, u64> {
    let text = printed();
    let mut seen = BTreeMap::new();
    for document in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(directive) = document["_aws"]["CloudWatchMetrics"].get(0) else { continue };
        assert_eq!(directive["Namespace"], telemetry::NAMESPACE);
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let value = document[name].as_u64().unwrap();
            let sum = seen.entry(name.to_owned()).or_default();
            *sum = if metric["Unit"] == "Seconds" { value.max(*sum) } else { value + *sum };
        }
    }
    seen
}

/// The metrics of a tick and of the first attempt at each of its jobs. Retries run before the next call.
async fn tick(stage: &Stage) -> BTreeMap<String, u64> {
    stage.settle().await;
    stage.pass(PERIOD);
    look();
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    look()
}

fn metrics<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn sleeps_differently(stage: &Stage, seconds: i64) {
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = seconds.into());
}

#[tokio::test]
async fn tick_counts_syncs_writes_and_requests_to_oura() {
    listen();
    let stage = enrolled(ada_and_ben()).await;
    let idle = metrics([("AthletesConnected", 0), ("AthletesPostponed", 0), ("OverBudget", 0)]);
    assert_eq!(tick(&stage).await, idle, "nobody is connected, and nobody is missed");
    let stage = connected(ada_and_ben()).await;
    let quiet = [
        ("AthletesActive", 2),
        ("AthletesConnected", 2),
        ("AthletesPostponed", 0),
        ("OuraRequests", 8),
        ("OverBudget", 0),
        ("SyncsDone", 2),
    ];
    assert_eq!(tick(&stage).await, metrics(quiet));
    sleeps_differently(&stage, 18_000);
    let mut revised = metrics(quiet);
    revised.extend(metrics([("SyncsChanged", 1), ("RecordsWritten", 1)]));
    assert_eq!(tick(&stage).await, revised);
    curtain(&stage).await;
}

#[tokio::test]
async fn sync_lag_grows_until_the_athletes_are_synced() {
    listen();
    let stage = connected(ada_and_ben()).await;
    stage.oura_wire.inject(When::every().path("/v2/usercollection"), Fault::Answer(Answer::status(503)));
    for ticks in 1..=9 {
        let seen = tick(&stage).await;
        assert_eq!((seen["SyncsDone"], seen["SyncsFailed"]), (0, 2), "the sum an alarm waits for is there, and nought");
        assert!(seen["SyncLag"] >= ticks * 15 * 60, "{seen:?}");
    }
    stage.oura_wire.heal();
    let seen = tick(&stage).await;
    assert_eq!((seen["SyncsDone"], seen.get("SyncLag")), (2, None));
    curtain(&stage).await;
}

/// 403 with an HTML page, on all collections of all athletes, for hours.
#[tokio::test]
async fn firewall_in_front_of_oura_raises_failures_and_lag() {
    listen();
    let stage = connected(ada_and_ben()).await;
    let page = Answer::status(403).header("content-type", "text/html").body("<html><h1>Access denied</h1></html>");
    stage.oura_wire.inject(When::every().path("/v2/usercollection"), Fault::Answer(page));
    for ticks in 1..=9 {
        let seen = tick(&stage).await;
        assert_eq!((seen["SyncsDone"], seen["SyncsFailed"], seen["AthletesActive"]), (0, 2, 2));
        assert!(seen["SyncLag"] >= ticks * 15 * 60, "{seen:?}");
        assert_eq!((seen.get("NeedsAthlete"), seen.get("NeedsOperator")), (None, None));
    }
    stage.oura_wire.heal();
    let seen = tick(&stage).await;
    assert_eq!((seen["SyncsDone"], seen.get("SyncLag")), (2, None));
    curtain(&stage).await;
}

/// 426 on all collections of one athlete.
#[tokio::test]
async fn outdated_app_is_counted_and_alarms_no_operator() {
    listen();
    let stage = connected(ada_and_ben()).await;
    stage.oura.set_outdated_app("ada", true);
    let seen = tick(&stage).await;
    let counted = |seen: &BTreeMap<String, u64>, name: &str| seen.get(name).copied();
    assert_eq!((counted(&seen, "NeedsAthlete"), counted(&seen, "SyncsDone")), (Some(1), Some(1)));
    for _ in 0..12 {
        let seen = tick(&stage).await;
        let names =
            ["AthletesActive", "AthletesWithOutdatedApp", "AthletesWithoutMembership", "NeedsOperator", "SyncLag"];
        assert_eq!(names.map(|name| counted(&seen, name)), [Some(1), Some(1), None, None, None]);
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn athlete_who_must_act_is_not_counted_as_synced() {
    listen();
    let stage = connected(ada_and_ben()).await;
    stage.oura.withdraw("ben");
    assert_eq!(tick(&stage).await["NeedsAthlete"], 1);
    assert_eq!(tick(&stage).await["SyncsDone"], 1, "Ada's");
    stage.oura_wire.inject(When::every().path("/v2/usercollection"), Fault::Answer(Answer::status(503)));
    for _ in 0..3 {
        let seen = tick(&stage).await;
        assert_eq!((seen["SyncsDone"], seen["AthletesActive"], seen["AthletesWithoutConsent"]), (0, 1, 1));
    }
    // The worker drops a job that is too old in favour of the next, and does not count it as a sync.
    stage.process.tick().await.unwrap();
    stage.pass(PERIOD + SignedDuration::from_secs(1));
    look();
    stage.process.work().await;
    assert_eq!(look().get("SyncsDone"), Some(&0));
}

#[tokio::test]
async fn no_sync_is_expected_where_all_athletes_must_act() {
    listen();
    let stage = connected(ada()).await;
    stage.oura.withdraw("ada");
    tick(&stage).await;
    for _ in 0..3 {
        let seen = tick(&stage).await;
        assert_eq!(
            (seen.get("SyncsDone"), seen["AthletesWithoutConsent"]),
            (None, 1),
            "an alarm would ring for nobody"
        );
    }
}

#[tokio::test]
async fn tick_cancelled_by_a_hold_counts_zero_syncs() {
    listen();
    let stage = connected(ada()).await;
    stage.oura.throttle(Tier::Application, "", stage.clock.now() + SignedDuration::from_hours(2));
    tick(&stage).await;
    let seen = tick(&stage).await;
    assert_eq!((seen["SyncsDone"], seen["AthletesPostponed"]), (0, 1));
}

#[tokio::test]
async fn athlete_who_must_act_is_counted_by_reason_without_lag() {
    listen();
    let stage = connected(ada_and_ben()).await;
    stage.oura.withdraw("ada");
    let seen = tick(&stage).await;
    assert_eq!((seen["NeedsAthlete"], seen["ConsentsLost"], seen["SyncsDone"]), (1, 1, 1));
    stage.oura.set_member("ben", false);
    assert_eq!(tick(&stage).await["NeedsAthlete"], 1);
    for _ in 0..12 {
        let seen = tick(&stage).await;
        let states = ["AthletesActive", "AthletesWithoutConsent", "AthletesWithoutMembership", "SyncLag"];
        assert_eq!(states.map(|name| seen.get(name).copied()), [None, Some(1), Some(1), None]);
    }
}

#[tokio::test]
async fn refreshes_are_counted_by_how_they_end() {
    listen();
    let stage = connected(ada()).await;
    stage.oura.expire_access_tokens("ada");
    assert_eq!(tick(&stage).await["RefreshesDone"], 1);
    stage.oura.expire_access_tokens("ada");
    stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(Answer::status(503)));
    let seen = tick(&stage).await;
    assert_eq!((seen["RefreshesFailed"], seen.get("RefreshesDone")), (1, None));
    stage.oura_wire.heal();
    stage.settle().await;
    assert_eq!(look()["RefreshesDone"], 1);
    curtain(&stage).await;
}

#[tokio::test]
async fn throttles_are_counted_by_tier() {
    listen();
    let stage = connected(ada()).await;
    let hour = SignedDuration::from_hours(1);
    stage.oura.throttle(Tier::Token, "ada", stage.clock.now() + hour);
    let seen = tick(&stage).await;
    assert_eq!((seen["AthletesThrottled"], seen.get("ApplicationThrottled")), (1, None));
    stage.pass(hour);
    stage.oura.throttle(Tier::Application, "", stage.clock.now() + hour);
    let seen = tick(&stage).await;
    assert_eq!((seen["ApplicationThrottled"], seen.get("AthletesThrottled")), (1, None));
}

#[tokio::test]
async fn refusal_of_staff_forms_is_counted_with_its_batch() {
    listen();
    let stage = connected(ada()).await;
    stage.oura.withdraw("ada");
    stage.smartabase.set_password("rotated-api-password");
    let seen = tick(&stage).await;
    assert_eq!((seen["NeedsAthlete"], seen["SmartabaseRefusals"]), (1, 1));
}

#[tokio::test]
async fn refused_credentials_and_form_mismatches_are_counted() {
    listen();
    let stage = connected(ada()).await;
    let nights = e2e::NIGHTS;
    stage.smartabase.remove_form(nights);
    sleeps_differently(&stage, 18_000);
    let seen = tick(&stage).await;
    assert_eq!((seen.get("FormMismatches"), seen.get("NeedsOperator")), (Some(&1), None));
    stage.smartabase.set_password("rotated-api-password");
    let seen = tick(&stage).await;
    assert_eq!((seen["SmartabaseRefusals"], seen["SyncsFailed"]), (1, 1));
    assert!(stage.smartabase.event_on(ADA, nights, date(2026, 3, 1)).is_some());
}
