//! Rosters and groups.

use serde_json::json;
use smartabase::{Error, Roster, UserId};

use crate::site::{Scripted, answer, credentials, soon};

const LAST_PAGE: &str = r#"{"users":[{"userId":1001,"firstName":"Ada","lastName":"Byron","dob":"01/01/2000","middleName":"",
   "emailAddress":"a@example.org","knownAs":"","organisationalId":-1,"username":"a.b","phoneNumbers":[],"sex":"FEMALE","uuid":"123"}],
 "mergedUsers":[{"oldId":1,"newId":2}],"idsOfDeletedUsers":[],"lastSynchronisationTimeOnServer":1714000000000,"cursor":null}"#;

fn ids(roster: &Roster) -> Vec<u64> {
    roster.users.iter().map(|user| user.id.0).collect()
}

#[tokio::test]
async fn reads_all_roster_pages_with_any_cursor_name() {
    for spelling in ["cursor", "nextCursor"] {
        let page = |id: u64, cursor: &str| json!({"users": [{"userId": id}], spelling: cursor}).to_string();
        let site = Scripted::saying(&[&page(1, "c1"), &page(2, "c2"), &page(3, "c3"), LAST_PAGE]).await;
        let roster = site.client.roster(&credentials(), soon()).await.unwrap();
        assert_eq!(ids(&roster), [2, 3, 1001]);
        assert_eq!(roster.merged, [(UserId(1), UserId(2))]);
        assert_eq!(roster.users[2].uuid.as_deref(), Some("123"));

        let body = |cursor: &str| {
            let body =
                json!({"lastSynchronisationTimeOnServer": 0, "userIds": [], "paginate": "True", "cursor": cursor});
            ("usersynchronise".to_owned(), body)
        };
        assert_eq!(site.asked(), [body(""), body("c1"), body("c2"), body("c3")]);
    }
}

#[tokio::test]
async fn roster_ends_without_a_cursor() {
    for page in [r#"{"users":[{"userId":1}]}"#, r#"{"users":[{"userId":1}],"cursor":""}"#] {
        let site = Scripted::saying(&[page]).await;
        assert_eq!(ids(&site.client.roster(&credentials(), soon()).await.unwrap()), [1]);
    }
}

#[tokio::test]
async fn repeated_cursor_is_an_error() {
    let page = |cursor: &str| json!({"users": [{"userId": 1}], "cursor": cursor}).to_string();
    let site = Scripted::saying(&[&page("c1"), &page("c2"), &page("c1"), LAST_PAGE]).await;
    assert_eq!(site.client.roster(&credentials(), soon()).await, Err(Error::CursorRepeats));
    assert_eq!(site.requests().len(), 3);
}

#[tokio::test]
async fn incomplete_roster_is_an_error() {
    let page = json!({"users": [{"userId": 1}], "cursor": "c1"}).to_string();
    for (last, error) in [
        (answer(500, ""), Error::Unwell { status: Some(500) }),
        (answer(200, ""), Error::NotJson { status: 200, starts: "empty" }),
        (
            answer(200, "{}"),
            Error::Unexpected { what: "usersynchronise: an answer without a list of users".to_owned() },
        ),
        (answer(200, r#"{"error":"Too many"}"#), Error::Refused { says: "Too many".to_owned() }),
    ] {
        let site = Scripted::answering([answer(200, &page), last]).await;
        assert_eq!(site.client.roster(&credentials(), soon()).await, Err(error));
    }
}

#[tokio::test]
async fn reads_the_members_of_a_group() {
    let found = r#"{"results":[{"search":{"name":"Demo Group"},"results":[{"userId":12000,"firstName":"A","uuid":"123"},{"userId":12001}]}]}"#;
    let site = Scripted::saying(&[found, r#"{"results":[{}]}"#, ""]).await;
    for members in [vec![UserId(12000), UserId(12001)], vec![], vec![]] {
        assert_eq!(site.client.group_members(&credentials(), "Demo Group", soon()).await, Ok(members));
    }
    assert_eq!(site.asked()[0], ("groupmembers".to_owned(), json!({"name": "Demo Group"})));
}

#[tokio::test]
async fn user_is_deleted_if_asked_for_and_listed_as_deleted() {
    let page = |deleted: &[u64], cursor: Option<&str>| {
        json!({"users": [{"userId": 1}], "idsOfDeletedUsers": deleted, "cursor": cursor}).to_string()
    };
    let site = Scripted::saying(&[&page(&[7], Some("c1")), &page(&[9, 99], None)]).await;
    let named = [UserId(7), UserId(8), UserId(9)];
    let deleted = site.client.deleted_users(&credentials(), &named, soon()).await;
    assert_eq!(deleted, Ok(vec![UserId(7), UserId(9)]), "nobody asked about 99");
    assert!(site.asked().iter().all(|(_, body)| body["userIds"] == json!([7, 8, 9])));
    assert_eq!(site.client.deleted_users(&credentials(), &[], soon()).await, Ok(vec![]));
    assert_eq!(site.requests().len(), 2, "nobody is asked about nobody");
    let site = Scripted::answering([answer(200, &page(&[7], Some("c1"))), answer(500, "")]).await;
    assert!(site.client.deleted_users(&credentials(), &named, soon()).await.is_err(), "half an answer is none");
}
