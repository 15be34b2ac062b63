//! Profile forms: one record per user, replaced by each import.

use serde_json::{Value, json};

use crate::coach::{ANN, BOB, LINK, call, post, site};

fn profile(pairs: &Value) -> Value {
    json!({"formName": LINK, "userId": {"userId": ANN}, "rows": [{"row": 0, "pairs": pairs}]})
}

#[tokio::test]
async fn profile_import_replaces_the_record() {
    let (site, _) = site(|_| {}).await;
    let first = json!([{"key": "Address", "value": "https://x"}, {"key": "Status", "value": "new"}]);
    let answer = call(&site, "profileimport", &profile(&first)).await;
    let success = json!({"state": "SUCCESSFULLY_IMPORTED", "message": "1 out of 1 records successfully imported."});
    assert_eq!(answer, success);
    call(&site, "profileimport", &profile(&json!([{"key": "Status", "value": "done"}]))).await;
    let record = site.profile(ANN, LINK).unwrap();
    assert_eq!((record.value("Address"), record.value("Status"), record.imports), (None, Some("done"), 2));
    assert_eq!(site.profile(BOB, LINK), None);
}

#[tokio::test]
async fn unknown_profile_fields_are_named() {
    let (site, _) = site(|_| {}).await;
    let answer = call(&site, "profileimport", &profile(&json!([{"key": "Link", "value": "x"}]))).await;
    let message = answer["message"].as_str().unwrap();
    assert!(message.ends_with("The following names [Link] were sent in the message but do not exist in the form"));
}

#[tokio::test]
async fn wrapped_or_dated_profile_is_refused() {
    let (site, _) = site(|_| {}).await;
    let mut dated = profile(&json!([]));
    dated["startDate"] = json!("08/03/2026");
    for body in [json!({"profiles": [profile(&json!([]))]}), dated] {
        assert_eq!(post(&site, "profileimport", &body).await.status(), 422);
    }
    let mut stranger = profile(&json!([]));
    stranger["userId"]["userId"] = json!(4);
    assert_eq!(call(&site, "profileimport", &stranger).await["state"], "UNEXPECTED_ERROR");
    assert!(site.profile(ANN, LINK).is_none());
}

#[tokio::test]
async fn profile_search_returns_the_records() {
    let (site, _) = site(|_| {}).await;
    call(&site, "profileimport", &profile(&json!([{"key": "Status", "value": "done"}]))).await;
    let answer = call(&site, "profilesearch", &json!({"formNames": [LINK], "userIds": [ANN, BOB]})).await;
    let profiles = answer["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), 1);
    assert_eq!((&profiles[0]["userId"], &profiles[0]["formName"]), (&json!(ANN), &json!(LINK)));
    assert_eq!(profiles[0]["rows"][0]["pairs"][0], json!({"key": "Status", "value": "done"}));
    let unknown = call(&site, "profilesearch", &json!({"formNames": ["Sleep"], "userIds": [ANN]})).await;
    assert!(unknown["error"].is_string(), "an event form is no profile form");
}
