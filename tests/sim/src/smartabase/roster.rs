//! Users and groups.

use serde_json::{Value, json};

use super::answer::Answer;
use super::search::numbers;
use super::{Site, User};

impl Site {
    /// The roster endpoint that the vendor recommends, page by page.
    pub(super) fn synchronise_users(&self, body: &Value) -> Answer {
        // A string by its schema; a bool was seen to work.
        let paginate = body["paginate"] == "True" || body["paginate"] == true;
        let users: Vec<&User> = self.users.iter().collect();
        let (mut page, mut next) = self.page(&users, paginate, &body["cursor"]);
        if self.settings.cursor_repeats && paginate {
            (page, next) = self.page(&users, true, &Value::Null);
            next = next.or(Some("0".to_owned()));
        }
        let known = numbers(&body["userIds"]);
        let deleted: Vec<i64> = self.deleted_users.iter().copied().filter(|id| known.contains(id)).collect();
        let merged: Vec<Value> =
            self.merged_users.iter().map(|(old, new)| json!({"oldId": old, "newId": new})).collect();
        let mut answer = json!({
            "users": page.iter().map(|user| brief(user)).collect::<Vec<_>>(),
            "mergedUsers": merged,
            "idsOfDeletedUsers": deleted,
            "lastSynchronisationTimeOnServer": self.clock.millis(),
        });
        self.mark(&mut answer, next.as_deref());
        Answer::json(&answer)
    }

    /// One list of users for each query; one list of all users if there is no query.
    pub(super) fn search_users(&self, body: &Value) -> Answer {
        let results: Vec<Value> = match body["identification"].as_array() {
            Some(searches) if !searches.is_empty() => searches
                .iter()
                .map(|search| {
                    let found: Vec<Value> = self.users.iter().filter(|user| matches(search, user)).map(full).collect();
                    json!({"search": search, "results": found})
                })
                .collect(),
            _ => vec![json!({"results": self.users.iter().map(full).collect::<Vec<_>>()})],
        };
        Answer::json(&json!({"results": results}))
    }

    /// Every group, whatever the request contains.
    pub(super) fn list_groups(&self) -> Answer {
        let mut names = vec!["All Accounts".to_owned()];
        names.extend(self.groups());
        Answer::json(&json!({"name": names}))
    }

    /// The members of a group. An unknown name gives an empty list, as a group without members does.
    pub(super) fn group_members(&self, body: &Value) -> Answer {
        let name = body["name"].as_str().or_else(|| body["name"].get(0)?.as_str()).unwrap_or_default();
        let members: Vec<Value> =
            self.users.iter().filter(|user| name == "All Accounts" || user.groups.contains(name)).map(full).collect();
        Answer::json(&json!({"results": [{"results": members}]}))
    }

    fn groups(&self) -> Vec<String> {
        let mut names: Vec<String> = self.users.iter().flat_map(|user| user.groups.iter().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn matches(search: &Value, user: &User) -> bool {
    // A query with an unknown key finds no users.
    search.as_object().is_some_and(|search| {
        !search.is_empty()
            && search.iter().all(|(key, value)| match key.as_str() {
                "userId" => *value == user.id,
                "username" => *value == user.username.as_str(),
                "emailAddress" => *value == user.email.as_str(),
                "firstName" => *value == user.first_name.as_str(),
                "lastName" => *value == user.last_name.as_str(),
                _ => false,
            })
    })
}

/// A user as the roster returns them.
fn brief(user: &User) -> Value {
    json!({
        "userId": user.id,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "dob": user.dob,
        "middleName": "",
        "emailAddress": user.email,
        "knownAs": "",
        "organisationalId": -1,
        "username": user.username,
        "phoneNumbers": [],
        "sex": user.sex,
        "uuid": user.uuid,
    })
}

/// A user as the searches return them.
fn full(user: &User) -> Value {
    let groups: Vec<Value> =
        user.groups.iter().enumerate().map(|(place, name)| json!({"id": 3000 + place, "name": name})).collect();
    let mut full = brief(user);
    full["addresses"] = json!([]);
    full["groupsAndRoles"] = json!({"coachGroups": [], "athleteGroups": groups, "role": []});
    full
}
