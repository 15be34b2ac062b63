//! Reading events: three searches, each with its own oddities.

use jiff::SignedDuration;
use serde_json::{Value, json};
use sim::smartabase::{CursorName, CursorPlace, Empty, Form, Violation};

use crate::coach::{ANN, BOB, SLEEP, call, event, ids, import, post, site};

fn found(answer: &Value) -> Vec<i64> {
    answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn search_adds_linked_fields_and_omits_blank_ones() {
    let (site, _) = site(|_| {}).await;
    let mut form = Form::event(SLEEP, ["Night", "Score", "Note"]);
    form.doubles.insert("Score".to_owned());
    site.set_form(form);
    import(&site, &[event(ANN, "08/03/2026", &[("Score", "1784320260"), ("Note", "two\nlines")])]).await;
    import(&site, &[event(ANN, "09/03/2026", &[("Score", ""), ("Note", "")])]).await;
    let answer = call(&site, "eventsearch", &json!({"formNames": [SLEEP], "userIds": [ANN]})).await;
    let event = &answer["events"][0];
    assert_eq!((&event["startDate"], &event["startTime"]), (&json!("08/03/2026"), &json!("9:00 PM")));
    assert_eq!((&event["userId"], &event["enteredByUserId"]), (&json!(ANN), &json!(1)));
    assert_eq!(
        event["rows"][0]["pairs"],
        json!([
            {"key": "Night", "value": "yes"},
            {"key": "Score", "value": "1.78432026E9"},
            {"key": "Note", "value": "two<br>lines"},
            {"key": "Sex", "value": "FEMALE"},
            {"key": "DOB", "value": "01/01/2000"},
        ])
    );
    let blank: Vec<&Value> =
        answer["events"][1]["rows"][0]["pairs"].as_array().unwrap().iter().map(|pair| &pair["key"]).collect();
    assert_eq!(blank, ["Night", "Sex", "DOB"]);
}

#[tokio::test]
async fn search_ignores_dates_without_times() {
    let (site, _) = site(|_| {}).await;
    import(&site, &[event(ANN, "08/03/2026", &[]), event(ANN, "09/03/2026", &[])]).await;
    let mut search =
        json!({"formNames": [SLEEP], "userIds": [ANN], "startDate": "09/03/2026", "finishDate": "09/03/2026"});
    assert_eq!(found(&call(&site, "eventsearch", &search).await).len(), 2, "ignored");
    search["startTime"] = json!("12:00 AM");
    search["finishTime"] = json!("11:59 PM");
    assert_eq!(found(&call(&site, "eventsearch", &search).await), [site.events(SLEEP)[1].id]);
    assert!(site.violations().is_empty());
}

#[tokio::test]
async fn search_without_users_is_empty_and_a_violation() {
    let (site, _) = site(|_| {}).await;
    import(&site, &[event(ANN, "08/03/2026", &[]), event(BOB, "08/03/2026", &[])]).await;
    let search = |users: Value| json!({"formNames": SLEEP, "userIds": users});
    assert_eq!(found(&call(&site, "eventsearch", &search(json!([BOB]))).await).len(), 1);
    assert!(found(&call(&site, "eventsearch", &search(json!([]))).await).is_empty());
    assert_eq!(site.violations(), [Violation::WithoutUsers("eventsearch".to_owned())]);
    let unknown = call(&site, "eventsearch", &json!({"formNames": ["Nap"], "userIds": [BOB]})).await;
    assert!(unknown["error"].is_string());
}

#[tokio::test]
async fn results_per_user_returns_the_latest() {
    let (site, _) = site(|_| {}).await;
    let answer = import(&site, &[event(ANN, "09/03/2026", &[]), event(ANN, "07/03/2026", &[])]).await;
    let search = json!({"formNames": [SLEEP], "userIds": [ANN], "resultsPerUser": 1});
    assert_eq!(found(&call(&site, "eventsearch", &search).await), [ids(&answer)[0]]);
}

#[tokio::test]
async fn search_is_paged_on_request() {
    for (spelling, name) in [
        (CursorName::Cursor, "cursor"),
        (CursorName::NextCursor, "nextCursor"),
        (CursorName::NextCursorSnake, "next_cursor"),
    ] {
        let (site, _) = site(|settings| (settings.page_size, settings.cursor) = (2, spelling)).await;
        let events: Vec<Value> = (1..=5).map(|day| event(ANN, &format!("0{day}/03/2026"), &[])).collect();
        import(&site, &events).await;
        let mut search = json!({"formNames": [SLEEP], "userIds": [ANN], "paginate": true, "cursor": ""});
        let mut sizes = Vec::new();
        loop {
            let page = call(&site, "eventsearch", &search).await;
            sizes.push(found(&page).len());
            if page[name].is_null() {
                break;
            }
            search["cursor"] = page[name].clone();
        }
        assert_eq!(sizes, [2, 2, 1]);
    }
}

#[tokio::test]
async fn cursor_is_in_the_configured_place() {
    for (place, pointer) in [
        (CursorPlace::Top, "/cursor"),
        (CursorPlace::Pagination, "/pagination/cursor"),
        (CursorPlace::Export, "/export/cursor"),
        (CursorPlace::ExportPagination, "/export/pagination/cursor"),
    ] {
        let (site, _) = site(|settings| (settings.page_size, settings.cursor_place) = (1, place)).await;
        import(&site, &[event(ANN, "08/03/2026", &[]), event(ANN, "09/03/2026", &[])]).await;
        let search = json!({"formNames": [SLEEP], "userIds": [ANN], "paginate": true, "cursor": ""});
        let page = call(&site, "eventsearch", &search).await;
        assert_eq!(page.pointer(pointer), Some(&json!("1")), "{page}");
        let synchronise =
            json!({"formName": SLEEP, "userIds": [ANN], "pagination": {"paginate": true, "cursor": null}});
        let page = call(&site, "synchronise", &synchronise).await;
        assert_eq!(page.pointer(pointer), Some(&json!("1")), "{page}");
        let roster = call(&site, "usersynchronise", &json!({"paginate": "True", "cursor": ""})).await;
        assert_eq!(roster.pointer(pointer), Some(&json!("1")), "{roster}");
    }
}

#[tokio::test]
async fn user_id_can_be_an_object() {
    let (site, _) = site(|settings| settings.users_as_objects = true).await;
    import(&site, &[event(ANN, "08/03/2026", &[])]).await;
    let answer = call(&site, "eventsearch", &json!({"formNames": [SLEEP], "userIds": [ANN]})).await;
    assert_eq!(answer["events"][0]["userId"], json!({"userId": ANN}));
}

#[tokio::test]
async fn empty_result_has_three_shapes() {
    let (site, _) = site(|_| {}).await;
    for (empty, body) in [(Empty::List, r#"{"events":[]}"#), (Empty::Object, "{}"), (Empty::Nothing, "")] {
        site.configure(|settings| settings.empty = empty);
        let answer = post(&site, "eventsearch", &json!({"formNames": [SLEEP], "userIds": [ANN]})).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn filter_conditions_compare_fields() {
    let (site, _) = site(|_| {}).await;
    let scores = ["8", "70", "81"].map(|score| event(ANN, "08/03/2026", &[("Score", score)]));
    let ids = ids(&import(&site, &scores).await);
    for (condition, value, expected) in [
        (1, "70", vec![ids[1]]),
        (2, "70", vec![ids[0], ids[2]]),
        (3, "8", vec![ids[0], ids[2]]),
        (4, "70", vec![ids[0]]),
        (5, "70", vec![ids[2]]),
        (6, "70", vec![ids[0], ids[1]]),
        (7, "70", vec![ids[1], ids[2]]),
    ] {
        let set = json!([{"key": "Score", "value": value, "filterCondition": condition}]);
        let search = json!({"filter": [{"formName": SLEEP, "filterSet": set}], "userIds": [ANN]});
        assert_eq!(found(&call(&site, "filteredeventsearch", &search).await), expected, "condition {condition}");
    }
}

#[tokio::test]
async fn synchronise_returns_changes_and_deletions() {
    let (site, clock) = site(|_| {}).await;
    let first = ids(&import(&site, &[event(ANN, "08/03/2026", &[]), event(ANN, "07/03/2026", &[])]).await);
    let sync = |since: &Value| json!({"formName": SLEEP, "lastSynchronisationTimeOnServer": since, "userIds": [ANN]});
    let answer = call(&site, "synchronise", &sync(&json!(0))).await;
    assert_eq!(found(&answer["export"]), first);
    assert_eq!(answer["idsOfDeletedEvents"], json!([]));
    let since = answer["lastSynchronisationTimeOnServer"].clone();
    assert_eq!(since, json!(clock.millis()));

    clock.advance(SignedDuration::from_secs(1));
    let mut update = event(ANN, "07/03/2026", &[("Score", "9")]);
    update["existingEventId"] = json!(first[1]);
    import(&site, &[update]).await;
    site.delete_event(first[0]);
    let answer = call(&site, "synchronise", &sync(&since)).await;
    assert_eq!(found(&answer["export"]), [first[1]]);
    assert_eq!(answer["idsOfDeletedEvents"], json!([first[0]]));
}

#[tokio::test]
async fn synchronise_accepts_a_start_date() {
    let (site, _) = site(|_| {}).await;
    let answer = import(&site, &[event(ANN, "08/03/2026", &[]), event(ANN, "07/03/2026", &[])]).await;
    let body = json!({"formName": SLEEP, "startDate": "08/03/2026", "userIds": [ANN]});
    assert_eq!(found(&call(&site, "synchronise", &body).await["export"]), [ids(&answer)[0]]);
}

#[tokio::test]
async fn synchronise_without_users_is_empty_and_forbidden_is_403() {
    let (site, _) = site(|_| {}).await;
    import(&site, &[event(ANN, "08/03/2026", &[])]).await;
    let all = call(&site, "synchronise", &json!({"formName": SLEEP, "lastSynchronisationTimeOnServer": 0})).await;
    assert!(found(&all["export"]).is_empty());
    site.configure(|settings| _ = settings.forbidden.insert(SLEEP.to_owned()));
    let body = json!({"formName": SLEEP, "lastSynchronisationTimeOnServer": 0, "userIds": [ANN]});
    assert_eq!(post(&site, "synchronise", &body).await.status(), 403);
}

#[tokio::test]
async fn synchronise_is_paged_under_either_cursor_name() {
    for spelling in [CursorName::Cursor, CursorName::NextCursor] {
        let (site, _) = site(|settings| (settings.page_size, settings.cursor) = (2, spelling)).await;
        let events: Vec<Value> = (1..=3).map(|day| event(ANN, &format!("0{day}/03/2026"), &[])).collect();
        import(&site, &events).await;
        let body = |cursor: &Value| {
            json!({"formName": SLEEP, "lastSynchronisationTimeOnServer": 0, "userIds": [ANN],
                   "pagination": {"paginate": true, "cursor": cursor}})
        };
        let cursor = |page: &Value| match spelling {
            CursorName::NextCursor => page["export"]["nextCursor"].clone(),
            _ => page["cursor"].clone(),
        };
        let first = call(&site, "synchronise", &body(&Value::Null)).await;
        assert_eq!(found(&first["export"]).len(), 2);
        let second = call(&site, "synchronise", &body(&cursor(&first))).await;
        assert_eq!(found(&second["export"]).len(), 1);
        assert!(cursor(&second).is_null());
    }
}

#[tokio::test]
async fn second_deletion_of_an_event_fails() {
    let (site, _) = site(|_| {}).await;
    let id = ids(&import(&site, &[event(ANN, "08/03/2026", &[])]).await)[0];
    let body = json!({"eventId": id});
    let first = call(&site, "deleteevent", &body).await;
    assert_eq!(first, json!({"state": "SUCCESS", "message": format!("Deleted {id}")}));
    assert_eq!(call(&site, "deleteevent", &body).await["state"], "FAILURE");
    assert!(site.events(SLEEP).is_empty());
}
