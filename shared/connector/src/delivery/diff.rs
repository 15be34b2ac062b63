//! Finds what to send: the difference between Oura's records and the ledger. Pure.

use std::collections::BTreeMap;

use jiff::civil::Date;
use smartabase::{EventId, StoredEvent};
use store::{RecordKey, Written};

use crate::forms::{Documents, Form, Forms, Record};

/// The ledger's entries for a span of days.
pub(super) type Ledger = BTreeMap<RecordKey, store::Record>;

/// A record to send.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "four facts about one record that do not depend on each other")]
pub(super) struct RecordChange {
    pub(super) key: RecordKey,
    pub(super) fields: Vec<(String, String)>,
    /// The digest of the fields, for the ledger.
    pub(super) digest: String,
    /// The event to overwrite, if one is known.
    pub(super) event: Option<EventId>,
    /// Whether the site may hold an event that the ledger does not know: the record was never sent, or its last attempt
    /// was not confirmed. Such a date is looked up before the record is sent.
    pub(super) unsettled: bool,
    /// Whether the date has several events; staff must delete all but one.
    pub(super) several: bool,
    /// Whether to create an event if there is none.
    pub(super) create: bool,
    /// Whether to overwrite an existing event. `false` for a record that lacks some of Oura's data.
    pub(super) overwrite: bool,
    /// The values of the staff's own fields on the event. They are sent along, because an overwrite would erase them.
    pub(super) kept: Vec<(String, String)>,
}

impl RecordChange {
    pub(super) fn date(&self) -> Date {
        self.key.date
    }

    /// Whether an event already has all of the record's fields.
    pub(super) fn is_said_by(&self, event: &StoredEvent) -> bool {
        self.fields.iter().all(|(field, value)| event.holds(field, value))
    }

    /// Whether to send it, given what is known about an event on its date.
    pub(super) fn applies(&self) -> bool {
        if self.event.is_some() { self.overwrite } else { self.create }
    }
}

/// The records that differ from the ledger, by form, oldest first.
pub(super) fn changes<'a>(
    forms: &'a Forms,
    documents: &Documents,
    records: &[Record],
    ledger: &Ledger,
) -> Vec<(&'a Form, Vec<RecordChange>)> {
    let mut all = Vec::new();
    for (position, form) in forms.events.iter().enumerate() {
        let of_form: Vec<_> = records.iter().filter(|record| record.form == position).collect();
        let mut changes: Vec<_> = of_form.iter().filter_map(|record| changed(form, record, ledger)).collect();
        // If Oura's answer was not read in full, or has no day of this form, a missing day proves nothing.
        if documents.all_read() && !of_form.is_empty() {
            let said: Vec<_> = of_form.iter().map(|record| record.date).collect();
            changes.extend(ledger.iter().filter_map(|(key, entry)| {
                let of_form = key.form == form.name.as_str();
                (of_form && !said.contains(&key.date)).then(|| withdrawn(form, key, entry)).flatten()
            }));
        }
        changes.sort_by_key(RecordChange::date);
        all.push((form, changes));
    }
    all
}

fn changed(form: &Form, record: &Record, ledger: &Ledger) -> Option<RecordChange> {
    let key = RecordKey { form: form.name.to_string(), date: record.date };
    let digest = record.digest();
    let entry = ledger.get(&key);
    if matches!(entry, Some(store::Record::Written(written)) if written.digest == digest) {
        return None;
    }
    let (event, fields, overwrite) = (entry.and_then(event_of), record.fields.clone(), !record.incomplete);
    let unsettled = entry.is_none_or(is_unsettled);
    let change = RecordChange {
        key,
        fields,
        digest,
        event,
        unsettled,
        several: false,
        create: true,
        overwrite,
        kept: Vec::new(),
    };
    change.applies().then_some(change)
}

/// The change for a record that Oura no longer has. The event is emptied, not deleted: the site may not permit
/// deletion, and a coach can see that there was a record. A record that was only intended is emptied if the site has
/// it; it is not created.
fn withdrawn(form: &Form, key: &RecordKey, entry: &store::Record) -> Option<RecordChange> {
    let (fields, digest) = form.emptied();
    let told = matches!(entry, store::Record::Written(Written { digest: known, .. }) if *known == digest);
    (!told).then(|| RecordChange {
        key: key.clone(),
        fields,
        digest,
        event: event_of(entry),
        unsettled: is_unsettled(entry),
        several: false,
        create: false,
        overwrite: true,
        kept: Vec::new(),
    })
}

fn event_of(entry: &store::Record) -> Option<EventId> {
    entry.event().map(EventId)
}

fn is_unsettled(entry: &store::Record) -> bool {
    match entry {
        store::Record::Written(written) => written.digest.is_empty(),
        store::Record::Intended { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    use jiff::civil::date;
    use proptest::prelude::*;

    const MONDAY: Date = date(2026, 3, 2);

    static FORMS: LazyLock<Forms> = LazyLock::new(|| {
        let form = |name: &str, source: &str| {
            format!(
                "[[event]]\nform = '{name}'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\n\
                 fields = [{{ label = 'Score', source = '{source}' }}]\n"
            )
        };
        let authorise = "[authorise]\nform = 'A'\nlink = 'L'\n";
        let (nights, days) = (form("Nights", "daily_sleep.score"), form("Days", "daily_activity.score"));
        Forms::parse(&format!("{authorise}{nights}{days}")).unwrap()
    });

    fn night(date: Date, score: u8, incomplete: bool) -> Record {
        Record { form: 0, date, fields: vec![("Score".to_owned(), score.to_string())], incomplete }
    }

    fn key(form: &str, date: Date) -> RecordKey {
        RecordKey { form: form.to_owned(), date }
    }

    fn written(event: u64, digest: String) -> store::Record {
        store::Record::Written(Written { event, digest })
    }

    fn nights(documents: &Documents, records: &[Record], ledger: &Ledger) -> Vec<RecordChange> {
        changes(&FORMS, documents, records, ledger).swap_remove(0).1
    }

    #[test]
    fn record_is_sent_unless_the_ledger_has_the_same_digest() {
        let record = night(MONDAY, 80, false);
        let send = |entry: Option<store::Record>| {
            let ledger = entry.map(|entry| (key("Nights", MONDAY), entry)).into_iter().collect();
            let sent = nights(&Documents::default(), std::slice::from_ref(&record), &ledger).pop();
            sent.map(|change| change.event.map(|event| event.0))
        };
        assert_eq!(send(None), Some(None));
        assert_eq!(send(Some(store::Record::Intended { event: None })), Some(None));
        assert_eq!(send(Some(store::Record::Intended { event: Some(7) })), Some(Some(7)));
        assert_eq!(send(Some(written(7, night(MONDAY, 79, false).digest()))), Some(Some(7)));
        assert_eq!(send(Some(written(7, String::new()))), Some(Some(7)), "written without some of its fields");
        assert_eq!(send(Some(written(7, record.digest()))), None);
    }

    #[test]
    fn incomplete_record_creates_an_event_but_overwrites_none() {
        let record = night(MONDAY, 80, true);
        let send = |entry: Option<store::Record>| {
            let ledger = entry.map(|entry| (key("Nights", MONDAY), entry)).into_iter().collect();
            nights(&Documents::default(), std::slice::from_ref(&record), &ledger).pop()
        };
        let mut found_later = send(None).unwrap();
        assert!(found_later.applies());
        found_later.event = Some(EventId(7));
        assert!(!found_later.applies(), "an event that turns out to stand there is left as it is");
        assert!(send(Some(store::Record::Intended { event: None })).is_some());
        assert!(send(Some(store::Record::Intended { event: Some(7) })).is_none());
        assert!(send(Some(written(7, night(MONDAY, 79, false).digest()))).is_none());
    }

    #[test]
    fn withdrawn_record_is_emptied_once_and_only_after_a_full_read() {
        let tuesday = MONDAY.tomorrow().unwrap();
        let records = [night(tuesday, 80, false)];
        let ledger = |digest: String| Ledger::from([(key("Nights", MONDAY), written(7, digest))]);
        let gone = ledger(night(MONDAY, 79, false).digest());

        let emptied = nights(&Documents::default(), &records, &gone).swap_remove(0);
        assert_eq!((emptied.date(), emptied.event, emptied.create), (MONDAY, Some(EventId(7)), false));
        assert!(emptied.applies());
        assert!(emptied.fields == [("Score".to_owned(), String::new())]);
        let dates = |documents: &Documents, records: &[Record], ledger: &Ledger| -> Vec<Date> {
            nights(documents, records, ledger).iter().map(RecordChange::date).collect()
        };
        assert_eq!(dates(&Documents::default(), &records, &ledger(emptied.digest)), [tuesday], "emptied already");
        let refused = Documents { refused: ["sleep"].into(), ..Documents::default() };
        assert_eq!(dates(&refused, &records, &gone), [tuesday], "perhaps it is only not told");
        assert!(dates(&Documents::default(), &[], &gone).is_empty(), "an empty answer is not believed");
        let other_form = Ledger::from([(key("Days", MONDAY), written(7, String::new()))]);
        assert_eq!(dates(&Documents::default(), &records, &other_form), [tuesday]);
    }

    fn any_entry() -> impl Strategy<Value = Option<store::Record>> {
        let event = || 1u64..9;
        prop_oneof![
            Just(None),
            proptest::option::of(event()).prop_map(|event| Some(store::Record::Intended { event })),
            event().prop_map(|event| Some(written(event, String::new()))),
            (event(), 0u8..3).prop_map(|(event, score)| Some(written(event, night(MONDAY, score, false).digest()))),
            event().prop_map(|event| Some(written(event, FORMS.events[0].emptied().1))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn sending_the_difference_leaves_no_difference(
            days in proptest::collection::vec((proptest::option::of((0u8..3, any::<bool>())), any_entry()), 1..6),
        ) {
            let date = |position: usize| MONDAY + jiff::Span::new().days(i64::try_from(position).unwrap());
            let mut records = Vec::new();
            let mut ledger = Ledger::new();
            for (position, (said, entry)) in days.into_iter().enumerate() {
                records.extend(said.map(|(score, incomplete)| night(date(position), score, incomplete)));
                ledger.extend(entry.map(|entry| (key("Nights", date(position)), entry)));
            }
            let sent = nights(&Documents::default(), &records, &ledger);
            prop_assert!(sent.is_sorted_by(|one, other| one.date() < other.date()), "oldest first, each date once");
            for change in sent.into_iter().filter(RecordChange::applies) {
                let event = change.event.map_or(99, |event| event.0);
                ledger.insert(change.key, written(event, change.digest));
            }
            let left = nights(&Documents::default(), &records, &ledger);
            prop_assert_eq!(left.into_iter().filter(RecordChange::applies).count(), 0);
            for record in records.iter().filter(|record| !record.incomplete) {
                let entry = ledger.get(&key("Nights", record.date));
                prop_assert_eq!(entry, Some(&written(entry.and_then(event_of).unwrap().0, record.digest())));
            }
        }
    }
}
