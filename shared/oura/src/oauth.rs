//! Authorisation: the consent address, the exchange of a code, refresh and revocation.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    TokenUrl,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::answer::{self, Answer, Lost};
use crate::client::is_confidential;
use crate::grant::{TokenAnswer, damaged_pair};
use crate::{ApiError, Client, ClientCredentials, Grant, TokenError};

/// The path under which the older token server revokes; the newer one's is `/oauth/v2/ext/oauth-revoke`.
const OLDER_REVOCATION: &str = "/oauth/revoke";

/// An OAuth client whose token answers are read leniently.
type OAuthClient = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Where to send someone for consent, and what to keep until they are back.
#[derive(Clone)]
pub struct Authorization {
    /// The consent page, with everything it needs in the query. Holds the state: not for logs.
    pub url: Url,
    /// Proves at the exchange that it is made by whoever began. Keep it as safe as a password, until the callback.
    pub pkce_verifier: SecretString,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").finish_non_exhaustive()
    }
}

impl Client {
    /// Begins an authorisation, with a fresh PKCE verifier (S256). Sends nothing.
    ///
    /// `redirect` must equal a registered address. `scopes` is separated by spaces and uses plain names (`daily`); Oura
    /// takes an empty list for all of them. `state` comes back with the callback and must be unguessable.
    #[must_use]
    pub fn authorization(&self, client_id: &str, redirect: &Url, scopes: &str, state: &str) -> Authorization {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, _) = OAuthClient::new(ClientId::new(client_id.to_owned()))
            .set_auth_uri(AuthUrl::from_url(self.endpoints().authorize.clone()))
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()))
            .authorize_url(|| CsrfToken::new(state.to_owned()))
            .add_scopes(scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        Authorization { url, pkce_verifier: verifier.into_secret().into() }
    }

    /// Exchanges the code of a callback for a grant, at the configured token endpoint. `redirect` must be the address
    /// that the authorisation was begun with.
    ///
    /// One POST, never repeated, no redirect followed: a code that reached the wrong server is spent.
    pub async fn exchange(
        &self,
        credentials: &ClientCredentials,
        code: &SecretString,
        redirect: &Url,
        pkce_verifier: &SecretString,
        deadline: Instant,
    ) -> Result<Grant, TokenError> {
        let client = oauth_client(credentials).set_token_uri(TokenUrl::from_url(self.endpoints().token.clone()));
        let tokens = self.tokens.clone();
        let post = move |request| post(tokens.clone(), request, deadline);
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect.clone())))
            .set_pkce_verifier(PkceCodeVerifier::new(pkce_verifier.expose_secret().to_owned()))
            .request_async(&post)
            .await;
        grant(answer, None)
    }

    /// Exchanges a refresh token for the next grant, at the endpoint that issued it.
    ///
    /// One POST, never repeated, no redirect followed: a refresh token works once. On success the old pair is dead, so
    /// store the new one before using it. To an address that is neither https nor on this machine nothing is sent.
    pub async fn refresh(
        &self,
        credentials: &ClientCredentials,
        token_url: &Url,
        refresh_token: &SecretString,
        deadline: Instant,
    ) -> Result<Grant, TokenError> {
        if !is_confidential(token_url) {
            return Err(TokenError::Unwell { why: "the token endpoint is not an https address" });
        }
        let client = oauth_client(credentials).set_token_uri(TokenUrl::from_url(token_url.clone()));
        let tokens = self.tokens.clone();
        let post = move |request| post(tokens.clone(), request, deadline);
        let sent = refresh_token;
        let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let answer = client.exchange_refresh_token(&refresh_token).request_async(&post).await;
        grant(answer, Some(sent))
    }

    /// Gives a grant back. Pass its refresh token, which ends the access token too. Succeeds when the token is dead
    /// afterwards, so also when it was dead before.
    ///
    /// The older token server reads a bearer token and no form, and says 401 to one that is dead already, as the
    /// production client of tidepool-org/platform knows it. The newer one follows RFC 7009, where a dead token is a
    /// success and a 401 is about our own credentials.
    pub async fn revoke(
        &self,
        credentials: &ClientCredentials,
        token: &SecretString,
        deadline: Instant,
    ) -> Result<(), ApiError> {
        let endpoint = &self.endpoints().revoke;
        let older = endpoint.path() == OLDER_REVOCATION;
        let request = self.tokens.post(endpoint.clone());
        let request = if older {
            request.bearer_auth(token.expose_secret())
        } else {
            request.form(&[
                ("token", token.expose_secret()),
                ("token_type_hint", "refresh_token"),
                ("client_id", &credentials.client_id),
                ("client_secret", credentials.client_secret.expose_secret()),
            ])
        };
        let answer = match answer::receive(request, deadline, answer::SMALL_LIMIT).await {
            Ok(answer) => answer,
            // The body of a success is of no interest.
            Err(Lost::Garbled | Lost::TooLarge) => return Ok(()),
            Err(lost) => return Err(lost.into()),
        };
        if answer.status.is_success() {
            return Ok(());
        }
        match answer.refusal() {
            ApiError::TokenRefused if older => Ok(()),
            refusal => Err(refusal),
        }
    }
}

const EMPTY: &str = "a success without a body";
const NOT_JSON: &str = "a success that is not complete JSON";
const TOO_LARGE: &str = "a body too large to be genuine";
const FAILED: &str = "the token server failed";

/// What, in answer to a token that was never issued, comes from something that is no token server.
pub(crate) const NOT_OF_A_TOKEN_SERVER: [&str; 3] = [EMPTY, NOT_JSON, TOO_LARGE];

/// The bridge between the `oauth2` crate and our HTTP client: sends a token request. Only successes cross it; all else
/// is classified here, where the status and headers are known. It borrows nothing, since a future that did could not
/// move between threads on the other side.
async fn post(tokens: reqwest::Client, request: HttpRequest, deadline: Instant) -> Result<HttpResponse, TokenError> {
    let (parts, form) = request.into_parts();
    let request = tokens.post(parts.uri.to_string()).headers(parts.headers).body(form);
    let answer = answer::receive(request, deadline, answer::SMALL_LIMIT).await.map_err(lost)?;
    if !answer.status.is_success() {
        Err(refusal(&answer))
    } else if answer.body.is_empty() {
        Err(TokenError::Uncertain { why: EMPTY })
    } else {
        // The tokens in the body are used despite another 2xx status, a wrong content type, invalid UTF-8 or invalid JSON
        // in another member.
        let body = legible(&answer.body);
        let is_json = serde_json::from_str::<IgnoredAny>(&body).is_ok();
        let damaged = (!is_json).then(|| damaged_pair(&body)).flatten();
        Ok(HttpResponse::new(damaged.map_or(body, |pair| Value::Object(pair).to_string()).into_bytes()))
    }
}

/// The body as text: without a byte-order mark, and with a replacement in place of what is no UTF-8.
fn legible(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim_start_matches('\u{feff}').to_owned()
}

fn oauth_client(credentials: &ClientCredentials) -> OAuthClient {
    OAuthClient::new(ClientId::new(credentials.client_id.clone()))
        .set_client_secret(ClientSecret::new(credentials.client_secret.expose_secret().to_owned()))
        .set_auth_type(AuthType::RequestBody)
}

fn grant(
    answer: Result<TokenAnswer, RequestTokenError<TokenError, BasicErrorResponse>>,
    sent: Option<&SecretString>,
) -> Result<Grant, TokenError> {
    match answer {
        Ok(answer) => answer.into_grant(sent),
        Err(RequestTokenError::Request(error)) => Err(error),
        Err(RequestTokenError::Parse(error, _)) if error.inner().is_data() => {
            Err(TokenError::Unusable { why: "not the JSON object that was expected" })
        }
        Err(RequestTokenError::Parse(..)) => Err(TokenError::Uncertain { why: NOT_JSON }),
        // Only successes with a body cross the bridge, so what is left comes before it: an address that is none.
        Err(RequestTokenError::ServerResponse(_) | RequestTokenError::Other(_)) => {
            Err(TokenError::Unwell { why: "the request could not be built" })
        }
    }
}

fn lost(lost: Lost) -> TokenError {
    match lost {
        Lost::NotSent(why) => TokenError::Unwell { why },
        Lost::TooLate => TokenError::Unwell { why: "the deadline had passed before the request was sent" },
        Lost::TimedOut => TokenError::Uncertain { why: "no answer in time" },
        Lost::Broken => TokenError::Uncertain { why: "the connection was lost" },
        Lost::Garbled => TokenError::Uncertain { why: "a body that does not decompress" },
        Lost::TooLarge => TokenError::Uncertain { why: TOO_LARGE },
    }
}

/// What an answer that is no success says about the request. A known error code counts whatever the status; a 401 with
/// any other body is about the client (seen when the application lives on another token server). A 403 without a code is
/// not a token server's, but of a firewall in front of it.
fn refusal(answer: &Answer) -> TokenError {
    let status = answer.status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return TokenError::Throttled(answer.throttle());
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return TokenError::Uncertain { why: FAILED };
    }
    match error_code(&answer.body).map(said) {
        Some(TokenError::Refused { .. }) | None if status == StatusCode::UNAUTHORIZED => TokenError::InvalidClient,
        Some(said) => said,
        None if status == StatusCode::FORBIDDEN => {
            TokenError::Unwell { why: "something in front of the token server refused the request" }
        }
        None => TokenError::Refused { code: format!("http_{}", status.as_u16()) },
    }
}

/// What an error code of RFC 6749 means, whatever status it came with.
pub(crate) fn said(code: String) -> TokenError {
    match code.as_str() {
        "invalid_grant" => TokenError::InvalidGrant,
        "invalid_client" => TokenError::InvalidClient,
        "server_error" | "temporarily_unavailable" => TokenError::Uncertain { why: FAILED },
        _ => TokenError::Refused { code },
    }
}

/// The `error` of an OAuth error answer, if it looks like one.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_str(&legible(body)).ok()?;
    code_in(body.get("error")?)
}

/// An error code, if it looks like one: the answer may come from anywhere, and the code is shown to people.
pub(crate) fn code_in(error: &Value) -> Option<String> {
    let code = error.as_str()?.to_ascii_lowercase();
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    ((1..=40).contains(&code.len()) && code.bytes().all(sound)).then_some(code)
}
