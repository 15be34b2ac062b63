//! What can go wrong, told by what the caller should do about it.

use std::time::Duration;

/// The client could not be built. Nothing was sent; the configuration or the machine is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An endpoint that is not an `https` address, nor an `http` address on this machine.
    #[error("the {which} endpoint is not an https address (http is for this machine only)")]
    Endpoint {
        /// `"authorize"`, `"token"`, `"revoke"` or `"api"`.
        which: &'static str,
    },
    /// The HTTP client could not be set up; most likely there are no root certificates on this machine.
    #[error("the HTTP client could not be set up")]
    Http(#[source] reqwest::Error),
}

/// Why a code exchange or a refresh brought no grant.
///
/// A code and a refresh token work once, so the variants say above all whether it may have been spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `invalid_grant`: the code or refresh token is expired, revoked or already used. If nobody else has just refreshed
    /// this grant, its owner must consent again.
    #[error("Oura says the code or refresh token is expired, revoked or already used")]
    InvalidGrant,
    /// `invalid_client`, or a bare 401: the client id or secret is wrong, or the application lives on another token
    /// server. Our own fault; no grant is to blame.
    #[error("Oura does not accept the client id and secret")]
    InvalidClient,
    /// Any other refusal. Repeating the same request cannot help.
    #[error("Oura refused the token request: {code}")]
    Refused {
        /// The RFC 6749 error code (`invalid_request` is also what a wrong token endpoint answers), or `http_404` and
        /// the like. Only `a-z`, `0-9` and `_`, at most 40 of them.
        code: String,
    },
    /// 429. The request was not processed.
    #[error("Oura throttles token requests")]
    Throttled(Throttle),
    /// The request was certainly not processed: no connection came about, it was too late to try, or something in front of
    /// the token server refused it.
    #[error("the token server could not be reached: {why}")]
    Unwell {
        /// What happened, in words.
        why: &'static str,
    },
    /// The request may have been processed, and its code or refresh token spent, but no complete answer came: a
    /// time-out, a lost connection, a 5xx, or a success that is cut short or is not JSON.
    #[error("the token request may or may not have been processed: {why}")]
    Uncertain {
        /// What happened, in words.
        why: &'static str,
    },
    /// Oura reported success with an answer that is complete but not a usable pair. Whatever is stored stays as it is.
    #[error("the token answer is unusable: {why}")]
    Unusable {
        /// What is missing, in words.
        why: &'static str,
    },
}

/// Why an API call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401: the access token is expired or revoked. Refresh once and try once more; a 401 that stays on one endpoint
    /// alone means a scope that was not granted.
    #[error("Oura refused the access token")]
    TokenRefused,
    /// 402, 403 or 426 of Oura's own. Only the ring's owner can change that.
    #[error("Oura forbids access: {detail}")]
    Forbidden {
        /// Why, as far as the answer tells.
        detail: Forbidden,
    },
    /// A refusal that Oura did not write: that of a CDN, a firewall or a proxy in between. It says nothing about the
    /// person, the token or the request. Try again later.
    #[error("something between us and Oura refused the request (status {status}, in words that are not Oura's)")]
    Foreign {
        /// The HTTP status.
        status: u16,
    },
    /// 429: wait, whoever its tier concerns.
    #[error("Oura throttles requests")]
    Throttled(Throttle),
    /// Any other status that is neither a success nor Oura's own fault: the request is wrong. Do not repeat it.
    #[error("Oura rejected the request with status {status}")]
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// 5xx, or no connection, or one that was lost. Try again later.
    #[error("Oura is unwell ({})", status.map_or_else(|| "connection failed".to_owned(), |status| format!("status {status}")))]
    Unwell {
        /// The HTTP status, if one came.
        status: Option<u16>,
    },
    /// The deadline passed.
    #[error("Oura did not answer in time")]
    TimedOut,
    /// A success that is not what Oura documents.
    #[error("Oura's answer is unreadable: {what}")]
    Unreadable {
        /// What is wrong with it, in words; never a part of it.
        what: &'static str,
    },
}

/// Why Oura forbids access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A 402 with Oura's explanation, or a 403 that says so: the membership has lapsed.
    Membership,
    /// A 403 that says so: the person did not grant the scope this data needs.
    Scope,
    /// A 426 with Oura's explanation: the person's Oura app is too old.
    OutdatedApp,
    /// A 403 that does not say, or a 402 or 426 without an explanation. Oura documents a lapsed membership and a missing
    /// scope as reasons, but an answer without words may also come from something in between.
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

/// What a 429 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// How long to wait, at most a day; `None` when the answer does not say.
    pub after: Option<Duration>,
    /// Who has to wait.
    pub tier: Tier,
}

/// Which of Oura's two rate limits was hit (`X-RateLimit-Tier`). Oura does not publish the header's values, so they
/// are recognised by a word within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// That of one access token: one person's calls wait.
    Token,
    /// That of the application: everyone's calls wait.
    Application,
    /// The answer does not say.
    Unknown,
}
