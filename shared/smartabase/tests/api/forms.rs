//! The forms of a site, and their fields.

use axum::body::Body;
use axum::http::Response;
use serde_json::json;
use smartabase::{Error, FieldKind, FormKind, FormName, FormSummary, Session};

use crate::site::{Scripted, answer, credentials, soon};

const SESSION: &str = "a+b-c_d";

fn opened() -> Response<Body> {
    let mut answer = answer(200, r#"{"user":{"id":1001}}"#);
    answer.headers_mut().insert("session-header", SESSION.parse().unwrap());
    answer
}

async fn session(answers: impl IntoIterator<Item = Response<Body>>) -> (Scripted, Session) {
    let site = Scripted::answering(std::iter::once(opened()).chain(answers)).await;
    let session = site.client.open_session(&credentials(), soon()).await.unwrap();
    (site, session)
}

fn sleep() -> FormSummary {
    FormSummary { id: 7, name: FormName::from("Sleep"), kind: FormKind::Event, read_only: false }
}

#[tokio::test]
async fn login_opens_a_session_that_every_request_carries() {
    let list = r#"{"event":[{"id":7,"name":"Sleep"}],"profile":[],"database":[]}"#;
    let tree =
        r#"{"type":"Form","children":[{"type":"FormItem","name":"Score","formItemType":"Number","required":true}]}"#;
    let (site, session) = session([answer(200, list), answer(200, tree)]).await;
    assert_eq!(session.forms(soon()).await.unwrap(), [sleep()]);
    let schema = session.schema(&sleep(), soon()).await.unwrap();
    let field = &schema.fields[0];
    assert_eq!((field.label.as_str(), field.kind, field.required), ("Score", FieldKind::Number, true));

    let requests = site.requests();
    let paths: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.uri.path())).collect();
    let expected = [
        ("POST", "/site/api/v2/user/loginUser"),
        ("GET", "/site/api/v3/forms/summaries"),
        ("GET", "/site/api/v3/forms/event/7"),
    ];
    assert_eq!(paths, expected);
    let login = requests[0].json();
    assert_eq!((&login["username"], &login["password"]), (&json!("api.account"), &json!("hunter2")));
    assert_eq!(login["loginProperties"]["appName"], "site");
    for request in &requests[1..] {
        assert_eq!(request.headers["session-header"], SESSION);
        assert_eq!(request.headers["cookie"], format!("JSESSIONID={SESSION}"));
        assert!(!request.headers.contains_key("authorization"), "the password is sent once");
    }
    assert_eq!(format!("{session:?}"), "Session { .. }");
}

#[tokio::test]
async fn answer_without_a_session_is_a_failed_login() {
    let exception = r#"{"__is_rpc_exception__":true,"value":{"detailMessage":"Multi-factor sign-in is required"}}"#;
    let no_application = r#"{"__is_rpc_exception__":true,"value":{"detailMessage":"no application known as 'site'"}}"#;
    let unexpected = |what: &str| Error::Unexpected { what: what.to_owned() };
    for (status, body, error) in [
        (200, exception, Error::Refused { says: "Multi-factor sign-in is required".to_owned() }),
        (200, no_application, Error::NotFound),
        (200, "{}", unexpected("the site opened no session")),
        (200, "<html>", Error::NotJson { status: 200, starts: "html" }),
        (401, "", Error::WrongCredentials),
        (404, "", Error::NotFound),
    ] {
        let site = Scripted::answering([answer(status, body)]).await;
        assert_eq!(site.client.open_session(&credentials(), soon()).await.unwrap_err(), error);
        assert_eq!(site.requests().len(), 1, "a login is not repeated");
    }
}

#[tokio::test]
async fn site_without_v3_returns_a_distinct_error() {
    for (status, body, error) in [
        (404, "", Error::NotFound),
        (403, "", Error::Forbidden),
        (200, "<html>", Error::NotJson { status: 200, starts: "html" }),
        (200, "", Error::NotJson { status: 200, starts: "empty" }),
        (302, "", Error::Rejected { status: 302 }),
    ] {
        let (_, list) = session([answer(status, body)]).await;
        assert_eq!(list.forms(soon()).await, Err(error.clone()));
        let (_, tree) = session([answer(status, body)]).await;
        assert_eq!(tree.schema(&sleep(), soon()).await, Err(error));
    }
}

#[tokio::test]
async fn oversized_form_list_is_an_error() {
    let (_, session) = session([answer(200, &" ".repeat(9 * 1024 * 1024))]).await;
    assert_eq!(session.forms(soon()).await, Err(Error::TooLarge));
}
