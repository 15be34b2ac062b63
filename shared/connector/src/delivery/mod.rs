//! Bringing records to Smartabase so that each date has one event, and the event says what Oura says.
//!
//! Smartabase has no idempotency key, reports success for what it did not do, and may have done what it did not report
//! (seen on live sites by public integrations). So, under the athlete's lease:
//! 1. what differs from the ledger is found;
//! 2. a record of which the site may hold something the ledger does not know, because it is about to be created or was
//!    not confirmed when it was last sent, is first looked up on the site, and an event that already stands on its date is
//!    adopted, whoever made it;
//! 3. every record about to be sent is first noted on the connection as intended, in one write that also forgets the
//!    window's digest: whatever happens from here on, a later tick knows that the site may hold anything;
//! 4. the records go out, oldest first, a form at a time, at most 25 in a call;
//! 5. a call that is not confirmed event by event is looked up, and what is still missing goes out one by one, so that
//!    a bad record costs only itself;
//! 6. what is confirmed is written to the ledger, with the event's id and the digest of what it says, and is intended no
//!    longer.
//!
//! **Invariant**: no record is created without a look at the site under the same lease since its last unconfirmed
//! attempt; a record is `written` with a digest only after Smartabase confirmed exactly that content under that id.

mod diff;
mod form_writer;

use jiff::Timestamp;
use oura::Days;
use runtime::Deadline;
use smartabase::{EventId, MAX_EVENTS};
use store::{Connection, Fenced, RecordKey, Written};

use crate::athlete_status::LACKS_FIELDS;
use crate::credential_guard::PermitError;
use crate::forms::{Documents, Record};
use crate::lease::Lease;
use crate::{Connector, JobError};

use diff::{RecordChange, changes};
use form_writer::FormWriter;

/// What came of a delivery.
pub(crate) struct Delivery<'a> {
    /// The lease it is made under. Without it nothing can be changed at the site.
    lease: &'a mut Lease,
    /// What the ledger is to say.
    pub(crate) written: Vec<(RecordKey, Written)>,
    /// How many records were confirmed in full.
    pub(crate) confirmed: usize,
    /// What an operator must mend, one sentence each.
    pub(crate) notes: Vec<String>,
    /// What ended the delivery early.
    pub(crate) setback: Option<JobError>,
}

impl<'a> Delivery<'a> {
    fn under(lease: &'a mut Lease) -> Self {
        Self { lease, written: Vec::new(), confirmed: 0, notes: Vec::new(), setback: None }
    }

    /// Until when the lease must be left to run out, because a request to the site is in doubt.
    pub(crate) fn runs_out(&self) -> Option<Timestamp> {
        self.lease.runs_out()
    }

    /// Whether every record of the window is now as Oura says.
    pub(crate) fn complete(&self) -> bool {
        self.setback.is_none() && self.notes.is_empty()
    }

    /// Takes down a confirmed event. Without a digest the record is looked up and sent again at every tick, until what
    /// is wrong with it has been mended.
    fn wrote(&mut self, change: &RecordChange, event: EventId, unknown_fields: &[String], several: bool) {
        if !unknown_fields.is_empty() {
            self.note(format!(
                "the form {:?} {LACKS_FIELDS} {}: add them, or take them out of forms.toml",
                change.key.form,
                unknown_fields.join(", ")
            ));
        }
        let digest = if unknown_fields.is_empty() && !several {
            self.confirmed += 1;
            change.digest.clone()
        } else {
            String::new()
        };
        self.written.push((change.key.clone(), Written { event: event.0, digest }));
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl Connector {
    /// Delivers the records of `days` under the lease. A setback before anything was sent is the
    /// result's error; one in the middle is part of the delivery, whose confirmed part must still be stored.
    pub(crate) async fn deliver<'a>(
        &self,
        connection: &Connection,
        lease: &'a mut Lease,
        documents: &Documents,
        records: &[Record],
        days: Days,
        deadline: Deadline,
    ) -> Result<Delivery<'a>, JobError> {
        let ledger = self.store.records(connection, &self.keys(days), deadline.instant()).await?;
        let changes = changes(&self.forms, documents, records, &ledger);
        let fence = lease.fence();
        let mut delivery = Delivery::under(lease);
        if !documents.refused.is_empty() {
            let refused = documents.refused.iter().copied().collect::<Vec<_>>().join(", ");
            delivery.note(format!(
                "{refused} of this athlete is refused, and Oura gives the rest: if it stays so, look in the log for who refuses \
                 it. If it is Oura, have them update the Oura app and connect again with everything ticked"
            ));
        }
        if changes.iter().all(|(_, changes)| changes.is_empty()) {
            return Ok(delivery);
        }
        let permit = self.admission_to_deliver(deadline).await.map_err(PermitError::setback)?;
        let mut writers = Vec::new();
        for (form, mut changes) in changes {
            let writer = FormWriter { connector: self, permit: &permit, form, connection, deadline };
            match writer.reconcile(&mut changes, &mut delivery).await {
                Ok(()) => writers.push((writer, changes)),
                // This form can't be read; the others can.
                Err(JobError::NeedsOperator(note)) => delivery.note(note),
                Err(setback) => return Err(setback),
            }
        }
        let intended = writers.iter().flat_map(|(_, changes)| changes).map(|change| change.key.clone()).collect();
        match self.store.intend(&connection.athlete, fence, &intended, deadline.instant()).await? {
            Fenced::Done => {}
            Fenced::Lost => return Err(JobError::Superseded),
        }
        for (writer, changes) in &writers {
            for batch in changes.chunks(MAX_EVENTS) {
                match writer.send(batch, &mut delivery).await {
                    Ok(()) => {}
                    Err(JobError::NeedsOperator(note)) => delivery.note(note),
                    Err(setback) => {
                        delivery.setback = Some(setback);
                        return Ok(delivery);
                    }
                }
            }
        }
        Ok(delivery)
    }

    /// Every record there could be for these days.
    fn keys(&self, days: Days) -> Vec<RecordKey> {
        let dates = days.first.series(jiff::Span::new().days(1)).take_while(|day| *day <= days.last);
        dates
            .flat_map(|day| {
                self.forms.events.iter().filter_map(move |form| {
                    form.date.of(day).map(|date| RecordKey { form: form.name.to_string(), date })
                })
            })
            .collect()
    }
}
