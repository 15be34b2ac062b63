//! Probes credentials that are not known to be right. One attempt at a time tries them, on behalf of every process, so
//! that a wrong password never locks the account.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::attributes::{Item, Reader, instant, text};
use crate::client::Store;
use crate::error::StoreError;
use crate::hold::Service;
use crate::keys::Key;
use crate::update_expression::{ItemUpdate, UpdateOutcome};

const PROVEN: &str = "proven";
const PROVEN_UNTIL: &str = "proven_until";
const TRIAL_UNTIL: &str = "trial_until";

/// Whether the caller may use these credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeClaim {
    /// The service has accepted them lately, and has not refused them since.
    Proven,
    /// It is not known whether they are right. The caller must find out, with one request.
    Yours,
    /// Another process is probing them, or they were refused. The caller must not try them yet.
    Wait {
        /// When they may be tried.
        until: Timestamp,
    },
}

impl Store {
    /// Asks whether the caller may use the credentials with this fingerprint. If it is not known whether they are
    /// right, reserves the probe for the caller until `until`. The fingerprint must reveal nothing about the
    /// credentials. One consistent `GetItem`, and one `UpdateItem` if a probe is needed.
    pub async fn try_credentials(
        &self,
        service: Service,
        fingerprint: &str,
        now: Timestamp,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<ProbeClaim, StoreError> {
        let (key, operation) = (Key::credentials(service), "trying credentials");
        let known = self.get(&key, operation, deadline).await?.unwrap_or_default();
        if let Some(trial) = known_of(&key, &known, fingerprint, now)? {
            return Ok(trial);
        }
        let edit = ItemUpdate::of(key.clone())
            .when(
                "attribute_not_exists(#proven) OR #proven <> :fingerprint OR #proven_until <= :now",
                [PROVEN, PROVEN_UNTIL],
                [(":fingerprint", text(fingerprint))],
            )
            .when("attribute_not_exists(#trial_until) OR #trial_until <= :now", [TRIAL_UNTIL], [(":now", instant(now))])
            .set(TRIAL_UNTIL, instant(until));
        match edit.send(self, operation, deadline).await? {
            UpdateOutcome::Applied(_) => Ok(ProbeClaim::Yours),
            UpdateOutcome::Refused(item) => {
                let known = known_of(&key, &item.unwrap_or_default(), fingerprint, now)?;
                Ok(known.unwrap_or(ProbeClaim::Wait { until: now }))
            }
        }
    }

    /// Notes that the service has accepted the credentials with this fingerprint. They count as proven until `until`.
    /// `trial` is the instant at which the caller's probe was to end.
    ///
    /// One `UpdateItem`. If that probe has ended in another way, writes nothing and returns `false`: the credentials
    /// may have been refused in the meantime.
    pub async fn prove_credentials(
        &self,
        service: Service,
        fingerprint: &str,
        trial: Timestamp,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        let edit = ItemUpdate::of(Key::credentials(service))
            .when("#trial_until = :trial", [TRIAL_UNTIL], [(":trial", instant(trial))])
            .set(PROVEN, text(fingerprint))
            .set(PROVEN_UNTIL, instant(until))
            .remove(TRIAL_UNTIL);
        Ok(matches!(edit.send(self, "proving credentials", deadline).await?, UpdateOutcome::Applied(_)))
    }

    /// Gives up the probe that was to end at `trial`, because it gave no result. Another process may probe from `until`
    /// on. One `UpdateItem`. If that probe has ended in another way, writes nothing.
    pub async fn leave_trial(
        &self,
        service: Service,
        trial: Timestamp,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let edit = ItemUpdate::of(Key::credentials(service))
            .when("#trial_until = :trial", [TRIAL_UNTIL], [(":trial", instant(trial))])
            .set(TRIAL_UNTIL, instant(until));
        edit.send(self, "leaving a trial of credentials", deadline).await.map(drop)
    }

    /// Notes that the service has refused the credentials with this fingerprint, whether it accepted them before or
    /// not. No process tries any credentials before `until`.
    ///
    /// One `UpdateItem`. If other credentials are proven, writes nothing and returns `false`: the refused ones are old.
    pub async fn disprove_credentials(
        &self,
        service: Service,
        fingerprint: &str,
        now: Timestamp,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        let edit = ItemUpdate::of(Key::credentials(service))
            .when(
                "attribute_not_exists(#proven) OR #proven = :fingerprint OR #proven_until <= :now",
                [PROVEN, PROVEN_UNTIL],
                [(":fingerprint", text(fingerprint)), (":now", instant(now))],
            )
            .set(TRIAL_UNTIL, instant(until))
            .remove(PROVEN)
            .remove(PROVEN_UNTIL);
        Ok(matches!(edit.send(self, "disproving credentials", deadline).await?, UpdateOutcome::Applied(_)))
    }
}

/// What is known of the credentials at `now`; `None` if a process must probe them.
fn known_of(key: &Key, item: &Item, fingerprint: &str, now: Timestamp) -> Result<Option<ProbeClaim>, StoreError> {
    let reader = Reader::new(key, item);
    if reader.text(PROVEN)?.as_deref() == Some(fingerprint) && now < reader.required(PROVEN_UNTIL, Reader::instant)? {
        return Ok(Some(ProbeClaim::Proven));
    }
    let until = reader.instant(TRIAL_UNTIL)?.filter(|until| now < *until);
    Ok(until.map(|until| ProbeClaim::Wait { until }))
}
