//! The installation that a command works on: a deployment, or a pilot's file.

use std::sync::Arc;

use connector::forms::Forms;
use connector::{Connector, Counters, CredentialGuard, InProcessQueue, Queue, StartError};
use jiff::tz::TimeZone;
use runtime::{Clock, ConfigurationError, Deadline, Given, Secrets, Settings};
use store::{KeyVersion, Keyring, Store};

use crate::PATIENCE;
use crate::arguments::Target;
use crate::failure::Failure;
use crate::local::{self, Local};
use crate::stack::Stack;

/// An installation whose table can be read and written.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) store: Store,
    pub(crate) place: Place,
}

/// Where it runs.
#[derive(Debug)]
pub(crate) enum Place {
    Stack(Box<Stack>),
    Local(Local),
}

impl Installation {
    /// Finds the stack, or opens the pilot's file.
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        match (&target.stack, &target.local) {
            (Some(name), _) => {
                let stack = Stack::find(name, target).await?;
                let store = Store::new(aws_sdk_dynamodb::Client::new(&stack.aws), stack.output("TableName")?);
                Ok(Self { store, place: Place::Stack(Box::new(stack)) })
            }
            (None, Some(path)) => {
                let local = Local::open(path).await?;
                Ok(Self { store: Store::new(local.dynamo.client(), local::TABLE), place: Place::Local(local) })
            }
            (None, None) => Err(Failure::usage(
                "which installation? Give --stack NAME for a deployment, or --local FILE for a pilot",
            )),
        }
    }

    /// The installation's settings. A pilot's settings come from the environment variables of `serve`.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        match &self.place {
            Place::Stack(stack) => stack.settings().map_err(|error| unusable(&error)),
            Place::Local(_) => Settings::from_environment().map_err(|error| unset(&error)),
        }
    }

    /// The key that signs links and opens sealed values. For a pilot, this needs no environment variable.
    pub(crate) async fn keyring(&self) -> Result<Arc<Keyring>, Failure> {
        match &self.place {
            Place::Stack(_) => {
                let keyring = self.connector()?.secrets.keyring(soon()).await;
                keyring.map_err(|error| Failure::Failed(format!("{error}: check the permissions of these credentials")))
            }
            Place::Local(local) => Ok(Arc::new(keyring(local)?)),
        }
    }

    /// The use cases, over the installation's own table, queue and secrets. A pilot gets a new queue in this process.
    /// The caller must run its jobs before the process ends.
    pub(crate) fn connector(&self) -> Result<Connector, Failure> {
        match &self.place {
            Place::Stack(stack) => {
                let both = ConfigurationError::both(stack.settings(), stack.deployment());
                let (settings, deployment) = both.map_err(|error| unusable(&error))?;
                Connector::on_aws(settings, deployment, &stack.aws).map_err(|error| unbuilt(&error))
            }
            Place::Local(local) => {
                let secrets = Given::from_environment(keyring(local)?);
                let both = ConfigurationError::both(Settings::from_environment(), secrets);
                let (settings, secrets) = both.map_err(|error| unset(&error))?;
                self.in_process(settings, secrets).map_err(|error| unbuilt(&error))
            }
        }
    }

    fn in_process(&self, settings: Settings, secrets: Given) -> Result<Connector, StartError> {
        Ok(Connector {
            forms: Forms::shipped()?,
            oura: oura::Client::new(settings.oura.clone())?,
            smartabase: smartabase::Client::new(settings.site.clone())?,
            store: self.store.clone(),
            queue: Queue::InProcess(InProcessQueue::new(Clock::System)),
            secrets: Secrets::Given(secrets),
            settings,
            clock: Clock::System,
            credential_guard: CredentialGuard::default(),
            counters: Counters::default(),
        })
    }

    /// The site's time zone, used to print dates and times. Needs no other setting. UTC if it is unknown.
    pub(crate) fn zone(&self) -> TimeZone {
        let name = match &self.place {
            Place::Stack(stack) => stack.parameter("TimeZone").map(str::to_owned),
            Place::Local(_) => std::env::var("TIME_ZONE").ok(),
        };
        name.and_then(|name| TimeZone::get(name.trim()).ok()).unwrap_or(TimeZone::UTC)
    }
}

fn keyring(local: &Local) -> Result<Keyring, Failure> {
    Ok(Keyring::new(KeyVersion { id: local::KEY.to_owned(), secret: local.key()? }))
}

fn unusable(error: &ConfigurationError) -> Failure {
    Failure::Failed(format!("{error}: correct the stack’s parameters and deploy it again"))
}

fn unset(error: &ConfigurationError) -> Failure {
    Failure::Failed(format!("{error}: set the environment variables that `serve` was started with"))
}

fn unbuilt(error: &StartError) -> Failure {
    Failure::Failed(format!("{error}: build this program again, from a clean copy"))
}

/// The deadline for a single operation.
pub(crate) fn soon() -> Deadline {
    Deadline::within(PATIENCE)
}
