//! An outage of a remote service, shared by all processes. It stores until when syncs send the service no requests, and
//! how many times in a row the service was found down.
//!
//! It is a row of its own beside the service's hold, because releases without this row read only the hold. A hold says
//! that our credentials were refused; an outage says nothing about them. Every write is conditional on the version that
//! was read, so if several processes write at the same time, one succeeds.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::attributes::{Item, Reader, instant, number, text};
use crate::client::Store;
use crate::error::StoreError;
use crate::hold::Service;
use crate::keys::Key;
use crate::update_expression::{ItemUpdate, UpdateOutcome};

const UNTIL: &str = "until";
const WHY: &str = "why";
const FAILURES: &str = "failures";
const ANSWERED_AT: &str = "answered_at";
const VERSION: &str = "version";

/// The current or the last outage. Its row stays in the table when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Until then, syncs send no requests to the service. After that, the next job first probes whether it answers.
    pub until: Timestamp,
    /// What the service did, as people read it.
    pub why: String,
    /// How many times in a row it was found down. 0 once it works again.
    pub failures: u64,
    /// When it was first seen to answer again; `None` while it is down, as far as is known.
    pub answered_at: Option<Timestamp>,
    /// Counts the changes. Of two states, the one with the greater number is the later one.
    pub version: u64,
}

/// The outcome of replacing an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutageWrite {
    /// Written.
    Done,
    /// Another process replaced it first. Contains the outage as it is now.
    Refused(Option<Outage>),
}

impl Outage {
    /// Whether syncs must send the service no requests at `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.answered_at.is_none() && now < self.until
    }
}

impl Store {
    /// Reads the outage of a service, ended or not. One consistent `GetItem`.
    pub async fn outage(&self, service: Service, deadline: Instant) -> Result<Option<Outage>, StoreError> {
        let key = Key::outage(service);
        self.get(&key, "reading an outage", deadline).await?.map(|item| Outage::read(&key, &item)).transpose()
    }

    /// Replaces the outage that was read, if it has not changed since. `next` must have the next version. One
    /// `UpdateItem`.
    pub async fn replace_outage(
        &self,
        service: Service,
        read: Option<&Outage>,
        next: &Outage,
        deadline: Instant,
    ) -> Result<OutageWrite, StoreError> {
        let key = Key::outage(service);
        let edit = ItemUpdate::of(key.clone());
        let edit = match read {
            None => edit.if_absent(),
            Some(read) => edit.if_equal(VERSION, number(read.version)),
        };
        let edit = edit
            .set(UNTIL, instant(next.until))
            .set(WHY, text(&next.why))
            .set(FAILURES, number(next.failures))
            .set_or_remove(ANSWERED_AT, next.answered_at.map(instant))
            .set(VERSION, number(next.version));
        Ok(match edit.send(self, "replacing an outage", deadline).await? {
            UpdateOutcome::Applied(_) => OutageWrite::Done,
            UpdateOutcome::Refused(item) => {
                OutageWrite::Refused(item.map(|item| Outage::read(&key, &item)).transpose()?)
            }
        })
    }
}

impl Outage {
    pub(crate) fn read(key: &Key, item: &Item) -> Result<Self, StoreError> {
        let reader = Reader::new(key, item);
        Ok(Self {
            until: reader.required(UNTIL, Reader::instant)?,
            why: reader.required(WHY, Reader::text)?,
            failures: reader.required(FAILURES, Reader::number)?,
            answered_at: reader.instant(ANSWERED_AT)?,
            version: reader.required(VERSION, Reader::number)?,
        })
    }
}
