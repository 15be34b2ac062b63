//! A simulated Oura: OAuth, consent and the daily collections.
//!
//! [`Oura`] is the service, and what a test may do to it and see of it; [`Config`] and [`Settings`] say how it behaves;
//! a [`Person`] has the ring. Facts are those measured on the live service where there are any, otherwise those of the
//! published OpenAPI description 1.37; where reports differ there is a switch.

mod archive;
mod authorize;
mod collection;
mod collections;
mod consent;
mod documents;
mod grants;
mod life;
mod person;
mod refusal;
mod series;
mod settings;
mod throttle;
mod token;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use jiff::civil::Date;
use parking_lot::Mutex;
use serde_json::Value;
use url::Url;

pub use collection::Collection;
pub use documents::{Kind, Period};
pub use grants::{Grant, Violation};
pub use person::{Life, Person};
pub use settings::{Config, ErrorBody, Limit, MissingScope, Settings, SleepWindow, TierNames, TokenServer};
pub use throttle::Tier;

use archive::{Archive, Content};
use authorize::{Decision, Wrong};
use grants::Grants;
use refusal::Refusal;
use throttle::Throttle;

use crate::Clock;
use crate::draw;
use crate::server::Server;

/// The running service. Dropping it closes its port.
#[derive(Debug)]
pub struct Oura {
    server: Server,
    service: Arc<Service>,
}

#[derive(Debug)]
struct Service {
    world: Mutex<World>,
}

#[derive(Debug)]
struct World {
    clock: Clock,
    seed: u64,
    settings: Settings,
    people: Vec<Person>,
    archives: HashMap<String, Archive>,
    grants: Grants,
    throttle: Throttle,
}

impl Oura {
    /// Starts the service on a port of its own.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        let Config { clock, seed, people, settings } = config;
        let world = World {
            clock,
            seed,
            settings,
            people,
            archives: HashMap::new(),
            grants: Grants::new(seed),
            throttle: Throttle::default(),
        };
        let service = Arc::new(Service { world: Mutex::new(world) });
        let routes = Router::new()
            .route("/", get(people_page))
            .route("/oauth/authorize", get(authorize::page).post(authorize::decide))
            .route(authorize::NEW_PATH, get(authorize::page).post(authorize::decide))
            .route("/oauth/token", post(token::legacy_token))
            .route("/oauth/v2/ext/oauth-token", post(token::new_token))
            .route("/oauth/revoke", get(token::legacy_revoke).post(token::legacy_revoke))
            .route("/oauth/v2/ext/oauth-revoke", post(token::new_revoke))
            .route("/v2/usercollection/{name}", get(collections::many))
            .route("/v2/usercollection/{name}/{id}", get(collections::one))
            .with_state(Arc::clone(&service));
        let server = Server::routes(routes, Duration::from_mins(1)).await?;
        Ok(Self { server, service })
    }

    /// `http://127.0.0.1:<port>`: where the data is, and the base of all addresses.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The authorization endpoint that serves both token servers.
    #[must_use]
    pub fn authorize_url(&self) -> String {
        format!("{}/oauth/authorize", self.url())
    }

    /// The token endpoint of one server.
    #[must_use]
    pub fn token_url(&self, server: TokenServer) -> String {
        let path = match server {
            TokenServer::New => "/oauth/v2/ext/oauth-token",
            TokenServer::Legacy => "/oauth/token",
        };
        format!("{}{path}", self.url())
    }

    /// The revocation endpoint of one server.
    #[must_use]
    pub fn revoke_url(&self, server: TokenServer) -> String {
        let path = match server {
            TokenServer::New => "/oauth/v2/ext/oauth-revoke",
            TokenServer::Legacy => "/oauth/revoke",
        };
        format!("{}{path}", self.url())
    }

    /// Changes how the service behaves, at once.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.world().settings);
    }

    /// Registers one more address that the application may be called back at.
    pub fn register_redirect(&self, uri: &str) {
        self.configure(|settings| settings.redirect_uris.push(uri.to_owned()));
    }

    fn world(&self) -> parking_lot::MutexGuard<'_, World> {
        self.service.world.lock()
    }
}

/// People and their consent.
impl Oura {
    /// Opens an account.
    pub fn add_person(&self, person: Person) {
        self.world().people.push(person);
    }

    /// Changes a person: where they live, from the next day that is looked at, or how.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn change_person(&self, person: &str, change: impl FnOnce(&mut Person)) {
        change(self.world().person_mut(person));
    }

    /// Starts or stops a person's paid membership.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn set_member(&self, person: &str, member: bool) {
        self.world().person_mut(person).member = member;
    }

    /// What the person would do on the consent page that `authorize_url` leads to: choose who they are, leave every box
    /// checked and approve. Answers where the browser is sent.
    ///
    /// # Panics
    /// When the page would say that something is wrong with the link, with what it would say.
    #[must_use]
    pub fn approve(&self, authorize_url: &str, person: &str) -> Url {
        let all = authorize::SCOPES.map(str::to_owned).into();
        self.decide(authorize_url, Decision::Approve { person: person.to_owned(), scopes: all })
    }

    /// As [`Oura::approve`], with only these boxes checked.
    #[must_use]
    pub fn approve_only(&self, authorize_url: &str, person: &str, scopes: &[&str]) -> Url {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self.decide(authorize_url, Decision::Approve { person: person.to_owned(), scopes })
    }

    /// As [`Oura::approve`], but the person declines.
    #[must_use]
    pub fn decline(&self, authorize_url: &str) -> Url {
        self.decide(authorize_url, Decision::Decline)
    }

    fn decide(&self, authorize_url: &str, decision: Decision) -> Url {
        let url = Url::parse(authorize_url).expect("an authorize URL");
        let pairs = authorize::pairs(url.query().unwrap_or_default().as_bytes());
        match self.world().consent(url.path(), &pairs, decision) {
            Ok(back) | Err(Wrong::Redirect(back)) => back,
            Err(Wrong::Page(what)) => panic!("no consent page: {what}"),
        }
    }

    /// The person withdraws every consent in the Oura app.
    pub fn withdraw(&self, person: &str) {
        for grant in self.world().grants.all.iter_mut().filter(|grant| grant.person == person) {
            grant.revoked = true;
        }
    }

    /// The person's grants lose one scope (bare name), from the next request and the next refresh on.
    pub fn withdraw_scope(&self, person: &str, scope: &str) {
        for grant in self.world().grants.all.iter_mut().filter(|grant| grant.person == person) {
            grant.scopes.remove(scope);
        }
    }

    /// The person's access tokens stop working, whatever lifetime was promised; their refresh tokens still do.
    pub fn expire_access_tokens(&self, person: &str) {
        self.world().grants.expire_access(person);
    }

    /// Every grant of a person, oldest first.
    #[must_use]
    pub fn grants(&self, person: &str) -> Vec<Grant> {
        self.world().grants.all.iter().filter(|grant| grant.person == person).cloned().collect()
    }

    /// Every code and token ever given out: none of them may be found where it does not belong.
    #[must_use]
    pub fn issued(&self) -> Vec<String> {
        self.world().grants.issued.clone()
    }

    /// What the application did that it should not have, in order.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.world().grants.violations.clone()
    }

    /// Answers 429 until `until`: to the newest access tokens of one person, or to the whole application.
    pub fn throttle(&self, tier: Tier, person: &str, until: Timestamp) {
        let mut world = self.world();
        let World { grants, throttle, .. } = &mut *world;
        match tier {
            Tier::Application => throttle.close(None, until),
            Tier::Token => {
                for grant in grants.all.iter().filter(|grant| grant.person == person) {
                    throttle.close(grant.access_token.as_deref(), until);
                }
            }
        }
    }
}

/// Documents. Changes are visible from the present instant of the clock, unless an instant is given.
impl Oura {
    /// What is visible of a collection now, as served without `fields`, ordered by id. Raw texts that are not JSON are
    /// left out.
    #[must_use]
    pub fn documents(&self, person: &str, collection: Collection) -> Vec<Value> {
        let mut world = self.world();
        world.live_until_today(person);
        let (now, seed) = (world.clock.now(), world.seed);
        let texts: Vec<String> = world
            .archive(person)
            .visible(collection, now)
            .map(|(_, content)| collections::rendered(collection, seed, content, None))
            .collect();
        texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
    }

    /// What is visible of a collection for one day.
    #[must_use]
    pub fn documents_of(&self, person: &str, collection: Collection, day: Date) -> Vec<Value> {
        let wanted = day.to_string();
        let mut documents = self.documents(person, collection);
        documents.retain(|document| document["day"] == wanted.as_str());
        documents
    }

    /// The night's sleep of a day as Oura shows it now: the longest finished `long_sleep`.
    #[must_use]
    pub fn night(&self, person: &str, day: Date) -> Option<Value> {
        let mut nights = self.documents_of(person, Collection::Sleep, day);
        nights.retain(|night| night["type"] == "long_sleep" && !night["bedtime_end"].is_null());
        nights.into_iter().max_by_key(|night| night["total_sleep_duration"].as_i64())
    }

    /// Puts a document there exactly as it is, in place of any with the same `id`.
    ///
    /// # Panics
    /// When it has no `id`; everything else may be missing or wrong.
    pub fn put_document(&self, person: &str, collection: Collection, document: Value) {
        let now = self.world().clock.now();
        self.put_document_at(person, collection, document, now);
    }

    /// As [`Oura::put_document`], visible from `from` on: a late sync, or a revision to come.
    ///
    /// # Panics
    /// When it has no `id`; everything else may be missing or wrong.
    pub fn put_document_at(&self, person: &str, collection: Collection, document: Value, from: Timestamp) {
        let id = document["id"].as_str().expect("a document has an id").to_owned();
        let content = Content::Exact(document);
        let mut world = self.world();
        // The day first, or it would later be lived over the document.
        if let Some(day) = content.day() {
            world.live(person, day);
        }
        world.archive(person).put(collection, &id, from, content);
    }

    /// Puts a text in the place of a document, JSON or not. It is in every window.
    pub fn put_raw(&self, person: &str, collection: Collection, id: &str, text: &str) {
        let mut world = self.world();
        let now = world.clock.now();
        world.archive(person).put(collection, id, now, Content::Raw(text.to_owned()));
    }

    /// Takes a document away for good.
    pub fn remove_document(&self, person: &str, collection: Collection, id: &str) {
        let mut world = self.world();
        let now = world.clock.now();
        world.archive(person).put(collection, id, now, Content::Removed);
    }

    /// Puts a plausible sleep period there and answers its id.
    pub fn put_period(&self, person: &str, day: Date, period: Period) -> String {
        let mut world = self.world();
        world.live(person, day);
        let (now, seed) = (world.clock.now(), world.seed);
        let zone = world.person(person).zone.clone();
        let name = format!("{day} {period:?}");
        let id = life::id(seed, &["period", person, &name]);
        let document = documents::sleep(&mut draw::named(seed, &["period", &id]), &id, day, period, &zone);
        world.archive(person).put(Collection::Sleep, &id, now, Content::Lived(document));
        id
    }

    /// Gives a day one ordinary night, its scores and its activity, whatever life the person leads. They appear when
    /// they would have: the night in the morning, the activity through the day.
    pub fn live_regular_day(&self, person: &str, day: Date) {
        let mut world = self.world();
        let World { people, archives, seed, .. } = &mut *world;
        let person = people.iter().find(|other| other.id == person).expect("a person with an account");
        life::live_regular(archives.entry(person.id.clone()).or_default(), *seed, person, day);
    }

    /// Changes a document that is visible now, keeping its id; answers what it became.
    ///
    /// # Panics
    /// When there is none with this id.
    pub fn revise(&self, person: &str, collection: Collection, id: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut world = self.world();
        let now = world.clock.now();
        let mut content = world.archive(person).one(collection, id, now).expect("a visible document").clone();
        let (Content::Lived(document) | Content::Exact(document)) = &mut content else {
            return Value::Null;
        };
        change(document);
        let document = document.clone();
        world.archive(person).put(collection, id, now, content);
        document
    }

    /// Changes the night's sleep of a day, as when the person edits the bedtime; answers what it became.
    ///
    /// # Panics
    /// When the day has no finished night that is visible now.
    pub fn revise_night(&self, person: &str, day: Date, change: impl FnOnce(&mut Value)) -> Value {
        let night = self.night(person, day).expect("a finished night on this day");
        let id = night["id"].as_str().unwrap_or_default();
        self.revise(person, Collection::Sleep, id, change)
    }

    /// Takes the night's sleep and the scores of a day away, as when the person deletes the sleep; the activity stays.
    pub fn remove_night(&self, person: &str, day: Date) {
        for collection in [Collection::Sleep, Collection::DailySleep, Collection::DailyReadiness] {
            for document in self.documents_of(person, collection, day) {
                self.remove_document(person, collection, document["id"].as_str().unwrap_or_default());
            }
        }
    }

    /// Hides all documents of a day until the phone syncs at `until`.
    pub fn postpone(&self, person: &str, day: Date, until: Timestamp) {
        let mut world = self.world();
        world.live(person, day);
        world.archive(person).postpone(day, until);
    }
}

impl Service {
    fn answer(&self, handle: impl FnOnce(&mut World) -> Result<Response, Refusal>) -> Response {
        let mut world = self.world.lock();
        let shape = world.settings.error_body;
        handle(&mut world).unwrap_or_else(|refusal| refusal.into_response(shape))
    }
}

impl World {
    fn person(&self, id: &str) -> &Person {
        self.people.iter().find(|person| person.id == id).expect("a person with an account")
    }

    fn person_mut(&mut self, id: &str) -> &mut Person {
        self.people.iter_mut().find(|person| person.id == id).expect("a person with an account")
    }

    fn archive(&mut self, person: &str) -> &mut Archive {
        self.archives.entry(person.to_owned()).or_default()
    }
}

async fn people_page(State(service): State<Arc<Service>>) -> Html<String> {
    Html(consent::people(&service.world.lock().people).into_string())
}
