//! Who is on the site.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::ids::UserId;
use crate::message::text;
use crate::rows::list;

/// The users that the account sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Every user once, without those merged into another.
    pub users: Vec<User>,
    /// Users merged into another, the old one first: what belongs to the old one belongs to the new one.
    pub merged: Vec<(UserId, UserId)>,
    /// Users that the site says are deleted, of those that were asked about. Someone whom the account may no longer see is
    /// missing without being here.
    pub deleted: Vec<UserId>,
    /// How many users or mergers could not be read, and are therefore not here.
    pub unreadable: usize,
}

/// A user of the site.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The id by which records are written.
    pub id: UserId,
    /// The site's own identifier for the person: any text, trimmed, not necessarily an RFC 4122 UUID. `None` where the site
    /// has none, or `""`.
    pub uuid: Option<String>,
    /// The first name, perhaps empty.
    pub first_name: String,
    /// The last name, perhaps empty.
    pub last_name: String,
}

/// Without the name.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// The body of `usersynchronise`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SynchroniseBody<'a> {
    last_synchronisation_time_on_server: u64,
    user_ids: &'a [UserId],
    /// The text `"True"`, as the vendor's schema has it.
    paginate: &'static str,
    cursor: String,
}

impl<'a> SynchroniseBody<'a> {
    pub(crate) fn page(known: &'a [UserId], cursor: Option<String>) -> Self {
        Self {
            last_synchronisation_time_on_server: 0,
            user_ids: known,
            paginate: "True",
            cursor: cursor.unwrap_or_default(),
        }
    }
}

/// The body of `groupmembers`.
#[derive(Serialize)]
pub(crate) struct GroupBody<'a> {
    pub(crate) name: &'a str,
}

/// Puts the pages of `usersynchronise` together.
#[derive(Default)]
pub(crate) struct RosterPages {
    roster: Roster,
    known: HashSet<UserId>,
}

impl RosterPages {
    pub(crate) fn read(&mut self, page: &Value) -> Result<(), Error> {
        if page.get("users").is_none() {
            return Err(Error::unexpected("usersynchronise: an answer without a list of users"));
        }
        for user in list(page, "users", "usersynchronise")? {
            match read_user(user) {
                Some(user) if self.known.insert(user.id) => self.roster.users.push(user),
                Some(_) => {}
                None => self.roster.unreadable += 1,
            }
        }
        for merged in list(page, "mergedUsers", "usersynchronise")? {
            match (UserId::read(merged.get("oldId")), UserId::read(merged.get("newId"))) {
                (Some(old), Some(new)) => self.roster.merged.push((old, new)),
                _ => self.roster.unreadable += 1,
            }
        }
        let deleted = list(page, "idsOfDeletedUsers", "usersynchronise")?;
        self.roster.deleted.extend(deleted.iter().filter_map(|id| UserId::read(Some(id))));
        Ok(())
    }

    /// The whole roster. One user who can't be read costs only themselves, but a roster of such users is no empty one.
    pub(crate) fn finish(self) -> Result<Roster, Error> {
        let mut roster = self.roster;
        if roster.users.is_empty() && roster.unreadable > 0 {
            return Err(Error::unexpected("usersynchronise: no user can be read"));
        }
        let old: HashSet<UserId> = roster.merged.iter().map(|(old, _)| *old).collect();
        roster.users.retain(|user| !old.contains(&user.id));
        Ok(roster)
    }
}

fn read_user(user: &Value) -> Option<User> {
    Some(User {
        id: UserId::read(user.get("userId"))?,
        uuid: Some(text(user.get("uuid")).trim().to_owned()).filter(|uuid| !uuid.is_empty()),
        first_name: text(user.get("firstName")),
        last_name: text(user.get("lastName")),
    })
}

/// Reads the answer of `groupmembers`: users inside results inside results.
pub(crate) fn read_members(answer: &Value) -> Result<Vec<UserId>, Error> {
    if !answer.is_object() {
        return Err(Error::unexpected("groupmembers: not an object"));
    }
    let mut members = Vec::new();
    for result in list(answer, "results", "groupmembers")? {
        for user in list(result, "results", "groupmembers")? {
            let id = UserId::read(user.get("userId"))
                .ok_or_else(|| Error::unexpected("groupmembers: `userId` can't be read"))?;
            if !members.contains(&id) {
                members.push(id);
            }
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::any_json;

    fn read(pages: &[Value]) -> Result<Roster, Error> {
        let mut roster = RosterPages::default();
        pages.iter().try_for_each(|page| roster.read(page))?;
        roster.finish()
    }

    #[test]
    fn a_user_is_read_as_documented() {
        let roster = read(&[json!({"users": [{"userId": 1001, "firstName": "A", "lastName": "B", "dob": "01/01/2000",
            "middleName": "", "emailAddress": "a@example.org", "knownAs": "", "organisationalId": -1, "username": "a.b",
            "phoneNumbers": [], "sex": "FEMALE", "uuid": "123"}],
            "mergedUsers": [{"oldId": 1, "newId": 2}], "idsOfDeletedUsers": [9], "lastSynchronisationTimeOnServer": 1_714_000_000_000_u64,
            "cursor": null})])
        .unwrap();
        let [user] = roster.users.as_slice() else { panic!("{roster:?}") };
        assert_eq!((user.id, user.uuid.as_deref()), (UserId(1001), Some("123")));
        assert_eq!((user.first_name.as_str(), user.last_name.as_str()), ("A", "B"));
        assert_eq!((roster.merged, roster.deleted), (vec![(UserId(1), UserId(2))], vec![UserId(9)]));
    }

    #[test]
    fn a_uuid_is_a_free_text_and_blank_is_none() {
        for (given, uuid) in [
            (json!("123"), Some("123")),
            (json!(" new123 "), Some("new123")),
            (json!(19762), Some("19762")),
            (json!(""), None),
            (json!("  \t"), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            let roster = read(&[json!({"users": [{"userId": "7", "uuid": given}]})]).unwrap();
            assert_eq!(roster.users.first().unwrap().uuid.as_deref(), uuid, "{given}");
        }
        let without = read(&[json!({"users": [{"userId": 7}]})]).unwrap();
        assert_eq!(without.users.first().unwrap().uuid, None);
    }

    #[test]
    fn pages_are_put_together_and_merged_users_dropped() {
        let roster = read(&[
            json!({"users": [{"userId": 1}, {"userId": 2}]}),
            json!({"users": [{"userId": 2}, {"userId": 3}], "mergedUsers": [{"oldId": "1", "newId": "3"}]}),
        ])
        .unwrap();
        assert_eq!(roster.users.iter().map(|user| user.id).collect::<Vec<_>>(), [UserId(2), UserId(3)]);
        assert_eq!(roster.merged, [(UserId(1), UserId(3))]);
    }

    #[test]
    fn an_unreadable_user_costs_only_themselves() {
        let roster = read(&[json!({"users": [{"userId": -1}, {"userId": 2}, "x"], "mergedUsers": [{}]})]).unwrap();
        assert_eq!((roster.users.len(), roster.unreadable), (1, 3));
        assert!(matches!(read(&[json!({"users": [{"id": 2}]})]), Err(Error::Unexpected { .. })));
    }

    #[test]
    fn an_unknown_shape_is_not_an_empty_site() {
        assert_eq!(read(&[json!({"users": []})]), Ok(Roster::default()));
        for page in [json!({}), json!([]), json!({"users": {}}), json!("none")] {
            assert!(matches!(read(std::slice::from_ref(&page)), Err(Error::Unexpected { .. })), "{page}");
        }
    }

    #[test]
    fn names_are_not_printed() {
        let roster =
            read(&[json!({"users": [{"userId": 7, "uuid": "u", "firstName": "Ada", "lastName": "Byron"}]})]).unwrap();
        let printed = format!("{roster:?}");
        assert!(!printed.contains("Ada") && !printed.contains("Byron"), "{printed}");
    }

    #[test]
    fn members_are_read_from_both_levels_of_results() {
        let answer =
            json!({"results": [{"results": [{"userId": 3}, {"userId": "4"}]}, {"results": [{"userId": 3}]}, {}]});
        assert_eq!(read_members(&answer), Ok(vec![UserId(3), UserId(4)]));
        assert_eq!(read_members(&json!({"results": []})), Ok(vec![]));
        assert_eq!(read_members(&json!({})), Ok(vec![]));
        for answer in [json!([]), json!({"results": {}}), json!({"results": [{"results": [{}]}]})] {
            assert!(matches!(read_members(&answer), Err(Error::Unexpected { .. })), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(page in any_json(), entry in any_json()) {
            let _ = read(std::slice::from_ref(&page));
            let _ = read(&[json!({"users": [entry]})]);
            let _ = read_members(&page);
        }
    }
}
