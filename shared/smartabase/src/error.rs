//! Errors, grouped by what the caller can do.

use std::time::Duration;

/// A failed call. Each variant says what the caller can do.
///
/// No error text holds anything that was sent. From the site's response it holds only the shortened message of a
/// refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401, unless it has a page that names a proxy or firewall. Do not try these credentials again: it is unknown
    /// after how many attempts the site locks an account.
    #[error("the site refuses the username or the password")]
    WrongCredentials,
    /// 403 in one of the site's own forms: an empty body, "access denied", or an RPC exception. The account may not use
    /// this form or group, or the API at all. An administrator of the site must grant the permission.
    #[error("the account has no permission for this form or group")]
    Forbidden,
    /// 404 with an empty body, a web page or an RPC exception, or a refusal saying that there is no such application:
    /// the site's address is wrong.
    #[error("there is no such site or endpoint at this address")]
    NotFound,
    /// 429, or a 503 with `Retry-After` in response to a read. Wait, then try again.
    #[error("the site asks for fewer requests")]
    Throttled {
        /// How long to wait, if the site says so; five minutes if its value is unreadable.
        after: Option<Duration>,
    },
    /// Any other 3xx or 4xx: the request is wrong, or a server in front of the site refuses it.
    #[error("the site rejects the request with status {status}")]
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// Without a status the request certainly did not reach the site: no connection (refused, DNS, TLS), or no time
    /// left to connect. With a status (5xx) the site failed, and an import may or may not have been carried out.
    #[error("the site is unwell ({})", status.map_or("no connection".to_owned(), |status| format!("status {status}")))]
    Unwell {
        /// The HTTP status, if there was a response.
        status: Option<u16>,
    },
    /// The request may have been carried out, but no complete response came. Look the records up before importing
    /// again.
    #[error("no complete answer came: {why}")]
    Uncertain {
        /// The cause, in words.
        why: &'static str,
    },
    /// A response that is not JSON, such as a web page, or a 401, 403 or 404 that is not in the site's own form.
    /// Another server may have sent it, so it says nothing about the account or any user. With a 2xx status an import
    /// may have been carried out.
    #[error("the site answered with status {status} and {starts} instead of JSON")]
    NotJson {
        /// The HTTP status.
        status: u16,
        /// The kind of body: `html`, `text` or `empty`.
        starts: &'static str,
    },
    /// The site's own refusal of a read, with HTTP 200.
    #[error("the site says: {says}")]
    Refused {
        /// The site's message, shortened and on one line, or the kind of refusal if there is no message.
        says: String,
    },
    /// JSON of an unknown shape, or JSON that may be incomplete. It proves nothing about any user.
    #[error("unexpected answer: {what}")]
    Unexpected {
        /// What could not be read, and its position in the response.
        what: String,
    },
    /// A page of the roster refers to an earlier page, so the list can't be complete. In a look-up of events the same
    /// problem is [`Unexpected`](Error::Unexpected).
    #[error("a page refers to one that was read before")]
    CursorRepeats,
    /// The response is larger than any valid one, and was not read to its end.
    #[error("the answer is too large")]
    TooLarge,
    /// An import without events or with more than [`MAX_EVENTS`](crate::MAX_EVENTS). Nothing was sent; the caller is
    /// wrong.
    #[error("{events} events can't go in one import")]
    BatchSize {
        /// The number of events.
        events: usize,
    },
}

impl Error {
    /// Whether an import with this error may still have been carried out. If so, sending it again without a look-up
    /// could store the records twice.
    #[must_use]
    pub fn leaves_import_in_doubt(&self) -> bool {
        match self {
            Error::Unwell { status } => status.is_some(),
            Error::NotJson { status, .. } => (200..300).contains(status),
            Error::Uncertain { .. }
            | Error::Refused { .. }
            | Error::Unexpected { .. }
            | Error::TooLarge
            | Error::CursorRepeats => true,
            Error::WrongCredentials
            | Error::Forbidden
            | Error::NotFound
            | Error::Throttled { .. }
            | Error::Rejected { .. }
            | Error::BatchSize { .. } => false,
        }
    }

    pub(crate) fn unexpected(what: impl Into<String>) -> Error {
        Error::Unexpected { what: what.into() }
    }
}

/// The HTTP client could not be set up: this machine has no usable TLS root certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Smartabase can't be set up")]
pub struct BuildError(#[from] reqwest::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_is_in_doubt_once_it_may_have_arrived() {
        for error in [
            Error::Unwell { status: Some(500) },
            Error::Uncertain { why: "the connection was lost" },
            Error::NotJson { status: 200, starts: "empty" },
            Error::unexpected("shape"),
            Error::TooLarge,
        ] {
            assert!(error.leaves_import_in_doubt(), "{error}");
        }
        for error in [
            Error::Unwell { status: None },
            Error::NotJson { status: 422, starts: "html" },
            Error::WrongCredentials,
            Error::Forbidden,
            Error::NotFound,
            Error::Throttled { after: None },
            Error::Rejected { status: 400 },
            Error::BatchSize { events: 26 },
        ] {
            assert!(!error.leaves_import_in_doubt(), "{error}");
        }
    }
}
