//! The token and revocation endpoints of both servers.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::authorize::{named, pairs};
use super::grants::{Challenge, Code, Pair, Refused, Violation};
use super::{LifetimeFormat, ScopeFormat, Service, Settings, TokenErrorStatus, TokenServer, World};

/// `POST /oauth/v2/ext/oauth-token`
pub(super) async fn new_token(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    service.world.lock().answer_token(TokenServer::New, &Form::read(&headers, &body))
}

/// `POST /oauth/token`
pub(super) async fn legacy_token(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    service.world.lock().answer_token(TokenServer::Legacy, &Form::read(&headers, &body))
}

/// `POST /oauth/v2/ext/oauth-revoke`: answers 200 to any token from the application, as RFC 7009 demands.
pub(super) async fn new_revoke(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::read(&headers, &body);
    let mut world = service.world.lock();
    if !world.is_client(&form) {
        return answer(Err(Fault::CLIENT));
    }
    match form.value("token") {
        Some(token) => {
            world.revoke(token);
            StatusCode::OK.into_response()
        }
        None => answer(Err(Fault::REQUEST)),
    }
}

/// `GET` or `POST /oauth/revoke?access_token=`, or with a bearer token: 401 if the token was already revoked.
pub(super) async fn legacy_revoke(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = pairs(query.as_deref().unwrap_or_default().as_bytes());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = query.iter().find(|(key, _)| key == "access_token").map(|(_, token)| token.as_str()).or(bearer);
    let revoked = token.is_some_and(|token| service.world.lock().revoke(token));
    if revoked { StatusCode::OK.into_response() } else { StatusCode::UNAUTHORIZED.into_response() }
}

/// The form of a request, and the client's credentials from the form or the header.
struct Form {
    pairs: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl Form {
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let basic = headers.get(header::AUTHORIZATION).and_then(|value| {
            let decoded = STANDARD.decode(value.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
            let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
            // In RFC 6749 both parts are form-encoded before they are joined.
            let plain = |part: &str| pairs(format!("x={part}").as_bytes()).into_iter().next().map(|(_, value)| value);
            Some((plain(id)?, plain(secret)?))
        });
        Self { pairs: pairs(body), basic }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn client(&self) -> Option<(&str, &str)> {
        match &self.basic {
            Some((id, secret)) => Some((id, secret)),
            None => Some((self.value("client_id")?, self.value("client_secret")?)),
        }
    }
}

/// An error as RFC 6749 defines it.
#[derive(Debug, Clone, Copy)]
struct Fault(StatusCode, &'static str, &'static str);

impl Fault {
    const CLIENT: Self = Self(StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed");
    const REQUEST: Self = Self(StatusCode::BAD_REQUEST, "invalid_request", "The request is malformed");
    const GRANT: Self = Self(StatusCode::BAD_REQUEST, "invalid_grant", "Already used, expired or revoked");
    const REDIRECT: Self = Self(StatusCode::BAD_REQUEST, "invalid_redirect_uri", "Not the redirect URI of the code");
    const GRANT_TYPE: Self = Self(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unsupported grant type");
    /// The wrong server's answer to a code. It was seen to be 401, unlike the 400 for a refresh token.
    const CODE_ELSEWHERE: Self = Self(StatusCode::UNAUTHORIZED, "invalid_request", "The request is malformed");
}

fn answer(outcome: Result<Value, Fault>) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match outcome {
        Ok(body) => (no_store, Json(body)).into_response(),
        Err(Fault(status, error, description)) => {
            (status, no_store, Json(json!({"error": error, "error_description": description}))).into_response()
        }
    }
}

impl World {
    fn is_client(&self, form: &Form) -> bool {
        form.client() == Some((&self.settings.client_id, &self.settings.client_secret))
    }

    fn revoke(&mut self, token: &str) -> bool {
        self.grants.revoke(token, self.settings.revocation_ends)
    }

    fn answer_token(&mut self, at: TokenServer, form: &Form) -> Response {
        if self.settings.token_error_status == TokenErrorStatus::Unavailable {
            let mut down = Response::default();
            *down.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return down;
        }
        let mut answered = answer(self.token(at, form));
        if self.settings.token_error_status == TokenErrorStatus::Ok {
            *answered.status_mut() = StatusCode::OK;
        }
        answered
    }

    fn token(&mut self, at: TokenServer, form: &Form) -> Result<Value, Fault> {
        if !self.is_client(form) {
            return Err(Fault::CLIENT);
        }
        let now = self.clock.now();
        let lifetime = self.settings.access_token_lifetime;
        let pair = match form.value("grant_type") {
            Some("authorization_code") => {
                let code = form.value("code").ok_or(Fault::REQUEST)?;
                let code = self.grants.spend_code(now, code, at).map_err(|refused| match refused {
                    Refused::Invalid => Fault::GRANT,
                    Refused::WrongServer => Fault::CODE_ELSEWHERE,
                })?;
                if form.value("redirect_uri").unwrap_or_default() != code.redirect_uri {
                    return Err(Fault::REDIRECT);
                }
                if !verified(&code, form.value("code_verifier")) {
                    self.grants.violations.push(Violation::WrongVerifier { person: code.person });
                    return Err(Fault::GRANT);
                }
                self.grants.open(code, now + lifetime)
            }
            Some("refresh_token") => {
                let token = form.value("refresh_token").ok_or(Fault::REQUEST)?;
                let Settings { wrong_server_burns_refresh_tokens: burns, rotates_refresh_tokens: rotates, .. } =
                    self.settings;
                self.grants.refresh(token, at, burns, rotates, now + lifetime).map_err(|refused| match refused {
                    Refused::Invalid => Fault::GRANT,
                    Refused::WrongServer => Fault::REQUEST,
                })?
            }
            Some(_) => return Err(Fault::GRANT_TYPE),
            None => return Err(Fault::REQUEST),
        };
        let Pair { access_token, refresh_token, scopes } = pair;
        let mut body = json!({
            "access_token": access_token,
            "token_type": "bearer",
            "scope": scope(&scopes, at, self.settings.scope_format),
        });
        if let Some(refresh_token) = refresh_token {
            body["refresh_token"] = refresh_token.into();
        }
        let seconds = lifetime.as_secs();
        match self.settings.lifetime_format {
            LifetimeFormat::Number => body["expires_in"] = seconds.into(),
            LifetimeFormat::Text => body["expires_in"] = seconds.to_string().into(),
            LifetimeFormat::Null => body["expires_in"] = Value::Null,
            LifetimeFormat::Zero => body["expires_in"] = 0.into(),
            LifetimeFormat::Absent => {}
        }
        if at == TokenServer::New {
            body["id_token"] = Value::Null;
        }
        Ok(body)
    }
}

/// The scopes of an answer, in the configured format.
fn scope(scopes: &BTreeSet<String>, at: TokenServer, format: ScopeFormat) -> Value {
    let list = named(scopes, at);
    match format {
        ScopeFormat::Spaces => list.into(),
        ScopeFormat::Commas => list.replace(' ', ",").into(),
        ScopeFormat::Pluses => list.replace(' ', "+").into(),
        ScopeFormat::Capitals => list.to_uppercase().into(),
        ScopeFormat::List => list.split(' ').collect(),
        ScopeFormat::Object => list.split(' ').map(|scope| (scope.to_owned(), Value::Bool(true))).collect(),
        ScopeFormat::Foreign => "read".into(),
    }
}

fn verified(code: &Code, verifier: Option<&str>) -> bool {
    match (&code.challenge, verifier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(Challenge::Plain(challenge)), Some(verifier)) => challenge == verifier,
        (Some(Challenge::Sha256(challenge)), Some(verifier)) => {
            *challenge == URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
        }
    }
}
