use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde_json::{Value, json};

use super::wall::{date_text, time_text};
use super::{Form, User};

/// One row of a record: the fields that are not blank, in the order in which they were sent.
pub type Row = Vec<(String, String)>;

/// One event of one user on one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id, which the site assigns.
    pub id: i64,
    /// The form's name.
    pub form: String,
    /// The user whose event it is.
    pub user: i64,
    /// The user who wrote it.
    pub entered_by: i64,
    /// The date of the event.
    pub start_date: Date,
    /// The time at which it starts.
    pub start_time: Time,
    /// The date on which it ends.
    pub finish_date: Date,
    /// The time at which it ends.
    pub finish_time: Time,
    /// Row 0 holds the single-value fields.
    pub rows: Vec<Row>,
    /// When it was last changed on the server.
    pub changed: Timestamp,
    /// How often it was overwritten.
    pub updates: u32,
}

impl Event {
    /// The value of a single-value field; `None` when it is blank.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&str> {
        value(&self.rows, field)
    }
}

/// The one record of one user on a profile form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The id, which the site assigns.
    pub id: i64,
    /// The form's name.
    pub form: String,
    /// The user whose record it is.
    pub user: i64,
    /// Row 0 holds the fields.
    pub rows: Vec<Row>,
    /// How often it was imported.
    pub imports: u32,
}

impl Profile {
    /// The value of a field; `None` when it is blank.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&str> {
        value(&self.rows, field)
    }
}

fn value<'a>(rows: &'a [Row], field: &str) -> Option<&'a str> {
    rows.first()?.iter().find(|(key, _)| key == field).map(|(_, value)| value.as_str())
}

/// An event as the site returns it.
pub(super) fn event_json(event: &Event, form: Option<&Form>, user: Option<&User>) -> Value {
    json!({
        "id": event.id,
        "formName": event.form,
        "startDate": date_text(event.start_date),
        "startTime": time_text(event.start_time),
        "finishDate": date_text(event.finish_date),
        "finishTime": time_text(event.finish_time),
        "userId": event.user,
        "enteredByUserId": event.entered_by,
        "rows": rows_json(&event.rows, form, user),
        "attachmentUrl": [],
    })
}

/// A profile as the site returns it.
pub(super) fn profile_json(profile: &Profile, entered_by: i64, form: Option<&Form>, user: Option<&User>) -> Value {
    json!({
        "id": profile.id,
        "formName": profile.form,
        "userId": profile.user,
        "enteredByUserId": entered_by,
        "rows": rows_json(&profile.rows, form, user),
    })
}

/// Rows as the site returns them: with linked fields that no client sent, line breaks as HTML, and doubles as Java
/// writes them.
fn rows_json(rows: &[Row], form: Option<&Form>, user: Option<&User>) -> Value {
    let mut written: Vec<Vec<(String, String)>> = rows.to_vec();
    if written.is_empty() {
        written.push(Vec::new());
    }
    if let (Some(first), Some(user)) = (written.first_mut(), user) {
        first.push(("Sex".to_owned(), user.sex.clone()));
        first.push(("DOB".to_owned(), user.dob.clone()));
    }
    written
        .iter()
        .enumerate()
        .map(|(number, row)| {
            let pairs: Vec<Value> = row
                .iter()
                .map(|(key, value)| {
                    let double = form.is_some_and(|form| form.doubles.contains(key));
                    json!({"key": key, "value": if double { as_double(value) } else { value.replace('\n', "<br>") }})
                })
                .collect();
            json!({"row": number, "pairs": pairs})
        })
        .collect()
}

/// Java's `Double.toString`: an exponent from ten million on, otherwise at least one decimal.
fn as_double(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.abs() >= 1e7 => format!("{number:E}"),
        Ok(number) => format!("{number:?}"),
        Err(_) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        assert_eq!(as_double("1784320260"), "1.78432026E9");
        assert_eq!(as_double("7"), "7.0");
        assert_eq!(as_double("7.25"), "7.25");
        assert_eq!(as_double("n/a"), "n/a");
    }
}
