//! A fake SQS on a socket: it records its requests, and fails those that a test selects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use connector::Queue;
use serde_json::{Value, json};

pub(crate) const JOBS: &str = "https://sqs.test/jobs";
pub(crate) const DEAD_LETTERS: &str = "https://sqs.test/dead-letters";

/// The fake service, and the product's queue that uses it.
pub(crate) struct Sqs {
    pub(crate) queue: Queue,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Operation and request, in order.
    calls: Vec<(String, Value)>,
    /// How many more times an entry whose text contains this fails.
    failing: BTreeMap<String, usize>,
    /// Whether every call is refused.
    refusing: bool,
}

impl Sqs {
    pub(crate) async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let service = axum::Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let target = headers["x-amz-target"].to_str().unwrap();
            let operation = target.strip_prefix("AmazonSQS.").unwrap().to_owned();
            let answer = shared.lock().unwrap().answer(operation, serde_json::from_slice(&body).unwrap());
            async move { answer }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await });
        let configuration = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .endpoint_url(endpoint)
            .http_client(aws::http_client())
            // The SDK's retries are off, so that a test sees each of ours.
            .retry_config(RetryConfig::disabled())
            .build();
        let client = Client::from_conf(configuration);
        let queue = Queue::Sqs { client, jobs: JOBS.to_owned(), dead_letters: DEAD_LETTERS.to_owned() };
        Self { queue, state }
    }

    /// Fails the entries whose text contains `text`, this many times.
    pub(crate) fn fail(&self, text: &str, times: usize) {
        self.state.lock().unwrap().failing.insert(text.to_owned(), times);
    }

    /// Refuses every call from now on.
    pub(crate) fn refuse(&self) {
        self.state.lock().unwrap().refusing = true;
    }

    /// The calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().calls.clone()
    }
}

impl State {
    fn answer(&mut self, operation: String, request: Value) -> (StatusCode, Json<Value>) {
        let entries = request["Entries"].as_array().cloned().unwrap_or_default();
        self.calls.push((operation, request));
        if self.refusing {
            let error = json!({"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow down"});
            return (StatusCode::BAD_REQUEST, Json(error));
        }
        let (mut taken, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            if self.fails(entry["MessageBody"].as_str().unwrap()) {
                failed.push(json!({"Id": entry["Id"], "SenderFault": false, "Code": "InternalError"}));
            } else {
                taken.push(json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0"}));
            }
        }
        (StatusCode::OK, Json(json!({"Successful": taken, "Failed": failed, "MessageId": "m"})))
    }

    fn fails(&mut self, body: &str) -> bool {
        let due = self.failing.iter_mut().find(|(text, times)| **times > 0 && body.contains(text.as_str()));
        due.map(|(_, times)| *times -= 1).is_some()
    }
}
