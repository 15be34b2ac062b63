//! The meaning of each answer of a site, and its result: one table for each call.
//!
//! A row is an answer as received, and what the caller may conclude. Some conclusions are about a person (a member of
//! the group, deleted, merged), or say that there is no event on a date. These need an explicit answer of the site, in
//! an answer that is known to be complete. Everything else is an error that names the part that was not understood.
//!
//! One such answer is the empty body: real sites answer `eventsearch` with 200 and no body if there is no event. It
//! counts only as the first page and only if it arrived in full, with `Content-Length: 0` or as a complete chunked
//! body.

use axum::body::Body;
use axum::http::Response;
use jiff::civil::date;
use smartabase::{
    Client, Error, Event, EventId, FormKind, FormName, FormSummary, Import, ProfileImport, TimeOfDay, UserId,
};

use crate::site::{Scripted, answer, credentials, soon};

/// Starts a site with these answers. Each is a status and a body, or only a body, which is sent with 200.
async fn site(answers: &[&'static [u8]]) -> Scripted {
    Scripted::answering(answers.iter().map(|body| read_row(body))).await
}

/// Parses a row: `403 <html>` is a page with status 403; a row without a status is sent with 200.
fn read_row(row: &'static [u8]) -> Response<Body> {
    let status = row.split_at_checked(4).filter(|(status, _)| status.ends_with(b" "));
    let status = status.and_then(|(status, body)| Some((str::from_utf8(status).ok()?.trim().parse().ok()?, body)));
    let (status, body) = status.unwrap_or((200, row));
    let mut answer = answer(status, "");
    *answer.body_mut() = Body::from(body);
    answer
}

fn shown(row: &[u8]) -> String {
    String::from_utf8_lossy(row).into_owned()
}

mod look_up {
    use super::*;

    /// The result for a record of 3 March that the ledger does not have.
    #[derive(Debug, PartialEq)]
    enum Follows {
        /// The site has no such event: the connector creates it.
        Created,
        /// The site has the event under this id: the connector reconciles the ledger and creates no second event.
        Adopted(u64),
        /// It is unknown whether the site has the event: the connector sends nothing and reports this text.
        NotSent(&'static str),
    }
    use Follows::{Adopted, Created, NotSent};

    const FORM: &str = "Sleep";

    async fn found(client: &Client) -> Result<Vec<u64>, Error> {
        let (first, last) = (date(2026, 3, 1), date(2026, 3, 7));
        let found = client.events(&credentials(), &FormName::from(FORM), UserId(1001), first, last, soon()).await?;
        Ok(found.iter().map(|event| event.id.0).collect())
    }

    async fn check(rows: &[(&[&'static [u8]], Follows)]) {
        for (answers, follows) in rows {
            let site = site(answers).await;
            let row: Vec<_> = answers.iter().map(|row| shown(row)).collect();
            let found = found(&site.client).await;
            match follows {
                Created => assert_eq!(found, Ok(vec![]), "{row:?}"),
                Adopted(id) => assert_eq!(found, Ok(vec![*id]), "{row:?}"),
                NotSent(says) => {
                    let error = found.map_err(|error| error.to_string()).unwrap_err();
                    assert!(error.contains(says), "{says:?} is not in {error:?}, from {row:?}");
                }
            }
        }
    }

    /// Event 5, on 3 March.
    const EVENT: &[u8] =
        br#"{"events":[{"id":5,"formName":"Sleep","startDate":"03/03/2026","userId":1001,"rows":[]}],"cursor":null}"#;

    #[tokio::test]
    async fn event_is_absent_only_in_a_complete_answer() {
        check(&[
            // Answers of sites that have no such event.
            (&[br#"{"events":[]}"#], Created),
            (&[br#"{"events":[],"cursor":null}"#], Created),
            (&[br#"{"events":null}"#], Created),
            (&[b"{}"], Created),
            (&[b""], Created),
            (&[br#"{"export":{"events":[]},"pagination":{"cursor":null}}"#], Created),
            (&[br#"{"events":[],"serverTime":1788000000}"#], Created),
            // The client follows every place and spelling of the cursor.
            (&[br#"{"events":[],"cursor":"c1"}"#, EVENT], Adopted(5)),
            (&[br#"{"events":[],"nextCursor":"c1"}"#, EVENT], Adopted(5)),
            (&[br#"{"events":[],"next_cursor":"c1"}"#, EVENT], Adopted(5)),
            (&[br#"{"events":[],"cursor":7}"#, EVENT], Adopted(5)),
            (&[br#"{"events":[],"pagination":{"cursor":"c1"}}"#, EVENT], Adopted(5)),
            (&[br#"{"events":[],"pagination":{"nextCursor":"c1"}}"#, EVENT], Adopted(5)),
            (&[br#"{"export":{"events":[]},"pagination":{"cursor":"c1"}}"#, EVENT], Adopted(5)),
            (&[br#"{"export":{"events":[],"cursor":"c1"}}"#, EVENT], Adopted(5)),
            (&[br#"{"export":{"events":[],"nextCursor":"c1"}}"#, EVENT], Adopted(5)),
            (&[br#"{"export":{"events":[],"pagination":{"cursor":"c1"}}}"#, EVENT], Adopted(5)),
            (&[br#"{"export":{"events":[],"pagination":{"nextCursor":"c1"}}}"#, EVENT], Adopted(5)),
            (&[br#"{"cursor":"c1"}"#, EVENT], Adopted(5)),
            // An unknown member that looks like a continuation is not an end.
            (&[br#"{"events":[],"nextPageToken":"c1"}"#], NotSent("`nextPageToken`")),
            (&[br#"{"events":[],"hasMore":true}"#], NotSent("`hasMore`")),
            (&[br#"{"events":[],"meta":{"cursor":"c1"}}"#], NotSent("`meta.cursor`")),
            (&[br#"{"events":[],"links":[{"rel":"next"}]}"#], NotSent("`links`")),
            (&[br#"{"events":[],"cursor":null,"totalPages":2}"#], NotSent("`totalPages`")),
            (&[br#"{"events":[],"cursor":["c1"]}"#], NotSent("`cursor` can't be read")),
            (&[br#"{"events":[],"cursor":true}"#], NotSent("`cursor` can't be read")),
            (&[br#"{"events":[],"cursor":"c1","export":{"cursor":"c2"}}"#], NotSent("two different cursors")),
            // An announced page that is missing or repeated.
            (&[br#"{"events":[],"cursor":"c1"}"#, b"", b"<html>"], NotSent("html instead of JSON")),
            (&[br#"{"events":[],"cursor":"c1"}"#, br#"{"events":[],"cursor":"c1"}"#], NotSent("`cursor`")),
            (&[br#"{"events":[],"cursor":"c1"}"#, b"500 "], NotSent("status 500")),
            // A partial or deferred answer.
            (&[b"206 {\"events\":[]}"], NotSent("status 206")),
            (&[b"202 "], NotSent("status 202")),
            (&[br#"{"events":[{"#, br#"{"events":[{"#], NotSent("instead of JSON")),
            // Another member instead of the events.
            (&[br#"{"evnts":[]}"#], NotSent("without a list of events")),
            (&[br#"{"events":null,"results":[]}"#], NotSent("without a list of events")),
            (&[br#"{"export":{"records":[]}}"#], NotSent("without a list of events")),
            (&[br#"{"events":{}}"#], NotSent("`events` is not a list")),
            (&[br#"{"events":""}"#], NotSent("`events` is not a list")),
            (&[br#"{"export":[]}"#], NotSent("`export` is not an object")),
            (&[b"[]"], NotSent("not an object")),
            (&[b"null"], NotSent("not an object")),
            // A refusal by the site.
            (&[br#"{"error":"no such form"}"#], NotSent("the site says: no such form")),
            (&[br#"{"error":["no such form"],"events":[]}"#], NotSent("the site says: no such form")),
            (&[br#"{"state":"UNEXPECTED_ERROR","message":"","events":[]}"#], NotSent("UNEXPECTED_ERROR")),
            (&[br#"{"__is_rpc_exception__":true,"type":"x"}"#], NotSent("the site says: x")),
            // Not from the site.
            (&[b"<html>Down</html>", b"<html>Down</html>"], NotSent("html instead of JSON")),
            (&[b"403 <html>Forbidden</html>", b"403 <html>Forbidden</html>"], NotSent("status 403 and html")),
            (&[b"403 access denied"], NotSent("no permission")),
            (&[b"\xEF\xBB\xBF<html>", b"<html>"], NotSent("html instead of JSON")),
        ])
        .await;
    }

    #[tokio::test]
    async fn page_with_more_to_come_is_not_the_last() {
        check(&[
            // One more page is not the first page of one.
            (&[br#"{"events":[],"hasMorePages":1}"#], NotSent("`hasMorePages`")),
            (&[br#"{"events":[],"remainingPages":1}"#], NotSent("`remainingPages`")),
            (&[br#"{"events":[],"pagesRemaining":1}"#], NotSent("`pagesRemaining`")),
            (&[br#"{"events":[],"pagesLeft":1}"#], NotSent("`pagesLeft`")),
            (&[br#"{"events":[],"morePages":1}"#], NotSent("`morePages`")),
            (&[br#"{"events":[],"page":1,"totalPages":1}"#], Created),
            // "Not the last page" in every notation.
            (&[br#"{"events":[],"isLastPage":"false"}"#], NotSent("`isLastPage`")),
            (&[br#"{"events":[],"isLastPage":0}"#], NotSent("`isLastPage`")),
            (&[br#"{"events":[],"complete":"False"}"#], NotSent("`complete`")),
            (&[br#"{"events":[],"complete":"no"}"#], NotSent("`complete`")),
            (&[br#"{"events":[],"complete":0}"#], NotSent("`complete`")),
            (&[br#"{"events":[],"isLastPage":"true","complete":1}"#], Created),
            (&[br#"{"events":[],"lastSynchronisationTimeOnServer":0}"#], Created),
            // A total that is higher than the number of events read.
            (&[br#"{"events":[],"total":1}"#], NotSent("`total`")),
            (&[br#"{"events":[],"total":"1"}"#], NotSent("`total`")),
            (&[br#"{"events":[],"totalCount":1}"#], NotSent("`totalCount`")),
            (&[br#"{"events":[],"eventCount":1}"#], NotSent("`eventCount`")),
            (&[br#"{"events":[],"pagination":{"total_results":1}}"#], NotSent("`pagination.total_results`")),
            (&[br#"{"events":[],"total":1,"cursor":"c1"}"#, EVENT], Adopted(5)),
            (&[br#"{"events":[],"total":0}"#], Created),
            (&[br#"{"events":[],"userCount":1}"#], Created),
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":1001}],"total":1}"#], Adopted(5)),
            (
                &[
                    br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":1001}],"cursor":"c1"}"#,
                    br#"{"events":[{"id":6,"startDate":"03/03/2026","userId":1002}],"total":2}"#,
                ],
                Adopted(5),
            ),
        ])
        .await;
    }

    #[tokio::test]
    async fn empty_cursor_ends_the_list() {
        check(&[
            (&[br#"{"events":[],"cursor":0}"#], Created),
            (&[br#"{"events":[],"cursor":"0"}"#], Created),
            (&[br#"{"events":[],"cursor":"null"}"#], Created),
            (&[br#"{"events":[],"cursor":"None"}"#], Created),
            (&[br#"{"events":[],"pagination":{"nextCursor":"null"}}"#], Created),
        ])
        .await;
    }

    /// `Error::Unexpected` is reported to the operator; other errors are retried without a note.
    #[tokio::test]
    async fn repeated_cursor_is_reported_to_the_operator() {
        let page = br#"{"events":[],"cursor":"c1"}"#;
        let error = found(&site(&[page, page]).await.client).await.unwrap_err();
        assert!(matches!(&error, Error::Unexpected { what } if what.contains("`cursor`")), "{error}");
    }

    /// Names that a site chose appear in the note and the log, so they are cut and escaped.
    #[tokio::test]
    async fn cuts_and_escapes_names_in_errors() {
        let long = "x".repeat(100_000);
        for page in [
            format!(r#"{{"events":[],"next_\u001b[2J\u202e{long}":1}}"#),
            format!(r#"{{"events":[],"a\u001b{long}":{{"next":1}}}}"#),
            format!(
                r#"{{"events":[{{"id":5,"startDate":"03/03/2026","userId":1001,
                "rows":[{{"pairs":[{{"key":"\u001b{long}","value":[]}}]}}]}}]}}"#
            ),
        ] {
            let error = found(&Scripted::saying(&[&page]).await.client).await.unwrap_err();
            let Error::Unexpected { what } = error else { panic!("{error}") };
            assert!(what.len() < 500 && what.contains("\\u{1b}"), "{} bytes", what.len());
            assert!(!what.contains(['\u{1b}', '\u{202e}']));
        }
    }

    /// The form is called `Schlafübersicht`, and the site may encode that name in another way.
    #[tokio::test]
    async fn reads_a_form_name_in_another_encoding() {
        async fn found(page: &[u8], form: &str) -> Result<usize, Error> {
            let mut answer = answer(200, "");
            *answer.body_mut() = Body::from(page.to_vec());
            let client = Scripted::answering([answer]).await.client;
            let (first, last) = (date(2026, 3, 1), date(2026, 3, 7));
            let form = FormName::from(form);
            client.events(&credentials(), &form, UserId(1001), first, last, soon()).await.map(|found| found.len())
        }
        let page = |name: &[u8], day: &str, user: u64| {
            let rest = format!("\",\"startDate\":\"{day}\",\"userId\":{user}}}]}}");
            [&b"{\"events\":[{\"id\":5,\"formName\":\""[..], name, rest.as_bytes()].concat()
        };
        for (name, form) in [
            (&b"Schlaf&uuml;bersicht"[..], "Schlafübersicht"),
            (b"Schlaf&#252;bersicht", "Schlafübersicht"),
            ("SchlafÃ¼bersicht".as_bytes(), "Schlafübersicht"),
            ("Schlafu\u{308}bersicht".as_bytes(), "Schlafübersicht"),
            (b"Schlaf\xFCbersicht \xFC", "Schlafübersicht"),
            (b"Schlaf\x81bersicht", "Schlafübersicht"),
            (b"Schlaf?bersicht", "Schlafübersicht"),
            ("Schlaf\u{fffd}bersicht".as_bytes(), "Schlafübersicht"),
            (b"Sleep&nbsp;Form", "Sleep Form"),
            (b"Sleep%20Form", "Sleep Form"),
            ("Sleep\u{2009}Formé".as_bytes(), "Sleep Form"),
        ] {
            let shown = shown(name);
            let error = found(&page(name, "03/03/2026", 1001), form).await.expect_err(&shown);
            assert!(error.to_string().contains("events[0]: `formName`"), "{error} from {shown}");
            // An event of another user or day is not a wanted one, whatever its form is.
            assert_eq!(found(&page(name, "03/03/2026", 1002), form).await, Ok(0), "{shown}");
            assert_eq!(found(&page(name, "08/03/2026", 1001), form).await, Ok(0), "{shown}");
        }
        assert_eq!(found(&page("Schlafübersicht".as_bytes(), "03/03/2026", 1001), "Schlafübersicht").await, Ok(1));
        assert_eq!(found(&page(b"Schlaf\xFCbersicht", "03/03/2026", 1001), "Schlafübersicht").await, Ok(1));
        assert_eq!(found(&page(b"Wellness", "03/03/2026", 1001), "Sleep Form").await, Ok(0));
        assert_eq!(found(&page(b"Wellness 100%", "03/03/2026", 1001), "Sleep Form").await, Ok(0));
    }

    #[tokio::test]
    async fn event_is_read_or_named_in_the_error() {
        check(&[
            (&[EVENT], Adopted(5)),
            (&[br#"{"events":[],"export":{"events":[{"id":5,"startDate":"03/03/2026","userId":1001}]}}"#], Adopted(5)),
            // The user in both shapes, and ids in every notation.
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":{"userId":1001}}]}"#], Adopted(5)),
            (&[br#"{"events":[{"id":"5","startDate":"3/3/2026","userId":{"userId":"1001"}}]}"#], Adopted(5)),
            (&[br#"{"events":[{"id":5.0,"startDate":"03/03/2026","userId":1001.0}]}"#], Adopted(5)),
            // Invalid bytes in typed text affect nothing else.
            (&[b"\xEF\xBB\xBF{\"events\":[{\"id\":5,\"startDate\":\"03/03/2026\",\"userId\":1001}]}"], Adopted(5)),
            (
                &[b"{\"events\":[{\"id\":5,\"startDate\":\"03/03/2026\",\"userId\":1001,\"rows\":[{\"pairs\":[\
                    {\"key\":\"About\",\"value\":\"J\xF6rg\x01\"},{\"key\":\"Score\",\"value\":NaN}]}]}]}"],
                Adopted(5),
            ),
            // An event of another user, form or day proves nothing.
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":{"userId":1002}}]}"#], Created),
            (&[br#"{"events":[{"id":5,"formName":"Wellness","startDate":"03/03/2026","userId":1001}]}"#], Created),
            (&[br#"{"events":[{"id":5,"startDate":"08/03/2026","userId":1001}]}"#], Created),
            // An unreadable event may be the wanted one.
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026"}]}"#], NotSent("events[0]: `userId`")),
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":[1001]}]}"#], NotSent("events[0]: `userId`")),
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":{"id":1}}]}"#], NotSent("events[0]: `userId`")),
            (&[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":NaN}]}"#], NotSent("events[0]: `userId`")),
            (&[br#"{"events":[{"id":5,"startDate":"2026-03-03","userId":1001}]}"#], NotSent("events[0]: `startDate`")),
            (&[br#"{"events":[{"id":5,"userId":1001}]}"#], NotSent("events[0]: `startDate`")),
            (&[br#"{"events":[{"startDate":"03/03/2026","userId":1001}]}"#], NotSent("events[0]: `id`")),
            (&[br#"{"events":[{"id":null,"startDate":"03/03/2026","userId":1001}]}"#], NotSent("events[0]: `id`")),
            (&[br#"{"events":["5"]}"#], NotSent("events[0]: `userId`")),
            (
                &[br#"{"events":[{"id":5,"formName":"SLEEP","startDate":"03/03/2026","userId":1001}]}"#],
                NotSent("events[0]: `formName`"),
            ),
            (
                &[br#"{"events":[{"id":5,"startDate":"03/03/2026","userId":1001,"rows":["x"]}]}"#],
                NotSent("events[0]: `rows[0]`"),
            ),
        ])
        .await;
    }
}

mod roster {
    use super::*;

    /// The users with their UUIDs, and the unreadable entries.
    async fn shown_roster(answers: &[&'static [u8]]) -> String {
        match site(answers).await.client.roster(&credentials(), soon()).await {
            Ok(roster) => {
                let users = roster.users.iter().map(|user| match &user.uuid {
                    Some(uuid) => format!("{}={uuid}", user.id),
                    None => format!("{}", user.id),
                });
                let merged = roster.merged.iter().map(|(old, new)| format!("{old}>{new}"));
                let unread = roster.unreadable.iter().map(|unreadable| unreadable.what.clone());
                users.chain(merged).chain(unread).collect::<Vec<_>>().join("; ")
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[tokio::test]
    async fn bad_user_affects_only_itself_and_is_named_by_position() {
        for (answers, means) in [
            // Readable entries.
            (&[&br#"{"users":[{"userId":1009,"uuid":"a"},{"userId":2,"uuid":null}]}"#[..]][..], "1009=a; 2"),
            (&[b"\xEF\xBB\xBF{\"users\":[{\"userId\":1009,\"uuid\":\"a\"}]}"], "1009=a"),
            (
                &[b"{\"users\":[{\"userId\":1009,\"uuid\":\"a\",\"firstName\":\"J\xF6rg\"},{\"userId\":2}]}"],
                "1009=a; 2",
            ),
            (&[b"{\"users\":[{\"userId\":1009,\"uuid\":\"a\",\"lastName\":\"A\x02B\"},{\"userId\":2}]}"], "1009=a; 2"),
            (&[br#"{"users":[{"userId":1009.0,"uuid":19762.0},{"userId":"2.0"}]}"#], "1009=19762; 2"),
            (&[br#"{"users":[{"userId":{"userId":1009},"uuid":" a "}]}"#], "1009=a"),
            (&[br#"{"users":[{"userId":1009,"dob":NaN,"firstName":"\ud83d"}]}"#], "1009"),
            // Unreadable entries that affect only their own user.
            (&[br#"{"users":[{"userId":1},{"userId":NaN}]}"#], "1; page 1, users[1]: `userId` can't be read"),
            (&[br#"{"users":[{"userId":1},{"uuid":"a"}]}"#], "1; page 1, users[1]: `userId` can't be read"),
            (&[br#"{"users":[{"userId":1},{"userId":1.5}]}"#], "1; page 1, users[1]: `userId` can't be read"),
            (&[br#"{"users":[null,{"userId":1}]}"#], "1; page 1, users[0]: the user can't be read"),
            (&[b"{\"users\":[{\"userId\":1,\"uuid\":\"\xF6\"}]}"], "1; page 1, users[0]: `uuid` can't be read"),
            (&[br#"{"users":[{"userId":1,"uuid":["a"]}]}"#], "1; page 1, users[0]: `uuid` can't be read"),
            (&[br#"{"users":[{"userId":1,"uuid":true}]}"#], "1; page 1, users[0]: `uuid` can't be read"),
            (
                &[br#"{"users":[{"userId":1}],"cursor":"c1"}"#, br#"{"users":[{"userId":2},{"userId":"x"}]}"#],
                "1; 2; page 2, users[1]: `userId` can't be read",
            ),
            (
                &[br#"{"users":[{"userId":1}],"mergedUsers":[{"oldId":7,"newId":1},{"oldId":8}]}"#],
                "1; 7>1; page 1, mergedUsers[1]: `newId` can't be read",
            ),
            // Pages, wherever they are announced; an incomplete roster is an error.
            (&[br#"{"users":[{"userId":1}],"pagination":{"cursor":"c1"}}"#, br#"{"users":[{"userId":2}]}"#], "1; 2"),
            (&[br#"{"users":[{"userId":1}],"cursor":"c1"}"#, br#"{"users":null}"#], "1"),
            (
                &[br#"{"users":[{"userId":1}],"nextPage":2}"#],
                "error: unexpected answer: `nextPage` may say that the answer goes on, and how is not known, so it can't \
                 be taken for whole",
            ),
            // Not a roster.
            (&[b"{}"], "error: unexpected answer: usersynchronise: an answer without a list of users"),
            (&[br#"{"users":null}"#], "error: unexpected answer: usersynchronise: an answer without a list of users"),
            (&[br#"{"users":{"userId":1}}"#], "error: unexpected answer: usersynchronise: `users` is not a list"),
            (
                &[br#"{"users":[{"id":1}]}"#],
                "error: unexpected answer: usersynchronise: no user can be read (page 1, users[0]: `userId` can't be read)",
            ),
            (&[b""], "error: the site answered with status 200 and empty instead of JSON"),
            (&[b"<html>"], "error: the site answered with status 200 and html instead of JSON"),
            (&[b"403 <html>"], "error: the site answered with status 403 and html instead of JSON"),
        ] {
            let row: Vec<_> = answers.iter().map(|row| shown(row)).collect();
            assert_eq!(shown_roster(answers).await, means, "{row:?}");
        }
    }

    /// Whether user 7, who is connected and missing from the roster, is disconnected.
    #[tokio::test]
    async fn user_is_deleted_only_if_the_site_clearly_says_so() {
        const YES: Option<bool> = Some(true);
        const NO: Option<bool> = Some(false);
        /// The site has not said either: the connector changes nothing.
        const UNKNOWN: Option<bool> = None;
        for (row, deleted) in [
            (&br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[7]}"#[..], YES),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":["7"]}"#, YES),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[7.0,null,"x"]}"#, YES),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[]}"#, NO),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":null}"#, NO),
            (br#"{"users":[{"userId":1}]}"#, NO),
            (br#"{"users":[{"userId":1},{"userId":7}],"idsOfDeletedUsers":[7]}"#, NO),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[7],"mergedUsers":[{"oldId":7,"newId":1}]}"#, NO),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[7],"mergedUsers":[{"oldId":7,"newId":"x"}]}"#, NO),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[7],"mergedUsers":[{"newId":1}]}"#, UNKNOWN),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":7}"#, UNKNOWN),
            (br#"{"users":[{"userId":1}],"idsOfDeletedUsers":[7],"hasMore":true}"#, UNKNOWN),
            (br#"{"idsOfDeletedUsers":[7]}"#, UNKNOWN),
            (b"<html>", UNKNOWN),
            (b"404 ", UNKNOWN),
            (b"410 <html>", UNKNOWN),
            (b"", UNKNOWN),
        ] {
            let answer = site(&[row]).await.client.deleted_users(&credentials(), &[UserId(7)], soon()).await;
            assert_eq!(answer.ok().map(|deleted| deleted == [UserId(7)]), deleted, "{}", shown(row));
        }
    }

    /// The members of the group; the connector gives no link to other users.
    #[tokio::test]
    async fn group_is_read_completely_or_is_an_error() {
        for (row, members) in [
            (
                &br#"{"results":[{"search":{"name":"Squad"},"results":[{"userId":3},{"userId":"4"}]}]}"#[..],
                Ok(vec![3, 4]),
            ),
            (br#"{"results":[{"results":[{"userId":{"userId":3}},{"userId":4.0}]}]}"#, Ok(vec![3, 4])),
            (b"\xEF\xBB\xBF{\"results\":[{\"results\":[{\"userId\":3,\"firstName\":\"J\xF6rg\"}]}]}", Ok(vec![3])),
            (br#"{"results":[{"search":{}}]}"#, Ok(vec![])),
            (br#"{"results":[{"results":null}]}"#, Ok(vec![])),
            (br#"{"results":[]}"#, Ok(vec![])),
            (b"{}", Ok(vec![])),
            (b"", Ok(vec![])),
            (br#"{"results":[{"results":[{"userId":3},{"userId":"x"}]}]}"#, Err("results[0].results[1]: `userId`")),
            (br#"{"results":[{"results":[{"userId":3},null]}]}"#, Err("results[0].results[1]: `userId`")),
            (br#"{"results":[{"userId":3}]}"#, Err("results[0]")),
            (br#"{"results":[null]}"#, Err("results[0]")),
            (br#"{"results":{"results":[]}}"#, Err("`results` is not a list")),
            (br#"{"results":[{"results":{"userId":3}}]}"#, Err("`results` is not a list")),
            (br#"{"members":[3]}"#, Err("without a list of results")),
            (br#"{"message":"maintenance"}"#, Err("without a list of results")),
            (br#"{"results":[{"results":[{"userId":3}]}],"cursor":"c1"}"#, Err("further pages")),
            (br#"{"results":[{"results":[{"userId":3}]}],"hasMore":true}"#, Err("`hasMore`")),
            (br#"{"results":[],"error":"no such group"}"#, Err("the site says: no such group")),
            (b"[]", Err("not an object")),
            (b"<html>", Err("html instead of JSON")),
            (b"403 <html>", Err("html instead of JSON")),
            (br#"{"results":[{"results":[{"userId":3},{"userId":4}]}],"count":2}"#, Ok(vec![3, 4])),
            (br#"{"results":[{"results":[{"userId":3}]}],"count":2}"#, Err("`count`")),
            (br#"{"results":[{"search":{},"results":[]}],"count":1}"#, Ok(vec![])),
        ] {
            let answer = site(&[row]).await.client.group_members(&credentials(), "Squad", soon()).await;
            match members {
                Ok(members) => {
                    let members = members.into_iter().map(UserId).collect();
                    assert_eq!(answer, Ok(members), "{}", shown(row));
                }
                Err(says) => {
                    let error = answer.expect_err(&shown(row)).to_string();
                    assert!(error.contains(says), "{says:?} is not in {error:?}, from {}", shown(row));
                }
            }
        }
    }
}

/// The largest possible answers of a site. Quadratic algorithms would take hours here.
mod large_answer {
    use super::*;

    const MANY: u64 = 300_000;

    fn numbers() -> String {
        (1..=MANY).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
    }

    #[tokio::test]
    async fn of_group_members_is_read_in_linear_time() {
        let members: Vec<_> = (1..=MANY).map(|id| format!(r#"{{"userId":{id}}}"#)).collect();
        let answer = format!(r#"{{"results":[{{"results":[{}]}}]}}"#, members.join(","));
        let client = Scripted::saying(&[&answer]).await.client;
        let members = client.group_members(&credentials(), "Squad", soon()).await.unwrap();
        assert_eq!(members.len(), 300_000);
    }

    #[tokio::test]
    async fn of_deleted_users_is_read_in_linear_time() {
        let answer = format!(r#"{{"users":[{{"userId":1}}],"idsOfDeletedUsers":[{}]}}"#, numbers());
        let users: Vec<_> = (MANY / 2..=MANY).map(UserId).collect();
        let client = Scripted::saying(&[&answer]).await.client;
        let deleted = client.deleted_users(&credentials(), &users, soon()).await.unwrap();
        assert_eq!(deleted, users);
    }

    #[tokio::test]
    async fn to_an_import_is_read_in_linear_time() {
        let answer = format!(
            r#"{{"result":{{"state":"SUCCESSFULLY_IMPORTED"}},"eventImportResultForForm":[{{"eventImportResults":
            {{"state":"SUCCESSFULLY_IMPORTED","ids":[{}]}}}}]}}"#,
            numbers()
        );
        let imported = writing::import_into(&Scripted::saying(&[&answer]).await).await;
        assert!(matches!(imported, Ok(Import::FewerIds { sent: 1, ids }) if ids.len() == 300_000));
        let names = numbers().replace(',', ", ");
        let answer = format!(
            r#"{{"result":{{"state":"SUCCESSFULLY_IMPORTED"}},"eventImportResultForForm":[{{"eventImportResults":
            {{"state":"SUCCESSFULLY_IMPORTED","ids":[5],"message":"The following names [{names}] were sent in the message but do not exist in the form"}}}}]}}"#
        );
        let imported = writing::import_into(&Scripted::saying(&[&answer]).await).await;
        assert!(matches!(imported, Ok(Import::Imported { unknown_fields, .. }) if unknown_fields.len() == 300_000));
    }
}

mod writing {
    use super::*;

    /// The result for a record that was sent.
    #[derive(Debug, PartialEq)]
    enum Follows {
        /// The site stored it under this id.
        Stored(u64),
        /// The site stored it, but the form does not have this field.
        StoredWithout(&'static str),
        /// It is unknown whether the site stored it: the connector looks it up before sending it again.
        LookedUp,
        /// The site certainly did not store it.
        NotTaken,
    }
    use Follows::{LookedUp, NotTaken, Stored, StoredWithout};

    fn fields() -> Vec<(String, String)> {
        vec![("Score".to_owned(), "82".to_owned())]
    }

    pub(crate) async fn import_into(site: &Scripted) -> Result<Import, Error> {
        let time = TimeOfDay::new(21, 0).unwrap();
        let (user, date, fields) = (UserId(1), date(2026, 3, 3), fields());
        let event = Event { user, date, start: time, finish: time, existing: None, fields };
        site.client.import(&credentials(), &FormName::from("Sleep"), &[event], soon()).await
    }

    async fn import(row: &'static [u8]) -> Follows {
        match import_into(&site(&[row]).await).await {
            Ok(Import::Imported { ids, unknown_fields }) if unknown_fields.is_empty() => Stored(ids.first().unwrap().0),
            Ok(Import::Imported { .. }) => StoredWithout("Score"),
            Ok(_) => LookedUp,
            Err(error) => {
                if error.leaves_import_in_doubt() {
                    LookedUp
                } else {
                    NotTaken
                }
            }
        }
    }

    #[tokio::test]
    async fn event_is_stored_only_if_every_level_says_so() {
        for (row, follows) in [
            (&br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":[5]}}]}"#[..], Stored(5)),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":["5.0"],"error":[]}}],"error":null}"#, Stored(5)),
            (b"\xEF\xBB\xBF{\"result\":{\"state\":\"SUCCESSFULLY_IMPORTED\"},\"eventImportResultForForm\":[{\"formName\":\"\xF6\",\"eventImportResults\":{\"state\":\"SUCCESSFULLY_IMPORTED\",\"ids\":[5]}}]}", Stored(5)),
            // Dropped fields, in one message or in a list of messages.
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","message":"The following names [Score] were sent in the message but do not exist in the form","ids":[5]}}]}"#, StoredWithout("Score")),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","message":["1 out of 1 records successfully imported.","The following names [Score] were sent in the message but do not exist in the form"],"ids":[5]}}]}"#, StoredWithout("Score")),
            // Not every level reports success, or not for every record.
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"}}"#, LookedUp),
            (br#"{"result":"SUCCESSFULLY_IMPORTED"}"#, LookedUp),
            (br#"{"state":"SUCCESSFULLY_IMPORTED","ids":[5]}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"ids":[5]}}]}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":[]}}]}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":5}}]}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":[NaN]}}]}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":[5]}}}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","message":["0 out of 1 records successfully imported."],"ids":[5]}}]}"#, LookedUp),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"},"eventImportResultForForm":[{"eventImportResults":{"state":"SUCCESSFULLY_IMPORTED","ids":[5]}}],"errors":["no"]}"#, LookedUp),
            (br#"{"result":{"state":"UNEXPECTED_ERROR","message":""}}"#, LookedUp),
            (br#"{"error":"no such form"}"#, LookedUp),
            (b"{}", LookedUp),
            (b"[]", LookedUp),
            // Not from the site.
            (b"", LookedUp),
            (b"202 ", LookedUp),
            (b"<html>", LookedUp),
            (b"Success", LookedUp),
            (b"500 ", LookedUp),
            (b"504 <html>", LookedUp),
            (b"403 <html>", NotTaken),
            (b"403 access denied", NotTaken),
            (b"422 <html>", NotTaken),
            (b"404 ", NotTaken),
            (b"429 ", NotTaken),
        ] {
            assert_eq!(import(row).await, follows, "{}", shown(row));
        }
    }

    #[tokio::test]
    async fn profile_is_stored_only_if_the_site_says_so() {
        for (row, stored) in [
            (&br#"{"state":"SUCCESSFULLY_IMPORTED","message":"1 out of 1 records successfully imported."}"#[..], true),
            (br#"{"state":"SUCCESSFULLY_IMPORTED","ids":[],"extra":NaN}"#, true),
            (br#"{"result":{"state":"SUCCESSFULLY_IMPORTED"}}"#, true),
            (br#"{"state":"SUCCESSFULLY_IMPORTED","message":["The following names [Score] were sent in the message but do not exist in the form"]}"#, false),
            (br#"{"state":"SUCCESSFULLY_IMPORTED","result":{"state":"UNEXPECTED_ERROR"}}"#, false),
            (br#"{"state":"SUCCESSFULLY_IMPORTED","error":["no"]}"#, false),
            (br#"{"state":["SUCCESSFULLY_IMPORTED"]}"#, false),
            (br#"{"state":true}"#, false),
            (b"{}", false),
            (b"", false),
            (b"<html>", false),
            (b"403 <html>", false),
        ] {
            let (form, fields) = (FormName::from("Links"), fields());
            let answer = site(&[row]).await.client.import_profile(&credentials(), &form, UserId(1), &fields, soon()).await;
            let is_stored = matches!(&answer, Ok(ProfileImport::Imported { unknown_fields }) if unknown_fields.is_empty());
            assert_eq!(is_stored, stored, "{answer:?} from {}", shown(row));
        }
    }

    #[tokio::test]
    async fn event_is_deleted_only_if_the_site_says_so() {
        for (row, gone) in [
            (&br#"{"state":"SUCCESS","message":"Deleted 7"}"#[..], true),
            (br#"{"result":{"state":"SUCCESS"}}"#, true),
            (br#"{"state":"FAILURE","message":"Could not delete the event"}"#, false),
            (br#"{"state":"SUCCESS","error":"no"}"#, false),
            (br#"{"state":"SUCCESS","result":{"state":"FAILURE"}}"#, false),
            (br#"{"state":true}"#, false),
            (br#"{"success":true}"#, false),
            (b"{}", false),
            (b"[]", false),
        ] {
            let answer = site(&[row]).await.client.delete_event(&credentials(), EventId(7), soon()).await;
            assert_eq!(answer, Ok(gone), "{}", shown(row));
        }
    }
}

mod account {
    use super::*;

    /// Whether the username and password count as accepted.
    #[tokio::test]
    async fn account_is_accepted_only_if_the_site_says_so() {
        for (row, says) in [
            (&br#"{"name":["All Accounts","Squad"]}"#[..], None),
            (b"\xEF\xBB\xBF{\"name\":[\"J\xF6rg's squad\"]}", None),
            (b"{}", None),
            (b"", None),
            (b"403 access denied", None),
            (b"403 ", None),
            (b"403 Access Denied.", None),
            (br#"403 {"__is_rpc_exception__":true,"value":{"detailMessage":"no"}}"#, None),
            // A 403 of a firewall or gateway does not come from the site.
            (b"403 error code: 1020", Some("status 403")),
            (b"403 RBAC: access denied", Some("status 403")),
            (br#"403 {"message":"Forbidden"}"#, Some("status 403")),
            (br#"403 {"error":"Forbidden"}"#, Some("status 403")),
            (b"403 Forbidden", Some("status 403")),
            (b"403 <html>access denied", Some("status 403 and html")),
            // A 401 counts as the site's unless a page names another source, because another attempt may lock the
            // account.
            (b"401 ", Some("refuses the username or the password")),
            (b"401 <html>", Some("refuses the username or the password")),
            (b"401 <html>Apache Tomcat", Some("refuses the username or the password")),
            (b"401 Unauthorized", Some("refuses the username or the password")),
            (br#"401 {"message":"Unauthorized"}"#, Some("refuses the username or the password")),
            (b"401 <html>CloudFlare", Some("status 401 and html")),
            (b"401 <html>Zscaler", Some("status 401 and html")),
            // Apache sends a page with 404; a gateway without a route sends its own words.
            (b"404 ", Some("no such site")),
            (b"404 <html>Not Found", Some("no such site")),
            (br#"404 {"__is_rpc_exception__":true}"#, Some("no such site")),
            (b"404 <html>cloudflare", Some("status 404 and html")),
            (b"404 404 page not found", Some("status 404")),
            (b"404 default backend - 404", Some("status 404")),
            (br#"404 {"message":"no Route matched with those values"}"#, Some("status 404")),
            (
                br#"{"__is_rpc_exception__":true,"value":{"detailMessage":"Invalid username or password"}}"#,
                Some("Invalid username"),
            ),
            (br#"{"error":"locked"}"#, Some("the site says: locked")),
            (br#"{"state":"FAILURE","message":"locked"}"#, Some("the site says: locked")),
            (b"403 <html>Attention required</html>", Some("status 403 and html")),
            (b"<html>Sign in</html>", Some("status 200 and html")),
            (b"302 ", Some("status 302")),
            (b"[]", Some("not an object")),
            (b"true", Some("not an object")),
        ] {
            let site = site(&[row]).await;
            let answer = site.client.sign_in(&credentials(), soon()).await;
            match says {
                None => assert_eq!(answer, Ok(()), "{}", shown(row)),
                Some(says) => {
                    let error = answer.expect_err(&shown(row)).to_string();
                    assert!(error.contains(says), "{says:?} is not in {error:?}, from {}", shown(row));
                }
            }
            assert_eq!(site.requests().len(), 1, "a password is never tried twice");
        }
    }

    /// The forms of the site, and the fields of one form.
    #[tokio::test]
    async fn form_is_missing_only_from_a_complete_list() {
        let opened = || {
            let mut opened = answer(200, r#"{"user":{"id":1001}}"#);
            opened.headers_mut().insert("session-header", "s".parse().unwrap());
            opened
        };
        for (row, forms) in [
            (&br#"{"event":[{"id":7,"name":"Sleep"}],"profile":[]}"#[..], Ok(vec![7])),
            (br#"{"event":[{"id":"7","name":"Sleep"},{"id":8.0,"name":"Day"}]}"#, Ok(vec![7, 8])),
            (b"\xEF\xBB\xBF{\"event\":[{\"id\":7,\"name\":\"Sleep\"},{\"id\":9,\"name\":\"\xF6\"}]}", Ok(vec![7, 9])),
            (br#"{"event":null,"profile":[{"id":7,"name":"Links"}]}"#, Ok(vec![7])),
            (br#"{"event":[{"id":7,"name":"Sleep"}],"cursor":"c1"}"#, Err("further pages")),
            (br#"{"event":[{"id":7,"name":"Sleep"}],"nextPage":2}"#, Err("`nextPage`")),
            (br#"{"event":{"id":7}}"#, Err("`event` is not a list")),
            (br#"{"database":[]}"#, Err("neither event nor profile forms")),
            (br#"{"error":"no session"}"#, Err("the site says: no session")),
            (b"", Err("empty instead of JSON")),
            (b"<html>", Err("html instead of JSON")),
        ] {
            let site = Scripted::answering([opened(), read_row(row)]).await;
            let session = site.client.open_session(&credentials(), soon()).await.unwrap();
            match (session.forms(soon()).await, forms) {
                (Ok(found), Ok(forms)) => {
                    assert_eq!(found.iter().map(|form| form.id).collect::<Vec<_>>(), forms, "{}", shown(row));
                }
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error} from {}", shown(row)),
                (found, _) => panic!("{found:?} from {}", shown(row)),
            }
        }
        for (row, fields) in [
            (
                &br#"{"children":[{"type":"FormItem","name":"Score","required":"true"}]}"#[..],
                Some(vec![("Score", true)]),
            ),
            (
                br#"{"children":[{"type":"FormItem","name":"Score"},{"type":"FormItem","name":7}]}"#,
                Some(vec![("Score", false)]),
            ),
            (br#"{"children":[]}"#, Some(vec![])),
            (br#"{"children":null}"#, None),
            (br#"{"children":{}}"#, None),
            (b"{}", None),
        ] {
            let site = Scripted::answering([opened(), read_row(row)]).await;
            let session = site.client.open_session(&credentials(), soon()).await.unwrap();
            let form = FormSummary { id: 7, name: FormName::from("Sleep"), kind: FormKind::Event, read_only: false };
            let schema = session.schema(&form, soon()).await.ok();
            let found = schema.as_ref().map(|schema| {
                schema.fields.iter().map(|field| (field.label.as_str(), field.required)).collect::<Vec<_>>()
            });
            assert_eq!(found, fields, "{}", shown(row));
        }
    }

    /// The profile of each user; users without one are left out.
    #[tokio::test]
    async fn reads_profiles_only_from_a_complete_answer() {
        for (row, users) in [
            (&br#"{"profiles":[{"userId":1,"rows":[]}]}"#[..], Ok(vec![1])),
            (br#"{"profiles":[{"userId":{"userId":1},"rows":null}]}"#, Ok(vec![1])),
            (br#"{"profiles":[{"userId":9}]}"#, Ok(vec![])),
            (b"{}", Ok(vec![])),
            (b"", Ok(vec![])),
            (br#"{"profiles":[{"userId":"x"}]}"#, Err("profiles[0]: `userId`")),
            (br#"{"profiles":[],"pagination":{"cursor":"c1"}}"#, Err("further pages")),
            (br#"{"profile":[]}"#, Err("without a list of profiles")),
            (b"<html>", Err("html instead of JSON")),
        ] {
            let form = FormName::from("Links");
            let answer = site(&[row]).await.client.profiles(&credentials(), &form, &[UserId(1)], soon()).await;
            match (answer, users) {
                (Ok(found), Ok(users)) => {
                    assert_eq!(found.iter().map(|profile| profile.user.0).collect::<Vec<_>>(), users, "{}", shown(row));
                }
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error} from {}", shown(row)),
                (found, _) => panic!("{found:?} from {}", shown(row)),
            }
        }
    }
}
