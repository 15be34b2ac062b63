//! What has to be sent: the difference between what Oura says and what the ledger knows. Pure.

use std::collections::BTreeMap;

use jiff::civil::Date;
use smartabase::EventId;
use store::{RecordKey, Written};

use crate::forms::{Documents, Form, Forms, Record};

/// The ledger's entries for a span of days.
pub(super) type Ledger = BTreeMap<RecordKey, store::Record>;

/// A record that has to be sent.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) key: RecordKey,
    pub(super) fields: Vec<(String, String)>,
    /// Of the fields, as the ledger will know them.
    pub(super) digest: String,
    /// The event to overwrite, if one is known.
    pub(super) event: Option<EventId>,
    /// Whether an event is to be made when there is none.
    pub(super) create: bool,
    /// The staff's own fields, as they stand on the event, which an overwrite would erase.
    pub(super) kept: Vec<(String, String)>,
}

impl Change {
    pub(super) fn date(&self) -> Date {
        self.key.date
    }
}

/// What differs from the ledger, by form, oldest first.
pub(super) fn changes<'a>(
    forms: &'a Forms,
    documents: &Documents,
    records: &[Record],
    ledger: &Ledger,
) -> Vec<(&'a Form, Vec<Change>)> {
    let mut all = Vec::new();
    for (position, form) in forms.events.iter().enumerate() {
        let of_form: Vec<_> = records.iter().filter(|record| record.form == position).collect();
        let mut changes: Vec<_> = of_form.iter().filter_map(|record| changed(form, record, ledger)).collect();
        // An answer without a single day of the form, or one not read in full, says nothing about the days it lacks.
        if documents.all_read() && !of_form.is_empty() {
            let said: Vec<_> = of_form.iter().map(|record| record.date).collect();
            changes.extend(ledger.iter().filter_map(|(key, entry)| {
                let of_form = key.form == form.name.as_str();
                (of_form && !said.contains(&key.date)).then(|| withdrawn(form, key, entry)).flatten()
            }));
        }
        changes.sort_by_key(Change::date);
        all.push((form, changes));
    }
    all
}

fn changed(form: &Form, record: &Record, ledger: &Ledger) -> Option<Change> {
    let key = RecordKey { form: form.name.to_string(), date: record.date };
    let digest = record.digest();
    let event = match ledger.get(&key) {
        Some(store::Record::Written(written)) if written.digest == digest || record.incomplete => return None,
        Some(entry) => event_of(entry),
        None => None,
    };
    Some(Change { key, fields: record.fields.clone(), digest, event, create: true, kept: Vec::new() })
}

/// A night that Oura took back is emptied, not deleted: the site may not let us, and a coach can see that something was
/// there. One that was only intended is emptied if it is found, and not made.
fn withdrawn(form: &Form, key: &RecordKey, entry: &store::Record) -> Option<Change> {
    let (fields, digest) = form.emptied();
    let told = matches!(entry, store::Record::Written(Written { digest: known, .. }) if *known == digest);
    (!told).then(|| Change {
        key: key.clone(),
        fields,
        digest,
        event: event_of(entry),
        create: false,
        kept: Vec::new(),
    })
}

fn event_of(entry: &store::Record) -> Option<EventId> {
    match entry {
        store::Record::Written(written) => Some(EventId(written.event)),
        store::Record::Intended { event } => event.map(EventId),
    }
}
