//! A batch at the worker: each job runs on its own, and no job's failure affects another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, Uri};
use connector::forms::{FormField, Source, Unit};
use connector::queue::message::{Job, SealedGrant};
use connector::{Connector, Disposition, WorkerMessage};
use jiff::SignedDuration;
use oura::{DailySleep, Endpoints, Field, Quantity};
use runtime::Deadline;
use serde_json::{Value, json};
use store::{AthleteId, Store};
use tokio::net::TcpSocket;
use tokio::sync::Notify;

use crate::installation::{Installation, now, soon};
use crate::sqs::Sqs;

/// A job with a longer delay than this does not count as returned at once.
const UNWELL: Disposition = Disposition::RetryAfter(Duration::from_secs(30));

/// A field with a defect, which shows only when there is a document to read.
static DEFECT: Field<DailySleep> =
    Field { name: "defect", quantity: Quantity::Score, get: |_| panic!("a defect, as a test wants it") };

/// A fake Oura. It has data only for `panics`, whose score can't be read, and never answers requests for `hangs`.
struct Oura {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    hanging: Arc<Notify>,
}

impl Oura {
    async fn start() -> Self {
        let (asked, hanging): (Arc<Mutex<Vec<String>>>, Arc<Notify>) = Default::default();
        let (journal, arrived) = (Arc::clone(&asked), Arc::clone(&hanging));
        let service = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
            let who = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
            let arrived = Arc::clone(&arrived);
            journal.lock().unwrap().push(who.clone());
            async move {
                if who == "hangs" {
                    arrived.notify_one();
                    std::future::pending::<()>().await;
                }
                let score = json!([{"id": "a", "day": "2026-03-03", "score": 80}]);
                let known = who == "panics" && uri.path().ends_with("daily_sleep");
                Json(json!({"data": if known { score } else { json!([]) }, "next_token": Value::Null}))
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { url, asked, hanging }
    }

    /// The number of requests for this athlete.
    fn asked_for(&self, who: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == who).count()
    }

    /// Connects a connector to this Oura, and gives it a form with a defect.
    fn install(&self, connector: &mut Connector) {
        let endpoints = Endpoints { api: self.url.parse().unwrap(), ..Endpoints::default() };
        connector.oura = oura::Client::new(endpoints).unwrap();
        let defect = FormField { label: "Defect".to_owned(), source: Source::DailySleep(&DEFECT), unit: Unit::Number };
        connector.forms.events[0].fields.push(defect);
    }
}

fn sync(athlete: &AthleteId) -> String {
    Job::Sync { athlete: athlete.clone(), tick: now() }.to_message()
}

fn batch<const N: usize>(bodies: [String; N]) -> Vec<WorkerMessage> {
    let numbered = bodies.into_iter().enumerate();
    let message = |(number, body)| WorkerMessage {
        id: format!("message {number}"),
        body,
        receipt: Some(format!("receipt {number}")),
        attempts: 1,
    };
    numbered.map(message).collect()
}

/// The dispositions, after checking their order.
fn verdicts(answers: Vec<(String, Disposition)>) -> Vec<Disposition> {
    for (number, (id, _)) in answers.iter().enumerate() {
        assert_eq!(*id, format!("message {number}"));
    }
    answers.into_iter().map(|(_, verdict)| verdict).collect()
}

#[tokio::test]
async fn a_panic_fails_only_its_own_job() {
    let oura = Oura::start().await;
    let sqs = Sqs::start().await;
    let installation = Installation::with(|connector| {
        oura.install(connector);
        connector.queue = sqs.queue.clone();
    })
    .await;
    let panics = installation.connected("panics").await;
    let quiet = installation.connected("quiet").await;
    let messages = batch([sync(&panics), "not a job".to_owned(), sync(&quiet)]);
    let answers = installation.connector.work(messages, soon()).await;
    assert_eq!(verdicts(answers), [UNWELL, Disposition::Done, Disposition::Done]);
    let synced = installation.connector.store.connection(&quiet, soon().instant()).await.unwrap().unwrap();
    assert_eq!(synced.last_sync, Some(now()), "the other job did its work");

    let calls = sqs.calls();
    let of = |operation: &str| calls.iter().filter(|(called, _)| called == operation).collect::<Vec<_>>();
    let postponed = of("ChangeMessageVisibility");
    assert_eq!(postponed.len(), 1, "only what comes back is put off");
    assert_eq!(postponed[0].1["ReceiptHandle"], "receipt 0");
    assert_eq!(postponed[0].1["VisibilityTimeout"], 30);
    let buried = of("SendMessage");
    assert_eq!(buried.len(), 1);
    assert_eq!(buried[0].1["MessageBody"], "not a job");
}

#[tokio::test]
async fn a_job_that_hangs_is_returned_at_the_deadline() {
    let oura = Oura::start().await;
    let installation = Installation::with(|connector| oura.install(connector)).await;
    let hangs = installation.connected("hangs").await;
    let connector = Arc::clone(&installation.connector);
    let working = tokio::spawn(async move { connector.work(batch([sync(&hangs)]), soon()).await });
    oura.hanging.notified().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(2)).await;
    tokio::time::resume();
    assert_eq!(verdicts(working.await.unwrap()), [UNWELL]);
}

#[tokio::test]
async fn a_job_without_time_to_finish_is_not_started() {
    let oura = Oura::start().await;
    let installation = Installation::with(|connector| oura.install(connector)).await;
    let quiet = installation.connected("quiet").await;
    let answers = installation.connector.work(batch([sync(&quiet)]), Deadline::within(Duration::from_secs(19))).await;
    assert_eq!(verdicts(answers), [Disposition::RetryAfter(Duration::ZERO)]);
    assert_eq!(oura.asked_for("quiet"), 0);
}

#[tokio::test]
async fn a_rescue_without_time_left_is_retried_at_once() {
    let installation = Installation::new().await;
    let quiet = installation.connected("quiet").await;
    let connection = installation.connector.store.connection(&quiet, soon().instant()).await.unwrap().unwrap();
    let stored = connection.grant.unwrap();
    let grant = SealedGrant {
        sealed: stored.sealed.to_base64(),
        token_url: stored.token_url,
        expires_at: stored.expires_at,
        scopes: connection.scopes,
    };
    let rescue = Job::Rescue { athlete: quiet.clone(), generation: 1, grant: grant.clone(), tries: 0 };
    let revoke = Job::Revoke { athlete: quiet, grant, oura_user: None, tries: 0 };
    for attempts in 1..=5 {
        for job in [&rescue, &revoke] {
            let mut messages = batch([job.to_message()]);
            messages[0].attempts = attempts;
            let answers = installation.connector.work(messages, Deadline::within(Duration::from_secs(19))).await;
            // A message is received five times; the last time, the job goes into a new message.
            let expected = if attempts < 5 { Disposition::RetryAfter(Duration::ZERO) } else { Disposition::Done };
            assert_eq!(verdicts(answers), [expected]);
        }
    }
    assert_eq!((installation.waiting.len(), installation.waiting.dead_letters()), (2, vec![]));
}

#[tokio::test]
async fn duplicate_and_outdated_syncs_in_a_batch_are_dropped() {
    let oura = Oura::start().await;
    let installation = Installation::with(|connector| oura.install(connector)).await;
    let quiet = installation.connected("quiet").await;
    let late = installation.connected("late").await;
    let at =
        |seconds| Job::Sync { athlete: late.clone(), tick: now() - SignedDuration::from_secs(seconds) }.to_message();
    let messages = batch([sync(&quiet), at(901), sync(&quiet)]);
    assert_eq!(verdicts(installation.connector.work(messages, soon()).await), [Disposition::Done; 3]);
    assert_eq!((oura.asked_for("quiet"), oura.asked_for("late")), (4, 0));
    // Exactly one period later, the next tick's job has not started yet.
    assert_eq!(verdicts(installation.connector.work(batch([at(900)]), soon()).await), [Disposition::Done]);
    assert_eq!(oura.asked_for("late"), 4);
}

#[tokio::test]
async fn without_the_table_every_readable_job_is_retried() {
    // The address is bound, so that no other test gets it, but no server listens there.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = dynamo::client_at(&format!("http://{}", taken.local_addr().unwrap()));
    let installation = Installation::with(|connector| connector.store = Store::new(nobody, "connector")).await;
    let athlete = AthleteId::parse("ada").unwrap();
    let backfill = Job::Backfill {
        athlete: athlete.clone(),
        from: "2026-02-01".parse().unwrap(),
        to: "2026-03-03".parse().unwrap(),
        put_off: 0,
    };
    let messages = batch([sync(&athlete), "not a job".to_owned(), backfill.to_message()]);
    let answers = installation.connector.work(messages, soon()).await;
    assert_eq!(verdicts(answers), [UNWELL, Disposition::Done, UNWELL]);
    assert_eq!(installation.waiting.dead_letters().len(), 1);
}

#[tokio::test]
async fn a_job_for_an_unknown_athlete_is_done() {
    let installation = Installation::new().await;
    let answers = installation.connector.work(batch([sync(&AthleteId::parse("nobody").unwrap())]), soon()).await;
    assert_eq!(verdicts(answers), [Disposition::Done]);
    assert_eq!(installation.connector.work(Vec::new(), soon()).await, []);
}
