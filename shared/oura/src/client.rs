//! The HTTP client, its endpoints and its credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;
use url::{Host, Url};

use crate::answer::{self, Answer};
use crate::{ApiError, BuildError};

/// How long an idle connection is reused. Oura closes idle connections at times that it does not publish.
const IDLE: Duration = Duration::from_secs(30);
/// Longest wait for a connection. A token request that got no connection was certainly not processed. With the overall
/// deadline alone, it would look the same as a request that was sent and not answered.
const CONNECT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "-client/", env!("CARGO_PKG_VERSION"));

/// Oura's own domain, under which both of its token servers are.
pub const DOMAIN: &str = "ouraring.com";

/// The origin of the issuer (`iss`, RFC 9207) that callbacks of the newer token server name. Seen live in August 2026.
pub const ISSUER: &str = "https://moi.ouraring.com";

/// The token endpoint of the identity provider that Oura introduced in 2026.
const NEWER_TOKEN_ENDPOINT: &str = "https://moi.ouraring.com/oauth/v2/ext/oauth-token";

/// The token endpoint in Oura's documentation, used by applications that were registered before 2026.
const OLDER_TOKEN_ENDPOINT: &str = "https://api.ouraring.com/oauth/token";

/// The addresses of Oura.
///
/// The default is the identity provider of 2026. Consent still begins at the `cloud` address, which redirects to the
/// new provider and translates scope names. Tokens come from `moi`. An application that was registered earlier may
/// still use the older token server, so all four addresses are configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The consent page.
    pub authorize: Url,
    /// Where a code is exchanged. A grant must be refreshed at the endpoint that issued it, so store this address with
    /// the grant.
    pub token: Url,
    /// Where a token is revoked.
    pub revoke: Url,
    /// The base address of `/v2/usercollection/...`.
    pub api: Url,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            authorize: fixed("https://cloud.ouraring.com/oauth/authorize"),
            token: fixed(NEWER_TOKEN_ENDPOINT),
            revoke: fixed("https://moi.ouraring.com/oauth/v2/ext/oauth-revoke"),
            api: fixed("https://api.ouraring.com"),
        }
    }
}

#[expect(clippy::expect_used, reason = "only ever given the literals above")]
fn fixed(url: &'static str) -> Url {
    Url::parse(url).expect("a literal address parses")
}

/// The application's own credentials at Oura, as `{"client_id": "...", "client_secret": "..."}`.
#[derive(Clone, Debug, Deserialize)]
pub struct ClientCredentials {
    /// The client id; not a secret.
    pub client_id: String,
    /// The client secret.
    #[serde(deserialize_with = "secret")]
    pub client_secret: SecretString,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// A client of the Oura API. Build it once; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Arc<Endpoints>,
    /// For data: many small compressed responses over pooled connections. The HTTP library repeats a request only if a
    /// pooled connection was already closed before the request was sent.
    data: reqwest::Client,
    /// For tokens: each request uses a new connection and is sent exactly once, to the given address. If a pooled
    /// connection broke, it would be unknown whether the server processed the request.
    pub(crate) tokens: reqwest::Client,
    requests: Arc<AtomicU64>,
}

impl Client {
    /// Makes a client for these endpoints. Each must be https, or http on this machine. Opens no connection.
    pub fn new(endpoints: Endpoints) -> Result<Self, BuildError> {
        let Endpoints { authorize, token, revoke, api } = &endpoints;
        for (which, url) in [("authorize", authorize), ("token", token), ("revoke", revoke), ("api", api)] {
            if !is_confidential(url) {
                return Err(BuildError::Endpoint { which });
            }
        }
        // The data client follows no redirect either, so a bearer token goes only to the configured address.
        let base = |offer| {
            tls::client(offer)
                .user_agent(USER_AGENT)
                .redirect(redirect::Policy::none())
                .connect_timeout(CONNECT)
                .tcp_nodelay(true)
        };
        let data = base(tls::Offer::Http2).pool_idle_timeout(IDLE).build().map_err(BuildError::Http)?;
        let tokens = base(tls::Offer::Http1)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .build()
            .map_err(BuildError::Http)?;
        Ok(Self { endpoints: Arc::new(endpoints), data, tokens, requests: Arc::default() })
    }

    /// The endpoints that this client uses.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Whether grants of this installation may come from this token endpoint: the configured one, or one of the two
    /// that Oura publishes.
    #[must_use]
    pub fn is_known_token_endpoint(&self, url: &Url) -> bool {
        *url == self.endpoints.token || [NEWER_TOKEN_ENDPOINT, OLDER_TOKEN_ENDPOINT].contains(&url.as_str())
    }

    /// How many data requests this client and its clones have sent. Oura's rate limit counts these.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Opens a connection to the API in advance. The function ignores the response and any error.
    pub async fn warm(&self, deadline: Instant) {
        let request = self.data.head(self.endpoints.api.clone());
        let _ = answer::receive(request, deadline, 0).await;
    }

    /// GETs a resource of version 2 of the API, e.g. `usercollection/sleep`.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        access_token: &SecretString,
        deadline: Instant,
    ) -> Result<Answer, ApiError> {
        let mut url = self.endpoints.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v2").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        // A token with characters that no header allows can't be a token that Oura issued.
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose_secret()))
            .map_err(|_| ApiError::TokenRefused)?;
        bearer.set_sensitive(true);
        let request = self.data.get(url).header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = answer::receive(request, deadline, answer::DATA_LIMIT).await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            // Oura documents no other success status for data. Another one, such as 206, may carry an incomplete
            // response.
            status if status.is_success() => {
                Err(ApiError::Unreadable { what: "a success with a status other than 200" })
            }
            _ => Err(answer.refusal()),
        }
    }
}

/// Whether only the server at this address can read what is sent to it: https, or http that does not leave this
/// machine.
pub(crate) fn is_confidential(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}
