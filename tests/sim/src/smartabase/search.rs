//! Searches events, and deletes one.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::answer::Answer;
use super::record::{Event, event_json, profile_json};
use super::wall::{date, time};
use super::{CursorName, CursorPlace, Empty, Kind, Site};

impl Site {
    /// Searches by form, users and dates. Dates are ignored unless times are given too.
    pub(super) fn search_events(&self, body: &Value) -> Answer {
        let forms = names(&body["formNames"]);
        if let Some(unknown) = forms.iter().find(|name| self.form(name, Kind::Event).is_none()) {
            return Answer::json(&json!({"error": format!("Form not found: {unknown}")}));
        }
        let span = Span::of(body);
        let users = numbers(&body["userIds"]);
        let mut found: Vec<&Event> = self
            .events
            .values()
            .filter(|event| users.contains(&event.user) && forms.contains(&event.form))
            .filter(|event| span.as_ref().is_none_or(|span| span.contains(event)))
            .collect();
        if let Some(limit) = body["resultsPerUser"].as_u64() {
            found = latest_per_user(found, usize::try_from(limit).unwrap_or(usize::MAX));
        }
        self.events_page(&found, body["paginate"].as_bool() == Some(true), &body["cursor"])
    }

    /// Like [`Site::search_events`], with conditions on fields, all of which must hold.
    pub(super) fn search_filtered(&self, body: &Value) -> Answer {
        let span = Span::of(body);
        let users = numbers(&body["userIds"]);
        let filters = body["filter"].as_array().cloned().unwrap_or_default();
        let found: Vec<&Event> = self
            .events
            .values()
            .filter(|event| users.contains(&event.user))
            .filter(|event| span.as_ref().is_none_or(|span| span.contains(event)))
            .filter(|event| {
                filters.iter().any(|filter| {
                    filter["formName"] == event.form.as_str()
                        && filter["filterSet"].as_array().is_some_and(|set| set.iter().all(|one| holds(one, event)))
                })
            })
            .collect();
        self.events_page(&found, false, &Value::Null)
    }

    fn events_page(&self, found: &[&Event], paginate: bool, cursor: &Value) -> Answer {
        if found.is_empty() {
            return match self.settings.empty {
                Empty::List => Answer::json(&json!({"events": []})),
                Empty::Object => Answer::json(&json!({})),
                Empty::Nothing => Answer::empty(http::StatusCode::OK),
            };
        }
        let (page, next) = self.page(found, paginate, cursor);
        let mut answer = json!({"events": page.iter().map(|event| self.read(event)).collect::<Vec<_>>()});
        self.mark(&mut answer, next.as_deref());
        Answer::json(&answer)
    }

    /// Adds the cursor of the next page, in the place that the settings say.
    pub(super) fn mark(&self, answer: &mut Value, next: Option<&str>) {
        let object = match self.settings.cursor_place {
            CursorPlace::Top => answer,
            CursorPlace::Pagination => &mut answer["pagination"],
            CursorPlace::Export => &mut answer["export"],
            CursorPlace::ExportPagination => &mut answer["export"]["pagination"],
        };
        object[self.settings.cursor.name()] = json!(next);
    }

    /// What changed on the server since an instant. Without users, the result is empty.
    pub(super) fn synchronise(&self, body: &Value) -> Answer {
        let form = body["formName"].as_str().unwrap_or_default();
        if self.form(form, Kind::Event).is_none() || self.settings.forbidden.contains(form) {
            return Answer::empty(http::StatusCode::FORBIDDEN);
        }
        let users = numbers(&body["userIds"]);
        let since = body["lastSynchronisationTimeOnServer"].as_i64();
        let from = if since.is_none() { body["startDate"].as_str().and_then(date) } else { None };
        let changed: Vec<&Event> = self
            .events
            .values()
            .filter(|event| event.form == form && users.contains(&event.user))
            .filter(|event| since.is_none_or(|since| event.changed.as_millisecond() > since))
            .filter(|event| from.is_none_or(|from| event.start_date >= from))
            .collect();
        let deleted: Vec<i64> = self
            .deleted
            .iter()
            .filter(|(event, at)| {
                event.form == form
                    && users.contains(&event.user)
                    && since.is_none_or(|since| at.as_millisecond() > since)
            })
            .map(|(event, _)| event.id)
            .collect();
        let pagination = &body["pagination"];
        let (page, next) = self.page(&changed, pagination["paginate"].as_bool() == Some(true), &pagination["cursor"]);
        let mut answer = json!({
            "export": {"events": page.iter().map(|event| self.read(event)).collect::<Vec<_>>()},
            "lastSynchronisationTimeOnServer": self.clock.millis(),
            "idsOfDeletedEvents": deleted,
        });
        match (self.settings.cursor, self.settings.cursor_place) {
            (CursorName::NextCursor, CursorPlace::Top) => answer["export"]["nextCursor"] = json!(next),
            _ => self.mark(&mut answer, next.as_deref()),
        }
        Answer::json(&answer)
    }

    pub(super) fn search_profiles(&self, body: &Value) -> Answer {
        let forms = names(&body["formNames"]);
        if let Some(unknown) = forms.iter().find(|name| self.form(name, Kind::Profile).is_none()) {
            return Answer::json(&json!({"error": format!("Form not found: {unknown}")}));
        }
        let users = numbers(&body["userIds"]);
        let profiles: Vec<Value> = self
            .profiles
            .values()
            .filter(|profile| forms.contains(&profile.form) && users.contains(&profile.user))
            .map(|profile| {
                let form = self.form(&profile.form, Kind::Profile);
                profile_json(profile, super::API_USER, form, self.user(profile.user))
            })
            .collect();
        Answer::json(&json!({"profiles": profiles}))
    }

    pub(super) fn delete_event(&mut self, body: &Value) -> Answer {
        let id = body["eventId"].as_i64();
        if id.is_some_and(|id| self.delete(id)) {
            let id = id.unwrap_or_default();
            return Answer::json(&json!({"state": "SUCCESS", "message": format!("Deleted {id}")}));
        }
        Answer::json(&json!({"state": "FAILURE", "message": "Could not delete the event"}))
    }

    fn read(&self, event: &Event) -> Value {
        let mut read = event_json(event, self.form(&event.form, Kind::Event), self.user(event.user));
        if self.settings.users_as_objects {
            read["userId"] = json!({"userId": event.user});
        }
        read
    }

    /// One page from the position in the cursor, and the cursor of the next page, if there is one.
    pub(super) fn page<'a, T>(&self, all: &'a [T], paginate: bool, cursor: &Value) -> (&'a [T], Option<String>) {
        if !paginate {
            return (all, None);
        }
        let start: usize = cursor.as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0).min(all.len());
        let end = (start + self.settings.page_size.max(1)).min(all.len());
        (all.get(start..end).unwrap_or_default(), (end < all.len()).then(|| end.to_string()))
    }
}

/// From one local time to another. There is no span unless dates and times are all given.
struct Span {
    start: (Date, jiff::civil::Time),
    finish: (Date, jiff::civil::Time),
}

impl Span {
    fn of(body: &Value) -> Option<Self> {
        let day = |name: &str| body[name].as_str().and_then(date);
        let clock = |name: &str| body[name].as_str().and_then(time).map(|wall| wall.time);
        Some(Self {
            start: (day("startDate")?, clock("startTime")?),
            finish: (day("finishDate")?, clock("finishTime")?),
        })
    }

    fn contains(&self, event: &Event) -> bool {
        let moment = (event.start_date, event.start_time);
        self.start <= moment && moment <= self.finish
    }
}

fn latest_per_user(mut events: Vec<&Event>, limit: usize) -> Vec<&Event> {
    events.sort_by_key(|event| (event.user, std::cmp::Reverse((event.start_date, event.start_time, event.id))));
    let mut user = None;
    let mut taken = 0;
    events.retain(|event| {
        if user != Some(event.user) {
            user = Some(event.user);
            taken = 0;
        }
        taken += 1;
        taken <= limit
    });
    events
}

fn holds(condition: &Value, event: &Event) -> bool {
    let wanted = condition["value"].as_str().unwrap_or_default();
    let actual = event.value(condition["key"].as_str().unwrap_or_default()).unwrap_or_default();
    let order = || actual.parse::<f64>().ok()?.partial_cmp(&wanted.parse::<f64>().ok()?);
    match condition["filterCondition"].as_i64() {
        Some(1) => actual == wanted,
        Some(2) => actual != wanted,
        Some(3) => actual.contains(wanted),
        Some(4) => order().is_some_and(std::cmp::Ordering::is_lt),
        Some(5) => order().is_some_and(std::cmp::Ordering::is_gt),
        Some(6) => order().is_some_and(std::cmp::Ordering::is_le),
        Some(7) => order().is_some_and(std::cmp::Ordering::is_ge),
        _ => false,
    }
}

/// An array of names, or a single name.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().map(|numbers| numbers.iter().filter_map(Value::as_i64).collect()).unwrap_or_default()
}
