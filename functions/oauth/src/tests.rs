//! Events as API Gateway sends them, and events that it should never send. Each is answered with a page.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use local::Stage;
use proptest::prelude::*;
use serde_json::json;
use sim::oura::Person;
use sim::smartabase::User;

use super::*;

const ADA: i64 = 1001;

/// The whole product with Ada enrolled, and what the function needs from it.
struct Deployed {
    stage: Stage,
    limit: RateLimit,
}

impl Deployed {
    async fn new() -> Self {
        let cast = local::Cast {
            people: vec![Person::new("ada", "Ada Sample", "Europe/Berlin")],
            users: vec![User::new(ADA, "uuid-ada", "Ada", "Sample")],
            ..local::Cast::new()
        };
        let stage = Stage::set(cast).await.unwrap();
        stage.process.enrol().await.unwrap();
        Self { stage, limit: RateLimit::default() }
    }

    /// The query string of Ada's link.
    fn link(&self) -> String {
        self.stage.link(ADA).unwrap().split_once('?').unwrap().1.to_owned()
    }

    async fn send(&self, event: &Value) -> (u64, String) {
        self.send_text(&event.to_string()).await
    }

    async fn send_text(&self, event: &str) -> (u64, String) {
        let answer = self.answer(event).await;
        let title = answer["body"].as_str().unwrap().split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>"));
        (answer["statusCode"].as_u64().unwrap(), title.map_or_else(String::new, |(title, _)| title.to_owned()))
    }

    async fn answer(&self, event: &str) -> Value {
        let deadline = Deadline::within(Duration::from_mins(1));
        answer(&self.stage.process.connector, &self.limit, event, deadline).await
    }
}

/// An event as API Gateway sends it.
fn event(method: &str, path: &str, query: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"accept": "text/html", "host": "abc.execute-api.eu-central-1.amazonaws.com", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "domainName": "abc.execute-api.eu-central-1.amazonaws.com",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "Mozilla/5.0"},
            "requestId": "id=",
            "routeKey": format!("{method} {path}"),
            "stage": "$default",
            "time": "03/Mar/2026:08:30:00 +0000",
            "timeEpoch": 1_772_526_600_000_i64,
        },
        "isBase64Encoded": false,
    })
}

fn with(mut event: Value, member: &str, value: Value) -> Value {
    event[member] = value;
    event
}

/// A raw `"`, `<` or space in a query string, and other characters that are not valid in a URI.
mod raw_queries {
    use super::*;

    #[tokio::test]
    async fn are_answered_like_any_bad_link() {
        let deployed = Deployed::new().await;
        let queries = [
            "athlete=\"",
            "athlete=<script>alert(1)</script>",
            "athlete=a b",
            "athlete=a&expires=1&signature=\u{0}\u{7f}\r\n\t",
            "athlete=é🏉\u{fffd}&signature={}|\\^`[]#",
            "%",
            "%%%zz&=&?&",
            "\"",
            " ",
            "#",
        ];
        for query in queries {
            let (status, title) = deployed.send(&event("GET", "/connect", query)).await;
            assert_eq!((status, title.as_str()), (400, "This link is damaged"), "{query:?}");
            let (status, title) = deployed.send(&event("GET", "/oauth/callback", query)).await;
            assert_eq!((status, title.as_str()), (400, "We lost track of this visit"), "{query:?}");
        }
        let long = "\"".repeat(9_000);
        assert_eq!(deployed.send(&event("GET", "/connect", &long)).await.0, 413);
        let longest = "\"".repeat(1 << 20);
        assert_eq!(deployed.send(&event("GET", "/connect", &longest)).await.0, 413);
    }

    #[tokio::test]
    async fn do_not_change_the_meaning_of_a_good_link() {
        let deployed = Deployed::new().await;
        let link = deployed.link();
        for query in [link.clone(), format!("{link}&also=\"<a b>\""), format!("\u{e9}=1&{link}")] {
            let (status, title) = deployed.send(&event("GET", "/connect", &query)).await;
            assert_eq!((status, title.as_str()), (200, "Connect your Oura ring"), "{query}");
        }
    }

    #[tokio::test]
    async fn in_a_path_are_answered_with_404() {
        let deployed = Deployed::new().await;
        for path in ["/\"", "/a b", "//connect", "", "connect\u{0}", "/connect?x", "/connect#", "*", "http://[::1"] {
            assert_eq!(deployed.send(&event("GET", path, "a=b")).await.0, 404, "{path:?}");
        }
    }
}

/// Submits the form of the connect page as a browser does. API Gateway encodes the body of a form, and moves the
/// cookies out of the headers.
#[tokio::test]
async fn an_athlete_connects_through_events() {
    let deployed = Deployed::new().await;
    let page = deployed.answer(&event("GET", "/connect", &deployed.link()).to_string()).await;
    let cookie = page["cookies"][0].as_str().unwrap().split(';').next().unwrap().to_owned();
    let (_, token) = cookie.split_once('=').unwrap();
    assert!(page["headers"].get("set-cookie").is_none() && page["isBase64Encoded"] == false, "{page}");
    assert_eq!(page["headers"]["content-type"], "text/html; charset=utf-8");

    let form = format!("{}&token={token}", deployed.link());
    let encoded = BASE64_STANDARD.encode(&form);
    for (body, is_encoded) in [(encoded, true), (form, false)] {
        let press = with(event("POST", "/connect", ""), "body", body.into());
        let press = with(press, "isBase64Encoded", is_encoded.into());
        // A cookie that is not a valid header value is dropped; the other cookies are kept.
        let press = with(press, "cookies", json!(["other=\u{0}", "name=é", &cookie]));
        let left = deployed.answer(&press.to_string()).await;
        assert_eq!(left["statusCode"], 303, "{left}");
        let back = deployed.stage.oura.approve(left["headers"]["location"].as_str().unwrap(), "ada");
        let cookie = left["cookies"][0].as_str().unwrap().split(';').next().unwrap().to_owned();
        let back = event("GET", "/oauth/callback", back.query().unwrap());
        let (status, title) = deployed.send(&with(back, "cookies", json!(["name=\u{e9}", cookie]))).await;
        assert_eq!((status, title.as_str()), (200, "Your Oura ring is connected"));
    }
}

/// Events with odd bodies and odd members.
mod odd_events {
    use super::*;

    #[tokio::test]
    async fn with_odd_bodies_are_refused() {
        let deployed = Deployed::new().await;
        for (body, is_encoded) in [
            (json!("%%%"), json!(true)),
            (json!("AAECAwQF/v8="), json!(true)),
            (json!("\u{0}\u{1}\u{fffd}"), json!(false)),
            (json!("athlete=a"), json!("true")),
            (Value::Null, Value::Null),
            (json!({"athlete": "a"}), json!(1)),
        ] {
            for path in ["/connect", "/disconnect"] {
                let post =
                    with(with(event("POST", path, ""), "body", body.clone()), "isBase64Encoded", is_encoded.clone());
                assert_eq!(deployed.send(&post).await.0, 403, "{body}");
            }
        }
        let huge = with(event("POST", "/connect", ""), "body", json!("A".repeat(6 << 20)));
        assert_eq!(deployed.send(&huge).await.0, 413);
        assert_eq!(deployed.send(&with(huge, "isBase64Encoded", json!(true))).await.0, 413);
    }

    #[tokio::test]
    async fn with_missing_or_odd_members_are_answered() {
        let deployed = Deployed::new().await;
        let usual = event("GET", "/connect", "athlete=a");
        for member in ["rawPath", "rawQueryString", "headers", "cookies", "requestContext", "body", "isBase64Encoded"] {
            for value in [
                Value::Null,
                json!(1),
                json!([]),
                json!({}),
                json!([1, null, "a\u{0}b"]),
                json!({"a\u{0}": "b", "c": 1}),
            ] {
                let (status, _) = deployed.send(&with(usual.clone(), member, value.clone())).await;
                assert!([400, 404].contains(&status), "{status} for {member} {value}");
            }
            let mut without = usual.clone();
            without.as_object_mut().unwrap().remove(member);
            assert!([400, 404].contains(&deployed.send(&without).await.0), "{member}");
        }
        for text in ["null", "[]", "1", "\"text\"", "{}", r#"{"rawPath": "/connect", "rawQueryString": "\ud800"}"#] {
            assert_eq!(deployed.send_text(text).await.0, 404, "{text}");
        }
    }

    #[test]
    fn with_random_text_are_answered() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deployed = runtime.block_on(Deployed::new());
        let config = ProptestConfig::with_cases(200);
        proptest!(config, |(path in ".{0,20}", query in ".{0,60}", name in ".{0,10}", value in ".{0,20}", body in ".{0,40}")| {
            for path in [path.as_str(), "/connect", "/oauth/callback", "/disconnect"] {
                let odd = with(event("GET", path, &query), "headers", json!({name.as_str(): value, "cookie": value}));
                let odd = with(with(odd, "cookies", json!([value])), "body", json!(body));
                // Without a source address, so that the rate limit refuses none of them.
                let odd = with(odd, "requestContext", json!({"http": {"method": "GET"}}));
                let (status, title) = runtime.block_on(deployed.send(&odd));
                prop_assert!((400..500).contains(&status) && !title.is_empty(), "{status} {odd}");
            }
        });
    }
}

/// One client that sends requests as fast as it can.
#[tokio::test]
async fn a_flood_from_one_address_is_refused_but_no_other() {
    let deployed = Deployed::new().await;
    let bad = event("GET", "/connect", "athlete=a");
    let mut statuses = Vec::new();
    for _ in 0..400 {
        statuses.push(deployed.send(&bad).await.0);
    }
    assert_eq!(statuses.iter().filter(|&&status| status == 400).count(), 300);
    assert!(statuses.iter().skip(300).all(|&status| status == 429));
    let refused = deployed.answer(&bad.to_string()).await;
    assert_eq!(refused["headers"]["retry-after"], "60");
    let mut another = event("GET", "/connect", &deployed.link());
    another["requestContext"]["http"]["sourceIp"] = json!("2001:db8::1");
    assert_eq!(deployed.send(&another).await.0, 200);
}
