//! The Smartabase account: never tried by more than one worker until it is known to be right, and then with restraint.
//!
//! How many wrong attempts lock an account is not known (reference: auth failures). So credentials nobody has proven are
//! tried by one process, with one request; the others wait for what it finds out, which the table remembers under a
//! fingerprint. A refusal stops everybody for five minutes.

use std::sync::{Arc, Mutex as Cell, PoisonError};

use jiff::SignedDuration;
use runtime::{Deadline, SecretName};
use secrecy::ExposeSecret;
use smartabase::{Credentials, Error};
use store::{Purpose, Service, Trial};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::setback::UNWELL;
use crate::{Connector, Setback};

/// Deliveries to Smartabase under way at once in one process: the vendor asks for little load (reference: concurrency).
const CONCURRENCY: usize = 4;

/// How long one worker may take to find out whether the credentials are right.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);

/// How long Smartabase is left alone after it refused our credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// What this process knows of the account.
#[derive(Debug)]
pub struct Account {
    /// The fingerprint of the credentials known to be right. Set only after the site or the table said so.
    proven: Cell<Option<String>>,
    /// Held by whoever is finding out.
    trial: Mutex<()>,
    places: Semaphore,
}

impl Default for Account {
    fn default() -> Self {
        Self { proven: Cell::default(), trial: Mutex::default(), places: Semaphore::new(CONCURRENCY) }
    }
}

/// The account, and a place among those who use it.
pub(crate) struct Admission<'a> {
    pub(crate) credentials: Arc<Credentials>,
    _place: SemaphorePermit<'a>,
}

impl Connector {
    /// Waits for a place, and makes sure that the credentials are known to be right.
    pub(crate) async fn admission(&self, deadline: Deadline) -> Result<Admission<'_>, Setback> {
        let place = tokio::time::timeout_at(deadline.instant(), self.account.places.acquire()).await;
        // The semaphore is never closed, so both failures are the deadline's.
        let Ok(Ok(place)) = place else { return Err(Setback::retry(UNWELL, "no place to use Smartabase")) };
        Ok(Admission { credentials: self.proven_credentials(deadline).await?, _place: place })
    }

    async fn proven_credentials(&self, deadline: Deadline) -> Result<Arc<Credentials>, Setback> {
        let credentials = self.secrets.smartabase(deadline).await?;
        let keyring = self.secrets.keyring(deadline).await?;
        // Keyed, so that nobody who reads the table can try passwords against it.
        let fingerprint = keyring.sign(
            Purpose::Credentials,
            format!("{}\0{}", credentials.username, credentials.password.expose_secret()).as_bytes(),
        );
        if self.account.knows(&fingerprint) {
            return Ok(credentials);
        }
        let trial = tokio::time::timeout_at(deadline.instant(), self.account.trial.lock()).await;
        let Ok(_trial) = trial else { return Err(Setback::retry(UNWELL, "Smartabase’s answer is being waited for")) };
        if self.account.knows(&fingerprint) {
            return Ok(credentials);
        }
        let (service, now) = (Service::Smartabase, self.clock.now());
        match self.store.try_credentials(service, &fingerprint, now, now + TRIAL, deadline.instant()).await? {
            Trial::Proven => {}
            Trial::Wait { until } => {
                let wait = until.duration_since(now).unsigned_abs();
                return Err(Setback::retry(wait, "another worker is finding out whether Smartabase lets us in"));
            }
            Trial::Yours => {
                match self.smartabase.sign_in(&credentials, deadline.instant()).await {
                    Ok(()) => {}
                    Err(Error::WrongCredentials) => return Err(self.password_refused(deadline).await),
                    Err(error) => return Err(Setback::retry(UNWELL, format!("Smartabase: {error}"))),
                }
                self.store.prove_credentials(service, &fingerprint, deadline.instant()).await?;
            }
        }
        self.account.learn(Some(fingerprint));
        Ok(credentials)
    }

    /// Smartabase refused our name and password: everybody leaves it alone for a while. What is owed is not lost, but
    /// sent when the hold is over.
    pub(crate) async fn password_refused(&self, deadline: Deadline) -> Setback {
        self.account.learn(None);
        self.secrets.refused(SecretName::Smartabase);
        let why = "Smartabase refuses our username or password: check the smartabase secret";
        tracing::error!(why, "the operator must act");
        let (service, until) = (Service::Smartabase, self.clock.now() + REFUSED);
        let (held, disproven) = tokio::join!(
            self.store.set_hold(service, until, why, deadline.instant()),
            self.store.disprove_credentials(service, until, deadline.instant()),
        );
        match held.map(drop).and(disproven) {
            Ok(()) => Setback::retry(REFUSED.unsigned_abs(), why),
            Err(error) => error.into(),
        }
    }
}

impl Account {
    fn knows(&self, fingerprint: &str) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(fingerprint)
    }

    fn learn(&self, fingerprint: Option<String>) {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = fingerprint;
    }
}
