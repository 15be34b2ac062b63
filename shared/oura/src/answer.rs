//! Receiving an answer: bounded in time and size, and what a refusal means.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{ApiError, Forbidden, Throttle, Tier};

/// Largest body of data that is read, after decompression. A page of a collection is a small part of this.
pub(crate) const DATA_LIMIT: usize = 8 << 20;
/// Largest token answer, or explanation of a refusal, that is read.
pub(crate) const SMALL_LIMIT: usize = 64 << 10;
/// Longest wait that a 429 can impose. Oura's windows are minutes; a mistaken header must not stop a person for years.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A complete answer of any status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Of a refusal, as much as could be read; it only explains.
    pub(crate) body: Vec<u8>,
}

/// Why there is no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request was not sent.
    NotSent(&'static str),
    /// The deadline had passed before the request could be sent.
    TooLate,
    /// The deadline passed afterwards.
    TimedOut,
    /// The connection broke before the answer was complete.
    Broken,
    /// A success whose body does not decompress.
    Garbled,
    /// A success whose body is over the limit.
    TooLarge,
}

/// Sends a request and receives its answer, or gives up at the deadline.
pub(crate) async fn receive(request: reqwest::RequestBuilder, deadline: Instant, limit: usize) -> Result<Answer, Lost> {
    // A time-out polls what it bounds before it looks at the clock, so this keeps a late request from going out.
    if Instant::now() >= deadline {
        return Err(Lost::TooLate);
    }
    let complete = async {
        let response = request.send().await.map_err(|error| sending(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            body(response, limit).await?
        } else {
            body(response, SMALL_LIMIT).await.unwrap_or_default()
        };
        Ok(Answer { status, headers, body })
    };
    timeout_at(deadline, complete).await.unwrap_or(Err(Lost::TimedOut))
}

fn sending(error: &reqwest::Error) -> Lost {
    if error.is_builder() {
        Lost::NotSent("the request could not be built")
    } else if error.is_connect() {
        Lost::NotSent("no connection")
    } else {
        Lost::Broken
    }
}

async fn body(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reading(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(Lost::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Tells a body that is not what its `Content-Encoding` says from one that was cut short.
fn reading(error: &reqwest::Error) -> Lost {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput)
        {
            return Lost::Garbled;
        }
        source = error.source();
    }
    Lost::Broken
}

impl From<Lost> for ApiError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NotSent(_) | Lost::Broken => Self::Unwell { status: None },
            Lost::TooLate | Lost::TimedOut => Self::TimedOut,
            Lost::Garbled => Self::Unreadable { what: "a body that does not decompress" },
            Lost::TooLarge => Self::Unreadable { what: "a body too large to be genuine" },
        }
    }
}

impl Answer {
    /// What an answer that is no success means.
    pub(crate) fn refusal(&self) -> ApiError {
        match self.status {
            StatusCode::UNAUTHORIZED => ApiError::TokenRefused,
            StatusCode::FORBIDDEN => ApiError::Forbidden { detail: forbidden(&self.body) },
            StatusCode::TOO_MANY_REQUESTS => ApiError::Throttled(self.throttle()),
            // The request did not arrive whole, which is nobody's mistake.
            StatusCode::REQUEST_TIMEOUT => ApiError::Unwell { status: Some(408) },
            status if status.is_server_error() => ApiError::Unwell { status: Some(status.as_u16()) },
            status => ApiError::Rejected { status: status.as_u16() },
        }
    }

    pub(crate) fn throttle(&self) -> Throttle {
        throttle(&self.headers, Timestamp::now())
    }
}

/// Reads the reason of a 403. Oura documents `{"title", "detail"}`, answers `{"detail"}` or OAuth's `{"error",
/// "error_description"}` in practice, and at times nothing at all.
fn forbidden(body: &[u8]) -> Forbidden {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Forbidden::Unknown };
    let said = ["title", "detail", "error", "error_description", "message"]
        .iter()
        .filter_map(|name| body.get(*name)?.as_str())
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .join(" ");
    match (said.contains("scope"), said.contains("membership") || said.contains("subscription")) {
        (true, false) => Forbidden::Scope,
        (false, true) => Forbidden::Membership,
        _ => Forbidden::Unknown,
    }
}

/// Reads the headers of a 429: `Retry-After` as seconds or as an HTTP date, else `X-RateLimit-Reset` as Unix seconds.
fn throttle(headers: &HeaderMap, now: Timestamp) -> Throttle {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
    let retry_after = text(RETRY_AFTER.as_str()).and_then(|text| {
        let seconds = text.parse().map(Duration::from_secs);
        seconds.ok().or_else(|| http_date(text).map(until))
    });
    let reset = || Timestamp::from_second(text("x-ratelimit-reset")?.parse().ok()?).ok().map(until);
    Throttle {
        after: retry_after.or_else(reset).map(|after| after.min(LONGEST_WAIT)),
        tier: text("x-ratelimit-tier").map_or(Tier::Unknown, tier),
    }
}

/// The preferred form of an HTTP date is also one of RFC 2822.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

fn tier(text: &str) -> Tier {
    let text = text.to_lowercase();
    if text.contains("app") || text.contains("client") {
        Tier::Application
    } else if text.contains("token") || text.contains("user") {
        Tier::Token
    } else {
        Tier::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_403_tells_what_it_is_about_if_it_says() {
        for (body, expected) in [
            (&br#"{"detail": "Missing scope: daily"}"#[..], Forbidden::Scope),
            (br#"{"status": 403, "title": "Forbidden", "detail": "Needs SCOPES daily"}"#, Forbidden::Scope),
            (br#"{"error": "insufficient_scope"}"#, Forbidden::Scope),
            (br#"{"detail": "The user's subscription to Oura has expired"}"#, Forbidden::Membership),
            (br#"{"title": "Membership required"}"#, Forbidden::Membership),
            (br#"{"detail": "Scope missing or subscription expired"}"#, Forbidden::Unknown),
            (br#"{"detail": [{"loc": ["scope"], "msg": "scope"}]}"#, Forbidden::Unknown),
            (br#"{"detail": null}"#, Forbidden::Unknown),
            (b"<html>membership</html>", Forbidden::Unknown),
            (b"\xff\xfe", Forbidden::Unknown),
            (b"[]", Forbidden::Unknown),
            (b"", Forbidden::Unknown),
        ] {
            assert_eq!(forbidden(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    fn throttle_of(headers: &[(&'static str, &'static str)]) -> Throttle {
        let now = "2026-03-02T08:00:00Z".parse().unwrap();
        throttle(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(), now)
    }

    #[test]
    fn a_429_tells_how_long_to_wait() {
        let seconds = |headers| throttle_of(headers).after.map(|after| after.as_secs());
        assert_eq!(seconds(&[("retry-after", "17")]), Some(17));
        assert_eq!(seconds(&[("retry-after", " 17 ")]), Some(17));
        assert_eq!(seconds(&[("retry-after", "0")]), Some(0));
        assert_eq!(seconds(&[("retry-after", "Mon, 02 Mar 2026 08:01:30 GMT")]), Some(90));
        assert_eq!(seconds(&[("retry-after", "Mon, 02 Mar 2026 07:00:00 GMT")]), Some(0), "a past date");
        assert_eq!(seconds(&[("x-ratelimit-reset", "1772438460")]), Some(60));
        assert_eq!(seconds(&[("retry-after", "5"), ("x-ratelimit-reset", "1772438460")]), Some(5));
        assert_eq!(seconds(&[("retry-after", "soon"), ("x-ratelimit-reset", "1772438460")]), Some(60));
        assert_eq!(seconds(&[("retry-after", "18446744073709551615")]), Some(86_400), "no wait for ages");
        assert_eq!(seconds(&[("x-ratelimit-reset", "9223372036854775807")]), None);
        assert_eq!(seconds(&[("retry-after", "-3")]), None);
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn a_429_tells_who_has_to_wait() {
        for (value, expected) in [
            ("token", Tier::Token),
            ("per-access-token", Tier::Token),
            ("Application", Tier::Application),
            ("app", Tier::Application),
            ("gold", Tier::Unknown),
        ] {
            assert_eq!(throttle_of(&[("x-ratelimit-tier", value)]).tier, expected, "{value}");
        }
        assert_eq!(throttle_of(&[]).tier, Tier::Unknown);
    }
}
