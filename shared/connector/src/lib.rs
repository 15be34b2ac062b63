//! The use cases: plan a tick, sync an athlete, connect one, disconnect one, enrol a squad.
//!
//! This crate uses Oura, Smartabase and the table through their crates, and knows nothing of Lambda. The functions and
//! the local process call the same methods of one [`Connector`]. The pure parts are [`forms`], [`schedule::plan`] and
//! [`athlete_status`]. The head of each module explains what that module guarantees under crashes and repeats.
//!
//! ```
//! use connector::forms::Forms;
//!
//! // The `forms.toml` of this build: which Oura value goes into which field of which form.
//! let forms = Forms::shipped()?;
//! assert_eq!(forms.authorise.name.to_string(), "Authorise Oura Data");
//! # Ok::<(), connector::forms::FormsError>(())
//! ```

pub mod athlete_status;
mod authorize;
mod credential_guard;
mod delivery;
mod disconnect;
mod enrol;
mod error;
pub mod forms;
mod http;
mod lease;
mod metrics;
mod outage;
pub mod queue;
pub mod schedule;
mod staff_forms;
mod sync;
mod tokens;
mod worker;

pub use athlete_status::AthleteStatus;
pub use credential_guard::CredentialGuard;
pub use disconnect::Revocation;
pub use enrol::{EnrolError, EnrolSummary, LINK_LIFETIME};
pub use error::JobError;
pub use http::{Link, LinkFault, RateLimit};
pub use metrics::Counters;
pub use queue::{InProcessQueue, Queue, QueueError, Received};
pub use schedule::{TickError, TickSummary};
pub use sync::Synced;
pub use worker::{Disposition, WorkerMessage};

use runtime::telemetry::Metric;
use runtime::{Clock, ConfigurationError, Deadline, Deployment, Secrets, SecretsManager, Settings};

/// The clients, settings and state that every use case needs. Built once per process and shared.
#[derive(Debug)]
pub struct Connector {
    /// The installation's parameters.
    pub settings: Settings,
    /// The site's forms.
    pub forms: forms::Forms,
    /// Client of the Oura API.
    pub oura: oura::Client,
    /// Client of the Smartabase site.
    pub smartabase: smartabase::Client,
    /// The DynamoDB table.
    pub store: store::Store,
    /// The queue of jobs.
    pub queue: Queue,
    /// The installation's secrets.
    pub secrets: Secrets,
    /// The source of the current time.
    pub clock: Clock,
    /// What this process knows about the Smartabase account, so that a wrong password does not lock it.
    pub credential_guard: CredentialGuard,
    /// The counters behind the metrics.
    pub counters: Counters,
}

/// Why a process can't start. Only a corrected configuration or build helps.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is wrong.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// `forms.toml` is wrong.
    #[error(transparent)]
    Forms(#[from] forms::FormsError),
    /// The HTTP client for Oura can't be built.
    #[error(transparent)]
    Oura(#[from] oura::BuildError),
    /// The HTTP client for Smartabase can't be built.
    #[error(transparent)]
    Smartabase(#[from] smartabase::BuildError),
}

/// Logs why a process can't start, so that the operator finds the reason next to the function's own failure.
pub fn at_start<T>(started: Result<T, StartError>) -> Result<T, StartError> {
    started.inspect_err(|error| tracing::error!(%error, "the function can't start"))
}

impl Connector {
    /// Builds the deployed connector from the process's environment. Opens no connection.
    pub fn deployed() -> Result<Self, StartError> {
        let (settings, deployment) =
            ConfigurationError::both(Settings::from_environment(), Deployment::from_environment())?;
        Self::on_aws(settings, deployment, &aws::configuration())
    }

    /// Builds the connector of an installation on AWS, with the deployed resources. Opens no connection.
    pub fn on_aws(settings: Settings, deployment: Deployment, aws: &aws::SdkConfig) -> Result<Self, StartError> {
        Ok(Self {
            forms: forms::Forms::shipped()?,
            oura: oura::Client::new(settings.oura.clone())?,
            smartabase: smartabase::Client::new(settings.site.clone())?,
            store: store::Store::new(aws_sdk_dynamodb::Client::new(aws), &deployment.table),
            queue: Queue::Sqs {
                client: aws_sdk_sqs::Client::new(aws),
                jobs: deployment.queue.clone(),
                dead_letters: deployment.dead_letter_queue.clone(),
            },
            secrets: Secrets::Manager(SecretsManager::new(aws_sdk_secretsmanager::Client::new(aws), deployment)),
            settings,
            clock: Clock::System,
            credential_guard: CredentialGuard::default(),
            counters: Counters::default(),
        })
    }

    /// The counters since the last report, as metrics. Resets them.
    fn happened(&self) -> Vec<Metric> {
        self.counters.take(self.oura.requests()).collect()
    }

    /// Opens a connection to Oura and reads the key, so that the first athlete of a new process does not wait for them.
    /// A failure here is not an error: the first job that needs the connection or the key tries again.
    pub async fn warm(&self, deadline: Deadline) {
        let (keyring, ()) = tokio::join!(self.secrets.keyring(deadline), self.oura.warm(deadline.instant()));
        if let Err(error) = keyring {
            tracing::warn!(%error, "the key is not at hand yet");
        }
    }
}
