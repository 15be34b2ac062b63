//! Importing events: failures with status 200, successes that store nothing, and what is stored.

use jiff::civil::{date, time};
use serde_json::{Value, json};
use sim::smartabase::{Form, UpdateElsewhere, Violation};

use crate::coach::{ACTIVITY, ANN, BOB, SLEEP, assert_unexpected, event, ids, import, post, result, site};

#[tokio::test]
async fn imported_events_get_new_ids_in_order() {
    let (site, _) = site(|_| {}).await;
    let answer = import(&site, &[event(ANN, "08/03/2026", &[("Score", "80")]), event(ANN, "09/03/2026", &[])]).await;
    assert_eq!(answer["eventImportResultForForm"].as_array().unwrap().len(), 1);
    assert_eq!(result(&answer)["message"], "2 out of 2 records successfully imported.");
    let events = site.events_of(ANN, SLEEP);
    assert_eq!(ids(&answer), [events[0].id, events[1].id]);
    assert_eq!(events[0].start_date, date(2026, 3, 8));
    assert_eq!((events[0].start_time, events[0].finish_time), (time(21, 0, 0, 0), time(22, 0, 0, 0)));
    assert_eq!(events[0].value("Score"), Some("80"));
    assert!(site.events_of(BOB, SLEEP).is_empty());
    assert!(site.violations().is_empty());
}

#[tokio::test]
async fn each_form_has_its_own_result() {
    let (site, _) = site(|_| {}).await;
    let mut activity = event(ANN, "08/03/2026", &[]);
    activity["formName"] = json!(ACTIVITY);
    activity["rows"] = json!([{"row": 0, "pairs": [{"key": "Steps", "value": "9000"}]}]);
    let answer = import(&site, &[event(ANN, "08/03/2026", &[]), activity, event(BOB, "08/03/2026", &[])]).await;
    let results = answer["eventImportResultForForm"].as_array().unwrap();
    assert_eq!((&results[0]["formName"], &results[1]["formName"]), (&json!(SLEEP), &json!(ACTIVITY)));
    assert_eq!(results[0]["eventImportResults"]["ids"].as_array().unwrap().len(), 2);
    assert_eq!(site.events(ACTIVITY)[0].value("Steps"), Some("9000"));
}

#[tokio::test]
async fn unknown_fields_are_dropped_and_named_despite_success() {
    let (site, _) = site(|_| {}).await;
    let one = event(ANN, "08/03/2026", &[("score", "80"), ("Nap", "1")]);
    let two = event(ANN, "09/03/2026", &[("Nap", "2"), ("Score", "81")]);
    let answer = import(&site, &[one, two]).await;
    assert_eq!(
        result(&answer)["message"],
        "2 out of 2 records successfully imported. The following names [score, Nap] were sent in the message but do \
         not exist in the form"
    );
    assert_eq!(site.events_of(ANN, SLEEP)[0].rows, [[("Night".to_owned(), "yes".to_owned())]]);
}

#[tokio::test]
async fn one_bad_event_refuses_the_batch_without_a_reason() {
    let bad: [fn(&mut Value); 7] = [
        |event| event["userId"] = json!({"userId": 4}),
        |event| event["userId"] = json!(ANN),
        |event| event["formName"] = json!("sleep"),
        |event| event["formName"] = json!("Link"),
        |event| event["rows"][0]["pairs"][0]["value"] = json!(""),
        |event| event["existingEventId"] = json!("x"),
        |event| _ = event.as_object_mut().unwrap().remove("startTime"),
    ];
    for spoil in bad {
        let (site, _) = site(|_| {}).await;
        let mut spoiled = event(ANN, "09/03/2026", &[]);
        spoil(&mut spoiled);
        assert_unexpected(&import(&site, &[event(ANN, "08/03/2026", &[]), spoiled]).await);
        assert!(site.events(SLEEP).is_empty());
    }
}

#[tokio::test]
async fn single_value_field_in_two_rows_is_refused() {
    let (site, _) = site(|_| {}).await;
    let mut twice = event(ANN, "08/03/2026", &[]);
    let second = json!({"row": 1, "pairs": [{"key": "Night", "value": "no"}]});
    twice["rows"].as_array_mut().unwrap().push(second);
    let answer = import(&site, &[twice]).await;
    assert_eq!(answer["result"]["message"], "This form does not support multiple rows for key: Night");

    let mut table = Form::event("Table", ["Name"]);
    table.table.insert("Lap".to_owned());
    site.set_form(table);
    let mut laps = event(ANN, "08/03/2026", &[]);
    laps["formName"] = json!("Table");
    laps["rows"] = json!([
        {"row": 0, "pairs": [{"key": "Name", "value": "x"}, {"key": "Lap", "value": "1"}]},
        {"row": 1, "pairs": [{"key": "Lap", "value": "2"}]},
    ]);
    import(&site, &[laps]).await;
    assert_eq!(site.events("Table")[0].rows.len(), 2);
}

#[tokio::test]
async fn unknown_keys_get_an_html_page() {
    let (site, _) = site(|_| {}).await;
    let mut odd = event(ANN, "08/03/2026", &[]);
    odd["externalId"] = json!("x");
    for body in [json!({"events": [odd]}), json!({"events": [], "dryRun": true}), json!([])] {
        let answer = post(&site, "eventsimport", &body).await;
        assert_eq!(answer.status(), 422);
        assert!(answer.text().await.unwrap().contains("<h1>Unprocessable Entity</h1>"));
    }
}

#[tokio::test]
async fn update_overwrites_all_fields() {
    let (site, _) = site(|_| {}).await;
    let first = import(&site, &[event(ANN, "08/03/2026", &[("Score", "80"), ("Note", "by staff")])]).await;
    let id = ids(&first)[0];
    for existing in [json!(id), json!(id.to_string())] {
        let mut update = event(ANN, "08/03/2026", &[("Score", "81")]);
        update["existingEventId"] = existing;
        assert_eq!(ids(&import(&site, &[update]).await), [id]);
    }
    let events = site.events_of(ANN, SLEEP);
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].value("Score"), events[0].value("Note"), events[0].updates), (Some("81"), None, 2));
}

#[tokio::test]
async fn update_of_a_missing_event_creates_another_id() {
    let (site, _) = site(|_| {}).await;
    let ids_before = ids(&import(&site, &[event(ANN, "08/03/2026", &[]), event(BOB, "08/03/2026", &[])]).await);
    assert!(site.delete_event(ids_before[0]));
    for existing in [ids_before[0], ids_before[1], 77] {
        let mut update = event(ANN, "08/03/2026", &[]);
        update["existingEventId"] = json!(existing);
        let answer = import(&site, &[update]).await;
        assert!(!ids_before.contains(&ids(&answer)[0]), "deleted, another user's, or never there");
    }
    assert_eq!(site.duplicates().len(), 2, "three events now stand under one date");
}

#[tokio::test]
async fn update_always_creates_another_id_if_configured() {
    let (site, _) = site(|settings| settings.update_elsewhere = UpdateElsewhere::Always).await;
    let id = ids(&import(&site, &[event(ANN, "08/03/2026", &[])]).await)[0];
    let mut update = event(ANN, "08/03/2026", &[]);
    update["existingEventId"] = json!(id);
    assert_ne!(ids(&import(&site, &[update]).await), [id]);
    assert_eq!(site.events_of(ANN, SLEEP).len(), 2);
}

#[tokio::test]
async fn empty_existing_id_creates_an_event() {
    let (site, _) = site(|_| {}).await;
    let mut new = event(ANN, "08/03/2026", &[]);
    new["existingEventId"] = json!("");
    assert_eq!(ids(&import(&site, &[new]).await).len(), 1);
}

#[tokio::test]
async fn success_can_have_fewer_ids_than_events() {
    let (site, _) = site(|settings| _ = settings.cannot_receive.insert(SLEEP.to_owned(), [BOB].into())).await;
    let answer = import(&site, &[event(ANN, "08/03/2026", &[]), event(BOB, "08/03/2026", &[])]).await;
    assert_eq!(ids(&answer).len(), 1);
    assert_eq!(result(&answer)["message"], "1 out of 2 records successfully imported.");
    assert!(site.events_of(BOB, SLEEP).is_empty());
}

#[tokio::test]
async fn second_event_on_the_same_date_is_stored() {
    let (site, _) = site(|_| {}).await;
    import(&site, &[event(ANN, "08/03/2026", &[]), event(ANN, "08/03/2026", &[])]).await;
    assert_eq!(site.duplicates(), [(ANN, SLEEP.to_owned(), date(2026, 3, 8))]);
}

#[tokio::test]
async fn other_spellings_of_dates_times_and_values_are_refused() {
    let (site, _) = site(|_| {}).await;
    for (field, wrong) in [
        ("startDate", json!("2026-03-08")),
        ("finishDate", json!("8/3/2026")),
        ("startTime", json!("21:00")),
        ("finishTime", json!("9:00 pm")),
    ] {
        let mut event = event(ANN, "08/03/2026", &[]);
        event[field] = wrong;
        assert_unexpected(&import(&site, &[event]).await);
    }
    let mut number = event(ANN, "08/03/2026", &[]);
    number["rows"][0]["pairs"][0]["value"] = json!(80);
    assert_unexpected(&import(&site, &[number]).await);
    assert_eq!(
        site.violations(),
        [
            Violation::Date("2026-03-08".to_owned()),
            Violation::Date("8/3/2026".to_owned()),
            Violation::Time("21:00".to_owned()),
            Violation::Time("9:00 pm".to_owned()),
            Violation::ValueNotText("Night".to_owned()),
        ]
    );
}

#[tokio::test]
async fn twelve_am_is_accepted_and_recorded_as_a_violation() {
    let (site, _) = site(|_| {}).await;
    let mut trusted = event(ANN, "08/03/2026", &[]);
    trusted["startTime"] = json!("00:30 AM");
    let mut untrusted = trusted.clone();
    untrusted["startTime"] = json!("12:30 AM");
    import(&site, &[trusted]).await;
    assert!(site.violations().is_empty());
    import(&site, &[untrusted]).await;
    assert_eq!(site.violations(), [Violation::TwelveAm("12:30 AM".to_owned())]);
}

#[tokio::test]
async fn missing_finish_time_is_an_hour_after_the_start() {
    let (site, _) = site(|_| {}).await;
    let mut open = event(ANN, "08/03/2026", &[]);
    open.as_object_mut().unwrap().remove("finishTime");
    import(&site, &[open]).await;
    assert_eq!(site.events_of(ANN, SLEEP)[0].finish_time, time(22, 0, 0, 0));
}

#[tokio::test]
async fn sending_linked_fields_is_a_violation() {
    let (site, _) = site(|_| {}).await;
    let answer = import(&site, &[event(ANN, "08/03/2026", &[("First Name", "Ann")])]).await;
    assert_eq!(answer["result"]["state"], "UNEXPECTED_ERROR");
    let answer = import(&site, &[event(ANN, "08/03/2026", &[("Sex", "MALE")])]).await;
    assert_eq!(result(&answer)["message"], "1 out of 1 records successfully imported.", "recomputed, not unknown");
    let fields = ["First Name", "Sex"].map(|field| Violation::LinkedField(field.to_owned()));
    assert_eq!(site.violations(), fields);
}

#[tokio::test]
async fn singular_import_works_unless_refused() {
    let (site, _) = site(|_| {}).await;
    let answer = post(&site, "eventimport", &event(ANN, "08/03/2026", &[])).await;
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["state"], "SUCCESSFULLY_IMPORTED");
    assert_eq!(body["ids"].as_array().unwrap().len(), 1);
    site.configure(|settings| settings.singular_import_refused = true);
    assert_eq!(post(&site, "eventimport", &event(ANN, "08/03/2026", &[])).await.status(), 422);
}
