//! `GET /v2/usercollection/...`: checks the caller's token and permissions, and returns documents.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::archive::Content;
use super::grants::Grant;
use super::refusal::Refusal;
use super::window::{BadWindow, Window};
use super::{Collection, Life, MissingScope, Person, Service, World, life, series};
use crate::draw;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Parameters {
    start_date: Option<String>,
    end_date: Option<String>,
    next_token: Option<String>,
    fields: Option<String>,
}

/// Where the next page begins. It repeats the dates, so it works without them too.
#[derive(Debug, Serialize, Deserialize)]
struct NextPage {
    offset: usize,
    start_date: Option<String>,
    end_date: Option<String>,
}

/// `GET /v2/usercollection/{name}`
pub(super) async fn many(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    service.answer(|world| {
        if name == "personal_info" {
            return world.personal_info(&headers);
        }
        let collection = Collection::named(&name).ok_or_else(not_found)?;
        let grant = world.admit(&headers, Some("daily"))?;
        world.page(&grant.person, collection, parameters)
    })
}

/// `GET /v2/usercollection/{name}/{document_id}`
pub(super) async fn one(
    State(service): State<Arc<Service>>,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    service.answer(|world| {
        let collection = Collection::named(&name).ok_or_else(not_found)?;
        let grant = world.admit(&headers, Some("daily"))?;
        let now = world.clock.now();
        let (seed, archive) = (world.seed, world.archive(&grant.person));
        let content = archive.one(collection, &id, now).ok_or_else(not_found)?;
        Ok(text(rendered(collection, seed, content, None)))
    })
}

fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "Not Found")
}

fn text(json: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

impl World {
    /// Checks token, limits, membership, app and scope, in this order.
    fn admit(&mut self, headers: &HeaderMap, scope: Option<&str>) -> Result<Grant, Refusal> {
        let now = self.clock.now();
        let unauthorized = || Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized access exception.");
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
        let grant = self.grants.bearer(now, token).ok_or_else(unauthorized)?.clone();
        self.throttle.admit(now, token, &self.settings)?;
        let member = self.people.iter().any(|person| person.id == grant.person && person.member);
        if !member {
            let detail = "Access forbidden. The user's Oura subscription has expired and their data is not available.";
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        if self.person(&grant.person).outdated_app {
            let detail = "The user's mobile app does not meet the minimum app version requirement.";
            return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, detail));
        }
        match scope.filter(|scope| !grant.scopes.contains(*scope)) {
            None => Ok(grant),
            Some(scope) => Err(match self.settings.missing_scope {
                MissingScope::Unauthorized => unauthorized(),
                MissingScope::Forbidden => {
                    Refusal::new(StatusCode::FORBIDDEN, format!("Missing required scope: {scope}"))
                }
            }),
        }
    }

    fn personal_info(&mut self, headers: &HeaderMap) -> Result<Response, Refusal> {
        let grant = self.admit(headers, None)?;
        let personal = |value: Value| if grant.scopes.contains("personal") { value } else { Value::Null };
        let email = self.person(&grant.person).email.clone();
        let body = json!({
            "id": grant.person,
            "age": personal(json!(27)),
            "weight": personal(json!(71.5)),
            "height": personal(json!(1.79)),
            "biological_sex": personal(json!("female")),
            "email": grant.scopes.contains("email").then_some(email),
        });
        Ok(Json(body).into_response())
    }

    fn page(&mut self, person: &str, collection: Collection, parameters: Parameters) -> Result<Response, Refusal> {
        let Parameters { mut start_date, mut end_date, next_token, fields } = parameters;
        let mut offset = 0;
        if let Some(token) = next_token {
            let page =
                NextPage::read(&token).ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "Invalid next_token"))?;
            offset = page.offset;
            start_date = start_date.or(page.start_date);
            end_date = end_date.or(page.end_date);
        }
        let now = self.clock.now();
        let zone = self.person(person).zone.clone();
        let window = Window::of(start_date.as_deref(), end_date.as_deref(), now, &zone).map_err(|bad| match bad {
            BadWindow::Unreadable(parameter) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, parameter),
            BadWindow::Backwards => Refusal::new(StatusCode::BAD_REQUEST, "Start time is greater than end time"),
        })?;
        let tomorrow = now.to_zoned(zone).date().saturating_add(1.day());
        for day in window.days().take_while(|day| *day <= tomorrow) {
            self.live(person, day);
        }
        let seed = self.seed;
        let settings = &self.settings;
        let Some(archive) = self.archives.get(person) else {
            return Ok(text(json!({"data": [], "next_token": null}).to_string()));
        };
        let mut rows: Vec<_> = archive
            .visible(collection, now)
            .filter(|(_, content)| window.selects(collection, content, settings))
            .map(|(id, content)| (draw::hash(seed, &["row", id]), content))
            .collect();
        // Oura does not document an order, so clients must not rely on one.
        rows.sort_by_key(|(place, _)| *place);

        let fields = fields.as_deref();
        let data: Vec<String> = rows
            .iter()
            .skip(offset)
            .take(settings.page_size.max(1))
            .map(|(_, content)| rendered(collection, seed, content, fields))
            .collect();
        let offset = offset + data.len();
        let next = (offset < rows.len()).then(|| NextPage { offset, start_date, end_date }.write());
        Ok(text(format!(r#"{{"data":[{}],"next_token":{}}}"#, data.join(","), json!(next))))
    }

    /// Generates the documents of every day until today, and those of tomorrow that exist already.
    pub(super) fn live_until_today(&mut self, person: &str) {
        let Some(Person { life: Life::Regular { since } | Life::Varied { since }, zone, .. }) =
            self.people.iter().find(|other| other.id == person)
        else {
            return;
        };
        let tomorrow = self.clock.now().to_zoned(zone.clone()).date().saturating_add(1.day());
        for day in since.series(1.day()).take_while(|day| *day <= tomorrow) {
            self.live(person, day);
        }
    }

    /// Generates the documents of `day`, when the day is first needed.
    pub(super) fn live(&mut self, person: &str, day: Date) {
        if let Some(person) = self.people.iter().find(|other| other.id == person) {
            let archive = self.archives.entry(person.id.clone()).or_default();
            life::live(archive, self.seed, person, day);
        }
    }
}

/// The fields that are only present if the request selects them by name or selects no fields at all.
const SERIES: [&str; 8] = [
    "met",
    "class_5_min",
    "heart_rate",
    "hrv",
    "movement_30_sec",
    "sleep_phase_5_min",
    "sleep_phase_30_sec",
    "app_sleep_phase_5_min",
];

/// A document as JSON text with the selected fields, or with all fields if none of the selected names is known.
fn rendered(collection: Collection, seed: u64, content: &Content, fields: Option<&str>) -> String {
    let Some(value) = content.value() else {
        return if let Content::Raw(text) = content { text.clone() } else { "null".to_owned() };
    };
    let fields = fields.unwrap_or_default().split(',').map(str::trim);
    let chosen: Vec<&str> = fields.filter(|name| collection.fields().contains(name)).collect();
    if chosen.is_empty() {
        return complete(collection, seed, content).unwrap_or_default().to_string();
    }
    let chosen = |name: &str| chosen.contains(&name) || collection.always().contains(&name);
    let mut document = if SERIES.into_iter().any(chosen) { complete(collection, seed, content) } else { None }
        .unwrap_or_else(|| value.clone());
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|name, _| chosen(name));
    }
    document.to_string()
}

/// A document with all its fields.
pub(super) fn complete(collection: Collection, seed: u64, content: &Content) -> Option<Value> {
    let mut value = content.value()?.clone();
    if let Content::Lived(_) = content {
        series::attach(collection, seed, &mut value);
    }
    Some(value)
}

impl NextPage {
    fn read(token: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
    }

    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!(self).to_string())
    }
}
