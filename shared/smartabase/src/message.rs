//! Reads the site's messages, and makes them safe to log.
//!
//! Two facts about an import are only in its `message`: the number of stored records, and the fields that do not exist.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;

use crate::ids::whole;

/// How much of a message is kept, in characters.
const KEPT: usize = 300;
/// How many bytes of a text are read; a longer text is not a message.
const READ: usize = 20_000;

const NAMES_BEFORE: &str = "The following names [";
const NAMES_AFTER: &str = "] were sent in the message but do not exist in the form";

/// A text, number or boolean as text; anything else is empty. A whole number has no decimals, in whatever form it was
/// sent.
pub(crate) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => {
            let whole = number.as_f64().filter(|_| number.is_f64()).and_then(whole);
            whole.map_or_else(|| number.to_string(), |whole| whole.to_string())
        }
        Some(Value::Bool(truth)) => truth.to_string(),
        _ => String::new(),
    }
}

/// The text of a message, which may be one text or a list or object of texts.
pub(crate) fn message_text(value: Option<&Value>) -> String {
    let mut texts = Vec::new();
    let mut rest: Vec<&Value> = value.into_iter().collect();
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items.iter().rev()),
            Value::Object(members) => rest.extend(members.values().rev()),
            value => texts.push(text(Some(value))),
        }
    }
    texts.retain(|text| !text.is_empty());
    texts.join(" ")
}

/// Whether a member is true, also if it is the text "true".
pub(crate) fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// Whether a message says "N out of M records" with N less than M.
pub(crate) fn counts_fewer(message: &str) -> bool {
    counts(message).is_some_and(|(_, imported, sent)| imported < sent)
}

/// The position of "N out of M record", and its numbers.
fn counts(message: &str) -> Option<(Range<usize>, u64, u64)> {
    message.match_indices(" out of ").find_map(|(at, link)| {
        let (before, after) = (message.get(..at)?, message.get(at + link.len()..)?);
        let imported = before.get(before.trim_end_matches(|c: char| c.is_ascii_digit()).len()..)?;
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        let sent = after.get(..after.len() - rest.len())?;
        if !rest.starts_with(" record") {
            return None;
        }
        Some((at - imported.len()..message.len() - rest.len(), imported.parse().ok()?, sent.parse().ok()?))
    })
}

/// The names in every "The following names [A, B] were sent in the message but do not exist in the form".
///
/// The names in the list have no quotes and may hold commas and brackets. So the names in `sent` are matched first, the
/// longest match wins.
pub(crate) fn unknown_fields<'a>(message: &'a str, sent: &[&'a str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut known = HashSet::new();
    let mut rest = message;
    while let Some((_, after)) = rest.split_once(NAMES_BEFORE) {
        // If the end is worded differently, the last bracket still ends the list.
        let (list, after) = after.split_once(NAMES_AFTER).or_else(|| after.rsplit_once(']')).unwrap_or((after, ""));
        names.extend(read_names(list, sent).into_iter().filter(|name| known.insert(*name)).map(str::to_owned));
        rest = after;
    }
    names
}

fn read_names<'a>(list: &'a str, sent: &[&'a str]) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let known = sent.iter().filter(|name| !name.is_empty() && ends_after(rest, name)).max_by_key(|name| name.len());
        let (name, after) = match known {
            Some(name) => (*name, rest.get(name.len()..).unwrap_or_default()),
            None => rest.split_at(rest.find(", ").unwrap_or(rest.len())),
        };
        if !name.trim().is_empty() {
            names.push(name);
        }
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    names
}

/// Whether the list continues with this name, and then ends or continues with another name.
fn ends_after(list: &str, name: &str) -> bool {
    list.strip_prefix(name).is_some_and(|after| after.is_empty() || after.starts_with(", "))
}

/// A site's text that is safe to show: on one line, at most 300 characters, and without any of the sent `values`, since
/// the site may repeat one. Field `names` are kept, even if they contain a value.
pub(crate) fn repeatable(text: &str, names: &[&str], values: &[&str]) -> String {
    let text = text.get(..text.floor_char_boundary(READ)).unwrap_or_default();
    let line = without(text, names, values).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// A site's name that is safe to show: shortened as above, and with escaped control characters.
pub(crate) fn repeatable_name(name: &str) -> String {
    repeatable(name, &[], &[]).chars().map(escaped).collect()
}

fn escaped(c: char) -> String {
    if matches!(c, '\'' | '"' | '\\') { c.to_string() } else { c.escape_debug().to_string() }
}

/// Removes the values where they are whole words, except inside names and in "1 out of 2 records", which is always a
/// count.
fn without(text: &str, names: &[&str], values: &[&str]) -> String {
    let count = counts(text).map(|(range, ..)| range);
    let mut clean = String::with_capacity(text.len());
    let mut inside_word = false;
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(next) = rest.chars().next()
    {
        let kept = match &count {
            Some(count) if count.start == at => count.len(),
            _ if inside_word => 0,
            _ => longest(rest, names),
        };
        let hidden = if inside_word { 0 } else { longest(rest, values) };
        let (written, read) = if hidden > kept {
            ("…", hidden)
        } else {
            let read = if kept > 0 { kept } else { next.len_utf8() };
            (rest.get(..read).unwrap_or_default(), read)
        };
        clean.push_str(written);
        at += read;
        inside_word = kept.max(hidden) == 0 && next.is_alphanumeric();
    }
    clean
}

/// The length of the longest of these words at the start of the text, as a whole word; 0 if there is none.
fn longest(text: &str, words: &[&str]) -> usize {
    let whole = |word: &&&str| {
        let after = text.strip_prefix(**word);
        !word.trim().is_empty() && after.is_some_and(|after| !after.starts_with(char::is_alphanumeric))
    };
    words.iter().filter(whole).map(|word| word.len()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn converts_single_values_to_text() {
        for (value, meaning) in [
            (json!("a"), "a"),
            (json!(7), "7"),
            (json!(7.5), "7.5"),
            (json!(19762.0), "19762"),
            (json!(true), "true"),
            (json!(null), ""),
            (json!(["a"]), ""),
            (json!({"a": "b"}), ""),
        ] {
            assert_eq!(text(Some(&value)), meaning, "{value}");
        }
    }

    #[test]
    fn reads_messages_from_lists_and_objects() {
        for (value, meaning) in [
            (json!("no"), "no"),
            (json!(["no", "", {"reason": "form", "code": 7}]), "no 7 form"),
            (json!([]), ""),
            (json!(null), ""),
        ] {
            assert_eq!(message_text(Some(&value)), meaning, "{value}");
        }
    }

    #[test]
    fn notices_fewer_records_than_sent() {
        assert!(counts_fewer("0 out of 1 records successfully imported."));
        assert!(counts_fewer("Note: 24 out of 25 records successfully imported."));
        for fine in [
            "",
            "1 out of 1 records successfully imported.",
            "25 out of 25 records successfully imported.",
            "1 out of 2",
            " out of  records",
            "one out of two records",
            "99999999999999999999999 out of 1 records",
        ] {
            assert!(!counts_fewer(fine), "{fine}");
        }
    }

    #[test]
    fn names_unknown_fields() {
        let message = "1 out of 1 records successfully imported. The following names [A, B c] were sent in the message but do not exist in the form";
        assert_eq!(unknown_fields(message, &[]), ["A", "B c"]);
        assert_eq!(unknown_fields("1 out of 1 records successfully imported.", &["A"]), [""; 0]);
        assert_eq!(unknown_fields(&message.replace("A, B c", ""), &["A"]), [""; 0]);
    }

    #[test]
    fn recognises_sent_names_with_commas_and_brackets() {
        let message = |list: &str| format!("Fine. {NAMES_BEFORE}{list}{NAMES_AFTER}");
        let sent = ["Sleep, deep [min]", "Sleep", "[x], y]", "Total"];
        assert_eq!(unknown_fields(&message("Sleep, deep [min]"), &sent), ["Sleep, deep [min]"]);
        assert_eq!(
            unknown_fields(&message("Total, Sleep, deep [min], Sleep"), &sent),
            ["Total", "Sleep, deep [min]", "Sleep"]
        );
        assert_eq!(unknown_fields(&message("[x], y], Other, Totals"), &sent), ["[x], y]", "Other", "Totals"]);
        assert_eq!(unknown_fields(&message("HRV [ms]"), &[]), ["HRV [ms]"]);
    }

    #[test]
    fn reads_every_sentence_and_each_name_once() {
        let message = format!("{NAMES_BEFORE}A, B{NAMES_AFTER} {NAMES_BEFORE}B, C{NAMES_AFTER}");
        assert_eq!(unknown_fields(&message, &[]), ["A", "B", "C"]);
        assert_eq!(unknown_fields("The following names [A, B] are not in the form.", &[]), ["A", "B"]);
        assert_eq!(unknown_fields("The following names [A, B", &[]), ["A", "B"]);
    }

    #[test]
    fn does_not_repeat_sent_values() {
        let values = ["7.5", "82", "1", "2", "poor night", ""];
        let names = ["Zone 2", "Score"];
        assert_eq!(repeatable("Value 7.5 for Score: 82!", &names, &values), "Value … for Score: …!");
        assert_eq!(repeatable("'poor night' is no option", &names, &values), "'…' is no option");
        assert_eq!(repeatable("Zone 2 can't be 2", &names, &values), "Zone 2 can't be …");
        assert_eq!(repeatable("form 82b of 182", &names, &values), "form 82b of 182");
        assert_eq!(
            repeatable("1 out of 2 records successfully imported. 2", &names, &values),
            "1 out of 2 records successfully imported. …"
        );
    }

    #[test]
    fn cuts_long_texts_to_one_line() {
        assert_eq!(repeatable(" a\r\n\tb ", &[], &[]), "a b");
        let long = repeatable(&"ü".repeat(100_000), &[], &[]);
        assert_eq!(long.chars().count(), KEPT + 1);
        assert!(long.ends_with("ü…"));
    }

    proptest! {
        #[test]
        fn recognises_any_sent_names(names in prop::collection::btree_set("[A-Za-z\\]\\[(%. ]{0,8}[a-z]", 1..6)) {
            let sent: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = format!("Done. {NAMES_BEFORE}{}{NAMES_AFTER}", sent.join(", "));
            prop_assert_eq!(unknown_fields(&message, &sent), sent);
        }

        #[test]
        fn does_not_panic_on_any_text(text in ".*", values in prop::collection::vec(".{0,4}", 0..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let _ = counts_fewer(&text);
            let _ = repeatable(&text, &values, &values);
            let _ = unknown_fields(&text, &values);
            let _ = unknown_fields(&format!("{NAMES_BEFORE}{text}{NAMES_AFTER}"), &values);
        }
    }
}
