//! The fields of a record in the API's format: rows of pairs, in which all values are strings.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::ids::UserId;
use crate::message::{repeatable_name, text};

/// A user in a request, where the API requires an object; everywhere else it uses the bare number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserObject {
    pub(crate) user_id: UserId,
}

/// The only row of a record without tables.
#[derive(Serialize)]
pub(crate) struct Row<'a> {
    row: u32,
    pairs: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Row<'a> {
    pub(crate) fn only(fields: &'a [(String, String)]) -> [Row<'a>; 1] {
        [Row { row: 0, pairs: fields.iter().map(|(key, value)| Pair { key, value }).collect() }]
    }
}

/// Reads the rows of a stored record. If several rows have a field, the first value that is not blank counts. A field
/// outside tables is in the first row.
pub(crate) fn read_fields(record: &Value, place: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut fields = BTreeMap::new();
    for (index, row) in list(record, "rows", place)?.iter().enumerate() {
        if !row.is_object() {
            return Err(Error::unexpected(format!("{place}: `rows[{index}]` is not an object")));
        }
        for pair in list(row, "pairs", place)? {
            let Some(Value::String(key)) = pair.get("key") else {
                return Err(Error::unexpected(format!("{place}: a pair without a key")));
            };
            // It is unknown how to send such a value back, and an update without it would erase it.
            if matches!(pair.get("value"), Some(Value::Array(_) | Value::Object(_))) {
                let key = repeatable_name(key);
                return Err(Error::unexpected(format!("{place}: the value of `{key}` can't be read")));
            }
            let stored: &mut String = fields.entry(key.clone()).or_default();
            if stored.is_empty() {
                *stored = text(pair.get("value"));
            }
        }
    }
    Ok(fields)
}

/// An array that may be missing or null, which counts as empty.
pub(crate) fn list<'a>(object: &'a Value, name: &str, place: &str) -> Result<&'a [Value], Error> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Error::unexpected(format!("{place}: `{name}` is not a list"))),
    }
}

/// Whether a stored value equals the value that was sent. Numbers are compared as numbers, since `1784320260` may come
/// back as `1.78432026E9`. Line breaks may come back as HTML.
pub(crate) fn same_value(sent: &str, stored: &str) -> bool {
    let (sent, stored) = (plain(sent), plain(stored));
    if sent == stored {
        return true;
    }
    match (number(&sent), number(&stored)) {
        (Some(sent), Some(stored)) => sent.total_cmp(&stored).is_eq(),
        _ => false,
    }
}

fn plain(value: &str) -> String {
    with_line_breaks(value).trim().to_owned()
}

/// The text with the site's HTML line breaks turned back into newlines.
pub(crate) fn with_line_breaks(value: &str) -> String {
    ["<br>", "<br/>", "<br />", "< br/>"].iter().fold(value.to_owned(), |value, tag| value.replace(tag, "\n"))
}

fn number(text: &str) -> Option<f64> {
    // Adding zero turns -0 into 0.
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(|number| number + 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_any_value_but_only_known_shapes() {
        let record = json!({"rows": [
            {"row": 0, "pairs": [{"key": "Text", "value": "abc"}, {"key": "Number", "value": 7.5}, {"key": "Null", "value": null},
                {"key": "Late", "value": ""}]},
            {"row": 1, "pairs": [{"key": "Text", "value": "second"}, {"key": "Late", "value": "x"}]},
            {"row": 2}
        ]});
        let fields = read_fields(&record, "here").unwrap();
        let fields: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("Late", "x"), ("Null", ""), ("Number", "7.5"), ("Text", "abc")]);
        assert_eq!(read_fields(&json!({}), "here"), Ok(BTreeMap::new()));
        for record in [
            json!({"rows": "none"}),
            json!({"rows": [{"pairs": {}}]}),
            json!({"rows": [{"pairs": [{"value": "x"}]}]}),
            json!({"rows": [{"pairs": ["x"]}]}),
            json!({"rows": ["x"]}),
            json!({"rows": [null]}),
            json!({"rows": [{"pairs": [{"key": "Options", "value": ["a", "b"]}]}]}),
        ] {
            assert!(matches!(read_fields(&record, "here"), Err(Error::Unexpected { .. })), "{record}");
        }
    }

    #[test]
    fn compares_numbers_as_numbers() {
        for (sent, stored) in [
            ("1784320260", "1.78432026E9"),
            ("7.50", "7.5"),
            ("0", "-0.0"),
            ("82", " 82 "),
            ("one\ntwo", "one<br>two"),
            ("one\ntwo", "one< br/>two"),
            ("", "  "),
        ] {
            assert!(same_value(sent, stored), "{sent} {stored}");
        }
        for (sent, stored) in [("7.5", "7.51"), ("82", ""), ("nan", "NaN"), ("inf", "infinity"), ("a", "A")] {
            assert!(!same_value(sent, stored), "{sent} {stored}");
        }
    }
}
