//! `connector console`: a page on this machine that shows every athlete's state and refreshes itself.
//!
//! The page shows what the operator's credentials can read, so only the operator may see it. The server listens on
//! 127.0.0.1 and answers only under a random path, which it prints at the start. Other users of the machine cannot
//! guess that path. It checks the `Host` header, so that a page elsewhere cannot read it through a name that resolves
//! to this machine (DNS rebinding). No request changes anything.

mod cache;
mod day_status;
mod filter;
mod heat;
mod page;
mod view;

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use axum::Router;
use axum::extract::State;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use connector::forms::Forms;
use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::Markup;
use runtime::visible;
use serde_json::json;
use store::AthleteId;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::installation::{Installation, Place};
use crate::report::{Report, print, remark};
use crate::{redrive, status};

use cache::Memory;
use filter::Choice;
use page::Surroundings;
use view::View;

#[derive(Args)]
pub(crate) struct Options {
    /// The port to listen on; 0 is any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many days to show.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(7..=120))]
    days: u16,
}

/// How often an open page reloads itself.
const REFRESH: Duration = Duration::from_mins(1);

/// How long the console reuses what it has read: a reload or a second window causes no requests to AWS.
const FRESH: Duration = Duration::from_secs(20);

/// A running console.
struct Console {
    installation: Installation,
    /// The installation's name, as the page shows it.
    name: String,
    zone: TimeZone,
    /// The time between two ticks.
    period: Duration,
    forms: Vec<String>,
    days: u16,
    /// The random path that every address begins with.
    key: String,
    port: u16,
    known: Mutex<Known>,
}

/// What the console has read, and how old it is.
struct Known {
    memory: Memory,
    dead_letters: Option<Result<u64, String>>,
    read: Instant,
    /// Why the last refresh failed.
    failure: Option<String>,
}

/// Serves until the operator interrupts it.
pub(crate) async fn run(options: &Options, installation: Installation, json: bool) -> Result<Report, Failure> {
    let forms = Forms::shipped().map_err(|error| Failure::Failed(format!("{error}: correct it and build again")))?;
    let period = match &installation.place {
        Place::Stack(_) => installation.settings()?.period,
        // Only the request budget needs the settings, so a pilot’s page works without the variables of `serve`.
        Place::Local(_) => installation.settings().map_or(Duration::from_mins(15), |settings| settings.period),
    };
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await.map_err(|error| {
        let why = if error.kind() == ErrorKind::AddrInUse {
            "is taken".to_owned()
        } else {
            format!("can’t be used ({error})")
        };
        Failure::Usage(format!("port {} of this machine {why}: give another as --port", options.port))
    })?;
    let port = listener.local_addr().map_or(options.port, |address| address.port());
    let name = match &installation.place {
        Place::Stack(stack) => stack.name.clone(),
        Place::Local(local) => local.name(),
    };
    let known = Known { memory: Memory::default(), dead_letters: None, read: Instant::now(), failure: None };
    let console = Console {
        name,
        zone: installation.zone(),
        period,
        forms: forms.events.iter().map(|form| form.name.to_string()).collect(),
        days: options.days,
        key: key()?,
        port,
        known: Mutex::new(known),
        installation,
    };
    let bar = ProgressBar::new(0);
    console.read(&mut *console.known.lock().await, &bar).await?;
    bar.finish_and_clear();
    let address = format!("http://127.0.0.1:{port}/{}/", console.key);
    if json {
        print(&json!({"address": address}).to_string());
    } else {
        print(&address);
        remark("Open this address here; nobody else has it. Interrupt to stop.");
    }
    let pages = Router::new().fallback(answer).with_state(Arc::new(console));
    let stopped = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    tokio::select! {
        served = axum::serve(listener, pages) => {
            served.map_err(|error| Failure::Failed(format!("the page is served no longer: {error}")))?;
        }
        () = stopped => {}
    }
    Ok(Report::silent())
}

/// 128 random bits, in hexadecimal.
fn key() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Failure::Failed("the operating system has no randomness: try again".to_owned()))?;
    Ok(hex::encode(bytes))
}

impl Console {
    /// Reads what has changed since the last refresh.
    async fn read(&self, known: &mut Known, bar: &ProgressBar) -> Result<(), Failure> {
        let advanced = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let memory = known.memory.refresh(&self.installation.store, &self.forms, self.days, &self.zone, advanced);
        let dead_letters = async {
            match &self.installation.place {
                Place::Stack(stack) => Some(redrive::waiting(stack).await.map_err(|failure| failure.to_string())),
                Place::Local(_) => None,
            }
        };
        let (read, dead_letters) = tokio::join!(memory, dead_letters);
        known.dead_letters = dead_letters;
        known.read = Instant::now();
        read
    }

    /// Renders the page at a path below the key, with its HTTP status.
    async fn page(&self, path: &str, query: &str) -> (StatusCode, Choice, Markup) {
        let mut known = self.known.lock().await;
        if known.read.elapsed() >= FRESH {
            let read = self.read(&mut known, &ProgressBar::hidden()).await;
            known.failure = read.err().map(|failure| failure.to_string());
        }
        let mut choice = Choice::read(query);
        choice.form = choice.form.min(self.forms.len().saturating_sub(1));
        // Times are relative to when the data was read. Otherwise old data, shown later, would make the athletes look
        // late.
        let now = known.memory.read_at.unwrap_or_else(Timestamp::now);
        let view = View::new(&known.memory, choice.form, self.days, self.period, now, &self.zone);
        let around = Surroundings {
            installation: &self.name,
            failure: known.failure.as_deref(),
            pauses: status::pauses(&known.memory.roster.holds, now),
            dead_letters: known.dead_letters.clone(),
            forms: &self.forms,
            choice: choice.clone(),
        };
        let markup = match path {
            "" => Some(page::overview(&view, &around)),
            "athlete" => id(query).and_then(|id| {
                let row = view.rows.iter().find(|row| row.athlete.id == id)?;
                let marks = view::story(&known.memory, &id, self.forms.len(), &view.dates, now, &self.zone);
                Some(page::athlete(&view, row, &marks, &around))
            }),
            _ => None,
        };
        match markup {
            Some(markup) => (StatusCode::OK, choice, markup),
            None => (StatusCode::NOT_FOUND, choice, page::nothing()),
        }
    }

    /// Whether the `Host` header names this machine and port.
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        ["127.0.0.1", "localhost"].iter().any(|name| host == format!("{name}:{}", self.port))
    }
}

fn id(query: &str) -> Option<AthleteId> {
    let (_, id) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id")?;
    AthleteId::parse(&id).ok()
}

async fn answer(State(console): State<Arc<Console>>, method: Method, uri: Uri, headers: HeaderMap) -> Response<String> {
    let below = uri.path().strip_prefix('/').and_then(|path| path.strip_prefix(console.key.as_str()));
    let below = below.and_then(|path| path.strip_prefix('/'));
    if !console.is_meant(&headers) {
        return finished(StatusCode::MISDIRECTED_REQUEST, None, page::nothing());
    }
    let Some(path) = below else { return finished(StatusCode::NOT_FOUND, None, page::nothing()) };
    if method != Method::GET && method != Method::HEAD {
        return finished(StatusCode::METHOD_NOT_ALLOWED, None, page::nothing());
    }
    let (status, choice, markup) = console.page(path, uri.query().unwrap_or_default()).await;
    finished(status, (!choice.still).then_some(REFRESH), markup)
}

/// A response with the headers that every page has.
fn finished(status: StatusCode, refresh: Option<Duration>, markup: Markup) -> Response<String> {
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .header(CACHE_CONTROL, "no-store")
        .header(CONTENT_SECURITY_POLICY, &*POLICY)
        .header(REFERRER_POLICY, "no-referrer")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    if let Some(after) = refresh {
        response = response.header("refresh", after.as_secs());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(ALLOW, "GET, HEAD");
    }
    // Every header above is printable ASCII, so building the response cannot fail. If it did, an empty response is
    // safe.
    response.body(visible(&markup.into_string()).into_owned()).unwrap_or_default()
}

/// The content security policy: no script, no external resource except the icon in the page, and forms that only lead
/// back here.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(digest(&SHA256, page::STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
});
