//! Reads what a batch of jobs needs before it starts, in one request.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::client::Store;
use crate::connection::Connection;
use crate::error::StoreError;
use crate::hold::{Holds, Service};
use crate::keys::Key;

/// Connections and holds, from an eventually consistent read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The existing connections of the requested athletes.
    pub connections: HashMap<AthleteId, Connection>,
    /// The athletes whose connection cannot be read, with what is wrong with it.
    pub damaged: HashMap<AthleteId, String>,
    /// The holds and the outage.
    pub holds: Holds,
}

impl Store {
    /// Reads the connections of these athletes and all holds, in **one** eventually consistent `BatchGetItem` for up to
    /// 97 athletes. It may miss the writes of the last second. So base no decision on it that a claim does not check
    /// again.
    ///
    /// A damaged connection does not affect the other athletes.
    pub async fn snapshot(&self, athletes: &[AthleteId], deadline: Instant) -> Result<Snapshot, StoreError> {
        let connections = athletes.iter().map(Key::connection);
        let outage = Key::outage(Service::Smartabase);
        let keys: BTreeSet<_> = connections.chain(Service::ALL.map(Key::hold)).chain([outage.clone()]).collect();
        let mut items = self.batch_get(keys, false, "reading a snapshot", deadline).await?;
        let mut snapshot = Snapshot::default();
        for service in Service::ALL {
            if let Some(item) = items.remove(&Key::hold(service)) {
                snapshot.holds.insert(service, &item);
            }
        }
        if let Some(item) = items.remove(&outage) {
            snapshot.holds.insert_outage(&item);
        }
        for athlete in athletes {
            let key = Key::connection(athlete);
            match items.remove(&key).map(|item| Connection::read(&key, &item)) {
                None => {}
                Some(Ok(connection)) => {
                    snapshot.connections.insert(athlete.clone(), connection);
                }
                Some(Err(error)) => {
                    snapshot.damaged.insert(athlete.clone(), error.to_string());
                }
            }
        }
        Ok(snapshot)
    }
}
