//! A simulated Oura: OAuth, consent and the daily collections.
//!
//! [`Oura`] is the service, with the methods that tests use to change and to read it. [`Config`] and [`Settings`]
//! configure it; a [`Person`] has a ring. It follows measurements of the live service where there are any, and the
//! published OpenAPI description 1.37 otherwise. Where reports differ, there is a switch.

mod archive;
mod authorize;
mod collection;
mod collections;
mod consent;
mod consenting;
mod documents;
mod editing;
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
use parking_lot::Mutex;

pub use collection::Collection;
pub use documents::{Kind, Period};
pub use grants::{Grant, Violation};
pub use person::{Life, Person};
pub use settings::{
    Config, ErrorBody, LifetimeFormat, Limit, MissingScope, RevocationEnds, ScopeFormat, Settings, SleepWindow,
    TierNames, TokenErrorStatus, TokenServer,
};
pub use throttle::Tier;

use archive::Archive;
use grants::Grants;
use refusal::Refusal;
use throttle::Throttle;

use crate::Clock;
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

    /// `http://127.0.0.1:<port>`: the address of the API, and the base of all addresses.
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

    /// Registers one more redirect URI of the application.
    pub fn register_redirect(&self, uri: &str) {
        self.configure(|settings| settings.redirect_uris.push(uri.to_owned()));
    }

    fn world(&self) -> parking_lot::MutexGuard<'_, World> {
        self.service.world.lock()
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
