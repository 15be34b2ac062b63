//! The promises: what must be true after every tick, and what must be true once the faults have stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use secrecy::ExposeSecret;
use sim::oura::Violation;
use sim::smartabase::Event;
use store::{AthleteId, Connection, SealPurpose, Status, Store};

use super::conditions::Refusal;
use super::truth::told;
use super::world::{Cause, EVE, World};
use crate::audit::SECRETS;
use crate::{DAYS, NIGHTS, deadline, log};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Which promise.
    pub(crate) promise: &'static str,
    /// The athlete concerned, by index into the athletes of the world.
    pub(crate) athlete: Option<usize>,
    /// What was found instead.
    pub(crate) how: String,
}

type Checked = Result<(), Broken>;

fn broken(promise: &'static str, athlete: Option<usize>, how: impl Into<String>) -> Checked {
    Err(Broken { promise, athlete, how: how.into() })
}

/// How many connections one request reads.
const PAGE: usize = 90;

/// The days before today that a tick fetches, as the template sets them.
const LOOKBACK: i64 = 7;

/// The interval at which [`World::untrue`] samples the time between two checks.
const MOMENT: SignedDuration = SignedDuration::from_secs(20);

/// The longest time after which the last sync of an unchanged athlete is written again.
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(1);

/// The most by which a worker's clock may be behind.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

impl World {
    /// The store, without the wire.
    pub(crate) fn store(&self) -> Store {
        let table = self.stage.process.connector.store.table();
        Store::new(self.stage.dynamo.client(), table)
    }

    fn who(&self, is: impl Fn(&super::world::Athlete) -> bool) -> Option<usize> {
        self.athletes.iter().position(is)
    }

    /// Checks the promises after the tick that began at `since`.
    pub(crate) async fn check(&mut self, since: Timestamp) -> Checked {
        self.one_event_per_date()?;
        self.nobody_misused()?;
        self.queue_is_sealed()?;
        log_is_sealed()?;
        let connections = self.connections().await;
        for athlete in 0..self.athletes.len() {
            let connection = connections.get(&self.athletes[athlete].number);
            self.grant_is_kept(athlete, connection)?;
            self.consent_lives(athlete, &self.athletes[athlete].id, connection)?;
            self.status_has_a_cause(athlete, connection)?;
        }
        self.written_truly(since)?;
        self.put_right(since, &connections)?;
        self.edited.clear();
        Ok(())
    }

    /// Checks athletes who were disturbed and have been synced since. Their window digest must describe confirmed
    /// records, so the records of the window must be right.
    fn put_right(&mut self, since: Timestamp, connections: &BTreeMap<u32, Connection>) -> Checked {
        let today = self.today();
        let disturbed: Vec<_> = (0..self.athletes.len()).filter(|athlete| self.athletes[*athlete].disturbed).collect();
        if disturbed.is_empty() {
            return Ok(());
        }
        let users: BTreeSet<_> = disturbed.iter().map(|athlete| self.athletes[*athlete].user).collect();
        let first = today.saturating_sub((LOOKBACK + 1).days());
        let events = self.by_place(|event| event.start_date >= first && users.contains(&event.user));
        for athlete in disturbed {
            let one = &self.athletes[athlete];
            let synced = connections.get(&one.number).is_some_and(|connection| {
                connection.status == Status::Active
                    && connection.digest.is_some()
                    && connection.last_sync.is_some_and(|at| at > since - SKEW)
            });
            if !synced {
                continue;
            }
            // Skips the days at both ends of the window: they are in or out of it, depending on the worker's clock.
            for day in today.saturating_sub((LOOKBACK - 1).days()).series(1.day()).take_while(|day| *day <= today) {
                let Ok(evening) = day.yesterday() else { continue };
                for (form, date) in [(NIGHTS, evening), (DAYS, day)] {
                    let event = events.get(&(one.user, form, date));
                    if let Some(how) = self.untrue(event, &one.person, form, date, since) {
                        return broken("a digest stands for what was confirmed", Some(athlete), how);
                    }
                }
            }
            self.athletes[athlete].disturbed = false;
        }
        Ok(())
    }

    fn one_event_per_date(&self) -> Checked {
        match self.stage.smartabase.duplicates().first() {
            None => Ok(()),
            Some((user, form, date)) => {
                let who = self.who(|one| one.user == *user);
                broken("one event per athlete, form and date", who, format!("several events in {form:?} on {date}"))
            }
        }
    }

    fn nobody_misused(&self) -> Checked {
        if let Some(violation) = self.stage.smartabase.violations().first() {
            return broken("Smartabase is used as it must be", None, format!("{violation:?}"));
        }
        for violation in self.stage.oura.violations() {
            let person = match &violation {
                Violation::RefreshTokenReused { person, .. }
                | Violation::CodeReused { person }
                | Violation::CodeAtWrongServer { person }
                | Violation::RefreshTokenAtWrongServer { person }
                | Violation::WrongVerifier { person } => person.clone(),
            };
            let who = self.who(|one| one.person == person);
            let excused = matches!(violation, Violation::RefreshTokenReused { generation, .. }
                if who.is_some_and(|who| self.athletes[who].spent.contains(&generation)));
            if !excused {
                return broken("no token is used twice", who, format!("{violation:?}"));
            }
        }
        Ok(())
    }

    fn queue_is_sealed(&self) -> Checked {
        let waiting = &self.stage.process.waiting;
        let dead = waiting.dead_letters().into_iter().flat_map(|(body, reason)| [body, reason]);
        for text in waiting.bodies().into_iter().chain(dead) {
            sealed("the queue", &text)?;
        }
        Ok(())
    }

    pub(crate) async fn connections(&self) -> BTreeMap<u32, Connection> {
        let store = self.store();
        let mut connections = BTreeMap::new();
        for page in self.athletes.chunks(PAGE) {
            let ids: Vec<_> = page.iter().map(|athlete| athlete.id.clone()).collect();
            let mut snapshot = store.snapshot(&ids, deadline().instant()).await.unwrap();
            for athlete in page {
                if let Some(connection) = snapshot.connections.remove(&athlete.id) {
                    connections.insert(athlete.number, connection);
                }
            }
        }
        connections
    }

    /// Checks that the table holds the refresh token that Oura expects, or that a rescue message is on its way with it.
    fn grant_is_kept(&self, athlete: usize, connection: Option<&Connection>) -> Checked {
        let one = &self.athletes[athlete];
        let promise = "a refresh token is stored before its access token is used";
        if one.used_before_stored {
            return broken(promise, Some(athlete), "the access token was used while the table knew nothing of it");
        }
        let Some(stored) = connection.and_then(|connection| connection.grant.as_ref()) else { return Ok(()) };
        let opened = self.vault.newest().open(SealPurpose::Grant, &one.id, &stored.sealed);
        let Ok(opened) = opened else {
            return broken("a stored grant opens", Some(athlete), "no key opens the stored grant");
        };
        let text = String::from_utf8_lossy(opened.expose_secret()).into_owned();
        let living = self.stage.oura.grants(&one.person);
        let kept = living.iter().filter_map(|grant| grant.refresh_token.as_deref()).any(|token| text.contains(token));
        let bodies = self.stage.process.waiting.bodies();
        let coming = bodies.iter().any(|body| body.contains("\"rescue\"") && body.contains(&format!("\"{}\"", one.id)));
        if kept || coming || one.causes.contains(&Cause::GrantLost) {
            Ok(())
        } else {
            broken(promise, Some(athlete), "the stored refresh token is spent")
        }
    }

    /// Checks that Oura still knows the grant that is stored under `id`, unless the person has withdrawn it.
    pub(crate) fn consent_lives(&self, athlete: usize, id: &AthleteId, connection: Option<&Connection>) -> Checked {
        let one = &self.athletes[athlete];
        let needed = |status| matches!(status, Status::Active | Status::MembershipLapsed | Status::NeedsConsent);
        let needed = connection.filter(|connection| needed(connection.status));
        let Some(stored) = needed.and_then(|connection| connection.grant.as_ref()) else { return Ok(()) };
        let Ok(opened) = self.vault.newest().open(SealPurpose::Grant, id, &stored.sealed) else { return Ok(()) };
        let text = String::from_utf8_lossy(opened.expose_secret()).into_owned();
        let grants = self.stage.oura.grants(&one.person);
        let is_stored = |token: Option<&str>| token.is_some_and(|token| text.contains(token));
        let ended = grants.iter().any(|grant| grant.revoked && is_stored(grant.refresh_token.as_deref()));
        if ended && !one.causes.contains(&Cause::Withdrawn) {
            let how = format!("a revocation has ended the consent that {id} has given since");
            return broken("no athlete is asked to connect again because of us", Some(athlete), how);
        }
        Ok(())
    }

    /// The status of each athlete's connection.
    pub(crate) async fn statuses(&self) -> BTreeMap<u32, Status> {
        let connections = self.connections().await;
        connections.into_iter().map(|(number, connection)| (number, connection.status)).collect()
    }

    /// While a CDN refuses every request to Oura's API, no connection may become `MembershipLapsed`. If the CDN also
    /// refuses requests to the token server, no connection may lose its consent either.
    pub(crate) async fn cdn_says_nothing(&self, before: &BTreeMap<u32, Status>) -> Checked {
        let tokens = self.conditions.cdn == Some(Refusal::ApiAndTokens);
        let after = self.statuses().await;
        for (place, one) in self.athletes.iter().enumerate() {
            let (before, after) = (before.get(&one.number), after.get(&one.number));
            let verdict = match after {
                Some(Status::MembershipLapsed) => true,
                Some(Status::NeedsConsent | Status::ScopeMissing) => tokens,
                _ => false,
            };
            if verdict && before != after {
                let status = after.map_or("gone", |status| status.name());
                let how = format!("the connection has become {status} while a CDN refused everything");
                return broken("a CDN's answer says nothing about an athlete", Some(place), how);
            }
        }
        Ok(())
    }

    /// Checks that every athlete who was healthy at two ticks at least an hour apart, without faults in between, was
    /// synced. `fine` says whether the tick that began at `began` had no faults.
    pub(crate) async fn uneventful_is_synced(&mut self, began: Timestamp, fine: bool) -> Checked {
        let connections = self.connections().await;
        for place in 0..self.athletes.len() {
            let lent = self.is_lent(place);
            let one = &mut self.athletes[place];
            let connection = connections.get(&one.number).filter(|connection| connection.status == Status::Active);
            let eventful = std::mem::take(&mut one.eventful);
            let in_order = one.causes.is_empty() && one.member_again.is_none() && !lent;
            let Some(connection) = connection.filter(|_| fine && !eventful && in_order) else {
                one.uneventful_since = None;
                continue;
            };
            let since = *one.uneventful_since.get_or_insert(began);
            if began.duration_since(since) < HEARTBEAT {
                continue;
            }
            one.uneventful_since = Some(began);
            let synced = connection.last_sync.is_some_and(|at| at > since - HEARTBEAT - SKEW);
            if !synced {
                let last = connection.last_sync;
                let how = format!("nothing was in the way since {since}, and the last sync was at {last:?}");
                return broken("an athlete without troubles is synced", Some(place), how);
            }
        }
        Ok(())
    }

    fn status_has_a_cause(&self, athlete: usize, connection: Option<&Connection>) -> Checked {
        let causes = &self.athletes[athlete].causes;
        let may = |cause: &[Cause]| cause.iter().any(|cause| causes.contains(cause));
        let status = connection.map(|connection| connection.status);
        let fine = match status {
            None => may(&[Cause::Unconnected]),
            Some(Status::Active) => true,
            Some(Status::NeedsConsent) => may(&[Cause::Withdrawn, Cause::GrantLost]),
            Some(Status::ScopeMissing) => may(&[Cause::ScopeWithdrawn]),
            Some(Status::MembershipLapsed) => may(&[Cause::Lapsed]),
            Some(Status::Disconnected) => may(&[Cause::Disconnected]),
            Some(Status::OuraAccountTaken) => may(&[Cause::Lent]),
        };
        if fine {
            Ok(())
        } else {
            let status = status.map_or("gone", Status::name);
            broken(
                "nobody is asked to act without cause",
                Some(athlete),
                format!("the connection is {status}, causes {causes:?}"),
            )
        }
    }

    /// Checks every event that was written since then. Each field must equal what Oura showed for that athlete then, or
    /// shows now.
    fn written_truly(&self, since: Timestamp) -> Checked {
        for form in [NIGHTS, DAYS] {
            for event in self.stage.smartabase.events_where(form, |event| event.changed >= since) {
                let lent = self.guests.iter().find(|guest| guest.user == event.user).and_then(|guest| guest.loan);
                let who = lent.map(|loan| loan.athlete).or_else(|| self.who(|one| one.user == event.user));
                let Some(who) = who else {
                    return broken("an event is an athlete's", None, format!("user {}", event.user));
                };
                let person = &self.athletes[who].person;
                if let Some(how) = self.untrue(Some(&event), person, form, event.start_date, since) {
                    return broken("an event says what Oura says", Some(who), how);
                }
            }
        }
        Ok(())
    }

    /// The first field of a record whose value Oura did not show at any moment from `since` until now.
    fn untrue(&self, event: Option<&Event>, person: &str, form: &str, date: Date, since: Timestamp) -> Option<String> {
        let now = self.now();
        // Most records equal what Oura shows now or showed at `since`. If not, the document changed twice: check the
        // moments in between.
        let closely = (1..).map(|moments| since + MOMENT * moments).take_while(|moment| *moment < now);
        let closely = self.edited.iter().copied().filter(|edited| *edited > since).chain(closely);
        let mut wrong: Option<Vec<(&str, String)>> = None;
        for moment in [now, since].into_iter().chain(closely) {
            self.set_time(moment);
            let told = told(&self.stage.oura, person, form, date);
            let says = |field: &str| event.and_then(|event| event.value(field));
            let otherwise = told.into_iter().filter(|(field, told)| says(field) != told.as_deref());
            let otherwise = otherwise.map(|(field, told)| (field, format!("{:?}, not {told:?}", says(field))));
            let otherwise: Vec<_> = match wrong {
                None => otherwise.collect(),
                Some(before) => otherwise.filter(|(field, _)| before.iter().any(|(other, _)| other == field)).collect(),
            };
            let all_true = otherwise.is_empty();
            wrong = Some(otherwise);
            if all_true {
                break;
            }
        }
        self.set_time(now);
        let (field, how) = wrong?.into_iter().next()?;
        Some(format!("{field:?} of {form:?} on {date} is {how}"))
    }

    /// Checks that the table holds no secret in the clear.
    pub(crate) async fn table_is_sealed(&self) -> Checked {
        let store = self.store();
        let database = self.stage.dynamo.client();
        let mut pages = database.scan().table_name(store.table()).into_paginator().items().send();
        let mut text = String::new();
        while let Some(item) = pages.next().await {
            text.clear();
            for (_, value) in item.unwrap() {
                write(&value, &mut text);
            }
            sealed("the table", &text)?;
        }
        Ok(())
    }

    /// Checks the end of a story. Every athlete is connected and healthy. Every record of the story equals what Oura
    /// shows, or showed since the last tick began at `since`, and none is missing.
    pub(crate) async fn converged(&mut self, since: Timestamp) -> Checked {
        let connections = self.connections().await;
        let events = self.by_place(|_| true);
        let today = self.today();
        for athlete in 0..self.athletes.len() {
            let one = &self.athletes[athlete];
            let Some(connection) = connections.get(&one.number) else {
                return broken("everybody is connected in the end", Some(athlete), "there is no connection");
            };
            if connection.status != Status::Active || connection.note.is_some() || connection.backfill_from.is_some() {
                let how = format!(
                    "status {}, note {:?}, history owed from {:?}",
                    connection.status, connection.note, connection.backfill_from
                );
                return broken("everybody is in order in the end", Some(athlete), how);
            }
            for day in EVE.series(1.day()).take_while(|day| *day <= today.saturating_add(1.day())) {
                let Ok(evening) = day.yesterday() else { continue };
                for (form, date) in [(NIGHTS, evening), (DAYS, day)] {
                    self.right_in_the_end(athlete, form, date, events.get(&(one.user, form, date)), since)?;
                }
            }
        }
        Ok(())
    }

    fn right_in_the_end(
        &self,
        athlete: usize,
        form: &str,
        date: Date,
        event: Option<&Event>,
        since: Timestamp,
    ) -> Checked {
        let one = &self.athletes[athlete];
        // An event that staff deleted comes back only with the next revision of the night, and there may be none.
        if event.is_none() && form == NIGHTS && one.deleted.contains(&date) {
            return Ok(());
        }
        match (event, self.untrue(event, &one.person, form, date, since)) {
            (_, None) => Ok(()),
            (None, Some(_)) => {
                broken("no record is lost", Some(athlete), format!("{form:?} of {date} has no event at {}", self.now()))
            }
            (Some(_), Some(how)) => broken("every record equals Oura in the end", Some(athlete), how),
        }
    }

    fn by_place(&self, wanted: impl Fn(&Event) -> bool) -> BTreeMap<(i64, &'static str, Date), Event> {
        let of = |form: &'static str| {
            let events = self.stage.smartabase.events_where(form, &wanted).into_iter();
            events.map(move |event| ((event.user, form, event.start_date), event))
        };
        of(NIGHTS).chain(of(DAYS)).collect()
    }

    /// The athletes who have to act themselves, by number.
    pub(crate) async fn waiting_for_athletes(&self) -> BTreeSet<u32> {
        let connections = self.connections().await;
        let needs = |connection: Option<&Connection>| {
            connection.is_none_or(|connection| !matches!(connection.status, Status::Active | Status::MembershipLapsed))
        };
        self.athletes.iter().map(|one| one.number).filter(|number| needs(connections.get(number))).collect()
    }
}

fn write(value: &AttributeValue, text: &mut String) {
    match value {
        AttributeValue::S(string) => text.push_str(string),
        AttributeValue::B(bytes) => text.push_str(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::M(map) => map.values().for_each(|value| write(value, text)),
        AttributeValue::L(list) => list.iter().for_each(|value| write(value, text)),
        other => {
            // Writing to a string does not fail.
            let _ = write!(text, "{other:?}");
        }
    }
    text.push('\n');
}

/// Asserts that `text` contains no secret. The tokens and codes of the simulated Oura begin with their kind, so each
/// one can be recognised.
fn sealed(place: &str, text: &str) -> Checked {
    let kinds = ["access.", "refresh.", "code."];
    for secret in SECRETS.into_iter().chain(kinds) {
        if text.contains(secret) {
            return broken("no secret lies open", None, format!("{secret:?} in {place}"));
        }
    }
    Ok(())
}

/// Checks that the log contains no secret.
pub(crate) fn log_is_sealed() -> Checked {
    sealed("the log", &log::everything())
}
