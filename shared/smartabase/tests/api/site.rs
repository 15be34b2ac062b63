//! A scripted site: it sends given answers in order and records the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use smartabase::{Client, Credentials, Site};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The last segment of the path.
    pub(crate) fn endpoint(&self) -> &str {
        self.uri.path().rsplit('/').next().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A scripted site. If it gets more requests than it has answers, it sends 418, which no test expects.
pub(crate) struct Scripted {
    pub(crate) client: Client,
    requests: Arc<Mutex<Vec<Request>>>,
}

struct Script {
    requests: Arc<Mutex<Vec<Request>>>,
    answers: Mutex<VecDeque<Response<Body>>>,
}

impl Scripted {
    /// Answers 200 with these bodies, without a content type, like the real v1.
    pub(crate) async fn saying(bodies: &[&str]) -> Scripted {
        Scripted::answering(bodies.iter().map(|body| answer(200, body))).await
    }

    pub(crate) async fn answering(answers: impl IntoIterator<Item = Response<Body>>) -> Scripted {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers = Mutex::new(answers.into_iter().collect());
        let script = Arc::new(Script { requests: requests.clone(), answers });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&format!("http://{}/site/", listener.local_addr().unwrap()));
        let app = Router::new().fallback(serve).with_state(script);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Scripted { client, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The bodies of all requests, each with its endpoint.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        self.requests().iter().map(|request| (request.endpoint().to_owned(), request.json())).collect()
    }
}

async fn serve(
    State(script): State<Arc<Script>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    script.requests.lock().unwrap().push(Request { method, uri, headers, body });
    script.answers.lock().unwrap().pop_front().unwrap_or_else(|| answer(418, ""))
}

pub(crate) fn answer(status: u16, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_owned())).unwrap()
}

pub(crate) fn client(site: &str) -> Client {
    Client::new(Site::parse(site).unwrap()).unwrap()
}

pub(crate) fn credentials() -> Credentials {
    Credentials { username: "api.account".to_owned(), password: "hunter2".into() }
}

/// A deadline that no test reaches.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}
