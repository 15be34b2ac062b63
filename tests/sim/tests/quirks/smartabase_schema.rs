//! Logging in, and what the forms look like.

use reqwest::Response;
use serde_json::{Value, json};
use sim::smartabase::Smartabase;

use crate::browser::client;
use crate::coach::site;

async fn log_in(site: &Smartabase, app: &str, password: &str) -> Response {
    let properties = json!({"appName": app, "clientTime": "2026-03-10T12:00:00"});
    let body = json!({"username": "api.account", "password": password, "loginProperties": properties});
    client().post(format!("{}/api/v2/user/loginUser", site.url())).json(&body).send().await.unwrap()
}

#[tokio::test]
async fn a_failed_login_is_200_without_a_session() {
    let (site, _) = site(|_| {}).await;
    for (app, password, part) in [("site", "wrong", "Invalid"), ("sit", "api-password", "application known as")] {
        let answer = log_in(&site, app, password).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("session-header").is_none());
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["__is_rpc_exception__"], true);
        assert!(body["value"]["detailMessage"].as_str().unwrap().contains(part));
    }
    assert_eq!(site.refused_logins(), 1);
}

#[tokio::test]
async fn the_schema_of_a_form_needs_a_session() {
    let (site, _) = site(|_| {}).await;
    let answer = log_in(&site, "site", "api-password").await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    let session = answer.headers()["session-header"].to_str().unwrap().to_owned();
    assert!(answer.headers()["set-cookie"].to_str().unwrap().starts_with(&format!("JSESSIONID={session};")));
    assert_eq!(answer.json::<Value>().await.unwrap()["user"]["id"], 1);

    let get = async |path: &str, session: &str| {
        let request = client().get(format!("{}/api/v3/forms/{path}", site.url())).header("session-header", session);
        request.header("cookie", format!("JSESSIONID={session}")).send().await.unwrap()
    };
    assert_eq!(get("summaries", "nonsense").await.status(), 403);
    let summaries: Value = get("summaries", &session).await.json().await.unwrap();
    assert_eq!((&summaries["event"][0]["name"], &summaries["profile"][0]["name"]), (&json!("Sleep"), &json!("Link")));
    let id = &summaries["event"][0]["id"];
    let schema: Value = get(&format!("event/{id}"), &session).await.json().await.unwrap();
    let items = schema["children"][0]["children"][0]["children"].as_array().unwrap();
    let items: Vec<(&str, bool)> =
        items.iter().map(|item| (item["name"].as_str().unwrap(), item["required"].as_bool().unwrap())).collect();
    assert_eq!(items, [("Night", true), ("Score", false), ("Note", false), ("Sex", false), ("DOB", false)]);
    assert_eq!(get(&format!("profile/{id}"), &session).await.status(), 404);
}
