//! Holds: pauses that a remote service orders for all processes.

use std::fmt;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::attributes::{Item, Reader, instant, text};
use crate::client::{Store, bounded};
use crate::error::{StoreError, classify};
use crate::keys::Key;
use crate::outage::Outage;
use crate::update_expression::{ItemUpdate, UpdateOutcome};

const UNTIL: &str = "until";
const WHY: &str = "why";

/// A remote service that can be on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// The Oura API.
    Oura,
    /// The Smartabase site.
    Smartabase,
}

/// A pause for all processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// No request before this instant. A hold stays in the table after it has ended, so compare this with the clock.
    pub until: Timestamp,
    /// The reason, as people read it.
    pub why: String,
}

/// All holds, ended or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// The hold on the Oura API.
    pub oura: Option<Hold>,
    /// The hold on the Smartabase site.
    pub smartabase: Option<Hold>,
    /// The outage of the Smartabase site.
    pub outage: Option<Outage>,
    /// What is wrong with each hold that cannot be read. Such a hold counts as none.
    pub damaged: Vec<String>,
}

impl Store {
    /// Pauses all requests to a service until `until`. Never shortens a hold: a longer one stays, with its reason.
    /// Returns the hold that is now stored.
    pub async fn set_hold(
        &self,
        service: Service,
        until: Timestamp,
        why: &str,
        deadline: Instant,
    ) -> Result<Hold, StoreError> {
        let key = Key::hold(service);
        let edit = ItemUpdate::of(key.clone())
            .when("attribute_not_exists(#until) OR #until < :until", [UNTIL], [])
            .set(UNTIL, instant(until))
            .set(WHY, text(why));
        match edit.send(self, "setting a hold", deadline).await? {
            UpdateOutcome::Applied(item) => Hold::read(&key, &item),
            UpdateOutcome::Refused(item) => Hold::read(&key, &item.unwrap_or_default()),
        }
    }

    /// Reads the hold on a service, ended or not. One consistent `GetItem`.
    pub async fn hold(&self, service: Service, deadline: Instant) -> Result<Option<Hold>, StoreError> {
        let key = Key::hold(service);
        self.get(&key, "reading a hold", deadline).await?.map(|item| Hold::read(&key, &item)).transpose()
    }

    /// Removes the hold on a service, if there is one.
    pub async fn lift_hold(&self, service: Service, deadline: Instant) -> Result<(), StoreError> {
        let operation = "lifting a hold";
        let request =
            self.client().delete_item().table_name(self.table()).set_key(Some(Key::hold(service).attributes()));
        bounded(operation, deadline, request.send()).await?.map_err(|error| classify(operation, &error))?;
        Ok(())
    }
}

impl Holds {
    /// The hold on a service that is in force at `now`.
    #[must_use]
    pub fn in_force(&self, service: Service, now: Timestamp) -> Option<&Hold> {
        let hold = match service {
            Service::Oura => &self.oura,
            Service::Smartabase => &self.smartabase,
        };
        hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Adds the outage of the Smartabase site, as read from the table.
    pub(crate) fn insert_outage(&mut self, item: &Item) {
        match Outage::read(&Key::outage(Service::Smartabase), item) {
            Ok(outage) => self.outage = Some(outage),
            Err(error) => self.damaged.push(error.to_string()),
        }
    }

    /// Adds the hold on a service, as read from the table.
    pub(crate) fn insert(&mut self, service: Service, item: &Item) {
        let place = match service {
            Service::Oura => &mut self.oura,
            Service::Smartabase => &mut self.smartabase,
        };
        match Hold::read(&Key::hold(service), item) {
            Ok(hold) => *place = Some(hold),
            Err(error) => self.damaged.push(error.to_string()),
        }
    }
}

impl Hold {
    fn read(key: &Key, item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new(key, item);
        Ok(Self { until: reader.required(UNTIL, Reader::instant)?, why: reader.required(WHY, Reader::text)? })
    }
}

impl Service {
    /// Every service that can be on hold.
    pub const ALL: [Self; 2] = [Self::Oura, Self::Smartabase];

    /// A stable name, used in the hold's key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oura => "oura",
            Self::Smartabase => "smartabase",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
