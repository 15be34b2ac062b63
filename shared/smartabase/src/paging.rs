//! Decides whether an answer is complete, and finds the cursor of the next page.
//!
//! The API spells its cursor in three ways and puts it in four places. The caller creates an event if a look-up does
//! not find it, so a page must never be taken for the last one by mistake. So an unreadable cursor is an error, and so
//! is any unknown member that looks like a continuation.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::Error;
use crate::ids::read_id;
use crate::message::{repeatable_name, text};

/// The member names of the next cursor.
const NEXT_CURSOR_NAMES: [&str; 2] = ["nextCursor", "next_cursor"];
/// The member that most sites use for the next cursor, and some for the cursor of the current page.
const CURSOR_NAME: &str = "cursor";

/// Words in a member's name that mean "there is more" if the member has a value.
const WORDS_FOR_MORE: [&str; 11] =
    ["next", "more", "page", "pages", "paging", "token", "offset", "remaining", "partial", "link", "links"];
/// Substrings anywhere in the name with the same meaning.
const PARTS_FOR_MORE: [&str; 10] = [
    "cursor",
    "continu",
    "paginat",
    "truncat",
    "incomplete",
    "hasmore",
    "hasnext",
    "nextpage",
    "morepage",
    "remaining",
];
/// Words that turn a number of pages into a number of further pages. With them, 1 does not mean the first and only
/// page.
const WORDS_FOR_FURTHER: [&str; 5] = ["next", "more", "remaining", "left", "has"];
/// Words in a member's name that mean "there is more" if the member is false.
const WORDS_FOR_WHOLE: [&str; 5] = ["last", "complete", "final", "finished", "done"];
/// Words of which a total's name consists, such as `totalCount`. Words for users are not included: an answer about the
/// events of one user may count the user.
const WORDS_OF_TOTALS: [&str; 13] = [
    "total", "count", "of", "event", "events", "result", "results", "record", "records", "entries", "items",
    "elements", "hits",
];
/// The members that may hold a total, beside the answer itself.
const PLACES_OF_TOTALS: [&str; 6] = ["export", "pagination", "paging", "page", "meta", "metadata"];

/// The cursors seen while reading one list. They end the loop even if the site repeats its cursors.
#[derive(Default)]
pub(crate) struct Cursors {
    seen: HashSet<String>,
    sent: Option<String>,
    /// The number of entries on the pages so far.
    entries: usize,
}

impl Cursors {
    /// The cursor of the next page; `None` if this is known to be the last page.
    pub(crate) fn next(&mut self, page: &Value) -> Result<Option<String>, Error> {
        self.entries += entries(page);
        let marks = Marks::of(page)?;
        // A plain cursor that equals the one that was sent may be the cursor of this page.
        let plain: Vec<String> =
            marks.plain.iter().filter(|cursor| Some(*cursor) != self.sent.as_ref()).cloned().collect();
        let cursor = match only(marks.next)? {
            Some(cursor) => cursor,
            None => match only(plain)? {
                Some(cursor) => cursor,
                None if !marks.plain.is_empty() && !marks.end => return Err(Error::CursorRepeats),
                None => return reject_unknown_marks(page, &mut Vec::new(), self.entries).map(|()| None),
            },
        };
        if !self.seen.insert(cursor.clone()) {
            return Err(Error::CursorRepeats);
        }
        self.sent = Some(cursor.clone());
        Ok(Some(cursor))
    }
}

/// Checks that an answer without paging is complete.
pub(crate) fn require_whole(answer: &Value) -> Result<(), Error> {
    match Cursors::default().next(answer)? {
        None => Ok(()),
        Some(_) => Err(Error::unexpected("the answer has further pages, which this call can't ask for")),
    }
}

/// The paging members of an answer, in the known places and spellings.
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
            for name in NEXT_CURSOR_NAMES.into_iter().chain([CURSOR_NAME]) {
                let Some(value) = object.get(name) else { continue };
                let cursor = match value {
                    // `0` and `"null"` are also no cursor to follow.
                    value if !is_set(value) => String::new(),
                    Value::String(_) | Value::Number(_) => text(Some(value)).trim().to_owned(),
                    _ => return Err(Error::unexpected(format!("`{place}{name}` can't be read"))),
                };
                if cursor.is_empty() {
                    marks.end = true;
                } else if name == CURSOR_NAME {
                    marks.plain.push(cursor);
                } else {
                    marks.next.push(cursor);
                }
            }
        }
        Ok(marks)
    }
}

/// The one cursor in this list, which may occur several times.
fn only(cursors: Vec<String>) -> Result<Option<String>, Error> {
    let mut cursors = cursors.into_iter();
    let first = cursors.next();
    if cursors.any(|cursor| Some(&cursor) != first.as_ref()) {
        return Err(Error::unexpected("the answer has two different cursors"));
    }
    Ok(first)
}

/// Fails if an unknown member says that the answer continues after this number of entries. Lists are not searched,
/// because they hold records. `path` leads from the answer to this object.
fn reject_unknown_marks<'a>(object: &'a Value, path: &mut Vec<&'a str>, entries: usize) -> Result<(), Error> {
    let has_cursor = matches!(path.as_slice(), [] | ["pagination" | "export"] | ["export", "pagination"]);
    for (name, value) in object.as_object().into_iter().flatten() {
        path.push(name);
        let known = has_cursor && (NEXT_CURSOR_NAMES.contains(&name.as_str()) || name == CURSOR_NAME);
        if value.is_object() {
            reject_unknown_marks(value, path, entries)?;
        } else if !known && (looks_like_more(name, value) || is_higher_total(path, value, entries)) {
            let member = repeatable_name(&path.join("."));
            let what = format!(
                "`{member}` may say that the answer goes on, and how is not known, so it can't be taken for whole"
            );
            return Err(Error::unexpected(what));
        }
        path.pop();
    }
    Ok(())
}

/// Whether an unknown member may say that there is more.
fn looks_like_more(name: &str, value: &Value) -> bool {
    let words = words(name);
    let has = |word: &str| words.iter().any(|other| other == word);
    let has_any = |list: &[&str]| list.iter().any(|word| has(word));
    if has_any(&WORDS_FOR_WHOLE)
        && let Some(whole) = read_answer(&words, value)
    {
        return !whole;
    }
    // A copy of a request parameter, or the page size.
    if !is_set(value) || has("paginate") || has("size") || has("per") {
        return false;
    }
    // The first page of one.
    let counts_pages = has_any(&["page", "pages"]) && !has_any(&WORDS_FOR_FURTHER);
    if counts_pages && value.as_f64().is_some_and(|number| number <= 1.0) {
        return false;
    }
    let squashed = words.concat();
    has_any(&WORDS_FOR_MORE) || PARTS_FOR_MORE.iter().any(|part| squashed.contains(part))
}

/// Reads a member as yes or no, in any notation. A number counts only if the name asks a question, such as `isLastPage`
/// or `complete`. A `lastSynchronisationTimeOnServer` of 0 means neither.
fn read_answer(words: &[String], value: &Value) -> Option<bool> {
    let asks = words.first().is_some_and(|first| first == "is")
        || words.last().is_some_and(|last| last == "page" || WORDS_FOR_WHOLE.contains(&last.as_str()));
    match text(Some(value)).trim().to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        "1" if asks => Some(true),
        "0" if asks => Some(false),
        _ => None,
    }
}

/// Whether the member at this path gives a total that is higher than the number of entries read.
fn is_higher_total(path: &[&str], value: &Value, entries: usize) -> bool {
    let Some((name, places)) = path.split_last() else { return false };
    let Some(total) = read_id(value) else { return false };
    let words = words(name);
    words.iter().any(|word| word == "total" || word == "count")
        && words.iter().all(|word| WORDS_OF_TOTALS.contains(&word.as_str()))
        && places.iter().all(|place| PLACES_OF_TOTALS.contains(place))
        && usize::try_from(total).map_or(true, |total| total > entries)
}

/// The number of entries in all lists of an answer, or in the lists inside those entries, as in `groupmembers`, if that
/// is more. A total that counts only some of these lists is never higher, so a complete answer never looks cut off.
fn entries(answer: &Value) -> usize {
    let Value::Object(members) = answer else { return 0 };
    let count = |(name, value): (&String, &Value)| match value {
        Value::Array(_) if name.starts_with("idsOfDeleted") => 0,
        Value::Array(items) => {
            let inner = items.iter().filter_map(|item| item.get("results")?.as_array());
            items.len().max(inner.map(Vec::len).sum())
        }
        value => entries(value),
    };
    members.iter().map(count).sum()
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

/// Whether a member has a value other than null, false, zero, a blank text, or an empty list or object.
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
    fn follows_every_spelling_and_place_of_the_cursor() {
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
    fn last_page_has_no_cursor() {
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
    fn repeated_cursor_beside_an_end_mark_is_the_pages_own() {
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
        // The first request sent no cursor that this one could repeat, and one more request is safe.
        assert_eq!(next(&json!({"cursor": "c0", "nextCursor": null})), Ok(Some("c0".to_owned())));
    }

    #[test]
    fn repeated_cursor_is_an_error() {
        let mut cursors = Cursors::default();
        assert!(cursors.next(&json!({"cursor": "c1"})).is_ok());
        assert!(cursors.next(&json!({"cursor": "c2"})).is_ok());
        assert_eq!(cursors.next(&json!({"nextCursor": "c1"})), Err(Error::CursorRepeats));
        let mut cursors = Cursors::default();
        assert!(cursors.next(&json!({"cursor": "c1"})).is_ok());
        assert_eq!(cursors.next(&json!({"cursor": "c1"})), Err(Error::CursorRepeats));
    }

    #[test]
    fn unreadable_cursor_is_an_error() {
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
    fn unknown_continuation_is_an_error() {
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
    fn unrelated_members_do_not_continue_the_list() {
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
    fn unpaged_answer_must_have_one_page() {
        assert_eq!(require_whole(&json!({"results": []})), Ok(()));
        for page in [json!({"cursor": "c1"}), json!({"pagination": {"nextCursor": "c1"}}), json!({"hasMore": true})] {
            assert!(matches!(require_whole(&page), Err(Error::Unexpected { .. })), "{page}");
        }
    }
}
