//! Answers with the headers of the real site: no `Content-Type` on v1, chunked, behind Apache.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: Option<&'static str>,
    session: Option<String>,
    body: String,
}

impl Answer {
    /// JSON without a `Content-Type`, as every v1 call returns it.
    pub(super) fn json(body: &Value) -> Self {
        Self { status: StatusCode::OK, content_type: None, session: None, body: body.to_string() }
    }

    /// JSON with a `Content-Type`, as v2 and v3 return it.
    pub(super) fn labelled(body: &Value) -> Self {
        Self { content_type: Some("application/json;charset=utf-8"), ..Self::json(body) }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, content_type: None, session: None, body: String::new() }
    }

    /// The generic error page with 422, which names no cause.
    pub(super) fn refused_by_apache() -> Self {
        Self::page(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity")
    }

    /// An HTML page.
    pub(super) fn page(status: StatusCode, title: &str) -> Self {
        let body = format!(
            "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>{} {title}</title>\n</head>\
             <body>\n<h1>{title}</h1>\n</body></html>\n",
            status.as_u16(),
        );
        Self { content_type: Some("text/html"), body, ..Self::empty(status) }
    }

    pub(super) fn with_session(mut self, session: String) -> Self {
        self.session = Some(session);
        self
    }

    pub(super) fn into_response(self) -> Response {
        // A stream has no length that hyper could announce, so the answer is chunked.
        let body = Bytes::from(self.body);
        let mut response = Response::new(Body::from_stream(stream::iter([Ok::<_, std::convert::Infallible>(body)])));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static("Apache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(HeaderName::from_static("keep-alive"), HeaderValue::from_static("timeout=5, max=1000"));
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(session) = self.session {
            let cookie = format!("JSESSIONID={session}; Path=/; Secure; HttpOnly");
            headers.insert(header::SET_COOKIE, cookie.parse().expect("letters and digits"));
            headers.insert(HeaderName::from_static("session-header"), session.parse().expect("letters and digits"));
        }
        response
    }
}
