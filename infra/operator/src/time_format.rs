//! Formats dates and times for people.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A time in the past: “just now”, “12 min ago”, “3 h ago”, “5 d ago”.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(at).as_mins();
    match minutes {
        ..1 => "just now".to_owned(),
        1..120 => format!("{minutes} min ago"),
        120..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} d ago", minutes / 1440),
    }
}

/// A date: “Mon 2 Mar”, with the year if it is not the current one.
pub(crate) fn day(day: Date, now: Timestamp, zone: &TimeZone) -> String {
    let this_year = now.to_zoned(zone.clone()).year();
    let format = if day.year() == this_year { "%a %-d %b" } else { "%a %-d %b %Y" };
    day.strftime(format).to_string()
}

/// A time in the site’s zone: “14:05” today, “Mon 2 Mar 14:05” on another day.
pub(crate) fn time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, today) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()).date());
    let clock = at.strftime("%H:%M");
    if at.date() == today { clock.to_string() } else { format!("{} {clock}", day(at.date(), now, zone)) }
}

/// Parses a duration: `90m`, `2h`, `3d`.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "a length of time is a number and m, h or d, such as 90m, 2h or 3d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(wrong()),
    };
    let count: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(SignedDuration::from_mins(i64::from(count) * minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-03T08:00:00Z";

    #[test]
    fn times_are_formatted_for_people() {
        let now: Timestamp = NOW.parse().unwrap();
        for (at, said) in [
            ("2026-03-03T07:59:30Z", "just now"),
            ("2026-03-03T08:10:00Z", "just now"),
            ("2026-03-03T07:48:00Z", "12 min ago"),
            ("2026-03-03T05:00:00Z", "3 h ago"),
            ("2026-02-26T08:00:00Z", "5 d ago"),
        ] {
            assert_eq!(ago(at.parse().unwrap(), now), said);
        }
        let brisbane = TimeZone::get("Australia/Brisbane").unwrap();
        assert_eq!(time("2026-03-03T08:30:00Z".parse().unwrap(), now, &brisbane), "18:30");
        assert_eq!(time("2026-03-02T13:30:00Z".parse().unwrap(), now, &brisbane), "Mon 2 Mar 23:30");
        assert_eq!(day("2025-12-31".parse().unwrap(), now, &brisbane), "Wed 31 Dec 2025");
    }

    #[test]
    fn durations_are_numbers_with_a_unit() {
        assert_eq!(duration("90m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(duration("3d"), Ok(SignedDuration::from_hours(72)));
        for wrong in ["", "2", "h", "-1h", "2w", "1hh h", "9999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
