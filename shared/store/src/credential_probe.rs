//! Credentials that are not known to be right: one attempt at a time finds out, for everybody, so that a wrong password
//! never locks the account.

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

/// Whether these credentials may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeClaim {
    /// The service has accepted them lately, and has not refused them since.
    Proven,
    /// Nobody knows; it is yours to find out, with one request.
    Yours,
    /// Somebody else is finding out, or has found that they are wrong: not before then.
    Wait {
        /// When it may be tried.
        until: Timestamp,
    },
}

impl Store {
    /// Asks whether the credentials with this fingerprint may be used, and, if nobody knows, takes it upon the caller to
    /// find out before `until`. The fingerprint must not tell anything about them. One consistent `GetItem`, and an
    /// `UpdateItem` if nobody knows.
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

    /// The service has accepted the credentials with this fingerprint, which is to be relied on until `until`: the end of
    /// the trial that was to end at `trial`. One `UpdateItem`, which answers `false` and writes nothing when the trial has
    /// ended otherwise: they may have been refused in the meantime.
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

    /// The trial that was to end at `trial` found nothing out: somebody else may try, from `until` on. One `UpdateItem`, which
    /// writes nothing when the trial has ended otherwise.
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

    /// The service has refused the credentials with this fingerprint, whether it accepted them before or not: nobody tries
    /// any before `until`. One `UpdateItem`, which answers `false` and writes nothing when others are known to be right:
    /// those that were refused are old.
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

/// What is known of credentials at `now`; `None` if somebody must find out.
fn known_of(key: &Key, item: &Item, fingerprint: &str, now: Timestamp) -> Result<Option<ProbeClaim>, StoreError> {
    let reader = Reader::new(key, item);
    if reader.text(PROVEN)?.as_deref() == Some(fingerprint) && now < reader.required(PROVEN_UNTIL, Reader::instant)? {
        return Ok(Some(ProbeClaim::Proven));
    }
    let until = reader.instant(TRIAL_UNTIL)?.filter(|until| now < *until);
    Ok(until.map(|until| ProbeClaim::Wait { until }))
}
