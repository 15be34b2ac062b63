//! Deleting an event.

use serde_json::json;
use smartabase::{Error, EventId};

use crate::site::{Scripted, answer, credentials, soon};

#[tokio::test]
async fn deletion_needs_one_request_and_the_sites_confirmation() {
    for (body, deleted) in [
        (r#"{"state":"SUCCESS","message":"Deleted 16517"}"#, true),
        (r#"{"state":"FAILURE","message":"No event 16517"}"#, false),
        (r#"{"state":"success"}"#, false),
        (r#"{"error":"no"}"#, false),
        ("[]", false),
        ("null", false),
    ] {
        let site = Scripted::saying(&[body]).await;
        let answer = site.client.delete_event(&credentials(), EventId(16_517), soon()).await;
        assert_eq!(answer, Ok(deleted), "{body}");
        assert_eq!(site.asked(), [("deleteevent".to_owned(), json!({"eventId": 16_517}))]);
    }
}

#[tokio::test]
async fn unclear_deletion_is_an_error() {
    for (status, body, error) in [
        (401, "", Error::WrongCredentials),
        (403, "", Error::Forbidden),
        (404, "", Error::NotFound),
        (500, "", Error::Unwell { status: Some(500) }),
        (200, "", Error::NotJson { status: 200, starts: "empty" }),
        (200, "<html>", Error::NotJson { status: 200, starts: "html" }),
    ] {
        let site = Scripted::answering([answer(status, body)]).await;
        assert_eq!(site.client.delete_event(&credentials(), EventId(7), soon()).await, Err(error));
        assert_eq!(site.requests().len(), 1, "nothing is sent again after {status}");
    }
}
