//! The progress of each athlete's resync, read from their connection.

use jiff::civil::Date;
use serde::Serialize;
use store::{AthleteId, Brought, Connection};

use super::range::Range;

/// The outcome of one athlete’s resync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum ResyncOutcome {
    /// The worker brought every day of the range.
    Done,
    /// The worker brought every day, except for the problems that the note names.
    Partly { note: String },
    /// The job is queued.
    Queued,
    /// No job was queued, because it could not have succeeded.
    Skipped { why: String },
    /// The command stopped following. The job continues, unless a problem stops it.
    Unfinished { why: String },
}

/// The resync of one athlete, while it is followed.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) athlete: AthleteId,
    /// The progress that the connection showed before the job was queued.
    before: Option<Brought>,
    /// The last day brought since then.
    reached: Option<Date>,
}

impl Followed {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self { athlete: connection.athlete.clone(), before: connection.brought, reached: None }
    }

    /// Updates the progress from the current connection. Returns the outcome once the range is done.
    pub(crate) fn look(&mut self, connection: &Connection, range: Range) -> Option<ResyncOutcome> {
        let brought = connection.brought.filter(|brought| Some(*brought) != self.before)?;
        // Another backfill may be running for other days, for example that of a new connection.
        if brought.first < range.from || brought.last > range.to {
            return None;
        }
        self.reached = self.reached.max(Some(brought.last));
        (brought.last == range.to).then(|| match &connection.note {
            Some(note) => ResyncOutcome::Partly { note: note.clone() },
            None => ResyncOutcome::Done,
        })
    }

    /// How many days of the range have been brought.
    pub(crate) fn days(&self, range: Range) -> u64 {
        self.reached.map_or(0, |last| range.days_to(last))
    }
}

impl ResyncOutcome {
    /// Whether every day of the range was brought without a problem.
    pub(crate) fn is_well(&self) -> bool {
        matches!(self, Self::Done | Self::Queued)
    }

    /// The outcome as text for people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Done => "done".to_owned(),
            Self::Partly { note } => format!("done, but: {note}"),
            Self::Queued => "queued".to_owned(),
            Self::Skipped { why } => format!("skipped: {why}"),
            Self::Unfinished { why } => format!("not finished: {why}"),
        }
    }
}
