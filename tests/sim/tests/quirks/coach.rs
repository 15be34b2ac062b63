//! A plain client of a site with two event forms, a profile form and two athletes.

use reqwest::Response;
use serde_json::{Value, json};
use sim::Clock;
use sim::smartabase::{Config, Form, Settings, Smartabase, User};

use crate::browser::{client, noon};

pub(crate) const SLEEP: &str = "Sleep";
pub(crate) const ACTIVITY: &str = "Activity";
pub(crate) const LINK: &str = "Link";
pub(crate) const ANN: i64 = 1001;
pub(crate) const BOB: i64 = 1002;

/// A site at noon UTC on 10 March 2026. *Sleep* requires `Night`.
pub(crate) async fn site(change: impl FnOnce(&mut Settings)) -> (Smartabase, Clock) {
    let clock = noon("2026-03-10");
    let mut settings = Settings::default();
    change(&mut settings);
    let config = Config {
        clock: clock.clone(),
        forms: vec![
            Form::event(SLEEP, ["Night", "Score", "Note"]).requiring(["Night"]),
            Form::event(ACTIVITY, ["Steps"]),
            Form::profile(LINK, ["Address", "Status"]),
        ],
        users: vec![
            User::new(ANN, "u-ann", "Ann", "Archer").in_group("Squad"),
            User::new(BOB, "u-bob", "Bob", "Bowler").in_group("Squad").in_group("Reserves"),
        ],
        settings,
        ..Config::default()
    };
    (Smartabase::start(config).await.unwrap(), clock)
}

/// `POST /api/v1/<endpoint>` as the account of the site.
pub(crate) async fn post(site: &Smartabase, endpoint: &str, body: &Value) -> Response {
    let url = format!("{}/api/v1/{endpoint}?informat=json&format=json", site.url());
    client().post(url).basic_auth("api.account", Some("api-password")).json(body).send().await.unwrap()
}

/// Like [`post`], for calls that answer 200 with JSON.
pub(crate) async fn call(site: &Smartabase, endpoint: &str, body: &Value) -> Value {
    let response = post(site, endpoint, body).await;
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// An event on *Sleep* at nine in the evening, with its required field and more.
pub(crate) fn event(user: i64, date: &str, more: &[(&str, &str)]) -> Value {
    let pairs = [("Night", "yes")].iter().chain(more);
    let pairs: Vec<Value> = pairs.map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "formName": SLEEP, "startDate": date, "finishDate": date, "startTime": "9:00 PM", "finishTime": "10:00 PM",
        "userId": {"userId": user}, "rows": [{"row": 0, "pairs": pairs}],
    })
}

pub(crate) async fn import(site: &Smartabase, events: &[Value]) -> Value {
    call(site, "eventsimport", &json!({"events": events})).await
}

/// The result for the first form of the answer.
pub(crate) fn result(answer: &Value) -> &Value {
    assert_eq!(answer["result"]["state"], "SUCCESSFULLY_IMPORTED", "{answer}");
    &answer["eventImportResultForForm"][0]["eventImportResults"]
}

/// The ids in the answer to an import.
pub(crate) fn ids(answer: &Value) -> Vec<i64> {
    result(answer)["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

/// Asserts that an import failed in the usual way: status 200, no reason.
pub(crate) fn assert_unexpected(answer: &Value) {
    assert_eq!(*answer, json!({"result": {"state": "UNEXPECTED_ERROR", "message": ""}}));
}
