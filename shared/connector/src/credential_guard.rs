//! The Smartabase account: never tried by more than one worker until it is known to be right, and then with restraint.
//!
//! How many wrong attempts lock an account is not published. So credentials nobody has proven lately are tried by one
//! process, with one request; the others wait for what it finds out, which the table remembers under a fingerprint. A
//! refusal stops everybody for five minutes: whoever begins something asks the table first, and again before a request that
//! comes more than a second later; a process that was refused sends nothing more, in the middle of whatever it is. So a
//! password that becomes wrong while it is believed is met by what is under way when it is first refused, and by what
//! begins within a second of that.
//!
//! A proof is believed for a minute only: a password that became wrong is met by one request of the next tick, not by every
//! delivery that the tick begins.

use std::sync::{Arc, Mutex as Cell, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::{Deadline, SecretError, SecretName};
use secrecy::ExposeSecret;
use smartabase::{Credentials, Error};
use store::{ProbeClaim, SealPurpose, Service, StoreError};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::UNWELL;
use crate::metrics::Counter;
use crate::outage::Site;
use crate::{Connector, JobError};

/// Deliveries to Smartabase under way at once in one process: the vendor asks for little load (Smartabase API documentation).
const CONCURRENCY: usize = 4;

/// How long one worker has to find out whether the credentials are right, and how long it waits for the answer: so much
/// less that clocks may disagree.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);
const ANSWER: Duration = Duration::from_secs(45);

/// How long credentials that were accepted are believed to be right.
const PROOF: SignedDuration = SignedDuration::from_mins(1);

/// How long what the table said is good for.
const FRESH: SignedDuration = SignedDuration::from_secs(1);

/// How long to wait for another worker to find out, and how often to ask whether it has, before the job goes back.
const PATIENCE: Duration = Duration::from_secs(3);
const ASKING_AGAIN: Duration = Duration::from_millis(200);

/// How long Smartabase is left alone after it refused our credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// Why, as operators read it.
const WHY: &str = "Smartabase refuses our username or password: check the smartabase secret";

/// How this process uses the account.
#[derive(Debug)]
pub struct CredentialGuard {
    places: Semaphore,
    /// Held by whoever is finding out, for those of the same process to wait for.
    trial: Mutex<()>,
    /// The fingerprint of the credentials that were refused last, and until when they are not tried again.
    refused: Cell<Option<(String, Timestamp)>>,
    /// Whether the site is down.
    pub(crate) site: Site,
}

impl Default for CredentialGuard {
    fn default() -> Self {
        Self {
            places: Semaphore::new(CONCURRENCY),
            trial: Mutex::default(),
            refused: Cell::default(),
            site: Site::default(),
        }
    }
}

/// A place among those who use the account, with credentials that are known to be right.
pub(crate) struct Permit<'a> {
    connector: &'a Connector,
    credentials: Arc<Credentials>,
    fingerprint: String,
    /// When the table was last asked.
    asked: Cell<Timestamp>,
    _place: SemaphorePermit<'a>,
}

/// Why there is no permit. Nothing was sent with credentials that are known to be wrong.
#[derive(Debug)]
pub(crate) enum PermitError {
    /// The credentials were refused: nobody else’s turn comes either.
    Refused(JobError),
    /// It is not known, or can’t be found out now.
    NotNow(JobError),
}

impl From<StoreError> for PermitError {
    fn from(error: StoreError) -> Self {
        Self::NotNow(error.into())
    }
}

impl From<SecretError> for PermitError {
    fn from(error: SecretError) -> Self {
        Self::NotNow(error.into())
    }
}

impl PermitError {
    pub(crate) fn setback(self) -> JobError {
        match self {
            Self::Refused(setback) | Self::NotNow(setback) => setback,
        }
    }

    fn refused(after: SignedDuration) -> Self {
        Self::Refused(JobError::retry(after.unsigned_abs(), WHY))
    }

    fn not_now(after: Duration, why: impl Into<String>) -> Self {
        Self::NotNow(JobError::retry(after, why))
    }
}

impl Permit<'_> {
    /// The credentials for one more request, unless they have been refused to anybody. A `GetItem` if the table was asked
    /// more than a second ago.
    pub(crate) async fn credentials(&self, deadline: Deadline) -> Result<&Credentials, JobError> {
        let Connector { clock, store, .. } = self.connector;
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if FRESH < clock.now().duration_since(asked) {
            let hold = store.hold(Service::Smartabase, deadline.instant()).await?;
            let now = clock.now();
            if let Some(hold) = hold.filter(|hold| now < hold.until) {
                return Err(JobError::retry(hold.until.duration_since(now).unsigned_abs(), hold.why));
            }
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        self.connector.not_refused(&self.fingerprint).map_err(PermitError::setback)?;
        Ok(&self.credentials)
    }

    /// Smartabase refused the name and password: everybody leaves it alone for a while. What is owed is not lost, but sent
    /// when the hold is over.
    pub(crate) async fn refused(&self, deadline: Deadline) -> JobError {
        self.connector.password_refused(&self.fingerprint, deadline).await
    }
}

impl Connector {
    /// Waits for a place, and makes sure that the credentials are known to be right. One `GetItem`, and two writes and a
    /// request to Smartabase if nobody has proven them lately.
    pub(crate) async fn permit(&self, deadline: Deadline) -> Result<Permit<'_>, PermitError> {
        let place = self.place(deadline).await?;
        self.admitted(place, deadline).await
    }

    /// The same for a delivery, which is not made while the site is known to be down.
    pub(crate) async fn admission_to_deliver(&self, deadline: Deadline) -> Result<Permit<'_>, PermitError> {
        let place = self.place(deadline).await?;
        self.outage_in_force().map_err(PermitError::NotNow)?;
        self.admitted(place, deadline).await
    }

    async fn place(&self, deadline: Deadline) -> Result<SemaphorePermit<'_>, PermitError> {
        let place = timeout_at(deadline.instant(), self.credential_guard.places.acquire()).await;
        // The semaphore is never closed, so both failures are the deadline's.
        if let Ok(Ok(place)) = place {
            Ok(place)
        } else {
            Err(PermitError::not_now(UNWELL, "no place to use Smartabase"))
        }
    }

    async fn admitted<'a>(&'a self, place: SemaphorePermit<'a>, deadline: Deadline) -> Result<Permit<'a>, PermitError> {
        let credentials = self.secrets.smartabase(deadline).await?;
        let keyring = self.secrets.keyring(deadline).await?;
        // Keyed, so that nobody who reads the table can try passwords against it.
        let fingerprint = keyring.sign(
            SealPurpose::Credentials,
            format!("{}\0{}", credentials.username, credentials.password.expose_secret()).as_bytes(),
        );
        self.see_to_proof(&credentials, &fingerprint, deadline).await?;
        let asked = Cell::new(self.clock.now());
        Ok(Permit { connector: self, credentials, fingerprint, asked, _place: place })
    }

    async fn see_to_proof(
        &self,
        credentials: &Credentials,
        fingerprint: &str,
        deadline: Deadline,
    ) -> Result<(), PermitError> {
        let patience = Instant::now() + PATIENCE;
        let trial = timeout_at(deadline.instant(), self.credential_guard.trial.lock()).await;
        let Ok(_trial) = trial else {
            return Err(PermitError::not_now(UNWELL, "Smartabase’s answer is being waited for"));
        };
        loop {
            self.not_refused(fingerprint)?;
            let now = self.clock.now();
            let trial = now + TRIAL;
            match self.store.try_credentials(Service::Smartabase, fingerprint, now, trial, deadline.instant()).await? {
                ProbeClaim::Proven => return Ok(()),
                ProbeClaim::Yours => {
                    if self.prove(credentials, fingerprint, trial, deadline).await? {
                        return Ok(());
                    }
                }
                // Longer than a trial takes, by any clock.
                ProbeClaim::Wait { until } if trial + TRIAL < until => {
                    return Err(PermitError::refused(until.duration_since(now)));
                }
                // Somebody is at it, and will know soon.
                ProbeClaim::Wait { .. } if Instant::now() + ASKING_AGAIN < patience => sleep(ASKING_AGAIN).await,
                ProbeClaim::Wait { until } => {
                    let wait = until.duration_since(now).unsigned_abs();
                    return Err(PermitError::not_now(wait, "it is not known yet whether Smartabase lets us in"));
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
    ) -> Result<bool, PermitError> {
        let store = &self.store;
        let service = Service::Smartabase;
        let error = match self.smartabase.sign_in(credentials, deadline.at_most(ANSWER).instant()).await {
            Ok(()) => {
                let until = self.clock.now() + PROOF;
                return Ok(store.prove_credentials(service, fingerprint, trial, until, deadline.instant()).await?);
            }
            Err(Error::WrongCredentials) => {
                return Err(PermitError::Refused(self.password_refused(fingerprint, deadline).await));
            }
            Err(error) => error,
        };
        self.site_failed(None, &error, deadline).await;
        let now = self.clock.now();
        let (next, not) = match error {
            // A refusal may have been on its way.
            Error::Uncertain { .. } => (trial, PermitError::not_now(UNWELL, format!("Smartabase: {error}"))),
            Error::Throttled { after } => {
                let after = after.unwrap_or(UNWELL);
                let next = now.checked_add(after).unwrap_or(trial);
                (next, PermitError::not_now(after, "Smartabase asked us to wait"))
            }
            // It may have been the password that was refused: one try a minute.
            Error::Refused { .. } => {
                let why = format!(
                    "Smartabase does not let us in ({error}): check the smartabase secret, and that the account may use the API"
                );
                (trial, PermitError::NotNow(JobError::NeedsOperator(why)))
            }
            Error::NotFound | Error::Rejected { .. } | Error::Unexpected { .. } => {
                let why = format!("we can’t sign in to Smartabase ({error}): check SmartabaseUrl");
                (now, PermitError::NotNow(JobError::NeedsOperator(why)))
            }
            error => (now, PermitError::not_now(UNWELL, format!("Smartabase: {error}"))),
        };
        if next < trial
            && let Err(error) = store.leave_trial(service, trial, next, deadline.instant()).await
        {
            tracing::warn!(%error, "nobody signs in to Smartabase for a minute");
        }
        Err(not)
    }

    /// Tells everybody, unless somebody has found other credentials right in the meantime: then only those of this process
    /// are old, and are read anew.
    async fn password_refused(&self, fingerprint: &str, deadline: Deadline) -> JobError {
        let (service, now) = (Service::Smartabase, self.clock.now());
        let until = now + REFUSED;
        *self.credential_guard.refused.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((fingerprint.to_owned(), until));
        self.secrets.refused(SecretName::Smartabase);
        let (store, fingerprint, deadline) =
            (self.store.clone(), fingerprint.to_owned(), deadline.handover().instant());
        // A task of its own, so that it is written even if whoever was refused is cut off.
        let told = tokio::spawn(async move {
            let disproven = store.disprove_credentials(service, &fingerprint, now, until, deadline).await;
            if let Ok(false) = disproven {
                return Ok(false);
            }
            store.set_hold(service, until, WHY, deadline).await.and(disproven)
        });
        let told = told.await;
        if let Ok(Ok(false)) = told {
            return JobError::retry(UNWELL, "the smartabase secret was replaced meanwhile");
        }
        self.counters.count(Counter::SmartabaseRefused);
        tracing::error!(why = WHY, "the operator must act");
        match told {
            Ok(Err(error)) => error.into(),
            _ => JobError::retry(REFUSED.unsigned_abs(), WHY),
        }
    }

    /// As far as this process knows.
    fn not_refused(&self, fingerprint: &str) -> Result<(), PermitError> {
        let now = self.clock.now();
        let refused = self.credential_guard.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.as_ref().filter(|(refused, until)| refused == fingerprint && now < *until) {
            None => Ok(()),
            Some((_, until)) => Err(PermitError::refused(until.duration_since(now))),
        }
    }
}
