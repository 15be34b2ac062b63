//! Delivers records to Smartabase so that each date has one event, with the same content as at Oura.
//!
//! Smartabase has no idempotency key. It may report success for a change that it did not make, and it may make a change
//! that it did not report (seen on live sites by public integrations). So the worker, under the athlete's lease:
//! 1. finds which records differ from the ledger;
//! 2. looks up on the site each record that the site may hold without the ledger knowing: it is about to be created, or
//!    its last attempt was not confirmed. An event that already exists on that date is reused, whoever made it;
//! 3. notes every record that it will send as intended on the connection. The same write removes the window's digest.
//!    So whatever happens next, a later tick knows that the site may hold any of these records;
//! 4. sends the records, oldest first, one form at a time, at most 25 in a request;
//! 5. if a request is not confirmed event by event, looks its records up and sends the missing ones one by one, so that
//!    a bad record does not block the others;
//! 6. writes each confirmed record to the ledger, with the event's id and the content's digest. The record is then no
//!    longer intended.
//!
//! **Invariant**: no record is created unless the site was read under the same lease after the record's last
//! unconfirmed attempt. A record is `written` with a digest only after Smartabase confirmed exactly that content under
//! that id.

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

/// The result of a delivery.
pub(crate) struct Delivery<'a> {
    /// The lease that covers the delivery. Without it, no request can change the site.
    lease: &'a mut Lease,
    /// The entries to write to the ledger.
    pub(crate) written: Vec<(RecordKey, Written)>,
    /// How many records were confirmed in full.
    pub(crate) confirmed: usize,
    /// What the operator must repair, one sentence each.
    pub(crate) notes: Vec<String>,
    /// The error that ended the delivery early.
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

    /// Whether every record of these days now has the content that Oura has.
    pub(crate) fn complete(&self) -> bool {
        self.setback.is_none() && self.notes.is_empty()
    }

    /// Notes a confirmed event for the ledger. If the form lacks fields or the date has several events, the entry gets
    /// no digest: every tick then looks the record up and sends it again, until the problem is repaired.
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
    /// Delivers the records of `days` under the lease. An error before the first record was sent is the result's error.
    /// A later error is part of the delivery, because its confirmed records must still be stored.
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
                // This form can't be read; the other forms are still delivered.
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

    /// The keys of all records that these days can have.
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
