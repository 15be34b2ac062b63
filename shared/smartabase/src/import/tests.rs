use jiff::civil::date;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::calendar::TimeOfDay;
use crate::ids::UserId;
use crate::json::any_json;

/// Events to create (`None`) or update, each with a score of 82 and a note.
fn events(existing: &[Option<u64>]) -> Vec<Event> {
    let time = TimeOfDay::new(21, 0).unwrap();
    let event = |existing: &Option<u64>| Event {
        user: UserId(1009),
        date: date(2026, 4, 30),
        start: time,
        finish: time,
        existing: existing.map(EventId),
        fields: vec![("Score".into(), "82".into()), ("Note, short".into(), "poor night".into())],
    };
    existing.iter().map(event).collect()
}

fn answer(state: &str, form_state: &str, message: &str, ids: &Value) -> Value {
    json!({"result": {"state": state}, "eventImportResultForForm": [{"formName": "Sleep",
        "eventImportResults": {"state": form_state, "message": message, "ids": ids}}]})
}

fn success(message: &str, ids: &Value) -> Value {
    answer(IMPORTED, IMPORTED, message, ids)
}

fn not_imported(answer: &Value) -> (String, String, Vec<String>) {
    match read_import(answer, &events(&[None, None])) {
        Ok(Import::NotImported { state, message, errors }) => (state, message, errors),
        other => panic!("{other:?} from {answer}"),
    }
}

fn ids(ids: &[u64]) -> Vec<EventId> {
    ids.iter().copied().map(EventId).collect()
}

#[test]
fn import_succeeds_if_both_states_and_all_ids_say_so() {
    let imported = |ids| Ok(Import::Imported { ids, unknown_fields: vec![] });
    let one = success("1 out of 1 records successfully imported.", &json!([2_000_001]));
    assert_eq!(read_import(&one, &events(&[None])), imported(ids(&[2_000_001])));
    assert_eq!(read_import(&one, &events(&[Some(2_000_001)])), imported(ids(&[2_000_001])));
    let digits = success("", &json!(["7", 8]));
    assert_eq!(read_import(&digits, &events(&[None, Some(8)])), imported(ids(&[7, 8])));
}

#[test]
fn joins_the_ids_of_several_forms() {
    let result = |id: u64| json!({"eventImportResults": {"state": IMPORTED, "ids": [id]}});
    let both = json!({"result": {"state": IMPORTED}, "eventImportResultForForm": [result(7), result(8)]});
    let imported = Import::Imported { ids: ids(&[7, 8]), unknown_fields: vec![] };
    assert_eq!(read_import(&both, &events(&[None, None])), Ok(imported));
}

#[test]
fn names_unknown_fields() {
    let message = "1 out of 1 records successfully imported. \
        The following names [Note, short, Score] were sent in the message but do not exist in the form";
    let unknown_fields = vec!["Note, short".to_owned(), "Score".to_owned()];
    let once = success(message, &json!([7]));
    assert_eq!(
        read_import(&once, &events(&[None])),
        Ok(Import::Imported { ids: ids(&[7]), unknown_fields: unknown_fields.clone() })
    );
    assert_eq!(
        read_import(&once, &events(&[Some(6)])),
        Ok(Import::OtherIds { ids: ids(&[7]), unknown_fields: unknown_fields.clone() })
    );
    let other = "The following names [Score, Other] were sent in the message but do not exist in the form";
    let mut twice = success(message, &json!([7]));
    let form = json!({"eventImportResults": {"state": IMPORTED, "message": other, "ids": [8]}});
    twice["eventImportResultForForm"].as_array_mut().unwrap().push(form);
    let Ok(Import::Imported { unknown_fields, .. }) = read_import(&twice, &events(&[None, None])) else { panic!() };
    assert_eq!(unknown_fields, ["Note, short", "Score", "Other"]);
}

#[test]
fn update_with_another_id_is_reported_in_order() {
    let answer = success("2 out of 2 records successfully imported.", &json!([7, 8]));
    let other = Ok(Import::OtherIds { ids: ids(&[7, 8]), unknown_fields: vec![] });
    assert_eq!(read_import(&answer, &events(&[None, Some(6)])), other);
    assert_eq!(read_import(&answer, &events(&[Some(8), Some(7)])), other);
    assert!(matches!(read_import(&answer, &events(&[None, Some(8)])), Ok(Import::Imported { .. })));
}

#[test]
fn wrong_number_of_ids_is_no_success() {
    for (answered, left) in [
        (json!([7]), ids(&[7])),
        (json!([]), ids(&[])),
        (json!(null), ids(&[])),
        (json!([7, 8, 9]), ids(&[7, 8, 9])),
        (json!([7, 7]), ids(&[7])),
        (json!([7, null]), ids(&[7])),
        (json!([7, -1]), ids(&[7])),
    ] {
        let answer = success("2 out of 2 records successfully imported.", &answered);
        let fewer = Import::FewerIds { sent: 2, ids: left };
        assert_eq!(read_import(&answer, &events(&[None, None])), Ok(fewer), "{answered}");
    }
    let silent = json!({"result": {"state": IMPORTED}});
    let fewer = Import::FewerIds { sent: 2, ids: vec![] };
    assert_eq!(read_import(&silent, &events(&[None, None])), Ok(fewer));
}

#[test]
fn lower_count_in_the_message_is_no_success() {
    let message = "1 out of 2 records successfully imported.";
    assert_eq!(not_imported(&success(message, &json!([7, 8]))), (IMPORTED.into(), message.into(), vec![]));
}

#[test]
fn other_state_at_either_level_is_a_failure() {
    for state in ["UNEXPECTED_ERROR", "IMPORTED_WITH_ERRORS", "SUCCESS", "successfully_imported"] {
        for answer in [
            json!({"result": {"state": state, "message": ""}}),
            answer(state, IMPORTED, "", &json!([7, 8])),
            answer(IMPORTED, state, "", &json!([7, 8])),
            json!({"state": state, "message": ""}),
        ] {
            assert_eq!(not_imported(&answer), (state.into(), String::new(), vec![]), "{answer}");
        }
    }
}

#[test]
fn refusals_are_failures() {
    let exception = json!({"__is_rpc_exception__": true, "type": "x.Failed", "value": {"detailMessage": "Login failed", "cause": "why"}});
    let errors = vec!["x.Failed".to_owned(), "why".to_owned()];
    assert_eq!(not_imported(&exception), ("__is_rpc_exception__".into(), "Login failed".into(), errors));
    let error = json!({"error": "No such form", "result": {"state": IMPORTED}});
    assert_eq!(not_imported(&error), ("error".into(), "No such form".into(), vec![]));
}

#[test]
fn record_errors_do_not_name_the_athlete() {
    let record = |reason: &str| {
        json!({"pairs": [{"key": "First Name", "value": "Ada"}, {"key": "Error", "value": reason},
            {"key": "organisationId", "value": "1009"}]})
    };
    let errors = json!([record("This form does not support multiple rows for key: Score"), record("")]);
    let told = vec!["This form does not support multiple rows for key: Score".to_owned(), "no reason given".to_owned()];
    let old = json!({"eventImportResultForForm": [{"eventImportResults": {"error": errors}}]});
    assert_eq!(not_imported(&old), (String::new(), String::new(), told.clone()));
    let mut with_state = success("2 out of 2 records successfully imported.", &json!([7, 8]));
    with_state["eventImportResultForForm"][0]["eventImportResults"]["error"] = errors;
    let (state, _, errors) = not_imported(&with_state);
    assert_eq!((state.as_str(), errors), (IMPORTED, told));
}

#[test]
fn does_not_repeat_sent_values() {
    let answer = json!({"result": {"state": "UNEXPECTED_ERROR", "message": "Score 82 is wrong, as is 'poor night'"}});
    let told = read_import(&answer, &events(&[None])).unwrap();
    assert_eq!(not_imported(&answer).1, "Score … is wrong, as is '…'");
    assert!(!format!("{told:?}").contains("82"));
}

#[test]
fn answer_without_states_is_an_error() {
    for answer in [
        json!({}),
        json!([]),
        json!(null),
        json!("SUCCESSFULLY_IMPORTED"),
        json!({"state": IMPORTED, "ids": [7]}),
        json!({"result": {}}),
        json!({"result": {"state": null}}),
        json!({"eventImportResultForForm": [{"eventImportResults": {"state": IMPORTED, "ids": [7]}}]}),
        json!({"result": {"state": IMPORTED}, "eventImportResultForForm": [{"eventImportResults": {"ids": [7]}}]}),
        json!({"result": {"state": IMPORTED}, "eventImportResultForForm": [{}]}),
        json!({"result": {"state": IMPORTED}, "eventImportResultForForm": "none"}),
    ] {
        let read = read_import(&answer, &events(&[None]));
        assert!(matches!(read, Err(Error::Unexpected { .. })), "{read:?} from {answer}");
    }
}

#[test]
fn reads_a_profile_state_at_the_top_level() {
    let fields = [("Link".to_owned(), "https://example.org/1".to_owned())];
    let read = |answer: Value| read_profile_import(&answer, &fields);
    let imported = |unknown_fields| Ok(ProfileImport::Imported { unknown_fields });
    let message = "1 out of 1 records successfully imported.";
    assert_eq!(read(json!({"state": IMPORTED, "message": message})), imported(vec![]));
    assert_eq!(read(json!({"state": IMPORTED, "ids": [1], "result": {"state": IMPORTED}})), imported(vec![]));
    let unknown = "The following names [Link] were sent in the message but do not exist in the form";
    assert_eq!(read(json!({"state": IMPORTED, "message": unknown})), imported(vec!["Link".into()]));

    for (answer, state) in [
        (json!({"state": "UNEXPECTED_ERROR", "message": ""}), "UNEXPECTED_ERROR"),
        (json!({"state": IMPORTED, "result": {"state": "UNEXPECTED_ERROR"}}), "UNEXPECTED_ERROR"),
        (json!({"state": IMPORTED, "message": "0 out of 1 records successfully imported."}), IMPORTED),
        (json!({"error": "No link https://example.org/1"}), "error"),
        (json!({"__is_rpc_exception__": true}), "__is_rpc_exception__"),
    ] {
        let Ok(ProfileImport::NotImported { state: told, message, .. }) = read(answer.clone()) else {
            panic!("{answer}")
        };
        assert_eq!(told, state, "{answer}");
        assert!(!message.contains("example.org"), "{message}");
    }
    for answer in [json!({}), json!([]), json!({"state": null}), json!({"state": ""})] {
        assert!(matches!(read(answer.clone()), Err(Error::Unexpected { .. })), "{answer}");
    }
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(answer in any_json(), form in any_json(), result in any_json()) {
        let sent = events(&[None, Some(7)]);
        for answer in [answer, json!({"result": {"state": IMPORTED}, "eventImportResultForForm": [form]}),
            json!({"result": {"state": IMPORTED}, "eventImportResultForForm": [{"eventImportResults": result}]})] {
            let _ = read_import(&answer, &sent);
            let _ = read_profile_import(&answer, &sent[0].fields);
        }
    }

    #[test]
    fn no_state_but_the_one_is_ever_a_success(overall in ".{0,24}", form in ".{0,24}") {
        let read = read_import(&answer(&overall, &form, "", &json!([7])), &events(&[None]));
        prop_assert!(!matches!(read, Ok(Import::Imported { .. })), "{:?}", read);
    }
}
