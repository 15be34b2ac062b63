//! The days to bring again. They are validated before any job is queued.

use jiff::civil::Date;

use crate::failure::Failure;

/// Days of Oura, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Date,
    pub(crate) to: Date,
}

/// The longest range that the worker accepts in one job, in days.
const LONGEST: i32 = 3660;

impl Range {
    /// The days from `from` to `to`. `today` is the date in the site's time zone.
    pub(crate) fn new(from: Date, to: Date, today: Date) -> Result<Self, Failure> {
        let wrong = |why: String| Err(Failure::Usage(why));
        // Check this first, because `to` defaults to today.
        let latest = from.max(to);
        if latest > today {
            wrong(format!("Oura has nothing for {latest}, which is in the future: today is {today}"))
        } else if from > to {
            wrong(format!("the days {from} to {to} are backwards: give the earlier one as --from"))
        } else if (to - from).get_days() > LONGEST {
            wrong(format!("the days {from} to {to} are more than ten years: resync a shorter range"))
        } else {
            Ok(Self { from, to })
        }
    }

    /// The number of days up to and including `last`; zero if `last` is before the range.
    pub(crate) fn days_to(self, last: Date) -> u64 {
        u64::try_from((last.min(self.to) - self.from).get_days() + 1).unwrap_or(0)
    }

    /// The number of days in the range.
    pub(crate) fn days(self) -> u64 {
        self.days_to(self.to)
    }
}

/// Parses a date from the command line.
pub(crate) fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "a day is written YYYY-MM-DD, such as 2026-03-01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn invalid_range_is_refused_with_its_reason() {
        let today = date(2026, 3, 3);
        let refused = |from, to| Range::new(from, to, today).unwrap_err().to_string();
        assert!(refused(date(2026, 3, 2), date(2026, 3, 1)).contains("backwards"));
        assert!(refused(date(2026, 3, 2), date(2026, 3, 4)).contains("in the future: today is 2026-03-03"));
        assert!(refused(date(2030, 1, 1), today).contains("2030-01-01, which is in the future"));
        assert!(refused(date(2016, 1, 1), today).contains("ten years"));
    }

    #[test]
    fn days_are_counted_with_both_ends_included() {
        let range = Range::new(date(2026, 2, 27), date(2026, 3, 2), date(2026, 3, 2)).unwrap();
        assert_eq!(range.days(), 4);
        assert_eq!(range.days_to(date(2026, 2, 27)), 1);
        assert_eq!(range.days_to(date(2026, 2, 20)), 0);
        assert_eq!(range.days_to(date(2027, 1, 1)), 4);
    }
}
