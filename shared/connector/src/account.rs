//! The Smartabase account: never tried by more than one worker until it is known to be right, and then with restraint.
//!
//! How many wrong attempts lock an account is not published. So credentials nobody has proven lately are tried by one
//! process, with one request; the others wait for what it finds out, which the table remembers under a fingerprint. A
//! refusal stops everybody for five minutes.
//!
//! A proof is believed for less than a period of the schedule: a password that became wrong is met by one request of the
//! next tick, not by every delivery that the tick begins.

use std::sync::{Arc, Mutex as Cell, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::{Deadline, SecretName};
use secrecy::ExposeSecret;
use smartabase::{Credentials, Error};
use store::{Purpose, Service, Trial};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::meter::Happening;
use crate::setback::UNWELL;
use crate::{Connector, Setback};

/// Deliveries to Smartabase under way at once in one process: the vendor asks for little load (Smartabase API documentation).
const CONCURRENCY: usize = 4;

/// How long one worker may take to find out whether the credentials are right.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);

/// How long credentials that were accepted are believed to be right.
const PROOF: SignedDuration = SignedDuration::from_mins(5);

/// How long to wait for another worker to find out, and how often to ask whether it has, before the job goes back.
const PATIENCE: Duration = Duration::from_secs(3);
const ASKING_AGAIN: Duration = Duration::from_millis(200);

/// How long Smartabase is left alone after it refused our credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// What this process knows of the account.
#[derive(Debug)]
pub struct Account {
    /// The fingerprint of the credentials known to be right, and until when. Set only after the site or the table said so.
    proven: Cell<Option<(String, Timestamp)>>,
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
        if self.account.knows(&fingerprint, self.clock.now()) {
            return Ok(credentials);
        }
        let patience = Instant::now() + PATIENCE;
        let trial = tokio::time::timeout_at(deadline.instant(), self.account.trial.lock()).await;
        let Ok(_trial) = trial else { return Err(Setback::retry(UNWELL, "Smartabase’s answer is being waited for")) };
        while !self.account.knows(&fingerprint, self.clock.now()) {
            let (service, now) = (Service::Smartabase, self.clock.now());
            match self.store.try_credentials(service, &fingerprint, now, now + TRIAL, deadline.instant()).await? {
                Trial::Proven { until } => self.account.learn(fingerprint.clone(), until),
                Trial::Yours => self.prove(&credentials, &fingerprint, deadline).await?,
                // No longer than a trial takes: somebody is at it, and will know at once.
                Trial::Wait { until } if until <= now + TRIAL && Instant::now() + ASKING_AGAIN < patience => {
                    sleep(ASKING_AGAIN).await;
                }
                Trial::Wait { until } => {
                    let wait = until.duration_since(now).unsigned_abs();
                    return Err(Setback::retry(wait, "it is not known yet whether Smartabase lets us in"));
                }
            }
        }
        Ok(credentials)
    }

    async fn prove(&self, credentials: &Credentials, fingerprint: &str, deadline: Deadline) -> Result<(), Setback> {
        match self.smartabase.sign_in(credentials, deadline.instant()).await {
            Ok(()) => {}
            Err(Error::WrongCredentials) => return Err(self.password_refused(deadline).await),
            Err(error) => return Err(Setback::retry(UNWELL, format!("Smartabase: {error}"))),
        }
        let until = self.clock.now() + PROOF;
        self.store.prove_credentials(Service::Smartabase, fingerprint, until, deadline.instant()).await?;
        self.account.learn(fingerprint.to_owned(), until);
        Ok(())
    }

    /// Smartabase refused our name and password: everybody leaves it alone for a while. What is owed is not lost, but
    /// sent when the hold is over.
    pub(crate) async fn password_refused(&self, deadline: Deadline) -> Setback {
        self.account.forget();
        self.meter.count(Happening::SmartabaseRefused);
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
    fn knows(&self, fingerprint: &str, now: Timestamp) -> bool {
        self.proven().as_ref().is_some_and(|(proven, until)| proven == fingerprint && now < *until)
    }

    fn learn(&self, fingerprint: String, until: Timestamp) {
        *self.proven() = Some((fingerprint, until));
    }

    fn forget(&self) {
        *self.proven() = None;
    }

    fn proven(&self) -> MutexGuard<'_, Option<(String, Timestamp)>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
