//! The entrance of the site: its path, authentication, and routing to the endpoints.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use parking_lot::Mutex;
use serde_json::Value;

use super::answer::Answer;
use super::page;
use super::{Site, Violation};

type Shared = Arc<Mutex<Site>>;

pub(super) fn routes(site: Shared) -> Router {
    Router::new()
        .route("/", get(forms_page))
        .fallback(enter)
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(site)
}

async fn forms_page(State(site): State<Shared>) -> Html<String> {
    Html(page::page(&site.lock()).into_string())
}

async fn enter(State(site): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut site = site.lock();
    let Some(path) = uri.path().strip_prefix(&site.path.clone()).map(str::to_owned) else {
        return Answer::empty(StatusCode::NOT_FOUND).into_response();
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let answer = match (method.as_str(), parts.as_slice()) {
        ("GET", []) => return Html(page::page(&site).into_string()).into_response(),
        ("POST", ["api", "v1", endpoint]) => site.v1(endpoint, uri.query().unwrap_or_default(), &headers, &body),
        ("POST", ["api", "v2", "user", "loginUser"]) => site.log_in(&serde_json::from_slice(&body).unwrap_or_default()),
        ("GET", ["api", "v3", rest @ ..]) if site.has_session(&headers) => site.v3(rest),
        ("GET", ["api", "v3", ..]) => Answer::empty(StatusCode::FORBIDDEN),
        _ => Answer::empty(StatusCode::NOT_FOUND),
    };
    answer.into_response()
}

impl Site {
    /// Checks the password, then the body. Apache refuses a body that is not JSON before it reaches the application.
    fn v1(&mut self, endpoint: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
        if !self.may_enter(headers) {
            self.refused += 1;
            return Answer::empty(StatusCode::UNAUTHORIZED);
        }
        let asks = |pair: &str| query.split('&').any(|other| other == pair);
        if !asks("informat=json") || !asks("format=json") {
            self.violations.push(Violation::FormatNotAsked(endpoint.to_owned()));
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Answer::refused_by_apache();
        };
        self.complain(endpoint, &body);
        match endpoint {
            "usersynchronise" => self.synchronise_users(&body),
            "usersearch" => self.search_users(&body),
            "listgroups" => self.list_groups(),
            "groupmembers" => self.group_members(&body),
            "eventsimport" => self.import_events(&body),
            "eventimport" => self.import_event(&body),
            "eventsearch" => self.search_events(&body),
            "filteredeventsearch" => self.search_filtered(&body),
            "synchronise" => self.synchronise(&body),
            "profileimport" => self.import_profile(&body),
            "profilesearch" => self.search_profiles(&body),
            "deleteevent" => self.delete_event(&body),
            _ => Answer::empty(StatusCode::NOT_FOUND),
        }
    }

    fn complain(&mut self, endpoint: &str, body: &Value) {
        let no_users = body["userIds"].as_array().is_none_or(Vec::is_empty);
        match endpoint {
            "eventsearch" | "filteredeventsearch" | "synchronise" | "profilesearch" if no_users => {
                self.violations.push(Violation::WithoutUsers(endpoint.to_owned()));
            }
            "usersynchronise" if body["paginate"] != "True" && body["paginate"] != true => {
                self.violations.push(Violation::WithoutPaging);
            }
            _ => {}
        }
    }

    fn may_enter(&self, headers: &HeaderMap) -> bool {
        let credentials = headers.get(header::AUTHORIZATION).and_then(|value| {
            let decoded = STANDARD.decode(value.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
            String::from_utf8(decoded).ok()
        });
        credentials.is_some_and(|given| given == format!("{}:{}", self.username, self.password))
    }
}
