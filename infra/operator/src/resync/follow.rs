//! How far each athlete has come, as their connection says.

use jiff::civil::Date;
use serde::Serialize;
use store::{AthleteId, Brought, Connection};

use super::range::Range;

/// What came of one athlete’s resync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum ResyncOutcome {
    /// Every day of the range was brought.
    Done,
    /// Every day was brought, but for what the note names.
    Partly { note: String },
    /// The job is queued.
    Queued,
    /// Nothing was queued, because nothing would come of it.
    Skipped { why: String },
    /// Nobody waited to the end. The job goes on, unless something stands in its way.
    Unfinished { why: String },
}

/// An athlete who is followed.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) athlete: AthleteId,
    /// What the connection said had been brought before the job was queued.
    before: Option<Brought>,
    /// The last day brought since.
    reached: Option<Date>,
}

impl Followed {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self { athlete: connection.athlete.clone(), before: connection.brought, reached: None }
    }

    /// Takes in how the connection stands now; answers with the outcome once the range is done.
    pub(crate) fn look(&mut self, connection: &Connection, range: Range) -> Option<ResyncOutcome> {
        let brought = connection.brought.filter(|brought| Some(*brought) != self.before)?;
        // Another backfill, of a new connection for example, may be under way for other days.
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
    /// Whether everything asked for is there.
    pub(crate) fn is_well(&self) -> bool {
        matches!(self, Self::Done | Self::Queued)
    }

    /// For people.
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
