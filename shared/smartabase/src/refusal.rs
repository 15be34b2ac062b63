//! Refusals that the site sends with HTTP 200.

use serde_json::Value;

use crate::error::Error;
use crate::message::{is_true, message_text, repeatable, text};

/// A refusal by the site: an RPC exception, or an `error` or `errors` at the top of the answer. The texts are the
/// site's own, not yet cleaned.
pub(crate) struct Refusal {
    pub(crate) state: String,
    pub(crate) message: String,
    pub(crate) errors: Vec<String>,
}

impl Refusal {
    pub(crate) fn find(answer: &Value) -> Option<Refusal> {
        if is_true(answer.get("__is_rpc_exception__")) {
            let value = answer.get("value");
            let part = |name| text(value.and_then(|value| value.get(name)));
            let errors =
                [text(answer.get("type")), part("cause")].into_iter().filter(|text| !text.is_empty()).collect();
            return Some(Refusal { state: "__is_rpc_exception__".to_owned(), message: part("detailMessage"), errors });
        }
        let message = ["error", "errors"].into_iter().find_map(|name| match answer.get(name)? {
            Value::String(message) if !message.is_empty() => Some(message.clone()),
            Value::Object(error) => Some(text(error.get("message").or_else(|| error.get("detailMessage")))),
            Value::Array(errors) if !errors.is_empty() => Some(message_text(answer.get(name))),
            Value::Number(code) if code.as_f64() != Some(0.0) => {
                Some(format!("{code} {}", message_text(answer.get("message"))))
            }
            Value::Bool(true) => Some(message_text(answer.get("message"))),
            _ => None,
        })?;
        Some(Refusal { state: "error".to_owned(), message, errors: Vec::new() })
    }

    /// Like [`find`](Refusal::find), but a state also counts as a refusal: an answer to a read has a state only if it
    /// failed.
    pub(crate) fn find_in_read(answer: &Value) -> Option<Refusal> {
        Refusal::find(answer).or_else(|| {
            [Some(answer), answer.get("result")].into_iter().flatten().find_map(|place| {
                let state = text(place.get("state"));
                let failed = !state.is_empty() && !state.starts_with("SUCCESS");
                failed.then(|| Refusal { state, message: message_text(place.get("message")), errors: Vec::new() })
            })
        })
    }

    /// The error for the caller of a read. A message about a login is not treated as a 401, because it may come
    /// although the credentials are correct.
    pub(crate) fn into_error(self) -> Error {
        // The site sends this message if the last segment of its address names no application.
        if self.message.contains("application known as") {
            return Error::NotFound;
        }
        let message = repeatable(&self.message, &[], &[]);
        let message = if message.is_empty() { self.errors.first().cloned().unwrap_or(self.state) } else { message };
        Error::Refused { says: repeatable(&message, &[], &[]) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(answer: &Value) -> Option<Error> {
        Refusal::find_in_read(answer).map(Refusal::into_error)
    }

    #[test]
    fn finds_both_kinds_of_refusal() {
        let exception = |message: &str| json!({"__is_rpc_exception__": true, "type": "x.LoginException", "value": {"detailMessage": message, "cause": ""}});
        for (answer, says) in [
            (exception("Invalid username or password"), "Invalid username or password"),
            (exception(""), "x.LoginException"),
            (json!({"__is_rpc_exception__": true}), "__is_rpc_exception__"),
            (json!({"error": "no such form"}), "no such form"),
            (json!({"error": {"message": "no such form"}, "events": []}), "no such form"),
            (json!({"error": {}}), "error"),
            (json!({"error": true, "message": "no such form"}), "no such form"),
            (json!({"error": ["no such form"]}), "no such form"),
            (json!({"error": 500, "message": "no such form"}), "500 no such form"),
            (json!({"errors": [{"message": "no such form"}], "events": []}), "no such form"),
            (json!({"__is_rpc_exception__": "true", "type": "x"}), "x"),
            (json!({"state": "UNEXPECTED_ERROR", "message": "", "events": []}), "UNEXPECTED_ERROR"),
            (json!({"result": {"state": "FAILURE", "message": "no such form"}}), "no such form"),
        ] {
            assert_eq!(error(&answer), Some(Error::Refused { says: says.to_owned() }), "{answer}");
        }
        let wrong_site = exception("There is no application known as 'sight'");
        assert_eq!(error(&wrong_site), Some(Error::NotFound));
    }

    #[test]
    fn ignores_other_answers() {
        for answer in [
            json!({}),
            json!([]),
            json!(null),
            json!({"error": null}),
            json!({"error": ""}),
            json!({"error": false}),
            json!({"error": []}),
            json!({"error": 0, "errors": []}),
            json!({"state": null, "result": {"state": "SUCCESS"}}),
            json!({"__is_rpc_exception__": false}),
        ] {
            assert!(Refusal::find_in_read(&answer).is_none(), "{answer}");
        }
    }
}
