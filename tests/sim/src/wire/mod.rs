//! A wire between a client and a server, on which everything is counted and anything can go wrong.
//!
//! A [`Wire`] listens on a port of its own and forwards HTTP/1.1 requests to one upstream, headers and `Host` untouched
//! (a signed request stays valid). [`Wire::inject`] says which requests meet which [`Fault`]; [`Wire::log`] tells what
//! went over it. The wire never retries and never answers on its own unless a fault says so.

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

/// A request as a rule or a closure sees it, before anything happened to it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Position among all requests of this wire, from 1.
    pub number: u64,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without the question mark; empty when there is none.
    pub query: String,
    /// For AWS JSON services the operation, such as `PutItem`; empty otherwise.
    pub operation: String,
    /// The headers, as they came.
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
    /// A wire to `upstream`, an `http://host:port` address; a path on it is carried over to [`Wire::url`].
    pub async fn start(upstream: &str) -> std::io::Result<Self> {
        let invalid = |reason: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, reason);
        let url = url::Url::parse(upstream).map_err(|error| invalid(format!("{upstream}: {error}")))?;
        if url.scheme() != "http" {
            return Err(invalid(format!("{upstream}: the wire speaks plain HTTP only")));
        }
        let origin = url.origin().ascii_serialization();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // Well under the five seconds after which a server may close an idle connection; and never a second try, since
        // whoever counts requests behind this wire must see what the client sent and nothing else.
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

    /// Where clients are pointed instead of at the upstream: same path, no trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.server.url(), self.base_path)
    }

    /// From now on, requests that `when` selects meet `fault`. Of several rules, the earliest that selects decides; every
    /// rule counts the requests that it sees, whether or not an earlier one decided.
    pub fn inject(&self, when: When, fault: Fault) {
        let mut selects = when.into_selector();
        self.decide(move |seen| selects(seen).then(|| fault.clone()));
    }

    /// From now on, `decide` is asked about every request. It may also merely watch, and signal what it saw; it must not
    /// call the wire that asks it.
    pub fn decide(&self, decide: impl FnMut(&Seen) -> Option<Fault> + Send + 'static) {
        self.line.rules.lock().push(Rule { decide: Box::new(decide) });
    }

    /// Forgets every rule: the wire is healthy again. What is held or hanging stays so.
    pub fn heal(&self) {
        self.line.rules.lock().clear();
    }

    /// Everything that went over the wire since the start or since [`Wire::take_log`], in order of arrival.
    ///
    /// A request appears when it arrives and is completed when it is answered, so one under way has no status yet.
    #[must_use]
    pub fn log(&self) -> Log {
        self.line.journal.lock().snapshot()
    }

    /// As [`Wire::log`], and begins a new log.
    pub fn take_log(&self) -> Log {
        self.line.journal.lock().take()
    }

    /// Keeps the bodies of requests and answers in the log from now on. They are not kept otherwise.
    pub fn keep_bodies(&self) {
        self.line.journal.lock().keep_bodies = true;
    }
}

/// Why a connection is cut without an answer. Nobody reads it; hyper closes the connection when a service fails.
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
        // A request that is on its way arrives, whether or not the client still waits for the answer.
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

    /// Sends the request on and waits for the whole answer; an upstream that is not there cuts the client off too.
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

/// The answer as it came: in one piece, or chunked if no length was announced.
fn whole(response: Response<Bytes>) -> Response<Body> {
    let announced = response.headers().contains_key(header::CONTENT_LENGTH);
    response
        .map(|body| if announced { Body::from(body) } else { Body::from_stream(stream::iter([Ok::<_, Cut>(body)])) })
}

/// The answer as a receiver sees it whose connection breaks in the middle: announced as before, and half of it sent.
fn halved(response: Response<Bytes>) -> Response<Body> {
    response.map(|body| {
        let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
        // hyper gives up what it has not written when a body fails: let it write the first half.
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
