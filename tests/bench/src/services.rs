//! Stand-ins for SQS and Secrets Manager, as far as the functions use them. Both use AWS's JSON protocol, with the
//! operation in a header.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Both services, on one port.
pub(crate) struct Services {
    address: String,
    queue: Arc<Mutex<Queue>>,
    server: JoinHandle<()>,
}

/// What was sent to the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Calls.
    pub(crate) calls: usize,
    /// The messages' delays, in seconds.
    pub(crate) delays: Vec<u64>,
    /// The messages.
    pub(crate) bodies: Vec<String>,
}

/// The values of the three secrets. Each field has the name that ends the secret's ARN.
pub(crate) struct Contents {
    pub(crate) oura: Value,
    pub(crate) smartabase: Value,
    pub(crate) key: String,
    pub(crate) key_version: String,
}

impl Services {
    pub(crate) async fn open(contents: Contents, delay: Duration) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let (contents, queue) = (Arc::new(contents), Arc::new(Mutex::new(Queue::default())));
        let shared = Arc::clone(&queue);
        let routes = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let (contents, queue) = (Arc::clone(&contents), Arc::clone(&shared));
            async move {
                tokio::time::sleep(delay).await;
                let operation = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let answer = match operation {
                    Some("secretsmanager.GetSecretValue") => contents.secret(&body),
                    Some("AmazonSQS.SendMessageBatch") => Some(sent(&body, &queue)),
                    Some("AmazonSQS.SendMessage" | "AmazonSQS.ChangeMessageVisibility") => Some(json!({})),
                    _ => None,
                };
                let status = if answer.is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
                let unknown = || json!({ "__type": "InvalidAction" });
                let content = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
                (status, content, answer.unwrap_or_else(unknown).to_string()).into_response()
            }
        });
        let server = tokio::spawn(async move {
            // Serves until the task is aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, queue, server })
    }

    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    /// What was sent to the queue since the last call.
    pub(crate) fn take(&self) -> Queue {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Contents {
    fn secret(&self, request: &Value) -> Option<Value> {
        let arn = request["SecretId"].as_str()?;
        let (text, version) = match arn.rsplit(':').next()? {
            "oura" => (self.oura.to_string(), "first"),
            "smartabase" => (self.smartabase.to_string(), "first"),
            "key" => (self.key.clone(), self.key_version.as_str()),
            _ => return None,
        };
        Some(
            json!({ "ARN": arn, "Name": arn, "VersionId": version, "SecretString": text, "VersionStages": ["AWSCURRENT"] }),
        )
    }
}

fn sent(request: &Value, queue: &Mutex<Queue>) -> Value {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.calls += 1;
    let entries = request["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    for entry in entries {
        queue.delays.push(entry["DelaySeconds"].as_u64().unwrap_or(0));
        queue.bodies.push(entry["MessageBody"].as_str().unwrap_or_default().to_owned());
    }
    let done =
        entries.iter().map(|entry| json!({ "Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": "" }));
    json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] })
}
