//! The documents of the four collections, with a table of the fields of each.
//!
//! Oura promises less than its specification says. Required fields were seen missing or null, and types change. So only
//! `id` and `day` are required here, every number is an `f64` (`81` and `81.0` are equal), and unknown members are
//! ignored. Time series within a day or night are not read.
//!
//! Measured values are private: the `Debug` output of a document shows only its id and day.

mod activity;
mod local_time;
mod readiness;
mod sleep;

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

pub use activity::{ActivityContributors, DailyActivity};
pub use local_time::LocalTime;
pub use readiness::{DailyReadiness, Readiness, ReadinessContributors};
pub use sleep::{DailySleep, Sleep, SleepContributors, SleepType};

/// A document of one of the collections that this crate reads.
pub trait Document: DeserializeOwned + Clone + fmt::Debug + Send + Sync + sealed::Sealed + 'static {
    /// The collection's name in the API's paths.
    const COLLECTION: &'static str;

    /// All fields that this crate reads from such a document. A request names exactly these and
    /// [`IDENTITY`](Self::IDENTITY).
    const FIELDS: &'static [Field<Self>];

    /// The fields that identify the document.
    const IDENTITY: &'static [&'static str];

    /// Oura's opaque id, which an updated document keeps.
    fn id(&self) -> &str;

    /// The day under which Oura files the document. Do not derive it from a time in the document.
    fn day(&self) -> Date;

    /// The document's timestamp, `None` if it is missing or unreadable. It is used only to choose between two documents
    /// of one day.
    fn timestamp(&self) -> Option<Timestamp>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::DailyActivity {}
    impl Sealed for super::DailyReadiness {}
    impl Sealed for super::DailySleep {}
    impl Sealed for super::Sleep {}
}

/// A field of a document.
pub struct Field<D> {
    /// Its path in the document: `score`, `contributors.hrv_balance`.
    pub name: &'static str,
    /// What it measures, and in which unit.
    pub quantity: Quantity,
    /// Reads the field from a document; `None` if the document does not have it.
    pub get: fn(&D) -> Option<Value>,
}

impl<D> Field<D> {
    const fn new(name: &'static str, quantity: Quantity, get: fn(&D) -> Option<Value>) -> Self {
        Self { name, quantity, get }
    }
}

impl<D> fmt::Debug for Field<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("name", &self.name).field("quantity", &self.quantity).finish_non_exhaustive()
    }
}

/// The value of a field. `Debug` shows only its kind.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A finite number, in the unit of the field's [`Quantity`].
    Number(f64),
    /// A time on the person's wall clock.
    Time(DateTime),
    /// A word from Oura.
    Text(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number(..)",
            Self::Time(_) => "Time(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

/// What a field measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Points out of 100, or a difference of such points, which may be negative.
    Score,
    /// A percentage, 0 to 100.
    Percent,
    /// A duration in seconds.
    Seconds,
    /// A count.
    Count,
    /// A distance in metres.
    Metres,
    /// Energy in kilocalories.
    Kilocalories,
    /// Effort in MET minutes: a minute at rest is about one.
    MetMinutes,
    /// A difference from the person's own usual temperature, in degrees Celsius.
    CelsiusDeviation,
    /// A heart rate.
    BeatsPerMinute,
    /// A breathing rate.
    BreathsPerMinute,
    /// Heart rate variability (RMSSD) in milliseconds.
    Milliseconds,
    /// A time on the wall clock.
    LocalTime,
    /// A word from Oura, from an open list.
    Text,
}

/// Converts a number for the field tables.
fn number(number: Option<f64>) -> Option<Value> {
    number.map(Value::Number)
}

/// Converts a time for the field tables.
fn time(time: Option<LocalTime>) -> Option<Value> {
    time.map(|time| Value::Time(time.wall_clock))
}

/// Converts a word for the field tables.
fn text(text: Option<&str>) -> Option<Value> {
    text.map(|text| Value::Text(text.to_owned()))
}

/// Writes the `Debug` output of a document.
fn show(name: &str, id: &str, day: Date, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name).field("id", &id).field("day", &day).finish_non_exhaustive()
}

/// Reads a null group as a missing one.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Rejects an empty id, since the id identifies the document.
fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.is_empty() { Err(D::Error::custom("an empty id")) } else { Ok(id) }
}

/// Reads an unreadable timestamp as `None`. The document stays readable, because the timestamp only ranks two
/// documents.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LocalTime>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Text(String),
        Odd(IgnoredAny),
    }
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Text(text) => LocalTime::parse(&text),
        Lenient::Odd(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Builds a document with a different number in each numeric field. Checks that each row of the table reads its own
    /// field.
    fn every_row_reads_its_own_field<D: Document>() {
        let mut document = serde_json::json!({"id": "a", "day": "2026-03-02"});
        for (position, field) in D::FIELDS.iter().enumerate() {
            let mut place = &mut document;
            for part in field.name.split('.') {
                place = &mut place[part];
            }
            *place = match field.quantity {
                Quantity::Text => format!("word {position}").into(),
                Quantity::LocalTime => format!("2026-03-02T01:02:{:02}+02:00", position % 60).into(),
                _ if position % 2 == 0 => position.into(),
                _ => (f64::from(u32::try_from(position).unwrap()) + 0.5).into(),
            };
        }
        let typed: D = serde_json::from_value(document.clone()).unwrap();
        for (position, field) in D::FIELDS.iter().enumerate() {
            let pointer = format!("/{}", field.name.replace('.', "/"));
            let written = document.pointer(&pointer).unwrap();
            match (field.get)(&typed) {
                Some(Value::Number(read)) => assert_eq!(Some(read), written.as_f64(), "{}", field.name),
                Some(Value::Text(read)) => assert_eq!(Some(read.as_str()), written.as_str(), "{}", field.name),
                Some(Value::Time(read)) => assert_eq!(usize::try_from(read.second()).unwrap(), position % 60),
                None => panic!("{} is not read", field.name),
            }
        }
        let names: BTreeSet<_> = D::FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), D::FIELDS.len(), "a name stands twice");

        let bare: D = serde_json::from_str(r#"{"id": "a", "day": "2026-03-02", "novelty": {}}"#).unwrap();
        assert!(D::FIELDS.iter().all(|field| (field.get)(&bare).is_none()), "only id and day are required");
        assert_eq!(bare.id(), "a");
        assert_eq!(bare.day(), jiff::civil::date(2026, 3, 2));
    }

    #[test]
    fn each_table_row_reads_its_own_field() {
        every_row_reads_its_own_field::<DailyActivity>();
        every_row_reads_its_own_field::<DailyReadiness>();
        every_row_reads_its_own_field::<DailySleep>();
        every_row_reads_its_own_field::<Sleep>();
    }

    #[test]
    fn reads_null_as_missing() {
        let text = r#"{"id": "a", "day": "2026-03-02", "score": null, "contributors": null}"#;
        let document: DailySleep = serde_json::from_str(text).unwrap();
        assert!(DailySleep::FIELDS.iter().all(|field| (field.get)(&document).is_none()));
        let text = r#"{"id": "a", "day": "2026-03-02", "readiness": {"contributors": null}, "type": null}"#;
        let document: Sleep = serde_json::from_str(text).unwrap();
        assert!(Sleep::FIELDS.iter().all(|field| (field.get)(&document).is_none()));
    }

    #[test]
    fn debug_shows_no_values() {
        let document: DailySleep = serde_json::from_str(r#"{"id": "a", "day": "2026-03-02", "score": 9753}"#).unwrap();
        let score = DailySleep::FIELDS.iter().find(|field| field.name == "score").unwrap();
        let printed = format!("{document:?} {:?} {score:?}", (score.get)(&document));
        assert!(!printed.contains("9753"), "{printed}");
        assert!(printed.contains("2026-03-02"), "{printed}");
        for value in [Value::Text("9753".into()), Value::Time(jiff::civil::date(9753, 1, 1).at(0, 0, 0, 0))] {
            assert!(!format!("{value:?}").contains("9753"));
        }
    }
}
