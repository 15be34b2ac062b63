//! What the site says in words, and how much of it is fit to be repeated.
//!
//! Two facts about an import are told in its `message` only: how many records went in, and which fields do not exist.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;

use crate::ids::whole;

/// How much of a text of the site is kept.
const KEPT: usize = 300;
/// How much of one is looked at; longer ones are no messages.
const READ: usize = 20_000;

const NAMES_BEFORE: &str = "The following names [";
const NAMES_AFTER: &str = "] were sent in the message but do not exist in the form";

/// A text, number or truth value as text; anything else is empty. A whole number has no decimals, however it was written.
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

/// What the site says in words, where that may be one text or a list or object of them.
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

/// Whether a member is true, also where that is written as a text.
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

/// Where "N out of M record" stands, and its numbers.
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
/// The list is not quoted, so names that were `sent` are recognised first, the longest that fits: they may hold commas
/// and brackets.
pub(crate) fn unknown_fields<'a>(message: &'a str, sent: &[&'a str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut known = HashSet::new();
    let mut rest = message;
    while let Some((_, after)) = rest.split_once(NAMES_BEFORE) {
        // Another wording of the end still leaves the last bracket.
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

/// Whether a list goes on with this name, and then ends or has another.
fn ends_after(list: &str, name: &str) -> bool {
    list.strip_prefix(name).is_some_and(|after| after.is_empty() || after.starts_with(", "))
}

/// A text of the site for people to read: on one line, at most 300 characters, and without any of the `values` that were
/// sent, should the site repeat one. The `names` of fields stay, whatever they have in common with a value.
pub(crate) fn repeatable(text: &str, names: &[&str], values: &[&str]) -> String {
    let text = text.get(..text.floor_char_boundary(READ)).unwrap_or_default();
    let line = without(text, names, values).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// A name that the site chose, for people to read: cut as above, and with its control characters escaped.
pub(crate) fn repeatable_name(name: &str) -> String {
    repeatable(name, &[], &[]).chars().map(escaped).collect()
}

fn escaped(c: char) -> String {
    if matches!(c, '\'' | '"' | '\\') { c.to_string() } else { c.escape_debug().to_string() }
}

/// Replaces the values wherever they stand as whole words, except inside names, and in "1 out of 2 records", which is always
/// a count.
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

/// The length of the longest of these that the text begins with as a whole word, 0 for none.
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
    fn a_single_value_is_its_text() {
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
    fn sayings_are_read_from_lists_and_objects_too() {
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
    fn fewer_records_than_sent_are_noticed() {
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
    fn unknown_fields_are_named() {
        let message = "1 out of 1 records successfully imported. The following names [A, B c] were sent in the message but do not exist in the form";
        assert_eq!(unknown_fields(message, &[]), ["A", "B c"]);
        assert_eq!(unknown_fields("1 out of 1 records successfully imported.", &["A"]), [""; 0]);
        assert_eq!(unknown_fields(&message.replace("A, B c", ""), &["A"]), [""; 0]);
    }

    #[test]
    fn names_with_commas_and_brackets_are_recognised_if_they_were_sent() {
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
    fn every_such_sentence_counts_and_a_name_counts_once() {
        let message = format!("{NAMES_BEFORE}A, B{NAMES_AFTER} {NAMES_BEFORE}B, C{NAMES_AFTER}");
        assert_eq!(unknown_fields(&message, &[]), ["A", "B", "C"]);
        assert_eq!(unknown_fields("The following names [A, B] are not in the form.", &[]), ["A", "B"]);
        assert_eq!(unknown_fields("The following names [A, B", &[]), ["A", "B"]);
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
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
    fn long_texts_are_cut_and_put_on_one_line() {
        assert_eq!(repeatable(" a\r\n\tb ", &[], &[]), "a b");
        let long = repeatable(&"ü".repeat(100_000), &[], &[]);
        assert_eq!(long.chars().count(), KEPT + 1);
        assert!(long.ends_with("ü…"));
    }

    proptest! {
        #[test]
        fn names_that_were_sent_come_back_whole(names in prop::collection::btree_set("[A-Za-z\\]\\[(%. ]{0,8}[a-z]", 1..6)) {
            let sent: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = format!("Done. {NAMES_BEFORE}{}{NAMES_AFTER}", sent.join(", "));
            prop_assert_eq!(unknown_fields(&message, &sent), sent);
        }

        #[test]
        fn any_text_is_safe(text in ".*", values in prop::collection::vec(".{0,4}", 0..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let _ = counts_fewer(&text);
            let _ = repeatable(&text, &values, &values);
            let _ = unknown_fields(&text, &values);
            let _ = unknown_fields(&format!("{NAMES_BEFORE}{text}{NAMES_AFTER}"), &values);
        }
    }
}
