//! Dates and times as the site writes them: `dd/MM/yyyy`, `h:mm AM`, without a zone.

use jiff::civil::{Date, Time};

/// Parses exactly `dd/MM/yyyy`.
pub(super) fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if (day.len(), month.len(), year.len(), parts.next()) != (2, 2, 4, None) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

pub(super) fn date_text(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

/// A time, and whether it was written as `12:mm AM`, which the site may read wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WallTime {
    pub(super) time: Time,
    pub(super) twelve_am: bool,
}

/// Parses `h:mm AM` or `h:mm PM`. A leading zero is accepted, and `00:mm AM` for the hour after midnight.
pub(super) fn time(text: &str) -> Option<WallTime> {
    let (clock, half) = text.split_once(' ')?;
    let (hour, minute) = clock.split_once(':')?;
    if !(1..=2).contains(&hour.len()) || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour_of_day = match (half, hour) {
        ("AM", 12) => 0,
        ("AM", 0..=11) | ("PM", 12) => hour,
        ("PM", 1..=11) => hour + 12,
        _ => return None,
    };
    Some(WallTime { time: Time::new(hour_of_day, minute, 0, 0).ok()?, twelve_am: half == "AM" && hour == 12 })
}

pub(super) fn time_text(time: Time) -> String {
    time.strftime("%-I:%M %p").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_needs_exactly_ten_characters() {
        assert_eq!(date("05/11/2026"), Some(jiff::civil::date(2026, 11, 5)));
        for wrong in ["5/11/2026", "2026-11-05", "11/31/2026", "05/11/26", "05/11/2026 ", ""] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
        assert_eq!(date_text(jiff::civil::date(2026, 11, 5)), "05/11/2026");
    }

    #[test]
    fn only_the_12_am_spelling_of_midnight_is_untrusted() {
        let midnight = jiff::civil::time(0, 5, 0, 0);
        assert_eq!(time("12:05 AM"), Some(WallTime { time: midnight, twelve_am: true }));
        assert_eq!(time("00:05 AM"), Some(WallTime { time: midnight, twelve_am: false }));
        assert_eq!(time_text(midnight), "12:05 AM");
        assert_eq!(time("9:05 PM").map(|wall| wall.time), Some(jiff::civil::time(21, 5, 0, 0)));
        assert_eq!(time("09:05 AM").map(|wall| wall.time), Some(jiff::civil::time(9, 5, 0, 0)));
        assert_eq!(time("12:00 PM").map(|wall| wall.time), Some(jiff::civil::time(12, 0, 0, 0)));
        for wrong in ["21:05", "13:00 PM", "9:5 AM", "9:05 am", "9:05AM", ""] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
