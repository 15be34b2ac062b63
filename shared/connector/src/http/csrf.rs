//! CSRF protection: distinguishes forms sent from our own page from forms that another site made the browser send.
//!
//! The connect page sets a random cookie and repeats its value in its forms (a double submit). Another site can make a
//! browser send a form to us, but it can neither read this cookie nor set it. Browsers accept a cookie with the prefix
//! `__Host-` only from this very host, over TLS or on a loopback address. The server stores nothing, so opening the
//! page changes nothing here.
//!
//! The cookie is a session cookie, and every page in one browser repeats the same value. So several open tabs, a page
//! that was left open overnight and the *back* button all work.

use cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::COOKIE;
use secrecy::{ExposeSecret, SecretString};

use crate::JobError;
use crate::authorize::{random_text, same};
use crate::http::params::entry;

/// The name of the CSRF cookie.
const COOKIE_NAME: &str = "__Host-form";

/// The form field that repeats the cookie's value.
pub(crate) const ENTRY: &str = "token";

/// The header in which a browser names a request's origin (W3C Fetch Metadata); pages can't set it.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The CSRF token that our page and the cookie both contain.
pub(crate) struct Token {
    /// The value.
    pub(crate) text: SecretString,
    /// Whether the browser does not have the cookie yet.
    is_new: bool,
}

impl Token {
    /// The token that this browser already has, so that forms in its other tabs stay valid; otherwise a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, JobError> {
        match sent_cookie(headers, COOKIE_NAME).filter(|text| is_token(text)) {
            Some(text) => Ok(Self { text: text.into(), is_new: false }),
            None => Ok(Self { text: random_text()?, is_new: true }),
        }
    }

    /// The cookie to set, if the browser lacks it.
    pub(crate) fn cookie(&self) -> Option<Cookie<'static>> {
        // Lax: other sites link here, and the page must see the existing cookie, which Strict would hide. The browser
        // does not send it with a form that another site submits.
        self.is_new.then(|| {
            Cookie::build((COOKIE_NAME, self.text.expose_secret().to_owned()))
                .path("/")
                .secure(true)
                .http_only(true)
                .same_site(SameSite::Lax)
                .build()
        })
    }
}

/// Whether a form was sent from one of our pages in this browser.
pub(crate) fn is_from_our_page(headers: &HeaderMap, form: &str) -> bool {
    // For browsers too old to send this header, the token is the only check.
    let elsewhere = headers.get_all(SEC_FETCH_SITE).iter().any(|site| site != "same-origin" && site != "none");
    let cookie = sent_cookie(headers, COOKIE_NAME).filter(|text| is_token(text));
    let repeated = entry(form, ENTRY);
    !elsewhere && cookie.zip(repeated).is_some_and(|(cookie, repeated)| same(&cookie, &repeated))
}

/// The value of a cookie that the browser sent, unless it is empty.
pub(crate) fn sent_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| Cookie::split_parse(header.to_owned()))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name && !cookie.value().is_empty())
        .map(|cookie| cookie.value().to_owned())
}

/// Whether this is 256 bits in base64url, the format of [`random_text`].
fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
