//! What the fuzzing targets share: a service on a socket that answers every request with the bytes of the moment, so that
//! the clients are fuzzed as they are used, from the status line to the last field.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// The statuses that an input's first byte chooses from; a success most often.
const STATUSES: [u16; 16] = [200, 200, 200, 200, 200, 200, 200, 201, 302, 400, 401, 403, 404, 422, 429, 500];

/// A service, and the runtime that it and its client live in.
pub struct Service {
    runtime: Runtime,
    local: LocalSet,
    answer: Rc<RefCell<Vec<u8>>>,
    /// Where it is.
    pub url: String,
}

impl Service {
    /// Starts on a port of its own.
    ///
    /// # Panics
    /// When the machine has no port to give.
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

    /// Runs a client against the service, which answers with this status and body until then.
    pub fn answering(&self, status: u8, body: &[u8], client: impl Future<Output = ()>) {
        let status = STATUSES[usize::from(status) % STATUSES.len()];
        // The header opens a session at Smartabase; nobody else looks at it.
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Fuzzed\r\nsession-header: fuzzed\r\nContent-Length: {length}\r\n\r\n");
        *self.answer.borrow_mut() = [head.as_bytes(), body].concat();
        self.local.block_on(&self.runtime, client);
    }
}

/// Keeps a value until the process ends without undoing it: a runtime can't be taken down in the middle of an exit, which
/// is how the fuzzer ends.
pub fn for_good<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Far enough off never to matter: what hangs is found by the fuzzer's own time limit.
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

/// Reads a whole request; `None` at the connection's end.
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
