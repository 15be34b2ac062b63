//! Authentication, and the headers of the answers.

use std::time::Duration;

use serde_json::json;
use sim::smartabase::{Config, Smartabase, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::browser::client;
use crate::coach::{ANN, event, import, post, site};

#[tokio::test]
async fn wrong_password_gets_401_and_is_counted() {
    let (site, _) = site(|_| {}).await;
    let url = format!("{}/api/v1/listgroups?informat=json&format=json", site.url());
    let accounts = [("api.account", "wrong"), ("api@example.org", "api-password")];
    for (username, password) in accounts {
        let request = client().post(&url).basic_auth(username, Some(password)).json(&json!({"name": ""}));
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    assert_eq!(client().post(&url).json(&json!({"name": ""})).send().await.unwrap().status(), 401);
    assert_eq!(site.refused_logins(), 3);
    site.set_password("another");
    assert_eq!(post(&site, "listgroups", &json!({"name": ""})).await.status(), 401);
}

#[tokio::test]
async fn only_the_configured_path_is_served() {
    let config = Config { path: "/app/live".to_owned(), ..Config::default() };
    let site = Smartabase::start(config).await.unwrap();
    assert!(site.url().ends_with("/app/live"));
    assert_eq!(post(&site, "listgroups", &json!({"name": ""})).await.status(), 200);
    let elsewhere = site.url().replace("/app/live", "/site");
    let request =
        client().post(format!("{elsewhere}/api/v1/listgroups")).basic_auth("api.account", Some("api-password"));
    assert_eq!(request.json(&json!({"name": ""})).send().await.unwrap().status(), 404);
    assert_eq!(post(&site, "nothing", &json!({})).await.status(), 404);
}

#[tokio::test]
async fn answers_are_chunked_and_have_no_content_type() {
    let (site, _) = site(|_| {}).await;
    let answer = post(&site, "listgroups", &json!({"name": ""})).await;
    let headers = answer.headers();
    assert!(headers.get("content-type").is_none() && headers.get("content-length").is_none());
    assert_eq!(headers["transfer-encoding"], "chunked");
    assert_eq!(headers["keep-alive"], "timeout=5, max=1000");
    assert_eq!(headers["server"], "Apache");
}

#[tokio::test]
async fn call_without_format_json_is_a_violation() {
    let (site, _) = site(|_| {}).await;
    let request = client().post(format!("{}/api/v1/listgroups", site.url()));
    request.basic_auth("api.account", Some("api-password")).json(&json!({"name": ""})).send().await.unwrap();
    assert_eq!(site.violations(), [Violation::FormatNotAsked("listgroups".to_owned())]);
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let config = Config { keep_alive: Duration::from_millis(50), ..Config::default() };
    let site = Smartabase::start(config).await.unwrap();
    let address = site.page_url().replace("http://", "").replace('/', "");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    // Returns only because the site closes the connection.
    connection.read_to_end(&mut received).await.unwrap();
    assert!(received.starts_with(b"HTTP/1.1 404"));
}

#[tokio::test]
async fn dropped_site_refuses_connections() {
    let (site, _) = site(|_| {}).await;
    let url = site.page_url();
    assert_eq!(client().get(&url).send().await.unwrap().status(), 200);
    drop(site);
    // The listener closes when its task is next scheduled.
    while client().get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn page_shows_the_records() {
    let (site, _) = site(|_| {}).await;
    import(&site, &[event(ANN, "09/03/2026", &[("Score", "<81>")])]).await;
    let page = client().get(site.page_url()).send().await.unwrap().text().await.unwrap();
    for part in ["Ann Archer", "Mon 09/03/2026", "&lt;81&gt;", "Activity"] {
        assert!(page.contains(part), "{part} is missing from {page}");
    }
}
