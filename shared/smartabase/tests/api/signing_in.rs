//! Checking whether the site accepts the account.

use serde_json::json;
use smartabase::Error;

use crate::site::{Scripted, answer, credentials, soon};

#[tokio::test]
async fn sign_in_is_one_request_that_reads_no_personal_data() {
    for (status, body) in [(200, r#"{"results":["Squad"]}"#), (200, ""), (403, "access denied")] {
        let site = Scripted::answering([answer(status, body)]).await;
        assert_eq!(site.client.sign_in(&credentials(), soon()).await, Ok(()), "{status}");
        assert_eq!(site.asked(), [("listgroups".to_owned(), json!({"name": ""}))]);
        assert_eq!(site.requests()[0].headers["authorization"], "Basic YXBpLmFjY291bnQ6aHVudGVyMg==");
    }
}

#[tokio::test]
async fn unclear_answer_is_not_a_sign_in() {
    for (status, body, error) in [
        (401, "", Error::WrongCredentials),
        (404, "", Error::NotFound),
        (429, "", Error::Throttled { after: None }),
        (500, "", Error::Unwell { status: Some(500) }),
        (503, "<html>", Error::Unwell { status: Some(503) }),
        (200, "<html>", Error::NotJson { status: 200, starts: "html" }),
    ] {
        let site = Scripted::answering([answer(status, body)]).await;
        assert_eq!(site.client.sign_in(&credentials(), soon()).await, Err(error));
        assert_eq!(site.requests().len(), 1, "nothing is sent again after {status}");
    }
}
