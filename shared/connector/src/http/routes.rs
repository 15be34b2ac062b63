//! The four routes, as plain HTTP. The deployed function and the local process both serve them.

use std::fmt::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cookie::{Cookie, SameSite};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::response::Builder;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use maud::Markup;
use runtime::{Deadline, telemetry};
use secrecy::ExposeSecret;

use crate::authorize::{AuthorizationStart, CallbackParams, STATE_LIFETIME, page_of};
use crate::http::csrf::{Token, is_from_our_page, sent_cookie};
use crate::http::pages::{self, Page, Visit};
use crate::http::rate_limit::WINDOW;
use crate::metrics::Counter;
use crate::{Connector, JobError};

/// Binds the authorization to the browser. Because of the prefix, browsers accept it only from this very host, over
/// TLS.
const COOKIE_NAME: &str = "__Host-connect";

/// The limit for a query or a form, in bytes; our own pages send less than one KiB.
const LARGEST: usize = 8 * 1024;

impl Connector {
    /// Answers a request to one of the four routes. Every answer is a page that says what to do, or a redirect.
    pub async fn respond(&self, request: Request<Vec<u8>>, deadline: Deadline) -> Response<String> {
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        if query.len() > LARGEST || body.len() > LARGEST {
            return self.page(&Page::TooLarge);
        }
        let root = self.settings.public_url.path().trim_end_matches('/');
        let path = head.uri.path();
        let path = path.strip_prefix(root).unwrap_or(path);
        let response = match (&head.method, path) {
            (&Method::GET, "/connect") => self.get_connect(query, &head.headers, deadline).await,
            (&Method::POST, "/connect" | "/disconnect")
                if !is_from_our_page(&head.headers, &String::from_utf8_lossy(&body)) =>
            {
                self.page(&Page::SentElsewhere)
            }
            (&Method::POST, "/connect") => self.post_connect(&body, deadline).await,
            (&Method::GET, "/oauth/callback") => self.get_callback(query, &head.headers, deadline).await,
            (&Method::POST, "/disconnect") => self.post_disconnect(&body, deadline).await,
            (_, "/connect") => self.not_allowed("GET, POST"),
            (_, "/oauth/callback") => self.not_allowed("GET"),
            (_, "/disconnect") => self.not_allowed("POST"),
            _ => return self.page(&Page::NotFound),
        };
        // Log only the matched path: the rest of the address may contain secrets, such as a link's signature.
        tracing::info!(method = %head.method, path, status = response.status().as_u16(), "visit");
        telemetry::report(&self.happened());
        response
    }

    /// The response to a client address that has sent too many requests.
    #[must_use]
    pub fn refuse_flood(&self) -> Response<String> {
        let mut response = self.page(&Page::TooMany);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(WINDOW.as_secs()));
        response
    }

    async fn get_connect(&self, query: &str, headers: &HeaderMap, deadline: Deadline) -> Response<String> {
        let (link, enrolment) = match self.verify_link(query, deadline).await {
            Ok(visitor) => visitor,
            Err(page) => return self.page(&page),
        };
        let token = match Token::of(headers) {
            Ok(token) => token,
            Err(setback) => return self.page(&page_of(setback)),
        };
        match self.store.connection(&link.athlete, deadline.instant()).await {
            Ok(connection) => {
                let visit = Visit {
                    link: &link,
                    token: &token.text,
                    name: &enrolment.name,
                    site: self.settings.site.url(),
                    connection: connection.as_ref(),
                    history: self.history(),
                    nights: self.forms.nights(),
                    now: self.clock.now(),
                    zone: &self.settings.time_zone,
                };
                let response = self.response(StatusCode::OK).header(CONTENT_TYPE, HTML);
                let response = match token.cookie() {
                    Some(cookie) => response.header(SET_COOKIE, cookie.to_string()),
                    None => response,
                };
                finished(response, visit.render().into_string())
            }
            Err(error) => self.page(&page_of(JobError::from(error))),
        }
    }

    async fn post_connect(&self, body: &[u8], deadline: Deadline) -> Response<String> {
        let form = String::from_utf8_lossy(body);
        let departure = match self.verify_link(&form, deadline).await {
            Ok((link, visitor)) => self.begin(&link, &visitor, deadline).await,
            Err(page) => Err(page),
        };
        match departure {
            Ok(AuthorizationStart { url, browser }) => {
                let cookie = browser_cookie(browser.expose_secret().to_owned(), STATE_LIFETIME.as_secs());
                let response = self.response(StatusCode::SEE_OTHER);
                let response = response.header(LOCATION, url.as_str()).header(SET_COOKIE, cookie.to_string());
                finished(response, String::new())
            }
            Err(page) => self.page(&page),
        }
    }

    async fn get_callback(&self, query: &str, headers: &HeaderMap, deadline: Deadline) -> Response<String> {
        let page = self
            .handle_callback(CallbackParams::read(query), sent_cookie(headers, COOKIE_NAME).as_deref(), deadline)
            .await;
        let mut response = self.page(&page);
        // The value is printable ASCII, so this does not fail. If it did, the state would still be consumed.
        if let Ok(spent) = HeaderValue::try_from(browser_cookie(String::new(), 0).to_string()) {
            response.headers_mut().append(SET_COOKIE, spent);
        }
        response
    }

    async fn post_disconnect(&self, body: &[u8], deadline: Deadline) -> Response<String> {
        match self.verify_link(&String::from_utf8_lossy(body), deadline).await {
            Ok((link, _)) => {
                let page = self.disconnect(&link.athlete, deadline).await;
                self.page(&page)
            }
            Err(page) => self.page(&page),
        }
    }

    fn not_allowed(&self, methods: &'static str) -> Response<String> {
        let response = self.response(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, methods);
        finished(response.header(CONTENT_TYPE, HTML), Page::NotFound.render(self.settings.site.url()).into_string())
    }

    fn page(&self, page: &Page) -> Response<String> {
        // A refusal of our credentials by Oura is already counted, and has its own alarm.
        if *page == Page::Misconfigured && !self.counters.has_counted(Counter::OuraRefused) {
            self.counters.count(Counter::OperatorNeeded);
        }
        self.html(page.status(), page.render(self.settings.site.url()))
    }

    fn html(&self, status: StatusCode, markup: Markup) -> Response<String> {
        finished(self.response(status).header(CONTENT_TYPE, HTML), markup.into_string())
    }

    fn response(&self, status: StatusCode) -> Builder {
        Response::builder()
            .status(status)
            .header(CACHE_CONTROL, "no-store")
            .header(CONTENT_SECURITY_POLICY, self.policy())
            .header(REFERRER_POLICY, "no-referrer")
            .header(STRICT_TRANSPORT_SECURITY, "max-age=63072000")
            .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    /// The content security policy. Pages load nothing; the icon is inline. Forms lead to us or, by our redirect, to
    /// Oura. Oura's authorise address forwards to the host of its token endpoint (seen by clients in 2026).
    fn policy(&self) -> String {
        let oura = self.oura.endpoints();
        let mut policy = format!(
            "default-src 'none'; style-src '{}'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
            *STYLE_HASH
        );
        for origin in [oura.authorize.origin(), oura.token.origin()] {
            let _ = write!(policy, " {}", origin.ascii_serialization());
        }
        policy
    }
}

const HTML: &str = "text/html; charset=utf-8";

static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("sha256-{}", BASE64_STANDARD.encode(digest(&SHA256, pages::STYLE.as_bytes()))));

fn finished(response: Builder, body: String) -> Response<String> {
    // This does not fail, since every header above is printable ASCII. If it did, the answer would be empty.
    response.body(body).unwrap_or_default()
}

fn browser_cookie(value: String, seconds: i64) -> Cookie<'static> {
    Cookie::build((COOKIE_NAME, value))
        .path("/")
        .secure(true)
        .http_only(true)
        // Lax: Oura's redirect back is a top-level navigation from another site, and must carry the cookie.
        .same_site(SameSite::Lax)
        .max_age(cookie::time::Duration::seconds(seconds))
        .build()
}
