//! Bringing records to Smartabase so that each date has one event, and the event says what Oura says.
//!
//! Smartabase has no idempotency key, reports success for what it did not do, and may have done what it did not report
//! (reference: batches and retries). So, under the athlete's lease:
//! 1. what differs from the ledger is found;
//! 2. a record about to be created is first looked up on the site, and adopted if an event already stands on its date,
//!    whoever made it;
//! 3. every record about to be sent is first marked `intended`, which also forgets the window's digest: whatever happens
//!    from here on, a later tick knows that the site may hold anything;
//! 4. the records go out, oldest first, a form at a time, at most 25 in a call;
//! 5. a call that is not confirmed event by event is looked up, and what is still missing goes out one by one, so that
//!    a bad record costs only itself;
//! 6. what is confirmed is marked `written`, with the event's id and the digest of what it says.
//!
//! **Invariant**: no record is created without a look at the site under the same lease since its last unconfirmed
//! attempt; a record is `written` with a digest only after Smartabase confirmed exactly that content under that id.

use std::collections::BTreeMap;

use jiff::civil::Date;
use oura::Days;
use runtime::Deadline;
use smartabase::{Credentials, Error, Event, EventId, Import, UserId};
use store::{Connection, Fenced, Intent, RecordKey, Written};

use crate::forms::{Documents, Form, Record};
use crate::setback::UNWELL;
use crate::{Connector, Setback};

/// Events in one call: the vendor's own sample (reference: batches).
const BATCH: usize = 25;

/// What came of a delivery.
#[derive(Default)]
pub(crate) struct Delivery {
    /// What the ledger is to say.
    pub(crate) written: Vec<(RecordKey, Written)>,
    /// How many records were confirmed in full.
    pub(crate) confirmed: usize,
    /// What an operator must mend, one sentence each.
    pub(crate) notes: Vec<String>,
    /// What ended the delivery early.
    pub(crate) setback: Option<Setback>,
}

/// One form of one athlete, for the length of a delivery.
struct Desk<'a> {
    connector: &'a Connector,
    credentials: &'a Credentials,
    form: &'a Form,
    user: UserId,
    deadline: Deadline,
}

/// A record that has to be sent.
#[derive(Clone)]
struct Change {
    key: RecordKey,
    date: Date,
    fields: Vec<(String, String)>,
    digest: String,
    /// The event to overwrite; without one, an event is created.
    event: Option<EventId>,
}

impl Delivery {
    /// Whether every record of the window is now as Oura says.
    pub(crate) fn complete(&self) -> bool {
        self.setback.is_none() && self.notes.is_empty()
    }

    fn wrote(&mut self, change: &Change, event: EventId, unknown_fields: &[String]) {
        let digest = if unknown_fields.is_empty() {
            self.confirmed += 1;
            change.digest.clone()
        } else {
            // The event exists, so its id must be known; what it says is not all it should say.
            self.note(format!(
                "the form {:?} does not have the fields {}: add them, or take them out of forms.toml",
                change.key.form,
                unknown_fields.join(", ")
            ));
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
    /// Delivers the records of `days` under the lease with this fence. A setback before anything was sent is the
    /// result's error; one in the middle is part of the delivery, whose confirmed part must still be stored.
    pub(crate) async fn deliver(
        &self,
        connection: &Connection,
        fence: u64,
        documents: &Documents,
        records: &[Record],
        days: Days,
        deadline: Deadline,
    ) -> Result<Delivery, Setback> {
        let athlete = &connection.athlete;
        let keys = self.keys(days);
        let ledger = self.store.records(athlete, &keys, deadline.instant()).await?;
        let changes = self.changes(documents, records, &ledger);
        let mut delivery = Delivery::default();
        if changes.iter().all(|(_, changes)| changes.is_empty()) {
            return Ok(delivery);
        }
        let admission = self.admission(deadline).await?;
        let mut desks = Vec::new();
        for (form, mut changes) in changes {
            let credentials = &*admission.credentials;
            let desk = Desk { connector: self, credentials, form, user: UserId(connection.user_id), deadline };
            match desk.adopt(&mut changes, &mut delivery).await {
                Ok(()) => desks.push((desk, changes)),
                // This form can't be read; the others can.
                Err(Setback::NeedsOperator(note)) => delivery.note(note),
                Err(setback) => return Err(setback),
            }
        }
        let mut intents = Vec::new();
        for change in desks.iter().flat_map(|(_, changes)| changes) {
            intents.push(Intent { key: change.key.clone(), event: change.event.map(|event| event.0) });
        }
        if matches!(
            self.store.intend(athlete, fence, &intents, self.clock.now(), deadline.instant()).await?,
            Fenced::Lost
        ) {
            return Err(Setback::Overtaken);
        }
        for (desk, changes) in &desks {
            for batch in changes.chunks(BATCH) {
                match desk.send(batch, &mut delivery).await {
                    Ok(()) => {}
                    Err(Setback::NeedsOperator(note)) => delivery.note(note),
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

    /// What differs from the ledger, by form, oldest first.
    fn changes<'a>(
        &'a self,
        documents: &Documents,
        records: &[Record],
        ledger: &BTreeMap<RecordKey, store::Record>,
    ) -> Vec<(&'a Form, Vec<Change>)> {
        let mut all = Vec::new();
        for (position, form) in self.forms.events.iter().enumerate() {
            let name = form.name.to_string();
            let of_form: Vec<_> = records.iter().filter(|record| record.form == position).collect();
            let mut changes: Vec<_> = of_form
                .iter()
                .filter_map(|record| {
                    let key = RecordKey { form: name.clone(), date: record.date };
                    let digest = record.digest();
                    let event = match ledger.get(&key) {
                        Some(store::Record::Written(written)) if written.digest == digest || record.incomplete => {
                            return None;
                        }
                        Some(store::Record::Written(written)) => Some(EventId(written.event)),
                        Some(store::Record::Intended { event }) => event.map(EventId),
                        None => None,
                    };
                    Some(Change { key, date: record.date, fields: record.fields.clone(), digest, event })
                })
                .collect();
            // A night that Oura took back is emptied, not deleted: the site may not let us, and a coach can see that
            // something was there. An answer without a single day of the form says nothing about the others.
            if documents.all_read() && !of_form.is_empty() {
                changes.extend(ledger.iter().filter(|(key, _)| key.form == name).filter_map(|(key, record)| {
                    let event = match record {
                        store::Record::Written(written) => Some(EventId(written.event)),
                        store::Record::Intended { event } => event.map(EventId),
                    };
                    let gone = of_form.iter().all(|record| record.date != key.date);
                    let emptied = Record { form: position, date: key.date, fields: form.emptied(), incomplete: false };
                    let digest = emptied.digest();
                    let told = matches!(record, store::Record::Written(written) if written.digest == digest);
                    event.filter(|_| gone && !told).map(|event| Change {
                        key: key.clone(),
                        date: key.date,
                        fields: emptied.fields,
                        digest,
                        event: Some(event),
                    })
                }));
            }
            changes.sort_by_key(|change| change.date);
            all.push((form, changes));
        }
        all
    }
}

impl Desk<'_> {
    /// Looks up what is about to be created; an event that already stands on its date is overwritten instead. Of several
    /// the one with the lowest id is kept, and the others are reported.
    async fn adopt(&self, changes: &mut [Change], delivery: &mut Delivery) -> Result<(), Setback> {
        let dates: Vec<_> = changes.iter().filter(|change| change.event.is_none()).map(|change| change.date).collect();
        let (Some(first), Some(last)) = (dates.first(), dates.last()) else { return Ok(()) };
        let standing = self.standing(*first, *last).await?;
        for change in changes.iter_mut().filter(|change| change.event.is_none()) {
            let Some(ids) = standing.get(&change.date) else { continue };
            change.event = ids.first().copied();
            if ids.len() > 1 {
                delivery.note(self.several(change.date, ids));
            }
        }
        Ok(())
    }

    /// Sends one batch, and what of it is not confirmed one by one.
    async fn send(&self, batch: &[Change], delivery: &mut Delivery) -> Result<(), Setback> {
        match self.import(batch).await? {
            Import::Imported { ids, unknown_fields } => {
                for (change, id) in batch.iter().zip(ids) {
                    delivery.wrote(change, id, &unknown_fields);
                }
            }
            Import::OtherIds { ids, unknown_fields } => {
                for (change, id) in batch.iter().zip(ids) {
                    self.settle(change, id, &unknown_fields, delivery).await?;
                }
            }
            Import::NotImported { .. } | Import::FewerIds { .. } => {
                let mut singles = batch.to_vec();
                self.adopt(&mut singles, delivery).await?;
                for change in &singles {
                    self.send_one(change, delivery).await?;
                }
            }
        }
        Ok(())
    }

    async fn send_one(&self, change: &Change, delivery: &mut Delivery) -> Result<(), Setback> {
        let (date, form) = (change.date, self.form.name.as_str());
        match self.import(std::slice::from_ref(change)).await? {
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

    /// Takes down the id an event was confirmed under. When it is another than the one sent, either the event we knew
    /// was gone, or there are two now, which is reported. The new one says what Oura says, and is overwritten from now on.
    async fn settle(
        &self,
        change: &Change,
        id: EventId,
        unknown_fields: &[String],
        delivery: &mut Delivery,
    ) -> Result<(), Setback> {
        if change.event.is_some_and(|sent| sent != id) {
            let standing = self.standing(change.date, change.date).await?;
            if let Some(ids) = standing.get(&change.date).filter(|ids| ids.len() > 1) {
                delivery.note(self.several(change.date, ids));
            }
        }
        delivery.wrote(change, id, unknown_fields);
        Ok(())
    }

    /// The events that stand on each date, lowest id first.
    async fn standing(&self, first: Date, last: Date) -> Result<BTreeMap<Date, Vec<EventId>>, Setback> {
        let client = &self.connector.smartabase;
        let found =
            client.events(self.credentials, &self.form.name, self.user, first, last, self.deadline.instant()).await;
        let events = match found {
            Ok(events) => events,
            Err(error) => return Err(self.setback(error).await),
        };
        let mut dates: BTreeMap<Date, Vec<EventId>> = BTreeMap::new();
        for event in events {
            dates.entry(event.date).or_default().push(event.id);
        }
        for ids in dates.values_mut() {
            ids.sort_unstable();
        }
        Ok(dates)
    }

    async fn import(&self, changes: &[Change]) -> Result<Import, Setback> {
        let event = |change: &Change| Event {
            user: self.user,
            date: change.date,
            start: self.form.start,
            finish: self.form.finish,
            existing: change.event,
            fields: change.fields.clone(),
        };
        let events: Vec<_> = changes.iter().map(event).collect();
        let client = &self.connector.smartabase;
        match client.import(self.credentials, &self.form.name, &events, self.deadline.instant()).await {
            Ok(import) => Ok(import),
            Err(error) => Err(self.setback(error).await),
        }
    }

    /// What an error of the site means for the athlete, and for everybody.
    async fn setback(&self, error: Error) -> Setback {
        let form = self.form.name.as_str();
        match error {
            Error::WrongCredentials => self.connector.password_refused(self.deadline).await,
            Error::Forbidden => Setback::NeedsOperator(format!(
                "the Smartabase account may not use the form {form:?}: give it access to the form and to all athletes"
            )),
            Error::NotFound => {
                Setback::NeedsOperator("the Smartabase site is not at this address: check SmartabaseUrl".to_owned())
            }
            Error::Rejected { .. } | Error::Unexpected { .. } | Error::BatchSize { .. } => {
                Setback::NeedsOperator(format!(
                    "Smartabase does not do what we ask of the form {form:?}: {error}; does the form exist, under this name?"
                ))
            }
            Error::Throttled { after } => Setback::retry(after.unwrap_or(UNWELL), "Smartabase asked us to wait"),
            error => Setback::retry(UNWELL, format!("Smartabase, form {form:?}: {error}")),
        }
    }

    fn several(&self, date: Date, ids: &[EventId]) -> String {
        let ids = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let form = self.form.name.as_str();
        format!("the form {form:?} has several events on {date} (ids {ids}): delete all but one")
    }
}
