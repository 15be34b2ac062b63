//! Code that the fuzz targets share: an HTTP service that answers every request with the current input. So each target
//! fuzzes a whole client, from the status line to the last field.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// The first byte of an input selects one of these statuses; success is the most frequent.
const STATUSES: [u16; 16] = [200, 200, 200, 200, 200, 200, 200, 201, 302, 400, 401, 403, 404, 422, 429, 500];

/// A service, with the runtime that runs it and its client.
pub struct Service {
    runtime: Runtime,
    local: LocalSet,
    answer: Rc<RefCell<Vec<u8>>>,
    /// The address of the service.
    pub url: String,
}

impl Service {
    /// Starts the service on a free port.
    ///
    /// # Panics
    /// If the machine has no free port.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let local = LocalSet::new();
        let answer = Rc::new(RefCell::new(Vec::new()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let answering = Rc::clone(&answer);
        local.spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream, Rc::clone(&answering)));
            }
        });
        Self { runtime, local, answer, url }
    }

    /// Runs a client against the service, which answers with this status and body until the client ends.
    pub fn answering(&self, status: u8, body: &[u8], client: impl Future<Output = ()>) {
        let status = STATUSES[usize::from(status) % STATUSES.len()];
        // The header opens a Smartabase session; other clients ignore it.
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Fuzzed\r\nsession-header: fuzzed\r\nContent-Length: {length}\r\n\r\n");
        *self.answer.borrow_mut() = [head.as_bytes(), body].concat();
        self.local.block_on(&self.runtime, client);
    }
}

/// Leaks a value, so that it is never dropped: a runtime can't shut down during process exit, which is how the fuzzer
/// ends.
pub fn for_good<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A deadline that is never reached; the fuzzer's own time limit finds hanging inputs.
#[must_use]
pub fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn serve(mut stream: TcpStream, answer: Rc<RefCell<Vec<u8>>>) {
    while read_request(&mut stream).await.is_some() {
        let answer = answer.borrow().clone();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Reads a whole request; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}
