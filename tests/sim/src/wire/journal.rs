use bytes::Bytes;
use http::StatusCode;

use super::{Fault, Seen};

/// One request and its outcome.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Position among all requests of this wire, from 1.
    pub number: u64,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without the question mark.
    pub query: String,
    /// For AWS JSON services the operation, such as `PutItem`; empty otherwise.
    pub operation: String,
    /// The status that was sent to the client. `None` before that, and for ever if the wire was cut or hangs.
    pub status: Option<u16>,
    /// The status that the upstream returned; `None` if the request never reached it.
    pub upstream: Option<u16>,
    /// Whether a fault was applied.
    pub faulted: bool,
    /// Bytes in the request's body.
    pub sent: u64,
    /// Bytes in the body of the upstream's answer.
    pub received: u64,
    /// The request's body, if bodies are kept.
    pub request: Bytes,
    /// The body of the upstream's answer, if bodies are kept.
    pub response: Bytes,
}

/// The requests of a wire, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The requests.
    pub entries: Vec<Entry>,
}

impl Log {
    /// How many requests there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many requests had this method and a path that begins with `prefix`.
    #[must_use]
    pub fn count(&self, method: &str, prefix: &str) -> usize {
        self.entries.iter().filter(|entry| entry.method == method && entry.path.starts_with(prefix)).count()
    }

    /// How many requests called this operation of an AWS JSON service.
    #[must_use]
    pub fn operations(&self, operation: &str) -> usize {
        self.entries.iter().filter(|entry| entry.operation == operation).count()
    }

    /// How many requests reached the upstream.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.entries.iter().filter(|entry| entry.upstream.is_some()).count()
    }

    /// Bytes in the bodies of all requests.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.entries.iter().map(|entry| entry.sent).sum()
    }

    /// Bytes in the bodies of all answers of the upstream.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.entries.iter().map(|entry| entry.received).sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) keep_bodies: bool,
    arrivals: u64,
    entries: Vec<Entry>,
}

impl Journal {
    pub(super) fn snapshot(&self) -> Log {
        Log { entries: self.entries.clone() }
    }

    pub(super) fn take(&mut self) -> Log {
        Log { entries: std::mem::take(&mut self.entries) }
    }

    pub(super) fn arrived(&mut self, seen: &mut Seen) {
        self.arrivals += 1;
        seen.number = self.arrivals;
        self.entries.push(Entry {
            number: seen.number,
            method: seen.method.clone(),
            path: seen.path.clone(),
            query: seen.query.clone(),
            operation: seen.operation.clone(),
            status: None,
            upstream: None,
            faulted: false,
            sent: seen.body.len() as u64,
            received: 0,
            request: if self.keep_bodies { seen.body.clone() } else { Bytes::new() },
            response: Bytes::new(),
        });
    }

    pub(super) fn faulted(&mut self, number: u64, fault: Option<&Fault>) {
        if let Some(entry) = self.entry(number) {
            entry.faulted = fault.is_some();
        }
    }

    pub(super) fn reached(&mut self, number: u64, status: StatusCode, body: &Bytes) {
        let keep = self.keep_bodies;
        if let Some(entry) = self.entry(number) {
            entry.upstream = Some(status.as_u16());
            entry.received = body.len() as u64;
            if keep {
                entry.response = body.clone();
            }
        }
    }

    pub(super) fn answered(&mut self, number: u64, status: StatusCode) {
        if let Some(entry) = self.entry(number) {
            entry.status = Some(status.as_u16());
        }
    }

    /// The entry of a request, if it is still in this log. Numbers are consecutive.
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let first = self.entries.first()?.number;
        let position = usize::try_from(number.checked_sub(first)?).ok()?;
        self.entries.get_mut(position)
    }
}
