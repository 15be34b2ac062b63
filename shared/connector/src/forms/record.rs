use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::civil::Date;
use oura::{DailyActivity, DailyReadiness, DailySleep, Days, Document, Sleep, SleepType, Unreadable};

use super::source::Day;
use super::{DateRule, Form, Forms};

/// Oura's documents about one athlete for a range of days.
#[derive(Default)]
pub struct Documents {
    /// `daily_activity`.
    pub activity: Vec<DailyActivity>,
    /// `daily_readiness`.
    pub readiness: Vec<DailyReadiness>,
    /// `daily_sleep`.
    pub daily_sleep: Vec<DailySleep>,
    /// `sleep`: every period, naps included.
    pub sleep: Vec<Sleep>,
    /// Documents that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Collections that Oura refused, while it returned the others.
    pub refused: BTreeSet<&'static str>,
}

/// One entry of a form, as the site should hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Which form: its position in [`Forms::events`].
    pub form: usize,
    /// The record's date.
    pub date: Date,
    /// Label and text of every field of the form; blank if Oura gave no value, so that an update clears the field.
    pub fields: Vec<(String, String)>,
    /// Whether a document for this record could not be read. Such a record may be created, but must not overwrite a
    /// fuller one.
    pub incomplete: bool,
}

impl Forms {
    /// Builds the records of `days` (Oura's days), by form and date. A day without data from Oura has no record.
    #[must_use]
    pub fn records(&self, documents: &Documents, days: Days) -> Vec<Record> {
        let mut by_day = documents.by_day();
        by_day.retain(|day, _| days.contains(*day));
        let unread: Vec<_> = documents.unreadable.iter().map(|lost| (lost.collection, lost.day)).collect();
        let mut records = Vec::new();
        for (position, form) in self.events.iter().enumerate() {
            let collections: BTreeSet<_> = form.fields.iter().map(|field| field.source.collection()).collect();
            let refused = !collections.is_disjoint(&documents.refused);
            for (day, of_day) in &by_day {
                let Some(fields) = form.fields(*of_day) else { continue };
                let Some(date) = form.date.of(*day) else { continue };
                // A document with an unreadable day may belong to any day.
                let lost = unread
                    .iter()
                    .any(|(collection, lost)| collections.contains(collection) && lost.is_none_or(|lost| lost == *day));
                records.push(Record { form: position, date, fields, incomplete: refused || lost });
            }
        }
        records
    }
}

impl Form {
    /// Every field's text, or `None` if all would be blank.
    fn fields(&self, day: Day<'_>) -> Option<Vec<(String, String)>> {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|field| {
                let text = field.source.value(day).and_then(|value| field.unit.write(&value));
                (field.label.clone(), text.unwrap_or_default())
            })
            .collect();
        fields.iter().any(|(_, text)| !text.is_empty()).then_some(fields)
    }

    /// The fields, all blank, and the digest of a record for which Oura no longer has data.
    #[must_use]
    pub fn emptied(&self) -> (Vec<(String, String)>, String) {
        let fields: Vec<_> = self.fields.iter().map(|field| (field.label.clone(), String::new())).collect();
        let digest = content_digest(&fields);
        (fields, digest)
    }
}

impl DateRule {
    /// The record's date for Oura's `day`; `None` only at the end of the calendar.
    #[must_use]
    pub fn of(self, day: Date) -> Option<Date> {
        match self {
            Self::EveningBefore => day.yesterday().ok(),
            Self::SameDay => Some(day),
        }
    }
}

impl Record {
    /// The digest of the record's fields, as hexadecimal SHA-256: equal exactly when the fields are equal.
    #[must_use]
    pub fn digest(&self) -> String {
        content_digest(&self.fields)
    }
}

/// The digest of labels and texts in their order: equal exactly when they are equal.
pub(crate) fn content_digest(fields: &[(String, String)]) -> String {
    let mut hash = Hash::new();
    hash.fields(fields);
    hash.finish()
}

/// The digest of all records of a window in their order: equal exactly when the records are equal.
#[must_use]
pub fn digest(forms: &Forms, records: &[Record]) -> String {
    let mut hash = Hash::new();
    for record in records {
        let name = forms.events.get(record.form).map_or("", |form| form.name.as_str());
        hash.text(name);
        hash.text(&record.date.to_string());
        hash.text(if record.incomplete { "incomplete" } else { "" });
        hash.fields(&record.fields);
    }
    hash.finish()
}

/// The night's main sleep: the finished `long_sleep` period with the longest total sleep. Naps, rests, deleted and
/// unfinished periods do not count. Of two equally long periods, the earlier counts, then the one with the smaller id.
/// So the order of the documents never matters.
#[must_use]
pub fn main_sleep<'a>(periods: impl IntoIterator<Item = &'a Sleep>) -> Option<&'a Sleep> {
    periods
        .into_iter()
        .filter(|period| period.kind == Some(SleepType::LongSleep) && period.bedtime_end.is_some())
        .min_by(|one, other| {
            let longer = other.total_sleep_duration.unwrap_or(0.0).total_cmp(&one.total_sleep_duration.unwrap_or(0.0));
            let start = |sleep: &Sleep| sleep.bedtime_start.as_ref().map(|time| time.wall_clock);
            longer.then_with(|| start(one).cmp(&start(other))).then_with(|| one.id().cmp(other.id()))
        })
}

impl Documents {
    fn by_day(&self) -> BTreeMap<Date, Day<'_>> {
        let mut days: BTreeMap<Date, Day<'_>> = BTreeMap::new();
        for (day, document) in one_per_day(&self.activity) {
            days.entry(day).or_default().activity = Some(document);
        }
        for (day, document) in one_per_day(&self.readiness) {
            days.entry(day).or_default().readiness = Some(document);
        }
        for (day, document) in one_per_day(&self.daily_sleep) {
            days.entry(day).or_default().daily_sleep = Some(document);
        }
        let mut periods: BTreeMap<Date, Vec<&Sleep>> = BTreeMap::new();
        for period in &self.sleep {
            periods.entry(period.day()).or_default().push(period);
        }
        for (day, periods) in periods {
            if let Some(sleep) = main_sleep(periods) {
                days.entry(day).or_default().sleep = Some(sleep);
            }
        }
        days
    }
}

/// Oura gives one such document a day. Of two, the one with the later timestamp is kept; their order does not matter. A
/// document without a timestamp loses to one with a timestamp. Of equal timestamps, the greater id is kept.
fn one_per_day<D: Document>(documents: &[D]) -> BTreeMap<Date, &D> {
    let place = |document: &D| (document.timestamp(), document.id().to_owned());
    let mut days: BTreeMap<Date, &D> = BTreeMap::new();
    for document in documents {
        let kept = days.entry(document.day()).or_insert(document);
        if place(document) > place(kept) {
            *kept = document;
        }
    }
    days
}

/// SHA-256 over length-prefixed texts, so that different lists of texts never give the same input.
struct Hash(Context);

impl Hash {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn fields(&mut self, fields: &[(String, String)]) {
        self.0.update(&(fields.len() as u64).to_be_bytes());
        for (label, text) in fields {
            self.text(label);
            self.text(text);
        }
    }

    fn finish(self) -> String {
        hex::encode(self.0.finish())
    }
}

#[cfg(test)]
mod tests;
