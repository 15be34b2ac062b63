//! Protects the Smartabase account: a wrong password must not lock it.
//!
//! Smartabase does not publish how many wrong attempts lock an account. So the guard limits them:
//! - **Probe.** When no process has proven the credentials lately, one process tries them with one sign-in. The other
//!   processes wait for the result, which the table stores under a fingerprint of the credentials.
//! - **Proof.** Accepted credentials count as proven for one minute. If the password changes later, the next tick sends
//!   one request with the wrong one, not one per delivery.
//! - **Refusal.** A refusal stops all processes for five minutes. Every job reads the hold in the table before it
//!   begins, and again before a request more than a second later. The refused process itself stops at once.
//!
//! So when a proven password becomes wrong, the only wrong attempts are requests already under way at the first
//! refusal, and those that begin within a second of it.

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

/// Deliveries to Smartabase under way at once in one process: the vendor asks for little load (Smartabase API
/// documentation).
const CONCURRENCY: usize = 4;

/// How long the table reserves a probe of the credentials for one worker, and how long that worker waits for the
/// answer. The difference allows for clocks that disagree.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);
const ANSWER: Duration = Duration::from_secs(45);

/// How long accepted credentials count as proven.
const PROOF: SignedDuration = SignedDuration::from_mins(1);

/// How long a read of the hold in the table stays valid.
const FRESH: SignedDuration = SignedDuration::from_secs(1);

/// How long a job waits for another worker's probe before it goes back to the queue, and how often it reads the result.
const PATIENCE: Duration = Duration::from_secs(3);
const ASKING_AGAIN: Duration = Duration::from_millis(200);

/// How long no process signs in to Smartabase after it refused our credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// The reason for that hold, as operators read it.
const WHY: &str = "Smartabase refuses our username or password: check the smartabase secret";

/// How this process uses the Smartabase account.
#[derive(Debug)]
pub struct CredentialGuard {
    places: Semaphore,
    /// Locked by the job that probes the credentials; other jobs of this process wait for it.
    trial: Mutex<()>,
    /// The fingerprint of the credentials that Smartabase refused last, and until when this process does not send them.
    refused: Cell<Option<(String, Timestamp)>>,
    /// What this process knows about an outage of the site.
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

/// Permission to use the account, with proven credentials. Holds one of the places for concurrent deliveries.
pub(crate) struct Permit<'a> {
    connector: &'a Connector,
    credentials: Arc<Credentials>,
    fingerprint: String,
    /// When the hold was last read from the table.
    asked: Cell<Timestamp>,
    _place: SemaphorePermit<'a>,
}

/// Why there is no permit. No request was sent with credentials that are known to be wrong.
#[derive(Debug)]
pub(crate) enum PermitError {
    /// Smartabase refused the credentials, so no other job gets a permit either.
    Refused(JobError),
    /// It is not known whether the credentials are right, and this job can’t find out now.
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
    /// The credentials for one more request, unless any process was refused with them. Costs a `GetItem` if the hold
    /// was last read more than a second ago.
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

    /// Notes that Smartabase refused the name and password, so that all processes pause. No data is lost: it is sent
    /// when the hold is over.
    pub(crate) async fn refused(&self, deadline: Deadline) -> JobError {
        self.connector.password_refused(&self.fingerprint, deadline).await
    }
}

impl Connector {
    /// Waits for a place, and makes sure that the credentials are proven. Costs one `GetItem`; also two writes and a
    /// request to Smartabase if no process has proven the credentials lately.
    pub(crate) async fn permit(&self, deadline: Deadline) -> Result<Permit<'_>, PermitError> {
        let place = self.place(deadline).await?;
        self.admitted(place, deadline).await
    }

    /// The same for a delivery, which does not begin while the site is known to be down.
    pub(crate) async fn admission_to_deliver(&self, deadline: Deadline) -> Result<Permit<'_>, PermitError> {
        let place = self.place(deadline).await?;
        self.outage_in_force().map_err(PermitError::NotNow)?;
        self.admitted(place, deadline).await
    }

    async fn place(&self, deadline: Deadline) -> Result<SemaphorePermit<'_>, PermitError> {
        let place = timeout_at(deadline.instant(), self.credential_guard.places.acquire()).await;
        // The semaphore is never closed, so a failure can only be the deadline.
        if let Ok(Ok(place)) = place {
            Ok(place)
        } else {
            Err(PermitError::not_now(UNWELL, "no place to use Smartabase"))
        }
    }

    async fn admitted<'a>(&'a self, place: SemaphorePermit<'a>, deadline: Deadline) -> Result<Permit<'a>, PermitError> {
        let credentials = self.secrets.smartabase(deadline).await?;
        let keyring = self.secrets.keyring(deadline).await?;
        // A keyed hash: a reader of the table can't test guessed passwords against it.
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
                // Longer than any probe, so it is the hold after a refusal.
                ProbeClaim::Wait { until } if trial + TRIAL < until => {
                    return Err(PermitError::refused(until.duration_since(now)));
                }
                // Another process is probing and will know the result soon.
                ProbeClaim::Wait { .. } if Instant::now() + ASKING_AGAIN < patience => sleep(ASKING_AGAIN).await,
                ProbeClaim::Wait { until } => {
                    let wait = until.duration_since(now).unsigned_abs();
                    return Err(PermitError::not_now(wait, "it is not known yet whether Smartabase lets us in"));
                }
            }
        }
    }

    /// Tries the credentials. Returns `false` if they were accepted too late to store the proof under this probe.
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
            // The lost answer may have been a refusal.
            Error::Uncertain { .. } => (trial, PermitError::not_now(UNWELL, format!("Smartabase: {error}"))),
            Error::Throttled { after } => {
                let after = after.unwrap_or(UNWELL);
                let next = now.checked_add(after).unwrap_or(trial);
                (next, PermitError::not_now(after, "Smartabase asked us to wait"))
            }
            // Smartabase may have refused the password, so at most one try a minute.
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

    /// Stores the refusal as a hold for all processes. But if another process has proven other credentials meanwhile,
    /// only this process's copy is old: then it sets no hold and reads the secret again.
    async fn password_refused(&self, fingerprint: &str, deadline: Deadline) -> JobError {
        let (service, now) = (Service::Smartabase, self.clock.now());
        let until = now + REFUSED;
        *self.credential_guard.refused.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((fingerprint.to_owned(), until));
        self.secrets.refused(SecretName::Smartabase);
        let (store, fingerprint, deadline) =
            (self.store.clone(), fingerprint.to_owned(), deadline.handover().instant());
        // A separate task, so that the write finishes even if the refused job is cancelled.
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

    /// Fails if this process knows that Smartabase refused these credentials. Does not read the table.
    fn not_refused(&self, fingerprint: &str) -> Result<(), PermitError> {
        let now = self.clock.now();
        let refused = self.credential_guard.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.as_ref().filter(|(refused, until)| refused == fingerprint && now < *until) {
            None => Ok(()),
            Some((_, until)) => Err(PermitError::refused(until.duration_since(now))),
        }
    }
}
