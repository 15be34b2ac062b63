//! Why there is no answer about what was asked.

use std::time::Duration;

/// A call that came to nothing. Each variant says what the caller can do.
///
/// No text here holds anything that was sent, nor anything the site said except the message of a refusal, shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401, unless a proxy or firewall sends it with a page that names it. Do not try again with these credentials: when the site locks an account is unknown.
    #[error("the site refuses the username or the password")]
    WrongCredentials,
    /// 403 in the site's own words: without a body, with "access denied", or with an RPC exception. The account may not use this form or group, or the API at all; an administrator of the
    /// site must mend it.
    #[error("the account has no permission for this form or group")]
    Forbidden,
    /// 404 without a body, with a web page or with an RPC exception, or a refusal saying that there is no such application: the address of the site is wrong.
    #[error("there is no such site or endpoint at this address")]
    NotFound,
    /// 429 (and a 503 with `Retry-After`, when reading). Wait, then try again.
    #[error("the site asks for fewer requests")]
    Throttled {
        /// How long to wait, if the site said so. Where it said so in a way that can't be read, five minutes.
        after: Option<Duration>,
    },
    /// Any other 3xx or 4xx: the request itself is wrong, or something in front of the site refuses it.
    #[error("the site rejects the request with status {status}")]
    Rejected {
        /// The HTTP status.
        status: u16,
    },
    /// Without a status the request certainly did not reach the site: no connection (refused, DNS, TLS), or no time left to
    /// make one. With a status (5xx) the site failed, and an import may or may not have been carried out.
    #[error("the site is unwell ({})", status.map_or("no connection".to_owned(), |status| format!("status {status}")))]
    Unwell {
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
    },
    /// The request may have been carried out, but no complete answer came. Look up before importing again.
    #[error("no complete answer came: {why}")]
    Uncertain {
        /// What happened instead.
        why: &'static str,
    },
    /// An answer in something other than JSON, such as a web page, or a 401, 403 or 404 in another form than the site's: it
    /// may not be the site's own, and says nothing about the account or any user. With a 2xx status an import may have been carried out.
    #[error("the site answered with status {status} and {starts} instead of JSON")]
    NotJson {
        /// The HTTP status.
        status: u16,
        /// What came: `html`, `text` or `empty`.
        starts: &'static str,
    },
    /// The site's own refusal, with HTTP 200, of something that was to be read.
    #[error("the site says: {says}")]
    Refused {
        /// The site's message, on one line and cut, or the kind of refusal where it gives no message.
        says: String,
    },
    /// JSON of an unknown shape, or JSON that may be incomplete. Nothing may be concluded from it about any user.
    #[error("unexpected answer: {what}")]
    Unexpected {
        /// What could not be read, and where in the answer it is.
        what: String,
    },
    /// The pages of the roster went in a circle, so what was read can't be complete. A look-up of events that does so is
    /// [`Unexpected`](Error::Unexpected).
    #[error("a page refers to one that was read before")]
    CursorRepeats,
    /// The answer is larger than any that makes sense, and was not read to its end.
    #[error("the answer is too large")]
    TooLarge,
    /// An import of no event at all or of more than [`MAX_EVENTS`](crate::MAX_EVENTS); nothing was sent. A caller's mistake.
    #[error("{events} events can't go in one import")]
    BatchSize {
        /// How many were given.
        events: usize,
    },
}

impl Error {
    /// Whether an import that ended like this may have been carried out all the same, so that sending it again without
    /// looking the records up first could store them twice.
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

/// The HTTP client could not be set up: no usable TLS roots on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Smartabase can't be set up")]
pub struct BuildError(#[from] reqwest::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_in_doubt_once_it_may_have_arrived() {
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
