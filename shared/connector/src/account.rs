//! The Smartabase account: never tried by more than one worker until it is known to be right, and then with restraint.
//!
//! How many wrong attempts lock an account is not published. So credentials nobody has proven lately are tried by one
//! process, with one request; the others wait for what it finds out, which the table remembers under a fingerprint. A
//! refusal stops everybody for five minutes: whoever begins something asks the table first, and a process that was refused
//! sends nothing more, in the middle of whatever it is. So a password that becomes wrong while it is believed is met by
//! what is under way at that moment, and by nothing that begins after the table knows of the first refusal.
//!
//! A proof is believed for a minute only: a password that became wrong is met by one request of the next tick, not by every
//! delivery that the tick begins.

use std::sync::{Arc, Mutex as Cell, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::{Deadline, SecretError, SecretName};
use secrecy::ExposeSecret;
use smartabase::{Credentials, Error};
use store::{Purpose, Service, StoreError, Trial};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::meter::Happening;
use crate::setback::UNWELL;
use crate::{Connector, Setback};

/// Deliveries to Smartabase under way at once in one process: the vendor asks for little load (Smartabase API documentation).
const CONCURRENCY: usize = 4;

/// How long one worker has to find out whether the credentials are right, and how long it waits for the answer: so much
/// less that clocks may disagree.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);
const ANSWER: Duration = Duration::from_secs(25);

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
    /// Held by whoever is finding out, for those of the same process to wait for.
    trial: Mutex<()>,
    /// The fingerprint of the credentials that were refused last, and until when they are not tried again.
    refused: Cell<Option<(String, Timestamp)>>,
}

impl Default for Account {
    fn default() -> Self {
        Self { places: Semaphore::new(CONCURRENCY), trial: Mutex::default(), refused: Cell::default() }
    }
}

/// A place among those who use the account, with credentials that are known to be right.
pub(crate) struct Admission<'a> {
    connector: &'a Connector,
    credentials: Arc<Credentials>,
    fingerprint: String,
    _place: SemaphorePermit<'a>,
}

/// Why there is no admission. Nothing was sent with credentials that are known to be wrong.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// The credentials were refused: nobody else’s turn comes either.
    Refused(Setback),
    /// It is not known, or can’t be found out now.
    NotNow(Setback),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> Self {
        Self::NotNow(error.into())
    }
}

impl From<SecretError> for NotAdmitted {
    fn from(error: SecretError) -> Self {
        Self::NotNow(error.into())
    }
}

impl NotAdmitted {
    pub(crate) fn setback(self) -> Setback {
        match self {
            Self::Refused(setback) | Self::NotNow(setback) => setback,
        }
    }

    fn refused(after: SignedDuration) -> Self {
        Self::Refused(Setback::retry(after.unsigned_abs(), WHY))
    }

    fn not_now(after: Duration, why: impl Into<String>) -> Self {
        Self::NotNow(Setback::retry(after, why))
    }
}

impl Admission<'_> {
    /// The credentials for one more request, unless they have been refused to anybody in this process.
    pub(crate) fn credentials(&self) -> Result<&Credentials, Setback> {
        self.connector.not_refused(&self.fingerprint).map_err(NotAdmitted::setback)?;
        Ok(&self.credentials)
    }

    /// Smartabase refused the name and password: everybody leaves it alone for a while. What is owed is not lost, but sent
    /// when the hold is over.
    pub(crate) async fn refused(&self, deadline: Deadline) -> Setback {
        self.connector.password_refused(&self.fingerprint, deadline).await
    }
}

impl Connector {
    /// Waits for a place, and makes sure that the credentials are known to be right. One `GetItem`, and two writes and a
    /// request to Smartabase if nobody has proven them lately.
    pub(crate) async fn admission(&self, deadline: Deadline) -> Result<Admission<'_>, NotAdmitted> {
        let place = tokio::time::timeout_at(deadline.instant(), self.account.places.acquire()).await;
        // The semaphore is never closed, so both failures are the deadline's.
        let Ok(Ok(place)) = place else { return Err(NotAdmitted::not_now(UNWELL, "no place to use Smartabase")) };
        let credentials = self.secrets.smartabase(deadline).await?;
        let keyring = self.secrets.keyring(deadline).await?;
        // Keyed, so that nobody who reads the table can try passwords against it.
        let fingerprint = keyring.sign(
            Purpose::Credentials,
            format!("{}\0{}", credentials.username, credentials.password.expose_secret()).as_bytes(),
        );
        self.see_to_proof(&credentials, &fingerprint, deadline).await?;
        Ok(Admission { connector: self, credentials, fingerprint, _place: place })
    }

    async fn see_to_proof(
        &self,
        credentials: &Credentials,
        fingerprint: &str,
        deadline: Deadline,
    ) -> Result<(), NotAdmitted> {
        let patience = Instant::now() + PATIENCE;
        let trial = tokio::time::timeout_at(deadline.instant(), self.account.trial.lock()).await;
        let Ok(_trial) = trial else {
            return Err(NotAdmitted::not_now(UNWELL, "Smartabase’s answer is being waited for"));
        };
        loop {
            self.not_refused(fingerprint)?;
            let now = self.clock.now();
            let trial = now + TRIAL;
            match self.store.try_credentials(Service::Smartabase, fingerprint, now, trial, deadline.instant()).await? {
                Trial::Proven => return Ok(()),
                Trial::Yours => {
                    if self.prove(credentials, fingerprint, trial, deadline).await? {
                        return Ok(());
                    }
                }
                // Longer than a trial takes, by any clock.
                Trial::Wait { until } if trial + TRIAL < until => {
                    return Err(NotAdmitted::refused(until.duration_since(now)));
                }
                // Somebody is at it, and will know soon.
                Trial::Wait { .. } if Instant::now() + ASKING_AGAIN < patience => sleep(ASKING_AGAIN).await,
                Trial::Wait { until } => {
                    let wait = until.duration_since(now).unsigned_abs();
                    return Err(NotAdmitted::not_now(wait, "it is not known yet whether Smartabase lets us in"));
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
    ) -> Result<bool, NotAdmitted> {
        match self.smartabase.sign_in(credentials, deadline.at_most(ANSWER).instant()).await {
            Ok(()) => {}
            Err(Error::WrongCredentials) => {
                return Err(NotAdmitted::Refused(self.password_refused(fingerprint, deadline).await));
            }
            Err(Error::Throttled { after: Some(after) }) => {
                return Err(NotAdmitted::not_now(after, "Smartabase asked us to wait"));
            }
            Err(error) => return Err(NotAdmitted::not_now(UNWELL, format!("Smartabase: {error}"))),
        }
        let (service, until) = (Service::Smartabase, self.clock.now() + PROOF);
        Ok(self.store.prove_credentials(service, fingerprint, trial, until, deadline.instant()).await?)
    }

    async fn password_refused(&self, fingerprint: &str, deadline: Deadline) -> Setback {
        let (service, until) = (Service::Smartabase, self.clock.now() + REFUSED);
        *self.account.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((fingerprint.to_owned(), until));
        self.meter.count(Happening::SmartabaseRefused);
        self.secrets.refused(SecretName::Smartabase);
        tracing::error!(why = WHY, "the operator must act");
        let (held, disproven) = tokio::join!(
            self.store.set_hold(service, until, WHY, deadline.instant()),
            self.store.disprove_credentials(service, until, deadline.instant()),
        );
        match held.map(drop).and(disproven) {
            Ok(()) => Setback::retry(REFUSED.unsigned_abs(), WHY),
            Err(error) => error.into(),
        }
    }

    /// As far as this process knows.
    fn not_refused(&self, fingerprint: &str) -> Result<(), NotAdmitted> {
        let now = self.clock.now();
        let refused = self.account.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.as_ref().filter(|(refused, until)| refused == fingerprint && now < *until) {
            None => Ok(()),
            Some((_, until)) => Err(NotAdmitted::refused(until.duration_since(now))),
        }
    }
}
