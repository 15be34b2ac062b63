//! The athletes that a tick planned, stored when a tick cannot plan all of them. The next tick continues after the last
//! one.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Reader, instant, text};
use crate::client::Store;
use crate::error::StoreError;
use crate::keys::Key;
use crate::lifecycle::ATHLETE_ID;
use crate::update_expression::ItemUpdate;

const TICK: &str = "tick";
const AFTER: &str = "after";

/// The most recent tick that could not plan all athletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPlan {
    /// The athlete that it planned last.
    pub last: AthleteId,
    /// When it fired; `None` if an earlier release stored the row.
    pub tick: Option<Timestamp>,
    /// The athlete after whom it began; `None` if it began with the first athlete.
    pub after: Option<AthleteId>,
}

impl Store {
    /// Reads the most recent plan. A row that cannot be read counts as none, and the next tick begins at the first
    /// athlete. One consistent `GetItem`.
    pub async fn last_plan(&self, deadline: Instant) -> Result<Option<LastPlan>, StoreError> {
        let key = Key::last_planned();
        let item = self.get(&key, "reading who was planned last", deadline).await?.unwrap_or_default();
        let reader = Reader::new(&key, &item);
        let athlete = |attribute| reader.parsed(attribute, "is not a UUID").unwrap_or_default();
        let tick = reader.instant(TICK).unwrap_or_default();
        Ok(athlete(ATHLETE_ID).map(|last| LastPlan { last, tick, after: athlete(AFTER) }))
    }

    /// Stores which athletes a tick planned. One `UpdateItem`.
    pub async fn set_last_plan(&self, plan: &LastPlan, deadline: Instant) -> Result<(), StoreError> {
        let edit = ItemUpdate::of(Key::last_planned())
            .set(ATHLETE_ID, text(plan.last.as_str()))
            .set_or_remove(TICK, plan.tick.map(instant))
            .set_or_remove(AFTER, plan.after.as_ref().map(|after| text(after.as_str())));
        edit.send(self, "noting who was planned last", deadline).await.map(drop)
    }
}
