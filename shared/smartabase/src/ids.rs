//! The identifiers of users, events and forms.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A user of the site. The API gives a positive whole number, or the same number as text; both are read. It also may be
/// inside an object, as the API requires in imports and was seen to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(#[serde(deserialize_with = "number_or_digits")] pub u64);

/// An event: one record in an event form. Read like a [`UserId`], but never from an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(#[serde(deserialize_with = "number_or_digits")] pub u64);

/// The display name of a form, which identifies it in v1: exact and case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormName(pub String);

impl UserId {
    pub(crate) fn read(value: Option<&Value>) -> Option<UserId> {
        let value = value?;
        read_id(value.get("userId").unwrap_or(value)).map(UserId)
    }
}

impl EventId {
    pub(crate) fn read(value: Option<&Value>) -> Option<EventId> {
        read_id(value?).map(EventId)
    }
}

impl FormName {
    /// The name of a form.
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

fn number_or_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    read_id(&value).ok_or_else(|| de::Error::custom("not a positive whole number"))
}

/// Reads `1009`, `"1009"`, and the forms that spreadsheets and other JSON writers produce: `1009.0`, `"1009.0"`,
/// `1.009E3`. Numbers such as `-1`, which the API uses for "none", are not ids.
pub(crate) fn read_id(value: &Value) -> Option<u64> {
    let id = match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            // `parse` alone would accept "+7" and "inf".
            let is_number = text.starts_with(|first: char| first.is_ascii_digit());
            if is_number { text.parse().ok().or_else(|| whole(text.parse().ok()?)) } else { None }
        }
        _ => None,
    };
    id.filter(|id| *id > 0)
}

/// The number, if it is whole and small enough for an `f64` to hold exactly.
pub(crate) fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && (0.0..EXACT).contains(&number) { format!("{number:.0}").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_a_positive_number_or_its_digits() {
        for given in [
            json!(1009),
            json!("1009"),
            json!(" 1009 "),
            json!("01009"),
            json!(1009.0),
            json!("1009.0"),
            json!(1.009e3),
            json!("1.009E3"),
        ] {
            assert_eq!(UserId::read(Some(&given)), Some(UserId(1009)), "{given}");
            assert_eq!(EventId::read(Some(&given)), Some(EventId(1009)), "{given}");
        }
    }

    #[test]
    fn rejects_other_values() {
        for given in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!(""),
            json!("+7"),
            json!("-1"),
            json!("12a"),
            json!("99999999999999999999"),
            json!(1e300),
            json!("1009.5"),
            json!("1e999"),
            json!(null),
            json!(true),
            json!([1]),
            json!({"id": 1}),
        ] {
            assert_eq!(UserId::read(Some(&given)), None, "{given}");
        }
        assert_eq!(UserId::read(None), None);
        assert_eq!(EventId::read(Some(&json!({"userId": 1}))), None);
    }

    #[test]
    fn reads_a_user_inside_an_object() {
        for given in [json!({"userId": 1001}), json!({"userId": "1001"}), json!({"userId": 1001.0})] {
            assert_eq!(UserId::read(Some(&given)), Some(UserId(1001)), "{given}");
        }
        for given in
            [json!({}), json!({"userId": null}), json!({"userId": [1001]}), json!({"userId": {"userId": 1001}})]
        {
            assert_eq!(UserId::read(Some(&given)), None, "{given}");
        }
    }

    #[test]
    fn writes_ids_as_numbers_and_forms_as_names() {
        assert_eq!(json!([UserId(7), EventId(8), FormName::from("Sleep")]), json!([7, 8, "Sleep"]));
        assert_eq!(format!("{} {} {}", UserId(7), EventId(8), FormName::new("Sleep")), "7 8 Sleep");
    }
}
