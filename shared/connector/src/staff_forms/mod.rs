//! Telling staff how an athlete stands, in two profile forms at Smartabase. What the forms say is in `content`.
//!
//! The worker tells them what its jobs have changed, and the daily enrolment whatever is left: who has fallen silent, and
//! what could not be told, also of those who are no athletes any more. Nothing depends on these forms. So they are told
//! after everything else, for a short while, and a failure is logged and left to the next enrolment.
//!
//! **Invariant**: a form is written when it would say something else than it is known to hold, and otherwise not.

mod content;
pub(crate) mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runtime::Deadline;
use store::{AthleteId, Connection, Enrolment, Holds};
use tokio::task::JoinSet;

use crate::Connector;
use crate::credential_guard::Permit;
use crate::staff_forms::write::WriteError;

use content::{FormContent, outdated_forms};

/// How long a batch of jobs may be kept from its end by telling what came of it.
const TELLING: Duration = Duration::from_secs(10);

impl Connector {
    /// Tells the forms what has become of these athletes, as far as it can be done soon.
    pub(crate) async fn write_changed_statuses(
        self: &Arc<Self>,
        athletes: BTreeSet<AthleteId>,
        holds: &Holds,
        deadline: Deadline,
    ) {
        let held = holds.smartabase.as_ref().is_some_and(|hold| hold.until > self.clock.now());
        let held = held || self.outage_in_force().is_err();
        if held || (self.forms.status.is_none() && self.forms.rotation.is_none()) {
            return;
        }
        let deadline = deadline.at_most(TELLING);
        let mut telling = JoinSet::new();
        for athlete in athletes {
            let connector = Arc::clone(self);
            telling.spawn(async move {
                let told =
                    tokio::time::timeout_at(deadline.instant(), connector.write_status(&athlete, deadline)).await;
                if !matches!(told, Ok(Ok(_))) {
                    tracing::warn!(%athlete, "the forms for staff are left to the next enrolment");
                }
            });
        }
        // Each is a task of its own, so that even a panic ends one athlete's telling and nobody's sync.
        while telling.join_next().await.is_some() {}
    }

    /// Whether an athlete's forms are to say something new, by rows that may be a moment old.
    pub(crate) fn is_outdated(&self, enrolment: &Enrolment, connection: Option<&Connection>) -> bool {
        !self.outdated_forms(enrolment, connection).is_empty()
    }

    /// Tells an athlete's forms what they do not say yet, and answers how many were written. One that can't be written
    /// keeps no other from it.
    pub(crate) async fn write_status(&self, athlete: &AthleteId, deadline: Deadline) -> Result<usize, WriteError> {
        let permit = self.permit(deadline).await?;
        // Read only now that it can be written: what has changed while this waited for its turn is told.
        let (enrolment, connection) = tokio::try_join!(
            self.store.enrolment(athlete, deadline.instant()),
            self.store.connection(athlete, deadline.instant()),
        )?;
        let Some(enrolment) = enrolment else { return Ok(0) };
        let sayings = self.outdated_forms(&enrolment, connection.as_ref());
        if sayings.is_empty() {
            return Ok(0);
        }
        let mut told = Ok(0);
        for saying in &sayings {
            match self.write_form(&permit, &enrolment, saying, deadline).await {
                Ok(()) => told = told.map(|told: usize| told + 1),
                Err(refused @ WriteError::NotLetIn(_)) => return Err(refused),
                Err(failed @ WriteError::Failed) => told = Err(failed),
            }
        }
        told
    }

    async fn write_form(
        &self,
        permit: &Permit<'_>,
        enrolment: &Enrolment,
        saying: &FormContent<'_>,
        deadline: Deadline,
    ) -> Result<(), WriteError> {
        let athlete = &enrolment.athlete;
        let FormContent { form, name, user, fields, digest } = saying;
        self.store.begin_telling(athlete, *form, digest, deadline.instant()).await?;
        self.write_profile(permit, athlete, *user, name, fields, deadline).await?;
        self.store.end_telling(athlete, *form, digest, deadline.instant()).await?;
        tracing::info!(%athlete, form = %name, "told");
        Ok(())
    }

    fn outdated_forms(&self, enrolment: &Enrolment, connection: Option<&Connection>) -> Vec<FormContent<'_>> {
        outdated_forms(&self.forms, enrolment, connection, self.clock.now(), &self.settings.time_zone)
    }
}
