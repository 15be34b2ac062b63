//! Test servers: one that records requests and answers over HTTP, and some that fail below HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use oura::{Client, Endpoints};
use serde_json::Value;
use url::Url;

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) form: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An HTTP server that records every request and computes the response with a function.
pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = address(listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (record, answer) = (Arc::clone(&seen), Arc::new(answer));
        let service = axum::Router::new().fallback(move |request: Request| {
            let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
            async move {
                let seen = read(request).await;
                record.lock().unwrap().push(seen.clone());
                answer(&seen)
            }
        });
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn client(&self) -> Client {
        client_of(&self.url)
    }
}

async fn read(request: Request) -> Seen {
    let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        headers: parts.headers,
        form: pairs(&body),
    }
}

/// A client with all endpoints at this address.
pub(crate) fn client_of(url: &Url) -> Client {
    let at = |path| url.join(path).unwrap();
    let endpoints =
        Endpoints { authorize: at("/authorize"), token: at("/token"), revoke: at("/revoke"), api: url.clone() };
    Client::new(endpoints).unwrap()
}

pub(crate) fn json(body: &Value) -> Response<Body> {
    typed(200, "application/json", body.to_string())
}

pub(crate) fn plain(status: u16, body: impl Into<Body>) -> Response<Body> {
    typed(status, "text/plain", body)
}

pub(crate) fn typed(status: u16, kind: &str, body: impl Into<Body>) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()
}

/// A response that claims to be compressed.
pub(crate) fn gzip(body: impl Into<Body>) -> Response<Body> {
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
    answer.header(header::CONTENT_ENCODING, "gzip").body(body.into()).unwrap()
}

pub(crate) fn redirect(to: &Url) -> Response<Body> {
    Response::builder().status(307).header(header::LOCATION, to.as_str()).body(Body::empty()).unwrap()
}

/// A server that reads a whole request and writes these bytes. It then closes the connection, or keeps it open if asked
/// to.
pub(crate) struct RawServer {
    pub(crate) url: Url,
    connections: Arc<AtomicUsize>,
}

impl RawServer {
    pub(crate) fn start(answer: impl Into<Vec<u8>>, keep_open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = address(listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&connections), answer.into());
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                take_request(&mut connection);
                let _ = connection.write_all(&answer);
                if keep_open {
                    open.push(connection);
                }
            }
        });
        Self { url, connections }
    }

    pub(crate) fn client(&self) -> Client {
        client_of(&self.url)
    }

    /// The number of connections, each of which carried at most one request.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a request to its end. Closing a socket with unread data would reset the connection, which is another error.
fn take_request(connection: &mut TcpStream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let _ = connection.read_exact(&mut vec![0; length.unwrap_or(0)]);
}

/// A server that accepts connections and never answers.
pub(crate) struct Silence {
    pub(crate) url: Url,
    _listener: TcpListener,
}

impl Silence {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { url: address(listener.local_addr().unwrap()), _listener: listener }
    }
}

/// An address without a listener.
pub(crate) fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    address(listener.local_addr().unwrap())
}

fn address(at: SocketAddr) -> Url {
    format!("http://{at}/").parse().unwrap()
}
