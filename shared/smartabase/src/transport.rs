//! Sends one request, limits its time and size, and classifies the response by status and form.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING, USER_AGENT,
};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::body::{self, Body};
use crate::error::{BuildError, Error};
use crate::message::is_true;
use crate::refusal::Refusal;
use crate::site::{Credentials, Site};

/// Identifies our traffic for the vendor's support; the format is `<company>.<integration>.v1`.
const APP_ID: &str = "opensource.smartabase-connector.v1";
/// The header in which v2 returns a session. v3 requires it too, beside a cookie with the same value.
const SESSION: &str = "session-header";
const AGENT: &str = concat!("smartabase-connector/", env!("CARGO_PKG_VERSION"));
/// The site closes connections after five idle seconds, so the pool drops them earlier.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// Longest wait for a connection: enough for any working network. A time-out while connecting proves that nothing was
/// imported; a time-out of a slow site does not.
const CONNECT: Duration = Duration::from_secs(5);
/// Largest response body, in bytes. A page of a hundred events with a hundred fields each is well under one MiB.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// The wait if the site asks for fewer requests with an unreadable `Retry-After`.
const UNREADABLE_WAIT: Duration = Duration::from_mins(5);
/// The longest wait; a longer `Retry-After` is reduced to it.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The start of a body in which the site refuses access to an account.
const DENIED: &[u8] = b"access denied";
/// The names that proxies, firewalls and CDNs put on their refusal pages.
const INTERMEDIARIES: [&str; 12] = [
    "cloudflare",
    "cloudfront",
    "akamai",
    "incapsula",
    "imperva",
    "fastly",
    "sucuri",
    "zscaler",
    "fortinet",
    "fortiguard",
    "squid",
    "awselb",
];

/// Sends requests to one site.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    site: Site,
    http: reqwest::Client,
}

/// The effect of sending the same request twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// None, so the request may be sent again if the connection breaks.
    Read,
    /// The site may store everything twice.
    Import,
}

impl Transport {
    pub(crate) fn new(site: Site) -> Result<Transport, BuildError> {
        let mut builder = tls::client(tls::Offer::Http2)
            // The HTTP library does not know which requests are imports, so it must never repeat a request.
            .retry(reqwest::retry::never())
            // A redirect would send the password to another address, and turn a POST into a GET.
            .redirect(Policy::none())
            .pool_idle_timeout(POOL_IDLE)
            .connect_timeout(CONNECT);
        if site.is_loopback() {
            builder = builder.no_proxy();
        }
        Ok(Transport { site, http: builder.build()? })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Opens a connection with a HEAD request for the site's page, without credentials, and ignores the result.
    pub(crate) async fn warm(&self, deadline: Instant) {
        let request = self.http.head(self.site.url().clone()).header(USER_AGENT, AGENT).send();
        let _ = timeout_at(deadline, request).await;
    }

    /// Posts `body` to a v1 endpoint. `None` is a response without a body, which means "nothing" for some endpoints.
    pub(crate) async fn post<B: Serialize>(
        &self,
        endpoint: &str,
        credentials: &Credentials,
        body: &B,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Option<Body>, Error> {
        let body = written(body)?;
        let request = || self.with_password(self.site.endpoint(endpoint), credentials).body(body.clone());
        let answer = match purpose {
            Purpose::Read => read(request, deadline).await?,
            Purpose::Import => attempt(request(), deadline).await?,
        };
        answer.judge(purpose)
    }

    /// Posts `body` to the v2 login, once, and returns the session id. The site returns a session in a header. Without
    /// that header the login failed, whatever the status is.
    pub(crate) async fn log_in<B: Serialize>(
        &self,
        credentials: &Credentials,
        body: &B,
        deadline: Instant,
    ) -> Result<SecretString, Error> {
        let request = self.with_password(self.site.under("api/v2/user/loginUser"), credentials).body(written(body)?);
        let answer = attempt(request, deadline).await?;
        let session = answer.headers.get(SESSION).and_then(|id| id.to_str().ok()).map(SecretString::from);
        answer.judge(Purpose::Read)?;
        session.ok_or_else(|| Error::unexpected("the site opened no session"))
    }

    /// Calls a v3 endpoint in a session.
    pub(crate) async fn get(&self, path: &str, session: &SecretString, deadline: Instant) -> Result<Value, Error> {
        let secret = |text: String| {
            let mut value = HeaderValue::try_from(text).map_err(|_| Error::unexpected("the id of the session"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        let id = secret(session.expose_secret().to_owned())?;
        let cookie = secret(format!("JSESSIONID={}", session.expose_secret()))?;
        let url = self.site.under(&format!("api/v3/{path}"));
        let request = || introduced(self.http.get(url.clone())).header(SESSION, &id).header(COOKIE, &cookie);
        let answer = read(request, deadline).await?.judge(Purpose::Read)?;
        answer.map(|body| body.json).ok_or(Error::NotJson { status: 200, starts: "empty" })
    }

    fn with_password(&self, url: Url, credentials: &Credentials) -> RequestBuilder {
        introduced(self.http.post(url))
            .basic_auth(&credentials.username, Some(credentials.password.expose_secret()))
            .header(CONTENT_TYPE, "application/json")
    }
}

fn introduced(request: RequestBuilder) -> RequestBuilder {
    request.header(ACCEPT, "application/json").header(USER_AGENT, AGENT).header("X-APP-ID", APP_ID)
}

fn written<B: Serialize>(body: &B) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|_| Error::unexpected("the request can't be written as JSON"))
}

/// Sends a request that is safe to repeat, and sends it once more if its connection breaks.
async fn read(request: impl Fn() -> RequestBuilder, deadline: Instant) -> Result<Answer, Failure> {
    match attempt(request(), deadline).await {
        Err(Failure::Dropped) => attempt(request(), deadline).await,
        answer => answer,
    }
}

async fn attempt(request: RequestBuilder, deadline: Instant) -> Result<Answer, Failure> {
    if deadline <= Instant::now() {
        return Err(Failure::NotSent);
    }
    let exchange = async { Answer::read(request.send().await?).await };
    timeout_at(deadline, exchange).await.unwrap_or(Err(Failure::TimedOut))
}

/// Why there is no response.
enum Failure {
    /// There was no connection or no time left, so nothing was sent.
    NotSent,
    /// The connection broke; the request may have been sent.
    Dropped,
    TimedOut,
    TooLarge,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Failure {
        if error.is_connect() || error.is_builder() {
            Failure::NotSent
        } else if error.is_timeout() {
            Failure::TimedOut
        } else {
            Failure::Dropped
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::NotSent => Error::Unwell { status: None },
            Failure::Dropped => Error::Uncertain { why: "the connection was lost" },
            Failure::TimedOut => Error::Uncertain { why: "the time was up" },
            Failure::TooLarge => Error::TooLarge,
        }
    }
}

/// A complete response. `Content-Type` is ignored, because v1 sends none.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn read(mut response: reqwest::Response) -> Result<Answer, Failure> {
        let status = response.status();
        let version = response.version();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // The status of a refusal is enough: a 401 with an incomplete page is still a 401.
                _ if !status.is_success() => break,
                Ok(Some(_)) => return Err(Failure::TooLarge),
                Err(error) => return Err(error.into()),
            }
        }
        // An empty body without an announced length may be a complete or a cut-off response.
        let announced = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        if status.is_success() && body.is_empty() && version <= Version::HTTP_11 && !announced {
            return Err(Failure::Dropped);
        }
        Ok(Answer { status: status.as_u16(), headers, body })
    }

    fn judge(self, purpose: Purpose) -> Result<Option<Body>, Error> {
        let status = self.status;
        match (status, purpose) {
            (200, Purpose::Read) => {
                let answer = self.json()?;
                match answer.as_ref().and_then(|body| Refusal::find_in_read(&body.json)) {
                    Some(refusal) => Err(refusal.into_error()),
                    None => Ok(answer),
                }
            }
            // 202 (accepted for later), 206 (partial) and similar: not the complete response.
            (201..=299, Purpose::Read) => Err(Error::unexpected(format!("status {status} where 200 is due"))),
            (200..=299, Purpose::Import) => self.json(),
            _ => Err(self.refused(purpose)),
        }
    }

    /// Classifies a status that is not a success.
    fn refused(&self, purpose: Purpose) -> Error {
        let status = self.status;
        match status {
            401 if !self.names_intermediary() => Error::WrongCredentials,
            403 if self.is_in_site_form() => Error::Forbidden,
            404 if self.is_in_site_form() || (self.starts() == "html" && !self.names_intermediary()) => Error::NotFound,
            401 | 403 | 404 => Error::NotJson { status, starts: self.starts() },
            429 => Error::Throttled { after: self.retry_after() },
            503 if purpose == Purpose::Read && self.headers.contains_key(RETRY_AFTER) => {
                Error::Throttled { after: self.retry_after() }
            }
            500..=599 => Error::Unwell { status: Some(status) },
            _ if self.starts() == "html" => Error::NotJson { status, starts: "html" },
            _ => Error::Rejected { status },
        }
    }

    /// Whether a refusal has one of the forms that the site uses: an empty body, "access denied", or an RPC exception.
    /// A refusal in another form may come from a proxy, firewall or gateway in front of the site. Those know neither
    /// the account nor the site's address. Only a 404 may also be a web page, because the site runs in Apache, which
    /// answers so.
    fn is_in_site_form(&self) -> bool {
        let text = body::unmarked(&self.body).trim_ascii();
        let says = text.get(..DENIED.len()).unwrap_or(text);
        text.is_empty()
            || says.eq_ignore_ascii_case(DENIED)
            || body::read(text).is_some_and(|body| is_true(body.json.get("__is_rpc_exception__")))
    }

    /// Whether the response is a web page that names a proxy or firewall as its source. A 401 in any other form counts
    /// as the site's own. The site's form of a 401 is unknown, and another attempt may lock the account.
    fn names_intermediary(&self) -> bool {
        // Cloudflare also adds this script to pages of the site.
        let page = String::from_utf8_lossy(&self.body).to_ascii_lowercase().replace("cloudflareinsights", "");
        self.starts() == "html" && INTERMEDIARIES.iter().any(|name| page.contains(name))
    }

    fn json(&self) -> Result<Option<Body>, Error> {
        if self.starts() == "empty" {
            return Ok(None);
        }
        let not_json = Error::NotJson { status: self.status, starts: self.starts() };
        body::read(&self.body).map(Some).ok_or(not_json)
    }

    fn starts(&self) -> &'static str {
        match body::unmarked(&self.body).trim_ascii_start().first() {
            None => "empty",
            Some(b'<') => "html",
            Some(_) => "text",
        }
    }

    /// The wait that `Retry-After` asks for.
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?;
        let asked = value.to_str().ok().and_then(|text| read_wait(text, Timestamp::now()));
        Some(asked.unwrap_or(UNREADABLE_WAIT))
    }
}

/// Reads a wait: seconds or an HTTP date as the standard requires. Also reads decimals, a number with a unit such as
/// `60s`, and an RFC 3339 timestamp. Rounds up to whole seconds; the maximum is a day.
fn read_wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let from = |wait: SignedDuration| Duration::try_from(wait).ok();
    let until = |instant: Timestamp| from(instant.duration_since(now)).unwrap_or_default();
    let wait = if text.starts_with(|first: char| first.is_ascii_digit())
        && let Ok(seconds) = text.parse::<f64>()
    {
        Duration::try_from_secs_f64(seconds.min(LONGEST_WAIT.as_secs_f64())).ok()
    } else if let Ok(wait) = text.to_ascii_lowercase().parse::<SignedDuration>() {
        from(wait)
    } else {
        let instant = DateTimeParser::new().parse_timestamp(text).or_else(|_| text.parse());
        instant.ok().map(until)
    }?;
    let part = u64::from(wait.subsec_nanos() > 0);
    Some(Duration::from_secs(wait.as_secs() + part).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, body: &[u8]) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: body.to_vec() }
    }

    fn judge(status: u16, body: &[u8], purpose: Purpose) -> Result<Option<Value>, Error> {
        Ok(answer(status, body).judge(purpose)?.map(|body| body.json))
    }

    /// The meaning of `Retry-After` at 08:00 on 2 March 2026, in seconds.
    #[test]
    fn reads_a_wait_in_every_notation() {
        let now: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("90", Some(90)),
            (" 90 ", Some(90)),
            ("0", Some(0)),
            ("1800.5", Some(1801)),
            ("60.0", Some(60)),
            ("60s", Some(60)),
            ("60 S", Some(60)),
            ("1.5s", Some(2)),
            ("250ms", Some(1)),
            ("2m", Some(120)),
            ("1h 30m", Some(5400)),
            ("90 seconds", Some(90)),
            ("PT30S", Some(30)),
            ("Mon, 02 Mar 2026 08:01:30 GMT", Some(90)),
            ("Mon, 02 Mar 2026 07:00:00 GMT", Some(0)),
            ("2026-03-02T08:00:10Z", Some(10)),
            ("18446744073709551615", Some(86_400)),
            ("Fri, 31 Dec 2100 23:59:59 GMT", Some(86_400)),
            ("1e9", Some(86_400)),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("-60s", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(read_wait(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn unreadable_wait_is_five_minutes() {
        for value in [&b"soon"[..], b"", b"\xff"] {
            let mut answer = answer(429, b"");
            answer.headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(answer.retry_after(), Some(UNREADABLE_WAIT), "{value:?}");
        }
        assert_eq!(answer(429, b"").retry_after(), None);
    }

    #[test]
    fn reads_only_the_body_of_a_success() {
        for (status, body, error) in [
            (401, "", Error::WrongCredentials),
            (403, "access denied", Error::Forbidden),
            (403, "", Error::Forbidden),
            (403, "<html>", Error::NotJson { status: 403, starts: "html" }),
            (403, "RBAC: access denied", Error::NotJson { status: 403, starts: "text" }),
            (401, "<html>", Error::WrongCredentials),
            (401, "<html>cloudflare", Error::NotJson { status: 401, starts: "html" }),
            (404, "404 page not found", Error::NotJson { status: 404, starts: "text" }),
            (404, "<html>", Error::NotFound),
            (429, "{}", Error::Throttled { after: None }),
            (500, "{}", Error::Unwell { status: Some(500) }),
            (503, "<html>", Error::Unwell { status: Some(503) }),
            (302, "", Error::Rejected { status: 302 }),
            (400, "{}", Error::Rejected { status: 400 }),
            (422, " \r\n<!DOCTYPE HTML>", Error::NotJson { status: 422, starts: "html" }),
            (200, "<html>", Error::NotJson { status: 200, starts: "html" }),
            (200, "\u{feff}<html>", Error::NotJson { status: 200, starts: "html" }),
            (200, "Success", Error::NotJson { status: 200, starts: "text" }),
            (200, r#"{"events":[{"#, Error::NotJson { status: 200, starts: "text" }),
        ] {
            for purpose in [Purpose::Read, Purpose::Import] {
                assert_eq!(judge(status, body.as_bytes(), purpose), Err(error.clone()), "{status} {body}");
            }
        }
        assert_eq!(judge(200, b" \n", Purpose::Read), Ok(None));
        assert_eq!(judge(200, b"{}", Purpose::Read), Ok(Some(serde_json::json!({}))));
    }

    #[test]
    fn refusal_fails_a_read_and_is_passed_to_an_import() {
        let body = br#"{"error":"no such form"}"#;
        assert_eq!(judge(200, body, Purpose::Read), Err(Error::Refused { says: "no such form".to_owned() }));
        assert!(judge(200, body, Purpose::Import).is_ok());
    }

    #[test]
    fn rejects_a_partial_or_deferred_answer() {
        for status in [202, 204, 206] {
            assert!(matches!(judge(status, b"", Purpose::Read), Err(Error::Unexpected { .. })), "{status}");
            assert_eq!(judge(status, b"", Purpose::Import), Ok(None), "{status}");
        }
    }

    proptest! {
        #[test]
        fn classifies_any_bytes(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(status, &body).judge(Purpose::Read);
            let _ = answer(status, &body).judge(Purpose::Import);
        }
    }
}
