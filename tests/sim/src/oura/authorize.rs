//! The authorization endpoint: checks the request, shows the consent page, and redirects back to the application.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, Uri, header};
use url::Url;

use super::grants::Challenge;
use super::{Service, TokenServer, World, consent};

/// The scopes that the portal offers.
pub(super) const SCOPES: [&str; 11] = [
    "daily",
    "email",
    "personal",
    "heartrate",
    "workout",
    "tag",
    "session",
    "spo2",
    "heart_health",
    "ring_configuration",
    "stress",
];

/// The prefix of scope names at the new server.
pub(super) const PREFIX: &str = "extapi:";

/// The path of the new server's own authorization endpoint. The legacy endpoint serves both servers.
pub(super) const NEW_PATH: &str = "/oauth/v2/ext/oauth-authorize";

/// A request of an application that passed the checks.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) redirect_uri: Url,
    /// Names without prefix.
    pub(super) scopes: BTreeSet<String>,
    state: Option<String>,
    challenge: Option<Challenge>,
}

/// What the person decided on the consent page.
#[derive(Debug)]
pub(super) enum Decision {
    Approve { person: String, scopes: BTreeSet<String> },
    Decline,
}

/// What is wrong with a request.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The redirect address is not registered: show the person a page.
    Page(&'static str),
    /// Redirect to the application with an error.
    Redirect(Url),
}

/// `GET`: shows the consent page.
pub(super) async fn page(State(service): State<Arc<Service>>, uri: Uri, RawQuery(query): RawQuery) -> Response {
    let pairs = pairs(query.as_deref().unwrap_or_default().as_bytes());
    let world = service.world.lock();
    match world.asked(uri.path(), &pairs) {
        Ok(asked) => Html(consent::page(&asked, &pairs, &world.people).into_string()).into_response(),
        Err(wrong) => wrong.into_response(),
    }
}

/// `POST`: the form of that page. It repeats the request and adds `decision`, `person` and each `granted` scope.
pub(super) async fn decide(State(service): State<Arc<Service>>, uri: Uri, body: Bytes) -> Response {
    let pairs = pairs(&body);
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let granted = pairs.iter().filter(|(key, _)| key == "granted").map(|(_, value)| value.clone()).collect();
    let decision = match (value("decision"), value("person")) {
        (Some("approve"), Some(person)) => Decision::Approve { person: person.to_owned(), scopes: granted },
        (Some("decline"), _) => Decision::Decline,
        _ => return Wrong::Page("Choose who you are, and approve or decline.").into_response(),
    };
    let outcome = service.world.lock().consent(uri.path(), &pairs, decision);
    match outcome {
        Ok(back) => redirect(&back),
        Err(wrong) => wrong.into_response(),
    }
}

pub(super) fn pairs(form: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn redirect(to: &Url) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to.to_string())]).into_response()
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        match self {
            Self::Page(what) => (StatusCode::BAD_REQUEST, Html(consent::error(what).into_string())).into_response(),
            Self::Redirect(back) => redirect(&back),
        }
    }
}

impl World {
    /// Checks an application's request. Redirects only to a registered redirect URI.
    pub(super) fn asked(&self, path: &str, pairs: &[(String, String)]) -> Result<Asked, Wrong> {
        let settings = &self.settings;
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if value("client_id") != Some(&settings.client_id) {
            return Err(Wrong::Page("This application is not known to Oura."));
        }
        if path == NEW_PATH && settings.server == TokenServer::Legacy {
            return Err(Wrong::Page("This application is not known to this server."));
        }
        let redirect_uri = match (value("redirect_uri"), settings.redirect_uris.as_slice()) {
            (Some(uri), registered) if registered.iter().any(|other| other == uri) => uri,
            (None, [only]) => only,
            _ => return Err(Wrong::Page("The redirect URI is not registered for this application.")),
        };
        let Ok(redirect_uri) = Url::parse(redirect_uri) else {
            return Err(Wrong::Page("The redirect URI is not an address."));
        };
        let state = value("state").map(str::to_owned);
        let mut asked = Asked { redirect_uri, scopes: BTreeSet::new(), state, challenge: None };
        if value("response_type") != Some("code") {
            return Err(Wrong::Redirect(asked.error("unsupported_response_type", "Only code is supported.")));
        }
        asked.challenge = match (value("code_challenge"), value("code_challenge_method")) {
            (None, None) => None,
            (Some(challenge), Some("S256")) if challenge.len() == 43 => Some(Challenge::Sha256(challenge.to_owned())),
            (Some(challenge), None | Some("plain")) => Some(Challenge::Plain(challenge.to_owned())),
            _ => return Err(Wrong::Redirect(asked.error("invalid_request", "The code challenge is malformed."))),
        };
        asked.scopes = scopes(value("scope").unwrap_or_default(), path == NEW_PATH);
        Ok(asked)
    }

    /// The address to which the browser is redirected after the decision.
    pub(super) fn consent(&mut self, path: &str, pairs: &[(String, String)], decision: Decision) -> Result<Url, Wrong> {
        let asked = self.asked(path, pairs)?;
        let (person, scopes) = match decision {
            Decision::Decline => {
                return Ok(
                    asked.error("access_denied", "The resource owner or authorization server denied the request.")
                );
            }
            Decision::Approve { person, scopes } => (person, scopes),
        };
        if !self.people.iter().any(|other| other.id == person) {
            return Err(Wrong::Page("There is no such account."));
        }
        let granted: BTreeSet<String> = asked.scopes.intersection(&scopes).cloned().collect();
        let server = self.settings.server;
        let names = named(&granted, server);
        let now = self.clock.now();
        let redirect_uri = pairs.iter().find(|(key, _)| key == "redirect_uri").map_or("", |(_, uri)| uri);
        let code = self.grants.issue_code(now, &person, server, granted, redirect_uri, asked.challenge.clone());
        let mut back = asked.redirect_uri.clone();
        back.query_pairs_mut().append_pair("code", &code).append_pair("scope", &names);
        if let Some(state) = &asked.state {
            back.query_pairs_mut().append_pair("state", state);
        }
        if server == TokenServer::New {
            back.query_pairs_mut().append_pair("iss", &self.settings.issuer);
        }
        Ok(back)
    }
}

impl Asked {
    fn error(&self, error: &str, description: &str) -> Url {
        let mut back = self.redirect_uri.clone();
        back.query_pairs_mut().append_pair("error", error).append_pair("error_description", description);
        if let Some(state) = &self.state {
            back.query_pairs_mut().append_pair("state", state);
        }
        back
    }
}

/// The requested scopes, without prefix. No scope means all scopes. The new endpoint ignores names without prefix; the
/// legacy one accepts both spellings.
fn scopes(asked: &str, prefix_required: bool) -> BTreeSet<String> {
    if asked.trim().is_empty() {
        return SCOPES.map(str::to_owned).into();
    }
    asked
        .split_whitespace()
        .filter_map(|name| match name.strip_prefix(PREFIX) {
            Some(bare) => Some(bare),
            None => (!prefix_required).then_some(name),
        })
        .filter(|bare| SCOPES.contains(bare))
        .map(str::to_owned)
        .collect()
}

/// The scopes as this server writes them.
pub(super) fn named(scopes: &BTreeSet<String>, server: TokenServer) -> String {
    let prefix = if server == TokenServer::New { PREFIX } else { "" };
    let names: Vec<String> = scopes.iter().map(|scope| format!("{prefix}{scope}")).collect();
    names.join(" ")
}
