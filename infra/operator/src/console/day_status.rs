//! The status of one athlete's record for one date, as the heat map shows it. Pure.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::Connection;

use super::cache::Line;

/// The status of the record for one date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mark {
    /// No record is expected: before the athlete connected, or after they disconnected.
    Blank,
    /// In the form on time: by the end of the day after its date, or as imported history.
    Received,
    /// In the form, but later than that.
    Late,
    /// Not due yet.
    InProcessQueue,
    /// Oura had no data: the athlete did not wear the ring or did not open the app.
    Missing,
    /// No data can come until the athlete acts.
    Stopped,
    /// The operator has to act: the record was sent and not confirmed, or a problem keeps it out of the form.
    HeldUp,
}

impl Mark {
    /// All marks in the order of the legend, the most frequent first.
    pub(crate) const SHOWN: [Self; 6] =
        [Self::Received, Self::Late, Self::Missing, Self::Stopped, Self::HeldUp, Self::InProcessQueue];

    /// Its class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Received => "received",
            Self::Late => "late",
            Self::InProcessQueue => "waiting",
            Self::Missing => "missing",
            Self::Stopped => "stopped",
            Self::HeldUp => "held",
        }
    }

    /// Its name in a word or two.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Blank => "not expected",
            Self::Received => "received",
            Self::Late => "late",
            Self::InProcessQueue => "not due yet",
            Self::Missing => "missing",
            Self::Stopped => "stopped",
            Self::HeldUp => "held up",
        }
    }

    /// Its explanation in the legend.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::Blank => "nothing expected",
            Self::Received => "in the form by the end of the day after",
            Self::Late => "in the form, later than that",
            Self::InProcessQueue => "the day after is not over",
            Self::Missing => "Oura had nothing: ring not worn, app not opened",
            Self::Stopped => "the athlete has to act, as the status says",
            Self::HeldUp => "for you: refused by the form, or not confirmed",
        }
    }
}

/// What an athlete’s connection says about the dates for which to expect records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The day on which the athlete first connected.
    pub(crate) first: Option<Date>,
    /// The day since when the athlete has to act.
    pub(crate) stopped: Option<Date>,
    /// The day on which the athlete disconnected.
    pub(crate) ended: Option<Date>,
    /// The day since when a problem for the operator keeps records out of the forms.
    pub(crate) held: Option<Date>,
    /// Whether a worker is syncing the athlete now, so that records it sent may still be unconfirmed.
    pub(crate) at_work: bool,
}

impl Life {
    pub(crate) fn of(connection: &Connection, now: Timestamp, zone: &TimeZone) -> Self {
        use store::Status::{Active, Disconnected, MembershipLapsed, NeedsConsent, OuraAccountTaken, ScopeMissing};
        let day = |instant: Timestamp| instant.to_zoned(zone.clone()).date();
        let since = day(connection.status_at);
        let at_work = connection.lease.as_ref().is_some_and(|lease| lease.until > now);
        let mut life = Self { first: Some(day(connection.first_connected_at)), at_work, ..Self::default() };
        match connection.status {
            Active => life.held = connection.note.as_ref().map(|_| since),
            NeedsConsent | ScopeMissing | MembershipLapsed | OuraAccountTaken => life.stopped = Some(since),
            Disconnected => life.ended = Some(since),
        }
        life
    }

    /// The mark for `date`, given its ledger entry, if any. `today` is the date in the site's time zone.
    pub(crate) fn mark(&self, date: Date, line: Option<&Line>, today: Date) -> Mark {
        let after = date.saturating_add(jiff::Span::new().days(1));
        let reached = |since: Option<Date>| since.is_some_and(|since| after >= since);
        match line {
            Some(line) if !line.confirmed => {
                if self.at_work {
                    Mark::InProcessQueue
                } else {
                    Mark::HeldUp
                }
            }
            Some(line)
                if line.received.is_some_and(|day| day > after) && self.first.is_some_and(|first| date >= first) =>
            {
                Mark::Late
            }
            Some(_) => Mark::Received,
            None if self.first.is_none_or(|first| date < first) => Mark::Blank,
            None if self.ended.is_some_and(|ended| date >= ended) => Mark::Blank,
            None if reached(self.stopped) => Mark::Stopped,
            None if after >= today => Mark::InProcessQueue,
            None if reached(self.held) => Mark::HeldUp,
            None => Mark::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 3, 20);

    fn march(day: i8) -> Date {
        date(2026, 3, day)
    }

    fn received(day: i8) -> Line {
        Line { date: march(1), confirmed: true, received: Some(march(day)) }
    }

    fn life() -> Life {
        Life { first: Some(march(5)), ..Life::default() }
    }

    #[test]
    fn record_is_late_after_the_next_day_unless_it_is_history() {
        assert_eq!(life().mark(march(10), Some(&received(11)), TODAY), Mark::Received);
        assert_eq!(life().mark(march(10), Some(&received(12)), TODAY), Mark::Late);
        assert_eq!(
            life().mark(march(1), Some(&received(5)), TODAY),
            Mark::Received,
            "brought when the athlete connected"
        );
    }

    #[test]
    fn missing_record_counts_only_when_connected_and_due() {
        let mark = |life: Life, day| life.mark(march(day), None, TODAY);
        assert_eq!(mark(Life::default(), 10), Mark::Blank);
        assert_eq!(mark(life(), 4), Mark::Blank);
        assert_eq!(mark(life(), 5), Mark::Missing);
        assert_eq!(mark(life(), 18), Mark::Missing);
        assert_eq!(mark(life(), 19), Mark::InProcessQueue);
        let ended = Life { ended: Some(march(15)), ..life() };
        assert_eq!((mark(ended, 14), mark(ended, 15)), (Mark::Missing, Mark::Blank));
    }

    #[test]
    fn missing_record_shows_who_has_to_act() {
        let mark = |life: Life, day| life.mark(march(day), None, TODAY);
        let stopped = Life { stopped: Some(march(15)), ..life() };
        // The night that began on the 14th would have been delivered on the 15th.
        assert_eq!([13, 14, 19].map(|day| mark(stopped, day)), [Mark::Missing, Mark::Stopped, Mark::Stopped]);
        let held = Life { held: Some(march(15)), ..life() };
        assert_eq!([13, 14, 19].map(|day| mark(held, day)), [Mark::Missing, Mark::HeldUp, Mark::InProcessQueue]);
        let unconfirmed = Line { confirmed: false, ..received(11) };
        assert_eq!(life().mark(march(10), Some(&unconfirmed), TODAY), Mark::HeldUp);
        let at_work = Life { at_work: true, ..life() };
        assert_eq!(at_work.mark(march(10), Some(&unconfirmed), TODAY), Mark::InProcessQueue);
    }
}
