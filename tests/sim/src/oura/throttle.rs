//! Two kinds of limit: per access token and for the whole application.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use jiff::Timestamp;

use super::refusal::Refusal;
use super::{Limit, Settings};

/// A kind of limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// One access token.
    Token,
    /// The application, all its users together.
    Application,
}

/// How much of each limit is used. A window begins with its first request.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    application: Meter,
    tokens: HashMap<String, Meter>,
}

#[derive(Debug, Default)]
struct Meter {
    began: Timestamp,
    used: u64,
    /// A test refuses all requests until then.
    closed_until: Option<Timestamp>,
}

impl Throttle {
    /// Counts one request. A refused request does not count.
    pub(super) fn admit(&mut self, now: Timestamp, token: &str, settings: &Settings) -> Result<(), Refusal> {
        let meter = self.tokens.entry(token.to_owned()).or_default();
        meter.check(now, settings.token_limit, &settings.tier_names.token)?;
        self.application.check(now, settings.application_limit, &settings.tier_names.application)?;
        meter.used += 1;
        self.application.used += 1;
        Ok(())
    }

    /// Refuses all requests with one token, or of the application if there is none, until then.
    pub(super) fn close(&mut self, token: Option<&str>, until: Timestamp) {
        let meter = match token {
            Some(token) => self.tokens.entry(token.to_owned()).or_default(),
            None => &mut self.application,
        };
        meter.closed_until = Some(until);
    }
}

impl Meter {
    fn check(&mut self, now: Timestamp, limit: Option<Limit>, tier: &str) -> Result<(), Refusal> {
        let window = limit.map_or(Duration::from_mins(5), |limit| limit.window);
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(refusal(now, until, limit.map_or(0, |limit| limit.requests), window, tier));
        }
        let Some(limit) = limit else { return Ok(()) };
        if self.began + limit.window <= now {
            self.began = now;
            self.used = 0;
        }
        if self.used < limit.requests {
            return Ok(());
        }
        Err(refusal(now, self.began + limit.window, limit.requests, window, tier))
    }
}

fn refusal(now: Timestamp, reset: Timestamp, limit: u64, window: Duration, tier: &str) -> Refusal {
    // Whole seconds, rounded up, so that a client that waits this long succeeds.
    let wait = (reset.as_millisecond() - now.as_millisecond() + 999) / 1000;
    let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Request Rate Limit Exceeded.");
    refusal.headers = vec![
        (HeaderName::from_static("retry-after"), wait.to_string()),
        (HeaderName::from_static("x-ratelimit-limit"), limit.to_string()),
        (HeaderName::from_static("x-ratelimit-window"), window.as_secs().to_string()),
        (HeaderName::from_static("x-ratelimit-reset"), reset.as_second().to_string()),
        (HeaderName::from_static("x-ratelimit-tier"), tier.to_owned()),
    ];
    refusal
}
