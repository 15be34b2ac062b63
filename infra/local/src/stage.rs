use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use anyhow::{Context, bail, ensure};
use connector::forms::Forms;
use dynamo::Dynamo;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Response, redirect};
use runtime::{Clock, Given, Secrets, Settings};
use sim::oura::{Oura, Person};
use sim::smartabase::{Form, Smartabase, User};
use sim::wire::{Log, Wire};
use sim::{oura as oura_sim, smartabase as smartabase_sim};
use store::{KeyVersion, Keyring};

use crate::{Parts, Process};

/// The whole product against simulated services. A wire in front of each service and of the table counts requests.
pub struct Stage {
    /// The connector.
    pub process: Process,
    /// Simulated Oura.
    pub oura: Oura,
    /// Simulated Smartabase.
    pub smartabase: Smartabase,
    /// The wire between the connector and Oura.
    pub oura_wire: Wire,
    /// The wire between the connector and Smartabase.
    pub smartabase_wire: Wire,
    /// The wire between the connector and the table.
    pub table_wire: Wire,
    /// The clock that all of them share.
    pub clock: Clock,
    /// An HTTP client that stores no cookies and follows no redirects, so that tests can check every step.
    pub browser: reqwest::Client,
    /// The database behind its wire.
    pub dynamo: Dynamo,
}

/// The initial state of a stage.
pub struct Cast {
    /// The time at the start.
    pub now: Timestamp,
    /// The people with a ring.
    pub people: Vec<Person>,
    /// The users on the site's roster.
    pub users: Vec<User>,
    /// Environment variables that differ from a deployment's defaults, by the names the functions read.
    pub variables: Vec<(&'static str, String)>,
    /// Changes to the default simulated Oura.
    pub oura: oura_sim::Settings,
    /// Changes to the default simulated Smartabase.
    pub smartabase: smartabase_sim::Settings,
}

/// The requests that a step took.
#[derive(Clone, Debug)]
pub struct Cost {
    /// To Oura.
    pub oura: Log,
    /// To Smartabase.
    pub smartabase: Log,
    /// To the table.
    pub table: Log,
}

/// The pages of a visit, from the link to the end.
#[derive(Debug)]
pub struct Visit {
    /// The status of the last page.
    pub status: u16,
    /// The last page.
    pub page: String,
}

impl Cast {
    /// A cast without people, on the morning of Tuesday 3 March 2026.
    ///
    /// # Panics
    /// Never: the instant is a literal.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: Timestamp::from_second(TUESDAY_MORNING).unwrap_or(Timestamp::UNIX_EPOCH),
            people: Vec::new(),
            users: Vec::new(),
            variables: Vec::new(),
            oura: oura_sim::Settings::default(),
            smartabase: smartabase_sim::Settings::default(),
        }
    }
}

/// 2026-03-03T08:30:00Z.
const TUESDAY_MORNING: i64 = 1_772_526_600;

impl Default for Cast {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Starts everything and registers the callback at Oura.
    pub async fn set(cast: Cast) -> anyhow::Result<Self> {
        Self::set_with(cast, Forms::shipped()?).await
    }

    /// The same, at a site with other forms than the built-in ones.
    pub async fn set_with(cast: Cast, forms: Forms) -> anyhow::Result<Self> {
        let hands = Arc::new(AtomicI64::new(cast.now.as_millisecond()));
        let clock = Clock::Manual(Arc::clone(&hands));
        let oura = Oura::start(oura_sim::Config {
            clock: Arc::clone(&hands).into(),
            people: cast.people,
            settings: cast.oura.clone(),
            ..oura_sim::Config::default()
        })
        .await?;
        let account = smartabase_sim::Config::default();
        let credentials = (account.username.clone(), account.password.clone());
        let smartabase = Smartabase::start(smartabase_sim::Config {
            clock: hands.into(),
            forms: site_forms(&forms),
            users: cast.users,
            settings: cast.smartabase,
            ..account
        })
        .await?;
        let dynamo = Dynamo::in_memory().await?;
        let oura_wire = Wire::start(&oura.url()).await?;
        let smartabase_wire = Wire::start(&smartabase.url()).await?;
        let table_wire = Wire::start(&dynamo.endpoint().await?).await?;
        let through = |address: String| address.replacen(&oura.url(), &oura_wire.url(), 1);
        let server = cast.oura.server;
        let mut variables = vec![
            ("SMARTABASE_URL", smartabase_wire.url()),
            ("OURA_AUTHORIZE_URL", oura.authorize_url()),
            ("OURA_TOKEN_URL", through(oura.token_url(server))),
            ("OURA_REVOKE_URL", through(oura.revoke_url(server))),
            ("OURA_API_URL", oura_wire.url()),
            // The real port replaces this.
            ("PUBLIC_URL", "http://127.0.0.1".to_owned()),
        ];
        variables.extend(cast.variables);
        let settings = Settings::read(|name| {
            variables.iter().rev().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone())
        })?;
        let secrets = Given::new(
            oura::ClientCredentials { client_id: cast.oura.client_id, client_secret: cast.oura.client_secret.into() },
            smartabase::Credentials { username: credentials.0, password: credentials.1.into() },
            Keyring::new(KeyVersion { id: "first".to_owned(), secret: "the root key of the stage".into() }),
        );
        let process = Process::start(Parts {
            settings,
            public: false,
            forms,
            secrets: Secrets::Given(secrets),
            clock: clock.clone(),
            database: dynamo::client_at(&table_wire.url()),
            port: 0,
        })
        .await?;
        oura.register_redirect(process.connector.settings.callback().as_str());
        let browser = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
        let stage = Self { process, oura, smartabase, oura_wire, smartabase_wire, table_wire, clock, browser, dynamo };
        let _making_the_table = stage.cost();
        Ok(stage)
    }

    /// The number of requests to each service since the last call.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            oura: self.oura_wire.take_log(),
            smartabase: self.smartabase_wire.take_log(),
            table: self.table_wire.take_log(),
        }
    }

    /// Runs a tick, then the jobs that it queued.
    pub async fn tick(&self) -> anyhow::Result<()> {
        self.process.tick().await?;
        self.settle().await;
        Ok(())
    }

    /// Moves the clock.
    pub fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
    }

    /// Runs the queued jobs that become visible within a period from now.
    pub async fn settle(&self) {
        let period = SignedDuration::try_from(self.process.connector.settings.period).unwrap_or(SignedDuration::ZERO);
        self.process.work_until(self.clock.now() + period).await;
    }

    /// The personal link in the profile form of a user.
    pub fn link(&self, user: i64) -> anyhow::Result<String> {
        let form = &self.process.connector.forms.authorise;
        let profile = self.smartabase.profile(user, form.name.as_str()).context("the user has no link")?;
        Ok(profile.value(&form.link).context("the link is not in its field")?.to_owned())
    }

    /// Connects as an athlete does: opens the link, presses the button, approves at Oura as `person`, returns.
    pub async fn connect(&self, user: i64, person: &str) -> anyhow::Result<Visit> {
        let (consent, cookie) = self.depart(user).await?;
        let back = self.oura.approve(&consent, person);
        self.arrive(back.as_str(), &cookie).await
    }

    /// Opens the link and presses the button. Returns Oura's consent page and the cookie.
    pub async fn depart(&self, user: i64) -> anyhow::Result<(String, String)> {
        let answer = self.press(user, "connect").await?;
        ensure!(answer.status() == 303, "the button answered {}", answer.status());
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let consent = header(LOCATION).context("the button leads nowhere")?;
        let cookie = header(SET_COOKIE).context("the button set no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok((consent, cookie))
    }

    /// Returns from Oura to the callback.
    pub async fn arrive(&self, back: &str, cookie: &str) -> anyhow::Result<Visit> {
        Visit::of(self.browser.get(back).header(COOKIE, cookie).send().await?).await
    }

    /// Presses *Disconnect*.
    pub async fn disconnect(&self, user: i64) -> anyhow::Result<Visit> {
        Visit::of(self.press(user, "disconnect").await?).await
    }

    /// Opens the link and submits the page's form to `action`.
    async fn press(&self, user: i64, action: &str) -> anyhow::Result<Response> {
        let link = self.link(user)?;
        let page = self.browser.get(&link).send().await?;
        ensure!(page.status() == 200, "the connect page answered {}", page.status());
        let cookie = page.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
        let page = page.text().await?;
        let (_, token) = page.split_once("name=\"token\" value=\"").context("the page has no token")?;
        let token = token.split('"').next().unwrap_or_default();
        let (address, query) = link.split_once('?').context("the link has no query")?;
        let request = self.browser.post(address.replace("/connect", &format!("/{action}"))).header(COOKIE, cookie);
        Ok(request.body(format!("{query}&token={token}")).send().await?)
    }

    /// Submits a form as a page of the connector would, with these fields.
    pub async fn post(&self, address: &str, form: &str) -> anyhow::Result<Response> {
        let token = "a".repeat(43);
        let request = self.browser.post(address).header("content-type", "application/x-www-form-urlencoded");
        let request = request.header(COOKIE, format!("__Host-form={token}"));
        Ok(request.body(format!("{form}&token={token}")).send().await?)
    }

    /// The secrets, so that a test can replace them while the process runs.
    pub fn secrets(&self) -> anyhow::Result<&Given> {
        match &self.process.connector.secrets {
            Secrets::Given(given) => Ok(given),
            Secrets::Manager(_) => bail!("a stage has no secrets manager"),
        }
    }
}

impl Visit {
    /// Reads a page to its end.
    pub async fn of(response: Response) -> anyhow::Result<Self> {
        Ok(Self { status: response.status().as_u16(), page: response.text().await? })
    }
}

/// The forms that an administrator would build from `forms.toml`.
#[must_use]
pub fn site_forms(forms: &Forms) -> Vec<Form> {
    let events = forms.events.iter().map(|form| {
        let labels = form.fields.iter().map(|field| field.label.clone());
        Form::event(form.name.as_str(), labels)
    });
    let profiles = forms.profiles().map(|(name, labels)| Form::profile(name.as_str(), labels));
    events.chain(profiles).collect()
}
