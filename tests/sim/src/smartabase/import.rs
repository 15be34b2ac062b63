//! `eventsimport`, `eventimport` and `profileimport`: always status 200; success or failure is in the body.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::record::{Event, Profile, Row};
use super::wall::{date, time};
use super::{Kind, Site, UpdateElsewhere, Violation};

const IMPORTED: &str = "SUCCESSFULLY_IMPORTED";
const EVENT_KEYS: [&str; 9] = [
    "formName",
    "startDate",
    "finishDate",
    "startTime",
    "finishTime",
    "userId",
    "enteredByUserId",
    "existingEventId",
    "rows",
];
const PROFILE_KEYS: [&str; 4] = ["formName", "enteredByUserId", "userId", "rows"];

/// Fields that the site computes by itself on every form. A client must not write them.
const LINKED: [&str; 4] = ["Sex", "DOB", "Age", "About"];

/// An event that will be stored, unless another event of its batch is refused.
#[derive(Debug)]
struct Draft {
    event: Event,
    existing: Option<i64>,
    unknown: Vec<String>,
}

/// Why a whole batch is refused, in the words of the site. In most cases the text is empty.
#[derive(Debug)]
struct Spoiled(String);

impl Spoiled {
    fn silently() -> Self {
        Self(String::new())
    }
}

impl Site {
    /// `{"events": [...]}`: stores all events or none.
    pub(super) fn import_events(&mut self, body: &Value) -> Answer {
        let Some(events) = only(body, &["events"]).and_then(|body| body.get("events")?.as_array()) else {
            return Answer::refused_by_apache();
        };
        if events.iter().any(|event| only(event, &EVENT_KEYS).is_none()) {
            return Answer::refused_by_apache();
        }
        let drafts: Result<Vec<Draft>, Spoiled> = events.iter().map(|event| self.draft(event)).collect();
        let drafts = match drafts {
            Ok(drafts) if !drafts.is_empty() => drafts,
            Ok(_) => return unexpected(""),
            Err(Spoiled(message)) => return unexpected(&message),
        };
        let mut forms: Vec<String> = Vec::new();
        for draft in &drafts {
            if !forms.contains(&draft.event.form) {
                forms.push(draft.event.form.clone());
            }
        }
        let mut drafts = drafts;
        let results: Vec<Value> = forms
            .into_iter()
            .map(|form| {
                let of_form: Vec<Draft> = drafts.extract_if(.., |draft| draft.event.form == form).collect();
                json!({"formName": form, "eventImportResults": self.store(&form, of_form)})
            })
            .collect();
        Answer::json(&json!({"result": {"state": IMPORTED}, "eventImportResultForForm": results}))
    }

    /// The body is the event itself.
    pub(super) fn import_event(&mut self, body: &Value) -> Answer {
        if self.settings.singular_import_refused || only(body, &EVENT_KEYS).is_none() {
            return Answer::refused_by_apache();
        }
        match self.draft(body) {
            Ok(draft) => {
                let form = draft.event.form.clone();
                let result = self.store(&form, vec![draft]);
                Answer::json(&result)
            }
            Err(Spoiled(message)) => Answer::json(&json!({"state": "UNEXPECTED_ERROR", "message": message})),
        }
    }

    /// One profile without a wrapper per request. Fields that it does not contain are erased.
    pub(super) fn import_profile(&mut self, body: &Value) -> Answer {
        if only(body, &PROFILE_KEYS).is_none() {
            return Answer::refused_by_apache();
        }
        match self.draft_profile(body) {
            Ok((form, user, rows, unknown)) => {
                let id = self.next_id();
                let record = Profile { id, form: form.clone(), user, rows: Vec::new(), imports: 0 };
                let profile = self.profiles.entry((form, user)).or_insert(record);
                profile.rows = rows;
                profile.imports += 1;
                Answer::json(&json!({"state": IMPORTED, "message": message(1, 1, &unknown)}))
            }
            Err(Spoiled(message)) => Answer::json(&json!({"state": "UNEXPECTED_ERROR", "message": message})),
        }
    }

    fn draft_profile(&mut self, body: &Value) -> Result<(String, i64, Vec<Row>, Vec<String>), Spoiled> {
        let form = self.form_name(body, Kind::Profile)?;
        let user = self.user_id(body)?;
        let (rows, unknown) = self.rows(&form, body)?;
        Ok((form, user, rows, unknown))
    }

    fn draft(&mut self, body: &Value) -> Result<Draft, Spoiled> {
        let form = self.form_name(body, Kind::Event)?;
        let user = self.user_id(body)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let day = |site: &mut Self, name: &str| {
            let written = text(name).unwrap_or_default();
            date(written).ok_or_else(|| site.spoilt_by(Violation::Date(written.to_owned())))
        };
        let clock = |site: &mut Self, written: &str| {
            let wall = time(written).ok_or_else(|| site.spoilt_by(Violation::Time(written.to_owned())))?;
            if wall.twelve_am {
                site.violations.push(Violation::TwelveAm(written.to_owned()));
            }
            Ok(wall.time)
        };
        let start_date = day(self, "startDate")?;
        let finish_date = day(self, "finishDate")?;
        let start_time = clock(self, text("startTime").unwrap_or_default())?;
        let finish_time = match text("finishTime") {
            Some(written) => clock(self, written)?,
            None => start_time.wrapping_add(SignedDuration::from_hours(1)),
        };
        let existing = match body.get("existingEventId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if id.is_empty() => None,
            Some(Value::String(id)) => Some(id.parse().map_err(|_| Spoiled::silently())?),
            Some(id) => Some(id.as_i64().ok_or_else(Spoiled::silently)?),
        };
        let (rows, unknown) = self.rows(&form, body)?;
        let entered_by = body.get("enteredByUserId").and_then(Value::as_i64).unwrap_or(super::API_USER);
        let changed = self.clock.now();
        let event = Event {
            id: 0,
            form,
            user,
            entered_by,
            start_date,
            start_time,
            finish_date,
            finish_time,
            rows,
            changed,
            updates: 0,
        };
        Ok(Draft { event, existing, unknown })
    }

    fn form_name(&self, body: &Value, kind: Kind) -> Result<String, Spoiled> {
        let name = body.get("formName").and_then(Value::as_str).ok_or_else(Spoiled::silently)?;
        let form = self.forms.iter().find(|form| form.name == name && form.kind == kind);
        form.map(|form| form.name.clone()).ok_or_else(Spoiled::silently)
    }

    /// The user id in an object, unlike everywhere else.
    fn user_id(&self, body: &Value) -> Result<i64, Spoiled> {
        let id = body.get("userId").and_then(|user| user.get("userId")?.as_i64()).ok_or_else(Spoiled::silently)?;
        if self.users.iter().any(|user| user.id == id) { Ok(id) } else { Err(Spoiled::silently()) }
    }

    /// The rows with the fields that the form has, and the names that it does not have.
    fn rows(&mut self, form: &str, body: &Value) -> Result<(Vec<Row>, Vec<String>), Spoiled> {
        let Some(form) = self.forms.iter().find(|other| other.name == form).cloned() else {
            return Err(Spoiled::silently());
        };
        let sent = body.get("rows").and_then(Value::as_array).ok_or_else(Spoiled::silently)?;
        let mut rows: Vec<Row> = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        let mut single: BTreeSet<String> = BTreeSet::new();
        for row in sent {
            let number = row.get("row").and_then(Value::as_u64).ok_or_else(Spoiled::silently)?;
            if usize::try_from(number).ok() != Some(rows.len()) {
                return Err(Spoiled::silently());
            }
            let mut kept = Row::new();
            for pair in row.get("pairs").and_then(Value::as_array).ok_or_else(Spoiled::silently)? {
                let key = pair.get("key").and_then(Value::as_str).ok_or_else(Spoiled::silently)?;
                let Some(value) = pair.get("value").and_then(Value::as_str) else {
                    return Err(self.spoilt_by(Violation::ValueNotText(key.to_owned())));
                };
                if ["First Name", "Last Name"].contains(&key) {
                    self.violations.push(Violation::LinkedField(key.to_owned()));
                    return Err(Spoiled(format!("Duplicate field: {key}")));
                }
                if LINKED.contains(&key) && !form.has(key) {
                    self.violations.push(Violation::LinkedField(key.to_owned()));
                } else if !form.has(key) {
                    if !unknown.iter().any(|name| name == key) {
                        unknown.push(key.to_owned());
                    }
                } else if !form.table.contains(key) && !single.insert(key.to_owned()) {
                    return Err(Spoiled(format!("This form does not support multiple rows for key: {key}")));
                } else if !value.is_empty() {
                    kept.push((key.to_owned(), value.to_owned()));
                }
            }
            rows.push(kept);
        }
        let filled = |field: &String| rows.iter().flatten().any(|(key, _)| key == field);
        if form.required.iter().all(filled) { Ok((rows, unknown)) } else { Err(Spoiled::silently()) }
    }

    /// Stores the events of one form and returns the result. Drops the events of users who cannot receive the form, and
    /// still reports success.
    fn store(&mut self, form: &str, drafts: Vec<Draft>) -> Value {
        let sent = drafts.len();
        let mut ids: Vec<i64> = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        for draft in drafts {
            for name in draft.unknown {
                if !unknown.contains(&name) {
                    unknown.push(name);
                }
            }
            let barred = self.settings.cannot_receive.get(form).is_some_and(|users| users.contains(&draft.event.user));
            if !barred {
                ids.push(self.keep(draft.event, draft.existing));
            }
        }
        json!({"state": IMPORTED, "message": message(ids.len(), sent, &unknown), "ids": ids})
    }

    /// Overwrites the existing event, or stores a new one.
    fn keep(&mut self, mut event: Event, existing: Option<i64>) -> i64 {
        let same = existing.and_then(|id| self.events.get_mut(&id));
        let same = same.filter(|old| old.user == event.user && old.form == event.form);
        match same {
            Some(old) if self.settings.update_elsewhere == UpdateElsewhere::WhenGone => {
                event.id = old.id;
                event.updates = old.updates + 1;
                *old = event;
                old.id
            }
            _ => {
                event.id = self.next_id();
                let id = event.id;
                self.events.insert(id, event);
                id
            }
        }
    }

    fn spoilt_by(&mut self, violation: Violation) -> Spoiled {
        self.violations.push(violation);
        Spoiled::silently()
    }
}

fn unexpected(message: &str) -> Answer {
    Answer::json(&json!({"result": {"state": "UNEXPECTED_ERROR", "message": message}}))
}

fn message(stored: usize, sent: usize, unknown: &[String]) -> String {
    let imported = format!("{stored} out of {sent} records successfully imported.");
    if unknown.is_empty() {
        return imported;
    }
    let names = unknown.join(", ");
    format!("{imported} The following names [{names}] were sent in the message but do not exist in the form")
}

/// The object, if it has no other keys than these.
fn only<'a>(body: &'a Value, keys: &[&str]) -> Option<&'a Map<String, Value>> {
    body.as_object().filter(|object| object.keys().all(|key| keys.contains(&key.as_str())))
}
