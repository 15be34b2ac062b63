use std::collections::HashSet;

use serde::Deserialize;
use smartabase::{FormName, TimeOfDay};
use toml::Spanned;

use super::profile::{AuthoriseRow, Profile, RotationForm, RotationRow, StatusForm, StatusRow};
use super::{Source, Unit};

/// Labels that a form may have but an import must not send: linked and calculated fields, which the site fills itself.
/// With two of them, the site refuses the record (the vendor's own client refuses all of them).
const RESERVED: [&str; 7] = ["First Name", "Last Name", "About", "Sex", "DOB", "Age", "UUID"];

/// A site's forms and fields, as `infra/forms.toml` names them.
#[derive(Clone, Debug)]
pub struct Forms {
    /// The event forms that receive records.
    pub events: Vec<Form>,
    /// The profile form that receives each athlete's personal link.
    pub authorise: Profile,
    /// The profile form that shows the athlete's status, if the site has one.
    pub status: Option<StatusForm>,
    /// The profile form that shows when the tokens were last refreshed, if the site has one.
    pub rotation: Option<RotationForm>,
}

/// An event form.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its exact name on the site.
    pub name: FormName,
    /// How Oura's `day` is converted to the record's date.
    pub date: DateRule,
    /// The start time of its events.
    pub start: TimeOfDay,
    /// The end time of its events, on the same date.
    pub finish: TimeOfDay,
    /// Its fields, in the file's order.
    pub fields: Vec<FormField>,
    /// Labels of fields that staff fill in. An update reads their values and sends them along, because Smartabase
    /// clears a field that an update does not send.
    pub keep: Vec<String>,
}

/// A field of an event form.
#[derive(Clone, Debug)]
pub struct FormField {
    /// Its exact label on the form.
    pub label: String,
    /// The value it shows.
    pub source: Source,
    /// The unit and format of the value.
    pub unit: Unit,
}

/// How a record is dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateRule {
    /// The evening on which the night began. Oura labels a night with the day the athlete woke up, so this is the day
    /// before.
    EveningBefore,
    /// Oura's own day.
    SameDay,
}

/// An error in `forms.toml`: the line, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("forms.toml, line {line}: {fault}")]
pub struct FormsError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and the valid choices.
    pub fault: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    event: Vec<EventRow>,
    authorise: AuthoriseRow,
    status: Option<StatusRow>,
    rotation: Option<RotationRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventRow {
    form: Spanned<String>,
    date: DateRule,
    start: Spanned<String>,
    finish: Spanned<String>,
    #[serde(default)]
    keep: Vec<Spanned<String>>,
    fields: Vec<FieldRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldRow {
    label: Spanned<String>,
    source: Spanned<String>,
    unit: Option<Spanned<String>>,
}

impl Forms {
    /// The forms built into this program.
    pub fn shipped() -> Result<Self, FormsError> {
        Self::parse(include_str!("../../../../infra/forms.toml"))
    }

    /// Whether any form holds nights, dated by the evening on which they began. If none does, no night can be missing.
    #[must_use]
    pub fn nights(&self) -> bool {
        self.events.iter().any(|form| form.date == DateRule::EveningBefore)
    }

    /// Reads a `forms.toml`. Reports the first error with its line and the valid choices.
    pub fn parse(text: &str) -> Result<Self, FormsError> {
        let file: FileRow = toml::from_str(text).map_err(|error| FormsError {
            line: line(text, error.span().unwrap_or_default().start),
            fault: error.message().to_owned(),
        })?;
        let reader = Reader { text };
        let mut names = HashSet::new();
        let mut events = Vec::new();
        for row in &file.event {
            if !names.insert(row.form.get_ref().as_str()) {
                return Err(reader.named_twice(&row.form));
            }
            events.push(reader.form(row)?);
        }
        // An import replaces a user's whole record in a profile form: two sections on one form would erase each other.
        let profiles = [
            Some(&file.authorise.form),
            file.status.as_ref().map(|row| &row.form),
            file.rotation.as_ref().map(|row| &row.form),
        ];
        for form in profiles.into_iter().flatten() {
            if !names.insert(form.get_ref().as_str()) {
                return Err(reader.named_twice(form));
            }
        }
        Ok(Self {
            events,
            authorise: file.authorise.read(&reader)?,
            status: file.status.as_ref().map(|row| row.read(&reader)).transpose()?,
            rotation: file.rotation.as_ref().map(|row| row.read(&reader)).transpose()?,
        })
    }
}

/// Converts the parsed file into [`Forms`], and adds the line to each error.
pub(super) struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn form(&self, row: &EventRow) -> Result<Form, FormsError> {
        let (start, finish) = (self.time(&row.start)?, self.time(&row.finish)?);
        if finish <= start {
            return Err(self.fault(&row.finish, "the event must finish after its start, on the same day".into()));
        }
        let mut labels = HashSet::new();
        let fields = row.fields.iter().map(|field| self.field(field, &mut labels)).collect::<Result<Vec<_>, _>>()?;
        if fields.is_empty() {
            return Err(self.without_fields(&row.form));
        }
        // A label can't be both written by the connector and kept for the staff.
        let keep = row.keep.iter().map(|label| self.label(label, &mut labels)).collect::<Result<Vec<_>, _>>()?;
        Ok(Form { name: FormName::new(self.filled(&row.form)?), date: row.date, start, finish, fields, keep })
    }

    fn field(&self, row: &FieldRow, labels: &mut HashSet<String>) -> Result<FormField, FormsError> {
        let label = self.label(&row.label, labels)?;
        let Some(source) = Source::named(row.source.get_ref()) else {
            let choices = Source::names().collect::<Vec<_>>().join(", ");
            return Err(self.fault(
                &row.source,
                format!("there is no source {:?}; the sources are {choices}", row.source.get_ref()),
            ));
        };
        let choices = Unit::choices(source.quantity());
        let unit = match &row.unit {
            None => choices.first(),
            Some(unit) => choices.iter().find(|(name, _)| name == unit.get_ref()),
        };
        match (unit, &row.unit) {
            (Some((_, unit)), _) => Ok(FormField { label, source, unit: *unit }),
            (None, unit) => {
                let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                let fault = format!("{source:?} can't be shown in that unit; its units are {names}");
                Err(self.fault(unit.as_ref().unwrap_or(&row.source), fault))
            }
        }
    }

    pub(super) fn label(&self, label: &Spanned<String>, labels: &mut HashSet<String>) -> Result<String, FormsError> {
        let text = self.filled(label)?;
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(&text)) {
            let fault = format!("{text:?} is reserved: the site fills {} itself", RESERVED.join(", "));
            return Err(self.fault(label, fault));
        }
        if !labels.insert(text.clone()) {
            return Err(self.fault(label, format!("the label {text:?} is used twice in this form")));
        }
        Ok(text)
    }

    fn time(&self, time: &Spanned<String>) -> Result<TimeOfDay, FormsError> {
        time.get_ref().parse().map_err(|_| {
            self.fault(
                time,
                "a time is written like 21:00, and not before 01:00: sites mishandle the 12 AM hour".into(),
            )
        })
    }

    pub(super) fn filled(&self, text: &Spanned<String>) -> Result<String, FormsError> {
        match text.get_ref().trim() {
            "" => Err(self.fault(text, "a name can't be empty".into())),
            trimmed if trimmed.len() == text.get_ref().len() => Ok(trimmed.to_owned()),
            _ => Err(self.fault(text, "a name can't begin or end with a space: it must match the site exactly".into())),
        }
    }

    pub(super) fn without_fields(&self, form: &Spanned<String>) -> FormsError {
        self.fault(form, "a form needs at least one field".into())
    }

    fn named_twice(&self, form: &Spanned<String>) -> FormsError {
        self.fault(form, format!("the form {:?} is named twice", form.get_ref()))
    }

    fn fault(&self, at: &Spanned<String>, fault: String) -> FormsError {
        FormsError { line: line(self.text, at.span().start), fault }
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oura::Quantity;
    use proptest::prelude::*;

    const AUTHORISE: &str = "[authorise]\nform = 'A'\nlink = 'L'\n";

    fn with_field(field: &str) -> Result<Forms, FormsError> {
        Forms::parse(&format!(
            "{AUTHORISE}[[event]]\nform = 'F'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\nfields = [\n{field}\n]\n"
        ))
    }

    #[test]
    fn the_shipped_file_is_good() {
        let forms = Forms::shipped().unwrap();
        let names: Vec<_> = forms.events.iter().map(|form| form.name.to_string()).collect();
        assert_eq!(names, ["Oura Readiness and Sleep Summary", "Oura Activity Summary"]);
        assert_eq!(forms.authorise.name.to_string(), "Authorise Oura Data");
        assert_eq!(forms.authorise.link, "Authorisation Link");
    }

    #[test]
    fn the_shipped_file_shows_every_number_that_oura_gives() {
        let forms = Forms::shipped().unwrap();
        let shown: HashSet<String> =
            forms.events.iter().flat_map(|form| &form.fields).map(|field| format!("{:?}", field.source)).collect();
        let missing: Vec<_> = Source::names()
            .filter(|name| Source::named(name).is_some_and(|source| source.quantity() != Quantity::Text))
            // Oura's internal id, and the copy of the day's readiness that each period carries.
            .filter(|name| name != "sleep.period" && !name.starts_with("sleep.readiness."))
            .filter(|name| !shown.contains(name))
            .collect();
        assert!(missing.is_empty(), "not in forms.toml: {missing:?}");
    }

    #[test]
    fn a_field_cannot_be_both_ours_and_the_staffs() {
        let with_keep = |keep: &str| {
            let fields = "fields = [{ label = 'Sleep Score', source = 'daily_sleep.score' }]";
            let form = "form = 'F'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'";
            Forms::parse(&format!("{AUTHORISE}[[event]]\n{form}\n{fields}\nkeep = [{keep}]\n"))
        };
        let forms = with_keep("'Comment', 'Physio'").unwrap();
        assert_eq!(forms.events[0].keep, ["Comment", "Physio"]);
        for (keep, fault) in [
            ("'Sleep Score'", "the label \"Sleep Score\" is used twice in this form"),
            ("'Comment', 'Comment'", "the label \"Comment\" is used twice in this form"),
            ("'Age'", "reserved"),
            ("' Comment'", "can't begin or end with a space"),
            ("''", "can't be empty"),
        ] {
            let error = with_keep(keep).unwrap_err();
            let line = format!("{AUTHORISE}[[event]]\n").lines().count() + 6;
            assert!(error.line == line && error.fault.contains(fault), "{keep}: {error}");
        }
    }

    #[test]
    fn an_error_gives_its_line_and_the_choices() {
        let cases = [
            (
                "{ label = 'X', source = 'sleep.dreams' }",
                "there is no source \"sleep.dreams\"; the sources are daily_activity.",
            ),
            ("{ label = 'X', source = 'dreams' }", "sleep.total_sleep_duration"),
            (
                "{ label = 'X', source = 'sleep.total_sleep_duration', unit = 'metres' }",
                "its units are seconds, minutes, hours, h:mm",
            ),
            ("{ label = 'First Name', source = 'daily_sleep.score' }", "reserved"),
            ("{ label = 'last name', source = 'daily_sleep.score' }", "reserved"),
            ("{ label = ' Score', source = 'daily_sleep.score' }", "space"),
            ("{ label = '', source = 'daily_sleep.score' }", "empty"),
            ("{ label = 'X' }", "source"),
            ("{ label = 'X', source = 'daily_sleep.score', colour = 'red' }", "colour"),
        ];
        for (field, expected) in cases {
            let error = with_field(field).unwrap_err();
            assert_eq!(error.line, 10, "{error}");
            assert!(error.fault.contains(expected), "{error}");
        }
        let twice = "{ label = 'X', source = 'daily_sleep.score' },\n{ label = 'X', source = 'daily_readiness.score' }";
        let error = with_field(twice).unwrap_err();
        assert_eq!(error, FormsError { line: 11, fault: "the label \"X\" is used twice in this form".into() });
    }

    #[test]
    fn no_event_may_touch_the_hour_after_midnight() {
        for (start, finish) in [("00:30", "02:00"), ("25:00", "26:00"), ("noon", "13:00"), ("13:00", "13:00")] {
            let text = format!(
                "{AUTHORISE}[[event]]\nform = 'F'\ndate = 'same-day'\nstart = '{start}'\nfinish = '{finish}'\nfields = [{{ label = 'X', source = 'daily_sleep.score' }}]\n"
            );
            assert!(Forms::parse(&text).is_err(), "{start} to {finish}");
        }
    }

    #[test]
    fn every_other_error_gives_its_line() {
        let event = "[[event]]\nform = 'F'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\n\
                     fields = [{ label = 'X', source = 'daily_sleep.score' }]\n";
        assert!(Forms::parse(&format!("{AUTHORISE}{event}")).is_ok());
        let cases = [
            (format!("{AUTHORISE}{event}{event}"), 11, "the form \"F\" is named twice"),
            (
                format!("{AUTHORISE}{}", event.replace("same-day", "the-day-after")),
                6,
                "expected `evening-before` or `same-day`",
            ),
            (
                format!("{AUTHORISE}{}", event.replace("{ label = 'X', source = 'daily_sleep.score' }", "")),
                5,
                "at least one field",
            ),
            (format!("{AUTHORISE}{}", event.replace("start = '12:00'\n", "")), 4, "missing field `start`"),
            (format!("{AUTHORISE}{}", event.replace("'12:00'", "12")), 7, "expected a string"),
            (format!("{AUTHORISE}{}", event.replace("'13:00'", "'11:00'")), 8, "finish after its start"),
            (format!("{AUTHORISE}{}", event.replace("form = 'F'", "form = 'F '")), 5, "begin or end with a space"),
            (format!("{AUTHORISE}{}", event.replace("'F'", "'F")), 5, "invalid"),
            (format!("{AUTHORISE}{event}colour = 'red'\n"), 10, "unknown field `colour`"),
            (AUTHORISE.to_owned(), 1, "missing field `event`"),
            (event.to_owned(), 1, "missing field `authorise`"),
            (format!("[authorise]\nform = 'A'\nlink = 'UUID'\n{event}"), 3, "reserved"),
            (format!("[authorise]\nform = ''\nlink = 'L'\n{event}"), 2, "empty"),
        ];
        for (text, line, expected) in cases {
            let error = Forms::parse(&text).unwrap_err();
            assert!(error.to_string().starts_with("forms.toml, line "), "{error}");
            assert_eq!((error.line, error.fault.contains(expected)), (line, true), "{error}\n{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Any edit of the shipped file gives another valid file, or an error on an existing line.
        #[test]
        fn any_damaged_file_gives_an_error_or_forms(at in 0usize..5_000, length in 0usize..60, inserted in "[\\[\\]{}='\"a-z.\n\u{e9}]{0,6}") {
            let mut text = include_str!("../../../../infra/forms.toml").to_owned();
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &inserted);
            if let Err(error) = Forms::parse(&text) {
                prop_assert!((1..=text.lines().count() + 1).contains(&error.line), "{error}");
            }
        }
    }
}
