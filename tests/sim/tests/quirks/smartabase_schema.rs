//! The login, and the schemas of the forms.

use reqwest::Response;
use serde_json::{Value, json};
use sim::smartabase::{Form, Schemas, Smartabase};

use crate::browser::client;
use crate::coach::site;

async fn session(site: &Smartabase) -> String {
    let answer = log_in(site, "site", "api-password").await;
    answer.headers()["session-header"].to_str().unwrap().to_owned()
}

async fn ask(site: &Smartabase, path: &str, session: &str) -> Response {
    let request = client().get(format!("{}/api/v3/forms/{path}", site.url())).header("session-header", session);
    request.header("cookie", format!("JSESSIONID={session}")).send().await.unwrap()
}

async fn log_in(site: &Smartabase, app: &str, password: &str) -> Response {
    let properties = json!({"appName": app, "clientTime": "2026-03-10T12:00:00"});
    let body = json!({"username": "api.account", "password": password, "loginProperties": properties});
    client().post(format!("{}/api/v2/user/loginUser", site.url())).json(&body).send().await.unwrap()
}

#[tokio::test]
async fn failed_login_is_200_without_a_session() {
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
async fn schemas_need_a_session() {
    let (site, _) = site(|_| {}).await;
    let answer = log_in(&site, "site", "api-password").await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    let session = answer.headers()["session-header"].to_str().unwrap().to_owned();
    assert!(answer.headers()["set-cookie"].to_str().unwrap().starts_with(&format!("JSESSIONID={session};")));
    assert_eq!(answer.json::<Value>().await.unwrap()["user"]["id"], 1);

    assert_eq!(ask(&site, "summaries", "nonsense").await.status(), 403);
    let summaries: Value = ask(&site, "summaries", &session).await.json().await.unwrap();
    assert_eq!((&summaries["event"][0]["name"], &summaries["profile"][0]["name"]), (&json!("Sleep"), &json!("Link")));
    let id = &summaries["event"][0]["id"];
    let schema: Value = ask(&site, &format!("event/{id}"), &session).await.json().await.unwrap();
    let items = schema["children"][0]["children"][0]["children"].as_array().unwrap();
    let items: Vec<(&str, bool)> =
        items.iter().map(|item| (item["name"].as_str().unwrap(), item["required"].as_bool().unwrap())).collect();
    assert_eq!(items, [("Night", true), ("Score", false), ("Note", false), ("Sex", false), ("DOB", false)]);
    assert_eq!(ask(&site, &format!("profile/{id}"), &session).await.status(), 404);
}

#[tokio::test]
async fn schema_has_field_types_and_read_only_flag() {
    let (site, _) = site(|_| {}).await;
    let form = Form::event("Sleep", ["Score", "Week"]).typed("Week", "Text Calculation");
    site.set_form(Form { read_only: true, ..form });
    let session = session(&site).await;
    let summaries: Value = ask(&site, "summaries", &session).await.json().await.unwrap();
    let sleep = summaries["event"].as_array().unwrap().iter().find(|form| form["name"] == "Sleep").unwrap();
    assert_eq!(sleep["isReadOnly"], true);
    let schema: Value = ask(&site, &format!("event/{}", sleep["id"]), &session).await.json().await.unwrap();
    let items = schema["children"][0]["children"][0]["children"].as_array().unwrap();
    let types: Vec<_> = items.iter().map(|item| item["formItemType"].as_str().unwrap()).collect();
    assert_eq!(types, ["Text", "Text Calculation", "Linked Option", "Linked Date"]);
}

#[tokio::test]
async fn schemas_can_be_absent_forbidden_or_html() {
    for (schemas, status) in [(Schemas::Absent, 404), (Schemas::Forbidden, 403), (Schemas::Html, 200)] {
        let (site, _) = site(|_| {}).await;
        let session = session(&site).await;
        site.configure(|settings| settings.schemas = schemas);
        let answer = ask(&site, "summaries", &session).await;
        assert_eq!(answer.status(), status);
        let body = answer.text().await.unwrap();
        assert_eq!(body.starts_with("<!DOCTYPE"), schemas == Schemas::Html, "{body}");
    }
}
