use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::sync::Semaphore;

/// What happens to a request on the wire.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It arrives, this much later.
    Delay(Duration),
    /// It never arrives; the wire gives this answer itself.
    Answer(Answer),
    /// It arrives and has its effect; the client gets this answer instead of the real one.
    Replace(Answer),
    /// It arrives and has its effect; the real answer breaks off half way.
    Truncate,
    /// It never arrives, and the connection closes.
    DropBefore,
    /// It arrives and has its effect; the answer is lost and the connection closes.
    DropAfter,
    /// It never arrives, and nothing ever comes back; the connection stays open.
    HangBefore,
    /// It arrives and has its effect, and nothing ever comes back.
    HangAfter,
    /// It arrives when the gate is opened.
    HoldBefore(Gate),
    /// It arrives and has its effect; the answer comes when the gate is opened.
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

    /// A page of HTML with status 200, as a proxy or a maintenance notice in between gives where JSON is due.
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

/// Where requests wait until a test lets them go: an exact interleaving without a sleep.
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

    /// Waits until one more request stands at the gate; each is reported once.
    pub async fn reached(&self) {
        if let Ok(permit) = self.waiting.acquire().await {
            permit.forget();
        }
    }

    /// Waits until one more request no longer stands at the gate, because it passed or because its client gave it up; each
    /// is reported once.
    pub async fn left(&self) {
        if let Ok(permit) = self.gone.acquire().await {
            permit.forget();
        }
    }

    /// Lets everything pass, now and from now on.
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

/// A request at a gate. It is dropped when the gate opens, and when the client closes the connection.
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
