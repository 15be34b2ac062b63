//! What Oura holds of one person: documents, each with its history. A late sync, a revision and a growing day are all
//! versions that become visible at an instant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::Collection;

#[derive(Debug, Default)]
pub(super) struct Archive {
    documents: BTreeMap<(Collection, String), Vec<Version>>,
    /// The days whose documents have been generated.
    lived: BTreeSet<Date>,
}

#[derive(Debug, Clone)]
pub(super) struct Version {
    /// Visible from this instant until the next version is.
    pub(super) from: Timestamp,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Generated from a life. The long series are left out, and drawn when a request asks for them.
    Lived(Value),
    /// Put by a test: served unchanged.
    Exact(Value),
    /// Put by a test: inserted into the answer as it is, JSON or not.
    Raw(String),
    Removed,
}

impl Content {
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Lived(value) | Self::Exact(value) => Some(value),
            Self::Raw(_) | Self::Removed => None,
        }
    }

    /// The wake-up day or activity day, if the content has a readable one.
    pub(super) fn day(&self) -> Option<Date> {
        self.value()?.get("day")?.as_str()?.parse().ok()
    }
}

impl Archive {
    /// Whether the caller has to generate `day` now: true once per day.
    pub(super) fn begin(&mut self, day: Date) -> bool {
        self.lived.insert(day)
    }

    /// Adds a generated document, unless a test has put one with that id.
    pub(super) fn live(&mut self, collection: Collection, id: String, versions: Vec<Version>) {
        self.documents.entry((collection, id)).or_insert(versions);
    }

    /// From `from` on, the document is `content`; later versions are dropped.
    pub(super) fn put(&mut self, collection: Collection, id: &str, from: Timestamp, content: Content) {
        let versions = self.documents.entry((collection, id.to_owned())).or_default();
        versions.retain(|version| version.from < from);
        versions.push(Version { from, content });
    }

    /// What is visible of a collection at `now`, by id.
    pub(super) fn visible(&self, collection: Collection, now: Timestamp) -> impl Iterator<Item = (&str, &Content)> {
        self.documents.iter().filter(move |((of, _), _)| *of == collection).filter_map(move |((_, id), versions)| {
            let version = versions.iter().rev().find(|version| version.from <= now)?;
            (!matches!(version.content, Content::Removed)).then_some((id.as_str(), &version.content))
        })
    }

    /// What is visible under this id at `now`.
    pub(super) fn one(&self, collection: Collection, id: &str, now: Timestamp) -> Option<&Content> {
        self.visible(collection, now).find(|(of, _)| *of == id).map(|(_, content)| content)
    }

    /// Hides every document of `day` until `until`, as if the phone had not synced before.
    pub(super) fn postpone(&mut self, day: Date, until: Timestamp) {
        for versions in self.documents.values_mut() {
            if versions.iter().any(|version| version.content.day() == Some(day)) {
                for version in versions {
                    version.from = version.from.max(until);
                }
            }
        }
    }
}
