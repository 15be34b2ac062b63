//! The database on a port of 127.0.0.1, for tests that put a proxy between a store and a database.
//!
//! Every user of the machine and every page in a browser can reach such a port. So each request must contain a secret
//! path of 256 random bits, which only the [endpoint](Server::endpoint) contains. A request with an `Origin` comes from
//! a web page and is refused whatever its path, and no answer allows a page to read it.
//!
//! The server runs on a thread of its own, so it goes on answering while the caller's runtime is busy.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::answer::{self, LARGEST_REQUEST, TARGET};

/// A running server. Dropping it closes the port and every connection, and waits until that has happened.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Served {
    database: Arc<Database>,
    path: Arc<str>,
}

impl Server {
    pub(crate) fn start(database: &Arc<Database>) -> io::Result<Self> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| io::Error::other("no randomness"))?;
        let path = format!("/{}", hex::encode(secret));
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}{path}", listener.local_addr()?);
        let served = Served { database: Arc::clone(database), path: path.into() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("dynamo".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                let routes = Router::new().fallback(respond).with_state(served);
                // A graceful shutdown waits for the clients, and a client may be waiting on the very thread that drops
                // this value. So the server is not asked to shut down: it is dropped, with its connections.
                tokio::select! {
                    _ = axum::serve(listener, routes) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { endpoint, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has already been printed, and must not become a second panic here.
            let _ = thread.join();
        }
    }
}

async fn respond(State(served): State<Served>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/');
    let known = verify_slices_are_equal(path.as_bytes(), served.path.as_bytes()).is_ok();
    if !known || head.method != Method::POST || head.headers.contains_key(ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Ok(body) = to_bytes(body, LARGEST_REQUEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let target = head.headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
    let answer = answer::answer(&served.database, target, &body);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, answer::CONTENT_TYPE)], Body::from(answer.body)).into_response()
}
