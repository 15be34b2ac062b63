//! Two lists of athletes in one sparse, keys-only index: the athletes to sync, and all athletes ever enrolled.
//!
//! Connecting adds an athlete to the first list and disconnecting removes them. No other operation writes to that list,
//! so a sync costs no index write. The second list serves the daily enrolment and the operators of an installation.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::client::{Store, bounded};
use crate::error::{StoreError, classify};
use crate::keys::{ACTIVE_SHARD, ENROLLED_SHARDS, Key, SHARDS};
use crate::schema::INDEX;

impl Store {
    /// Lists the athletes to sync, in order. Queries all shards of the index at once, and reads all pages of each.
    ///
    /// The index follows the table within about a second. An index entry that is not an athlete's connection is
    /// skipped, so that it cannot stop the listing of the others. No function here writes such an entry.
    pub async fn active_athletes(&self, deadline: Instant) -> Result<Vec<AthleteId>, StoreError> {
        self.listed(SHARDS, Key::connected_athlete, "listing the athletes to sync", deadline).await
    }

    /// Lists every athlete who was ever enrolled, connected or not, in order. Reads the index as
    /// [`active_athletes`](Self::active_athletes) does. An athlete whom a release before this list enrolled is on it
    /// after the next renewal of their link.
    pub async fn enrolled_athletes(&self, deadline: Instant) -> Result<Vec<AthleteId>, StoreError> {
        self.listed(ENROLLED_SHARDS, Key::enrolled_athlete, "listing the enrolled athletes", deadline).await
    }

    async fn listed(
        &self,
        shards: [&'static str; 4],
        athlete: fn(&Key) -> Option<AthleteId>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Vec<AthleteId>, StoreError> {
        let keys = try_join_all(shards.map(|shard| self.shard(shard, operation, deadline))).await?;
        let mut athletes: Vec<_> = keys.iter().flatten().filter_map(athlete).collect();
        athletes.sort_unstable();
        Ok(athletes)
    }

    async fn shard(&self, shard: &str, operation: &'static str, deadline: Instant) -> Result<Vec<Key>, StoreError> {
        let mut keys = Vec::new();
        let mut from = None;
        loop {
            let request = self
                .client()
                .query()
                .table_name(self.table())
                .index_name(INDEX)
                .key_condition_expression("#active_shard = :active_shard")
                .expression_attribute_names("#active_shard", ACTIVE_SHARD)
                .expression_attribute_values(":active_shard", AttributeValue::S(shard.to_owned()))
                .set_exclusive_start_key(from);
            let answer = bounded(operation, deadline, request.send()).await?;
            let page = answer.map_err(|error| classify(operation, &error))?;
            keys.extend(page.items.unwrap_or_default().iter().filter_map(Key::of));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(keys);
            }
        }
    }
}
