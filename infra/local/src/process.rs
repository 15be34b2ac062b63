use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response};
use connector::forms::Forms;
use connector::{Connector, Counters, CredentialGuard, EnrolSummary, InProcessQueue, Queue, TickSummary};
use jiff::{SignedDuration, Timestamp};
use runtime::{Clock, Deadline, Secrets, Settings};
use store::{Store, schema};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// The time limit of one worker invocation, as in the template.
const INVOCATION: Duration = Duration::from_mins(1);

/// The time limit of an enrolment, as in the template.
const ENROLMENT: Duration = Duration::from_mins(15);

/// The largest request body read from a browser. The connector refuses far smaller ones, with a page.
const LARGEST: usize = 1 << 20;

const TABLE: &str = "connector";

/// The parts of a process.
pub struct Parts {
    /// The installation's settings. Unless `public` is set, the address listened on replaces the public address.
    pub settings: Settings,
    /// Whether the settings' public address is correct, because the operator runs a reverse proxy at it.
    pub public: bool,
    /// The forms.
    pub forms: Forms,
    /// The secrets.
    pub secrets: Secrets,
    /// The clock.
    pub clock: Clock,
    /// A client of the database, or of a proxy in front of it.
    pub database: aws_sdk_dynamodb::Client,
    /// The port to listen on; 0 is any free one.
    pub port: u16,
}

/// A running connector. It stops listening when it is dropped.
pub struct Process {
    /// The use cases.
    pub connector: Arc<Connector>,
    /// The queue.
    pub waiting: InProcessQueue,
    /// Where the pages are served.
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Process {
    /// Creates the table unless it exists, and begins to listen.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts { mut settings, public, forms, secrets, clock, database, port } = parts;
        let tables = database.list_tables().send().await.context("the embedded database does not answer")?;
        if !tables.table_names().iter().any(|name| name == TABLE) {
            schema::create_table(&database, TABLE).await.context("the table can't be made")?;
        }
        let listener = TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("port {port} is taken"))?;
        let address = listener.local_addr()?;
        if !public {
            settings.public_url = Url::parse(&format!("http://{address}"))?;
        }
        let waiting = InProcessQueue::new(clock.clone());
        let connector = Arc::new(Connector {
            oura: oura::Client::new(settings.oura.clone())?,
            smartabase: smartabase::Client::new(settings.site.clone())?,
            store: Store::new(database, TABLE),
            queue: Queue::InProcess(waiting.clone()),
            settings,
            forms,
            secrets,
            clock,
            credential_guard: CredentialGuard::default(),
            counters: Counters::default(),
        });
        let pages = Router::new().fallback(answer).with_state(Arc::clone(&connector));
        let server = tokio::spawn(async move {
            // The server runs until the task is aborted.
            let _ = axum::serve(listener, pages).await;
        });
        Ok(Self { connector, waiting, address, server })
    }

    /// Runs an enrolment, as the enrol function does.
    pub async fn enrol(&self) -> Result<EnrolSummary, connector::EnrolError> {
        self.connector.enrol(Deadline::within(ENROLMENT)).await
    }

    /// Runs a tick, as the scheduler function does.
    pub async fn tick(&self) -> Result<TickSummary, connector::TickError> {
        self.connector.tick(Deadline::within(INVOCATION)).await
    }

    /// Runs the next batch, as the worker function does. Returns the number of messages.
    pub async fn work(&self) -> usize {
        self.waiting.work(&self.connector, Deadline::within(INVOCATION)).await
    }

    /// Runs all jobs that become visible up to `until`, and moves a manual clock forward to each.
    pub async fn work_until(&self, until: Timestamp) {
        while let Some(last) = self.waiting.last_visible(until) {
            let clock = &self.connector.clock;
            clock.advance(last.duration_since(clock.now()).max(SignedDuration::ZERO));
            while self.work().await > 0 {}
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(connector): State<Arc<Connector>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    // A larger body is not read to its end; the connector refuses it because of its size.
    let body = to_bytes(body, LARGEST).await.map_or_else(|_| vec![0; LARGEST], |body| body.to_vec());
    let request = Request::from_parts(head, body);
    connector.respond(request, Deadline::within(INVOCATION)).await.map(Body::from)
}
