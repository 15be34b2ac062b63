//! The roster and the groups.

use serde_json::{Value, json};
use sim::smartabase::{CursorName, User, Violation};

use crate::coach::{ANN, BOB, call, site};

fn names(users: &Value) -> Vec<&str> {
    users.as_array().unwrap().iter().map(|user| user["firstName"].as_str().unwrap()).collect()
}

fn ask(cursor: &Value) -> Value {
    json!({"lastSynchronisationTimeOnServer": 0, "userIds": [], "paginate": "True", "cursor": cursor})
}

#[tokio::test]
async fn roster_returns_missing_and_empty_uuids() {
    let (site, clock) = site(|_| {}).await;
    site.set_user(User { uuid: None, ..User::new(1003, "", "Cy", "Caddie") });
    site.set_user(User::new(1004, "", "Di", "Diver"));
    let answer = call(&site, "usersynchronise", &ask(&json!(""))).await;
    assert_eq!(names(&answer["users"]), ["Ann", "Bob", "Cy", "Di"]);
    let uuids: Vec<&Value> = answer["users"].as_array().unwrap().iter().map(|user| &user["uuid"]).collect();
    assert_eq!(uuids, [&json!("u-ann"), &json!("u-bob"), &Value::Null, &json!("")]);
    assert!(answer["cursor"].is_null());
    assert_eq!(answer["lastSynchronisationTimeOnServer"], clock.millis());
    assert!(site.violations().is_empty());
}

#[tokio::test]
async fn roster_is_paged_under_either_cursor_name() {
    for (spelling, name) in [(CursorName::Cursor, "cursor"), (CursorName::NextCursor, "nextCursor")] {
        let (site, _) = site(|settings| (settings.page_size, settings.cursor) = (1, spelling)).await;
        let first = call(&site, "usersynchronise", &ask(&json!(""))).await;
        assert_eq!(names(&first["users"]), ["Ann"]);
        let second = call(&site, "usersynchronise", &ask(&first[name])).await;
        assert_eq!(names(&second["users"]), ["Bob"]);
        assert!(second[name].is_null());
    }
}

#[tokio::test]
async fn roster_cursor_repeats_if_configured() {
    let (site, _) = site(|settings| (settings.page_size, settings.cursor_repeats) = (1, true)).await;
    let first = call(&site, "usersynchronise", &ask(&json!(""))).await;
    let second = call(&site, "usersynchronise", &ask(&first["cursor"])).await;
    assert!(first["cursor"].is_string());
    assert_eq!((&first["cursor"], &first["users"]), (&second["cursor"], &second["users"]));
}

#[tokio::test]
async fn roster_without_paging_is_whole_and_a_violation() {
    let (site, _) = site(|settings| settings.page_size = 1).await;
    let answer = call(&site, "usersynchronise", &json!({"lastSynchronisationTimeOnServer": 0, "userIds": []})).await;
    assert_eq!(names(&answer["users"]), ["Ann", "Bob"]);
    assert_eq!(site.violations(), [Violation::WithoutPaging]);
}

#[tokio::test]
async fn roster_reports_merged_and_deleted_but_not_hidden_users() {
    let (site, _) = site(|_| {}).await;
    for (id, name) in [(1003, "Cy"), (1004, "Di"), (1005, "Ed")] {
        site.set_user(User::new(id, name, name, "Extra"));
    }
    site.merge_users(1003, ANN);
    site.delete_user(1004);
    site.hide_user(1005);
    let answer = call(&site, "usersynchronise", &ask(&json!(""))).await;
    assert_eq!(names(&answer["users"]), ["Ann", "Bob"]);
    assert_eq!(answer["mergedUsers"], json!([{"oldId": 1003, "newId": ANN}]));
    assert_eq!(answer["idsOfDeletedUsers"], json!([]), "only those that the caller names");
    let mut named = ask(&json!(""));
    named["userIds"] = json!([1004, 1005, BOB]);
    assert_eq!(call(&site, "usersynchronise", &named).await["idsOfDeletedUsers"], json!([1004]));
}

#[tokio::test]
async fn user_search_returns_one_list_per_query() {
    let (site, _) = site(|_| {}).await;
    let questions = json!([{"userId": BOB}, {"username": "ann.archer"}, {"firstName": "Bob", "lastName": "Archer"}]);
    let answer = call(&site, "usersearch", &json!({"identification": questions})).await;
    let found: Vec<Vec<&str>> =
        answer["results"].as_array().unwrap().iter().map(|result| names(&result["results"])).collect();
    assert_eq!(found, [vec!["Bob"], vec!["Ann"], vec![]]);
    for everyone in [json!([]), Value::Null] {
        let answer = call(&site, "usersearch", &json!({"identification": everyone})).await;
        assert_eq!(names(&answer["results"][0]["results"]), ["Ann", "Bob"]);
    }
}

#[tokio::test]
async fn unknown_group_has_no_members() {
    let (site, _) = site(|_| {}).await;
    let groups = call(&site, "listgroups", &json!({"name": ""})).await;
    assert_eq!(groups, json!({"name": ["All Accounts", "Reserves", "Squad"]}));
    let members = async |name: Value| {
        let answer = call(&site, "groupmembers", &json!({"name": name})).await;
        names(&answer["results"][0]["results"]).join(" ")
    };
    assert_eq!(members(json!("Squad")).await, "Ann Bob");
    assert_eq!(members(json!(["Reserves"])).await, "Bob");
    assert_eq!(members(json!("squad")).await, "");
}
