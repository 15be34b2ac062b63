//! The address of a site, and the credentials for it.

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
    /// Not a URL, or a URL without a host.
    #[error("the address of the site is not a URL like https://example.smartabase.com/site")]
    NotAUrl,
    /// A scheme other than `http` and `https`.
    #[error("the address of the site must start with https://")]
    Scheme,
    /// The address contains a username or password, which belong in the credentials.
    #[error("the address of the site must not contain a username or password")]
    Credentials,
}

impl Site {
    /// Reads an address as an operator writes it. A missing scheme becomes `https`. Spaces, trailing slashes, a query
    /// and a fragment are removed. `http` stays only for this machine and becomes `https` for any other, because every
    /// request carries a password.
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

    /// The name of the application: the last segment of the address, empty if there is none.
    pub(crate) fn application(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }

    /// A URL below the application's address.
    pub(crate) fn under(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// The URL of a v1 endpoint. Both formats are always named; otherwise the site may answer in another format.
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

/// The API account: a username, never an e-mail address, and its password. `Debug` shows neither.
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
    fn reads_addresses_as_operators_write_them() {
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
    fn rejects_other_texts() {
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
    fn endpoints_are_below_the_application_at_any_depth() {
        for (site, endpoint) in [
            ("h.example/site", "https://h.example/site/api/v1/usersearch?informat=json&format=json"),
            ("h.example/app/live/", "https://h.example/app/live/api/v1/usersearch?informat=json&format=json"),
            ("h.example", "https://h.example/api/v1/usersearch?informat=json&format=json"),
        ] {
            assert_eq!(Site::parse(site).unwrap().endpoint("usersearch").as_str(), endpoint);
        }
    }

    #[test]
    fn debug_shows_no_credentials() {
        let credentials: Credentials =
            serde_json::from_str(r#"{"username":"api.account","password":"hunter2"}"#).unwrap();
        assert_eq!(credentials.username, "api.account");
        assert_eq!(credentials.password.expose_secret(), "hunter2");
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }
}
