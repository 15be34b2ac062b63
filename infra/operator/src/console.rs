//! `connector console`: a page on this machine that shows how everybody stands, and refreshes itself.
//!
//! The page is read with the operator’s credentials, so it is for the operator alone: it listens on 127.0.0.1, and answers
//! only under a path that nobody can guess and that is printed here, lest other users of the machine read it. It answers
//! only to its own name, lest a page from elsewhere reads it through a name that leads here (DNS rebinding), and it changes
//! nothing, whatever it is asked.

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

/// How often an open page asks again.
const REFRESH: Duration = Duration::from_mins(1);

/// For how long what was read is shown again: a reload or a second window costs AWS nothing.
const FRESH: Duration = Duration::from_secs(20);

/// A running console.
struct Console {
    installation: Installation,
    /// What it is called on the page.
    name: String,
    zone: TimeZone,
    /// The time between two ticks.
    period: Duration,
    forms: Vec<String>,
    days: u16,
    /// The path that nobody can guess.
    key: String,
    port: u16,
    known: Mutex<Known>,
}

/// What is known, and how fresh it is.
struct Known {
    memory: Memory,
    dead_letters: Option<Result<u64, String>>,
    read: Instant,
    /// Why the last attempt to read it again failed.
    failure: Option<String>,
}

/// Serves until it is interrupted.
pub(crate) async fn run(options: &Options, installation: Installation, json: bool) -> Result<Report, Failure> {
    let forms = Forms::shipped().map_err(|error| Failure::Failed(format!("{error}: correct it and build again")))?;
    let period = match &installation.place {
        Place::Stack(_) => installation.settings()?.period,
        // Only the budget needs it, so a pilot’s page does without the variables of `serve`.
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
    /// Reads what has changed.
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

    /// The page under a path below the key, with its status.
    async fn page(&self, path: &str, query: &str) -> (StatusCode, Choice, Markup) {
        let mut known = self.known.lock().await;
        if known.read.elapsed() >= FRESH {
            let read = self.read(&mut known, &ProgressBar::hidden()).await;
            known.failure = read.err().map(|failure| failure.to_string());
        }
        let mut choice = Choice::read(query);
        choice.form = choice.form.min(self.forms.len().saturating_sub(1));
        // As of when it was read: what is shown from then must not look late because it is shown later.
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

    /// Whether a request names this very machine and port.
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

/// A page with the headers that all of them have.
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
    // Every header above is made of printable ASCII, so this does not fail; were it to, an empty answer is still one.
    response.body(visible(&markup.into_string()).into_owned()).unwrap_or_default()
}

/// Nothing is loaded from anywhere but the icon in the page, nothing runs, and the one form leads back here.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(digest(&SHA256, page::STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
});
