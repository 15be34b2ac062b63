//! Conversions between our types and DynamoDB attributes.
//!
//! Instants are text in UTC with nine digits of a second, and dates are `YYYY-MM-DD`. Operators can read them in the
//! console, conditions can compare them as text, and no precision is lost.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use url::Url;

use crate::error::StoreError;
use crate::keys::Key;
use crate::sealed::Sealed;

/// An item, as the SDK returns it.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn instant(value: Timestamp) -> AttributeValue {
    AttributeValue::S(format!("{value:.9}"))
}

pub(crate) fn date(value: Date) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A set of texts. DynamoDB refuses an empty one.
pub(crate) fn texts(values: impl IntoIterator<Item = impl ToString>) -> AttributeValue {
    AttributeValue::Ss(values.into_iter().map(|value| value.to_string()).collect())
}

pub(crate) fn sealed(value: &Sealed) -> AttributeValue {
    AttributeValue::B(Blob::new(value.as_bytes()))
}

/// Reads the attributes of one item. It ignores attributes it is not asked for, so that a newer version may add some.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    key: &'a Key,
    item: &'a Item,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(key: &'a Key, item: &'a Item) -> Self {
        Self { key, item }
    }

    /// An error that says `attribute` is damaged; `fault` says how.
    pub(crate) fn damaged(&self, attribute: &str, fault: &str) -> StoreError {
        StoreError::Damaged { key: self.key.to_string(), what: format!("`{attribute}` {fault}") }
    }

    /// Like `read`, but a missing attribute is an error.
    pub(crate) fn required<T>(
        &self,
        attribute: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<Option<T>, StoreError>,
    ) -> Result<T, StoreError> {
        read(self, attribute)?.ok_or_else(|| self.damaged(attribute, "is missing"))
    }

    pub(crate) fn text(&self, attribute: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.str(attribute)?.map(str::to_owned))
    }

    /// Parses each text of a set. A missing attribute is an empty set.
    pub(crate) fn texts<T: std::str::FromStr + Ord>(
        &self,
        attribute: &'static str,
        fault: &str,
    ) -> Result<BTreeSet<T>, StoreError> {
        match self.item.get(attribute) {
            None => Ok(BTreeSet::new()),
            Some(AttributeValue::Ss(texts)) => {
                texts.iter().map(|text| text.parse().map_err(|_| self.damaged(attribute, fault))).collect()
            }
            Some(_) => Err(self.damaged(attribute, "is not a set of texts")),
        }
    }

    pub(crate) fn number(&self, attribute: &'static str) -> Result<Option<u64>, StoreError> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => {
                digits.parse().map(Some).map_err(|_| self.damaged(attribute, "is not a whole number"))
            }
            Some(_) => Err(self.damaged(attribute, "is not a number")),
        }
    }

    pub(crate) fn instant(&self, attribute: &'static str) -> Result<Option<Timestamp>, StoreError> {
        self.parsed(attribute, "is not an instant")
    }

    pub(crate) fn date(&self, attribute: &'static str) -> Result<Option<Date>, StoreError> {
        self.parsed(attribute, "is not a date")
    }

    pub(crate) fn url(&self, attribute: &'static str) -> Result<Option<Url>, StoreError> {
        self.parsed(attribute, "is not an address")
    }

    pub(crate) fn sealed(&self, attribute: &'static str) -> Result<Option<Sealed>, StoreError> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::B(bytes)) => Sealed::from_bytes(bytes.as_ref())
                .map(Some)
                .map_err(|_| self.damaged(attribute, "is not a sealed value")),
            Some(_) => Err(self.damaged(attribute, "is not bytes")),
        }
    }

    /// Parses a text attribute. Drops the parser's own message, because it would repeat the value.
    pub(crate) fn parsed<T: std::str::FromStr>(
        &self,
        attribute: &'static str,
        fault: &str,
    ) -> Result<Option<T>, StoreError> {
        match self.str(attribute)? {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| self.damaged(attribute, fault)),
        }
    }

    fn str(&self, attribute: &'static str) -> Result<Option<&'a str>, StoreError> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.damaged(attribute, "is not text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_less(a: &AttributeValue, b: &AttributeValue) -> bool {
        a.as_s().unwrap() < b.as_s().unwrap()
    }

    proptest! {
        // 1970 to 2262: what fits 63 bits of nanoseconds.
        #[test]
        fn instants_keep_their_precision_and_sort_as_text(a in 0..i64::MAX, b in 0..i64::MAX) {
            let [a, b] = [a, b].map(|nanos| Timestamp::from_nanosecond(i128::from(nanos)).unwrap());
            prop_assert_eq!(a < b, is_less(&instant(a), &instant(b)));
            prop_assert_eq!(instant(a).as_s().unwrap().parse::<Timestamp>().unwrap(), a);
        }
    }

    #[test]
    fn an_error_names_key_and_attribute_but_not_the_value() {
        let key = Key::owner("someone");
        let item = Item::from([("a".to_owned(), text("hush")), ("n".to_owned(), AttributeValue::N("1.5".to_owned()))]);
        let reader = Reader::new(&key, &item);
        let faults = [
            reader.required("missing", Reader::text).unwrap_err(),
            reader.number("a").unwrap_err(),
            reader.number("n").unwrap_err(),
            reader.instant("a").unwrap_err(),
            reader.date("a").unwrap_err(),
            reader.url("a").unwrap_err(),
            reader.sealed("a").unwrap_err(),
            reader.text("n").unwrap_err(),
        ];
        let texts = faults.map(|fault| fault.to_string());
        assert_eq!(texts[0], "the item OURA#someone / OWNER is damaged: `missing` is missing");
        assert!(texts.iter().all(|text| !text.contains("hush") && !text.contains("1.5")), "{texts:?}");
    }
}
