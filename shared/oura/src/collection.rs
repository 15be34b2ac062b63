//! Reading a collection: the right window, every page, and each document on its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::page::{self, Page};
use crate::{ApiError, Client, Document};

/// Most pages that are followed. Oura does not publish its page size; a month of documents fits in a few.
const MOST_PAGES: u32 = 50;
/// Most unreadable documents of one answer that are named. Oura's real documents of such a window are fewer.
const MOST_UNREADABLE: usize = 1_000;
/// Longest id that is named for an unreadable document; real ones are a third of it.
const LONGEST_ID: usize = 128;

/// The days wanted, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days {
    /// The first day wanted.
    pub first: Date,
    /// The last day wanted. Before `first`, no day is.
    pub last: Date,
}

impl Days {
    /// Whether the day is wanted.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// The window to ask Oura for. Its ends are inclusive for some collections and exclusive for others, and `sleep` is
    /// filtered on something other than its day; with a day more at each end, every wanted document is inside under
    /// every behaviour that has been reported.
    fn window(self) -> (Date, Date) {
        (self.first.yesterday().unwrap_or(self.first), self.last.tomorrow().unwrap_or(self.last))
    }
}

/// What a collection holds for some days.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents<D> {
    /// Everything readable on the days wanted, each document once, by day and then by id.
    pub documents: Vec<D>,
    /// Everything that is not, unless it is known to belong to another day; each once, by id.
    pub unreadable: Vec<Unreadable>,
    /// How many requests it took: one for each page.
    pub requests: u32,
}

/// A document that is not what Oura documents. Says where, never what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// The collection it is in.
    pub collection: &'static str,
    /// Its id, as far as it can be made out.
    pub id: Option<String>,
    /// Its day, as far as it can be made out.
    pub day: Option<Date>,
    /// The path of the first unreadable field, e.g. `contributors.hrv_balance`; `document` if it is none in particular.
    pub field: String,
}

impl Client {
    /// Fetches a collection's documents for some days. All pages or an error: a missing page would look like missing
    /// days.
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
            // An empty page with a token is not the last; a token seen before would go round for ever.
            match page.next {
                None => return Ok(gathered.finish(days, requests)),
                Some(next) if followed.insert(next.clone()) => token = Some(next),
                Some(_) => return Err(ApiError::Unreadable { what: "a next_token that repeats" }),
            }
        }
        Err(ApiError::Unreadable { what: "more pages than such a window can have" })
    }
}

/// The top-level fields to ask for. Without the parameter Oura also sends the series, most of a document's weight, and
/// `id` and `day` are not promised unless they are named.
fn fields<D: Document>() -> String {
    let top = |path: &'static str| path.split_once('.').map_or(path, |(top, _)| top);
    let told = D::FIELDS.iter().map(|field| top(field.name));
    let names: BTreeSet<_> = D::IDENTITY.iter().copied().chain(told).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// Documents as they come in. An updated document keeps its id, and pages can overlap when one is updated between two
/// requests: of two with the same id the later counts.
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

/// Reads one document.
fn read<D: Document>(text: &[u8]) -> Result<D, Unreadable> {
    // A list would be read as the fields in their order.
    let is_object = text.starts_with(b"{");
    let mut json = serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, D>(&mut json) {
        Ok(document) if is_object && json.end().is_ok() => Ok(document),
        Ok(_) => Err(describe::<D>(text, ".")),
        Err(error) => Err(describe::<D>(text, &error.path().to_string())),
    }
}

/// Names an unreadable document by what can be made out of it.
fn describe<D: Document>(text: &[u8], path: &str) -> Unreadable {
    // Each value on its own again, so that one that no reader takes does not hide the others.
    let parts: Option<HashMap<String, &[u8]>> = page::members(text).map(|members| members.into_iter().collect());
    let has = |name: &str| parts.as_ref().is_some_and(|parts| parts.contains_key(name));
    let text = |name: &str| serde_json::from_slice::<String>(parts.as_ref()?.get(name)?).ok();
    let id = text("id").filter(|id| !id.is_empty());
    let day = text("day").and_then(|day| day.parse().ok());
    // Only names that are ours are repeated. A missing field has no path; only two can be missing.
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

/// Whether `path` is `name` or a group around it.
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
    fn an_unreadable_document_is_named_but_not_quoted() {
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
    fn a_time_that_is_none_is_a_field_that_is_unreadable() {
        let text = r#"{"id": "a", "day": "2026-03-02", "bedtime_end": "whenever"}"#;
        assert_eq!(read_text::<Sleep>(text).unwrap_err().field, "bedtime_end");
        let text = r#"{"id": "a", "day": "2026-03-02", "bedtime_end": null}"#;
        assert!(read_text::<Sleep>(text).unwrap().bedtime_end.is_none());
    }

    #[test]
    fn a_name_that_is_not_ours_is_not_repeated() {
        let text = br#"{"id": "a", "day": "2026-03-02"}"#;
        for path in ["?", "9753", "score.9753", "contrib", ""] {
            assert_eq!(describe::<DailySleep>(text, path).field, "document", "{path}");
        }
    }

    #[test]
    fn an_id_is_bounded() {
        let text = format!(r#"{{"id": "{}\n", "score": 1}}"#, "é".repeat(5000));
        assert_eq!(read_text::<DailySleep>(&text).unwrap_err().id.unwrap().chars().count(), LONGEST_ID);
    }

    #[test]
    fn all_that_is_needed_is_asked_for_and_no_series() {
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
    fn a_window_has_a_day_more_at_each_end() {
        let days = Days { first: date(2025, 12, 31), last: date(2026, 2, 28) };
        assert_eq!(days.window(), (date(2025, 12, 30), date(2026, 3, 1)));
        let all = Days { first: Date::MIN, last: Date::MAX };
        assert_eq!(all.window(), (Date::MIN, Date::MAX));
    }

    #[test]
    fn of_two_with_the_same_id_the_later_counts() {
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
