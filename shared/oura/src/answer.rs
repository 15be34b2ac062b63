//! Receives a response, with a limit on time and size, and classifies refusals.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use reqwest::header::RETRY_AFTER;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::oauth::code_in;
use crate::{ApiError, Forbidden, Throttle, Tier};

/// Largest data body that is read, in bytes after decompression. A page of a collection is much smaller.
pub(crate) const DATA_LIMIT: usize = 8 << 20;
/// Largest token response or refusal body that is read, in bytes.
pub(crate) const SMALL_LIMIT: usize = 64 << 10;
/// Longest wait that a 429 can impose. Oura's rate-limit windows last minutes; a wrong header must not stop a sync for
/// years.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// September 2001 in Unix seconds. A smaller number can't be the time at which a rate limit ends.
const EARLIEST_RESET: Duration = Duration::from_secs(1_000_000_000);

/// The OAuth error codes (RFC 6749, 6750 and 7009).
const OAUTH_CODES: [&str; 13] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "invalid_token",
    "insufficient_scope",
    "access_denied",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "server_error",
    "temporarily_unavailable",
];

/// A response of any status. The body of a success is complete.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body of a refusal is empty if it could not be read in full.
    pub(crate) body: Vec<u8>,
    /// Whether the body was read in full.
    pub(crate) whole: bool,
}

/// Who wrote a refusal. See [`Answer::author`].
enum Author {
    /// Oura; this is the body.
    Oura(Map<String, Value>),
    /// Oura or an intermediary: the body is empty, so the author is unknown.
    Unknown,
    /// Another server: a CDN, a firewall or a proxy.
    Foreign,
}

/// Why there is no complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request was not sent.
    NotSent(&'static str),
    /// The deadline had passed before the request could be sent.
    TooLate,
    /// The deadline passed after the request was sent.
    TimedOut,
    /// The connection broke before the response was complete.
    Broken,
    /// A success whose body does not decompress.
    Garbled,
    /// A success whose body is over the limit.
    TooLarge,
}

/// Sends a request and receives the response, or gives up at the deadline.
pub(crate) async fn receive(request: reqwest::RequestBuilder, deadline: Instant, limit: usize) -> Result<Answer, Lost> {
    // `timeout_at` polls the request before it checks the clock. This check prevents sending after the deadline.
    if Instant::now() >= deadline {
        return Err(Lost::TooLate);
    }
    let complete = async {
        let response = request.send().await.map_err(|error| sending(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let (body, whole) = if status.is_success() {
            (body(response, limit).await?, true)
        } else {
            body(response, SMALL_LIMIT).await.map_or_else(|_| (Vec::new(), false), |body| (body, true))
        };
        Ok(Answer { status, headers, body, whole })
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

/// Distinguishes a body that does not match its `Content-Encoding` from one that was cut short.
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
    /// Decides who wrote a refusal. No other function decides what counts as Oura's own response, and only Oura's own
    /// response proves anything about a person.
    ///
    /// A refusal is Oura's own if its body is a JSON object with one of the members that Oura documents for its errors:
    /// - `title` or `detail` (RFC 7807), as text; `detail` may also be the list of a validation error;
    /// - `error`, with a code of OAuth. Other servers write the status in words here: `"error": "Payment Required"`.
    ///
    /// An empty body has an unknown author: Oura was seen to send 400, 401, 403, 404 and 429 without a body. Such a
    /// response proves nothing about a person's membership, app or consent.
    ///
    /// Everything else is foreign: HTML, plain text, a list, JSON with other members (an API gateway writes
    /// `{"message": "Forbidden"}`), a body that is cut short or larger than [`SMALL_LIMIT`].
    fn author(&self) -> Author {
        if !self.whole {
            return Author::Foreign;
        }
        if self.body.trim_ascii().is_empty() {
            return Author::Unknown;
        }
        let Ok(Value::Object(body)) = serde_json::from_slice(&self.body) else { return Author::Foreign };
        let text = |name: &str| body.get(name).is_some_and(Value::is_string);
        let validation = body.get("detail").is_some_and(Value::is_array);
        let oauth = body.get("error").and_then(code_in).is_some_and(|code| OAUTH_CODES.contains(&&*code));
        let ours = text("title") || text("detail") || oauth || validation;
        if ours { Author::Oura(body) } else { Author::Foreign }
    }

    /// Classifies a response that is not a success.
    pub(crate) fn refusal(&self) -> ApiError {
        let status = self.status.as_u16();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => return ApiError::Throttled(self.throttle()),
            // The request did not arrive completely; neither the request nor the person is at fault.
            StatusCode::REQUEST_TIMEOUT => return ApiError::Unwell { status: Some(status) },
            _ if self.status.is_server_error() => return ApiError::Unwell { status: Some(status) },
            _ => {}
        }
        let said = match self.author() {
            Author::Oura(body) => body,
            Author::Unknown => Map::new(),
            Author::Foreign => return ApiError::Foreign { status },
        };
        // Any proxy may send 402 or 426, for its own billing or the HTTP protocol. So these are about the person only
        // if the body has Oura's explanation, `{"title", "detail"}` or `{"detail"}`.
        let explained = |detail| {
            let has_detail = said.get("detail").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
            ApiError::Forbidden { detail: if has_detail { detail } else { Forbidden::Unknown } }
        };
        match self.status {
            StatusCode::UNAUTHORIZED => ApiError::TokenRefused,
            StatusCode::PAYMENT_REQUIRED => explained(Forbidden::Membership),
            StatusCode::FORBIDDEN => ApiError::Forbidden { detail: forbidden(&said) },
            StatusCode::UPGRADE_REQUIRED => explained(Forbidden::OutdatedApp),
            _ => ApiError::Rejected { status },
        }
    }

    pub(crate) fn throttle(&self) -> Throttle {
        throttle(&self.headers, Timestamp::now())
    }
}

/// Reads the reason of a 403. Oura documents `{"title", "detail"}`. In practice it sends `{"detail"}`, OAuth's
/// `{"error", "error_description"}`, or an empty body.
fn forbidden(said: &Map<String, Value>) -> Forbidden {
    let said = ["title", "detail", "error", "error_description"]
        .iter()
        .filter_map(|name| said.get(*name)?.as_str())
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
    let retry_after = text(RETRY_AFTER.as_str()).and_then(|text| seconds(text).or_else(|| http_date(text).map(until)));
    let reset = || {
        let reset = seconds(text("x-ratelimit-reset")?)?;
        // Other services write the remaining seconds here. Read as a Unix time, such a number would mean no wait.
        if reset < EARLIEST_RESET {
            return Some(reset);
        }
        Timestamp::from_second(i64::try_from(reset.as_secs()).ok()?).ok().map(until)
    };
    Throttle {
        after: retry_after.or_else(reset).map(|after| after.min(LONGEST_WAIT)),
        tier: text("x-ratelimit-tier").map_or(Tier::Unknown, tier),
    }
}

/// Reads seconds: digits, with an optional fraction (`1800.5`) and an optional unit (`60s`). Rounds up.
fn seconds(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim().to_ascii_lowercase();
    if !number.starts_with(|c: char| c.is_ascii_digit()) || !["", "s", "sec", "second", "seconds"].contains(&&*unit) {
        return None;
    }
    let seconds: f64 = number.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX))
}

/// Reads an HTTP date in any of its three forms (RFC 9110, 5.6.7). RFC 2822 also covers the preferred form.
fn http_date(text: &str) -> Option<Timestamp> {
    let preferred = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let obsolete = |format| {
        let time = strtime::parse(format, text).ok()?.to_datetime().ok()?;
        time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
    };
    preferred.or_else(|| obsolete("%A, %d-%b-%y %H:%M:%S GMT")).or_else(|| obsolete("%a %b %e %H:%M:%S %Y"))
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

    fn throttle_of(headers: &[(&'static str, &'static str)]) -> Throttle {
        let now = "2026-03-02T08:00:00Z".parse().unwrap();
        throttle(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(), now)
    }

    /// If neither header is readable, the wait is unknown, as for a 429 without these headers.
    #[test]
    fn reads_the_wait_of_a_429() {
        fn seconds(headers: &[(&'static str, &'static str)]) -> Option<u64> {
            throttle_of(headers).after.map(|after| after.as_secs())
        }
        for (retry_after, expected) in [
            ("17", Some(17)),
            (" 17 ", Some(17)),
            ("0", Some(0)),
            ("1800.5", Some(1801)),
            ("0.2", Some(1)),
            ("1800.", Some(1800)),
            ("60s", Some(60)),
            ("60 S", Some(60)),
            ("1800.5 seconds", Some(1801)),
            ("18446744073709551615", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Mon, 02 Mar 2026 08:01:30 GMT", Some(90)),
            ("Mon, 02 Mar 2026 07:00:00 GMT", Some(0)),
            ("Monday, 02-Mar-26 08:01:30 GMT", Some(90)),
            ("Mon Mar  2 08:01:30 2026", Some(90)),
            ("-3", None),
            ("+3", None),
            (".5", None),
            ("1.2.3", None),
            ("1e3", None),
            ("NaN", None),
            ("infinity", None),
            ("5m", None),
            ("60, 120", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(&[("retry-after", retry_after)]), expected, "Retry-After: {retry_after}");
        }
        for (reset, expected) in [
            ("1772438460", Some(60)),
            ("1772438459.1", Some(60)),
            ("1772438000", Some(0)),
            ("45", Some(45)),
            ("9223372036854775807", None),
            ("tomorrow", None),
        ] {
            assert_eq!(seconds(&[("x-ratelimit-reset", reset)]), expected, "X-RateLimit-Reset: {reset}");
        }
        assert_eq!(seconds(&[("retry-after", "5"), ("x-ratelimit-reset", "1772438460")]), Some(5));
        assert_eq!(seconds(&[("retry-after", "soon"), ("x-ratelimit-reset", "1772438460")]), Some(60));
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn reads_the_tier_of_a_429() {
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
