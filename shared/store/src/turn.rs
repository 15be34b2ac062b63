//! The athlete who was planned last, while a tick can't plan everybody: the next tick goes on after them.

use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::consent::ATHLETE_ID;
use crate::edit::Edit;
use crate::error::StoreError;
use crate::item::{Reader, text};
use crate::keys::Key;
use crate::requests::Store;

impl Store {
    /// The athlete whom a tick planned last. A row that can't be read counts as none: the ticks begin at the first
    /// athlete again. One consistent `GetItem`.
    pub async fn last_planned(&self, deadline: Instant) -> Result<Option<AthleteId>, StoreError> {
        let key = Key::last_planned();
        let item = self.get(&key, "reading who was planned last", deadline).await?.unwrap_or_default();
        Ok(Reader::new(&key, &item).parsed(ATHLETE_ID, "is not a UUID").unwrap_or_default())
    }

    /// Notes the athlete whom a tick planned last. One `UpdateItem`.
    pub async fn set_last_planned(&self, athlete: &AthleteId, deadline: Instant) -> Result<(), StoreError> {
        let edit = Edit::of(Key::last_planned()).set(ATHLETE_ID, text(athlete.as_str()));
        edit.send(self, "noting who was planned last", deadline).await.map(drop)
    }
}
