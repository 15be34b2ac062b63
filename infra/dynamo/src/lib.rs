//! DynamoDB inside the process, for a laptop and for tests.
//!
//! The product has one store, over the AWS SDK. This crate gives that SDK something real to talk to when there is no AWS
//! account: `dynoxide`, a DynamoDB on SQLite, served over HTTP on a free port of 127.0.0.1. It knows nothing of what is
//! kept in the table, and no deployed function depends on it.
//!
//! The server runs on a thread of its own, so it goes on answering while the caller's runtime is busy, and it stops when
//! the [`Dynamo`] is dropped.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dynamo = dynamo::Dynamo::in_memory().await?;
//! let tables = dynamo.client().list_tables().send().await?;
//! assert!(tables.table_names().is_empty());
//! # Ok(())
//! # }
//! ```

use std::path::Path;
use std::thread::JoinHandle;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Config, Region};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running DynamoDB. Dropping it closes every connection and the database, and waits until that has happened, so
/// that a file can be opened again at once.
#[derive(Debug)]
pub struct Dynamo {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

/// Why the database could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database could not be opened: not a database, or a folder that cannot be written.
    #[error("the embedded DynamoDB could not open its database: {0}")]
    Open(String),
    /// No port, runtime or thread to be had from the operating system.
    #[error("the embedded DynamoDB could not be served: {0}")]
    Serve(#[from] std::io::Error),
}

impl Dynamo {
    /// A new, empty database that is gone when this is dropped.
    pub async fn in_memory() -> Result<Self, StartError> {
        Self::serve(Database::memory()).await
    }

    /// The database in the file at `path`, made if it is missing.
    pub async fn at(path: impl AsRef<Path>) -> Result<Self, StartError> {
        let path = path.as_ref();
        let text = path.to_str().ok_or_else(|| StartError::Open(format!("{} is not UTF-8", path.display())))?;
        Self::serve(Database::new(text)).await
    }

    /// Where it listens, such as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// A client of this database.
    #[must_use]
    pub fn client(&self) -> Client {
        client_at(&self.endpoint)
    }

    async fn serve(database: dynoxide::Result<Database>) -> Result<Self, StartError> {
        let database = database.map_err(|error| StartError::Open(error.to_string()))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?.into_std()?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let server = std::thread::Builder::new().name("dynamo".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                // The server's own shutdown waits for its clients, and a client may be waiting for nothing, on the very
                // thread that drops us. So it is never asked to shut down; it is abandoned, with its connections.
                tokio::select! {
                    _ = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { endpoint, stop: Some(stop), server: Some(server) })
    }
}

impl Drop for Dynamo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            // A panic over there has already been printed, and must not become a second one here.
            let _ = server.join();
        }
    }
}

/// A client of a database that listens at `endpoint`: this one, or whatever a test puts in front of it.
#[must_use]
pub fn client_at(endpoint: &str) -> Client {
    Client::from_conf(config_at(endpoint).build())
}

/// The configuration behind [`client_at`], for a caller that wants its own retries, time-outs or interceptors.
#[must_use]
pub fn config_at(endpoint: &str) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "embedded DynamoDB"))
        .endpoint_url(endpoint)
        .http_client(aws::http_client())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };

    async fn create(client: &Client) {
        client
            .create_table()
            .table_name("things")
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name("pk")
                    .attribute_type(ScalarAttributeType::S)
                    .build()
                    .unwrap(),
            )
            .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap())
            .send()
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_file_keeps_what_was_written_and_can_be_reopened_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.sqlite");
        let key = AttributeValue::S("one".to_owned());

        let first = Dynamo::at(&file).await.unwrap();
        let client = first.client();
        create(&client).await;
        client.put_item().table_name("things").item("pk", key.clone()).send().await.unwrap();
        drop(first);

        let second = Dynamo::at(&file).await.unwrap();
        let found = second.client().get_item().table_name("things").key("pk", key.clone()).send().await.unwrap();
        assert_eq!(found.item().and_then(|item| item.get("pk")), Some(&key));
    }

    #[tokio::test]
    async fn two_databases_in_memory_share_nothing() {
        let (one, two) = (Dynamo::in_memory().await.unwrap(), Dynamo::in_memory().await.unwrap());
        create(&one.client()).await;
        assert_eq!(one.client().list_tables().send().await.unwrap().table_names(), ["things"]);
        assert!(two.client().list_tables().send().await.unwrap().table_names().is_empty());
    }

    #[tokio::test]
    async fn dropping_it_closes_the_connections() {
        let dynamo = Dynamo::in_memory().await.unwrap();
        // A client that has sent half a request and will never send the rest must not keep it alive.
        let mut half = std::net::TcpStream::connect(dynamo.endpoint().trim_start_matches("http://")).unwrap();
        half.write_all(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n{").unwrap();
        drop(dynamo);
        // The end of the stream or a reset; with the server still there this would wait for ever.
        assert!(matches!(half.read(&mut [0]), Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let error = Dynamo::at(folder.path()).await.unwrap_err();
        assert!(matches!(error, StartError::Open(_)), "{error}");
    }
}
