//! A proxy between a client and a server that counts requests and injects faults.
//!
//! A [`Wire`] listens on a port of its own and forwards HTTP/1.1 requests to one upstream. It does not change headers
//! or `Host`, so a signed request stays valid. [`Wire::inject`] says which requests get which [`Fault`]; [`Wire::log`]
//! returns the requests. The wire never retries, and never answers by itself unless a fault says so.

mod faults;
mod journal;
mod when;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;

pub use faults::{Answer, Fault, Gate};
pub use journal::{Entry, Log};
pub use when::When;

use crate::server::{Server, serve};

/// A request as a rule or a closure sees it, before any fault is applied.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Position among all requests of this wire, from 1.
    pub number: u64,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without the question mark; empty if there is none.
    pub query: String,
    /// For AWS JSON services the operation, such as `PutItem`; empty otherwise.
    pub operation: String,
    /// The headers, unchanged.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A reverse proxy with a port of its own. Dropping it closes the port and cuts the connections through it.
#[derive(Debug)]
pub struct Wire {
    server: Server,
    base_path: String,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    rules: Mutex<Vec<Rule>>,
    journal: Mutex<journal::Journal>,
}

struct Rule {
    decide: Decide,
}

type Decide = Box<dyn FnMut(&Seen) -> Option<Fault> + Send>;

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rule")
    }
}

impl Wire {
    /// Starts a wire to `upstream`, an `http://host:port` address. A path in it is kept in [`Wire::url`].
    pub async fn start(upstream: &str) -> std::io::Result<Self> {
        let invalid = |reason: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, reason);
        let url = url::Url::parse(upstream).map_err(|error| invalid(format!("{upstream}: {error}")))?;
        if url.scheme() != "http" {
            return Err(invalid(format!("{upstream}: the wire speaks plain HTTP only")));
        }
        let origin = url.origin().ascii_serialization();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // Idle connections are closed well before the five seconds after which a server may close them. The client
        // never retries: the upstream must receive exactly the requests that the wire's client sent.
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_millis(500))
            .retry_canceled_requests(false)
            .build(connector);
        let line = Arc::new(Line { upstream: origin, client, rules: Mutex::default(), journal: Mutex::default() });
        let shared = Arc::clone(&line);
        let server = Server::accept(move |stream| {
            let line = Arc::clone(&shared);
            let service = hyper::service::service_fn(move |request| Arc::clone(&line).carry(request));
            async move { serve(stream, Duration::from_mins(1), service).await }
        })
        .await?;
        Ok(Self { server, base_path: url.path().trim_end_matches('/').to_owned(), line })
    }

    /// The address for clients, instead of the upstream's: the same path, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.server.url(), self.base_path)
    }

    /// From now on, requests that `when` selects get `fault`. Of several rules, the first that selects a request
    /// decides. Every rule counts all requests that it sees, even those that an earlier rule decides.
    pub fn inject(&self, when: When, fault: Fault) {
        let mut selects = when.into_selector();
        self.decide(move |seen| selects(seen).then(|| fault.clone()));
    }

    /// From now on, calls `decide` for every request. It may also only watch, and signal what it saw. It must not call
    /// this wire.
    pub fn decide(&self, decide: impl FnMut(&Seen) -> Option<Fault> + Send + 'static) {
        self.line.rules.lock().push(Rule { decide: Box::new(decide) });
    }

    /// Removes every rule. Requests that are held or hang stay so.
    pub fn heal(&self) {
        self.line.rules.lock().clear();
    }

    /// All requests since the start or since [`Wire::take_log`], in the order in which they came.
    ///
    /// A request is added when it reaches the wire and completed when it is answered, so an open request has no status
    /// yet.
    #[must_use]
    pub fn log(&self) -> Log {
        self.line.journal.lock().snapshot()
    }

    /// Like [`Wire::log`], and begins a new log.
    pub fn take_log(&self) -> Log {
        self.line.journal.lock().take()
    }

    /// Keeps the bodies of requests and answers in the log from now on. They are not kept otherwise.
    pub fn keep_bodies(&self) {
        self.line.journal.lock().keep_bodies = true;
    }
}

/// A connection is cut without an answer. The text is not shown; hyper closes the connection when a service fails.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the wire was cut")
    }
}

impl std::error::Error for Cut {}

impl Line {
    async fn carry(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let operation = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let mut seen = Seen {
            number: 0,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            operation: operation.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
            body: body.clone(),
        };
        self.journal.lock().arrived(&mut seen);
        let number = seen.number;
        let mut fault = None;
        for rule in self.rules.lock().iter_mut() {
            let verdict = (rule.decide)(&seen);
            fault = fault.or(verdict);
        }
        self.journal.lock().faulted(number, fault.as_ref());

        match fault {
            Some(Fault::Answer(answer)) => return Ok(self.answered(number, answer.into_response())),
            Some(Fault::DropBefore) => return Err(Cut),
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HoldBefore(ref gate)) => gate.pass().await,
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            _ => {}
        }
        // The request reaches the upstream even if the client no longer waits for the answer.
        let line = Arc::clone(&self);
        let forwarded = tokio::spawn(async move { line.forward(number, parts, body).await });
        let response = forwarded.await.map_err(|_| Cut)??;
        match fault {
            Some(Fault::Replace(answer)) => Ok(self.answered(number, answer.into_response())),
            Some(Fault::DropAfter) => Err(Cut),
            Some(Fault::HangAfter) => std::future::pending().await,
            Some(Fault::HoldAfter(gate)) => {
                gate.pass().await;
                Ok(self.answered(number, whole(response)))
            }
            Some(Fault::Truncate) => Ok(self.answered(number, halved(response))),
            _ => Ok(self.answered(number, whole(response))),
        }
    }

    /// Sends the request to the upstream and waits for the whole answer. If the upstream is not there, the client's
    /// connection is cut.
    async fn forward(&self, number: u64, parts: http::request::Parts, body: Bytes) -> Result<Response<Bytes>, Cut> {
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method;
        *request.uri_mut() = format!("{}{path}", self.upstream).parse::<Uri>().map_err(|_| Cut)?;
        *request.headers_mut() = end_to_end(parts.headers);
        let response = self.client.request(request).await.map_err(|_| Cut)?;
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        self.journal.lock().reached(number, parts.status, &body);
        parts.headers = end_to_end(parts.headers);
        Ok(Response::from_parts(parts, body))
    }

    fn answered(&self, number: u64, response: Response<Body>) -> Response<Body> {
        self.journal.lock().answered(number, response.status());
        response
    }
}

/// The headers that are not about one connection only.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers
}

/// The answer as the upstream sent it: with its length, or chunked if it announced none.
fn whole(response: Response<Bytes>) -> Response<Body> {
    let announced = response.headers().contains_key(header::CONTENT_LENGTH);
    response
        .map(|body| if announced { Body::from(body) } else { Body::from_stream(stream::iter([Ok::<_, Cut>(body)])) })
}

/// The answer on a connection that breaks in the middle: the same headers, and half of the body.
fn halved(response: Response<Bytes>) -> Response<Body> {
    response.map(|body| {
        let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
        // When a body fails, hyper drops what it has not yet written. So give it time to write the first half.
        let broken = stream::once(async {
            tokio::task::yield_now().await;
            Err(Cut)
        });
        Body::from_stream(half.chain(broken))
    })
}

impl From<StatusCode> for Answer {
    fn from(status: StatusCode) -> Self {
        Self::status(status.as_u16())
    }
}
