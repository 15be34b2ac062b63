//! Builds and sends a conditional update of one item. Besides deletes, the store makes no other kind of write.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use tokio::time::Instant;

use crate::attributes::Item;
use crate::client::{Store, bounded};
use crate::error::{StoreError, classify};
use crate::keys::{Key, PK};

/// An update under construction. It refers to attributes only through `#name` placeholders, because many of ours
/// (`status`, `owner`, `until`) are reserved words of DynamoDB.
#[derive(Clone)]
pub(crate) struct ItemUpdate {
    key: Key,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    deletes: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

/// The outcome of an update.
pub(crate) enum UpdateOutcome {
    /// The update was made. Contains the item as it is now.
    Applied(Item),
    /// A condition failed. Contains the item as it is, if it exists.
    Refused(Option<Item>),
}

impl ItemUpdate {
    pub(crate) fn of(key: Key) -> Self {
        Self {
            key,
            sets: Vec::new(),
            removes: Vec::new(),
            adds: Vec::new(),
            deletes: Vec::new(),
            conditions: Vec::new(),
            names: HashMap::new(),
            values: HashMap::new(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn set(mut self, attribute: &'static str, value: AttributeValue) -> Self {
        let (name, placeholder) = self.with(attribute, value);
        self.sets.push(format!("{name} = {placeholder}"));
        self
    }

    /// Sets an attribute only if the item does not have it.
    pub(crate) fn set_once(mut self, attribute: &'static str, value: AttributeValue) -> Self {
        let (name, placeholder) = self.with(attribute, value);
        self.sets.push(format!("{name} = if_not_exists({name}, {placeholder})"));
        self
    }

    pub(crate) fn set_or_remove(self, attribute: &'static str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    pub(crate) fn remove(mut self, attribute: &'static str) -> Self {
        let name = self.name(attribute);
        self.removes.push(name);
        self
    }

    /// Adds texts to a set, which DynamoDB creates if it is missing.
    pub(crate) fn add(mut self, attribute: &'static str, texts: AttributeValue) -> Self {
        let (name, placeholder) = self.with(attribute, texts);
        self.adds.push(format!("{name} {placeholder}"));
        self
    }

    /// Removes texts from a set. DynamoDB removes the set with its last text.
    pub(crate) fn delete(mut self, attribute: &'static str, texts: AttributeValue) -> Self {
        let (name, placeholder) = self.with(attribute, texts);
        self.deletes.push(format!("{name} {placeholder}"));
        self
    }

    /// Adds one to a number, which must exist.
    pub(crate) fn increment(mut self, attribute: &'static str) -> Self {
        let name = self.name(attribute);
        self.sets.push(format!("{name} = {name} + :one"));
        self.values.insert(":one".to_owned(), AttributeValue::N("1".to_owned()));
        self
    }

    /// Requires that the item exists. Without this, an update creates it.
    pub(crate) fn if_exists(mut self) -> Self {
        let name = self.name(PK);
        self.conditions.push(format!("attribute_exists({name})"));
        self
    }

    pub(crate) fn if_absent(mut self) -> Self {
        let name = self.name(PK);
        self.conditions.push(format!("attribute_not_exists({name})"));
        self
    }

    pub(crate) fn if_equal(mut self, attribute: &'static str, value: AttributeValue) -> Self {
        let (name, placeholder) = (self.name(attribute), format!(":if_{attribute}"));
        self.conditions.push(format!("{name} = {placeholder}"));
        self.values.insert(placeholder, value);
        self
    }

    /// Requires `condition`, which refers to the given attributes as `#attribute` and to the values by their given
    /// names.
    pub(crate) fn when<const A: usize, const V: usize>(
        mut self,
        condition: &str,
        attributes: [&'static str; A],
        values: [(&'static str, AttributeValue); V],
    ) -> Self {
        for attribute in attributes {
            self.name(attribute);
        }
        self.conditions.push(format!("({condition})"));
        self.values.extend(values.map(|(placeholder, value)| (placeholder.to_owned(), value)));
        self
    }

    /// Sends this update on its own.
    pub(crate) async fn send(
        self,
        store: &Store,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<UpdateOutcome, StoreError> {
        let (expression, condition) = (self.expression(), self.condition());
        let request = store
            .client()
            .update_item()
            .table_name(store.table())
            .set_key(Some(self.key.attributes()))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(some(self.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match bounded(operation, deadline, request.send()).await? {
            Ok(output) => Ok(UpdateOutcome::Applied(output.attributes.unwrap_or_default())),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                match refused.into_err() {
                    UpdateItemError::ConditionalCheckFailedException(refused) => {
                        Ok(UpdateOutcome::Refused(refused.item))
                    }
                    _ => Ok(UpdateOutcome::Refused(None)),
                }
            }
            Err(error) => Err(classify(operation, &error)),
        }
    }

    /// This update as a part of a transaction.
    pub(crate) fn in_transaction(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let (expression, condition) = (self.expression(), self.condition());
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(self.key.attributes()))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(some(self.values))
            .build()
            .map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Only the conditions, as a part of a transaction that does not change this item.
    pub(crate) fn check_in_transaction(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(table)
            .set_key(Some(self.key.attributes()))
            .condition_expression(self.condition().unwrap_or_default())
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(some(self.values))
            .build()
            .map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// A delete of the item under the same conditions, as a part of a transaction.
    pub(crate) fn delete_in_transaction(self, table: &str) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(table)
            .set_key(Some(self.key.attributes()))
            .set_condition_expression(self.condition())
            .set_expression_attribute_names(some(self.names))
            .set_expression_attribute_values(some(self.values))
            .build()
            .map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// The placeholders of an attribute and of the value written to it.
    fn with(&mut self, attribute: &'static str, value: AttributeValue) -> (String, String) {
        let placeholder = format!(":{attribute}");
        self.values.insert(placeholder.clone(), value);
        (self.name(attribute), placeholder)
    }

    fn name(&mut self, attribute: &'static str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    fn expression(&self) -> String {
        let clauses = [("SET", &self.sets), ("REMOVE", &self.removes), ("ADD", &self.adds), ("DELETE", &self.deletes)];
        let said = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        said.map(|(clause, parts)| format!("{clause} {}", parts.join(", "))).collect::<Vec<_>>().join(" ")
    }

    fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}

/// `None` for an empty map, which DynamoDB refuses.
fn some<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

/// The error for a part of a transaction that lacks something the API requires.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn unbuilt(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Bug { operation: "building a transaction", why: error.to_string() }
}
