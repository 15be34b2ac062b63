//! Which site to talk to, and as whom.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

/// The base address of a site, such as `https://example.smartabase.com/site`; the last segment names the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site(Url);

/// Why a text is not the address of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// Not an address at all, or without a host.
    #[error("the address of the site is not a URL like https://example.smartabase.com/site")]
    NotAUrl,
    /// A scheme other than `http` and `https`.
    #[error("the address of the site must start with https://")]
    Scheme,
    /// The address holds a username or password, which belong elsewhere.
    #[error("the address of the site must not contain a username or password")]
    Credentials,
}

impl Site {
    /// Reads an address as an operator writes it. A missing scheme is `https`; spaces and trailing slashes are dropped, also
    /// a query or fragment; `http` stays only where it never leaves the machine, and is upgraded elsewhere,
    /// since every request carries a password.
    pub fn parse(address: &str) -> Result<Site, SiteError> {
        let address: String = address.split_whitespace().collect();
        let address = if address.contains("://") { address } else { format!("https://{address}") };
        let mut url = Url::parse(&address).map_err(|_| SiteError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SiteError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SiteError::Credentials);
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let mut site = Site(url);
        if site.0.scheme() == "http" && !site.is_loopback() {
            site.0.set_scheme("https").map_err(|()| SiteError::Scheme)?;
        }
        Ok(site)
    }

    /// The normalised address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The name of the application: the last segment of the address, empty where there is none.
    pub(crate) fn application(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }

    /// An address under the application's own.
    pub(crate) fn under(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// The address of a v1 endpoint; both formats are always named, otherwise the site may answer in another.
    pub(crate) fn endpoint(&self, name: &str) -> Url {
        let mut url = self.under(&format!("api/v1/{name}"));
        url.set_query(Some("informat=json&format=json"));
        url
    }
}

impl FromStr for Site {
    type Err = SiteError;

    fn from_str(address: &str) -> Result<Site, SiteError> {
        Site::parse(address)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// The API account: a username, never an e-mail address, and its password. Neither is ever printed.
#[derive(Clone, Deserialize)]
pub struct Credentials {
    /// The username.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn addresses_are_read_as_operators_write_them() {
        for (written, meant) in [
            ("example.smartabase.com/site", "https://example.smartabase.com/site"),
            ("  https://example.smartabase.com/site// ", "https://example.smartabase.com/site"),
            ("https://example.smartabase.com/site /", "https://example.smartabase.com/site"),
            ("http://example.smartabase.com/site", "https://example.smartabase.com/site"),
            ("HTTP://Example.smartabase.nl/app/live/", "https://example.smartabase.nl/app/live"),
            ("https://example.smartabase.com/site?x=1#home", "https://example.smartabase.com/site"),
            ("http://127.0.0.1:8080/site/", "http://127.0.0.1:8080/site"),
            ("http://localhost:8080/site", "http://localhost:8080/site"),
            ("http://[::1]:8080/site", "http://[::1]:8080/site"),
            ("localhost:8080/site", "https://localhost:8080/site"),
            ("http://localhost.example.com/site", "https://localhost.example.com/site"),
            ("http://127.0.0.1.example.com/site", "https://127.0.0.1.example.com/site"),
            ("https://example.smartabase.com", "https://example.smartabase.com"),
        ] {
            assert_eq!(Site::parse(written).unwrap().to_string(), meant, "{written}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (written, why) in [
            ("", SiteError::NotAUrl),
            ("https://", SiteError::NotAUrl),
            ("ftp://example.smartabase.com/site", SiteError::Scheme),
            ("https://user:word@example.smartabase.com/site", SiteError::Credentials),
        ] {
            assert_eq!(Site::parse(written), Err(why), "{written}");
        }
    }

    #[test]
    fn endpoints_stand_under_the_application_whatever_its_depth() {
        for (site, endpoint) in [
            ("h.example/site", "https://h.example/site/api/v1/usersearch?informat=json&format=json"),
            ("h.example/app/live/", "https://h.example/app/live/api/v1/usersearch?informat=json&format=json"),
            ("h.example", "https://h.example/api/v1/usersearch?informat=json&format=json"),
        ] {
            assert_eq!(Site::parse(site).unwrap().endpoint("usersearch").as_str(), endpoint);
        }
    }

    #[test]
    fn credentials_are_read_but_not_printed() {
        let credentials: Credentials =
            serde_json::from_str(r#"{"username":"api.account","password":"hunter2"}"#).unwrap();
        assert_eq!(credentials.username, "api.account");
        assert_eq!(credentials.password.expose_secret(), "hunter2");
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }
}
