//! Reading events and profiles.

use jiff::civil::date;
use serde_json::{Value, json};
use smartabase::{Client, Error, EventId, FormName, StoredEvent, UserId};

use crate::site::{Scripted, answer, credentials, soon};

async fn events(client: &Client) -> Result<Vec<StoredEvent>, Error> {
    let form = FormName::from("Example Form");
    let (first, last) = (date(2026, 3, 1), date(2026, 3, 7));
    client.events(&credentials(), &form, UserId(12345), first, last, soon()).await
}

async fn ids(client: &Client) -> Result<Vec<u64>, Error> {
    Ok(events(client).await?.iter().map(|event| event.id.0).collect())
}

/// An event in the format of `eventsearch`.
fn event(id: u64, day: &str) -> Value {
    json!({"id": id, "formName": "Example Form", "startDate": day, "startTime": "9:59 AM", "finishDate": day,
        "finishTime": "10:59 AM", "userId": 12345, "enteredByUserId": 1,
        "rows": [{"row": 0, "pairs": [{"key": "ID", "value": "abc"}, {"key": "When", "value": "1.78432026E9"}]}],
        "attachmentUrl": []})
}

fn search(cursor: &str) -> (String, Value) {
    let body = json!({"formNames": ["Example Form"], "userIds": [12345], "startDate": "01/03/2026", "finishDate": "07/03/2026",
        "startTime": "12:00 AM", "finishTime": "11:59 PM", "paginate": true, "cursor": cursor});
    ("eventsearch".to_owned(), body)
}

fn synchronise(cursor: &Value) -> (String, Value) {
    let body = json!({"formName": "Example Form", "startDate": "01/03/2026", "userIds": [12345],
        "pagination": {"paginate": true, "cursor": cursor}});
    ("synchronise".to_owned(), body)
}

#[tokio::test]
async fn reads_all_pages_of_a_search_oldest_first() {
    for spelling in ["cursor", "next_cursor", "nextCursor"] {
        let first = json!({"events": [event(2, "05/03/2026"), event(1, "05/03/2026")], spelling: "c1"}).to_string();
        let last = json!({"events": [event(9, "03/03/2026"), event(2, "05/03/2026")], spelling: null}).to_string();
        let site = Scripted::saying(&[&first, &last]).await;
        let found = events(&site.client).await.unwrap();
        assert_eq!(found.iter().map(|event| event.id.0).collect::<Vec<_>>(), [9, 1, 2]);
        assert_eq!((found[0].id, found[0].user, found[0].date), (EventId(9), UserId(12345), date(2026, 3, 3)));
        assert!(found[0].holds("ID", "abc") && found[0].holds("When", "1784320260") && found[0].holds("Absent", ""));
        assert_eq!(site.asked(), [search(""), search("c1")]);
    }
}

#[tokio::test]
async fn applies_the_conditions_that_a_site_ignores() {
    let mut other_user = event(5, "03/03/2026");
    other_user["userId"] = json!("54321");
    let mut other_form = event(6, "03/03/2026");
    other_form["formName"] = json!("Other Form");
    let history = [event(1, "28/02/2026"), event(2, "01/03/2026"), event(3, "07/03/2026"), event(4, "08/03/2026")];
    let all = [history.as_slice(), &[other_user, other_form]].concat();
    let all = json!({"events": all}).to_string();
    assert_eq!(ids(&Scripted::saying(&[&all]).await.client).await, Ok(vec![2, 3]));
}

#[tokio::test]
async fn reads_every_shape_of_no_events() {
    for nothing in [r#"{"events":[]}"#, "{}", "", " \n", r#"{"events":null,"cursor":null}"#] {
        let site = Scripted::saying(&[nothing]).await;
        assert_eq!(ids(&site.client).await, Ok(vec![]), "{nothing}");
        assert_eq!(site.requests().len(), 1, "an empty answer is an answer");
    }
}

#[tokio::test]
async fn unreadable_event_is_an_error() {
    let mut unreadable = event(2, "03/03/2026");
    unreadable["startDate"] = json!("2026-03-03");
    let page = json!({"events": [event(1, "03/03/2026"), unreadable]}).to_string();
    let site = Scripted::saying(&[&page]).await;
    let what = "events[1]: `startDate` can't be read".to_owned();
    assert_eq!(ids(&site.client).await, Err(Error::Unexpected { what }));
}

#[tokio::test]
async fn calls_synchronise_if_the_site_has_no_search() {
    let export = |id: u64, rest: Value| {
        let mut page = json!({"export": {"events": [event(id, "03/03/2026"), event(90 + id, "08/03/2026")]},
            "lastSynchronisationTimeOnServer": 1_786_643_797_049_u64, "idsOfDeletedEvents": [2_000_003]});
        page["export"]["nextCursor"] = rest;
        page.to_string()
    };
    for refusal in [answer(404, ""), answer(422, "{}"), answer(422, "<html>"), answer(200, "<html>"), answer(200, "no")]
    {
        let pages = [answer(200, &export(1, json!("c1"))), answer(200, &export(2, json!(null)))];
        let site = Scripted::answering(std::iter::once(refusal).chain(pages)).await;
        assert_eq!(ids(&site.client).await, Ok(vec![1, 2]));
        assert_eq!(site.asked(), [search(""), synchronise(&json!(null)), synchronise(&json!("c1"))]);
    }
}

#[tokio::test]
async fn errors_that_synchronise_shares_return_at_once() {
    for (status, body, error) in [
        (401, "", Error::WrongCredentials),
        (403, "access denied", Error::Forbidden),
        (500, "", Error::Unwell { status: Some(500) }),
        (400, "{}", Error::Rejected { status: 400 }),
        (200, r#"{"error":"no such form"}"#, Error::Refused { says: "no such form".to_owned() }),
        (200, r#"{"evnts":[]}"#, Error::Unexpected { what: "events: an answer without a list of events".to_owned() }),
    ] {
        let site = Scripted::answering([answer(status, body)]).await;
        assert_eq!(ids(&site.client).await, Err(error));
        assert_eq!(site.requests().len(), 1, "{status} {body}");
    }
    let site = Scripted::answering([answer(404, ""), answer(404, "")]).await;
    assert_eq!(ids(&site.client).await, Err(Error::NotFound));
}

#[tokio::test]
async fn search_with_repeated_cursor_is_an_error() {
    let page = json!({"events": [event(1, "03/03/2026")], "cursor": "c1"}).to_string();
    let site = Scripted::saying(&[&page, &page, &page]).await;
    let what = "`cursor` refers to a page that was read before".to_owned();
    assert_eq!(ids(&site.client).await, Err(Error::Unexpected { what }));
    assert_eq!(site.requests().len(), 2);
}

#[tokio::test]
async fn requests_profiles_of_100_users_at_a_time() {
    let form = FormName::from("Athlete Profile");
    let users: Vec<UserId> = (1..=101).map(UserId).collect();
    let profile = |user: u64| {
        json!({"profiles": [{"id": 1, "formName": "Athlete Profile", "userId": user, "enteredByUserId": 1001,
            "rows": [{"row": 0, "pairs": [{"key": "Link", "value": "https://example.org/1"}]}]}]})
        .to_string()
    };
    let site = Scripted::saying(&[&profile(7), &profile(101)]).await;
    let profiles = site.client.profiles(&credentials(), &form, &users, soon()).await.unwrap();
    assert_eq!(profiles.iter().map(|profile| profile.user.0).collect::<Vec<_>>(), [7, 101]);
    assert!(profiles[0].holds("Link", "https://example.org/1"));
    let body =
        |users: &[UserId]| ("profilesearch".to_owned(), json!({"formNames": ["Athlete Profile"], "userIds": users}));
    assert_eq!(site.asked(), [body(&users[..100]), body(&users[100..])]);

    assert_eq!(site.client.profiles(&credentials(), &form, &[], soon()).await, Ok(vec![]));
    assert_eq!(site.requests().len(), 2, "nobody is asked for");
    let empty = Scripted::saying(&[""]).await;
    assert_eq!(empty.client.profiles(&credentials(), &form, &users[..1], soon()).await, Ok(vec![]));
}
