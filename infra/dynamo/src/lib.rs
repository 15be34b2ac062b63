//! DynamoDB inside the process, for a laptop and for tests.
//!
//! The product has one store, over the AWS SDK. Without an AWS account, this crate gives the SDK a real database:
//! `dynoxide`, a DynamoDB on SQLite. It knows nothing of the data in the table, and no deployed function depends on it.
//!
//! [`Dynamo::client`] passes its requests to the database within the process. No port is open, so the mode of a file
//! decides who may read and write a database in it. Tests that put a proxy between the store and the database call
//! [`Dynamo::endpoint`]. Only then does a server listen, on a free port of 127.0.0.1. It answers only requests to its
//! own random path, and refuses every request that a web page can send.
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

mod answer;
mod in_process;
mod server;

use std::path::Path;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Config, Region};
use dynoxide::Database;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::server::Server;

/// An open DynamoDB. Dropping it stops its server and closes all connections. Its clients fail from then on. The
/// database closes when the last running request has finished.
pub struct Dynamo {
    /// Before the database, so that the server has ended when the database is dropped.
    server: OnceCell<Server>,
    database: Arc<Database>,
}

/// Why the database could not be opened or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database could not be opened: not a database, or a folder that cannot be written.
    #[error("the embedded DynamoDB could not open its database: {0}")]
    Open(String),
    /// The operating system gave no port, runtime, thread or randomness.
    #[error("the embedded DynamoDB could not be served: {0}")]
    Serve(#[from] std::io::Error),
}

impl Dynamo {
    /// Creates an empty database in memory, which lives until this is dropped.
    pub async fn in_memory() -> Result<Self, StartError> {
        Self::open(Database::memory).await
    }

    /// Opens the database in the file at `path`, and creates the file if it is missing.
    pub async fn at(path: impl AsRef<Path>) -> Result<Self, StartError> {
        let path = path.as_ref();
        let text =
            path.to_str().ok_or_else(|| StartError::Open(format!("{} is not UTF-8", path.display())))?.to_owned();
        Self::open(move || Database::new(&text)).await
    }

    /// SQLite blocks, for up to half a minute while another process has the file locked.
    async fn open(open: impl FnOnce() -> dynoxide::Result<Database> + Send + 'static) -> Result<Self, StartError> {
        let opened = spawn_blocking(open).await.map_err(|error| StartError::Open(error.to_string()))?;
        let database = opened.map_err(|error| StartError::Open(error.to_string()))?;
        Ok(Self { server: OnceCell::new(), database: Arc::new(database) })
    }

    /// A client of this database, within the process.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = config().endpoint_url("http://in-process").http_client(in_process::http_client(&self.database));
        Client::from_conf(config.build())
    }

    /// The HTTP address of this database. The first call opens the port. The path of the address is a secret: a client
    /// that knows it can read and write everything.
    pub async fn endpoint(&self) -> Result<String, StartError> {
        let server = self.server.get_or_try_init(async || Server::start(&self.database)).await?;
        Ok(server.endpoint.clone())
    }
}

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dynamo").field("served", &self.server.initialized()).finish_non_exhaustive()
    }
}

/// A client of a database that listens at `endpoint`: this one, or a proxy that a test puts in front of it.
#[must_use]
pub fn client_at(endpoint: &str) -> Client {
    Client::from_conf(config_at(endpoint).build())
}

/// The configuration behind [`client_at`], for a caller that wants its own retries, time-outs or interceptors.
#[must_use]
pub fn config_at(endpoint: &str) -> Builder {
    config().endpoint_url(endpoint).http_client(aws::http_client())
}

fn config() -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "embedded DynamoDB"))
}
