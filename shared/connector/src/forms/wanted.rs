//! What a site needs to receive the records: the forms of `forms.toml`, field by field. An administrator builds them
//! from this list, and `check` compares them with the site.

use jiff::civil::date;
use oura::{Quantity, Value};
use smartabase::{FormKind, FormName};

use super::{DateRule, Form, FormField, Forms, Profile, RotationForm, StatusForm, Unit};

/// A form that the connector writes to.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Its exact name.
    pub form: &'a FormName,
    /// Whether it holds events or profiles.
    pub kind: FormKind,
    /// The fields that are written, in the order of `forms.toml`.
    pub fields: Vec<WantedField<'a>>,
    /// Labels of fields that staff fill in. They must exist, and an update keeps their values.
    pub keep: &'a [String],
    /// Other facts needed to build the form.
    pub notes: &'static str,
}

/// A field that the connector writes.
#[derive(Clone, Debug)]
pub struct WantedField<'a> {
    /// Its exact label.
    pub label: &'a str,
    /// What the field must be able to hold.
    pub holds: Holds,
    /// The name of the unit in `forms.toml`; empty where there is none.
    pub unit: &'static str,
    /// Where the value comes from: Oura's `collection.field`, or the connector itself.
    pub source: String,
    /// An example of a value, as sent.
    pub example: String,
    /// Whether every record has a value for it: only such a field may be required on the form.
    pub always: bool,
}

/// What a field must be able to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Numbers, with a point and without a thousands separator.
    Number,
    /// Times of day.
    TimeOfDay,
    /// Text of one line.
    Text,
}

impl Forms {
    /// Every form the connector writes to.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted<'_>> {
        let profiles = [authorise(&self.authorise)].into_iter();
        let staff = self.status.iter().map(status).chain(self.rotation.iter().map(rotation));
        self.events.iter().map(event).chain(profiles).chain(staff).collect()
    }
}

fn event(form: &Form) -> Wanted<'_> {
    Wanted {
        form: &form.name,
        kind: FormKind::Event,
        fields: form.fields.iter().map(field).collect(),
        keep: &form.keep,
        notes: match form.date {
            DateRule::EveningBefore => "one record per athlete and night, dated the evening it began",
            DateRule::SameDay => "one record per athlete and day",
        },
    }
}

fn authorise(profile: &Profile) -> Wanted<'_> {
    let example = "https://connect.example.org/connect?athlete=31152&expires=1775131200&signature=…";
    let link = text(&profile.link, "the athlete’s personal link", example);
    Wanted {
        form: &profile.name,
        kind: FormKind::Profile,
        fields: vec![WantedField { always: true, ..link }],
        keep: &[],
        notes: "one record per athlete; the athlete must be able to see it",
    }
}

fn status(form: &StatusForm) -> Wanted<'_> {
    let fields = [
        (&form.connected_since, "when the athlete connected", "2 March 2026, 14:05"),
        (&form.scopes, "what the athlete shares", "daily"),
        (&form.status, "how the athlete stands", "needs to reconnect"),
        (
            &form.reason,
            "what is behind that, and who acts",
            "Oura no longer accepts the consent: the athlete opens the personal link and connects again",
        ),
        (&form.last_night, "the evening of the last night received", "Monday 2 March 2026"),
    ];
    staff(&form.name, &fields)
}

fn rotation(form: &RotationForm) -> Wanted<'_> {
    let fields = [
        (&form.rotated, "when the tokens were last exchanged", "2 March 2026, 14:05"),
        (&form.expires, "until when they are good", "3 March 2026, 14:05"),
        (&form.fingerprint, "a short name for them, made from no token", "9f86d081"),
    ];
    staff(&form.name, &fields)
}

/// A profile form for staff; any of its fields may be left out.
fn staff<'a>(form: &'a FormName, fields: &[(&'a Option<String>, &str, &str)]) -> Wanted<'a> {
    let there = |(label, source, example): &(&'a Option<String>, &str, &str)| {
        label.as_deref().map(|label| text(label, source, example))
    };
    Wanted {
        form,
        kind: FormKind::Profile,
        fields: fields.iter().filter_map(there).collect(),
        keep: &[],
        notes: "one record per athlete, for staff; never a token",
    }
}

fn text<'a>(label: &'a str, source: &str, example: &str) -> WantedField<'a> {
    let (source, example) = (source.to_owned(), example.to_owned());
    WantedField { label, holds: Holds::Text, unit: "", source, example, always: false }
}

fn field(field: &FormField) -> WantedField<'_> {
    let quantity = field.source.quantity();
    let choices = Unit::choices(quantity);
    WantedField {
        label: &field.label,
        holds: holds(field.unit),
        unit: choices.iter().find(|(_, unit)| *unit == field.unit).map_or("", |(name, _)| name),
        source: format!("{:?}", field.source),
        example: field.unit.write(&example(quantity)).unwrap_or_default(),
        // Any of these can be blank: the athlete did not wear the ring, or Oura withholds a score.
        always: false,
    }
}

fn holds(unit: Unit) -> Holds {
    match unit {
        Unit::Number
        | Unit::Seconds
        | Unit::Minutes
        | Unit::Hours
        | Unit::Metres
        | Unit::Kilometres
        | Unit::Miles
        | Unit::Celsius
        | Unit::Fahrenheit => Holds::Number,
        Unit::Time | Unit::SiteTime => Holds::TimeOfDay,
        Unit::HoursAndMinutes | Unit::Text => Holds::Text,
    }
}

/// An example of a value from Oura.
fn example(quantity: Quantity) -> Value {
    Value::Number(match quantity {
        Quantity::Score => 82.0,
        Quantity::Percent => 91.0,
        Quantity::Seconds => 5430.0,
        Quantity::Count => 12.0,
        Quantity::Metres => 8421.0,
        Quantity::Kilocalories => 512.0,
        Quantity::MetMinutes => 143.0,
        Quantity::CelsiusDeviation => -0.12,
        Quantity::BeatsPerMinute => 52.5,
        Quantity::BreathsPerMinute => 14.375,
        Quantity::Milliseconds => 48.0,
        Quantity::LocalTime => return Value::Time(date(2026, 3, 2).at(22, 41, 0, 0)),
        Quantity::Text => return Value::Text("long_sleep".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_field_is_described_well_enough_to_build() {
        let forms = Forms::shipped().unwrap();
        let wanted = forms.wanted();
        let kinds: Vec<_> = wanted.iter().map(|form| (form.form.as_str(), form.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("Oura Readiness and Sleep Summary", FormKind::Event),
                ("Oura Activity Summary", FormKind::Event),
                ("Authorise Oura Data", FormKind::Profile),
                ("Oura Refresh Token", FormKind::Profile),
                ("Current Refresh Token", FormKind::Profile),
            ]
        );
        let profiles = wanted.iter().filter(|form| form.kind == FormKind::Profile);
        let labels = profiles.map(|form| (form.form, form.fields.iter().map(|field| field.label).collect()));
        assert_eq!(labels.collect::<Vec<_>>(), forms.profiles().collect::<Vec<(_, Vec<_>)>>());
        for field in wanted.iter().flat_map(|form| &form.fields) {
            assert!(!field.example.is_empty() && !field.source.is_empty(), "{field:?}");
            assert!(!field.unit.is_empty() || field.holds == Holds::Text, "{field:?}");
            if field.holds == Holds::Number {
                assert!(field.example.parse::<f64>().is_ok(), "{field:?}");
            }
        }
    }

    #[test]
    fn a_field_is_described_in_the_unit_that_was_chosen() {
        let forms = Forms::parse(
            "[authorise]\nform = 'A'\nlink = 'L'\n[[event]]\nform = 'F'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\n\
             fields = [\n{ label = 'a', source = 'sleep.latency', unit = 'h:mm' },\n\
             { label = 'b', source = 'sleep.bedtime_start', unit = 'h:mm AM/PM' },\n\
             { label = 'c', source = 'sleep.total_sleep_duration', unit = 'minutes' },\n\
             { label = 'd', source = 'sleep.type' }]\n",
        )
        .unwrap();
        let wanted = forms.wanted();
        let described: Vec<_> =
            wanted[0].fields.iter().map(|field| (field.holds, field.unit, field.example.as_str())).collect();
        assert_eq!(
            described,
            [
                (Holds::Text, "h:mm", "1:31"),
                (Holds::TimeOfDay, "h:mm AM/PM", "10:41 PM"),
                (Holds::Number, "minutes", "90.5"),
                (Holds::Text, "text", "long_sleep"),
            ]
        );
    }
}
