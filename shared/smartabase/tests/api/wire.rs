//! Behaviour below the API: headers, connections, deadlines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::civil::date;
use smartabase::{Client, Error, Event, EventId, FormName, Import, TimeOfDay, UserId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::site::{Scripted, answer, client, credentials, soon};

const NOBODY: &str = r#"{"results":[]}"#;

async fn read(client: &Client, deadline: Instant) -> Result<Vec<UserId>, Error> {
    client.group_members(&credentials(), "Squad", deadline).await
}

async fn import(client: &Client, deadline: Instant) -> Result<Import, Error> {
    let time = TimeOfDay::new(21, 0).unwrap();
    let fields = vec![("Score".to_owned(), "82.375".to_owned())];
    let event = Event { user: UserId(1), date: date(2026, 4, 30), start: time, finish: time, existing: None, fields };
    client.import(&credentials(), &FormName::from("Sleep"), &[event], deadline).await
}

/// The reaction of a [`Fragile`] site to a completely read request.
#[derive(Clone, Copy)]
enum Then {
    /// Answers, and keeps the connection.
    Answer,
    /// Closes the connection without an answer.
    Hang,
    /// Closes the connection in the middle of the answer.
    Cut,
    /// Refuses the password, and closes the connection in the middle of that answer.
    CutRefusal,
    /// Sends nothing and keeps the connection open.
    Wait,
}

/// A site that breaks connections in a given order, and records on which connection each request came.
struct Fragile {
    client: Client,
    connections: Arc<Mutex<Vec<usize>>>,
}

impl Fragile {
    async fn doing(script: &[Then]) -> Fragile {
        let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&format!("http://{}/site", listener.local_addr().unwrap()));
        let seen = connections.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { break };
                tokio::spawn(serve(stream, number, script.clone(), seen.clone()));
            }
        });
        Fragile { client, connections }
    }

    /// The number of the connection of each request.
    fn connections(&self) -> Vec<usize> {
        self.connections.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, number: usize, script: Arc<Mutex<VecDeque<Then>>>, seen: Arc<Mutex<Vec<usize>>>) {
    while let Some(head) = read_request(&mut stream).await {
        seen.lock().unwrap().push(number);
        let then = script.lock().unwrap().pop_front().unwrap_or(Then::Hang);
        let sent = match then {
            Then::Answer if head.starts_with("head ") => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            Then::Answer => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{NOBODY}", NOBODY.len()),
            Then::Cut => format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{NOBODY}"),
            Then::CutRefusal => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000\r\n\r\nno".to_owned(),
            Then::Hang => return,
            Then::Wait => return std::future::pending().await,
        };
        stream.write_all(sent.as_bytes()).await.unwrap();
        if !matches!(then, Then::Answer) {
            return;
        }
    }
}

/// Reads a whole request, so that closing afterwards is a plain end of stream and not a reset. Returns its head in
/// lower case.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        bytes.push(stream.read_u8().await.ok()?);
        if bytes.ends_with(b"\r\n\r\n") {
            break String::from_utf8(bytes).unwrap().to_ascii_lowercase();
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

#[tokio::test]
async fn every_request_has_the_same_headers() {
    let site = Scripted::saying(&[NOBODY, r#"{"error":"no"}"#]).await;
    read(&site.client, soon()).await.unwrap();
    import(&site.client, soon()).await.unwrap();
    for (request, path) in site.requests().iter().zip(["/site/api/v1/groupmembers", "/site/api/v1/eventsimport"]) {
        assert_eq!((request.method.as_str(), request.uri.path()), ("POST", path));
        assert_eq!(request.uri.query(), Some("informat=json&format=json"));
        for (name, value) in [
            ("authorization", "Basic YXBpLmFjY291bnQ6aHVudGVyMg=="),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("x-app-id", "opensource.smartabase-connector.v1"),
        ] {
            let sent: Vec<_> = request.headers.get_all(name).iter().collect();
            assert_eq!(sent, [value], "{name}");
        }
        assert!(request.headers["user-agent"].to_str().unwrap().starts_with("smartabase-connector/"));
    }
}

#[tokio::test]
async fn classifies_every_status() {
    for (status, error) in [
        (401, Error::WrongCredentials),
        (403, Error::Forbidden),
        (404, Error::NotFound),
        (429, Error::Throttled { after: None }),
        (400, Error::Rejected { status: 400 }),
        (500, Error::Unwell { status: Some(500) }),
        (502, Error::Unwell { status: Some(502) }),
    ] {
        let site = Scripted::answering([answer(status, ""), answer(status, "")]).await;
        assert_eq!(read(&site.client, soon()).await, Err(error.clone()));
        assert_eq!(import(&site.client, soon()).await, Err(error));
        assert_eq!(site.requests().len(), 2, "nothing is sent again after {status}");
    }
}

#[tokio::test]
async fn passes_on_the_wait_of_the_site() {
    let asking = |status| {
        let mut answer = answer(status, "");
        answer.headers_mut().insert("retry-after", "7".parse().unwrap());
        answer
    };
    let site = Scripted::answering([asking(429), asking(429), asking(503), asking(503)]).await;
    let throttled = Error::Throttled { after: Some(Duration::from_secs(7)) };
    assert_eq!(read(&site.client, soon()).await, Err(throttled.clone()));
    assert_eq!(import(&site.client, soon()).await, Err(throttled.clone()));
    assert_eq!(read(&site.client, soon()).await, Err(throttled));
    // An overloaded site may have begun an import.
    assert_eq!(import(&site.client, soon()).await, Err(Error::Unwell { status: Some(503) }));
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let mut elsewhere = answer(302, "");
    elsewhere.headers_mut().insert("location", "/elsewhere".parse().unwrap());
    let site = Scripted::answering([elsewhere]).await;
    assert_eq!(read(&site.client, soon()).await, Err(Error::Rejected { status: 302 }));
    assert_eq!(site.requests().len(), 1);
}

#[tokio::test]
async fn failed_login_with_200_is_no_401() {
    let exception = r#"{"__is_rpc_exception__":true,"type":"x","value":{"detailMessage":"Invalid username or password","cause":""}}"#;
    let site = Scripted::saying(&[exception]).await;
    let says = "Invalid username or password".to_owned();
    assert_eq!(read(&site.client, soon()).await, Err(Error::Refused { says }));
}

#[tokio::test]
async fn oversized_answer_is_an_error() {
    let endless = format!(r#"{{"results":["{}"]}}"#, "x".repeat(9 * 1024 * 1024));
    let site = Scripted::saying(&[&endless, &endless]).await;
    assert_eq!(read(&site.client, soon()).await, Err(Error::TooLarge));
    assert_eq!(import(&site.client, soon()).await, Err(Error::TooLarge));
}

#[tokio::test]
async fn retries_a_read_if_its_pooled_connection_drops() {
    let site = Fragile::doing(&[Then::Answer, Then::Hang, Then::Answer]).await;
    assert_eq!(read(&site.client, soon()).await, Ok(vec![]));
    assert_eq!(read(&site.client, soon()).await, Ok(vec![]));
    assert_eq!(site.connections(), [0, 0, 1]);
}

#[tokio::test]
async fn retries_a_read_if_its_answer_is_cut_short() {
    let site = Fragile::doing(&[Then::Cut, Then::Answer]).await;
    assert_eq!(read(&site.client, soon()).await, Ok(vec![]));
    assert_eq!(site.connections(), [0, 1]);
}

#[tokio::test]
async fn sends_a_read_at_most_twice() {
    let site = Fragile::doing(&[Then::Hang, Then::Cut, Then::Answer]).await;
    assert_eq!(read(&site.client, soon()).await, Err(Error::Uncertain { why: "the connection was lost" }));
    assert_eq!(site.connections(), [0, 1]);
}

#[tokio::test]
async fn never_retries_an_import() {
    let lost = Err(Error::Uncertain { why: "the connection was lost" });
    for then in [Then::Hang, Then::Cut] {
        let fresh = Fragile::doing(&[then, Then::Answer]).await;
        assert_eq!(import(&fresh.client, soon()).await, lost);
        assert_eq!(fresh.connections(), [0]);

        let kept = Fragile::doing(&[Then::Answer, then, Then::Answer]).await;
        assert_eq!(read(&kept.client, soon()).await, Ok(vec![]));
        assert_eq!(import(&kept.client, soon()).await, lost);
        assert_eq!(kept.connections(), [0, 0]);
    }
}

#[tokio::test]
async fn never_retries_a_sign_in_or_a_deletion() {
    let lost = Error::Uncertain { why: "the connection was lost" };
    for then in [Then::Hang, Then::Cut] {
        let site = Fragile::doing(&[then, Then::Answer]).await;
        assert_eq!(site.client.sign_in(&credentials(), soon()).await, Err(lost.clone()));
        assert_eq!(site.connections(), [0]);

        let site = Fragile::doing(&[then, Then::Answer]).await;
        assert_eq!(site.client.delete_event(&credentials(), EventId(7), soon()).await, Err(lost.clone()));
        assert_eq!(site.connections(), [0]);
    }
    let site = Fragile::doing(&[Then::CutRefusal, Then::Answer]).await;
    assert_eq!(site.client.sign_in(&credentials(), soon()).await, Err(Error::WrongCredentials));
    assert_eq!(site.connections(), [0]);
}

#[tokio::test]
async fn refusal_counts_even_if_cut_short() {
    let site = Fragile::doing(&[Then::CutRefusal, Then::Answer]).await;
    assert_eq!(read(&site.client, soon()).await, Err(Error::WrongCredentials));
    assert_eq!(site.connections(), [0]);
}

#[tokio::test]
async fn late_answer_is_uncertain() {
    let site = Fragile::doing(&[Then::Wait, Then::Wait]).await;
    let late = Error::Uncertain { why: "the time was up" };
    let deadline = || Instant::now() + Duration::from_millis(200);
    assert_eq!(import(&site.client, deadline()).await, Err(late.clone()));
    assert_eq!(read(&site.client, deadline()).await, Err(late));
}

#[tokio::test]
async fn sends_nothing_after_the_deadline() {
    let site = Scripted::saying(&[]).await;
    let nothing = Error::Unwell { status: None };
    assert_eq!(import(&site.client, Instant::now()).await, Err(nothing.clone()));
    assert_eq!(read(&site.client, Instant::now()).await, Err(nothing));
    assert_eq!(site.requests().len(), 0);
}

#[tokio::test]
async fn no_connection_means_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // A site that does not support TLS.
    let plain = client(&format!("https://{address}/site"));
    let closing = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let nothing = Error::Unwell { status: None };
    assert_eq!(import(&plain, soon()).await, Err(nothing.clone()));
    assert_eq!(read(&plain, soon()).await, Err(nothing.clone()));
    closing.await.unwrap();

    // An address that is bound, so that no other test gets it, but that has no listener.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = client(&format!("http://{}/site", taken.local_addr().unwrap()));
    assert_eq!(import(&refused, soon()).await, Err(nothing.clone()));
    assert_eq!(read(&refused, soon()).await, Err(nothing));
}

#[tokio::test]
async fn warming_sends_no_password() {
    let site = Scripted::answering([answer(404, "")]).await;
    site.client.warm(soon()).await;
    let [request] = &site.requests()[..] else { panic!("{:?}", site.requests()) };
    assert_eq!((request.method.as_str(), request.uri.path()), ("HEAD", "/site"));
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn first_call_uses_the_warm_connection() {
    let site = Fragile::doing(&[Then::Answer, Then::Answer]).await;
    site.client.warm(soon()).await;
    assert_eq!(read(&site.client, soon()).await, Ok(vec![]));
    assert_eq!(site.connections(), [0, 0]);
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let site =
        Scripted::saying(&[r#"{"result":{"state":"UNEXPECTED_ERROR","message":"Score may not be 82.375"}}"#]).await;
    let told = import(&site.client, soon()).await;
    let printed = format!("{:?} {:?} {told:?}", site.client, credentials());
    for secret in ["hunter2", "api.account", "YXBp", "82.375"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert!(printed.contains("Score may not be …"));
}

/// Proxies in front of a site were seen to send decimals and units.
#[tokio::test]
async fn unusual_wait_is_read_or_replaced_by_a_default() {
    for (text, wait) in [("1800.5", Some(1801)), ("60s", Some(60)), ("soon", Some(300))] {
        let mut throttled = answer(429, "");
        throttled.headers_mut().insert("retry-after", text.parse().unwrap());
        let site = Scripted::answering([throttled]).await;
        let after = wait.map(Duration::from_secs);
        assert_eq!(read(&site.client, soon()).await, Err(Error::Throttled { after }), "{text}");
    }
}

/// A site that fails after the head of its answer looks like one that sends an empty body.
#[tokio::test]
async fn body_of_unknown_length_is_not_an_empty_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}/site", listener.local_addr().unwrap()));
    let dying = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await.unwrap();
        }
    });
    assert_eq!(read(&client, soon()).await, Err(Error::Uncertain { why: "the connection was lost" }));
    dying.await.unwrap();
}
