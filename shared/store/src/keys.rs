//! Builds every key of the table, in one place.
//!
//! A partition key is a kind, then `#`, then the rest verbatim. Each kind has exactly one variable part, and it comes
//! last. So two items never share a key, whatever characters a UUID contains. The sort key of a record has two variable
//! parts. The last one, the date, always has ten characters.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

use crate::athlete::AthleteId;
use crate::attributes::Item;
use crate::hold::Service;

/// The partition key attribute.
pub(crate) const PK: &str = "pk";
/// The sort key attribute.
pub(crate) const SK: &str = "sk";
/// The index's partition key. Present only on connections that are to be synced and, with shards of their own, on
/// enrolments.
pub(crate) const ACTIVE_SHARD: &str = "active_shard";
/// The index's sort key: the UUID. Present exactly where [`ACTIVE_SHARD`] is.
pub(crate) const ATHLETE: &str = "athlete";

/// The shards of the index that list the connections. Four shards let a large site be listed with four queries at once,
/// and keep listing a small site cheap.
pub(crate) const SHARDS: [&str; 4] = ["0", "1", "2", "3"];

/// The shards of the same index that list the enrolments.
pub(crate) const ENROLLED_SHARDS: [&str; 4] = ["enrolled 0", "enrolled 1", "enrolled 2", "enrolled 3"];

const ATHLETE_KIND: &str = "ATHLETE#";
const CONNECTION: &str = "CONNECTION";
const ENROLMENT: &str = "ENROLMENT";
const RECORD_KIND: &str = "RECORD#";

/// Identifies a record of an athlete: one form and one date.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The name of the event form at the site.
    pub form: String,
    /// The date of the record in Smartabase.
    pub date: Date,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.form, self.date)
    }
}

impl FromStr for RecordKey {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (form, date) = text.rsplit_once('#').unwrap_or(("", text));
        Ok(Self { form: form.to_owned(), date: date.parse()? })
    }
}

/// The key of one item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pk: String,
    sk: String,
}

impl Key {
    pub(crate) fn connection(athlete: &AthleteId) -> Self {
        Self { pk: format!("{ATHLETE_KIND}{athlete}"), sk: CONNECTION.to_owned() }
    }

    pub(crate) fn record(athlete: &AthleteId, record: &RecordKey) -> Self {
        Self { pk: format!("{ATHLETE_KIND}{athlete}"), sk: format!("{RECORD_KIND}{record}") }
    }

    pub(crate) fn enrolment(athlete: &AthleteId) -> Self {
        Self { pk: format!("{ATHLETE_KIND}{athlete}"), sk: ENROLMENT.to_owned() }
    }

    pub(crate) fn owner(oura_user: &str) -> Self {
        Self { pk: format!("OURA#{oura_user}"), sk: "OWNER".to_owned() }
    }

    pub(crate) fn state(hash: &str) -> Self {
        Self { pk: format!("STATE#{hash}"), sk: "STATE".to_owned() }
    }

    pub(crate) fn hold(service: Service) -> Self {
        Self { pk: format!("HOLD#{}", service.name()), sk: "HOLD".to_owned() }
    }

    pub(crate) fn credentials(service: Service) -> Self {
        Self { pk: format!("HOLD#{}", service.name()), sk: "CREDENTIALS".to_owned() }
    }

    pub(crate) fn outage(service: Service) -> Self {
        Self { pk: format!("HOLD#{}", service.name()), sk: "OUTAGE".to_owned() }
    }

    pub(crate) fn last_planned() -> Self {
        Self { pk: "PLAN#sync".to_owned(), sk: "LAST".to_owned() }
    }

    /// The key of an item read from the table; `None` if it has none, which DynamoDB rules out.
    pub(crate) fn of(item: &Item) -> Option<Self> {
        let part = |name| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned();
        Some(Self { pk: part(PK)?, sk: part(SK)? })
    }

    /// The athlete, if this is the key of a connection.
    pub(crate) fn connected_athlete(&self) -> Option<AthleteId> {
        if self.sk == CONNECTION { self.athlete() } else { None }
    }

    /// The athlete, if this is the key of an enrolment.
    pub(crate) fn enrolled_athlete(&self) -> Option<AthleteId> {
        if self.sk == ENROLMENT { self.athlete() } else { None }
    }

    fn athlete(&self) -> Option<AthleteId> {
        AthleteId::parse(self.pk.strip_prefix(ATHLETE_KIND)?).ok()
    }

    /// The date, if this is the key of a record of `form`.
    pub(crate) fn record_date(&self, form: &str) -> Option<Date> {
        self.sk.strip_prefix(RECORD_KIND)?.strip_prefix(form)?.strip_prefix('#')?.parse().ok()
    }

    /// The partition key's value.
    pub(crate) fn partition(&self) -> &str {
        &self.pk
    }

    /// The sort key's value.
    pub(crate) fn sort(&self) -> &str {
        &self.sk
    }

    /// The key as the SDK takes it.
    pub(crate) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PK.to_owned(), AttributeValue::S(self.pk.clone())),
            (SK.to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.pk, self.sk)
    }
}

/// The shard of the index that lists an athlete: one of [`SHARDS`] for a connection, one of [`ENROLLED_SHARDS`] for an
/// enrolment. Uses SHA-256, because the shard must be the same in every process and after every compiler update.
pub(crate) fn shard(athlete: &AthleteId, of: [&'static str; 4]) -> &'static str {
    let hash = digest::digest(&digest::SHA256, athlete.as_str().as_bytes());
    let [zero, one, two, three] = of;
    match hash.as_ref().first().map(|byte| byte % 4) {
        Some(1) => one,
        Some(2) => two,
        Some(3) => three,
        _ => zero,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn athlete(text: &str) -> AthleteId {
        AthleteId::parse(text).unwrap()
    }

    #[test]
    fn a_hash_sign_in_a_uuid_never_gives_another_items_key() {
        let date = jiff::civil::date(2026, 3, 2);
        let record = |form: &str| RecordKey { form: form.to_owned(), date };
        let keys = BTreeSet::from([
            Key::connection(&athlete("a")),
            Key::connection(&athlete("a#CONNECTION")),
            Key::connection(&athlete("a / CONNECTION")),
            Key::connection(&athlete("ATHLETE#a")),
            Key::record(&athlete("a"), &record("F")),
            Key::record(&athlete("a"), &record("F#2026-03-02")),
            Key::record(&athlete("a#RECORD#F#2026-03-02"), &record("F")),
            Key::enrolment(&athlete("a")),
            Key::owner("a"),
            Key::state("a"),
            Key::last_planned(),
        ]);
        assert_eq!(keys.len(), 11);
    }

    #[test]
    fn only_a_connection_or_enrolment_key_names_its_athlete() {
        let id = athlete("x#y CONNECTION");
        assert_eq!(Key::connection(&id).connected_athlete(), Some(id.clone()));
        assert_eq!(Key::enrolment(&id).connected_athlete(), None);
        assert_eq!(Key::enrolment(&id).enrolled_athlete(), Some(id.clone()));
        assert_eq!(Key::connection(&id).enrolled_athlete(), None);
        assert_eq!(Key::owner("x").connected_athlete(), None);
    }

    #[test]
    fn shards_are_stable_and_all_are_used() {
        // Recorded with the first version. If an athlete's shard changed, the index would list them twice.
        assert_eq!(["a", "b", "c", "d", "e", "f"].map(|text| shard(&athlete(text), SHARDS)), EXPECTED);
        let used: BTreeSet<_> = (0..100).map(|n| shard(&athlete(&format!("athlete-{n}")), SHARDS)).collect();
        assert_eq!(used, BTreeSet::from(SHARDS));
    }

    const EXPECTED: [&str; 6] = ["2", "2", "2", "0", "3", "1"];
}
