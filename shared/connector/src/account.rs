//! The Smartabase account: never tried by more than one worker until it is known to be right, and then with restraint.
//!
//! How many wrong attempts lock an account is not published. So credentials nobody has proven lately are tried by one
//! process, with one request; the others wait for what it finds out, which the table remembers under a fingerprint. A
//! refusal stops everybody for five minutes: whoever begins asks the table first, and whoever is in the middle of something
//! sends nothing more once its own process was refused. So a password that becomes wrong while it is believed is met by
//! what was under way at that moment, and by nothing that begins after the first refusal is known.
//!
//! A proof is believed for less than a period of the schedule: a password that became wrong is met by one request of the
//! next tick, not by every delivery that the tick begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::{Deadline, SecretName};
use secrecy::ExposeSecret;
use smartabase::{Credentials, Error};
use store::{Purpose, Service, Trial};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::meter::Happening;
use crate::setback::UNWELL;
use crate::{Connector, Setback};

/// Deliveries to Smartabase under way at once in one process: the vendor asks for little load (Smartabase API documentation).
const CONCURRENCY: usize = 4;

/// How long one worker may take to find out whether the credentials are right.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);

/// How long credentials that were accepted are believed to be right.
const PROOF: SignedDuration = SignedDuration::from_mins(1);

/// How long to wait for another worker to find out, and how often to ask whether it has, before the job goes back.
const PATIENCE: Duration = Duration::from_secs(3);
const ASKING_AGAIN: Duration = Duration::from_millis(200);

/// How long Smartabase is left alone after it refused our credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// Why, as operators read it.
const WHY: &str = "Smartabase refuses our username or password: check the smartabase secret";

/// How this process uses the account.
#[derive(Debug)]
pub struct Account {
    places: Semaphore,
    /// How often it was refused.
    refusals: AtomicUsize,
}

impl Default for Account {
    fn default() -> Self {
        Self { places: Semaphore::new(CONCURRENCY), refusals: AtomicUsize::default() }
    }
}

/// A place among those who use the account.
pub(crate) struct Admission<'a> {
    account: &'a Account,
    credentials: Arc<Credentials>,
    /// How often the account had been refused before it was known to be right.
    refusals: usize,
    _place: SemaphorePermit<'a>,
}

impl Admission<'_> {
    /// The credentials for one more request, unless they have been refused to anybody in this process since.
    pub(crate) fn credentials(&self) -> Result<&Credentials, Setback> {
        if self.account.refusals() == self.refusals {
            Ok(&self.credentials)
        } else {
            Err(Setback::retry(REFUSED.unsigned_abs(), WHY))
        }
    }
}

impl Connector {
    /// Waits for a place, and makes sure that the credentials are known to be right. One `GetItem`, and two writes and a
    /// request to Smartabase if nobody has proven them lately.
    pub(crate) async fn admission(&self, deadline: Deadline) -> Result<Admission<'_>, Setback> {
        let account = &self.account;
        let place = tokio::time::timeout_at(deadline.instant(), account.places.acquire()).await;
        // The semaphore is never closed, so both failures are the deadline's.
        let Ok(Ok(place)) = place else { return Err(Setback::retry(UNWELL, "no place to use Smartabase")) };
        let refusals = account.refusals();
        let credentials = self.proven_credentials(deadline).await?;
        Ok(Admission { account, credentials, refusals, _place: place })
    }

    async fn proven_credentials(&self, deadline: Deadline) -> Result<Arc<Credentials>, Setback> {
        let credentials = self.secrets.smartabase(deadline).await?;
        let keyring = self.secrets.keyring(deadline).await?;
        // Keyed, so that nobody who reads the table can try passwords against it.
        let fingerprint = keyring.sign(
            Purpose::Credentials,
            format!("{}\0{}", credentials.username, credentials.password.expose_secret()).as_bytes(),
        );
        let patience = Instant::now() + PATIENCE;
        loop {
            let now = self.clock.now();
            let trial = now + TRIAL;
            match self.store.try_credentials(Service::Smartabase, &fingerprint, now, trial, deadline.instant()).await? {
                Trial::Proven => return Ok(credentials),
                Trial::Yours => {
                    if self.prove(&credentials, &fingerprint, trial, deadline).await? {
                        return Ok(credentials);
                    }
                }
                // Somebody has just begun, and will know at once.
                Trial::Wait { until }
                    if trial.duration_since(until).unsigned_abs() < PATIENCE
                        && Instant::now() + ASKING_AGAIN < patience =>
                {
                    sleep(ASKING_AGAIN).await;
                }
                Trial::Wait { until } => {
                    let wait = until.duration_since(now).unsigned_abs();
                    return Err(Setback::retry(wait, "it is not known yet whether Smartabase lets us in"));
                }
            }
        }
    }

    /// Tries the credentials, and answers whether that was in time to say so to everybody.
    async fn prove(
        &self,
        credentials: &Credentials,
        fingerprint: &str,
        trial: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, Setback> {
        match self.smartabase.sign_in(credentials, deadline.instant()).await {
            Ok(()) => {}
            Err(Error::WrongCredentials) => return Err(self.password_refused(deadline).await),
            Err(error) => return Err(Setback::retry(UNWELL, format!("Smartabase: {error}"))),
        }
        let (service, until) = (Service::Smartabase, self.clock.now() + PROOF);
        Ok(self.store.prove_credentials(service, fingerprint, trial, until, deadline.instant()).await?)
    }

    /// Smartabase refused our name and password: everybody leaves it alone for a while. What is owed is not lost, but
    /// sent when the hold is over.
    pub(crate) async fn password_refused(&self, deadline: Deadline) -> Setback {
        self.account.refusals.fetch_add(1, Ordering::Relaxed);
        self.meter.count(Happening::SmartabaseRefused);
        self.secrets.refused(SecretName::Smartabase);
        tracing::error!(why = WHY, "the operator must act");
        let (service, until) = (Service::Smartabase, self.clock.now() + REFUSED);
        let (held, disproven) = tokio::join!(
            self.store.set_hold(service, until, WHY, deadline.instant()),
            self.store.disprove_credentials(service, until, deadline.instant()),
        );
        match held.map(drop).and(disproven) {
            Ok(()) => Setback::retry(REFUSED.unsigned_abs(), WHY),
            Err(error) => error.into(),
        }
    }
}

impl Account {
    fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }
}
