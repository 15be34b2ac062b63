//! The tests' table listens on a port, so that a wire can be put in front of it. Another user of the machine, or a web
//! page that finds the port, may send what the AWS SDK sends. The table checks no signature.

use e2e::{ADA, ada_and_ben};
use reqwest::header::{CONTENT_TYPE, ORIGIN};
use reqwest::{Method, StatusCode, Url};

/// Both addresses: the table's own and the wire's.
async fn doors(stage: &local::Stage) -> [Url; 2] {
    [stage.dynamo.endpoint().await.unwrap(), stage.table_wire.url()].map(|address| address.parse().unwrap())
}

/// Sends a scan of the whole table as a stranger. Returns the response.
async fn scan(stage: &local::Stage, method: Method, url: Url, origin: Option<&str>) -> (StatusCode, String) {
    let request = stage.browser.request(method, url).header("x-amz-target", "DynamoDB_20120810.Scan");
    let request = request.header(CONTENT_TYPE, "application/x-amz-json-1.0").body(r#"{"TableName":"connector"}"#);
    let request = if let Some(origin) = origin { request.header(ORIGIN, origin) } else { request };
    let answer = request.send().await.unwrap();
    let allowed = answer.headers().keys().any(|name| name.as_str().starts_with("access-control-"));
    assert!(!allowed, "a web page could read this");
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn stranger_who_finds_the_tables_port_reads_nothing() {
    let stage = e2e::connected(ada_and_ben()).await;
    for door in doors(&stage).await {
        let mut found = door.clone();
        found.set_path("/");
        for origin in [None, Some("https://evil.example.org"), Some("null")] {
            for method in [Method::POST, Method::OPTIONS, Method::GET] {
                let (status, body) = scan(&stage, method, found.clone(), origin).await;
                assert_eq!((status, body.as_str()), (StatusCode::FORBIDDEN, ""));
            }
        }
        // A client with the whole address gets a response, unless it is a web page.
        let (status, body) = scan(&stage, Method::POST, door.clone(), None).await;
        assert!(status == StatusCode::OK && body.contains(&ADA.to_string()), "{status} {body}");
        let (status, _) = scan(&stage, Method::POST, door, Some("https://evil.example.org")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
}
