//! Reads whether an answer is whole, and where the next page begins if it is not.
//!
//! The API spells its cursor in three ways and puts it in four places. The caller creates an event when a look-up does not
//! find it, so a page must never be taken for the last one by mistake. A cursor that can't be read, and any unknown member
//! that looks like a continuation, is therefore an error.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::Error;
use crate::message::text;

/// The member names of the next cursor, and the one name that some sites use for the current cursor.
const NEXT: [&str; 2] = ["nextCursor", "next_cursor"];
const PLAIN: &str = "cursor";

/// Words in the name of a member that say, if the member has a value, that there is more.
const MORE: [&str; 11] =
    ["next", "more", "page", "pages", "paging", "token", "offset", "remaining", "partial", "link", "links"];
/// The same, as substrings anywhere in the name.
const MORE_ANYWHERE: [&str; 8] =
    ["cursor", "continu", "paginat", "truncat", "incomplete", "hasmore", "hasnext", "nextpage"];
/// Words in the name of a member that say, if the member is false, that there is more.
const ALL: [&str; 5] = ["last", "complete", "final", "finished", "done"];

/// The cursors seen while reading one list, so that paging ends even where the site does not end it.
#[derive(Default)]
pub(crate) struct Cursors {
    seen: HashSet<String>,
    sent: Option<String>,
}

impl Cursors {
    /// The cursor of the page after this one, `None` if this is known to be the last.
    pub(crate) fn next(&mut self, page: &Value) -> Result<Option<String>, Error> {
        let marks = Marks::of(page)?;
        // A plain cursor that repeats what was sent may be the page's own.
        let plain: Vec<String> =
            marks.plain.iter().filter(|cursor| Some(*cursor) != self.sent.as_ref()).cloned().collect();
        let cursor = match only(marks.next)? {
            Some(cursor) => cursor,
            None => match only(plain)? {
                Some(cursor) => cursor,
                None if !marks.plain.is_empty() && !marks.end => return Err(Error::CursorRepeats),
                None => return reject_unknown_marks(page).map(|()| None),
            },
        };
        if !self.seen.insert(cursor.clone()) {
            return Err(Error::CursorRepeats);
        }
        self.sent = Some(cursor.clone());
        Ok(Some(cursor))
    }
}

/// Makes sure that an answer which is not read page by page is whole.
pub(crate) fn require_whole(answer: &Value) -> Result<(), Error> {
    match Cursors::default().next(answer)? {
        None => Ok(()),
        Some(_) => Err(Error::unexpected("the answer has further pages, which this call can't ask for")),
    }
}

/// What an answer says in the places and spellings that are known.
#[derive(Default)]
struct Marks {
    next: Vec<String>,
    plain: Vec<String>,
    /// Whether a known member says explicitly that there is no further page.
    end: bool,
}

impl Marks {
    fn of(page: &Value) -> Result<Marks, Error> {
        let mut marks = Marks::default();
        let export = page.get("export");
        let places = [
            ("", Some(page)),
            ("pagination.", page.get("pagination")),
            ("export.", export),
            ("export.pagination.", export.and_then(|export| export.get("pagination"))),
        ];
        for (place, object) in places.into_iter().filter_map(|(place, object)| Some((place, object?))) {
            for name in NEXT.into_iter().chain([PLAIN]) {
                let Some(value) = object.get(name) else { continue };
                let cursor = match value {
                    Value::String(_) | Value::Number(_) => text(Some(value)).trim().to_owned(),
                    value if is_set(value) => {
                        return Err(Error::unexpected(format!("`{place}{name}` can't be read")));
                    }
                    _ => String::new(),
                };
                if cursor.is_empty() {
                    marks.end = true;
                } else if name == PLAIN {
                    marks.plain.push(cursor);
                } else {
                    marks.next.push(cursor);
                }
            }
        }
        Ok(marks)
    }
}

/// The one cursor among these, which may repeat it.
fn only(cursors: Vec<String>) -> Result<Option<String>, Error> {
    let mut cursors = cursors.into_iter();
    let first = cursors.next();
    if cursors.any(|cursor| Some(&cursor) != first.as_ref()) {
        return Err(Error::unexpected("the answer has two different cursors"));
    }
    Ok(first)
}

/// An error if a member that is not known says that the answer goes on. Lists are not looked into: they hold records.
fn reject_unknown_marks(page: &Value) -> Result<(), Error> {
    let mut rest = vec![(String::new(), page)];
    while let Some((place, object)) = rest.pop() {
        for (name, value) in object.as_object().into_iter().flatten() {
            let known = matches!(place.as_str(), "" | "pagination." | "export." | "export.pagination.")
                && (NEXT.contains(&name.as_str()) || name == PLAIN);
            if value.is_object() {
                rest.push((format!("{place}{name}."), value));
            } else if !known && looks_like_more(name, value) {
                let what = format!(
                    "`{place}{name}` may say that the answer goes on, and how is not known, so it can't be taken for whole"
                );
                return Err(Error::unexpected(what));
            }
        }
    }
    Ok(())
}

/// Whether a member that this crate does not know may say that there is more.
fn looks_like_more(name: &str, value: &Value) -> bool {
    let words = words(name);
    let has = |word: &str| words.iter().any(|other| other == word);
    if let Value::Bool(truth) = value
        && ALL.iter().any(|word| has(word))
    {
        return !truth;
    }
    // Echoes what was asked, or says how large a page is.
    if !is_set(value) || has("paginate") || has("size") || has("per") {
        return false;
    }
    // The first of one page.
    if (has("page") || has("pages")) && !has("next") && value.as_f64().is_some_and(|number| number <= 1.0) {
        return false;
    }
    let squashed = words.concat();
    MORE.iter().any(|word| has(word)) || MORE_ANYWHERE.iter().any(|part| squashed.contains(part))
}

/// The words of a name, in lower case: `nextPage`, `next_page` and `next-page` have the same two.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut goes_on = false;
    let mut lower = false;
    for c in name.chars() {
        if !goes_on || (lower && c.is_uppercase()) {
            words.push(String::new());
        }
        goes_on = c.is_alphanumeric();
        lower = c.is_lowercase() || c.is_numeric();
        if goes_on && let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// Whether a member says anything: null, false, zero, a blank text and an empty list or object do not.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "null" | "none" | "0")
        }
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn next(page: &Value) -> Result<Option<String>, Error> {
        Cursors::default().next(page)
    }

    #[test]
    fn every_spelling_and_place_is_followed() {
        for page in [
            json!({"cursor": "c1"}),
            json!({"nextCursor": "c1"}),
            json!({"next_cursor": "c1"}),
            json!({"export": {"cursor": "c1"}}),
            json!({"export": {"nextCursor": "c1"}}),
            json!({"export": {"next_cursor": "c1"}}),
            json!({"pagination": {"cursor": "c1"}}),
            json!({"pagination": {"nextCursor": "c1"}}),
            json!({"pagination": {"next_cursor": "c1"}}),
            json!({"export": {"pagination": {"cursor": "c1"}}}),
            json!({"export": {"pagination": {"nextCursor": "c1"}}}),
            json!({"export": {"pagination": {"next_cursor": "c1"}}}),
            json!({"export": {"events": []}, "pagination": {"cursor": "c1"}}),
            json!({"cursor": null, "export": {"nextCursor": "c1"}}),
            json!({"cursor": "c1", "export": {"cursor": "c1"}}),
            json!({"cursor": "c0", "nextCursor": "c1"}),
            json!({"cursor": " c1 "}),
            json!({"cursor": "c1", "hasMore": true}),
        ] {
            assert_eq!(next(&page), Ok(Some("c1".to_owned())), "{page}");
        }
        assert_eq!(next(&json!({"cursor": 7})), Ok(Some("7".to_owned())));
    }

    #[test]
    fn the_last_page_has_none() {
        for page in [
            json!({}),
            json!([]),
            json!({"cursor": null}),
            json!({"cursor": ""}),
            json!({"cursor": " "}),
            json!({"cursor": false}),
            json!({"cursor": {}}),
            json!({"export": {"cursor": null}}),
            json!({"pagination": {"paginate": true, "cursor": null}}),
            json!({"pagination": null, "export": {"pagination": {}}}),
        ] {
            assert_eq!(next(&page), Ok(None), "{page}");
        }
    }

    #[test]
    fn a_cursor_that_repeats_what_was_sent_is_the_pages_own_beside_an_end() {
        for last in [
            json!({"cursor": "c1", "nextCursor": null}),
            json!({"cursor": null, "pagination": {"paginate": true, "cursor": "c1"}}),
        ] {
            let mut cursors = Cursors::default();
            assert_eq!(cursors.next(&json!({"cursor": "c1"})), Ok(Some("c1".to_owned())));
            assert_eq!(cursors.next(&last), Ok(None), "{last}");
        }
        let mut cursors = Cursors::default();
        assert_eq!(cursors.next(&json!({"cursor": "c1"})), Ok(Some("c1".to_owned())));
        let echo = json!({"cursor": "c2", "pagination": {"cursor": "c1"}});
        assert_eq!(cursors.next(&echo), Ok(Some("c2".to_owned())));
        // On a first page nothing was sent that it could repeat: to ask once more is safe.
        assert_eq!(next(&json!({"cursor": "c0", "nextCursor": null})), Ok(Some("c0".to_owned())));
    }

    #[test]
    fn a_circle_is_an_error() {
        let mut cursors = Cursors::default();
        assert!(cursors.next(&json!({"cursor": "c1"})).is_ok());
        assert!(cursors.next(&json!({"cursor": "c2"})).is_ok());
        assert_eq!(cursors.next(&json!({"nextCursor": "c1"})), Err(Error::CursorRepeats));
        let mut cursors = Cursors::default();
        assert!(cursors.next(&json!({"cursor": "c1"})).is_ok());
        assert_eq!(cursors.next(&json!({"cursor": "c1"})), Err(Error::CursorRepeats));
    }

    #[test]
    fn a_cursor_that_cannot_be_read_is_no_end() {
        for page in [
            json!({"cursor": true}),
            json!({"cursor": ["c1"]}),
            json!({"cursor": {"next": "c1"}}),
            json!({"pagination": {"nextCursor": {"value": "c1"}}}),
            json!({"cursor": "c1", "pagination": {"cursor": "c2"}}),
            json!({"nextCursor": "c1", "next_cursor": "c2"}),
        ] {
            assert!(matches!(next(&page), Err(Error::Unexpected { .. })), "{page}");
        }
    }

    #[test]
    fn an_unknown_member_that_looks_like_a_continuation_is_no_end() {
        for (page, named) in [
            (json!({"nextPageToken": "c1"}), "`nextPageToken`"),
            (json!({"NextCursor": "c1"}), "`NextCursor`"),
            (json!({"next-cursor": "c1"}), "`next-cursor`"),
            (json!({"next": "https://example.org/2"}), "`next`"),
            (json!({"nextPage": 1}), "`nextPage`"),
            (json!({"hasMore": true}), "`hasMore`"),
            (json!({"has_more": "true"}), "`has_more`"),
            (json!({"HASMORE": true}), "`HASMORE`"),
            (json!({"moreResults": 1}), "`moreResults`"),
            (json!({"continuationToken": "x"}), "`continuationToken`"),
            (json!({"totalPages": 2}), "`totalPages`"),
            (json!({"isLastPage": false}), "`isLastPage`"),
            (json!({"complete": false}), "`complete`"),
            (json!({"truncated": true}), "`truncated`"),
            (json!({"pagination": "c1"}), "`pagination`"),
            (json!({"pagination": {"next": "c1"}}), "`pagination.next`"),
            (json!({"meta": {"cursor": "c1"}}), "`meta.cursor`"),
            (json!({"export": {"page": {"cursor": "c1"}}}), "`export.page.cursor`"),
            (json!({"_links": {"self": "/1", "next": "/2"}}), "`_links.next`"),
            (json!({"links": [{"rel": "next"}]}), "`links`"),
            (json!({"cursor": null, "hasMore": true}), "`hasMore`"),
        ] {
            let Err(Error::Unexpected { what }) = next(&page) else { panic!("{page}") };
            assert!(what.contains(named), "{named} is not in: {what}");
        }
    }

    #[test]
    fn members_that_say_nothing_of_a_continuation_end_a_list() {
        for page in [
            json!({"lastSynchronisationTimeOnServer": 1, "idsOfDeletedEvents": [3], "users": [{"next": "x"}]}),
            json!({"hasMore": false, "nextPage": null, "nextPageToken": "", "remaining": 0, "links": []}),
            json!({"page": 1, "totalPages": 1, "pageSize": 100, "perPage": 100, "paginate": true}),
            json!({"isLastPage": true, "complete": true, "last": "x"}),
            json!({"_links": {"self": "/1"}, "message": "ok", "serverTime": 1, "homepage": "x"}),
        ] {
            assert_eq!(next(&page), Ok(None), "{page}");
        }
    }

    #[test]
    fn an_answer_that_is_read_at_once_has_one_page() {
        assert_eq!(require_whole(&json!({"results": []})), Ok(()));
        for page in [json!({"cursor": "c1"}), json!({"pagination": {"nextCursor": "c1"}}), json!({"hasMore": true})] {
            assert!(matches!(require_whole(&page), Err(Error::Unexpected { .. })), "{page}");
        }
    }
}
