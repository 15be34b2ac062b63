//! A stand-in for Lambda: the Runtime API on a port of this machine, and the function's binary as a child process.
//!
//! Paths and headers follow AWS's *Lambda runtime API*, version 2018-06-01.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::process::{self, Share};

/// The longest time-out of the template's functions.
const TIMEOUT: Duration = Duration::from_mins(15);

/// A function's process, which is idle between two events. It is killed when this is dropped.
pub(crate) struct Function {
    process: Child,
    id: u32,
    api: Arc<Api>,
    happened: mpsc::UnboundedReceiver<Happened>,
    server: JoinHandle<()>,
    share: Option<Share>,
    /// What it took until the function asked for its first event.
    pub(crate) start: Effort,
}

/// The time that something took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    /// Elapsed time.
    pub(crate) wall: Duration,
    /// Processor time.
    pub(crate) cpu: Duration,
}

struct Api {
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    send: mpsc::UnboundedSender<String>,
    tell: mpsc::UnboundedSender<Happened>,
}

enum Happened {
    Ready,
    Answered(Bytes),
    Failed(Bytes),
}

impl Function {
    /// Starts a binary with only these variables, and waits until it asks for its first event.
    pub(crate) async fn start(binary: &Path, variables: &[(String, String)]) -> anyhow::Result<Self> {
        let (send, events) = mpsc::unbounded_channel();
        let (tell, happened) = mpsc::unbounded_channel();
        let api = Arc::new(Api { events: Mutex::new(events), send, tell });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(error))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&api));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let server = tokio::spawn(async move {
            // Serves until the task is aborted.
            let _ = axum::serve(listener, routes).await;
        });
        let name = binary.file_name().unwrap_or_default();
        let began = Instant::now();
        let process = Command::new(binary)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} can't be started", binary.display()))?;
        let id = process.id().context("the process is gone")?;
        let mut function = Self { process, id, api, happened, server, share: None, start: Effort::default() };
        match function.next().await? {
            Happened::Ready => {}
            Happened::Answered(body) | Happened::Failed(body) => {
                bail!("{}: {}", name.display(), String::from_utf8_lossy(&body))
            }
        }
        function.start = Effort { wall: began.elapsed(), cpu: function.cpu()? };
        Ok(function)
    }

    /// Gives the function an event, and waits until it has answered and asks for the next one.
    pub(crate) async fn invoke(&mut self, event: &Value) -> anyhow::Result<(Effort, Value)> {
        let (began, before) = (Instant::now(), self.cpu()?);
        self.api.send.send(event.to_string())?;
        let answer = match self.next().await? {
            Happened::Answered(body) => serde_json::from_slice(&body)?,
            Happened::Failed(body) => bail!("the function failed: {}", String::from_utf8_lossy(&body)),
            Happened::Ready => bail!("the function asks for an event before it has answered the last"),
        };
        let wall = began.elapsed();
        match self.next().await? {
            Happened::Ready => Ok((Effort { wall, cpu: self.cpu()?.saturating_sub(before) }, answer)),
            Happened::Answered(_) | Happened::Failed(_) => bail!("the function answers twice"),
        }
    }

    /// Limits the function to a share of a processor. Returns whether this machine can do that.
    pub(crate) fn limit(&mut self, share: f64) -> bool {
        self.share = Share::of(share, self.id);
        self.share.is_some()
    }

    /// The most memory that the process has had, in bytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        process::peak_memory(self.id)
    }

    /// Keeps the process on one core.
    pub(crate) async fn pin(&self, core: usize) -> anyhow::Result<()> {
        process::pin(self.id, core).await
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.id)
    }

    async fn next(&mut self) -> anyhow::Result<Happened> {
        tokio::select! {
            happened = self.happened.recv() => happened.context("the stand-in for Lambda has ended"),
            status = self.process.wait() => bail!("the function has ended: {}", status?),
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
        // The control group can be removed only when the process has ended. `kill_on_drop` would end it too late.
        let _ = self.process.start_kill();
        while matches!(self.process.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let _ = api.tell.send(Happened::Ready);
    let Some(event) = api.events.lock().await.recv().await else {
        return (StatusCode::GONE, HeaderMap::new(), String::new());
    };
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + TIMEOUT;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("lambda-runtime-aws-request-id", HeaderValue::from_static("8476a536-e9f4-11e8-9739-2dfe598c3fcd"));
    headers
        .insert("lambda-runtime-invoked-function-arn", HeaderValue::from_static("arn:aws:lambda:local:0:function:f"));
    if let Ok(end) = HeaderValue::from_str(&end.as_millis().to_string()) {
        headers.insert("lambda-runtime-deadline-ms", end);
    }
    (StatusCode::OK, headers, event)
}

async fn response(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.tell.send(Happened::Answered(body));
    StatusCode::ACCEPTED
}

async fn error(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.tell.send(Happened::Failed(body));
    StatusCode::ACCEPTED
}
