//! The use cases: plan a tick, sync an athlete, connect one, disconnect one, enrol a squad.
//!
//! It knows Oura, Smartabase and the table through their crates, and nothing of Lambda: the functions and the local
//! process call the same methods of one [`Connector`]. What is pure is in [`forms`], [`schedule::plan`] and [`athlete_status`]; what must hold under
//! crashes and repeats is said at the top of the file that makes it hold.
//!
//! ```
//! use connector::forms::Forms;
//!
//! // What the build ships with: which Oura numbers stand in which fields of which forms.
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

/// Everything a use case needs, built once per process and shared.
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
    /// What is remembered.
    pub store: store::Store,
    /// Where jobs wait.
    pub queue: Queue,
    /// The installation's secrets.
    pub secrets: Secrets,
    /// What time it is.
    pub clock: Clock,
    /// What this process knows of the Smartabase account.
    pub credential_guard: CredentialGuard,
    /// What is counted for the metrics.
    pub counters: Counters,
}

/// Why a process can't begin. Nothing but a corrected configuration or build helps.
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

/// Says on the log why a process can't begin, so that the operator finds the reason beside the function's own failure.
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

    /// What happened since the last report, as metrics.
    fn happened(&self) -> Vec<Metric> {
        self.counters.take(self.oura.requests()).collect()
    }

    /// Opens a connection to Oura and reads the key, so that the first athlete of a fresh process does not wait for
    /// either. What does not answer now is found out by whoever needs it.
    pub async fn warm(&self, deadline: Deadline) {
        let (keyring, ()) = tokio::join!(self.secrets.keyring(deadline), self.oura.warm(deadline.instant()));
        if let Err(error) = keyring {
            tracing::warn!(%error, "the key is not at hand yet");
        }
    }
}
