//! The users of the site, its groups' members, and mergers and deletions.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::body::Body;
use crate::error::Error;
use crate::ids::UserId;
use crate::message::text;
use crate::paging::require_whole;
use crate::rows::list;

/// The users that the account can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Every user once, without users that were merged into another.
    pub users: Vec<User>,
    /// Users merged into another, as pairs of old and new. What belongs to the old user now belongs to the new one.
    pub merged: Vec<(UserId, UserId)>,
    /// The users that the site says are deleted, among those that the request named. A user that the account can no
    /// longer see is missing from `users`, but is not listed here.
    pub deleted: Vec<UserId>,
    /// The entries that could not be read; they do not affect the others.
    pub unreadable: Vec<Unreadable>,
}

/// A user or a merger that could not be read, or only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The position in the answer, and the unreadable field. Contains no personal data.
    pub what: String,
    /// The user that the entry is about, if that can be read.
    pub user: Option<UserId>,
    /// The UUID, if it can be read and the user id can't.
    pub uuid: Option<String>,
    merger: bool,
}

impl Unreadable {
    /// An entry for a user without a readable id, perhaps with a UUID.
    #[must_use]
    pub fn user(what: impl Into<String>, uuid: Option<&str>) -> Unreadable {
        Unreadable { what: what.into(), user: None, uuid: uuid.map(str::to_owned), merger: false }
    }

    /// Whether this is a merger without a readable old user.
    pub(crate) fn is_unknown_merger(&self) -> bool {
        self.merger && self.user.is_none()
    }
}

impl Roster {
    /// The users that the site lists as deleted and mentions nowhere else.
    pub(crate) fn clearly_deleted(&self) -> HashSet<UserId> {
        let mut deleted: HashSet<UserId> = self.deleted.iter().copied().collect();
        let merged = self.merged.iter().map(|(old, _)| *old);
        let listed = self.users.iter().map(|user| user.id);
        let unread = self.unreadable.iter().filter_map(|unreadable| unreadable.user);
        for user in merged.chain(listed).chain(unread) {
            deleted.remove(&user);
        }
        deleted
    }
}

/// A user of the site.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The id that requests use.
    pub id: UserId,
    /// The site's own identifier of the person: any text, trimmed, not necessarily an RFC 4122 UUID. `None` if the site
    /// has none, or `""`.
    pub uuid: Option<String>,
    /// The first name; it may be empty.
    pub first_name: String,
    /// The last name; it may be empty.
    pub last_name: String,
}

/// Without the names.
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
    /// The text `"True"`, as in the vendor's schema.
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

/// Combines the pages of `usersynchronise`.
#[derive(Default)]
pub(crate) struct RosterPages {
    roster: Roster,
    known: HashSet<UserId>,
    pages: usize,
    /// Whether every page had a list of users, even an empty one.
    lists: bool,
}

impl RosterPages {
    pub(crate) fn read(&mut self, page: &Body) -> Result<(), Error> {
        let Body { json, guessed } = page;
        if json.get("users").is_none() {
            return Err(Error::unexpected("usersynchronise: an answer without a list of users"));
        }
        self.pages += 1;
        self.lists |= json.get("users").is_some_and(Value::is_array);
        let number = self.pages;
        let place = |list: &str, index: usize| format!("page {number}, {list}[{index}]");
        for (index, entry) in list(json, "users", "usersynchronise")?.iter().enumerate() {
            let (user, unread) = read_user(entry, *guessed);
            if let Some(field) = unread {
                let what = format!("{}: {field} can't be read", place("users", index));
                let (id, uuid) = match &user {
                    Some(user) => (Some(user.id), None),
                    None => (None, read_uuid(entry.get("uuid"), *guessed).ok().flatten()),
                };
                self.roster.unreadable.push(Unreadable { what, user: id, uuid, merger: false });
            }
            if let Some(user) = user.filter(|user| self.known.insert(user.id)) {
                self.roster.users.push(user);
            }
        }
        for (index, merged) in list(json, "mergedUsers", "usersynchronise")?.iter().enumerate() {
            let (old, new) = (UserId::read(merged.get("oldId")), UserId::read(merged.get("newId")));
            if let (Some(old), Some(new)) = (old, new) {
                self.roster.merged.push((old, new));
            } else {
                let field = if old.is_none() { "oldId" } else { "newId" };
                let what = format!("{}: `{field}` can't be read", place("mergedUsers", index));
                self.roster.unreadable.push(Unreadable { what, user: old, uuid: None, merger: true });
            }
        }
        let deleted = list(json, "idsOfDeletedUsers", "usersynchronise")?;
        self.roster.deleted.extend(deleted.iter().filter_map(|id| UserId::read(Some(id))));
        Ok(())
    }

    /// The whole roster. One unreadable user affects only that user. A roster with only unreadable users is an error,
    /// and so is a roster without any list.
    pub(crate) fn finish(self) -> Result<Roster, Error> {
        let mut roster = self.roster;
        if roster.users.is_empty() {
            if let Some(first) = roster.unreadable.first() {
                return Err(Error::unexpected(format!("usersynchronise: no user can be read ({})", first.what)));
            }
            if !self.lists {
                return Err(Error::unexpected("usersynchronise: an answer without a list of users"));
            }
        }
        let old: HashSet<UserId> = roster.merged.iter().map(|(old, _)| *old).collect();
        roster.users.retain(|user| !old.contains(&user.id));
        Ok(roster)
    }
}

/// Reads one user, and also returns the unreadable field. An entry without a readable id gives no user. An unreadable
/// UUID gives a user without a UUID.
fn read_user(entry: &Value, guessed: bool) -> (Option<User>, Option<&'static str>) {
    if !entry.is_object() {
        return (None, Some("the user"));
    }
    let Some(id) = UserId::read(entry.get("userId")) else { return (None, Some("`userId`")) };
    let uuid = read_uuid(entry.get("uuid"), guessed);
    let unread = uuid.is_err().then_some("`uuid`");
    let (first_name, last_name) = (text(entry.get("firstName")), text(entry.get("lastName")));
    (Some(User { id, uuid: uuid.unwrap_or_default(), first_name, last_name }), unread)
}

/// `Ok(None)` only if the site says that there is no UUID. The UUID identifies a person, so no letter of it may be
/// guessed.
fn read_uuid(value: Option<&Value>, guessed: bool) -> Result<Option<String>, ()> {
    let uuid = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(_) | Value::Number(_)) => text(value).trim().to_owned(),
        Some(Value::Object(members)) if members.is_empty() => return Ok(None),
        Some(_) => return Err(()),
    };
    // A letter outside ASCII may come from a byte that is not UTF-8.
    let doubtful = (guessed && !uuid.is_ascii()) || uuid.contains(char::REPLACEMENT_CHARACTER);
    if doubtful { Err(()) } else { Ok(Some(uuid).filter(|uuid| !uuid.is_empty())) }
}

/// Reads the answer of `groupmembers`: users in results in results. A user that is missing from it is not a member, so
/// the whole answer must be understood.
pub(crate) fn read_members(answer: &Value) -> Result<Vec<UserId>, Error> {
    let Value::Object(top) = answer else { return Err(Error::unexpected("groupmembers: not an object")) };
    if !top.is_empty() && !top.contains_key("results") {
        return Err(Error::unexpected("groupmembers: an answer without a list of results"));
    }
    require_whole(answer)?;
    let mut members = Vec::new();
    let mut known = HashSet::new();
    for (outer, result) in list(answer, "results", "groupmembers")?.iter().enumerate() {
        // A result with only the search term means that no user was found.
        if !result.as_object().is_some_and(|result| result.keys().all(|name| name == "results" || name == "search")) {
            let what = format!("groupmembers: results[{outer}] is neither a list of users nor empty");
            return Err(Error::unexpected(what));
        }
        for (inner, user) in list(result, "results", "groupmembers")?.iter().enumerate() {
            let id = UserId::read(user.get("userId")).ok_or_else(|| {
                let place = format!("results[{outer}].results[{inner}]");
                Error::unexpected(format!("groupmembers: {place}: `userId` can't be read"))
            })?;
            if known.insert(id) {
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
        pages.iter().try_for_each(|page| roster.read(&Body { json: page.clone(), guessed: false }))?;
        roster.finish()
    }

    /// The unreadable entries of these pages.
    fn unread(roster: &Roster) -> Vec<&str> {
        roster.unreadable.iter().map(|unreadable| unreadable.what.as_str()).collect()
    }

    #[test]
    fn reads_a_user_as_documented() {
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
    fn uuid_is_free_text_and_blank_is_none() {
        for (given, uuid) in [
            (json!("123"), Some("123")),
            (json!(" new123 "), Some("new123")),
            (json!(19762), Some("19762")),
            (json!(19762.0), Some("19762")),
            (json!("19762.0"), Some("19762.0")),
            (json!(""), None),
            (json!("  \t"), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            let roster = read(&[json!({"users": [{"userId": "7", "uuid": given}]})]).unwrap();
            assert_eq!(roster.users.first().unwrap().uuid.as_deref(), uuid, "{given}");
            assert_eq!(roster.unreadable, []);
        }
        let without = read(&[json!({"users": [{"userId": 7}]})]).unwrap();
        assert_eq!(without.users.first().unwrap().uuid, None);
    }

    #[test]
    fn combines_pages_and_drops_merged_users() {
        let roster = read(&[
            json!({"users": [{"userId": 1}, {"userId": 2}]}),
            json!({"users": [{"userId": 2}, {"userId": 3}], "mergedUsers": [{"oldId": "1", "newId": "3"}]}),
        ])
        .unwrap();
        assert_eq!(roster.users.iter().map(|user| user.id).collect::<Vec<_>>(), [UserId(2), UserId(3)]);
        assert_eq!(roster.merged, [(UserId(1), UserId(3))]);
    }

    #[test]
    fn unreadable_user_affects_only_itself() {
        let pages = [
            json!({"users": [{"userId": -1, "uuid": "a", "firstName": "Ada"}, {"userId": 2}, "x"], "mergedUsers": [{}]}),
            json!({"users": [{"userId": 3, "uuid": ["b"]}], "mergedUsers": [{"oldId": 4, "newId": true}]}),
        ];
        let roster = read(&pages).unwrap();
        assert_eq!(roster.users.iter().map(|user| user.id).collect::<Vec<_>>(), [UserId(2), UserId(3)]);
        assert_eq!(
            unread(&roster),
            [
                "page 1, users[0]: `userId` can't be read",
                "page 1, users[2]: the user can't be read",
                "page 1, mergedUsers[0]: `oldId` can't be read",
                "page 2, users[0]: `uuid` can't be read",
                "page 2, mergedUsers[0]: `newId` can't be read",
            ]
        );
        assert_eq!(roster.unreadable[0].uuid.as_deref(), Some("a"));
        assert!(matches!(read(&[json!({"users": [{"id": 2}]})]), Err(Error::Unexpected { .. })));
    }

    #[test]
    fn never_guesses_a_uuid() {
        let mut pages = RosterPages::default();
        let json = json!({"users": [{"userId": 1, "uuid": "Jörg", "firstName": "Jörg"}, {"userId": 2, "uuid": "a"}]});
        pages.read(&Body { json, guessed: true }).unwrap();
        let roster = pages.finish().unwrap();
        let uuids: Vec<_> = roster.users.iter().map(|user| user.uuid.as_deref()).collect();
        assert_eq!((uuids, unread(&roster)), (vec![None, Some("a")], vec!["page 1, users[0]: `uuid` can't be read"]));
        assert_eq!(roster.users[0].first_name, "Jörg");
        for given in [json!(true), json!({"id": "a"}), json!("a\u{fffd}")] {
            assert_eq!(unread(&read(&[json!({"users": [{"userId": 1, "uuid": given}]})]).unwrap()).len(), 1, "{given}");
        }
    }

    #[test]
    fn user_is_deleted_only_if_listed_as_deleted() {
        for (page, deleted) in [
            (json!({"users": [{"userId": 1}], "idsOfDeletedUsers": [7]}), true),
            (json!({"users": [{"userId": 1}], "idsOfDeletedUsers": ["7"]}), true),
            (json!({"users": [{"userId": 1}], "idsOfDeletedUsers": [7.0]}), true),
            (json!({"users": [{"userId": 1}], "idsOfDeletedUsers": [8, null, "x"]}), false),
            (json!({"users": [{"userId": 1}]}), false),
            (json!({"users": [{"userId": 1}, {"userId": 7}], "idsOfDeletedUsers": [7]}), false),
            (
                json!({"users": [{"userId": 1}], "idsOfDeletedUsers": [7], "mergedUsers": [{"oldId": 7, "newId": 1}]}),
                false,
            ),
            (json!({"users": [{"userId": 1}], "idsOfDeletedUsers": [7], "mergedUsers": [{"oldId": 7}]}), false),
        ] {
            assert_eq!(
                read(std::slice::from_ref(&page)).unwrap().clearly_deleted().contains(&UserId(7)),
                deleted,
                "{page}"
            );
        }
    }

    #[test]
    fn unknown_shape_is_an_error() {
        assert_eq!(read(&[json!({"users": []})]), Ok(Roster::default()));
        assert_eq!(read(&[json!({"users": [{"userId": 1}]}), json!({"users": null})]).unwrap().users.len(), 1);
        for page in [json!({}), json!([]), json!({"users": {}}), json!({"users": null}), json!("none")] {
            assert!(matches!(read(std::slice::from_ref(&page)), Err(Error::Unexpected { .. })), "{page}");
        }
    }

    #[test]
    fn debug_shows_no_names() {
        let roster =
            read(&[json!({"users": [{"userId": 7, "uuid": "u", "firstName": "Ada", "lastName": "Byron"}]})]).unwrap();
        let printed = format!("{roster:?}");
        assert!(!printed.contains("Ada") && !printed.contains("Byron"), "{printed}");
    }

    #[test]
    fn reads_members_from_both_levels_of_results() {
        let answer =
            json!({"results": [{"results": [{"userId": 3}, {"userId": "4"}]}, {"results": [{"userId": 3}]}, {}]});
        assert_eq!(read_members(&answer), Ok(vec![UserId(3), UserId(4)]));
        assert_eq!(read_members(&json!({"results": []})), Ok(vec![]));
        assert_eq!(read_members(&json!({})), Ok(vec![]));
        assert_eq!(read_members(&json!({"results": [{"search": {"name": "Squad"}, "results": null}]})), Ok(vec![]));
        assert_eq!(read_members(&json!({"results": [{"results": [{"userId": {"userId": 3}}]}]})), Ok(vec![UserId(3)]));
        for answer in [
            json!([]),
            json!({"results": {}}),
            json!({"results": [{"results": [{}]}]}),
            json!({"results": [{"results": [{"userId": 3}, "x"]}]}),
            json!({"results": [{"userId": 3}]}),
            json!({"results": ["x"]}),
            json!({"results": [null]}),
            json!({"members": [3]}),
            json!({"results": [{"results": [{"userId": 3}]}], "cursor": "c1"}),
            json!({"results": [{"results": [{"userId": 3}]}], "hasMore": true}),
        ] {
            assert!(matches!(read_members(&answer), Err(Error::Unexpected { .. })), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn does_not_panic_on_any_json(page in any_json(), entry in any_json()) {
            let _ = read(std::slice::from_ref(&page));
            let _ = read(&[json!({"users": [entry]})]);
            let _ = read_members(&page);
        }
    }
}
