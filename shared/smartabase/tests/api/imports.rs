//! Writing: the requests, and the meaning of each kind of response.

use jiff::civil::date;
use serde_json::json;
use smartabase::{Client, Error, Event, EventId, FormName, Import, MAX_EVENTS, ProfileImport, TimeOfDay, UserId};

use crate::site::{Scripted, answer, credentials, soon};

const ONE: &str = r#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},
 "eventImportResultForForm":[{"formName":"Garmin HRV Summary",
   "eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","message":"1 out of 1 records successfully imported.","ids":[2000001]}}]}"#;

fn event(existing: Option<u64>) -> Event {
    Event {
        user: UserId(1009),
        date: date(2026, 4, 3),
        start: TimeOfDay::new(21, 0).unwrap(),
        finish: TimeOfDay::new(22, 5).unwrap(),
        existing: existing.map(EventId),
        fields: vec![("Sleep Score".to_owned(), "82".to_owned()), ("Note".to_owned(), String::new())],
    }
}

async fn import(client: &Client, events: &[Event]) -> Result<Import, Error> {
    client.import(&credentials(), &FormName::from("Garmin HRV Summary"), events, soon()).await
}

async fn import_profile(client: &Client) -> Result<ProfileImport, Error> {
    let fields = [("ID".to_owned(), "abc-123".to_owned())];
    client.import_profile(&credentials(), &FormName::from("Athlete Profile"), UserId(1009), &fields, soon()).await
}

#[tokio::test]
async fn sends_events_as_documented() {
    let two = ONE.replace("[2000001]", "[2000001,7]").replace("1 out of 1", "2 out of 2");
    let site = Scripted::saying(&[&two]).await;
    let imported = import(&site.client, &[event(None), event(Some(7))]).await;
    assert_eq!(imported, Ok(Import::Imported { ids: vec![EventId(2_000_001), EventId(7)], unknown_fields: vec![] }));

    let new = json!({
        "formName": "Garmin HRV Summary",
        "startDate": "03/04/2026", "finishDate": "03/04/2026", "startTime": "9:00 PM", "finishTime": "10:05 PM",
        "userId": {"userId": 1009},
        "rows": [{"row": 0, "pairs": [{"key": "Sleep Score", "value": "82"}, {"key": "Note", "value": ""}]}],
    });
    let mut update = new.clone();
    update["existingEventId"] = json!(7);
    assert_eq!(site.asked(), [("eventsimport".to_owned(), json!({"events": [new, update]}))]);
}

#[tokio::test]
async fn distinguishes_every_outcome_of_an_import() {
    let unknown = ONE.replace(
        "imported.\"",
        "imported. The following names [Note] were sent in the message but do not exist in the form\"",
    );
    let site = Scripted::saying(&[
        ONE,
        &unknown,
        ONE,
        &ONE.replace("[2000001]", "[]"),
        r#"{"result":{"state":"UNEXPECTED_ERROR","message":""}}"#,
        r#"{"__is_rpc_exception__":true,"type":"x.LoginException","value":{"detailMessage":"Invalid password","cause":""}}"#,
        r#"{"error":"No access"}"#,
    ])
    .await;
    let ids = vec![EventId(2_000_001)];
    let unknown_fields = vec!["Note".to_owned()];
    let not_imported = |state: &str, message: &str, errors: &[&str]| {
        let errors = errors.iter().map(|&error| error.to_owned()).collect();
        Import::NotImported { state: state.to_owned(), message: message.to_owned(), errors }
    };
    for (existing, outcome) in [
        (Some(2_000_001), Import::Imported { ids: ids.clone(), unknown_fields: vec![] }),
        (None, Import::Imported { ids: ids.clone(), unknown_fields }),
        (Some(5), Import::OtherIds { ids, unknown_fields: vec![] }),
        (None, Import::FewerIds { sent: 1, ids: vec![] }),
        (None, not_imported("UNEXPECTED_ERROR", "", &[])),
        (None, not_imported("__is_rpc_exception__", "Invalid password", &["x.LoginException"])),
        (None, not_imported("error", "No access", &[])),
    ] {
        assert_eq!(import(&site.client, &[event(existing)]).await, Ok(outcome));
    }
}

#[tokio::test]
async fn invalid_answer_is_an_error() {
    let page =
        "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head><title>422 Unprocessable Entity</title>";
    let answers = || {
        [
            answer(200, ""),
            answer(200, page),
            answer(200, "Done"),
            answer(200, "{}"),
            answer(422, page),
            answer(400, r#"{"error":"missing"}"#),
            answer(500, "{}"),
        ]
    };
    let errors = [
        Error::NotJson { status: 200, starts: "empty" },
        Error::NotJson { status: 200, starts: "html" },
        Error::NotJson { status: 200, starts: "text" },
        Error::Unexpected { what: "eventsimport: an answer without a state".to_owned() },
        Error::NotJson { status: 422, starts: "html" },
        Error::Rejected { status: 400 },
        Error::Unwell { status: Some(500) },
    ];
    let site = Scripted::answering(answers()).await;
    for error in &errors {
        assert_eq!(import(&site.client, &[event(None)]).await, Err(error.clone()));
    }
    assert_eq!(site.requests().len(), errors.len(), "nothing is sent twice");

    let site = Scripted::answering(answers()).await;
    for error in errors {
        let told = import_profile(&site.client).await;
        assert_eq!(
            told.map_err(|error| error.to_string().replace("profileimport", "eventsimport")),
            Err(error.to_string())
        );
    }
}

#[tokio::test]
async fn batch_must_have_1_to_25_events() {
    let site = Scripted::saying(&[r#"{"result":{"state":"SUCCESSFULLY_IMPORTED"}}"#]).await;
    let events = vec![event(None); 26];
    assert_eq!(import(&site.client, &events).await, Err(Error::BatchSize { events: 26 }));
    assert_eq!(import(&site.client, &[]).await, Err(Error::BatchSize { events: 0 }));
    assert_eq!(site.requests().len(), 0);

    assert_eq!(MAX_EVENTS, 25);
    let told = import(&site.client, &events[..25]).await;
    assert_eq!(told, Ok(Import::FewerIds { sent: 25, ids: vec![] }));
    assert_eq!(site.requests()[0].json()["events"].as_array().unwrap().len(), 25);
}

#[tokio::test]
async fn sends_a_profile_as_one_bare_object() {
    let site = Scripted::saying(&[
        r#"{"state":"SUCCESSFULLY_IMPORTED","message":"1 out of 1 records successfully imported."}"#,
        r#"{"state":"UNEXPECTED_ERROR","message":"No access"}"#,
    ])
    .await;
    assert_eq!(import_profile(&site.client).await, Ok(ProfileImport::Imported { unknown_fields: vec![] }));
    let (state, message) = ("UNEXPECTED_ERROR".to_owned(), "No access".to_owned());
    assert_eq!(import_profile(&site.client).await, Ok(ProfileImport::NotImported { state, message, errors: vec![] }));

    let body = json!({"formName": "Athlete Profile", "userId": {"userId": 1009},
        "rows": [{"row": 0, "pairs": [{"key": "ID", "value": "abc-123"}]}]});
    assert_eq!(site.asked()[0], ("profileimport".to_owned(), body));
}
