//! Parses one page of a collection: the text of each document, and the token of the next page.
//!
//! A page is accepted only if it is complete, because a missing document looks like a deleted one to the caller. A page
//! is an error if it reports an error, says that it is incomplete, or refers to further pages in an unknown way. It is
//! never read as a shorter list.
//!
//! One damaged document must not make the others unreadable. A body may be invalid JSON because a document holds a bare
//! `NaN` or a broken character. Such a body is split into documents by its brackets and strings alone. Each document is
//! then parsed separately.

use std::collections::HashSet;
use std::fmt;

use http::HeaderMap;
use http::header::LINK;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::ApiError;

/// A page of documents.
#[derive(Debug, Default)]
pub(crate) struct Page<'a> {
    /// The text of each document.
    pub(crate) documents: Vec<&'a [u8]>,
    /// The `next_token` of the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl<'a> Page<'a> {
    /// Reads a page: `{"data": [..], "next_token": "..." or null}`.
    pub(crate) fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, ApiError> {
        let envelope = match serde_json::from_slice::<Envelope<'_>>(body) {
            Ok(envelope) => envelope,
            Err(error) if error.is_data() => return Err(NO_PAGE),
            Err(_) => Envelope::cut(body)?,
        };
        let Envelope { data, next_token, others } = envelope;
        let documents = data.ok_or(NO_PAGE)?;
        if others.iter().any(|(name, value)| says_wrong(name, value)) {
            return Err(ApiError::Unreadable { what: "an error beside the documents" });
        }
        let next = next_token.filter(|token| !token.is_empty());
        let more = || any_says_more(others.iter().map(|(name, value)| (name, value))) || has_next_link(headers);
        if next.is_none() && more() {
            return Err(ApiError::Unreadable { what: "a next page that is not in next_token" });
        }
        Ok(Self { documents, next })
    }
}

const NO_PAGE: ApiError = ApiError::Unreadable { what: "JSON that is no page of documents" };
const NOT_JSON: ApiError = ApiError::Unreadable { what: "a body that is not JSON" };

/// Most members that a page with invalid JSON may have. Oura documents two.
const MOST_MEMBERS: usize = 64;

/// The members of a page. Undocumented members are kept, to check whether they refer to further pages.
#[derive(Default)]
struct Envelope<'a> {
    data: Option<Vec<&'a [u8]>>,
    next_token: Option<String>,
    others: Vec<(String, Value)>,
}

impl<'a> Envelope<'a> {
    /// Splits a body that is not valid JSON. All of it must belong to a member, and only documents may be damaged.
    fn cut(body: &'a [u8]) -> Result<Self, ApiError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut envelope = Self::default();
        let members = members(body).ok_or(NOT_JSON)?;
        if members.len() > MOST_MEMBERS {
            return Err(NO_PAGE);
        }
        let mut seen = HashSet::new();
        for (name, value) in members {
            match &*name {
                "data" => envelope.data = Some(parts(value, b'[').ok_or(NO_PAGE)?),
                "next_token" => envelope.next_token = serde_json::from_slice(value).map_err(|_| NO_PAGE)?,
                _ => envelope.others.push((name.clone(), serde_json::from_slice(value).map_err(|_| NOT_JSON)?)),
            }
            if !seen.insert(name) {
                return Err(NO_PAGE);
            }
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A hand-written visitor, because a derived one would also accept a list as the members in their order.
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a page")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                let mut has_token = false;
                while let Some(name) = map.next_key::<String>()? {
                    match &*name {
                        "data" if envelope.data.is_some() => return Err(A::Error::duplicate_field("data")),
                        "data" => {
                            let documents: Vec<&'de RawValue> = map.next_value()?;
                            envelope.data = Some(documents.iter().map(|document| document.get().as_bytes()).collect());
                        }
                        "next_token" if has_token => return Err(A::Error::duplicate_field("next_token")),
                        "next_token" => (has_token, envelope.next_token) = (true, map.next_value()?),
                        _ => envelope.others.push((name, map.next_value()?)),
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member's name in one normal form: `isLast`, `is_last` and `is-last` are the same.
fn one_spelling(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Whether a member beside the documents reports a problem: an error, an explanation of one (RFC 7807), or missing
/// documents.
fn says_wrong(name: &str, value: &Value) -> bool {
    match &*one_spelling(name) {
        "error" | "errors" | "title" | "detail" | "partial" | "ispartial" | "incomplete" => says_something(value),
        _ => false,
    }
}

/// Whether undocumented members say that there is another page: one member by itself, or the number of this page
/// together with the number of pages (`"page": 1, "total_pages": 2`).
fn any_says_more<'v>(members: impl Iterator<Item = (&'v String, &'v Value)>) -> bool {
    let members: Vec<_> = members.map(|(name, value)| (one_spelling(name), value)).collect();
    let number = |names: &[&str]| {
        members.iter().filter(|(name, _)| names.contains(&&**name)).find_map(|(_, value)| value.as_f64())
    };
    let page = number(&["page", "currentpage", "pagenumber"]).unwrap_or(1.0);
    let pages = number(&["totalpages", "pagecount", "lastpage"]).unwrap_or(1.0);
    // Some servers count pages from zero.
    pages > page.max(1.0) || members.iter().any(|(name, value)| says_more(name, value))
}

/// Whether an undocumented member says that there is another page: `nextToken`, `pagination.cursor`, `links.next`,
/// `has_more`, `truncated`, `remaining` and the like with a value, or `is_last` with a false value. The name is in the
/// form of [`one_spelling`].
fn says_more(name: &str, value: &Value) -> bool {
    // A rate limit counts the remaining requests, not documents.
    if name.contains("ratelimit") {
        return false;
    }
    let onward = ["next", "cursor", "continu", "pagetoken", "hasmore"].iter().any(|word| name.contains(word));
    if (onward && !name.contains("prev")) || ["more", "truncated", "istruncated", "remaining"].contains(&name) {
        return says_something(value);
    }
    if ["last", "islast", "lastpage", "islastpage", "complete", "iscomplete"].contains(&name) {
        return *value == Value::Bool(false);
    }
    match value {
        Value::Object(members) => any_says_more(members.iter()),
        Value::Array(items) => items.iter().any(|item| says_more("", item)),
        // An entry of a list of links.
        Value::String(text) => name == "rel" && text.eq_ignore_ascii_case("next"),
        _ => false,
    }
}

/// Whether a value holds anything other than null, false, 0 and empty texts, lists and objects.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(members) => members.values().any(says_something),
    }
}

/// Whether the `Link` headers refer to a next page (RFC 8288).
fn has_next_link(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    links.map(|link| link.to_ascii_lowercase().replace('"', "")).any(|link| {
        link.split([';', ',']).any(|parameter| matches!(parameter.trim().strip_prefix("rel="), Some("next")))
    })
}

/// The members of an object whose values may be invalid JSON: names and the texts of the values.
pub(crate) fn members(text: &[u8]) -> Option<Vec<(String, &[u8])>> {
    parts(text, b'{')?.into_iter().map(member).collect()
}

/// The members of such an object whose names and values are each valid JSON. The others are left out.
pub(crate) fn readable_members(text: &[u8]) -> Option<Map<String, Value>> {
    let members = parts(text, b'{')?.into_iter().filter_map(member);
    Some(members.filter_map(|(name, value)| Some((name, serde_json::from_slice(value).ok()?))).collect())
}

fn member(text: &[u8]) -> Option<(String, &[u8])> {
    // The JSON parser reads the name, and also reports where the name ends.
    let mut names = serde_json::Deserializer::from_slice(text).into_iter::<String>();
    let name = names.next()?.ok()?;
    let value = text.get(names.byte_offset()..)?.trim_ascii_start().strip_prefix(b":")?;
    Some((name, value.trim_ascii()))
}

/// Splits an object or a list, whose first byte is `open`, at its own commas. `None` if brackets do not match or
/// anything is outside them, because the whole can't be understood then.
fn parts(text: &[u8], open: u8) -> Option<Vec<&[u8]>> {
    let text = text.trim_ascii();
    if text.first() != Some(&open) {
        return None;
    }
    let (mut closers, mut parts, mut from) = (Vec::new(), Vec::new(), 1);
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in text.iter().copied().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' => closers.push(b'}'),
            b'[' => closers.push(b']'),
            b'}' | b']' => {
                if closers.pop() != Some(byte) {
                    return None;
                }
                if closers.is_empty() {
                    let last = text.get(from..at)?.trim_ascii();
                    if !(last.is_empty() && parts.is_empty()) {
                        parts.push(last);
                    }
                    return (at + 1 == text.len()).then_some(parts);
                }
            }
            b',' if closers.len() == 1 => {
                parts.push(text.get(from..at)?.trim_ascii());
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::json;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            r#"[\\"{}\[\],: aé]{0,6}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(r#"[\\"{},a]{0,3}"#, inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    fn is_json(text: &[u8]) -> bool {
        serde_json::from_slice::<IgnoredAny>(text).is_ok()
    }

    fn spaced(value: &Value) -> String {
        serde_json::to_string_pretty(value).unwrap()
    }

    proptest! {
        #[test]
        fn json_is_cut_into_what_its_reader_finds(values in prop::collection::vec(any_value(), 0..5)) {
            let text = spaced(&Value::from(values.clone()));
            let cut: Vec<Value> = parts(text.as_bytes(), b'[').unwrap().into_iter().map(|part| serde_json::from_slice(part).unwrap()).collect();
            prop_assert_eq!(cut, values);
        }

        #[test]
        fn a_page_cut_by_hand_is_the_page_its_reader_finds(values in prop::collection::vec(any_value(), 0..4), next in "[a\"]{0,2}") {
            let text = spaced(&json!({"data": values, "next_token": next}));
            let read = Page::read(&HeaderMap::new(), text.as_bytes()).unwrap();
            let cut = Envelope::cut(text.as_bytes()).unwrap();
            prop_assert_eq!(Some(read.documents), cut.data);
            prop_assert_eq!(read.next.unwrap_or_default(), cut.next_token.unwrap_or_default());
        }

        #[test]
        fn one_damaged_document_leaves_the_others_whole(
            values in prop::collection::vec(any_value(), 1..5), at in any::<prop::sample::Index>(), token in "NaN|-?Infinity|undefined|0x1F|[.]5|\u{7}",
        ) {
            let at = at.index(values.len());
            let mut texts: Vec<String> = values.iter().map(spaced).collect();
            texts[at] = format!(r#"{{"id": "a", "score": {token}}}"#);
            let text = format!(r#"{{"data": [{}], "next_token": null}}"#, texts.join(","));
            let page = Page::read(&HeaderMap::new(), text.as_bytes()).unwrap();
            let damaged: Vec<bool> = page.documents.iter().map(|document| !is_json(document)).collect();
            prop_assert_eq!(damaged, (0..values.len()).map(|index| index == at).collect::<Vec<_>>());
        }

        #[test]
        fn a_page_that_is_cut_short_is_no_page(values in prop::collection::vec(any_value(), 0..4), keep in any::<prop::sample::Index>()) {
            let text = json!({"data": values, "next_token": null}).to_string();
            let cut = text.as_bytes().get(..keep.index(text.len())).unwrap();
            prop_assert!(Page::read(&HeaderMap::new(), cut).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Page::read(&HeaderMap::new(), &bytes);
            let _ = members(&bytes);
        }
    }
}
