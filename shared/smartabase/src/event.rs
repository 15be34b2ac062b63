//! Events: the dated records of an event form, as requests and as responses.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::calendar::{TimeOfDay, read_date, site_date};
use crate::error::Error;
use crate::ids::{EventId, FormName, UserId};
use crate::message::text;
use crate::rows::{Row, UserObject, list, read_fields, same_value, with_line_breaks};

/// An event to import, on one day of its user's wall clock.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The user that the record belongs to.
    pub user: UserId,
    /// The day on which it starts and finishes.
    pub date: Date,
    /// When it starts.
    pub start: TimeOfDay,
    /// When it finishes.
    pub finish: TimeOfDay,
    /// The stored event that this one replaces. The site replaces the whole event: a field that is not sent again is
    /// lost.
    pub existing: Option<EventId>,
    /// Field names, exactly as the form spells them, and values; a missing value is `""`.
    pub fields: Vec<(String, String)>,
}

/// An event as the site stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event's id, for an update.
    pub id: EventId,
    /// The user that the record belongs to.
    pub user: UserId,
    /// The day on which it starts.
    pub date: Date,
    /// All fields that are not blank, including calculated fields and fields that were never sent.
    pub fields: BTreeMap<String, String>,
}

impl StoredEvent {
    /// Whether `field` still has the value that was sent as `value`. Numbers are compared as numbers, and an absent
    /// field is blank.
    #[must_use]
    pub fn holds(&self, field: &str, value: &str) -> bool {
        same_value(value, self.fields.get(field).map_or("", String::as_str))
    }

    /// The text to send so that `field` keeps its stored value. The site returns line breaks as HTML and would store
    /// that HTML.
    #[must_use]
    pub fn to_send(&self, field: &str) -> Option<String> {
        self.fields.get(field).map(|text| with_line_breaks(text))
    }
}

/// Without the values, which are health data.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("user", &self.user)
            .field("date", &self.date)
            .field("existing", &self.existing)
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// Without the values, which are health data.
impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("date", &self.date)
            .field("fields", &self.fields.len())
            .finish()
    }
}

/// The body of `deleteevent`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeleteBody {
    pub(crate) event_id: EventId,
}

/// The body of `eventsimport`.
#[derive(Serialize)]
pub(crate) struct ImportBody<'a> {
    events: Vec<EventBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventBody<'a> {
    form_name: &'a FormName,
    start_date: String,
    finish_date: String,
    start_time: TimeOfDay,
    finish_time: TimeOfDay,
    user_id: UserObject,
    // A number: the vendor's schema says string, but a real site was seen to accept the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_event_id: Option<EventId>,
    rows: [Row<'a>; 1],
}

impl<'a> ImportBody<'a> {
    pub(crate) fn new(form: &'a FormName, events: &'a [Event]) -> ImportBody<'a> {
        let body = |event: &'a Event| EventBody {
            form_name: form,
            start_date: site_date(event.date),
            finish_date: site_date(event.date),
            start_time: event.start,
            finish_time: event.finish,
            user_id: UserObject { user_id: event.user },
            existing_event_id: event.existing,
            rows: Row::only(&event.fields),
        };
        ImportBody { events: events.iter().map(body).collect() }
    }
}

/// The members that an answer without a list of events may have and still mean "no events".
const WITHOUT_EVENTS: [&str; 8] = [
    "events",
    "export",
    "pagination",
    "cursor",
    "nextCursor",
    "next_cursor",
    "lastSynchronisationTimeOnServer",
    "idsOfDeletedEvents",
];

/// A look-up: one form of one user over some days, both included.
pub(crate) struct Wanted<'a> {
    pub(crate) form: &'a FormName,
    pub(crate) user: UserId,
    pub(crate) first: Date,
    pub(crate) last: Date,
}

/// The body of `eventsearch`. Without times the site ignores the dates and returns all events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchBody<'a> {
    form_names: [&'a FormName; 1],
    user_ids: [UserId; 1],
    start_date: String,
    finish_date: String,
    start_time: &'static str,
    finish_time: &'static str,
    paginate: bool,
    cursor: String,
}

/// The body of `synchronise`. `startDate` is the lower bound of the event's date: undocumented, but seen to work.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SynchroniseBody<'a> {
    form_name: &'a FormName,
    start_date: String,
    user_ids: [UserId; 1],
    pagination: Pagination,
}

#[derive(Serialize)]
struct Pagination {
    paginate: bool,
    cursor: Option<String>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn search(&self, cursor: Option<String>) -> SearchBody<'a> {
        SearchBody {
            form_names: [self.form],
            user_ids: [self.user],
            start_date: site_date(self.first),
            finish_date: site_date(self.last),
            start_time: "12:00 AM",
            finish_time: "11:59 PM",
            paginate: true,
            cursor: cursor.unwrap_or_default(),
        }
    }

    pub(crate) fn synchronise(&self, cursor: Option<String>) -> SynchroniseBody<'a> {
        SynchroniseBody {
            form_name: self.form,
            start_date: site_date(self.first),
            user_ids: [self.user],
            pagination: Pagination { paginate: true, cursor },
        }
    }

    /// Adds the wanted events of a page from either endpoint to `found`.
    ///
    /// The site may ignore any of the conditions, so this function applies them too. An unreadable event is an error.
    /// If it were left out, the caller would create it a second time.
    pub(crate) fn read(&self, page: &Value, found: &mut BTreeMap<EventId, StoredEvent>) -> Result<(), Error> {
        for (index, entry) in events_of(page)?.into_iter().enumerate() {
            if let Some(event) = self.read_event(entry, &format!("events[{index}]"))? {
                found.insert(event.id, event);
            }
        }
        for id in list(page, "idsOfDeletedEvents", "events")?.iter().filter_map(|id| EventId::read(Some(id))) {
            found.remove(&id);
        }
        Ok(())
    }

    fn read_event(&self, entry: &Value, place: &str) -> Result<Option<StoredEvent>, Error> {
        let unreadable = |field: &str| Error::unexpected(format!("{place}: `{field}` can't be read"));
        let form = match entry.get("formName") {
            None | Some(Value::Null) => None,
            Some(Value::String(form)) => Some(form),
            Some(_) => return Err(unreadable("formName")),
        };
        let asked = self.form.as_str();
        let other = form.filter(|form| form.trim() != asked.trim());
        if let Some(form) = other {
            // A name that differs only in spelling may mean this form or another one, so the answer is an error.
            if letters(form) == letters(asked) {
                return Err(unreadable("formName"));
            }
            if !may_be_encoded(form) && !may_be_encoded(asked) {
                return Ok(None);
            }
        }
        let user = UserId::read(entry.get("userId")).ok_or_else(|| unreadable("userId"))?;
        if user != self.user {
            return Ok(None);
        }
        let date = read_date(&text(entry.get("startDate"))).ok_or_else(|| unreadable("startDate"))?;
        if date < self.first || date > self.last {
            return Ok(None);
        }
        // If the name is this form's name in another encoding, this is the wanted event.
        if other.is_some() {
            return Err(unreadable("formName"));
        }
        let id = EventId::read(entry.get("id")).ok_or_else(|| unreadable("id"))?;
        Ok(Some(StoredEvent { id, user, date, fields: read_fields(entry, place)? }))
    }
}

/// The letters and digits of a form's name, in lower case.
fn letters(name: &str) -> String {
    name.replace("&amp;", "&").chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a name may be in another encoding: with an HTML entity, percent-encoded, or with letters outside ASCII.
/// Letters that were guessed, because the page is not UTF-8, are also outside ASCII.
fn may_be_encoded(name: &str) -> bool {
    let is_entity = |at: usize| name.get(at..).is_some_and(|rest| rest.contains(';'));
    let is_percent = |at: usize| {
        let digits = name.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    !name.is_ascii() || name.find('&').is_some_and(is_entity) || name.match_indices('%').any(|(at, _)| is_percent(at))
}

/// The events of a page of `eventsearch`, or of `synchronise`, which puts them under `export`. "No events" may be an
/// empty list, null or an empty object. Anything else without a list is an error, because it is not proof of "no
/// events".
fn events_of(page: &Value) -> Result<Vec<&Value>, Error> {
    let Value::Object(members) = page else { return Err(Error::unexpected("events: not an object")) };
    let export = match members.get("export") {
        None | Some(Value::Null) => None,
        Some(Value::Object(export)) => Some(export),
        Some(_) => return Err(Error::unexpected("events: `export` is not an object")),
    };
    let mut events: Vec<&Value> = list(page, "events", "events")?.iter().collect();
    if let Some(export) = members.get("export") {
        events.extend(list(export, "events", "export")?);
    }
    let objects = || std::iter::once(members).chain(export);
    let has_list = objects().any(|object| object.get("events").is_some_and(Value::is_array));
    let mut names = objects().flat_map(Map::keys);
    if has_list || names.all(|name| WITHOUT_EVENTS.contains(&name.as_str())) {
        Ok(events)
    } else {
        Err(Error::unexpected("events: an answer without a list of events"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::any_json;

    fn read(page: &Value) -> Result<Vec<StoredEvent>, Error> {
        let form = FormName::from("Example Form");
        let wanted = Wanted { form: &form, user: UserId(12345), first: date(2026, 3, 1), last: date(2026, 3, 7) };
        let mut found = BTreeMap::new();
        wanted.read(page, &mut found)?;
        Ok(found.into_values().collect())
    }

    fn entry() -> Value {
        json!({"id": 1, "formName": "Example Form", "startDate": "03/03/2026", "startTime": "9:59 AM",
            "finishDate": "03/03/2026", "finishTime": "10:59 AM", "userId": 12345, "enteredByUserId": 1,
            "rows": [{"row": 0, "pairs": [{"key": "ID", "value": "abc"}]}], "attachmentUrl": []})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut entry = entry();
        entry[name] = value;
        json!({"events": [entry]})
    }

    #[test]
    fn reads_an_event_from_either_endpoint() {
        for page in [
            json!({"events": [entry()], "cursor": null}),
            json!({"export": {"events": [entry()]}}),
            json!({"events": [], "export": {"events": [entry()]}}),
            json!({"events": [entry()], "export": {"events": []}}),
        ] {
            let events = read(&page).unwrap();
            let [event] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!((event.id, event.user, event.date), (EventId(1), UserId(12345), date(2026, 3, 3)));
            assert!(event.holds("ID", "abc") && event.holds("Absent", "") && !event.holds("ID", ""));
        }
        assert_eq!(read(&with("id", json!("1"))).unwrap().len(), 1);
        assert_eq!(read(&with("userId", json!("12345"))).unwrap().len(), 1);
        assert_eq!(read(&with("userId", json!({"userId": 12345}))).unwrap().len(), 1);
        assert_eq!(read(&with("formName", json!(null))).unwrap().len(), 1);
    }

    #[test]
    fn restores_line_breaks_for_sending() {
        let rows = json!([{"row": 0, "pairs": [{"key": "Comment", "value": "flew in< br/>slept<br>well"}]}]);
        let events = read(&with("rows", rows)).unwrap();
        assert_eq!(events[0].to_send("Comment").as_deref(), Some("flew in\nslept\nwell"));
        assert_eq!(events[0].to_send("Absent"), None);
    }

    #[test]
    fn drops_events_outside_the_look_up() {
        for (name, value) in [
            ("formName", json!("Other Form")),
            ("userId", json!(54321)),
            ("startDate", json!("28/02/2026")),
            ("startDate", json!("08/03/2026")),
        ] {
            assert_eq!(read(&with(name, value.clone())), Ok(vec![]), "{name} {value}");
        }
        for day in ["01/03/2026", "07/03/2026"] {
            assert_eq!(read(&with("startDate", json!(day))).unwrap().len(), 1, "{day}");
        }
    }

    #[test]
    fn one_unreadable_event_fails_the_look_up() {
        for (name, value) in [
            ("formName", json!(7)),
            ("formName", json!("example  form")),
            ("userId", json!(null)),
            ("userId", json!("someone")),
            ("startDate", json!("2026-03-03")),
            ("startDate", json!(null)),
            ("id", json!(-1)),
            ("id", json!("x")),
            ("rows", json!("x")),
            ("rows", json!(["x"])),
            ("rows", json!([{"row": 0, "pairs": [{"key": "ID", "value": ["rows"]}]}])),
        ] {
            let Err(Error::Unexpected { what }) = read(&with(name, value.clone())) else { panic!("{name} {value}") };
            assert!(what.contains("events[0]") && (name == "rows" || what.contains(name)), "{what}");
        }
        assert!(read(&json!({"events": [entry(), "nothing"]})).is_err());
    }

    #[test]
    fn reads_every_shape_of_no_events() {
        for page in [
            json!({}),
            json!({"events": []}),
            json!({"events": null, "cursor": null}),
            json!({"cursor": null}),
            json!({"export": {}}),
            json!({"export": null, "lastSynchronisationTimeOnServer": 1, "idsOfDeletedEvents": []}),
            json!({"export": {"events": []}, "idsOfDeletedEvents": [5]}),
            json!({"pagination": {"cursor": null}}),
            json!({"export": {"events": null, "pagination": {"cursor": null}}}),
            json!({"events": [], "export": {"events": []}, "serverTime": 1}),
        ] {
            assert_eq!(read(&page), Ok(vec![]), "{page}");
        }
    }

    #[test]
    fn unknown_shape_is_an_error() {
        for page in [
            json!([]),
            json!("none"),
            json!({"event": []}),
            json!({"events": {}}),
            json!({"export": []}),
            json!({"export": {"records": []}}),
            json!({"events": null, "results": []}),
            json!(null),
        ] {
            assert!(matches!(read(&page), Err(Error::Unexpected { .. })), "{page}");
        }
    }

    #[test]
    fn ignores_deleted_events() {
        assert_eq!(read(&json!({"export": {"events": [entry()]}, "idsOfDeletedEvents": [1]})), Ok(vec![]));
    }

    #[test]
    fn debug_shows_no_values() {
        let stored = read(&json!({"events": [entry()]})).unwrap();
        let time = TimeOfDay::new(21, 0).unwrap();
        let fields = vec![("ID".to_owned(), "abc".to_owned())];
        let event =
            Event { user: UserId(1), date: date(2026, 3, 3), start: time, finish: time, existing: None, fields };
        for printed in [format!("{stored:?}"), format!("{event:?}"), format!("{event:#?}")] {
            assert!(!printed.contains("abc"), "{printed}");
        }
    }

    proptest! {
        #[test]
        fn does_not_panic_on_any_json(page in any_json(), entry in any_json()) {
            let _ = read(&page);
            let _ = read(&json!({"events": [entry]}));
        }
    }
}
