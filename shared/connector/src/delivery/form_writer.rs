//! Writes one form of one athlete at Smartabase: looks events up, sends records and checks the answers.

use std::collections::BTreeMap;

use jiff::civil::Date;
use runtime::Deadline;
use smartabase::{Error, Event, EventId, Import, StoredEvent, UserId};
use store::Connection;

use super::Delivery;
use super::diff::RecordChange;
use crate::credential_guard::Permit;
use crate::error::UNWELL;
use crate::forms::Form;
use crate::{Connector, JobError};

pub(super) struct FormWriter<'a> {
    pub(super) connector: &'a Connector,
    pub(super) permit: &'a Permit<'a>,
    pub(super) form: &'a Form,
    pub(super) connection: &'a Connection,
    pub(super) deadline: Deadline,
}

impl FormWriter<'_> {
    fn user(&self) -> UserId {
        UserId(self.connection.user_id)
    }

    /// Looks up every date on which the site may hold an event that the ledger does not know. If the staff have their
    /// own fields on this form, it also looks up the events to overwrite.
    ///
    /// The event in the ledger is used if it still exists, otherwise the event with the lowest id. Several events on
    /// one date are reported.
    pub(super) async fn reconcile(
        &self,
        changes: &mut Vec<RecordChange>,
        delivery: &mut Delivery<'_>,
    ) -> Result<(), JobError> {
        let keeping = !self.form.keep.is_empty();
        let dates = changes.iter().filter(|change| keeping || change.unsettled).map(RecordChange::date);
        let (Some(first), Some(last)) = (dates.clone().min(), dates.max()) else { return Ok(()) };
        let standing = self.standing(first, last).await?;
        for change in changes.iter_mut() {
            let mut found = standing.get(&change.date()).map_or(&[][..], Vec::as_slice);
            if change.unsettled {
                if let Some(made) = self.made_instead(change, found, delivery).await? {
                    found = std::slice::from_ref(made);
                }
                let known = change.event.filter(|known| found.iter().any(|event| event.id == *known));
                change.event = known.or_else(|| found.first().map(|event| event.id));
                change.several = found.len() > 1;
                if change.several {
                    delivery.note(self.several(change.date(), found));
                }
            }
            if let Some(event) = found.iter().find(|event| Some(event.id) == change.event) {
                let kept = self.form.keep.iter().filter_map(|label| Some((label.clone(), event.to_send(label)?)));
                change.kept = kept.collect();
                // While a date has several events, the chosen one is overwritten only if its content differs.
                change.overwrite &= !(change.several && change.is_said_by(event));
            }
        }
        changes.retain(RecordChange::applies);
        Ok(())
    }

    /// Finds an event that the site created when it should have overwritten the one in the ledger, if the answer to
    /// that request was lost. Such an event has exactly the content to send, and all that staff added to the old event.
    /// Then the old event is deleted, as in [`settle`](Self::settle). Returns `None` if the site does not delete it.
    async fn made_instead<'a>(
        &self,
        change: &RecordChange,
        found: &'a [StoredEvent],
        delivery: &mut Delivery<'_>,
    ) -> Result<Option<&'a StoredEvent>, JobError> {
        let (Some(known), [one, other]) = (change.event, found) else { return Ok(None) };
        let (known, made) = if one.id == known { (one, other) } else { (other, one) };
        let theirs = |label: &String| known.fields.get(label) == made.fields.get(label);
        let all_there = Some(known.id) == change.event && change.is_said_by(made) && self.form.keep.iter().all(theirs);
        Ok(if all_there && self.delete(known.id, delivery).await? { Some(made) } else { None })
    }

    /// Sends one batch. If the site does not confirm the batch, sends its missing records one by one.
    pub(super) async fn send(&self, batch: &[RecordChange], delivery: &mut Delivery<'_>) -> Result<(), JobError> {
        match self.import(batch, delivery).await? {
            Import::Imported { ids, unknown_fields } | Import::OtherIds { ids, unknown_fields } => {
                for (change, id) in batch.iter().zip(ids) {
                    self.settle(change, id, &unknown_fields, delivery).await?;
                }
            }
            Import::NotImported { .. } | Import::FewerIds { .. } => {
                let mut singles = batch.to_vec();
                for change in &mut singles {
                    change.unsettled = true;
                }
                self.reconcile(&mut singles, delivery).await?;
                for change in &singles {
                    self.send_one(change, delivery).await?;
                }
            }
        }
        Ok(())
    }

    async fn send_one(&self, change: &RecordChange, delivery: &mut Delivery<'_>) -> Result<(), JobError> {
        let (date, form) = (change.date(), self.form.name.as_str());
        match self.import(std::slice::from_ref(change), delivery).await? {
            Import::Imported { ids, unknown_fields } | Import::OtherIds { ids, unknown_fields } => {
                for id in ids {
                    self.settle(change, id, &unknown_fields, delivery).await?;
                }
            }
            Import::FewerIds { .. } => delivery.note(format!(
                "Smartabase took the record of {date} for the form {form:?} but made no event: \
                 may this athlete receive the form?"
            )),
            Import::NotImported { state, message, errors } => {
                let said = [vec![state, message], errors].concat();
                let said = said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
                delivery.note(format!(
                    "Smartabase refused the record of {date} for the form {form:?} ({said}): \
                     does the form exist, and has it required fields of its own?"
                ));
            }
        }
        Ok(())
    }

    /// Notes the id under which the site confirmed an event. If it is not the id that was sent, the site created an
    /// event instead of overwriting one. Either the old event was gone, or there are two now, and the new one is right.
    /// The old one has only content that was to be overwritten, so it is deleted. If the site refuses that, staff see a
    /// note.
    async fn settle(
        &self,
        change: &RecordChange,
        id: EventId,
        unknown_fields: &[String],
        delivery: &mut Delivery<'_>,
    ) -> Result<(), JobError> {
        let mut several = change.several;
        if let Some(sent) = change.event.filter(|sent| *sent != id) {
            let standing = self.standing(change.date(), change.date()).await?;
            let found = standing.get(&change.date()).map_or(&[][..], Vec::as_slice);
            let both = found.iter().any(|event| event.id == sent) && found.iter().any(|event| event.id == id);
            let deleted = both && self.delete(sent, delivery).await?;
            several = found.len() > if deleted { 2 } else { 1 };
            if several {
                delivery.note(self.several(change.date(), found));
            }
        }
        delivery.wrote(change, id, unknown_fields, several);
        Ok(())
    }

    /// The events on each date, lowest id first.
    async fn standing(&self, first: Date, last: Date) -> Result<BTreeMap<Date, Vec<StoredEvent>>, JobError> {
        let (client, credentials) = (&self.connector.smartabase, self.permit.credentials(self.deadline).await?);
        let found =
            client.events(credentials, &self.form.name, self.user(), first, last, self.deadline.instant()).await;
        let events = match found {
            Ok(events) => events,
            Err(error) => return Err(self.setback(error).await),
        };
        let mut dates: BTreeMap<Date, Vec<StoredEvent>> = BTreeMap::new();
        for event in events {
            dates.entry(event.date).or_default().push(event);
        }
        for events in dates.values_mut() {
            events.sort_by_key(|event| event.id);
        }
        Ok(dates)
    }

    async fn delete(&self, event: EventId, delivery: &mut Delivery<'_>) -> Result<bool, JobError> {
        let (client, credentials) = (&self.connector.smartabase, self.permit.credentials(self.deadline).await?);
        let deleting = client.delete_event(credentials, event, self.deadline.instant());
        match delivery.lease.change(deleting).await {
            Ok(deleted) => Ok(deleted),
            Err(Error::Forbidden | Error::Rejected { .. } | Error::NotFound) => Ok(false),
            Err(error) => Err(self.setback(error).await),
        }
    }

    async fn import(&self, changes: &[RecordChange], delivery: &mut Delivery<'_>) -> Result<Import, JobError> {
        let event = |change: &RecordChange| Event {
            user: self.user(),
            date: change.date(),
            start: self.form.start,
            finish: self.form.finish,
            existing: change.event,
            fields: change.fields.iter().chain(&change.kept).cloned().collect(),
        };
        let events: Vec<_> = changes.iter().map(event).collect();
        let (client, credentials) = (&self.connector.smartabase, self.permit.credentials(self.deadline).await?);
        let importing = client.import(credentials, &self.form.name, &events, self.deadline.instant());
        match delivery.lease.change(importing).await {
            Ok(import) => {
                self.connector.site_answered_import(self.deadline).await;
                Ok(import)
            }
            Err(error) => Err(self.setback(error).await),
        }
    }

    /// Maps an error of the site to a job error, and notes what it says about the site and the credentials.
    async fn setback(&self, error: Error) -> JobError {
        self.connector.site_failed(Some(&self.connection.athlete), &error, self.deadline).await;
        let form = self.form.name.as_str();
        match error {
            Error::WrongCredentials => self.permit.refused(self.deadline).await,
            Error::Forbidden => JobError::NeedsOperator(format!(
                "the Smartabase account may not use the form {form:?}: give it access to the form and to all athletes"
            )),
            Error::NotFound => {
                JobError::NeedsOperator("the Smartabase site is not at this address: check SmartabaseUrl".to_owned())
            }
            Error::Rejected { .. } | Error::Refused { .. } | Error::BatchSize { .. } => {
                JobError::NeedsOperator(format!(
                    "Smartabase does not do what we ask of the form {form:?}: {error}; \
                     does the form exist, under this name?"
                ))
            }
            Error::Unexpected { what } => JobError::NeedsOperator(format!(
                "Smartabase answered about the form {form:?} in a way that this connector can't read ({what}); records \
                 whose event may be there are not sent: report this sentence to the connector's maintainers"
            )),
            Error::Throttled { after } => JobError::retry(after.unwrap_or(UNWELL), "Smartabase asked us to wait"),
            error => JobError::retry(UNWELL, format!("Smartabase, form {form:?}: {error}")),
        }
    }

    fn several(&self, date: Date, events: &[StoredEvent]) -> String {
        let ids = events.iter().map(|event| event.id.to_string()).collect::<Vec<_>>().join(", ");
        let form = self.form.name.as_str();
        format!("the form {form:?} has several events on {date} (ids {ids}): delete all but one")
    }
}
