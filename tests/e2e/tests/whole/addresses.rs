//! Whatever a browser sends to the pages, the response is a page that says what to do and reveals no data.

use e2e::{ADA, Spent, ada, connected, gives_nothing_away};
use local::Stage;
use reqwest::{Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADERS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'"),
    ("content-security-policy", "frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age="),
    ("x-content-type-options", "nosniff"),
];

fn at(stage: &Stage, path: &str) -> String {
    stage.process.connector.settings.page(path).to_string()
}

fn guarded(response: &Response) {
    for (name, value) in HEADERS {
        let header = response.headers().get(name).map(|header| header.to_str().unwrap().to_owned());
        assert!(header.as_ref().is_some_and(|header| header.contains(value)), "{name}: {header:?}");
    }
}

/// Asserts that the response is a refusal, with a page and all security headers.
async fn refused(stage: &Stage, response: Response, statuses: &[u16]) {
    assert!(statuses.contains(&response.status().as_u16()), "{}", response.status());
    guarded(&response);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(response.headers().get("location").is_none());
    let page = response.text().await.unwrap();
    assert!(page.contains("<h1>") && page.len() < 4096, "{page}");
    assert!(!page.contains("Sample") && !page.contains("zzzz") && !page.contains("<script"), "{page}");
    gives_nothing_away(stage, &page);
}

#[tokio::test]
async fn every_response_carries_the_security_headers() {
    let stage = connected(ada()).await;
    let link = stage.link(ADA).unwrap();
    let (address, query) = link.split_once('?').unwrap();
    let mut answers = vec![
        stage.browser.get(&link).send().await.unwrap(),
        stage.post(address, query).await.unwrap(),
        stage.browser.get(at(&stage, "oauth/callback")).send().await.unwrap(),
        stage.browser.get(at(&stage, "nothing")).send().await.unwrap(),
        stage.browser.get(at(&stage, "connect")).send().await.unwrap(),
        stage.browser.put(at(&stage, "connect")).send().await.unwrap(),
    ];
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.approve(&consent, "ada");
    answers.push(stage.browser.get(back).header("cookie", cookie).send().await.unwrap());
    answers.push(stage.post(&at(&stage, "disconnect"), query).await.unwrap());
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 303, 400, 404, 400, 405, 200, 200]);
    answers.iter().for_each(guarded);
}

#[tokio::test]
async fn form_action_policy_allows_only_the_page_and_oura() {
    let stage = connected(ada()).await;
    let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let actions = policy.split("; ").find_map(|part| part.strip_prefix("form-action ")).unwrap();
    let oura = url::Url::parse(&stage.oura.url()).unwrap().origin().ascii_serialization();
    assert!(actions.split(' ').any(|action| action == oura) && actions.contains("'self'"), "{actions}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
}

#[tokio::test]
async fn unknown_methods_and_paths_are_refused() {
    let stage = connected(ada()).await;
    let _ = stage.cost();
    let (_, query) = stage.link(ADA).unwrap().split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for (path, allowed) in [("connect", "GET, POST"), ("oauth/callback", "GET"), ("disconnect", "POST")] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            if allowed.split(", ").any(|other| other == method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let address = format!("{}?{query}", at(&stage, path));
            let answer = stage.browser.request(method, address).body(query.clone()).send().await.unwrap();
            assert_eq!(answer.headers()["allow"], allowed);
            refused(&stage, answer, &[405]).await;
        }
    }
    for path in
        ["", "favicon.ico", "connect/", "connect/more", "Connect", "oauth", "../connect", "%2e%2e/etc/passwd", "%00"]
    {
        let address = format!("{}?{query}", at(&stage, path));
        if address.contains("/connect?") {
            continue;
        }
        refused(&stage, stage.browser.get(address).send().await.unwrap(), &[404]).await;
    }
    assert_eq!(Spent::since(&stage), Spent::default());
}

#[tokio::test]
async fn malformed_parameters_are_refused_without_a_table_read() {
    let stage = connected(ada()).await;
    let _ = stage.cost();
    let queries = [
        "",
        "&&&===",
        "athlete",
        "athlete=zzzz&expires=1&signature=zzzz",
        "athlete=%FF%FE%00&expires=%FF&signature=%FF",
        "athlete=<script>zzzz</script>&expires=9999999999&signature=AAAA",
        "athlete[]=zzzz&expires[]=1&signature[]=zzzz",
        "expires=99999999999999999999999999&athlete=zzzz&signature=zzzz",
    ];
    for query in queries {
        refused(&stage, stage.browser.get(format!("{}?{query}", at(&stage, "connect"))).send().await.unwrap(), &[400])
            .await;
        refused(&stage, stage.post(&at(&stage, "connect"), query).await.unwrap(), &[400]).await;
        refused(&stage, stage.post(&at(&stage, "disconnect"), query).await.unwrap(), &[400]).await;
        let back = format!("{}?{query}", at(&stage, "oauth/callback"));
        refused(&stage, stage.browser.get(back).send().await.unwrap(), &[400]).await;
    }
    for body in [&b"\xff\xfe\x00\x01"[..], b"{\"athlete\":\"zzzz\"}", b"\x1f\x8b\x08\x00"] {
        let answer = stage.browser.post(at(&stage, "connect")).body(body.to_vec()).send().await.unwrap();
        refused(&stage, answer, &[403]).await;
    }
    assert_eq!(Spent::since(&stage), Spent::default());
}

#[tokio::test]
async fn too_large_requests_are_refused() {
    let stage = connected(ada()).await;
    let _ = stage.cost();
    let query = format!("athlete={}", "z".repeat(50_000));
    for path in ["connect", "oauth/callback"] {
        let answer = stage.browser.get(format!("{}?{query}", at(&stage, path))).send().await.unwrap();
        refused(&stage, answer, &[413]).await;
    }
    for size in [10_000, 1 << 20, 3 << 20] {
        for path in ["connect", "disconnect"] {
            let answer = stage.post(&at(&stage, path), &"z".repeat(size)).await.unwrap();
            refused(&stage, answer, &[413]).await;
        }
    }
    assert_eq!(Spent::since(&stage), Spent::default());
}

/// Writes raw bytes to the socket. Returns the status, or `None` if the server only closed the connection.
async fn raw(stage: &Stage, request: &[u8]) -> Option<u16> {
    let url = &stage.process.connector.settings.public_url;
    let mut socket = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).await.unwrap();
    // The server may refuse the request and close the connection before it has read everything.
    let _ = socket.write_all(request).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    gives_nothing_away(stage, &answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok())
}

#[tokio::test]
async fn malformed_http_is_refused_and_the_next_request_is_served() {
    let stage = connected(ada()).await;
    let end: &[u8] = b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let huge = [b"GET /connect?athlete=", "z".repeat(1 << 20).as_bytes(), end].concat();
    let odd = [b"GET /connect?athlete=\xff\xfe", end].concat();
    for request in
        [huge.as_slice(), &odd, b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /connect HTTP/9.9\r\n\r\n", b""]
    {
        let status = raw(&stage, request).await;
        assert!(status.is_none_or(|status| (400..500).contains(&status) || status == 505), "{status:?}");
    }
    let served = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap();
    assert_eq!(served.status(), 200);
}

#[tokio::test]
async fn malformed_cookies_are_refused_with_a_page() {
    let stage = connected(ada()).await;
    for cookie in ["", ";;;", "__Host-connect", "__Host-connect=%FF", &"a=b; ".repeat(500), "__Host-connect=\u{e9}"] {
        let (consent, _) = stage.depart(ADA).await.unwrap();
        let back = stage.oura.approve(&consent, "ada");
        let value = reqwest::header::HeaderValue::from_bytes(cookie.as_bytes()).unwrap();
        let answer = stage.browser.get(back).header("cookie", value).send().await.unwrap();
        refused(&stage, answer, &[400]).await;
    }
}
