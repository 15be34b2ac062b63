//! Creates the table as the deployment template declares it. On AWS the template creates it. This module is for the
//! local process and for tests.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};

use crate::error::{StoreError, classify};
use crate::keys::{ACTIVE_SHARD, ATHLETE, PK, SK};

/// The sparse, keys-only index on `active_shard` and `athlete`. It lists the athletes to sync and the enrolled ones.
pub const INDEX: &str = "active";

/// The attribute that holds an expiry in seconds since 1970. DynamoDB deletes an item some time after that. Only states
/// have it.
pub const EXPIRES: &str = "expires";

/// The outcome of creating the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The table was created.
    Created,
    /// The table existed already, for example in a database file that is opened again.
    AlreadyThere,
}

/// Creates the table, its index and its time to live. Meant for an embedded DynamoDB, where a table is ready at once:
/// this function does not wait until the table is active.
pub async fn create_table(client: &Client, name: &str) -> Result<Creation, StoreError> {
    let operation = "making the table";
    let unbuilt = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Bug { operation, why: error.to_string() };
    let text =
        |name| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .key_schema(key(ACTIVE_SHARD, KeyType::Hash).map_err(unbuilt)?)
        .key_schema(key(ATHLETE, KeyType::Range).map_err(unbuilt)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(unbuilt)?;
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key(PK, KeyType::Hash).map_err(unbuilt)?)
        .key_schema(key(SK, KeyType::Range).map_err(unbuilt)?)
        .global_secondary_indexes(index);
    for attribute in [PK, SK, ACTIVE_SHARD, ATHLETE] {
        request = request.attribute_definitions(text(attribute).map_err(unbuilt)?);
    }
    match request.send().await {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
            return Ok(Creation::AlreadyThere);
        }
        Err(error) => return Err(classify(operation, &error)),
    }
    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES).build().map_err(unbuilt)?;
    let request = client.update_time_to_live().table_name(name).time_to_live_specification(expiry);
    request.send().await.map_err(|error| classify(operation, &error))?;
    Ok(Creation::Created)
}
