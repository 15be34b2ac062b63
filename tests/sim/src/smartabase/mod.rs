//! A simulated Smartabase site: forms, roster, profiles, and the many ways in which the API reports success without it.
//!
//! [`Smartabase`] is the site, with the methods that tests use to change and to read it. [`Config`], [`Form`] and
//! [`User`] fill it, and [`Settings`] holds the switches. Answers follow recorded traffic and the vendor's own clients.
//! Where there is no evidence of what the site does, it refuses.

mod answer;
mod door;
mod import;
mod page;
mod record;
mod roster;
mod search;
mod session;
mod site;
mod wall;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use parking_lot::Mutex;

pub use record::{Event, Profile, Row};
pub use site::{Config, CursorName, CursorPlace, Empty, Form, Kind, Schemas, Settings, UpdateElsewhere, User};

use crate::Clock;
use crate::server::Server;

/// The user id of the account that logs in.
pub const API_USER: i64 = 1;

/// Something that a correct client never sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A v1 call without `?informat=json&format=json`; holds the path.
    FormatNotAsked(String),
    /// A date that is not `dd/MM/yyyy`; holds the text.
    Date(String),
    /// A time that is not `h:mm AM` or `h:mm PM`; holds the text.
    Time(String),
    /// A time in the hour after midnight, written as `12:mm AM`; holds the text.
    TwelveAm(String),
    /// A value that is not a string; holds the field's name.
    ValueNotText(String),
    /// A field that the site computes by itself; holds the field's name.
    LinkedField(String),
    /// A search or synchronisation that names no users; holds the path.
    WithoutUsers(String),
    /// A request for the roster without paging.
    WithoutPaging,
}

/// The running site. Dropping it closes its port.
#[derive(Debug)]
pub struct Smartabase {
    server: Server,
    path: String,
    site: Arc<Mutex<Site>>,
}

#[derive(Debug)]
struct Site {
    clock: Clock,
    path: String,
    username: String,
    password: String,
    settings: Settings,
    forms: Vec<Form>,
    users: Vec<User>,
    merged_users: Vec<(i64, i64)>,
    deleted_users: Vec<i64>,
    events: BTreeMap<i64, Event>,
    deleted: Vec<(Event, Timestamp)>,
    profiles: BTreeMap<(String, i64), Profile>,
    sessions: BTreeSet<String>,
    last_id: i64,
    refused: u64,
    violations: Vec<Violation>,
}

impl Smartabase {
    /// Starts the site on a port of its own.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        let Config { clock, path, username, password, forms, users, settings, keep_alive } = config;
        let path = format!("/{}", path.trim_matches('/'));
        let site = Site {
            clock,
            path: path.clone(),
            username,
            password,
            settings,
            forms,
            users,
            merged_users: Vec::new(),
            deleted_users: Vec::new(),
            events: BTreeMap::new(),
            deleted: Vec::new(),
            profiles: BTreeMap::new(),
            sessions: BTreeSet::new(),
            last_id: 2_000_000,
            refused: 0,
            violations: Vec::new(),
        };
        let site = Arc::new(Mutex::new(site));
        let server = Server::routes(door::routes(Arc::clone(&site)), keep_alive).await?;
        Ok(Self { server, path, site })
    }

    /// The address of the site, path included, without a trailing slash: what an operator would configure.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.server.url(), self.path)
    }

    /// The address of a page that shows every form as a table.
    #[must_use]
    pub fn page_url(&self) -> String {
        format!("{}/", self.server.url())
    }

    /// Changes how the site behaves, at once.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.site.lock().settings);
    }

    /// Changes the password of the account.
    pub fn set_password(&self, password: &str) {
        password.clone_into(&mut self.site.lock().password);
    }

    /// How many requests were refused for a wrong username or password.
    #[must_use]
    pub fn refused_logins(&self) -> u64 {
        self.site.lock().refused
    }

    /// What a client sent that it must not send, in order.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.site.lock().violations.clone()
    }
}

/// Forms and users.
impl Smartabase {
    /// Adds a form, or replaces the one with the same name. The records stay.
    pub fn set_form(&self, form: Form) {
        let mut site = self.site.lock();
        site.forms.retain(|other| other.name != form.name);
        site.forms.push(form);
    }

    /// Removes a form. Its records stay but cannot be reached.
    pub fn remove_form(&self, name: &str) {
        self.site.lock().forms.retain(|form| form.name != name);
    }

    /// Adds a user, or replaces the one with the same id.
    pub fn set_user(&self, user: User) {
        let mut site = self.site.lock();
        site.users.retain(|other| other.id != user.id);
        site.users.push(user);
        site.users.sort_by_key(|user| user.id);
    }

    /// Deletes a user. The roster reports it to callers that send the user's id.
    pub fn delete_user(&self, id: i64) {
        let mut site = self.site.lock();
        site.users.retain(|user| user.id != id);
        site.deleted_users.push(id);
    }

    /// Removes a user from the groups of the account. The account no longer sees the user, and the roster does not
    /// report it.
    pub fn hide_user(&self, id: i64) {
        self.site.lock().users.retain(|user| user.id != id);
    }

    /// Merges one user into another. The old id and its data are removed, and the roster reports both ids.
    pub fn merge_users(&self, old: i64, new: i64) {
        let mut site = self.site.lock();
        site.users.retain(|user| user.id != old);
        site.merged_users.push((old, new));
        for event in site.events.values_mut().filter(|event| event.user == old) {
            event.user = new;
        }
        let (moved, kept) = std::mem::take(&mut site.profiles).into_iter().partition(|((_, user), _)| *user == old);
        site.profiles = kept;
        let moved: BTreeMap<(String, i64), Profile> = moved;
        for ((form, _), mut profile) in moved {
            profile.user = new;
            site.profiles.entry((form, new)).or_insert(profile);
        }
    }
}

/// Records.
impl Smartabase {
    /// The events of a form, by user, date, time and id.
    #[must_use]
    pub fn events(&self, form: &str) -> Vec<Event> {
        self.events_where(form, |_| true)
    }

    /// The events of a form that satisfy `wanted`, by user, date, time and id.
    pub fn events_where(&self, form: &str, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        let site = self.site.lock();
        let mut events: Vec<Event> =
            site.events.values().filter(|event| event.form == form && wanted(event)).cloned().collect();
        events.sort_by_key(|event| (event.user, event.start_date, event.start_time, event.id));
        events
    }

    /// The events of one user on a form, by date, time and id.
    #[must_use]
    pub fn events_of(&self, user: i64, form: &str) -> Vec<Event> {
        self.events_where(form, |event| event.user == user)
    }

    /// The event of one user on a form for this date; the oldest, if there are several.
    #[must_use]
    pub fn event_on(&self, user: i64, form: &str, date: Date) -> Option<Event> {
        let events = self.events_where(form, |event| event.user == user && event.start_date == date);
        events.into_iter().min_by_key(|event| event.id)
    }

    /// User, form and date for which more than one event exists.
    #[must_use]
    pub fn duplicates(&self) -> Vec<(i64, String, Date)> {
        let site = self.site.lock();
        let mut seen = HashSet::new();
        let places = site.events.values().map(|event| (event.user, event.form.as_str(), event.start_date));
        places.filter(|place| !seen.insert(*place)).map(|(user, form, date)| (user, form.to_owned(), date)).collect()
    }

    /// The record of one user on a profile form.
    #[must_use]
    pub fn profile(&self, user: i64, form: &str) -> Option<Profile> {
        self.site.lock().profiles.get(&(form.to_owned(), user)).cloned()
    }

    /// Stores an event under a new id, as staff would in the web application. Returns the id.
    pub fn put_event(&self, mut event: Event) -> i64 {
        let mut site = self.site.lock();
        event.id = site.next_id();
        event.changed = site.clock.now();
        let id = event.id;
        site.events.insert(id, event);
        id
    }

    /// Changes an event, as staff would in the web application. Returns whether the id exists.
    pub fn edit_event(&self, id: i64, change: impl FnOnce(&mut Event)) -> bool {
        let mut site = self.site.lock();
        let now = site.clock.now();
        let Some(event) = site.events.get_mut(&id) else { return false };
        change(event);
        event.changed = now;
        true
    }

    /// Deletes an event, as staff would in the web application. Returns whether the id existed.
    pub fn delete_event(&self, id: i64) -> bool {
        self.site.lock().delete(id)
    }
}

impl Site {
    fn form(&self, name: &str, kind: Kind) -> Option<&Form> {
        self.forms.iter().find(|form| form.name == name && form.kind == kind)
    }

    fn user(&self, id: i64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn delete(&mut self, id: i64) -> bool {
        let now = self.clock.now();
        match self.events.remove(&id) {
            Some(event) => {
                self.deleted.push((event, now));
                true
            }
            None => false,
        }
    }
}
