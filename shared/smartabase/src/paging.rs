//! Following cursors, which the API spells in three ways and puts in two places.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::Error;
use crate::message::text;

/// The cursors seen while reading one list, so that paging ends even where the site does not end it.
#[derive(Default)]
pub(crate) struct Cursors {
    seen: HashSet<String>,
}

impl Cursors {
    /// The cursor of the page after this one, `None` after the last.
    pub(crate) fn next(&mut self, page: &Value) -> Result<Option<String>, Error> {
        let Some(cursor) = find(page) else { return Ok(None) };
        if !self.seen.insert(cursor.clone()) {
            return Err(Error::CursorRepeats);
        }
        Ok(Some(cursor))
    }
}

/// At the top, or under `export` where `synchronise` may have it. The explicit spellings come first: beside one of them
/// a plain `cursor` can only be the page's own.
fn find(page: &Value) -> Option<String> {
    let places = [Some(page), page.get("export")];
    for spelling in ["nextCursor", "next_cursor", "cursor"] {
        let mut said = false;
        for value in places.iter().flatten().filter_map(|place| place.get(spelling)) {
            said = true;
            let cursor = text(Some(value));
            if !cursor.trim().is_empty() {
                return Some(cursor);
            }
        }
        if said {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_and_place_is_followed() {
        for page in [
            json!({"cursor": "c1"}),
            json!({"nextCursor": "c1"}),
            json!({"next_cursor": "c1"}),
            json!({"export": {"cursor": "c1"}}),
            json!({"export": {"nextCursor": "c1"}}),
            json!({"export": {"next_cursor": "c1"}}),
            json!({"cursor": null, "export": {"nextCursor": "c1"}}),
            json!({"cursor": "c0", "nextCursor": "c1"}),
        ] {
            assert_eq!(Cursors::default().next(&page), Ok(Some("c1".to_owned())), "{page}");
        }
        assert_eq!(Cursors::default().next(&json!({"cursor": 7})), Ok(Some("7".to_owned())));
    }

    #[test]
    fn the_last_page_has_none() {
        for page in [
            json!({}),
            json!([]),
            json!({"cursor": null}),
            json!({"cursor": ""}),
            json!({"cursor": " "}),
            json!({"cursor": "c0", "nextCursor": null}),
            json!({"export": {"cursor": null}}),
        ] {
            assert_eq!(Cursors::default().next(&page), Ok(None), "{page}");
        }
    }

    #[test]
    fn a_circle_is_an_error() {
        let mut cursors = Cursors::default();
        assert!(cursors.next(&json!({"cursor": "c1"})).is_ok());
        assert!(cursors.next(&json!({"cursor": "c2"})).is_ok());
        assert_eq!(cursors.next(&json!({"nextCursor": "c1"})), Err(Error::CursorRepeats));
    }
}
