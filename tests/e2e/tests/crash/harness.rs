//! A stage on which processes start and die. It plays the platform around the connector, and the people who use it.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use connector::forms::Forms;
use connector::{Connector, Counters, CredentialGuard, Disposition, Queue, WorkerMessage};
use e2e::{athlete, opening};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use local::{Cast, Stage};
use runtime::{Deadline, Given, Secrets};
use secrecy::ExposeSecret;
use sim::wire::Gate;
use store::{Connection, SealPurpose, Sealed, Store};

use crate::failure_mode::{FailureMode, Then};
use crate::fault_injector::Watch;
use crate::request::Target;

/// The time between two ticks.
pub(crate) const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// How long a message stays invisible after its worker died, as in the template.
const VISIBILITY: Duration = Duration::from_mins(6);

/// The time limit of an invocation per function, as in the template, minus two seconds for the platform.
const WORKER: Duration = Duration::from_secs(58);
const SCHEDULER: Duration = Duration::from_secs(58);
const OAUTH: Duration = Duration::from_secs(26);
const ENROL: Duration = Duration::from_secs(898);

/// The number of steps of a wait until a process gives up.
const STEPS: u32 = 60;

/// The stage, and the failure planned for it.
pub(crate) struct Harness {
    pub(crate) stage: Stage,
    pub(crate) watch: Watch,
    /// Whether the database client retries failed requests, as it does when deployed.
    patient: bool,
    fate: Option<(Then, Gate)>,
    /// The number of processes that died.
    pub(crate) deaths: usize,
}

/// A page in the browser.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Harness {
    pub(crate) async fn open(cast: Cast, patient: bool) -> Self {
        let stage = opening(cast).await;
        let watch = Watch::over(&stage).await;
        let mut house = Self { stage, watch, patient, fate: None, deaths: 0 };
        house.launch().await;
        house
    }

    /// Starts counting requests. The request in `strike`, if any, fails.
    pub(crate) fn begin(&mut self, strike: Option<(Target, FailureMode)>) {
        let gate = Gate::new();
        self.fate = strike.as_ref().and_then(|(_, way)| way.then()).map(|then| (then, gate.clone()));
        self.watch.begin(strike.map(|(target, way)| (target, way, gate)));
    }

    /// Starts a new process with the same configuration, table and queue. Its memory is empty.
    async fn launch(&mut self) {
        self.deploy(self.stage.process.connector.forms.clone()).await;
    }

    /// Starts a new process that was built with these forms.
    pub(crate) async fn deploy(&mut self, forms: Forms) {
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let retries = if self.patient { retries } else { RetryConfig::disabled() };
        let database = dynamo::config_at(&self.stage.table_wire.url()).retry_config(retries).build();
        let before = &self.stage.process.connector;
        let deadline = e2e::deadline();
        let secrets = &before.secrets;
        let (oura, smartabase, keyring) =
            tokio::try_join!(secrets.oura(deadline), secrets.smartabase(deadline), secrets.keyring(deadline)).unwrap();
        self.stage.process.connector = Arc::new(Connector {
            settings: before.settings.clone(),
            forms,
            oura: oura::Client::new(before.settings.oura.clone()).unwrap(),
            smartabase: smartabase::Client::new(before.settings.site.clone()).unwrap(),
            store: Store::new(aws_sdk_dynamodb::Client::from_conf(database), before.store.table()),
            queue: Queue::InProcess(self.stage.process.waiting.clone()),
            secrets: Secrets::Given(Given::new((*oura).clone(), (*smartabase).clone(), (*keyring).clone())),
            clock: before.clock.clone(),
            credential_guard: CredentialGuard::default(),
            counters: Counters::default(),
        });
    }

    /// Runs one invocation of a function. Returns `None` if its process died; a new one then replaces it.
    async fn invoke<T, F>(
        &mut self,
        length: Duration,
        use_case: impl FnOnce(Arc<Connector>, Deadline) -> F,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let connector = Arc::clone(&self.stage.process.connector);
        let mut invocation = tokio::spawn(use_case(connector, Deadline::within(length)));
        if let Some((then, gate)) = self.fate.clone() {
            tokio::select! {
                biased;
                ended = &mut invocation => return Some(ended.unwrap()),
                () = gate.reached() => {}
            }
            self.fate = None;
            match then {
                Then::Die => {
                    invocation.abort();
                    assert!(invocation.await.is_err(), "the invocation outlived its process");
                    gate.left().await;
                    self.deaths += 1;
                    self.launch().await;
                    return None;
                }
                Then::WaitOut => wait_out(length / STEPS, &gate).await,
            }
        }
        Some(invocation.await.unwrap())
    }

    /// Invokes the scheduler function.
    pub(crate) async fn tick(&mut self) {
        let _next_time = self.invoke(SCHEDULER, async |connector, deadline| connector.tick(deadline).await).await;
    }

    /// Invokes the enrol function. Returns whether it succeeded for every athlete.
    pub(crate) async fn enrol(&mut self) -> bool {
        let enrolled = self.invoke(ENROL, async |connector, deadline| connector.enrol(deadline).await).await;
        enrolled.is_some_and(|enrolled| enrolled.is_ok_and(|enrolled| enrolled.failed == 0))
    }

    /// Invokes the worker function with the next batch. Returns the number of messages.
    pub(crate) async fn work(&mut self) -> usize {
        let waiting = self.stage.process.waiting.clone();
        let received = waiting.receive(10);
        if received.is_empty() {
            return 0;
        }
        let messages = received.iter().enumerate();
        let messages = messages.map(|(id, message)| WorkerMessage {
            id: id.to_string(),
            body: message.body.clone(),
            receipt: None,
            attempts: message.attempts,
        });
        let messages = messages.collect();
        let verdicts =
            self.invoke(WORKER, async move |connector, deadline| connector.work(messages, deadline).await).await;
        let count = received.len();
        let verdicts = verdicts.map(|verdicts| verdicts.into_iter().map(|(_, verdict)| verdict).collect());
        let verdicts = verdicts.unwrap_or_else(|| vec![Disposition::RetryAfter(VISIBILITY); count]);
        for (message, verdict) in received.into_iter().zip(verdicts) {
            if let Disposition::RetryAfter(delay) = verdict {
                waiting.put_back(message, delay);
            }
        }
        count
    }

    /// Runs the worker until no message is visible.
    pub(crate) async fn work_off(&mut self) {
        while self.work().await > 0 {}
    }

    /// Runs the worker for all messages that become visible until then, and moves the clock.
    pub(crate) async fn work_until(&mut self, until: Timestamp) {
        while let Some(visible) = self.stage.process.waiting.last_visible(until) {
            self.stage.pass(visible.duration_since(self.stage.clock.now()).max(SignedDuration::ZERO));
            self.work_off().await;
        }
    }

    /// Sends a browser's request. Returns `None` if the process died.
    async fn browse(&mut self, request: Request<Vec<u8>>) -> Option<Response<String>> {
        self.invoke(OAUTH, async move |connector, deadline| connector.respond(request, deadline).await).await
    }

    /// Opens a user's personal link.
    pub(crate) async fn look(&mut self, user: i64) -> Option<Shown> {
        let link = self.stage.link(user).unwrap();
        self.browse(Request::get(link).body(Vec::new()).unwrap()).await.map(Shown::of)
    }

    /// Takes a user from the link through Oura, as `person`, and back. Returns the last page, or `None` if a step gave
    /// none.
    pub(crate) async fn visit(&mut self, user: i64, person: &str) -> Option<Shown> {
        let page = self.look(user).await?;
        if page.status != 200 {
            return Some(page);
        }
        let departed = self.press(user, "/connect").await?;
        if departed.status() != 303 {
            return Some(Shown::of(departed));
        }
        let header = |name| departed.headers().get(name).and_then(|value| value.to_str().ok()).unwrap().to_owned();
        let cookie = header(SET_COOKIE).split(';').next().unwrap().to_owned();
        let back = self.stage.oura.approve(&header(LOCATION), person);
        let back = Request::get(back.as_str()).header(COOKIE, cookie).body(Vec::new()).unwrap();
        self.browse(back).await.map(Shown::of)
    }

    /// Presses *Disconnect* on a user's page.
    pub(crate) async fn disconnect(&mut self, user: i64) -> Option<Shown> {
        self.press(user, "/disconnect").await.map(Shown::of)
    }

    async fn press(&mut self, user: i64, path: &str) -> Option<Response<String>> {
        let link = self.stage.link(user).unwrap();
        let (address, query) = link.split_once('?').unwrap();
        // Sent as by the page's own form, whose token the browser's cookie repeats.
        let token = "a".repeat(43);
        let request = Request::post(address.replace("/connect", path)).header(COOKIE, format!("__Host-form={token}"));
        let request = request.body(format!("{query}&token={token}").into_bytes()).unwrap();
        self.browse(request).await
    }

    /// Whether an athlete's refresh token is in the table, or on the queue as a rescue.
    pub(crate) async fn holds(&self, uuid: &str, refresh_token: &str) -> bool {
        let keyring = self.stage.process.connector.secrets.keyring(e2e::deadline()).await.unwrap();
        let stored = self.connection(uuid).await.and_then(|connection| connection.grant).map(|grant| grant.sealed);
        let bodies = self.stage.process.waiting.bodies();
        let queued = bodies.iter().filter_map(|body| {
            let job: serde_json::Value = serde_json::from_str(body).unwrap();
            Sealed::from_base64(job["grant"]["sealed"].as_str()?).ok()
        });
        stored.into_iter().chain(queued).any(|sealed| {
            let opened = keyring.open(SealPurpose::Grant, &athlete(uuid), &sealed);
            opened.is_ok_and(|pair| String::from_utf8_lossy(pair.expose_secret()).contains(refresh_token))
        })
    }

    /// Reads an athlete's connection directly from the table, not over the wire.
    pub(crate) async fn connection(&self, uuid: &str) -> Option<Connection> {
        let store = Store::new(self.stage.dynamo.client(), self.stage.process.connector.store.table());
        store.connection(&athlete(uuid), e2e::deadline().instant()).await.unwrap()
    }
}

impl Shown {
    fn of(response: Response<String>) -> Self {
        Self { status: response.status().as_u16(), text: response.into_body() }
    }
}

/// Lets time pass in steps, until the client has given up the request at the gate. Between two steps, real I/O gets a
/// moment to finish, so that only the waiting takes simulated time.
async fn wait_out(step: Duration, gate: &Gate) {
    loop {
        tokio::time::pause();
        tokio::time::advance(step).await;
        tokio::time::resume();
        tokio::select! {
            biased;
            () = gate.left() => return,
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
}
