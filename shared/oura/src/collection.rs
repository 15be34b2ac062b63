//! Reads a collection: queries the right window, reads every page, and parses each document separately.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::page::{self, Page};
use crate::{ApiError, Client, Document};

/// Most pages that are read. Oura does not publish its page size; a month of documents fits in a few.
const MOST_PAGES: u32 = 50;
/// Most unreadable documents that one result names. Oura has fewer real documents in such a window.
const MOST_UNREADABLE: usize = 1_000;
/// Longest id that is named for an unreadable document, in characters; real ids are a third of it.
const LONGEST_ID: usize = 128;

/// A range of days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days {
    /// The first day.
    pub first: Date,
    /// The last day. If it is before `first`, the range is empty.
    pub last: Date,
}

impl Days {
    /// Whether the day is in the range.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// The window to query. Oura treats its ends as inclusive for some collections and as exclusive for others, and
    /// filters `sleep` on something other than its day. With one more day at each end, the window includes every wanted
    /// document under every reported behaviour.
    fn window(self) -> (Date, Date) {
        (self.first.yesterday().unwrap_or(self.first), self.last.tomorrow().unwrap_or(self.last))
    }
}

/// The documents of a collection for a range of days.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents<D> {
    /// All readable documents of these days, each once, by day and then by id.
    pub documents: Vec<D>,
    /// All unreadable documents, each once, by id. Documents that are known to belong to another day are left out.
    pub unreadable: Vec<Unreadable>,
    /// The number of requests: one for each page.
    pub requests: u32,
}

/// A document that does not match Oura's documentation. It says where the problem is, never the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// The collection that contains it.
    pub collection: &'static str,
    /// Its id, if it can be read.
    pub id: Option<String>,
    /// Its day, if it can be read.
    pub day: Option<Date>,
    /// The path of the first unreadable field, e.g. `contributors.hrv_balance`; `document` if no single field is the
    /// cause.
    pub field: String,
}

impl Client {
    /// Fetches the documents of a collection for some days. Returns all pages or an error, because a missing page would
    /// look like missing days.
    pub async fn documents<D: Document>(
        &self,
        access_token: &SecretString,
        days: Days,
        deadline: Instant,
    ) -> Result<Documents<D>, ApiError> {
        let mut gathered = Gathered::<D>::new();
        if days.first > days.last {
            return Ok(gathered.finish(days, 0));
        }
        let (start, end) = days.window();
        let (start, end, fields) = (start.to_string(), end.to_string(), fields::<D>());
        let path = ["usercollection", D::COLLECTION];
        let mut followed = HashSet::new();
        let mut token: Option<String> = None;
        for requests in 1..=MOST_PAGES {
            let mut query =
                vec![("start_date", start.as_str()), ("end_date", end.as_str()), ("fields", fields.as_str())];
            query.extend(token.as_deref().map(|token| ("next_token", token)));
            let answer = self.get(&path, &query, access_token, deadline).await?;
            let page = Page::read(&answer.headers, &answer.body)?;
            for document in page.documents {
                gathered.add(document);
                if gathered.unreadable.len() > MOST_UNREADABLE {
                    return Err(ApiError::Unreadable { what: "more unreadable documents than such a window can have" });
                }
            }
            // An empty page with a token is not the last one. A token that was seen before would lead to an endless
            // loop.
            match page.next {
                None => return Ok(gathered.finish(days, requests)),
                Some(next) if followed.insert(next.clone()) => token = Some(next),
                Some(_) => return Err(ApiError::Unreadable { what: "a next_token that repeats" }),
            }
        }
        Err(ApiError::Unreadable { what: "more pages than such a window can have" })
    }
}

/// The top-level fields to request. Without this parameter Oura also sends the time series, which are most of a
/// document's size. The fields `id` and `day` are promised only if they are requested.
fn fields<D: Document>() -> String {
    let top = |path: &'static str| path.split_once('.').map_or(path, |(top, _)| top);
    let told = D::FIELDS.iter().map(|field| top(field.name));
    let names: BTreeSet<_> = D::IDENTITY.iter().copied().chain(told).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// Collects documents. An updated document keeps its id, and pages can overlap if a document is updated between two
/// requests. Of two documents with the same id, the later one counts.
struct Gathered<D> {
    by_id: BTreeMap<String, D>,
    unreadable: BTreeSet<Unreadable>,
}

impl<D: Document> Gathered<D> {
    fn new() -> Self {
        Self { by_id: BTreeMap::new(), unreadable: BTreeSet::new() }
    }

    fn add(&mut self, text: &[u8]) {
        match read::<D>(text) {
            Ok(document) => drop(self.by_id.insert(document.id().to_owned(), document)),
            Err(unreadable) => drop(self.unreadable.replace(unreadable)),
        }
    }

    fn finish(self, days: Days, requests: u32) -> Documents<D> {
        let Self { by_id, unreadable } = self;
        let mut documents: Vec<D> = by_id.into_values().filter(|document| days.contains(document.day())).collect();
        documents.sort_by_key(Document::day);
        let unreadable = unreadable.into_iter().filter(|document| document.day.is_none_or(|day| days.contains(day)));
        Documents { documents, unreadable: unreadable.collect(), requests }
    }
}

/// Parses one document.
fn read<D: Document>(text: &[u8]) -> Result<D, Unreadable> {
    // Serde would accept a list as the fields in their order.
    let is_object = text.starts_with(b"{");
    let mut json = serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, D>(&mut json) {
        Ok(document) if is_object && json.end().is_ok() => Ok(document),
        Ok(_) => Err(describe::<D>(text, ".")),
        Err(error) => Err(describe::<D>(text, &error.path().to_string())),
    }
}

/// Describes an unreadable document by the parts that can be read.
fn describe<D: Document>(text: &[u8], path: &str) -> Unreadable {
    // Each value is parsed separately, so that an unreadable one does not hide the others.
    let parts: Option<HashMap<String, &[u8]>> = page::members(text).map(|members| members.into_iter().collect());
    let has = |name: &str| parts.as_ref().is_some_and(|parts| parts.contains_key(name));
    let text = |name: &str| serde_json::from_slice::<String>(parts.as_ref()?.get(name)?).ok();
    let id = text("id").filter(|id| !id.is_empty());
    let day = text("day").and_then(|day| day.parse().ok());
    // Only names from our own table are repeated. A missing field has no path; only `id` and `day` can be missing.
    let ours = ["id", "day"].contains(&path) || D::FIELDS.iter().any(|field| is_path_to(path, field.name));
    let field = match path {
        path if ours => path,
        _ if parts.is_none() => "document",
        _ if !has("id") => "id",
        _ if !has("day") => "day",
        _ => "document",
    };
    Unreadable {
        collection: D::COLLECTION,
        id: id.map(|id| id.chars().filter(|c| !c.is_control()).take(LONGEST_ID).collect()),
        day,
        field: field.to_owned(),
    }
}

/// Whether `path` is `name` or a parent of it.
fn is_path_to(path: &str, name: &str) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{DailyActivity, DailyReadiness, DailySleep, Sleep};

    fn read_text<D: Document>(text: &str) -> Result<D, Unreadable> {
        read(text.as_bytes())
    }

    #[test]
    fn names_unreadable_document_without_quoting_it() {
        for (text, field, id) in [
            (r#"{"id": "a", "day": "2026-03-02", "score": "9753"}"#, "score", Some("a")),
            (
                r#"{"id": "a", "day": "2026-03-02", "contributors": {"timing": [9753]}}"#,
                "contributors.timing",
                Some("a"),
            ),
            (r#"{"id": "a", "day": "2026-03-02", "contributors": 9753}"#, "contributors", Some("a")),
            (r#"{"id": "a", "day": "2026-03-02", "score": 1e999}"#, "score", Some("a")),
            (r#"{"id": "a", "day": "2026-03-02", "score": 1, "score": 9753}"#, "document", Some("a")),
            (r#"{"id": "a", "day": "9753"}"#, "day", Some("a")),
            (r#"{"id": "a"}"#, "day", Some("a")),
            (r#"{"id": "", "day": "2026-03-02"}"#, "id", None),
            (r#"{"id": 9753, "day": "2026-03-02"}"#, "id", None),
            (r#"{"day": "2026-03-02"}"#, "id", None),
            ("{}", "id", None),
            (r#"["a", "2026-03-02", 9753, {}]"#, "document", None),
            ("[]", "document", None),
            ("9753", "document", None),
            (r#""9753""#, "document", None),
            ("null", "document", None),
        ] {
            let unreadable = read_text::<DailySleep>(text).unwrap_err();
            assert_eq!((unreadable.field.as_str(), unreadable.id.as_deref()), (field, id), "{text}");
            assert_eq!(unreadable.collection, "daily_sleep");
            assert!(!format!("{unreadable:?}").contains("9753"), "{text}");
        }
    }

    #[test]
    fn names_field_with_invalid_time() {
        let text = r#"{"id": "a", "day": "2026-03-02", "bedtime_end": "whenever"}"#;
        assert_eq!(read_text::<Sleep>(text).unwrap_err().field, "bedtime_end");
        let text = r#"{"id": "a", "day": "2026-03-02", "bedtime_end": null}"#;
        assert!(read_text::<Sleep>(text).unwrap().bedtime_end.is_none());
    }

    #[test]
    fn does_not_repeat_unknown_field_names() {
        let text = br#"{"id": "a", "day": "2026-03-02"}"#;
        for path in ["?", "9753", "score.9753", "contrib", ""] {
            assert_eq!(describe::<DailySleep>(text, path).field, "document", "{path}");
        }
    }

    #[test]
    fn cuts_a_long_id() {
        let text = format!(r#"{{"id": "{}\n", "score": 1}}"#, "é".repeat(5000));
        assert_eq!(read_text::<DailySleep>(&text).unwrap_err().id.unwrap().chars().count(), LONGEST_ID);
    }

    #[test]
    fn requests_all_needed_fields_and_no_time_series() {
        assert_eq!(
            fields::<DailyReadiness>(),
            "contributors,day,id,score,temperature_deviation,temperature_trend_deviation,timestamp"
        );
        assert_eq!(fields::<DailySleep>(), "contributors,day,id,score,timestamp");
        let sleep = fields::<Sleep>();
        let names: Vec<_> = sleep.split(',').collect();
        for wanted in ["id", "day", "type", "bedtime_start", "bedtime_end", "total_sleep_duration", "readiness"] {
            assert!(names.contains(&wanted), "{wanted}");
        }
        for series in ["heart_rate", "hrv", "movement_30_sec", "sleep_phase_5_min"] {
            assert!(!names.contains(&series), "{series}");
        }
        assert!(!fields::<DailyActivity>().split(',').any(|name| ["met", "class_5_min"].contains(&name)));
    }

    #[test]
    fn window_has_one_more_day_at_each_end() {
        let days = Days { first: date(2025, 12, 31), last: date(2026, 2, 28) };
        assert_eq!(days.window(), (date(2025, 12, 30), date(2026, 3, 1)));
        let all = Days { first: Date::MIN, last: Date::MAX };
        assert_eq!(all.window(), (Date::MIN, Date::MAX));
    }

    #[test]
    fn later_document_with_the_same_id_wins() {
        let mut gathered = Gathered::<DailySleep>::new();
        for text in [
            r#"{"id": "a", "day": "2026-03-02", "score": 1}"#,
            r#"{"id": "b", "day": "2026-03-02", "score": 2}"#,
            r#"{"id": "a", "day": "2026-03-02", "score": 3}"#,
            r#"{"id": "b", "day": "2026-03-01", "score": 4}"#,
        ] {
            gathered.add(text.as_bytes());
        }
        let day = date(2026, 3, 2);
        let found = gathered.finish(Days { first: day, last: day }, 1);
        let found: Vec<_> = found.documents.iter().map(|document| (document.id.as_str(), document.score)).collect();
        assert_eq!(found, [("a", Some(3.0))], "b has moved to another day");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(sleep) = read::<Sleep>(&bytes) {
                prop_assert!(!sleep.id.is_empty());
            }
        }

        #[test]
        fn no_document_panics_or_is_read_without_id_and_day(text in document()) {
            match read::<Sleep>(text.as_bytes()) {
                Ok(sleep) => prop_assert!(!sleep.id.is_empty()),
                Err(unreadable) => prop_assert!(!unreadable.field.is_empty()),
            }
        }
    }

    /// Objects with the names of a sleep document and values of any kind.
    fn document() -> impl Strategy<Value = String> {
        const NAMES: &[&str] = &["id", "day", "type", "bedtime_end", "latency", "average_hrv", "readiness", "new"];
        let values = prop_oneof![
            Just(Value::Null),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(Value::from("2026-03-02")),
            Just(Value::from("2026-03-02T07:00:00.000+01:00")),
            Just(serde_json::json!({"score": 5, "contributors": {"hrv_balance": "x"}})),
            Just(serde_json::json!([1, [2]])),
        ];
        prop::collection::btree_map(prop::sample::select(NAMES), values, 0..8)
            .prop_map(|fields| serde_json::to_string(&fields).unwrap())
    }
}
