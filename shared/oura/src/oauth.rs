//! Authorisation: the consent address, code exchange, refresh and revocation.

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

/// The revocation path of the older token server. The newer server uses `/oauth/v2/ext/oauth-revoke`.
const OLDER_REVOCATION: &str = "/oauth/revoke";

/// An OAuth client that parses token responses leniently.
type OAuthClient = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// The consent address for a person, and the verifier to keep until the callback.
#[derive(Clone)]
pub struct Authorization {
    /// The consent page, with all parameters in the query. It contains the state, so do not log it.
    pub url: Url,
    /// Proves at the exchange that the same party began the authorisation. Protect it like a password until the
    /// callback.
    pub pkce_verifier: SecretString,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").finish_non_exhaustive()
    }
}

impl Client {
    /// Begins an authorisation with a new PKCE verifier (S256). Sends nothing.
    ///
    /// `redirect` must equal a registered address. `scopes` is separated by spaces and uses plain names (`daily`); Oura
    /// reads an empty list as all scopes. `state` comes back with the callback and must be unguessable.
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
    /// that the authorisation used.
    ///
    /// Sends one POST, never repeats it and follows no redirect: a code that reached the wrong server is spent.
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
    /// Sends one POST, never repeats it and follows no redirect: a refresh token works once. On success the old pair is
    /// invalid, so store the new pair before using it. Nothing is sent to an address that is neither https nor on this
    /// machine.
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

    /// Revokes a grant. Pass its refresh token; Oura then also ends the access token. Succeeds if the token is invalid
    /// afterwards, so also if it was already invalid.
    ///
    /// The older token server reads the token from the `Authorization` header and ignores a form. It answers 401 if the
    /// token is already invalid (source: the production client in tidepool-org/platform). The newer server follows RFC
    /// 7009: it reports success for an invalid token, and a 401 is about the client credentials.
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
            // The status is enough; the body of a success is not used.
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

/// Responses that a token server would not give to a made-up token. They come from another kind of server.
pub(crate) const NOT_OF_A_TOKEN_SERVER: [&str; 3] = [EMPTY, NOT_JSON, TOO_LARGE];

/// Sends a token request for the `oauth2` crate through our HTTP client. Only successes are passed back to `oauth2`;
/// every other response is classified here, where status and headers are known. All arguments are owned, because a
/// future that borrows would not be `Send` inside `oauth2`.
async fn post(tokens: reqwest::Client, request: HttpRequest, deadline: Instant) -> Result<HttpResponse, TokenError> {
    let (parts, form) = request.into_parts();
    let request = tokens.post(parts.uri.to_string()).headers(parts.headers).body(form);
    let answer = answer::receive(request, deadline, answer::SMALL_LIMIT).await.map_err(lost)?;
    if !answer.status.is_success() {
        Err(refusal(&answer))
    } else if answer.body.is_empty() {
        Err(TokenError::Uncertain { why: EMPTY })
    } else {
        // The tokens are used even with another 2xx status, a wrong content type, invalid UTF-8, or invalid JSON in
        // another member.
        let body = legible(&answer.body);
        let is_json = serde_json::from_str::<IgnoredAny>(&body).is_ok();
        let damaged = (!is_json).then(|| damaged_pair(&body)).flatten();
        Ok(HttpResponse::new(damaged.map_or(body, |pair| Value::Object(pair).to_string()).into_bytes()))
    }
}

/// The body as text, without a byte-order mark and with replacement characters for invalid UTF-8.
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
        // `post` returns only successes with a body, so the remaining cause is an invalid address.
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

/// Classifies a response that is not a success. A known error code counts whatever the status is. A 401 with any other
/// body is about the client (seen when the application is registered at another token server). A 403 without a code
/// comes from a firewall in front of the token server.
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

/// The meaning of an RFC 6749 error code, independent of the HTTP status.
pub(crate) fn said(code: String) -> TokenError {
    match code.as_str() {
        "invalid_grant" => TokenError::InvalidGrant,
        "invalid_client" => TokenError::InvalidClient,
        "server_error" | "temporarily_unavailable" => TokenError::Uncertain { why: FAILED },
        _ => TokenError::Refused { code },
    }
}

/// The `error` member of an OAuth error response, if it looks like an error code.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_str(&legible(body)).ok()?;
    code_in(body.get("error")?)
}

/// The text, if it looks like an error code. Any server may have sent the response, and people read the code.
pub(crate) fn code_in(error: &Value) -> Option<String> {
    let code = error.as_str()?.to_ascii_lowercase();
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    ((1..=40).contains(&code.len()) && code.bytes().all(sound)).then_some(code)
}
