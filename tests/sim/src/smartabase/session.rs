//! The login (v2), and the schemas of the forms (v3), which need a session.

use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{API_USER, Form, Kind, Schemas, Site};
use crate::draw;

impl Site {
    /// Logs in. The status is always 200; without a `session-header`, the login failed.
    pub(super) fn log_in(&mut self, body: &Value) -> Answer {
        let failed = |detail: &str| {
            let value = json!({"detailMessage": detail, "cause": null});
            Answer::labelled(&json!({"__is_rpc_exception__": true, "type": "LoginException", "value": value}))
        };
        let app = self.path.rsplit('/').next().unwrap_or_default();
        let asked = body["loginProperties"]["appName"].as_str().unwrap_or_default();
        if asked != app {
            return failed(&format!("There is no application known as {asked}"));
        }
        if body["username"] != self.username.as_str() || body["password"] != self.password.as_str() {
            self.refused += 1;
            return failed("Invalid username or password");
        }
        let number = self.sessions.len().to_string();
        let session = draw::digits(0, &["session", &self.username, &number], 20);
        self.sessions.insert(session.clone());
        let user = json!({
            "active": true, "id": API_USER, "username": self.username, "firstName": "Api", "lastName": "Account",
            "emailAddress": "api@example.org", "uuid": null, "timezone": "", "language": "English",
        });
        let permissions = ["Enter Data For Group", "Import Data", "Enter Data", "Profile Data", "Import Profile Data"];
        Answer::labelled(&json!({
            "isAthlete": false, "isCoach": true, "isAdmin": false, "user": user,
            "applicationId": 1044, "loginActions": [], "restrictionPolicyIds": [], "permissions": permissions,
        }))
        .with_session(session)
    }

    pub(super) fn has_session(&self, headers: &HeaderMap) -> bool {
        let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let cookie = named(header::COOKIE.as_str()).split("; ").find_map(|pair| pair.strip_prefix("JSESSIONID="));
        self.sessions.contains(named("session-header")) && cookie.is_some_and(|cookie| self.sessions.contains(cookie))
    }

    /// Answers a v3 request that has a session.
    pub(super) fn v3(&self, path: &[&str]) -> Answer {
        match (self.settings.schemas, path) {
            (Schemas::Html, _) => Answer::page(StatusCode::OK, "Sign in"),
            (Schemas::Forbidden, _) => Answer::empty(StatusCode::FORBIDDEN),
            (Schemas::Offered, ["forms", "summaries"]) => self.form_summaries(),
            (Schemas::Offered, ["forms", kind, id]) => self.form_schema(kind, id),
            _ => Answer::empty(StatusCode::NOT_FOUND),
        }
    }

    /// The list of forms.
    fn form_summaries(&self) -> Answer {
        let of = |kind: Kind| -> Vec<Value> {
            let forms = self.forms.iter().enumerate().filter(|(_, form)| form.kind == kind);
            forms
                .map(|(place, form)| {
                    json!({"id": place + 1, "name": form.name, "mainCategory": "Wearables", "isReadOnly": form.read_only,
                           "groupEntryEnabled": false})
                })
                .collect()
        };
        Answer::labelled(&json!({"event": of(Kind::Event), "profile": of(Kind::Profile), "database": []}))
    }

    /// One form, as a tree.
    fn form_schema(&self, kind: &str, id: &str) -> Answer {
        let kind = match kind {
            "event" => Kind::Event,
            "profile" => Kind::Profile,
            _ => return Answer::empty(StatusCode::NOT_FOUND),
        };
        let place = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
        match place.and_then(|place| self.forms.get(place)).filter(|form| form.kind == kind) {
            Some(form) => Answer::labelled(&tree(form)),
            None => Answer::empty(StatusCode::NOT_FOUND),
        }
    }
}

fn tree(form: &Form) -> Value {
    let item = |name: &str, kind: &str| {
        json!({"type": "FormItem", "name": name, "formItemType": kind, "required": form.required.contains(name),
               "defaultsToLastKnownValue": false, "options": [], "scores": [], "dateSelection": null, "children": []})
    };
    let mut items: Vec<Value> = form
        .fields
        .iter()
        .chain(&form.table)
        .map(|name| {
            let plain = if form.doubles.contains(name) { "Number" } else { "Text" };
            item(name, form.types.get(name).map_or(plain, String::as_str))
        })
        .collect();
    items.extend([item("Sex", "Linked Option"), item("DOB", "Linked Date")]);
    let field_set = json!({"type": "FormFieldSet", "name": "Data", "children": items});
    let page = json!({"type": "FormPage", "name": "Page 1", "children": [field_set]});
    json!({"type": "Form", "name": form.name, "children": [page]})
}
