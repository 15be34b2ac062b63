//! Which documents the dates of a query select. This is where clients of this service most often go wrong.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::archive::Content;
use super::{Collection, Settings, SleepWindow};

/// The time span of a query, as local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    start: DateTime,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// A plain date: midnight at its start. Some collections take it to mean the whole day.
    Date(Date),
    Moment(DateTime),
}

/// What is wrong with a query's dates.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadWindow {
    /// This parameter is neither a date nor a date-time.
    Unreadable(&'static str),
    /// It ends before it starts.
    Backwards,
}

impl Window {
    /// Without dates: yesterday to today. With only one date, the other is one day away, or today.
    pub(super) fn of(
        start: Option<&str>,
        end: Option<&str>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self, BadWindow> {
        let today = now.to_zoned(zone.clone()).date();
        let end = match end {
            Some(end) => bound(end, zone).ok_or(BadWindow::Unreadable("end_date"))?,
            None => End::Date(today),
        };
        let start = match start {
            Some(start) => bound(start, zone).ok_or(BadWindow::Unreadable("start_date"))?.moment(),
            None => End::Date(end.moment().date().saturating_sub(1.day())).moment(),
        };
        if start > end.moment() { Err(BadWindow::Backwards) } else { Ok(Self { start, end }) }
    }

    /// The days whose documents any rule could select: two more on each side.
    pub(super) fn days(&self) -> impl Iterator<Item = Date> {
        let last = self.end.moment().date().saturating_add(2.days());
        let first = self.start.date().saturating_sub(2.days());
        first.series(1.day()).take_while(move |day| *day <= last)
    }

    /// Whether the rule of the collection selects a document. A document without a readable date is always selected.
    pub(super) fn selects(&self, collection: Collection, content: &Content, settings: &Settings) -> bool {
        let Some(value) = content.value() else { return true };
        let Some(moment) = moment(collection, value, content.day(), settings.sleep_window) else { return true };
        let summary = matches!(collection, Collection::DailyReadiness | Collection::DailySleep);
        let before_end = match &self.end {
            End::Date(end) if summary && settings.summaries_include_end => moment.date() <= *end,
            End::Date(end) => moment < end.at(0, 0, 0, 0),
            End::Moment(end) => moment <= *end,
        };
        self.start <= moment && before_end
    }
}

impl End {
    fn moment(&self) -> DateTime {
        match self {
            Self::Date(date) => date.at(0, 0, 0, 0),
            Self::Moment(moment) => *moment,
        }
    }
}

fn bound(text: &str, zone: &TimeZone) -> Option<End> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(End::Moment(instant.to_zoned(zone.clone()).datetime()));
    }
    if text.contains(['T', ' ']) { text.parse().ok().map(End::Moment) } else { text.parse().ok().map(End::Date) }
}

/// The local time by which a document is selected.
fn moment(collection: Collection, value: &Value, day: Option<Date>, rule: SleepWindow) -> Option<DateTime> {
    let midnight = day.map(|day| day.at(0, 0, 0, 0));
    let field = |name: &str| value.get(name)?.as_str();
    match (collection, rule) {
        (Collection::DailyActivity, _) => {
            field("timestamp").and_then(|stamp| stamp.parse().ok()).or(day.map(|day| day.at(4, 0, 0, 0)))
        }
        (Collection::Sleep, SleepWindow::BedtimeStart) => {
            field("bedtime_start").and_then(|stamp| stamp.parse().ok()).or(midnight)
        }
        (Collection::Sleep, SleepWindow::BedtimeStartUtc) => {
            let instant = field("bedtime_start").and_then(|stamp| stamp.parse::<Timestamp>().ok());
            instant.map(|instant| instant.to_zoned(TimeZone::UTC).datetime()).or(midnight)
        }
        _ => midnight,
    }
}
