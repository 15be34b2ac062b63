//! The list of athletes to sync: a sparse, keys-only index over the connections. An athlete enters it by connecting and
//! leaves it by disconnecting; nothing else writes to it, so that a sync costs no index write.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::error::{StoreError, classify};
use crate::keys::{ACTIVE_SHARD, Key, SHARDS};
use crate::requests::{Store, bounded};
use crate::schema::INDEX;

impl Store {
    /// Every athlete who is to be synced, in order. All shards of the index at once, all pages of each.
    ///
    /// The index follows the table within about a second. An entry that is no athlete's connection, which nothing here
    /// writes, is passed over, so that it cannot keep the others from being listed.
    pub async fn active_athletes(&self, deadline: Instant) -> Result<Vec<AthleteId>, StoreError> {
        let shards = try_join_all(SHARDS.map(|shard| self.shard(shard, deadline))).await?;
        let mut athletes = shards.concat();
        athletes.sort_unstable();
        Ok(athletes)
    }

    async fn shard(&self, shard: &str, deadline: Instant) -> Result<Vec<AthleteId>, StoreError> {
        let operation = "listing the athletes to sync";
        let mut athletes = Vec::new();
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
            let items = page.items.unwrap_or_default();
            athletes.extend(items.iter().filter_map(|item| Key::of(item)?.connected_athlete()));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(athletes);
            }
        }
    }
}
