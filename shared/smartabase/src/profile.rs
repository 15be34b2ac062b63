//! Profiles: the one record that each user has in a profile form.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::ids::{FormName, UserId};
use crate::paging::require_whole;
use crate::rows::{Row, UserObject, list, read_fields, same_value};

/// A user's record in a profile form, as the site stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The user that the record belongs to.
    pub user: UserId,
    /// All fields that are not blank, including calculated fields and fields that were never sent.
    pub fields: BTreeMap<String, String>,
}

impl Profile {
    /// Whether `field` still has the value that was sent as `value`. Numbers are compared as numbers, and an absent
    /// field is blank.
    #[must_use]
    pub fn holds(&self, field: &str, value: &str) -> bool {
        same_value(value, self.fields.get(field).map_or("", String::as_str))
    }
}

/// Without the values, which may be personal links.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("user", &self.user).field("fields", &self.fields.len()).finish()
    }
}

/// The body of `profileimport`: one bare object, without dates.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportBody<'a> {
    form_name: &'a FormName,
    user_id: UserObject,
    rows: [Row<'a>; 1],
}

impl<'a> ImportBody<'a> {
    pub(crate) fn new(form: &'a FormName, user: UserId, fields: &'a [(String, String)]) -> ImportBody<'a> {
        ImportBody { form_name: form, user_id: UserObject { user_id: user }, rows: Row::only(fields) }
    }
}

/// The body of `profilesearch`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchBody<'a> {
    pub(crate) form_names: [&'a FormName; 1],
    pub(crate) user_ids: &'a [UserId],
}

/// Reads the answer of `profilesearch`. Profiles of forms or users that the request did not name are left out.
pub(crate) fn read_profiles(answer: &Value, form: &FormName, users: &[UserId]) -> Result<Vec<Profile>, Error> {
    let Value::Object(members) = answer else { return Err(Error::unexpected("profilesearch: not an object")) };
    if !members.is_empty() && !members.contains_key("profiles") {
        return Err(Error::unexpected("profilesearch: an answer without a list of profiles"));
    }
    require_whole(answer)?;
    let mut profiles = Vec::new();
    for (index, entry) in list(answer, "profiles", "profilesearch")?.iter().enumerate() {
        let place = format!("profiles[{index}]");
        if entry.get("formName").and_then(Value::as_str).is_some_and(|name| name.trim() != form.as_str().trim()) {
            continue;
        }
        let user = UserId::read(entry.get("userId"))
            .ok_or_else(|| Error::unexpected(format!("{place}: `userId` can't be read")))?;
        if users.contains(&user) {
            profiles.push(Profile { user, fields: read_fields(entry, &place)? });
        }
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::any_json;

    fn read(answer: &Value) -> Result<Vec<Profile>, Error> {
        read_profiles(answer, &FormName::from("Athlete Profile"), &[UserId(1009), UserId(1010)])
    }

    #[test]
    fn reads_profiles_and_drops_unrequested_ones() {
        let profile = |form: &str, user: u64| {
            json!({"id": 1, "formName": form, "userId": user, "enteredByUserId": 1001,
                "rows": [{"row": 0, "pairs": [{"key": "Link", "value": "https://example.org/1"}]}]})
        };
        let answer = json!({"profiles": [profile("Athlete Profile", 1009), profile("Other", 1010), profile("Athlete Profile", 7)]});
        let profiles = read(&answer).unwrap();
        let [profile] = profiles.as_slice() else { panic!("{profiles:?}") };
        assert_eq!(profile.user, UserId(1009));
        assert!(profile.holds("Link", "https://example.org/1") && profile.holds("Absent", ""));
        assert!(!format!("{profile:?}").contains("example.org"));
    }

    #[test]
    fn unknown_shape_is_an_error_and_not_no_profiles() {
        for answer in [json!({}), json!({"profiles": []}), json!({"profiles": null})] {
            assert_eq!(read(&answer), Ok(vec![]), "{answer}");
        }
        for answer in [
            json!([]),
            json!({"profile": []}),
            json!({"profiles": {}}),
            json!({"profiles": [{"formName": "Athlete Profile"}]}),
            json!({"profiles": ["x"]}),
        ] {
            assert!(matches!(read(&answer), Err(Error::Unexpected { .. })), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn does_not_panic_on_any_json(answer in any_json(), entry in any_json()) {
            let _ = read(&answer);
            let _ = read(&json!({"profiles": [entry]}));
        }
    }
}
