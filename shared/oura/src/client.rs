//! The client and what it is built from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::redirect;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;
use url::Url;

use crate::answer::{self, Answer};
use crate::{ApiError, BuildError};

/// Oura closes idle connections when it likes; one unused for this long is not trusted with another request.
const IDLE: Duration = Duration::from_secs(30);
/// Longest wait for a connection. A token request that gets none is certainly not processed, which a deadline alone
/// could not tell from one that was sent and never answered.
const CONNECT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "-client/", env!("CARGO_PKG_VERSION"));

/// Oura's own domain, under which both of its token servers are.
pub const DOMAIN: &str = "ouraring.com";

/// The origin of the issuer that the newer token server's callbacks name (`iss`, RFC 9207; seen live in August 2026).
pub const ISSUER: &str = "https://moi.ouraring.com";

/// Where Oura is.
///
/// The default is the identity provider of 2026: consent still begins at the `cloud` address, which forwards there and
/// translates scope names on the way, while tokens come from `moi`. An application registered before that may still
/// live on the older token server, so all four are configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The consent page.
    pub authorize: Url,
    /// Where a code is exchanged. A grant is refreshed where it was issued, so store this address with it.
    pub token: Url,
    /// Where a token is revoked.
    pub revoke: Url,
    /// The address that `/v2/usercollection/...` is under.
    pub api: Url,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            authorize: fixed("https://cloud.ouraring.com/oauth/authorize"),
            token: fixed("https://moi.ouraring.com/oauth/v2/ext/oauth-token"),
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

/// A client of Oura. Build it once; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Arc<Endpoints>,
    /// For data: many small compressed answers, over connections that are kept. A request is repeated only when a kept
    /// connection turns out to be closed before it was sent.
    data: reqwest::Client,
    /// For tokens: each request gets a connection of its own and goes out exactly once, to the address it was given. A
    /// kept connection can die between two requests, and whether the second was processed is then anyone's guess.
    pub(crate) tokens: reqwest::Client,
    requests: Arc<AtomicU64>,
}

impl Client {
    /// A client for the Oura at these endpoints. Opens no connection.
    pub fn new(endpoints: Endpoints) -> Result<Self, BuildError> {
        let Endpoints { authorize, token, revoke, api } = &endpoints;
        for (which, url) in [("authorize", authorize), ("token", token), ("revoke", revoke), ("api", api)] {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(BuildError::Endpoint { which });
            }
        }
        // No redirect is followed for data either: a bearer token goes to the configured address only.
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

    /// Where this client looks for Oura.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// How many requests for data this client and its clones have made: what Oura's allowance counts.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Opens a connection to the API, so that the first call need not. Any answer will do, and none is no harm.
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
        // A token that can't stand in a header was never issued by anyone.
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose_secret()))
            .map_err(|_| ApiError::TokenRefused)?;
        bearer.set_sensitive(true);
        let request = self.data.get(url).header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = answer::receive(request, deadline, answer::DATA_LIMIT).await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            // Oura documents no other success for data, and this one may be a part of an answer.
            status if status.is_success() => {
                Err(ApiError::Unreadable { what: "a success with a status other than 200" })
            }
            _ => Err(answer.refusal()),
        }
    }
}
