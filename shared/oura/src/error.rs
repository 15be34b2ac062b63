//! Errors, grouped by what the caller should do.

use std::time::Duration;

/// The client could not be built. Nothing was sent; the configuration or the machine is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An endpoint that is not an `https` address, nor an `http` address on this machine.
    #[error("the {which} endpoint is not an https address (http is for this machine only)")]
    Endpoint {
        /// `"authorize"`, `"token"`, `"revoke"` or `"api"`.
        which: &'static str,
    },
    /// The HTTP client could not be set up. Most likely this machine has no root certificates.
    #[error("the HTTP client could not be set up")]
    Http(#[source] reqwest::Error),
}

/// Why a code exchange or a refresh returned no grant.
///
/// A code or refresh token works once, so the variants say whether it may have been spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `invalid_grant`: the code or refresh token is expired, revoked or already used. Unless another process has just
    /// refreshed this grant, its owner must consent again.
    #[error("Oura says the code or refresh token is expired, revoked or already used")]
    InvalidGrant,
    /// `invalid_client`, or a 401 without a code: the client id or secret is wrong, or the application is registered at
    /// another token server. The operator must fix it; the grants are not affected.
    #[error("Oura does not accept the client id and secret")]
    InvalidClient,
    /// Any other refusal. Repeating the same request cannot help.
    #[error("Oura refused the token request: {code}")]
    Refused {
        /// The RFC 6749 error code, or `http_404` and the like. A wrong token endpoint may also answer
        /// `invalid_request`. Only `a-z`, `0-9` and `_`, at most 40 of them.
        code: String,
    },
    /// 429. The request was not processed.
    #[error("Oura throttles token requests")]
    Throttled(Throttle),
    /// The request was certainly not processed: no connection was made, the deadline had passed, or a server in front
    /// of the token server refused it.
    #[error("the token server could not be reached: {why}")]
    Unwell {
        /// The cause, in words.
        why: &'static str,
    },
    /// The request may have been processed and its code or refresh token spent, but no complete response came: a
    /// time-out, a lost connection, a 5xx, or a success that is cut short or is not JSON.
    #[error("the token request may or may not have been processed: {why}")]
    Uncertain {
        /// The cause, in words.
        why: &'static str,
    },
    /// Oura reported success, but the complete response has no usable pair. Keep the stored grant unchanged.
    #[error("the token answer is unusable: {why}")]
    Unusable {
        /// What is missing, in words.
        why: &'static str,
    },
}

/// Why an API call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401: the access token is expired or revoked. Refresh once and try once more. A 401 that persists on a single
    /// endpoint means that its scope was not granted.
    #[error("Oura refused the access token")]
    TokenRefused,
    /// 402, 403 or 426 from Oura itself. Only the owner of the ring can resolve it.
    #[error("Oura forbids access: {detail}")]
    Forbidden {
        /// The reason, as far as the response gives it.
        detail: Forbidden,
    },
    /// A refusal that Oura did not write: it comes from a CDN, a firewall or a proxy. It says nothing about the person,
    /// the token or the request. Try again later.
    #[error("something between us and Oura refused the request (status {status}, in words that are not Oura's)")]
    Foreign {
        /// The HTTP status.
        status: u16,
    },
    /// 429: the callers that the tier names must wait.
    #[error("Oura throttles requests")]
    Throttled(Throttle),
    /// Any other refusal from Oura: the request is wrong. Do not repeat it.
    #[error("Oura rejected the request with status {status}")]
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// 5xx, no connection, or a lost connection. Try again later.
    #[error("Oura is unwell ({})", status.map_or_else(|| "connection failed".to_owned(), |status| format!("status {status}")))]
    Unwell {
        /// The HTTP status, if there was a response.
        status: Option<u16>,
    },
    /// The deadline passed.
    #[error("Oura did not answer in time")]
    TimedOut,
    /// A success that does not match Oura's documentation.
    #[error("Oura's answer is unreadable: {what}")]
    Unreadable {
        /// What is wrong with the response, in words; never a part of it.
        what: &'static str,
    },
}

/// Why Oura forbids access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A 402 with Oura's explanation, or a 403 that names the membership: the membership has lapsed.
    Membership,
    /// A 403 that names the scope: the person did not grant the scope that this data needs.
    Scope,
    /// A 426 with Oura's explanation: the person's Oura app is too old.
    OutdatedApp,
    /// A 403 without a reason, or a 402 or 426 without an explanation. Oura documents a lapsed membership and a missing
    /// scope as reasons. But a proxy may also send a response without an explanation.
    Unknown,
}

impl std::fmt::Display for Forbidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Membership => "the membership has lapsed",
            Self::Scope => "the scope was not granted",
            Self::OutdatedApp => "the Oura app is too old",
            Self::Unknown => "it does not say why",
        })
    }
}

/// The wait that a 429 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// How long to wait, at most a day; `None` if the response does not say.
    pub after: Option<Duration>,
    /// Which calls have to wait.
    pub tier: Tier,
}

/// Which of Oura's two rate limits was hit (`X-RateLimit-Tier`). Oura does not publish the header's values, so they are
/// recognised by a word in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The limit of one access token: the calls of one person wait.
    Token,
    /// The limit of the application: all calls wait.
    Application,
    /// The response does not say.
    Unknown,
}
