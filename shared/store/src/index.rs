//! Two lists of athletes, in one sparse, keys-only index: those to sync and those ever enrolled. An athlete enters the
//! first by connecting and leaves it by disconnecting; nothing else writes to it, so that a sync costs no index write. The
//! second is for the daily enrolment and for people who look after an installation.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::client::{Store, bounded};
use crate::error::{StoreError, classify};
use crate::keys::{ACTIVE_SHARD, ENROLLED_SHARDS, Key, SHARDS};
use crate::schema::INDEX;

impl Store {
    /// Every athlete who is to be synced, in order. All shards of the index at once, all pages of each.
    ///
    /// The index follows the table within about a second. An entry that is no athlete's connection, which nothing here
    /// writes, is passed over, so that it cannot keep the others from being listed.
    pub async fn active_athletes(&self, deadline: Instant) -> Result<Vec<AthleteId>, StoreError> {
        self.listed(SHARDS, Key::connected_athlete, "listing the athletes to sync", deadline).await
    }

    /// Every athlete who was ever enrolled, connected or not, in order; read as [`active_athletes`](Self::active_athletes)
    /// reads its list. Who was enrolled by a release before this list is on it from the next renewal of their link.
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
