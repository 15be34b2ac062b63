//! The error answers of the collections, in each of the shapes that were seen.

use axum::response::{IntoResponse, Json, Response};
use http::{HeaderName, StatusCode};
use serde_json::json;

use super::ErrorBody;

#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), headers: Vec::new() }
    }

    pub(super) fn into_response(self, shape: ErrorBody) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = match shape {
            // Another layer answers requests that fail validation, always in its own shape.
            _ if self.status == StatusCode::UNPROCESSABLE_ENTITY => {
                let fault = json!({"loc": ["query", self.detail], "msg": "Input is not valid", "type": "value_error"});
                Json(json!({"detail": [fault]})).into_response()
            }
            ErrorBody::Problem => {
                Json(json!({"status": self.status.as_u16(), "title": title, "detail": self.detail})).into_response()
            }
            ErrorBody::Detail => Json(json!({"detail": self.detail})).into_response(),
            ErrorBody::Empty => ().into_response(),
        };
        let mut response = (self.status, body).into_response();
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value.parse().expect("digits or a word"));
        }
        response
    }
}
