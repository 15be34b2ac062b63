//! The names by which a site knows its users, events and forms.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A user of the site. Read from a positive JSON number or from the same in digits, since the API gives both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(#[serde(deserialize_with = "number_or_digits")] pub u64);

/// An event: one record in an event form. Read like a [`UserId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(#[serde(deserialize_with = "number_or_digits")] pub u64);

/// The display name of a form, by which v1 addresses it: exact, and case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormName(pub String);

impl UserId {
    pub(crate) fn read(value: Option<&Value>) -> Option<UserId> {
        UserId::deserialize(value?).ok()
    }
}

impl EventId {
    pub(crate) fn read(value: Option<&Value>) -> Option<EventId> {
        EventId::deserialize(value?).ok()
    }
}

impl FormName {
    /// The form of this name.
    pub fn new(name: impl Into<String>) -> FormName {
        FormName(name.into())
    }

    /// The name as the site spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FormName {
    fn from(name: &str) -> FormName {
        FormName(name.to_owned())
    }
}

impl From<String> for FormName {
    fn from(name: String) -> FormName {
        FormName(name)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for FormName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Accepts `1009` and `"1009"`. Ids such as `-1`, which the API uses for "none", are not ids.
fn number_or_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Id;

    impl Visitor<'_> for Id {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a positive whole number")
        }

        fn visit_u64<E: de::Error>(self, id: u64) -> Result<u64, E> {
            if id == 0 { Err(E::custom("not a positive whole number")) } else { Ok(id) }
        }

        fn visit_i64<E: de::Error>(self, id: i64) -> Result<u64, E> {
            self.visit_u64(u64::try_from(id).unwrap_or_default())
        }

        fn visit_str<E: de::Error>(self, digits: &str) -> Result<u64, E> {
            // `parse` alone would take "+7".
            let digits = digits.trim();
            let id = if digits.starts_with(|first: char| first.is_ascii_digit()) { digits.parse().ok() } else { None };
            self.visit_u64(id.unwrap_or_default())
        }
    }

    deserializer.deserialize_any(Id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_a_positive_number_or_its_digits() {
        for given in [json!(1009), json!("1009"), json!(" 1009 "), json!("01009")] {
            assert_eq!(UserId::read(Some(&given)), Some(UserId(1009)), "{given}");
            assert_eq!(EventId::read(Some(&given)), Some(EventId(1009)), "{given}");
        }
    }

    #[test]
    fn nothing_else_is_an_id() {
        for given in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!(""),
            json!("+7"),
            json!("-1"),
            json!("12a"),
            json!("99999999999999999999"),
            json!(null),
            json!(true),
            json!([1]),
            json!({"userId": 1}),
        ] {
            assert_eq!(UserId::read(Some(&given)), None, "{given}");
        }
        assert_eq!(UserId::read(None), None);
    }

    #[test]
    fn ids_are_written_as_numbers_and_forms_as_their_names() {
        assert_eq!(json!([UserId(7), EventId(8), FormName::from("Sleep")]), json!([7, 8, "Sleep"]));
        assert_eq!(format!("{} {} {}", UserId(7), EventId(8), FormName::new("Sleep")), "7 8 Sleep");
    }
}
