//! The meaning of Oura's responses to data requests, as tables: each row is a response and its result.
//!
//! Three rules apply to all of them. Only an explicit response from Oura proves anything about a person. A document is
//! missing only if a complete response does not contain it. An unreadable value affects only its own document.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use jiff::civil::{Date, date};
use oura::{
    ApiError, Client, DailyActivity, DailyReadiness, DailySleep, Days, Document, Documents, Endpoints, Forbidden,
    Sleep, SleepType, Tier,
};

use crate::server::{Server, typed};
use crate::{credentials, later, secret};

const DAYS: Days = Days { first: date(2026, 3, 2), last: date(2026, 3, 8) };

const HTML: &str = "<!DOCTYPE html><html><head><title>Access denied</title></head><body>hush</body></html>";

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
    answer.headers_mut().extend(headers.collect::<HeaderMap>());
    answer
}

/// Reads a page with this body through the client.
async fn read<D: Document>(body: Vec<u8>) -> Result<Documents<D>, ApiError> {
    let server = Server::start(move |_| typed(200, "application/json", body.clone())).await;
    server.client().documents::<D>(&secret("hush-token"), DAYS, later()).await
}

mod refusals {
    use super::*;

    /// Sent in response to a collection, to `personal_info`, and to the revocation of a grant.
    #[tokio::test]
    async fn are_about_a_person_only_if_oura_wrote_them() {
        let forbidden = |detail| ApiError::Forbidden { detail };
        let foreign = |status| ApiError::Foreign { status };
        let membership = || forbidden(Forbidden::Membership);
        for (status, body, expected) in [
            // 401: the access token. Oura's explanation is not needed, because the error only leads to a refresh.
            (401, r#"{"status":401,"title":"Unauthorized","detail":"hush"}"#, ApiError::TokenRefused),
            (401, r#"{"detail":"hush"}"#, ApiError::TokenRefused),
            (401, r#"{"error":"invalid_token","error_description":"hush"}"#, ApiError::TokenRefused),
            (401, "", ApiError::TokenRefused),
            (401, HTML, foreign(401)),
            (401, r#"{"message":"Unauthorized"}"#, foreign(401)),
            (401, "Unauthorized", foreign(401)),
            (401, r#"{"status":401,"error":"Unauthorized"}"#, foreign(401)),
            // 402: the membership, if Oura explains it. Any gateway may send this status for its own billing.
            (402, r#"{"detail":"hush"}"#, membership()),
            (402, r#"{"status":402,"title":"Payment Required","detail":"hush"}"#, membership()),
            (402, r#"{"status":402,"title":"Payment Required"}"#, forbidden(Forbidden::Unknown)),
            (402, r#"{"title":"Payment Required","detail":" "}"#, forbidden(Forbidden::Unknown)),
            (402, r#"{"error":"access_denied"}"#, forbidden(Forbidden::Unknown)),
            (402, r#"{"detail":[{"loc":["query"],"msg":"hush"}]}"#, forbidden(Forbidden::Unknown)),
            (402, "", forbidden(Forbidden::Unknown)),
            (402, r#"{"status":402,"error":"Payment Required"}"#, foreign(402)),
            (402, HTML, foreign(402)),
            (402, "DEPLOYMENT_DISABLED", foreign(402)),
            // 403: the membership or the scope, if the response says which.
            (
                403,
                r#"{"status":403,"title":"Forbidden","detail":"The user's Oura subscription has expired"}"#,
                membership(),
            ),
            (403, r#"{"title":"Membership required"}"#, membership()),
            (403, r#"{"detail":"Missing required scope: daily"}"#, forbidden(Forbidden::Scope)),
            (403, r#"{"title":"Forbidden","detail":"Needs SCOPES daily"}"#, forbidden(Forbidden::Scope)),
            (403, r#"{"error":"insufficient_scope"}"#, forbidden(Forbidden::Scope)),
            (403, r#"{"error":"Membership required"}"#, foreign(403)),
            (403, r#"{"timestamp":"x","status":403,"error":"Forbidden","path":"/scope"}"#, foreign(403)),
            (403, r#"{"detail":"Scope missing or subscription expired"}"#, forbidden(Forbidden::Unknown)),
            (403, r#"{"title":"Forbidden","detail":null}"#, forbidden(Forbidden::Unknown)),
            (403, r#"{"detail":[{"loc":["scope"],"msg":"scope"}]}"#, forbidden(Forbidden::Unknown)),
            (
                403,
                r#"{"title":"Error 1020: Access denied","status":403,"detail":"hush"}"#,
                forbidden(Forbidden::Unknown),
            ),
            (403, "", forbidden(Forbidden::Unknown)),
            (403, " \r\n", forbidden(Forbidden::Unknown)),
            (403, HTML, foreign(403)),
            (403, "<html>Your membership or scope</html>", foreign(403)),
            (403, r#"{"message":"Your membership has lapsed"}"#, foreign(403)),
            (403, r#"{"detail":null}"#, foreign(403)),
            (403, r#"{"error":{"message":"membership"}}"#, foreign(403)),
            (403, r#"[{"detail":"membership"}]"#, foreign(403)),
            (403, r#""membership""#, foreign(403)),
            (403, r#"{"detail":"membership"#, foreign(403)),
            (403, "{}", foreign(403)),
            // 426: the person's app, if Oura explains it. Any proxy may send this status for the protocol (RFC 9110).
            (426, r#"{"title":"Upgrade Required","detail":"hush"}"#, forbidden(Forbidden::OutdatedApp)),
            (426, r#"{"detail":"hush"}"#, forbidden(Forbidden::OutdatedApp)),
            (426, r#"{"title":"Upgrade Required"}"#, forbidden(Forbidden::Unknown)),
            (426, "", forbidden(Forbidden::Unknown)),
            (426, r#"{"status":426,"error":"Upgrade Required"}"#, foreign(426)),
            (426, HTML, foreign(426)),
            // Our request is wrong. An operator has to look at it, unless the request never reached Oura.
            (400, r#"{"detail":"hush"}"#, ApiError::Rejected { status: 400 }),
            (404, "", ApiError::Rejected { status: 404 }),
            (422, r#"{"detail":[{"loc":["query"],"msg":"hush","type":"x"}]}"#, ApiError::Rejected { status: 422 }),
            (304, "", ApiError::Rejected { status: 304 }),
            (404, HTML, foreign(404)),
            (451, HTML, foreign(451)),
            // A server error of Oura.
            (408, "", ApiError::Unwell { status: Some(408) }),
            (500, HTML, ApiError::Unwell { status: Some(500) }),
            (503, r#"{"detail":"Your membership has lapsed"}"#, ApiError::Unwell { status: Some(503) }),
        ] {
            let server = Server::start(move |_| typed(status, "text/plain", body)).await;
            let client = server.client();
            let error = client.documents::<DailySleep>(&secret("hush-token"), DAYS, later()).await.unwrap_err();
            assert_eq!(error, expected, "{status} {body}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
            let info = client.personal_info(&secret("hush-token"), later()).await;
            assert_eq!(info, Err(expected.clone()), "personal_info: {status} {body}");
            let revoked = client.revoke(&credentials(), &secret("hush-token"), later()).await;
            assert_eq!(revoked, Err(expected), "revoke: {status} {body}");
            assert_eq!(server.seen().len(), 3, "no retry of its own: {status}");
        }
    }

    /// At the older server a 401 means that the token is already invalid, which counts as revoked.
    #[tokio::test]
    async fn end_a_revocation_only_if_oura_wrote_them() {
        for (body, expected) in
            [("", Ok(())), (r#"{"detail":"hush"}"#, Ok(())), (HTML, Err(ApiError::Foreign { status: 401 }))]
        {
            let server = Server::start(move |_| typed(401, "text/plain", body)).await;
            let revoke = server.url.join("/oauth/revoke").unwrap();
            let client = Client::new(Endpoints { revoke, ..server.client().endpoints().clone() }).unwrap();
            assert_eq!(client.revoke(&credentials(), &secret("hush"), later()).await, expected, "{body}");
        }
    }

    /// The header values are tested beside the parser. The client obeys the wait even if an intermediary sent it.
    #[tokio::test]
    async fn of_a_throttle_count_from_any_author() {
        for (headers, body, after, tier) in [
            (&[("retry-after", "30"), ("x-ratelimit-tier", "token")][..], "", Some(30), Tier::Token),
            (&[("retry-after", "1800.5")], HTML, Some(1801), Tier::Unknown),
            (&[("retry-after", "60s")], r#"{"detail":"hush"}"#, Some(60), Tier::Unknown),
            (&[("retry-after", "in a while")], "", None, Tier::Unknown),
            (&[], "", None, Tier::Unknown),
        ] {
            let server = Server::start(move |_| answer(429, headers, body)).await;
            let error = server.client().documents::<Sleep>(&secret("token"), DAYS, later()).await.unwrap_err();
            let ApiError::Throttled(throttle) = error else { panic!("{headers:?}: {error:?}") };
            assert_eq!((throttle.after.map(|after| after.as_secs()), throttle.tier), (after, tier), "{headers:?}");
        }
    }
}

mod successes {
    use super::*;

    /// Reading one of these as a page without documents would delete the known data of the days.
    #[tokio::test]
    async fn without_a_whole_page_are_errors_and_not_empty() {
        for body in [
            // Not from Oura.
            &b""[..],
            HTML.as_bytes(),
            b"OK",
            b"\xff\xfe\x00",
            b"null",
            b"true",
            b"[]",
            br"[[], null]",
            // No list of documents.
            b"{}",
            br#"{"next_token": null}"#,
            br#"{"data": null, "next_token": null}"#,
            br#"{"data": {"id": "a", "day": "2026-03-02"}, "next_token": null}"#,
            br#"{"data": "", "next_token": null}"#,
            br#"{"data": NaN, "next_token": null}"#,
            br#"{"Data": [], "next_token": null}"#,
            br#"{"usercollection": {"data": []}}"#,
            br#"{"id": "a", "day": "2026-03-02", "score": 81}"#,
            br#"{"data": [], "data": [], "next_token": null}"#,
            // Cut short, or followed by more data.
            br#"{"data": [{"id": "hush"#,
            br#"{"data": []"#,
            br#"{"data": [], "next_token": null} hush"#,
            br#"{"data": [NaN], "next_token": null} hush"#,
            br#"{"data": [{"score": NaN], "next_token": null}"#,
            // An invalid token of the next page.
            br#"{"data": [], "next_token": 7}"#,
            br#"{"data": [], "next_token": false}"#,
            br#"{"data": [], "next_token": ["a"]}"#,
            br#"{"data": [], "next_token": {"token": "a"}}"#,
            br#"{"data": [NaN], "next_token": NaN}"#,
            br#"{"data": [], "next_token": null, "next_token": "a"}"#,
            // An undocumented member refers to another page.
            br#"{"data": [], "nextToken": "a"}"#,
            br#"{"data": [], "next_token": null, "next_page": 2}"#,
            br#"{"data": [], "next_token": null, "nextCursor": "a"}"#,
            br#"{"data": [], "next_token": "", "cursor": "a"}"#,
            br#"{"data": [], "continuation": {"token": "a"}}"#,
            br#"{"data": [], "has_more": true}"#,
            br#"{"data": [], "pagination": {"next_token": "a"}}"#,
            br#"{"data": [], "meta": {"page": {"cursor": "a"}}}"#,
            br#"{"data": [], "links": {"self": "x", "next": "y"}}"#,
            br#"{"data": [], "links": [{"rel": "next", "href": "y"}]}"#,
            br#"{"data": [NaN], "next_token": null, "has_more": true}"#,
            br#"{"data": [], "truncated": true}"#,
            br#"{"data": [], "meta": {"is_truncated": true}}"#,
            br#"{"data": [], "is_last": false}"#,
            br#"{"data": [], "last": false, "totalPages": 1}"#,
            br#"{"data": [], "complete": false}"#,
            br#"{"data": [], "remaining": 3}"#,
            br#"{"data": [], "page": 1, "total_pages": 2}"#,
            br#"{"data": [], "total_pages": 2}"#,
            br#"{"data": [], "meta": {"currentPage": 0, "pageCount": 2}}"#,
            // The page says that documents are missing.
            br#"{"data": [], "next_token": null, "partial": true}"#,
            br#"{"data": [], "next_token": "a", "incomplete": true}"#,
            // The page reports an error.
            br#"{"data": [], "next_token": null, "detail": "hush"}"#,
            br#"{"data": [], "next_token": null, "title": "Internal Server Error", "status": 500}"#,
            br#"{"data": [], "next_token": "a", "detail": [{"msg": "hush"}]}"#,
            br#"{"data": [], "next_token": null, "error": "upstream"}"#,
            br#"{"data": [], "next_token": null, "errors": [{"detail": "hush"}]}"#,
        ] {
            let error = read::<DailySleep>(body.to_vec()).await.unwrap_err();
            assert!(matches!(error, ApiError::Unreadable { .. }), "{error:?} {}", body.escape_ascii());
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        let page = r#"{"data": [], "next_token": null}"#;
        for (status, headers) in [(202, &[][..]), (203, &[]), (206, &[]), (200, &[("link", r#"<x>; rel="next""#)])] {
            let server = Server::start(move |_| answer(status, headers, page)).await;
            let read = server.client().documents::<DailySleep>(&secret("token"), DAYS, later()).await;
            assert!(matches!(read, Err(ApiError::Unreadable { .. })), "{status} {headers:?}: {read:?}");
        }
    }

    #[tokio::test]
    async fn with_a_whole_page_may_have_unknown_members() {
        for body in [
            &br#"{"data": [], "next_token": null}"#[..],
            br#"{"next_token": "", "data": []}"#,
            br#"{"data": []}"#,
            b"\xef\xbb\xbf{\"data\": [], \"next_token\": null}",
            br#"{"data": [], "next_token": null, "page_size": 50, "total_pages": 1, "status": 200}"#,
            br#"{"data": [], "next_token": null, "has_more": false, "cursor": null, "error": null, "errors": []}"#,
            br#"{"data": [], "links": {"self": "x", "prev": "y", "next": null}, "previous_cursor": "z"}"#,
            br#"{"data": [], "meta": {"request": "a", "more_info": "https://example.org"}}"#,
            br#"{"data": [], "truncated": false, "partial": false, "is_last": true, "remaining": 0, "complete": true}"#,
            br#"{"data": [], "is_last": null, "detail": null, "title": "", "page": 2, "total_pages": 2}"#,
            br#"{"data": [], "pagination": {"page": 0, "total_pages": 1}, "rate_limit": {"remaining": 4999}}"#,
        ] {
            let found = read::<DailySleep>(body.to_vec()).await.unwrap_or_else(|error| panic!("{error}"));
            let (documents, unreadable) = (found.documents.len(), found.unreadable.len());
            assert_eq!((documents, unreadable, found.requests), (0, 0, 1), "{}", body.escape_ascii());
        }
    }

    #[tokio::test]
    async fn with_a_damaged_document_lose_only_that_document() {
        let whole = r#"{"id": "b", "day": "2026-03-04", "score": 80}"#;
        // The damaged document between two others, and the id, day and field that are named.
        for (damaged, id, day, field) in [
            (&br#"{"id": "a", "day": "2026-03-02", "score": NaN}"#[..], Some("a"), Some(2), "score"),
            (br#"{"id": "a", "day": "2026-03-02", "score": -Infinity}"#, Some("a"), Some(2), "score"),
            (br#"{"score": Infinity, "day": "2026-03-02", "id": "a"}"#, Some("a"), Some(2), "score"),
            (
                br#"{"id": "a", "day": "2026-03-02", "contributors": {"timing": NaN}}"#,
                Some("a"),
                Some(2),
                "contributors.timing",
            ),
            (br#"{"id": "a", "day": "2026-03-02", "score": 1e999}"#, Some("a"), Some(2), "score"),
            (br#"{"id": "a", "day": "2026-03-02", "score": undefined}"#, Some("a"), Some(2), "score"),
            (
                b"{\"id\": \"a\", \"day\": \"2026-03-02\", \"note\": \"\xc3\x28\", \"score\": +1}",
                Some("a"),
                Some(2),
                "score",
            ),
            (b"{\"id\": \"\xc3\x28\", \"day\": \"2026-03-02\"}", None, Some(2), "id"),
            (b"{\"id\": \"a\nb\", \"day\": \"2026-03-02\"}", None, Some(2), "id"),
            (br#"{"id": "a", "day": NaN}"#, Some("a"), None, "day"),
            (br#"{"id": "a" "day": "2026-03-02"}"#, None, None, "day"),
            (b"NaN", None, None, "document"),
            (b"", None, None, "document"),
        ] {
            let body = [b"{\"data\": [", whole.as_bytes(), b",", damaged, b"], \"next_token\": null}"].concat();
            let found = read::<DailySleep>(body).await.unwrap_or_else(|error| panic!("{error}"));
            let said = damaged.escape_ascii();
            let scores: Vec<_> = found.documents.iter().map(|document| document.score).collect();
            assert_eq!(scores, [Some(80.0)], "{said}");
            let [lost] = &found.unreadable[..] else { panic!("{said}: {:?}", found.unreadable) };
            let named = (lost.id.as_deref(), lost.day, lost.field.as_str());
            assert_eq!(named, (id, day.map(|day| date(2026, 3, day)), field), "{said}");
        }
    }

    /// A page with more members, or more different damaged documents, than a real page can have.
    #[tokio::test]
    async fn with_too_many_members_or_damages_are_errors() {
        let names: Vec<_> = (0..65).map(|number| format!(r#""{number}": 0"#)).collect();
        let damaged: Vec<_> = (0..1_001).map(|number| format!(r#"{{"id": "{number}"}}"#)).collect();
        for body in [
            format!(r#"{{"data": [NaN], {}}}"#, names.join(",")),
            format!(r#"{{"data": [{}], "next_token": null}}"#, damaged.join(",")),
        ] {
            let read = read::<DailySleep>(body.into_bytes()).await;
            assert!(matches!(read, Err(ApiError::Unreadable { .. })), "{:?}", read.map(|found| found.requests));
        }
        // A thousand equal damages are reported once.
        let body = format!(r#"{{"data": [{}], "next_token": null}}"#, vec!["{}"; 5_000].join(","));
        assert_eq!(read::<DailySleep>(body.into_bytes()).await.unwrap().unreadable.len(), 1);
    }

    /// The first page is damaged, and a second page exists.
    #[tokio::test]
    async fn with_a_damaged_document_lead_to_the_next_page() {
        let server = Server::start(|seen| match seen.parameter("next_token") {
            None => typed(200, "application/json", r#"{"data": [{"id": "a", "score": NaN}], "next_token": "two"}"#),
            Some(_) => typed(200, "application/json", r#"{"data": [{"id": "b", "day": "2026-03-04"}]}"#),
        })
        .await;
        let found = server.client().documents::<DailySleep>(&secret("token"), DAYS, later()).await.unwrap();
        assert_eq!((found.documents.len(), found.unreadable.len(), found.requests), (1, 1, 2));
    }
}

mod documents {
    use super::*;

    /// Reads a document with these members: returns a value from it, or the unreadable field.
    async fn with<D: Document, T>(members: &str, say: impl Fn(&D) -> T) -> Result<T, String> {
        let body = format!(r#"{{"data": [{{"id": "a", "day": "2026-03-02", {members}}}], "next_token": null}}"#);
        let found = read::<D>(body.into_bytes()).await.unwrap();
        match (&found.documents[..], &found.unreadable[..]) {
            ([document], []) => Ok(say(document)),
            ([], [lost]) => Err(lost.field.clone()),
            _ => Err(format!("{found:?}")),
        }
    }

    fn lost<T>(field: &str) -> Result<T, String> {
        Err(field.to_owned())
    }

    #[tokio::test]
    async fn have_numbers() {
        for (member, expected) in [
            (r#""score": 81"#, Ok(Some(81.0))),
            (r#""score": 81.0"#, Ok(Some(81.0))),
            (r#""score": 8.1e1"#, Ok(Some(81.0))),
            (r#""score": null"#, Ok(None)),
            (r#""Score": 81"#, Ok(None)),
            (r#""other": 81"#, Ok(None)),
            (r#""score": "81""#, lost("score")),
            (r#""score": """#, lost("score")),
            (r#""score": [81]"#, lost("score")),
            (r#""score": {"value": 81}"#, lost("score")),
            (r#""score": true"#, lost("score")),
            (r#""score": 81, "score": 82"#, lost("document")),
        ] {
            assert_eq!(with::<DailySleep, _>(member, |day| day.score).await, expected, "{member}");
        }
    }

    #[tokio::test]
    async fn have_groups() {
        for (member, expected) in [
            (r#""contributors": {"hrv_balance": 70}"#, Ok(Some(70.0))),
            (r#""contributors": {"hrv_balance": null}"#, Ok(None)),
            (r#""contributors": {}"#, Ok(None)),
            (r#""contributors": null"#, Ok(None)),
            (r#""contributors": {"new": 70}"#, Ok(None)),
            (r#""hrv_balance": 70"#, Ok(None)),
            (r#""contributors": []"#, lost("contributors")),
            (r#""contributors": 70"#, lost("contributors")),
            (r#""contributors": {"hrv_balance": "70"}"#, lost("contributors.hrv_balance")),
        ] {
            let read = with::<DailyReadiness, _>(member, |day| day.contributors.hrv_balance).await;
            assert_eq!(read, expected, "{member}");
        }
    }

    /// A timestamp only ranks two documents of one day, so an invalid one does not make the document unreadable.
    #[tokio::test]
    async fn have_timestamps() {
        let eight = "2026-03-02T08:00:00Z".parse().ok();
        for (member, expected) in [
            (r#""timestamp": "2026-03-02T08:00:00+00:00""#, eight),
            (r#""timestamp": "2026-03-02T04:00:00.000-04:00""#, eight),
            (r#""timestamp": "2026-03-02T08:00:00""#, eight),
            (r#""timestamp": null"#, None),
            (r#""timestamp": """#, None),
            (r#""timestamp": "this morning""#, None),
            (r#""timestamp": 1772438400"#, None),
            (r#""timestamp": ["2026-03-02T08:00:00Z"]"#, None),
            (r#""timestamp": {}"#, None),
            (r#""steps": 1"#, None),
        ] {
            assert_eq!(with::<DailyActivity, _>(member, Document::timestamp).await, Ok(expected), "{member}");
        }
    }

    #[tokio::test]
    async fn have_kinds_and_times() {
        for (member, expected) in [
            (r#""type": "long_sleep""#, Ok(Some(SleepType::LongSleep))),
            (r#""type": "LONG_SLEEP""#, Ok(Some(SleepType::LongSleep))),
            (r#""type": " late_nap ""#, Ok(Some(SleepType::LateNap))),
            (r#""type": "siesta""#, Ok(Some(SleepType::Other("siesta".to_owned())))),
            (r#""type": """#, Ok(Some(SleepType::Other(String::new())))),
            (r#""type": null"#, Ok(None)),
            (r#""kind": "long_sleep""#, Ok(None)),
            (r#""type": 1"#, lost("type")),
            (r#""type": ["long_sleep"]"#, lost("type")),
            (r#""bedtime_end": null"#, Ok(None)),
            (r#""bedtime_end": "2026-03-02 07:00""#, Ok(None)),
            (r#""bedtime_end": """#, lost("bedtime_end")),
            (r#""bedtime_end": "07:00""#, lost("bedtime_end")),
            (r#""bedtime_end": 1772438400"#, lost("bedtime_end")),
        ] {
            assert_eq!(with::<Sleep, _>(member, |sleep| sleep.kind.clone()).await, expected, "{member}");
        }
    }

    /// A document without a readable id or day may be of any day.
    #[tokio::test]
    async fn have_an_id_and_a_day() {
        for (document, expected) in [
            (r#"{"id": "a", "day": "2026-03-02"}"#, Ok("2026-03-02")),
            (r#"{"id": "a", "day": "2026-03-02T23:30:00-05:00"}"#, Ok("2026-03-02")),
            (r#"{"id": "a", "day": "20260302"}"#, Ok("2026-03-02")),
            (r#"{"id": "a", "day": null}"#, Err(("day", None))),
            (r#"{"id": "a", "day": ""}"#, Err(("day", None))),
            (r#"{"id": "a", "day": "2026-02-30"}"#, Err(("day", None))),
            (r#"{"id": "a", "day": "02.03.2026"}"#, Err(("day", None))),
            (r#"{"id": "a", "day": 20260302}"#, Err(("day", None))),
            (r#"{"id": "a", "day": ["2026-03-02"]}"#, Err(("day", None))),
            (r#"{"id": "a"}"#, Err(("day", None))),
            (r#"{"id": null, "day": "2026-03-02"}"#, Err(("id", Some(2)))),
            (r#"{"id": "", "day": "2026-03-02"}"#, Err(("id", Some(2)))),
            (r#"{"id": 7, "day": "2026-03-02"}"#, Err(("id", Some(2)))),
            (r#"{"day": "2026-03-02"}"#, Err(("id", Some(2)))),
            (r#"["a", "2026-03-02", null, {}]"#, Err(("document", None))),
            (r#"{"data": {"id": "a", "day": "2026-03-02"}}"#, Err(("id", None))),
            ("{}", Err(("id", None))),
            ("null", Err(("document", None))),
        ] {
            let body = format!(r#"{{"data": [{document}], "next_token": null}}"#);
            let found = read::<DailySleep>(body.into_bytes()).await.unwrap_or_else(|error| panic!("{error}"));
            let read = match (&found.documents[..], &found.unreadable[..]) {
                ([read], []) => Ok(read.day.to_string()),
                ([], [lost]) => Err((lost.field.as_str(), lost.day.map(Date::day))),
                _ => panic!("{document}: {found:?}"),
            };
            assert_eq!(read, expected.map(str::to_owned), "{document}");
        }
    }
}

mod people {
    use super::*;

    /// Only the id text from Oura identifies an account.
    #[tokio::test]
    async fn need_a_text_as_id() {
        for (body, expected) in [
            (r#"{"id": "p-1", "age": null, "email": "hush@example.org"}"#, Some("p-1")),
            (r#"{"id": "p-1"}"#, Some("p-1")),
            (r#"["p-1"]"#, None),
            (r#"{"id": null}"#, None),
            (r#"{"id": ""}"#, None),
            (r#"{"id": 7}"#, None),
            (r#"{"id": "a b"}"#, None),
            (r#"{"id": ["p-1"]}"#, None),
            (r#"{"user_id": "p-1"}"#, None),
            (r#"{"data": {"id": "p-1"}}"#, None),
            (r#"{"id": "p-1", "id": "p-2"}"#, Some("p-2")),
            ("{}", None),
            ("[]", None),
            (HTML, None),
            ("", None),
        ] {
            let server = Server::start(move |_| typed(200, "application/json", body)).await;
            let info = server.client().personal_info(&secret("token"), later()).await;
            match &info {
                Ok(person) => assert_eq!(Some(person.id.as_str()), expected, "{body}"),
                Err(error) => {
                    assert!(matches!(error, ApiError::Unreadable { .. }), "{body}: {error:?}");
                    assert_eq!(expected, None, "{body}");
                }
            }
        }
    }
}
