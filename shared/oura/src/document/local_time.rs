//! Local times in Oura's format.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer};

/// A time on the person's own clock.
///
/// Oura usually writes local times with their offset. It sometimes adds fractions of a second, writes UTC, or leaves
/// the offset out. This type reads all of these and keeps the wall clock as written. `Debug` shows neither part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Date and time on the wall clock.
    pub wall_clock: DateTime,
    /// The difference of that clock from UTC, if the document gives it.
    pub offset: Option<Offset>,
}

impl LocalTime {
    /// Reads a time such as `2023-01-16T21:41:00.000-05:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text.trim()).ok()?;
        let wall_clock = pieces.date().to_datetime(pieces.time()?);
        Some(Self { wall_clock, offset: pieces.to_numeric_offset() })
    }

    /// The instant; a missing offset counts as UTC. `None` only at the limits of the calendar.
    #[must_use]
    pub fn instant(&self) -> Option<Timestamp> {
        self.offset.unwrap_or(Offset::UTC).to_timestamp(self.wall_clock).ok()
    }
}

impl fmt::Debug for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalTime(..)")
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::offset;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_the_wall_clock_for_any_offset() {
        let evening = date(2023, 1, 16).at(21, 41, 0, 0);
        for (text, expected) in [
            ("2023-01-16T21:41:00-05:00", Some(offset(-5))),
            ("2023-01-16T21:41:00.000-05:00", Some(offset(-5))),
            ("2023-01-16T21:41:00.000000000-0500", Some(offset(-5))),
            ("2023-01-16t21:41:00z", Some(Offset::UTC)),
            ("2023-01-16T21:41:00+00:00", Some(Offset::UTC)),
            ("2023-01-16 21:41:00", None),
            (" 2023-01-16T21:41 ", None),
            ("2023-01-16T21:41:00+05:30", Some(Offset::from_seconds(19_800).unwrap())),
        ] {
            let time = LocalTime::parse(text).unwrap();
            assert_eq!(time.wall_clock, evening, "{text}");
            assert_eq!(time.offset, expected, "{text}");
        }
        let odd = LocalTime::parse("2023-01-16T21:41:07.25+14:00").unwrap();
        assert_eq!(odd.wall_clock, date(2023, 1, 16).at(21, 41, 7, 250_000_000));
    }

    #[test]
    fn rejects_text_that_is_not_a_time() {
        for text in ["", "2023-01-16", "21:41:00", "yesterday", "2023-02-30T10:00:00", "2023-01-16T25:00:00", "\u{0}"] {
            assert_eq!(LocalTime::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = LocalTime::parse(&text);
        }
    }
}
