//! Parses the body of a response as JSON, even if single bytes or words of it are invalid.
//!
//! A body may begin with a byte order mark. It may hold a Latin-1 letter in a name, a control character in a comment,
//! or `NaN` in place of a number. A strict parser would refuse the whole body, and the data of all other users would be
//! lost. So this parser repairs strings and bare words. It never repairs a body that is cut off, or that is not a JSON
//! object or list.

use std::fmt::Write as _;

use serde_json::Value;

/// A parsed body.
pub(crate) struct Body {
    pub(crate) json: Value,
    /// Whether some bytes were not UTF-8 and were read as Latin-1 letters. That is good enough for a name, but not for
    /// an identifier.
    pub(crate) guessed: bool,
}

/// The bytes without the byte order mark that some servers send.
pub(crate) fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// Parses a body; `None` if it can't be repaired.
pub(crate) fn read(body: &[u8]) -> Option<Body> {
    let body = unmarked(body);
    if let Ok(json) = serde_json::from_slice(body) {
        return Some(Body { json, guessed: false });
    }
    let (text, guessed) = decode(body);
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let json = serde_json::from_str(&repair(&text)).ok()?;
    Some(Body { json, guessed })
}

/// The bytes as text, and whether any byte was read as Latin-1.
fn decode(body: &[u8]) -> (String, bool) {
    let mut text = String::with_capacity(body.len());
    let mut guessed = false;
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(char::from));
        guessed |= !chunk.invalid().is_empty();
    }
    (text, guessed)
}

/// Makes strings and bare words valid JSON. Does not change the structure.
fn repair(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let read = if next == '"' {
            json.push('"');
            1 + repair_string(rest.get(1..).unwrap_or_default(), &mut json)
        } else if is_bare(next) {
            let word = rest.get(..rest.find(|c| !is_bare(c)).unwrap_or(rest.len())).unwrap_or_default();
            repair_word(word, &mut json);
            word.len()
        } else {
            json.push(if next.is_control() { ' ' } else { next });
            next.len_utf8()
        };
        rest = rest.get(read..).unwrap_or_default();
    }
    json
}

/// Whether a character may be part of a number or word outside strings.
fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')
}

/// Keeps a number or word that is valid JSON. Any other, such as `NaN` or `1e999`, becomes a string.
fn repair_word(word: &str, json: &mut String) {
    if serde_json::from_str::<Value>(word).is_ok() {
        json.push_str(word);
    } else {
        json.push('"');
        json.push_str(word);
        json.push('"');
    }
}

/// Copies a string, from after its opening quote to its closing quote. Returns how many bytes were read.
fn repair_string(text: &str, json: &mut String) -> usize {
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let read = match next {
            '"' => {
                json.push('"');
                return text.len() - rest.len() + 1;
            }
            '\\' => repair_escape(rest, json),
            next if next < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(next));
                next.len_utf8()
            }
            next => {
                json.push(next);
                next.len_utf8()
            }
        };
        rest = rest.get(read..).unwrap_or_default();
    }
    text.len()
}

/// Writes the escape at the start of the text and returns its length in bytes. An unpaired surrogate becomes the
/// replacement character, and a backslash that escapes nothing stays a backslash.
fn repair_escape(text: &str, json: &mut String) -> usize {
    let (written, read) = match (unit(text), text.get(1..2)) {
        (Some(0xD800..0xDC00), _) if matches!(text.get(6..).and_then(unit), Some(0xDC00..0xE000)) => {
            (text.get(..12).unwrap_or_default(), 12)
        }
        (Some(0xD800..0xE000), _) => ("\\ufffd", 6),
        (Some(_), _) => (text.get(..6).unwrap_or_default(), 6),
        (None, Some("\"" | "\\" | "/" | "b" | "f" | "n" | "r" | "t")) => (text.get(..2).unwrap_or_default(), 2),
        (None, _) => ("\\\\", 1),
    };
    json.push_str(written);
    read
}

/// The number in the `\uXXXX` at the start of the text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) { u16::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::any_json;

    fn json(body: &[u8]) -> Option<Value> {
        read(body).map(|body| body.json)
    }

    #[test]
    fn invalid_bytes_and_words_affect_only_themselves() {
        for (body, meaning) in [
            (&b"\xEF\xBB\xBF{\"a\":1}"[..], json!({"a": 1})),
            (b"{\"a\":\"J\xF6rg\"}", json!({"a": "Jörg"})),
            (b"{\"a\":\"J\xC3\xB6rg \xF6\"}", json!({"a": "Jörg ö"})),
            (b"{\"a\":\"one\ttwo\nthree\x01\"}", json!({"a": "one\ttwo\nthree\u{1}"})),
            (b"{\"a\":NaN,\"b\":-Infinity}", json!({"a": "NaN", "b": "-Infinity"})),
            (b"[1e999, 007, +7, .5, undefined]", json!(["1e999", "007", "+7", ".5", "undefined"])),
            (br#"{"a":"\ud83d"}"#, json!({"a": "\u{fffd}"})),
            (br#"{"a":"\udc00\ud83d\ude00","b":NaN}"#, json!({"a": "\u{fffd}\u{1f600}", "b": "NaN"})),
            (br#"{"a":"C:\dir \u12 \"x\" \n"}"#, json!({"a": "C:\\dir \\u12 \"x\" \n"})),
            (b"{\"a\":1}\0", json!({"a": 1})),
            (b"{\"a\":NaN,\"b\":[true,false,null,-1.5e3]}", json!({"a": "NaN", "b": [true, false, null, -1.5e3]})),
        ] {
            assert_eq!(json(body), Some(meaning), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn marks_guessed_letters() {
        assert!(read(b"{\"a\":\"\xF6\"}").unwrap().guessed);
        assert!(!read("{\"a\":\"ö\",\"b\":NaN}".as_bytes()).unwrap().guessed);
        assert!(!read(b"{}").unwrap().guessed);
    }

    #[test]
    fn does_not_repair_a_cut_body_or_a_bare_value() {
        for body in [
            &b""[..],
            b" ",
            b"Success",
            b"NaN",
            b"<html>",
            b"{\"events\":[{",
            b"{\"events\":[",
            b"{\"events\":[]",
            b"{\"a\":\"b",
            b"{\"a\":\"b\\",
            b"{\"a\":}",
            b"{\"a\" 1}",
            b"{\"a\":1}{",
            b"{\"a\":\"b\"c\"}",
        ] {
            assert_eq!(json(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    proptest! {
        #[test]
        fn does_not_change_valid_json(value in any_json()) {
            let text = value.to_string();
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(json(text.as_bytes()), Some(value.clone()));
            // A repair does not change valid JSON.
            prop_assert_eq!(serde_json::from_str::<Value>(&repair(&text)).unwrap(), value);
        }

        #[test]
        fn does_not_panic_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,\\\\uNd80a \n]{0,60}") {
            let _ = read(&bytes);
            let _ = read(text.as_bytes());
        }
    }
}
