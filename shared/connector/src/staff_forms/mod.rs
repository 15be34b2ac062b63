//! Writes each athlete's status into two profile forms at Smartabase, for staff. `content` decides what the forms say.
//!
//! The worker writes the forms of the athletes whose jobs changed something. The daily enrolment writes the rest:
//! athletes who sent no night for days, and forms that could not be written before, also of former athletes. Nothing
//! depends on these forms, so they are written last and in limited time. A failure is logged, and the next enrolment
//! tries again.
//!
//! **Invariant**: a form is written only when its content differs from what the table says it holds. Overlapping or
//! unfinished writes store no digest, so the form is written again.

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

/// The longest that writing the forms for staff may delay the end of a batch of jobs.
const TELLING: Duration = Duration::from_secs(10);

impl Connector {
    /// Writes the forms of these athletes, as far as the time allows. The next enrolment writes the others.
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
        // Each athlete has a task, so that a panic ends only this athlete's writes and no sync.
        while telling.join_next().await.is_some() {}
    }

    /// Whether an athlete's forms need new content. The rows may be slightly out of date.
    pub(crate) fn is_outdated(&self, enrolment: &Enrolment, connection: Option<&Connection>) -> bool {
        !self.outdated_forms(enrolment, connection).is_empty()
    }

    /// Writes an athlete's outdated forms and returns how many it wrote. If one form fails, the other is still written.
    pub(crate) async fn write_status(&self, athlete: &AthleteId, deadline: Deadline) -> Result<usize, WriteError> {
        let permit = self.permit(deadline).await?;
        // Read the rows after waiting for the permit, so that changes made meanwhile are included.
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
