//! Collections: the window, the pages, unreadable documents, and refusals.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Response};
use jiff::civil::date;
use oura::{
    ApiError, Client, DailyActivity, DailyReadiness, DailySleep, Days, Document, Documents, LocalTime, OuraUserId,
    PersonalInfo, Sleep, SleepType, Throttle, Tier, Unreadable,
};
use serde_json::{Value, json};

use crate::server::{RawServer, Server, Silence, client_of, gzip, json as answer, nobody, plain, redirect, typed};
use crate::{later, secret, soon};

/// `{"data":[],"next_token":null}`, compressed.
const EMPTY_PAGE_GZ: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x49\x2c\x49\x54\xb2\x8a\x8e\xd5\x51\xca\x4b\xad\x28\x89\x2f\xc9\xcf\x4e\xcd\x53\xb2\xca\x2b\xcd\xc9\xa9\x05\x00\xd3\xcf\xd5\x2e\x1d\x00\x00\x00";

const WEEK: Days = Days { first: date(2026, 3, 2), last: date(2026, 3, 8) };

async fn fetch<D: Document>(client: &Client) -> Result<Documents<D>, ApiError> {
    client.documents(&secret("hush-token"), WEEK, later()).await
}

async fn fetch_error(client: &Client) -> ApiError {
    let error = fetch::<DailySleep>(client).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    error
}

fn page(data: &Value, next: Option<&str>) -> Response<Body> {
    answer(&json!({"data": data, "next_token": next}))
}

fn days_of<D: Document>(found: &Documents<D>) -> Vec<i8> {
    found.documents.iter().map(|document| document.day().day()).collect()
}

#[tokio::test]
async fn requests_one_more_day_at_each_end_and_drops_it() {
    let server = Server::start(|_| {
        let day = |day: i8| json!({"id": format!("id-{day}"), "day": date(2026, 3, day), "score": 80 + day});
        page(&json!([day(9), day(1), day(8), day(2), day(5)]), None)
    })
    .await;
    let found = fetch::<DailySleep>(&server.client()).await.unwrap();
    assert_eq!(days_of(&found), [2, 5, 8]);
    assert_eq!(found.documents[1].score, Some(85.0));
    assert_eq!(found.requests, 1);
    assert_eq!(found.unreadable, []);

    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!((&seen.method, seen.path.as_str()), (&Method::GET, "/v2/usercollection/daily_sleep"));
    assert_eq!(seen.headers["authorization"], "Bearer hush-token");
    let query: Vec<_> = seen.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        query,
        [("start_date", "2026-03-01"), ("end_date", "2026-03-09"), ("fields", "contributors,day,id,score,timestamp")]
    );
}

#[tokio::test]
async fn every_collection_has_its_own_path() {
    let server = Server::start(|_| page(&json!([]), None)).await;
    let client = server.client();
    fetch::<DailyActivity>(&client).await.unwrap();
    fetch::<DailyReadiness>(&client).await.unwrap();
    fetch::<DailySleep>(&client).await.unwrap();
    fetch::<Sleep>(&client).await.unwrap();
    let paths: Vec<_> = server.seen().into_iter().map(|seen| seen.path).collect();
    let expected = ["daily_activity", "daily_readiness", "daily_sleep", "sleep"];
    assert_eq!(paths, expected.map(|name| format!("/v2/usercollection/{name}")));
}

#[tokio::test]
async fn supports_an_api_below_a_path() {
    let server = Server::start(|_| page(&json!([]), None)).await;
    for below in ["gateway/oura", "gateway/oura/"] {
        fetch::<Sleep>(&client_of(&server.url.join(below).unwrap())).await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.path == "/gateway/oura/v2/usercollection/sleep"));
}

#[tokio::test]
async fn reads_a_sleep_document() {
    let server = Server::start(|_| {
        let night = json!({
            "id": "night", "day": "2026-03-03", "type": "long_sleep", "average_hrv": 61, "efficiency": 91.5,
            "bedtime_start": "2026-03-02T23:11:04.000-05:00", "bedtime_end": null, "heart_rate": {"items": [null, 5]},
            "readiness": {"score": 77, "contributors": {"hrv_balance": 70}}, "low_battery_alert": false, "ring_id": null,
        });
        page(&json!([night, {"id": "other", "day": "2026-03-03", "type": "siesta"}]), None)
    })
    .await;
    let found = fetch::<Sleep>(&server.client()).await.unwrap();
    let [night, other] = &found.documents[..] else { panic!("two periods") };
    assert_eq!(night.kind, Some(SleepType::LongSleep));
    assert_eq!((night.average_hrv, night.efficiency), (Some(61.0), Some(91.5)));
    assert_eq!(night.bedtime_start, LocalTime::parse("2026-03-02T23:11:04-05:00"));
    assert_eq!(night.bedtime_end, None);
    assert_eq!(night.readiness.contributors.hrv_balance, Some(70.0));
    assert_eq!(other.kind, Some(SleepType::Other("siesta".to_owned())));
}

#[tokio::test]
async fn reads_all_pages_and_repeats_the_dates() {
    let server = Server::start(|seen| match seen.parameter("next_token") {
        None => page(&json!([{"id": "a", "day": "2026-03-02", "score": 1}]), Some("x=1&y")),
        Some("x=1&y") => page(&json!([]), Some("second")),
        Some("second") => {
            page(&json!([{"id": "b", "day": "2026-03-03"}, {"id": "a", "day": "2026-03-02", "score": 2}]), None)
        }
        Some(_) => plain(400, ""),
    })
    .await;
    let found = fetch::<DailySleep>(&server.client()).await.unwrap();
    assert_eq!(found.requests, 3);
    let scores: Vec<_> = found.documents.iter().map(|document| (document.id.as_str(), document.score)).collect();
    assert_eq!(scores, [("a", Some(2.0)), ("b", None)], "of two with one id the later counts");
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for name in ["start_date", "end_date", "fields"] {
        assert!(seen[0].parameter(name).is_some());
        assert!(seen.iter().all(|request| request.parameter(name) == seen[0].parameter(name)), "{name}");
    }
}

#[tokio::test]
async fn empty_or_missing_token_ends_the_pages() {
    let server = Server::start(|seen| {
        if seen.path.ends_with("sleep") { answer(&json!({"data": []})) } else { page(&json!([]), Some("")) }
    })
    .await;
    assert_eq!(fetch::<Sleep>(&server.client()).await.unwrap().requests, 1);
    assert_eq!(fetch::<DailyActivity>(&server.client()).await.unwrap().requests, 1);
}

#[tokio::test]
async fn repeated_or_endless_pages_are_an_error() {
    let server =
        Server::start(|seen| page(&json!([]), Some(if seen.parameter("next_token") == Some("a") { "b" } else { "a" })))
            .await;
    assert_eq!(fetch_error(&server.client()).await, ApiError::Unreadable { what: "a next_token that repeats" });
    assert_eq!(server.seen().len(), 3);

    let count = AtomicUsize::new(0);
    let server =
        Server::start(move |_| page(&json!([]), Some(&count.fetch_add(1, Ordering::SeqCst).to_string()))).await;
    let error = fetch_error(&server.client()).await;
    assert_eq!(error, ApiError::Unreadable { what: "more pages than such a window can have" });
    assert_eq!(server.seen().len(), 50);
}

#[tokio::test]
async fn failed_page_is_an_error_and_not_fewer_days() {
    let server = Server::start(|seen| match seen.parameter("next_token") {
        None => page(&json!([{"id": "a", "day": "2026-03-02"}]), Some("more")),
        Some(_) => plain(502, ""),
    })
    .await;
    assert_eq!(fetch_error(&server.client()).await, ApiError::Unwell { status: Some(502) });
}

#[tokio::test]
async fn unreadable_document_loses_only_itself() {
    let server = Server::start(|_| {
        let data = json!([
            {"id": "a", "day": "2026-03-02", "contributors": {"hrv_balance": 1}},
            {"id": "b", "day": "2026-03-03", "contributors": {"hrv_balance": "98765"}},
            {"id": "c", "day": "2026-03-04", "score": {"98765": 98765}},
            {"id": "outside", "day": "2026-03-01", "score": "98765"},
            {"id": "dayless", "score": 98765},
            "98765",
            null,
            ["d", "2026-03-05", 98765],
            {"id": "e", "day": "2026-03-06", "novelty": {"98765": 98765}},
        ]);
        page(&data, None)
    })
    .await;
    let found = fetch::<DailyReadiness>(&server.client()).await.unwrap();
    assert_eq!(days_of(&found), [2, 6]);
    let unreadable = |id: Option<&str>, day: Option<i8>, field: &str| Unreadable {
        collection: "daily_readiness",
        id: id.map(str::to_owned),
        day: day.map(|day| date(2026, 3, day)),
        field: field.to_owned(),
    };
    assert_eq!(
        found.unreadable,
        [
            unreadable(None, None, "document"),
            unreadable(Some("b"), Some(3), "contributors.hrv_balance"),
            unreadable(Some("c"), Some(4), "score"),
            unreadable(Some("dayless"), None, "day"),
        ]
    );
    assert!(!format!("{found:?}").contains("98765"), "{found:?}");
}

#[tokio::test]
async fn cut_or_endless_refusal_is_foreign() {
    let server =
        RawServer::start(&b"HTTP/1.1 403 Forbidden\r\nContent-Length: 500\r\n\r\n{\"detail\": \"scope"[..], false);
    assert_eq!(fetch_error(&server.client()).await, ApiError::Foreign { status: 403 });
    let server = Server::start(|_| plain(401, "x".repeat(1 << 20))).await;
    assert_eq!(fetch_error(&server.client()).await, ApiError::Foreign { status: 401 });
}

#[tokio::test]
async fn throttle_has_wait_and_tier() {
    let server = Server::start(|_| {
        let answer = Response::builder().status(429).header("Retry-After", "30").header("X-RateLimit-Tier", "token");
        answer.body(Body::empty()).unwrap()
    })
    .await;
    let throttle = Throttle { after: Some(Duration::from_secs(30)), tier: Tier::Token };
    assert_eq!(fetch_error(&server.client()).await, ApiError::Throttled(throttle));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn reads_a_large_page_and_rejects_an_enormous_one() {
    let with_padding = |bytes: usize| {
        let document = json!({"id": "a", "day": "2026-03-02", "met": "x".repeat(bytes)});
        json!({"data": [document], "next_token": null}).to_string()
    };
    let (large, enormous) = (with_padding(1 << 20), with_padding(9 << 20));
    let server = Server::start(move |seen| {
        typed(200, "application/json", if seen.path.ends_with("sleep") { large.clone() } else { enormous.clone() })
    })
    .await;
    assert_eq!(days_of(&fetch::<DailySleep>(&server.client()).await.unwrap()), [2]);
    let error = fetch::<DailyActivity>(&server.client()).await.unwrap_err();
    assert_eq!(error, ApiError::Unreadable { what: "a body too large to be genuine" });

    let server = Server::start(|_| typed(200, "application/json", "[".repeat(1 << 20))).await;
    assert!(matches!(fetch_error(&server.client()).await, ApiError::Unreadable { .. }));
}

#[tokio::test]
async fn reads_a_compressed_page_and_rejects_a_garbled_one() {
    let server = Server::start(|seen| gzip(if seen.path.ends_with("/sleep") { EMPTY_PAGE_GZ } else { b"plain" })).await;
    assert_eq!(fetch::<Sleep>(&server.client()).await.unwrap().requests, 1);
    assert!(server.seen()[0].headers["accept-encoding"].to_str().unwrap().contains("gzip"));
    assert_eq!(fetch_error(&server.client()).await, ApiError::Unreadable { what: "a body that does not decompress" });
}

#[tokio::test]
async fn failed_connection_is_unwell() {
    for reply in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"data\": [",
        b"garbage\r\n\r\n",
    ] {
        let server = RawServer::start(reply, false);
        let error = fetch_error(&server.client()).await;
        assert_eq!(error, ApiError::Unwell { status: None }, "{}", reply.escape_ascii());
    }
    let error = fetch_error(&client_of(&nobody())).await;
    assert_eq!(error, ApiError::Unwell { status: None });
}

#[tokio::test]
async fn gives_up_at_the_deadline() {
    let silence = Silence::start();
    let client = client_of(&silence.url);
    let found = client.documents::<Sleep>(&secret("token"), WEEK, soon()).await;
    assert_eq!(found, Err(ApiError::TimedOut));
    assert_eq!(client.personal_info(&secret("token"), soon()).await, Err(ApiError::TimedOut));
    client.warm(soon()).await;

    let body = RawServer::start(&b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"[..], true);
    let found = body.client().documents::<Sleep>(&secret("token"), WEEK, soon()).await;
    assert_eq!(found, Err(ApiError::TimedOut), "a body that stops half way");

    let server = Server::start(|_| page(&json!([]), None)).await;
    let late = tokio::time::Instant::now();
    let found = server.client().documents::<Sleep>(&secret("token"), WEEK, late).await;
    assert_eq!(found, Err(ApiError::TimedOut));
    assert!(server.seen().is_empty(), "a late request is not sent");
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Server::start(|_| page(&json!([]), None)).await;
    let to = elsewhere.url.clone();
    let server = Server::start(move |_| redirect(&to)).await;
    assert_eq!(fetch_error(&server.client()).await, ApiError::Rejected { status: 307 });
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn sends_no_request_for_invalid_token_or_empty_range() {
    let server = Server::start(|_| page(&json!([]), None)).await;
    let odd = server.client().documents::<Sleep>(&secret("two\nlines"), WEEK, later()).await;
    assert_eq!(odd, Err(ApiError::TokenRefused), "no such token was ever issued");
    let backwards = Days { first: WEEK.last, last: WEEK.first };
    let none = server.client().documents::<Sleep>(&secret("token"), backwards, later()).await.unwrap();
    assert_eq!((none.documents.len(), none.requests), (0, 0));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn reads_the_id_of_a_person() {
    let server = Server::start(|_| answer(&json!({"id": "p-1", "age": null, "email": "hush@example.org"}))).await;
    let info = server.client().personal_info(&secret("token"), later()).await.unwrap();
    assert_eq!(info, PersonalInfo { id: OuraUserId::try_from("p-1".to_owned()).unwrap() });
    assert_eq!(info.id.to_string(), "p-1");
    assert!(!format!("{info:?}").contains("hush"));
    assert_eq!(server.seen()[0].path, "/v2/usercollection/personal_info");
    assert_eq!(server.seen()[0].query, []);
}

#[tokio::test]
async fn warming_connects_and_ignores_the_response() {
    let server = Server::start(|_| plain(404, "")).await;
    server.client().warm(later()).await;
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!(seen.method, Method::HEAD);
    assert!(!seen.headers.contains_key("authorization"));
    client_of(&nobody()).warm(later()).await;
}

/// In other programs, handlers run on several threads.
#[test]
fn calls_can_cross_threads() {
    fn crosses<T: Send>(_: T) {}
    let (client, token, credentials) = (client_of(&nobody()), secret("token"), crate::credentials());
    let url = nobody();
    crosses(client.documents::<Sleep>(&token, WEEK, later()));
    crosses(client.personal_info(&token, later()));
    crosses(client.exchange(&credentials, &token, &url, &token, later()));
    crosses(client.refresh(&credentials, &url, &token, later()));
    crosses(client.revoke(&credentials, &token, later()));
}
