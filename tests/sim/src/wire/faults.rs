use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::sync::Semaphore;

/// What happens to a request on the wire.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The request reaches the upstream after this delay.
    Delay(Duration),
    /// The request does not reach the upstream. The wire itself gives this answer.
    Answer(Answer),
    /// The upstream carries out the request. The client gets this answer instead of the real one.
    Replace(Answer),
    /// The upstream carries out the request. The real answer is cut off half way.
    Truncate,
    /// The request does not reach the upstream, and the connection closes.
    DropBefore,
    /// The upstream carries out the request. The answer is lost and the connection closes.
    DropAfter,
    /// The request does not reach the upstream. The client gets no answer, and the connection stays open.
    HangBefore,
    /// The upstream carries out the request. The client gets no answer, and the connection stays open.
    HangAfter,
    /// The request reaches the upstream when the gate is opened.
    HoldBefore(Gate),
    /// The upstream carries out the request. The client gets the answer when the gate is opened.
    HoldAfter(Gate),
}

/// An answer that the upstream did not give.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Answer {
    /// An empty answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("an HTTP status");
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An HTML page with status 200, as a proxy or a maintenance page in between returns instead of JSON.
    #[must_use]
    pub fn html() -> Self {
        Self::status(200)
            .header("content-type", "text/html")
            .body("<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>")
    }

    /// JSON with status 200.
    #[must_use]
    pub fn json(body: &serde_json::Value) -> Self {
        Self::status(200).header("content-type", "application/json").body(&body.to_string())
    }

    /// The answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.parse().expect("a header name");
        self.headers.push((name, value.parse().expect("a header value")));
        self
    }

    /// The answer with this body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.as_bytes().clone_into(&mut self.body);
        self
    }

    /// The answer with this body, which need not be text.
    #[must_use]
    pub fn bytes(mut self, body: &[u8]) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    }
}

/// Holds requests until a test releases them, for an exact order of events without a sleep.
#[derive(Debug, Clone)]
pub struct Gate {
    waiting: Arc<Semaphore>,
    gone: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        let [waiting, gone, open] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
        Self { waiting, gone, open }
    }

    /// Waits until one more request is at the gate. Each request is reported once.
    pub async fn reached(&self) {
        if let Ok(permit) = self.waiting.acquire().await {
            permit.forget();
        }
    }

    /// Waits until one more request has left the gate, because it was released or because its client closed the
    /// connection. Each request is reported once.
    pub async fn left(&self) {
        if let Ok(permit) = self.gone.acquire().await {
            permit.forget();
        }
    }

    /// Releases all requests, now and from now on.
    pub fn open(&self) {
        self.open.close();
    }

    pub(super) async fn pass(&self) {
        let _standing = Standing(&self.gone);
        self.waiting.add_permits(1);
        // Opening closes the semaphore, which ends every wait, present and future, with an error.
        let _ = self.open.acquire().await;
    }
}

/// A request at a gate. It is dropped when the gate opens or the client closes the connection.
struct Standing<'a>(&'a Semaphore);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
