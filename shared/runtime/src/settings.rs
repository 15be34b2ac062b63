use std::time::Duration;

use jiff::tz::TimeZone;
use url::Url;

use crate::telemetry::LEVELS;

/// The settings of this installation: the parameters of the template, as every function receives them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Smartabase site (`SMARTABASE_URL`).
    pub site: smartabase::Site,
    /// Only members of this group are enrolled (`SMARTABASE_GROUP`); `None` enrols every user the account sees.
    pub group: Option<String>,
    /// The time zone of the site (`TIME_ZONE`, an IANA name). It decides which date is today.
    pub time_zone: TimeZone,
    /// Oura's addresses (`OURA_AUTHORIZE_URL`, `OURA_TOKEN_URL`, `OURA_REVOKE_URL`, `OURA_API_URL`).
    pub oura: oura::Endpoints,
    /// The scopes that an athlete is asked to grant (`OURA_SCOPES`), separated by spaces. They contain `daily`.
    pub scopes: String,
    /// The time between two ticks (`SYNC_SCHEDULE`, a rate expression of EventBridge Scheduler). An older job is
    /// dropped, because a newer one is coming.
    pub period: Duration,
    /// How many days back every tick reads (`LOOKBACK_DAYS`).
    pub lookback_days: u16,
    /// How many days of history a new connection delivers (`BACKFILL_DAYS`).
    pub backfill_days: u16,
    /// The address under which athletes reach our pages (`PUBLIC_URL`).
    pub public_url: Url,
}

/// The addresses of the deployed resources, which the template creates.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// `TABLE_NAME`.
    pub table: String,
    /// `QUEUE_URL`.
    pub queue: String,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue: String,
    /// `OURA_SECRET_ARN`.
    pub oura_secret: String,
    /// `SMARTABASE_SECRET_ARN`.
    pub smartabase_secret: String,
    /// `KEY_SECRET_ARN`.
    pub key_secret: String,
}

/// All faults of the environment at once. The operator must correct them and start again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is unusable: {}", .faults.join("; "))]
pub struct ConfigurationError {
    /// One sentence per variable.
    pub faults: Vec<String>,
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, ConfigurationError> {
        Self::read(environment)
    }

    /// Reads the settings through `variable`, which returns the value of a variable by its name.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigurationError> {
        let mut reader = Reader::new(variable);
        let defaults = oura::Endpoints::default();
        let site = reader.required("SMARTABASE_URL", |text| {
            smartabase::Site::parse(text)
                .map_err(|_| "must be the site's address, like example.smartabase.com/site".into())
        });
        let group = reader.optional("SMARTABASE_GROUP", |text| Ok(text.to_owned()));
        let time_zone = reader.or("TIME_ZONE", TimeZone::UTC, |text| {
            TimeZone::get(text).map_err(|_| format!("{text:?} is not an IANA zone, like Australia/Melbourne"))
        });
        let oura = oura::Endpoints {
            authorize: reader.or("OURA_AUTHORIZE_URL", defaults.authorize, web_address),
            token: reader.or("OURA_TOKEN_URL", defaults.token, web_address),
            revoke: reader.or("OURA_REVOKE_URL", defaults.revoke, web_address),
            api: reader.or("OURA_API_URL", defaults.api, web_address),
        };
        let scopes = reader.or("OURA_SCOPES", "daily".to_owned(), |text| {
            let scopes = text.split_whitespace().collect::<Vec<_>>();
            // Scopes for Oura's newer authorise address carry a prefix of Oura's.
            if oura::Scopes::parse(text).contains("daily") {
                Ok(scopes.join(" "))
            } else {
                Err("must contain `daily`: sleep, readiness and activity come with it".into())
            }
        });
        let period = reader.or("SYNC_SCHEDULE", Duration::from_mins(15), rate);
        let lookback_days = reader.or("LOOKBACK_DAYS", 7, |text| days(text, 1..=60));
        let backfill_days = reader.or("BACKFILL_DAYS", 30, |text| days(text, 0..=3650));
        let public_url = reader.required("PUBLIC_URL", web_address);
        // Telemetry reads this variable before errors can be reported. Its fault is reported here with the others.
        reader.optional("LOG_LEVEL", |text| {
            if LEVELS.contains(&text) { Ok(()) } else { Err(format!("must be one of {}", LEVELS.join(", "))) }
        });
        match (site, public_url) {
            (Some(site), Some(public_url)) if reader.faults.is_empty() => {
                Ok(Self { site, group, time_zone, oura, scopes, period, lookback_days, backfill_days, public_url })
            }
            _ => Err(ConfigurationError { faults: reader.faults }),
        }
    }

    /// The address to which Oura sends the athlete back. The Oura application must have exactly this address
    /// registered.
    #[must_use]
    pub fn callback(&self) -> Url {
        self.page("oauth/callback")
    }

    /// The address of one of our own pages.
    #[must_use]
    pub fn page(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(&format!("{}/{path}", self.public_url.path().trim_end_matches('/')));
        url
    }
}

impl Deployment {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, ConfigurationError> {
        Self::read(environment)
    }

    /// Reads the addresses of the resources through `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigurationError> {
        let mut reader = Reader::new(variable);
        let mut name = |variable| reader.required(variable, |text| Ok(text.to_owned()));
        let (table, queue, dead_letter_queue) = (name("TABLE_NAME"), name("QUEUE_URL"), name("DEAD_LETTER_QUEUE_URL"));
        let (oura, smartabase, key) = (name("OURA_SECRET_ARN"), name("SMARTABASE_SECRET_ARN"), name("KEY_SECRET_ARN"));
        match (table, queue, dead_letter_queue, oura, smartabase, key) {
            (
                Some(table),
                Some(queue),
                Some(dead_letter_queue),
                Some(oura_secret),
                Some(smartabase_secret),
                Some(key_secret),
            ) => Ok(Self { table, queue, dead_letter_queue, oura_secret, smartabase_secret, key_secret }),
            _ => Err(ConfigurationError { faults: reader.faults }),
        }
    }
}

impl ConfigurationError {
    /// Returns both values, or the faults of both in one error.
    pub fn both<A, B>(first: Result<A, Self>, second: Result<B, Self>) -> Result<(A, B), Self> {
        match (first, second) {
            (Ok(first), Ok(second)) => Ok((first, second)),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
            (Err(mut first), Err(second)) => {
                first.faults.extend(second.faults);
                Err(first)
            }
        }
    }
}

/// Collects all faults, so that the operator corrects the configuration once, not once per variable.
struct Reader<F> {
    variable: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn new(variable: F) -> Self {
        Self { variable, faults: Vec::new() }
    }

    /// An empty variable counts as unset, because CloudFormation cannot leave a variable out.
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = (self.variable)(name)?;
        match value.trim() {
            "" => None,
            text => parse(text).map_err(|fault| self.faults.push(format!("{name}: {fault}"))).ok(),
        }
    }

    fn or<T>(&mut self, name: &str, default: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        self.optional(name, parse).unwrap_or(default)
    }

    fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let faults = self.faults.len();
        let value = self.optional(name, parse);
        if value.is_none() && self.faults.len() == faults {
            self.faults.push(format!("{name} is missing"));
        }
        value
    }
}

/// A variable that is not UTF-8 is read with replacement characters. No parser below accepts them silently.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(url),
        _ => Err("must be a web address that begins with https://".into()),
    }
}

fn days(text: &str, range: std::ops::RangeInclusive<u16>) -> Result<u16, String> {
    match text.parse() {
        Ok(days) if range.contains(&days) => Ok(days),
        _ => Err(format!("must be a number of days from {} to {}", range.start(), range.end())),
    }
}

/// Parses a rate expression of EventBridge Scheduler, such as `rate(15 minutes)`.
fn rate(text: &str) -> Result<Duration, String> {
    let fault = || "must be a rate, like rate(15 minutes)".to_owned();
    let inner = text.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(fault)?;
    let (count, unit) = inner.trim().split_once(' ').ok_or_else(fault)?;
    let count: u64 = count.parse().ok().filter(|count| (1..=100_000).contains(count)).ok_or_else(fault)?;
    let minutes = match unit.trim().trim_end_matches('s') {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => return Err(fault()),
    };
    Ok(Duration::from_mins(count * minutes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, ConfigurationError> {
        Settings::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn one_error_names_every_faulty_variable() {
        let error = read(&[
            ("TIME_ZONE", "Mars/Olympus"),
            ("LOOKBACK_DAYS", "a week"),
            ("OURA_SCOPES", "heartrate"),
            ("OURA_TOKEN_URL", "moi.ouraring.com"),
            ("SYNC_SCHEDULE", "cron(0 * * * ? *)"),
            ("LOG_LEVEL", "loud"),
            ("PUBLIC_URL", " "),
        ])
        .unwrap_err();
        let message = error.to_string();
        for variable in [
            "SMARTABASE_URL is missing",
            "PUBLIC_URL is missing",
            "TIME_ZONE",
            "LOOKBACK_DAYS",
            "OURA_SCOPES",
            "OURA_TOKEN_URL",
            "SYNC_SCHEDULE",
            "LOG_LEVEL",
        ] {
            assert!(message.contains(variable), "{variable} is not named in: {message}");
        }
        assert_eq!(error.faults.len(), 8);
    }

    #[test]
    fn rates_are_parsed_as_eventbridge_scheduler_does() {
        assert_eq!(rate("rate(1 minute)"), Ok(Duration::from_mins(1)));
        assert_eq!(rate("rate(2 hours)"), Ok(Duration::from_hours(2)));
        assert_eq!(rate("rate(1 day)"), Ok(Duration::from_hours(24)));
        for wrong in ["", "rate()", "rate(0 minutes)", "rate(5 fortnights)", "rate(-1 hours)", "every 5 minutes"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pages_are_below_the_path_of_the_public_address() {
        for base in ["https://connect.example.org/club", "https://connect.example.org/club/"] {
            let settings = read(&[("SMARTABASE_URL", "example.smartabase.com/site"), ("PUBLIC_URL", base)]).unwrap();
            assert_eq!(settings.callback().as_str(), "https://connect.example.org/club/oauth/callback");
        }
    }

    #[test]
    fn both_joins_the_faults_of_settings_and_deployment() {
        let nothing = |_: &str| None;
        let error = ConfigurationError::both(Settings::read(nothing), Deployment::read(nothing)).unwrap_err();
        assert_eq!(error.faults.len(), 8, "{error}");
    }

    #[test]
    fn an_unset_variable_has_the_documented_default() {
        let required =
            [("SMARTABASE_URL", "example.smartabase.com/site"), ("PUBLIC_URL", "https://connect.example.org")];
        let settings = read(&[&required[..], &[("SMARTABASE_GROUP", " "), ("TIME_ZONE", "")]].concat()).unwrap();
        assert_eq!((settings.group.as_deref(), settings.scopes.as_str()), (None, "daily"));
        assert_eq!(settings.time_zone, TimeZone::UTC);
        assert_eq!(settings.period, Duration::from_mins(15));
        assert_eq!((settings.lookback_days, settings.backfill_days), (7, 30));
        assert_eq!(settings.oura.token, oura::Endpoints::default().token);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_value_is_accepted_or_its_variable_is_named(
            name in 0..VARIABLES.len(),
            value in prop_oneof![any::<String>(), "[a-z]{0,5}[:(/. ]{0,3}[0-9]{0,25}[a-z ]{0,9}\\)?"],
        ) {
            let good = [("SMARTABASE_URL", "example.smartabase.com/site"), ("PUBLIC_URL", "https://connect.example.org")];
            let mut variables = vec![(VARIABLES[name], value.as_str())];
            variables.extend(good.into_iter().filter(|(other, _)| *other != VARIABLES[name]));
            if let Err(error) = read(&variables) {
                prop_assert_eq!(error.faults.len(), 1);
                prop_assert!(error.faults[0].starts_with(VARIABLES[name]), "{}", error);
            }
        }
    }

    const VARIABLES: [&str; 13] = [
        "SMARTABASE_URL",
        "SMARTABASE_GROUP",
        "TIME_ZONE",
        "OURA_AUTHORIZE_URL",
        "OURA_TOKEN_URL",
        "OURA_REVOKE_URL",
        "OURA_API_URL",
        "OURA_SCOPES",
        "SYNC_SCHEDULE",
        "LOOKBACK_DAYS",
        "BACKFILL_DAYS",
        "PUBLIC_URL",
        "LOG_LEVEL",
    ];
}
