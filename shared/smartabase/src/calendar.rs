//! Dates and times in the site's format: wall clock without a zone, `dd/MM/yyyy` and `h:mm AM` or `h:mm PM`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time of day for an import: any minute from 1:00 AM to 11:59 PM.
///
/// The vendor's own client avoids imports at `12:MM AM`. It is unknown whether the site refuses those or moves them to
/// another time, so this type does not allow them. (In the bounds of a search, `12:00 AM` works and is used.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

/// The text is not a time that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time of day is written like 21:00 or 9:00 PM, and is not in the hour after midnight")]
pub struct NotATimeOfDay;

impl TimeOfDay {
    /// The time at `hour` (1 to 23) and `minute` (0 to 59); `None` for other values.
    #[must_use]
    pub fn new(hour: u8, minute: u8) -> Option<TimeOfDay> {
        ((1..24).contains(&hour) && minute < 60).then_some(TimeOfDay { hour, minute })
    }

    /// The hour, 1 to 23.
    #[must_use]
    pub fn hour(self) -> u8 {
        self.hour
    }

    /// The minute.
    #[must_use]
    pub fn minute(self) -> u8 {
        self.minute
    }
}

/// In the site's format: `9:00 PM`.
impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, half) = match self.hour {
            12 => (12, "PM"),
            hour if hour > 12 => (hour - 12, "PM"),
            hour => (hour, "AM"),
        };
        write!(f, "{hour}:{:02} {half}", self.minute)
    }
}

/// Reads `21:00` or `9:00 PM`.
impl FromStr for TimeOfDay {
    type Err = NotATimeOfDay;

    fn from_str(text: &str) -> Result<TimeOfDay, NotATimeOfDay> {
        let text = text.trim().to_ascii_uppercase();
        let (clock, half) = if let Some(clock) = text.strip_suffix("AM") {
            (clock.trim_end(), Some(0))
        } else if let Some(clock) = text.strip_suffix("PM") {
            (clock.trim_end(), Some(12))
        } else {
            (text.as_str(), None)
        };
        let (hour, minute) = clock.split_once(':').ok_or(NotATimeOfDay)?;
        let hour = number(hour, 1..=2).and_then(|hour| u8::try_from(hour).ok()).ok_or(NotATimeOfDay)?;
        let minute = number(minute, 2..=2).and_then(|minute| u8::try_from(minute).ok()).ok_or(NotATimeOfDay)?;
        let hour = match half {
            Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
            Some(_) => return Err(NotATimeOfDay),
            None => hour,
        };
        TimeOfDay::new(hour, minute).ok_or(NotATimeOfDay)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeOfDay, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// `dd/MM/yyyy`, always ten characters.
pub(crate) fn site_date(date: Date) -> String {
    format!("{:02}/{:02}/{:04}", date.day(), date.month(), date.year())
}

/// Reads `dd/MM/yyyy`; a leading zero may be missing.
pub(crate) fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.trim().split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let day = i8::try_from(number(day, 1..=2)?).ok()?;
    let month = i8::try_from(number(month, 1..=2)?).ok()?;
    let year = i16::try_from(number(year, 4..=4)?).ok()?;
    Date::new(year, month, day).ok()
}

/// A number of only ASCII digits, with a number of digits in this range.
fn number(digits: &str, length: std::ops::RangeInclusive<usize>) -> Option<u16> {
    let plain = length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_times_on_a_twelve_hour_clock() {
        for (hour, minute, written) in [
            (1, 0, "1:00 AM"),
            (9, 5, "9:05 AM"),
            (11, 59, "11:59 AM"),
            (12, 0, "12:00 PM"),
            (12, 30, "12:30 PM"),
            (13, 0, "1:00 PM"),
            (21, 0, "9:00 PM"),
            (23, 59, "11:59 PM"),
        ] {
            assert_eq!(TimeOfDay::new(hour, minute).unwrap().to_string(), written);
        }
    }

    #[test]
    fn rejects_the_hour_after_midnight() {
        for minute in 0..60 {
            assert_eq!(TimeOfDay::new(0, minute), None);
            for text in [format!("12:{minute:02} AM"), format!("00:{minute:02}"), format!("0:{minute:02}")] {
                assert_eq!(text.parse::<TimeOfDay>(), Err(NotATimeOfDay), "{text}");
            }
        }
    }

    #[test]
    fn reads_times_in_exactly_two_notations() {
        let nine = TimeOfDay::new(21, 0).unwrap();
        for text in ["21:00", "9:00 PM", "09:00 PM", "9:00 pm", "9:00PM", " 9:00 PM "] {
            assert_eq!(text.parse(), Ok(nine), "{text}");
        }
        for text in
            ["", ":", "21", "21:0", "21:60", "24:00", "13:00 PM", "0:30 PM", "-1:00", "+9:00", "9:00:00", "PM", "٩:٠٠"]
        {
            assert_eq!(text.parse::<TimeOfDay>(), Err(NotATimeOfDay), "{text}");
        }
        assert_eq!(serde_json::from_str::<TimeOfDay>(r#""21:00""#).unwrap(), nine);
        assert_eq!(serde_json::to_string(&nine).unwrap(), r#""9:00 PM""#);
    }

    #[test]
    fn writes_dates_day_first_in_ten_characters() {
        assert_eq!(site_date(date(2026, 3, 4)), "04/03/2026");
        assert_eq!(site_date(date(987, 12, 31)), "31/12/0987");
        assert_eq!(read_date("04/03/2026"), Some(date(2026, 3, 4)));
        assert_eq!(read_date("4/3/2026"), Some(date(2026, 3, 4)));
        for text in ["", "2026-03-04", "31/02/2026", "03/13/2026", "04/03/26", "04/03/2026/1", "+4/03/2026", "//"] {
            assert_eq!(read_date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_every_written_time(hour in 1u8..24, minute in 0u8..60) {
            let time = TimeOfDay::new(hour, minute).unwrap();
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            prop_assert_eq!(format!("{hour}:{minute:02}").parse(), Ok(time));
        }

        #[test]
        fn reads_back_every_written_date(year in 1i16..=9999, month in 1i8..=12, day in 1i8..=28) {
            let date = date(year, month, day);
            prop_assert_eq!(site_date(date).len(), 10);
            prop_assert_eq!(read_date(&site_date(date)), Some(date));
        }

        #[test]
        fn does_not_panic_on_any_text(text in ".*") {
            let _ = text.parse::<TimeOfDay>();
            let _ = read_date(&text);
        }
    }
}
