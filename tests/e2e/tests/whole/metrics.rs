//! What the alarms and the dashboard are fed with, read from the log as CloudWatch reads it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use e2e::{ADA, ada, ada_and_ben, connected, curtain, enrolled};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;
use runtime::telemetry;
use serde_json::Value;
use sim::oura::Tier;
use sim::wire::{Answer, Fault, When};
use tracing::subscriber::DefaultGuard;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const TOKEN: &str = "/oauth/v2/ext/oauth-token";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What this test's thread reports, which is all that its product does.
struct CloudWatch {
    log: Log,
    _listening: DefaultGuard,
}

impl CloudWatch {
    fn listen() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = telemetry::subscriber("error", move || writer.clone());
        Self { log, _listening: tracing::subscriber::set_default(subscriber) }
    }

    /// Sums of what was counted, and the longest of what was timed, since the last look.
    fn look(&self) -> BTreeMap<String, u64> {
        let text = String::from_utf8(std::mem::take(&mut *self.log.0.lock().unwrap())).unwrap();
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

    /// What a tick and the first attempt at each of its jobs report; then what is tried again is.
    async fn tick(&self, stage: &Stage) -> BTreeMap<String, u64> {
        stage.settle().await;
        stage.pass(PERIOD);
        self.look();
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        self.look()
    }
}

fn metrics<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn sleeps_differently(stage: &Stage, seconds: i64) {
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = seconds.into());
}

#[tokio::test]
async fn a_tick_reports_who_was_synced_what_was_written_and_what_oura_was_asked() {
    let watch = CloudWatch::listen();
    let stage = enrolled(ada_and_ben()).await;
    let idle = metrics([("AthletesConnected", 0), ("AthletesPostponed", 0), ("OverBudget", 0)]);
    assert_eq!(watch.tick(&stage).await, idle, "nobody is connected, and nobody is missed");
    let stage = connected(ada_and_ben()).await;
    let quiet = [
        ("AthletesActive", 2),
        ("AthletesConnected", 2),
        ("AthletesPostponed", 0),
        ("OuraRequests", 8),
        ("OverBudget", 0),
        ("SyncsDone", 2),
    ];
    assert_eq!(watch.tick(&stage).await, metrics(quiet));
    sleeps_differently(&stage, 18_000);
    let mut revised = metrics(quiet);
    revised.extend(metrics([("SyncsChanged", 1), ("RecordsWritten", 1)]));
    assert_eq!(watch.tick(&stage).await, revised);
    curtain(&stage).await;
}

#[tokio::test]
async fn whoever_is_not_synced_makes_the_lag_grow_until_they_are() {
    let watch = CloudWatch::listen();
    let stage = connected(ada_and_ben()).await;
    stage.oura_wire.inject(When::every().path("/v2/usercollection"), Fault::Answer(Answer::status(503)));
    for ticks in 1..=9 {
        let seen = watch.tick(&stage).await;
        assert_eq!((seen["SyncsDone"], seen["SyncsFailed"]), (0, 2), "the sum an alarm waits for is there, and nought");
        assert!(seen["SyncLag"] >= ticks * 15 * 60, "{seen:?}");
    }
    stage.oura_wire.heal();
    let seen = watch.tick(&stage).await;
    assert_eq!((seen["SyncsDone"], seen.get("SyncLag")), (2, None));
    curtain(&stage).await;
}

#[tokio::test]
async fn an_athlete_who_has_to_act_is_counted_under_why_and_lags_behind_nobody() {
    let watch = CloudWatch::listen();
    let stage = connected(ada_and_ben()).await;
    stage.oura.withdraw("ada");
    let seen = watch.tick(&stage).await;
    assert_eq!((seen["NeedsAthlete"], seen["ConsentsLost"], seen["SyncsDone"]), (1, 1, 1));
    stage.oura.set_member("ben", false);
    assert_eq!(watch.tick(&stage).await["NeedsAthlete"], 1);
    for _ in 0..12 {
        let seen = watch.tick(&stage).await;
        let states = ["AthletesActive", "AthletesWithoutConsent", "AthletesWithoutMembership", "SyncLag"];
        assert_eq!(states.map(|name| seen.get(name).copied()), [None, Some(1), Some(1), None]);
    }
}

#[tokio::test]
async fn refreshes_are_counted_by_how_they_end() {
    let watch = CloudWatch::listen();
    let stage = connected(ada()).await;
    stage.oura.expire_access_tokens("ada");
    assert_eq!(watch.tick(&stage).await["RefreshesDone"], 1);
    stage.oura.expire_access_tokens("ada");
    stage.oura_wire.inject(When::every().path(TOKEN), Fault::Answer(Answer::status(503)));
    let seen = watch.tick(&stage).await;
    assert_eq!((seen["RefreshesFailed"], seen.get("RefreshesDone")), (1, None));
    stage.oura_wire.heal();
    stage.settle().await;
    assert_eq!(watch.look()["RefreshesDone"], 1);
    curtain(&stage).await;
}

#[tokio::test]
async fn throttles_are_counted_by_tier() {
    let watch = CloudWatch::listen();
    let stage = connected(ada()).await;
    let hour = SignedDuration::from_hours(1);
    stage.oura.throttle(Tier::Token, "ada", stage.clock.now() + hour);
    let seen = watch.tick(&stage).await;
    assert_eq!((seen["AthletesThrottled"], seen.get("ApplicationThrottled")), (1, None));
    stage.pass(hour);
    stage.oura.throttle(Tier::Application, "", stage.clock.now() + hour);
    let seen = watch.tick(&stage).await;
    assert_eq!((seen["ApplicationThrottled"], seen.get("AthletesThrottled")), (1, None));
}

#[tokio::test]
async fn refused_credentials_and_forms_that_do_not_fit_are_the_operators() {
    let watch = CloudWatch::listen();
    let stage = connected(ada()).await;
    let nights = e2e::NIGHTS;
    stage.smartabase.remove_form(nights);
    sleeps_differently(&stage, 18_000);
    let seen = watch.tick(&stage).await;
    assert!(seen.get("FormMismatches").or(seen.get("NeedsOperator")) == Some(&1), "{seen:?}");
    stage.smartabase.set_password("rotated");
    let seen = watch.tick(&stage).await;
    assert_eq!((seen["SmartabaseRefusals"], seen["SyncsFailed"]), (1, 1));
    assert!(stage.smartabase.event_on(ADA, nights, date(2026, 3, 1)).is_some());
}
