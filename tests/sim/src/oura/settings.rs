use std::time::Duration;

use super::Person;
use crate::Clock;

/// Everything that an [`Oura`](super::Oura) starts with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The clock of the service.
    pub clock: Clock,
    /// The seed from which lives, tokens and the order of rows are drawn.
    pub seed: u64,
    /// The people who have an account.
    pub people: Vec<Person>,
    /// How the service behaves. Can be changed while it runs.
    pub settings: Settings,
}

impl Default for Config {
    /// The machine's clock, seed 1, no people, and [`Settings::default`].
    fn default() -> Self {
        Self { clock: Clock::system(), seed: 1, people: Vec::new(), settings: Settings::default() }
    }
}

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: String,
    /// The redirect URIs of the application, compared character by character.
    pub redirect_uris: Vec<String>,
    /// The token server to which the application belongs. A code is exchanged at the server to which the application
    /// belonged when the code was issued. A grant stays at the server that issued it, even after the application has
    /// moved.
    pub server: TokenServer,
    /// The `iss` of the callback from the new server.
    pub issuer: String,
    /// How long an access token works.
    pub access_token_lifetime: Duration,
    /// Whether a refresh token is lost when it is sent to the wrong server. This is assumed; it is not known of the
    /// real service.
    pub wrong_server_burns_refresh_tokens: bool,
    /// How token answers give the lifetime of the access token.
    pub lifetime_format: LifetimeFormat,
    /// How token answers list the scopes.
    pub scope_format: ScopeFormat,
    /// Whether a refresh returns a new refresh token. Otherwise the answer has none, and the one that was sent stays
    /// valid (RFC 6749, section 6).
    pub rotates_refresh_tokens: bool,
    /// The status of the token servers' errors.
    pub token_error_status: TokenErrorStatus,
    /// What the revocation of a token ends. RFC 7009 (section 2.1) leaves that to the server, and it is not known of
    /// the real one.
    pub revocation_ends: RevocationEnds,
    /// Documents per page, at least one.
    pub page_size: usize,
    /// Which sleep periods a window of dates contains.
    pub sleep_window: SleepWindow,
    /// Whether `daily_sleep` and `daily_readiness` include the day of a plain `end_date`, as measured most often.
    pub summaries_include_end: bool,
    /// The status for a collection whose scope was not granted.
    pub missing_scope: MissingScope,
    /// The shape of error answers of the collections.
    pub error_body: ErrorBody,
    /// Requests allowed per access token.
    pub token_limit: Option<Limit>,
    /// Requests allowed for the whole application.
    pub application_limit: Option<Limit>,
    /// What `X-RateLimit-Tier` contains for the two limits. The real values are not published.
    pub tier_names: TierNames,
}

impl Default for Settings {
    /// Application `client` with secret `client-secret` at the new token server, no redirect URI, access tokens for a
    /// day, pages of 50, no limits. Where reports differ, the behaviour that was measured most often.
    fn default() -> Self {
        Self {
            client_id: "client".to_owned(),
            client_secret: "client-secret".to_owned(),
            redirect_uris: Vec::new(),
            server: TokenServer::New,
            issuer: "https://moi.ouraring.com/oauth/v2/ext/oauth-anonymous".to_owned(),
            access_token_lifetime: Duration::from_hours(24),
            wrong_server_burns_refresh_tokens: true,
            lifetime_format: LifetimeFormat::Number,
            scope_format: ScopeFormat::Spaces,
            rotates_refresh_tokens: true,
            token_error_status: TokenErrorStatus::Documented,
            revocation_ends: RevocationEnds::Grant,
            page_size: 50,
            sleep_window: SleepWindow::Day,
            summaries_include_end: true,
            missing_scope: MissingScope::Unauthorized,
            error_body: ErrorBody::Problem,
            token_limit: None,
            application_limit: None,
            tier_names: TierNames { token: "token".to_owned(), application: "application".to_owned() },
        }
    }
}

/// The two token servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenServer {
    /// `/oauth/v2/ext/oauth-token`: `iss` in the callback, scopes named `extapi:daily`.
    New,
    /// `/oauth/token`: no `iss`, scopes named `daily`.
    Legacy,
}

/// How a token answer gives the lifetime of the access token. Oura documents a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeFormat {
    /// `86400`
    Number,
    /// `"86400"`
    Text,
    /// `null`
    Null,
    /// `0`
    Zero,
    /// The field is missing.
    Absent,
}

/// The status of a token server's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenErrorStatus {
    /// 400 or 401.
    Documented,
    /// 200, with the same body.
    Ok,
    /// 503 to every request, which then does nothing: the token servers are down.
    Unavailable,
}

/// How a token answer lists the scopes. RFC 6749 separates them by spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeFormat {
    /// `"daily personal"`
    Spaces,
    /// `"daily,personal"`
    Commas,
    /// `"daily+personal"`
    Pluses,
    /// `"DAILY PERSONAL"`
    Capitals,
    /// `["daily", "personal"]`
    List,
    /// `{"daily": true, "personal": true}`, which no documentation mentions.
    Object,
    /// `"read"`, which is not a scope of Oura's.
    Foreign,
}

/// What the revocation of a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationEnds {
    /// The grant of the token.
    Grant,
    /// The whole consent of the person: every grant that the application has from them, newer ones too.
    Consent,
}

/// Which sleep periods the window `start_date..end_date` contains, end exclusive. Reports differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SleepWindow {
    /// By the period's `day`.
    Day,
    /// By the local time at which the period begins.
    BedtimeStart,
    /// By the time in UTC at which the period begins.
    BedtimeStartUtc,
}

/// The status for a collection whose scope was not granted. The documentation says 403; 401 was seen as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingScope {
    /// 401, as for an invalid token.
    Unauthorized,
    /// 403, as for a lapsed membership; only the text differs.
    Forbidden,
}

/// The shapes of error answers that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBody {
    /// `{"status":403,"title":"...","detail":"..."}`
    Problem,
    /// `{"detail":"..."}`
    Detail,
    /// Nothing.
    Empty,
}

/// A number of requests in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Requests that succeed within one window.
    pub requests: u64,
    /// Whole seconds.
    pub window: Duration,
}

/// Names of the two kinds of limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierNames {
    /// The limit per access token.
    pub token: String,
    /// The limit of the whole application.
    pub application: String,
}
