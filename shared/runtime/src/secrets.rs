use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use store::{KeyVersion, Keyring};
use tokio::time::Instant;

use crate::{ConfigurationError, Deadline, Deployment};

/// How long a secret is cached.
const BELIEVED: Duration = Duration::from_mins(5);

/// The minimum time between two look-ups for a link that no known key version signed. Any client can send such links,
/// and each look-up costs two requests. A visitor with a link signed just after a rotation waits at most this long.
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

/// The maximum number of root key versions remembered as gone.
const MOST_GONE: usize = 32;

/// The three secrets of an installation.
///
/// A secret is read once and cached for five minutes. When a service refuses one, [`Secrets::refused`] drops it, so
/// that the next caller reads it again. So a running process picks up a rotated password.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub enum Secrets {
    /// Read from AWS Secrets Manager: the deployed product.
    Manager(SecretsManager),
    /// Passed in at start: the local process and tests.
    Given(Given),
}

/// Which secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretName {
    /// The Oura application's id and secret.
    Oura,
    /// The Smartabase account's name and password.
    Smartabase,
    /// The root key.
    Key,
}

/// Why a secret cannot be used. No variant contains any of its text.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The secret is not filled yet. The operator must run the command.
    #[error("the {name} secret is not filled; fill it with: {command}")]
    Unfilled {
        /// Which secret.
        name: SecretName,
        /// The command, with dots where the values go.
        command: String,
    },
    /// The secret does not have the right form. The operator must run the command.
    #[error("the {name} secret is not of the form it should be; replace it with: {command}")]
    Malformed {
        /// Which secret.
        name: SecretName,
        /// The command, with dots where the values go.
        command: String,
    },
    /// A value was sealed with a version of the root key that no longer exists.
    #[error("version {version} of the root key is gone; restore it, or let the athletes sealed with it connect again")]
    KeyGone {
        /// The version's id.
        version: String,
    },
    /// Secrets Manager did not answer, or refused the request. Try again later.
    #[error("Secrets Manager could not be read for the {name} secret: {source}")]
    Unavailable {
        /// Which secret.
        name: SecretName,
        /// The error of the SDK.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Secrets passed in at start. They can be replaced while the process runs, as an operator would do in the console.
#[derive(Debug)]
pub struct Given {
    oura: Shelf<oura::ClientCredentials>,
    smartabase: Shelf<smartabase::Credentials>,
    keyring: Shelf<Keyring>,
}

/// A value that can be replaced. The lock is never held across an `await`.
#[derive(Debug)]
struct Shelf<T>(Mutex<Arc<T>>);

/// Secrets read from AWS Secrets Manager.
#[derive(Debug)]
pub struct SecretsManager {
    client: Client,
    deployment: Deployment,
    oura: Cached<oura::ClientCredentials>,
    smartabase: Cached<smartabase::Credentials>,
    keyring: Cached<Keyring>,
    /// When the current and the previous version of the key were last read for links.
    last_look: Mutex<Option<Instant>>,
    /// Key versions that Secrets Manager no longer has, and when that was found. Cached as long as a secret.
    gone: Mutex<VecDeque<(String, Instant)>>,
}

#[derive(Debug)]
struct Cached<T>(Mutex<Option<(Arc<T>, Instant)>>);

impl Secrets {
    /// The Oura application's credentials.
    pub async fn oura(&self, deadline: Deadline) -> Result<Arc<oura::ClientCredentials>, SecretError> {
        match self {
            Self::Given(given) => Ok(given.oura.read()),
            Self::Manager(manager) => manager.parsed(SecretName::Oura, &manager.oura, deadline).await,
        }
    }

    /// The Smartabase account.
    pub async fn smartabase(&self, deadline: Deadline) -> Result<Arc<smartabase::Credentials>, SecretError> {
        match self {
            Self::Given(given) => Ok(given.smartabase.read()),
            Self::Manager(manager) => manager.parsed(SecretName::Smartabase, &manager.smartabase, deadline).await,
        }
    }

    /// The keyring with the current version of the root key, and the older versions already needed.
    pub async fn keyring(&self, deadline: Deadline) -> Result<Arc<Keyring>, SecretError> {
        match self {
            Self::Given(given) => Ok(given.keyring.read()),
            Self::Manager(manager) => manager.keyring(deadline).await,
        }
    }

    /// The keyring with `version` in it, which is fetched if necessary. So values sealed before a rotation stay
    /// readable.
    pub async fn keyring_with(&self, version: &str, deadline: Deadline) -> Result<Arc<Keyring>, SecretError> {
        let keyring = self.keyring(deadline).await?;
        match self {
            _ if keyring.knows(version) => Ok(keyring),
            Self::Given(_) => Err(SecretError::KeyGone { version: version.to_owned() }),
            Self::Manager(manager) => manager.extended(&keyring, Version::Id(version), deadline).await,
        }
    }

    /// The keyring with every version that may have signed a link. Reads the current version again, in case the key was
    /// rotated. Also reads the previous one, so that a link signed just before a rotation still opens. Asks Secrets
    /// Manager at most once a minute.
    pub async fn keyring_with_previous(&self, deadline: Deadline) -> Result<Arc<Keyring>, SecretError> {
        match self {
            Self::Given(given) => Ok(given.keyring.read()),
            Self::Manager(manager) => manager.keyring_for_links(deadline).await,
        }
    }

    /// Drops a secret that the service refused, so that the next caller reads it again.
    pub fn refused(&self, name: SecretName) {
        if let Self::Manager(manager) = self {
            match name {
                SecretName::Oura => manager.oura.forget(),
                SecretName::Smartabase => manager.smartabase.forget(),
                SecretName::Key => manager.keyring.forget(),
            }
        }
    }
}

impl Given {
    /// Secrets with these values at start.
    #[must_use]
    pub fn new(oura: oura::ClientCredentials, smartabase: smartabase::Credentials, keyring: Keyring) -> Self {
        Self { oura: Shelf::new(oura), smartabase: Shelf::new(smartabase), keyring: Shelf::new(keyring) }
    }

    /// Reads both pairs of credentials from the environment of a process without AWS (`OURA_CLIENT_ID`,
    /// `OURA_CLIENT_SECRET`, `SMARTABASE_USERNAME`, `SMARTABASE_PASSWORD`). The error names every missing variable.
    pub fn from_environment(keyring: Keyring) -> Result<Self, ConfigurationError> {
        let mut faults = Vec::new();
        let mut variable = |name: &str| {
            let value = std::env::var(name).unwrap_or_default();
            if value.is_empty() {
                faults.push(format!("{name} is missing"));
            }
            value
        };
        let (client_id, client_secret) = (variable("OURA_CLIENT_ID"), variable("OURA_CLIENT_SECRET"));
        let (username, password) = (variable("SMARTABASE_USERNAME"), variable("SMARTABASE_PASSWORD"));
        if !faults.is_empty() {
            return Err(ConfigurationError { faults });
        }
        let oura = oura::ClientCredentials { client_id, client_secret: client_secret.into() };
        Ok(Self::new(oura, smartabase::Credentials { username, password: password.into() }, keyring))
    }

    /// Replaces the Oura application's credentials.
    pub fn replace_oura(&self, credentials: oura::ClientCredentials) {
        self.oura.write(credentials);
    }

    /// Replaces the Smartabase account.
    pub fn replace_smartabase(&self, credentials: smartabase::Credentials) {
        self.smartabase.write(credentials);
    }

    /// Replaces the keyring.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.keyring.write(keyring);
    }
}

impl<T> Shelf<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    fn read(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// Which version of a secret is wanted.
#[derive(Clone, Copy)]
enum Version<'a> {
    Current,
    Previous,
    Id(&'a str),
}

impl SecretsManager {
    /// Reads no secret yet. Each secret is read when it is first needed.
    #[must_use]
    pub fn new(client: Client, deployment: Deployment) -> Self {
        Self {
            client,
            deployment,
            oura: Cached::empty(),
            smartabase: Cached::empty(),
            keyring: Cached::empty(),
            last_look: Mutex::default(),
            gone: Mutex::default(),
        }
    }

    async fn parsed<T: DeserializeOwned>(
        &self,
        name: SecretName,
        cached: &Cached<T>,
        deadline: Deadline,
    ) -> Result<Arc<T>, SecretError> {
        if let Some(value) = cached.believed() {
            return Ok(value);
        }
        let filled = self.fetch(name, Version::Current, deadline).await?.filter(|(_, text)| !is_blank(text));
        let Some((_, text)) = filled else { return Err(self.unfilled(name)) };
        match serde_json::from_str::<serde_json::Value>(text.expose_secret()) {
            Ok(serde_json::Value::Object(entries)) if is_unfilled(&entries) => Err(self.unfilled(name)),
            Ok(value) => match serde_json::from_value(value) {
                Ok(parsed) => Ok(cached.believe(parsed)),
                // Dropped, because the parser's message quotes the text that it could not parse.
                Err(_) => Err(SecretError::Malformed { name, command: self.command(name) }),
            },
            Err(_) => Err(SecretError::Malformed { name, command: self.command(name) }),
        }
    }

    async fn keyring(&self, deadline: Deadline) -> Result<Arc<Keyring>, SecretError> {
        if let Some(keyring) = self.keyring.believed() {
            return Ok(keyring);
        }
        Ok(self.keyring.believe(Keyring::new(self.current_key(deadline).await?)))
    }

    async fn current_key(&self, deadline: Deadline) -> Result<KeyVersion, SecretError> {
        match self.fetch(SecretName::Key, Version::Current, deadline).await? {
            Some((id, secret)) if !is_blank(&secret) => Ok(KeyVersion { id, secret }),
            _ => Err(self.unfilled(SecretName::Key)),
        }
    }

    async fn keyring_for_links(&self, deadline: Deadline) -> Result<Arc<Keyring>, SecretError> {
        let keyring = self.keyring(deadline).await?;
        let last_look = *self.last_look.lock().unwrap_or_else(PoisonError::into_inner);
        if last_look.is_some_and(|last| last.elapsed() < BETWEEN_LOOKS) {
            return Ok(keyring);
        }
        let current = self.current_key(deadline).await?;
        let keyring =
            if keyring.current() == current.id { keyring } else { self.keyring.believe(Keyring::new(current)) };
        let keyring = match self.extended(&keyring, Version::Previous, deadline).await {
            Err(SecretError::KeyGone { .. }) => keyring,
            other => other?,
        };
        // Only a successful look-up counts. After a failed one, the next visitor triggers another.
        *self.last_look.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(keyring)
    }

    async fn extended(
        &self,
        keyring: &Arc<Keyring>,
        version: Version<'_>,
        deadline: Deadline,
    ) -> Result<Arc<Keyring>, SecretError> {
        let gone = || SecretError::KeyGone {
            version: match version {
                Version::Id(id) => id.to_owned(),
                Version::Current | Version::Previous => "before the current one".to_owned(),
            },
        };
        if let Version::Id(id) = version
            && self.is_known_to_be_gone(id)
        {
            return Err(gone());
        }
        // A blank version is no key: any client that knew of it could sign with it.
        let fetched = self.fetch(SecretName::Key, version, deadline).await?.filter(|(_, secret)| !is_blank(secret));
        let Some((id, secret)) = fetched else {
            if let Version::Id(id) = version {
                self.remember_as_gone(id);
            }
            return Err(gone());
        };
        let mut extended = Keyring::clone(keyring);
        extended.add(KeyVersion { id, secret });
        Ok(self.keyring.replace(keyring, extended))
    }

    fn is_known_to_be_gone(&self, version: &str) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.iter().any(|(id, found)| id == version && found.elapsed() < BELIEVED)
    }

    fn remember_as_gone(&self, version: &str) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|(id, _)| id != version);
        if gone.len() >= MOST_GONE {
            gone.pop_front();
        }
        gone.push_back((version.to_owned(), Instant::now()));
    }

    /// Reads a version's id and text; `None` if there is no such version.
    async fn fetch(
        &self,
        name: SecretName,
        version: Version<'_>,
        deadline: Deadline,
    ) -> Result<Option<(String, SecretString)>, SecretError> {
        let request = self.client.get_secret_value().secret_id(self.arn(name));
        let request = match version {
            Version::Current => request,
            Version::Previous => request.version_stage("AWSPREVIOUS"),
            Version::Id(id) => request.version_id(id),
        };
        let unavailable = |source| SecretError::Unavailable { name, source };
        let answer = tokio::time::timeout_at(deadline.instant(), request.send())
            .await
            .map_err(|elapsed| unavailable(Box::new(elapsed)))?;
        match answer {
            Ok(value) => {
                let id = value.version_id().unwrap_or_default().to_owned();
                Ok(Some((id, value.secret_string().unwrap_or_default().into())))
            }
            // A secret without a value and a version that does not exist both give ResourceNotFoundException (API
            // reference, GetSecretValue). So does a secret that does not exist, but the template creates all secrets.
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(unavailable(DisplayErrorContext(error).to_string().into())),
        }
    }

    fn arn(&self, name: SecretName) -> &str {
        match name {
            SecretName::Oura => &self.deployment.oura_secret,
            SecretName::Smartabase => &self.deployment.smartabase_secret,
            SecretName::Key => &self.deployment.key_secret,
        }
    }

    fn unfilled(&self, name: SecretName) -> SecretError {
        SecretError::Unfilled { name, command: self.command(name) }
    }

    fn command(&self, name: SecretName) -> String {
        // The command reads the value from standard input, because other users of the machine can read a process's
        // arguments.
        let arn = self.arn(name);
        let store = format!("aws secretsmanager put-secret-value --secret-id {arn} --secret-string file:///dev/stdin");
        match name {
            SecretName::Oura => format!(r#"{store} (standard input: {{"client_id":"...","client_secret":"..."}})"#),
            SecretName::Smartabase => format!(r#"{store} (standard input: {{"username":"...","password":"..."}})"#),
            SecretName::Key => format!(
                "aws secretsmanager get-random-password --password-length 64 --exclude-punctuation --query RandomPassword \
                 --output text | tr -d '\\n' | {store}"
            ),
        }
    }
}

/// Whether the object is empty or has an empty value: the secret was created but not filled.
fn is_unfilled(entries: &serde_json::Map<String, serde_json::Value>) -> bool {
    entries.is_empty() || entries.values().any(|value| value.as_str().is_some_and(|text| text.trim().is_empty()))
}

fn is_blank(secret: &SecretString) -> bool {
    secret.expose_secret().trim().is_empty()
}

impl<T> Cached<T> {
    fn empty() -> Self {
        Self(Mutex::new(None))
    }

    fn believed(&self) -> Option<Arc<T>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.as_ref().filter(|(_, read)| read.elapsed() < BELIEVED).map(|(value, _)| Arc::clone(value))
    }

    fn believe(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&value), Instant::now()));
        value
    }

    /// Replaces the value that was `seen` by a fuller one, without extending the time for which it is cached. If the
    /// `seen` value was dropped or read again meanwhile, only returns the fuller value.
    fn replace(&self, seen: &Arc<T>, fuller: T) -> Arc<T> {
        let fuller = Arc::new(fuller);
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, _)) = cached.as_mut().filter(|(value, _)| Arc::ptr_eq(value, seen)) {
            *value = Arc::clone(&fuller);
        }
        fuller
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Oura => "oura",
            Self::Smartabase => "smartabase",
            Self::Key => "key",
        })
    }
}
