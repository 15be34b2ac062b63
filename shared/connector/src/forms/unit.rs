use jiff::civil::DateTime;
use oura::{Quantity, Value};

/// How a value is written into a form. Every field of a form is text; numbers use a point, no thousands separator and
/// no trailing zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The number as Oura gives it.
    Number,
    /// A duration in seconds, as Oura gives it.
    Seconds,
    /// A duration in minutes, one decimal.
    Minutes,
    /// A duration in hours, two decimals.
    Hours,
    /// A duration as `7:42`, to the nearest minute.
    HoursAndMinutes,
    /// A distance in metres, as Oura gives it.
    Metres,
    /// A distance in kilometres, three decimals.
    Kilometres,
    /// A distance in miles, three decimals.
    Miles,
    /// A deviation in degrees Celsius, as Oura gives it.
    Celsius,
    /// A deviation in degrees Fahrenheit, two decimals: a difference, so without the 32.
    Fahrenheit,
    /// A time of day on the athlete's own wall clock, `23:41`.
    Time,
    /// The same the way Smartabase writes times, `11:41 PM`; the hour after midnight as `00:14 AM`, because the site's
    /// import mishandles 12 AM (reference: the vendor's own client sends it so).
    SiteTime,
    /// Text as Oura gives it.
    Text,
}

const METRES_PER_MILE: f64 = 1609.344;

impl Unit {
    /// The units a quantity can be shown in, the default first, each with its name in `forms.toml`.
    #[must_use]
    pub fn choices(quantity: Quantity) -> &'static [(&'static str, Self)] {
        match quantity {
            Quantity::Seconds => &[
                ("seconds", Self::Seconds),
                ("minutes", Self::Minutes),
                ("hours", Self::Hours),
                ("h:mm", Self::HoursAndMinutes),
            ],
            Quantity::Metres => {
                &[("metres", Self::Metres), ("kilometres", Self::Kilometres), ("miles", Self::Miles)]
            }
            Quantity::CelsiusDeviation => &[("celsius", Self::Celsius), ("fahrenheit", Self::Fahrenheit)],
            Quantity::LocalTime => &[("hh:mm", Self::Time), ("h:mm AM/PM", Self::SiteTime)],
            Quantity::Text => &[("text", Self::Text)],
            Quantity::Score => &[("score", Self::Number)],
            Quantity::Percent => &[("percent", Self::Number)],
            Quantity::Count => &[("count", Self::Number)],
            Quantity::Kilocalories => &[("kilocalories", Self::Number)],
            Quantity::MetMinutes => &[("MET minutes", Self::Number)],
            Quantity::BeatsPerMinute => &[("bpm", Self::Number)],
            Quantity::BreathsPerMinute => &[("breaths per minute", Self::Number)],
            Quantity::Milliseconds => &[("milliseconds", Self::Number)],
        }
    }

    /// Writes a value; `None` when the unit can't show that kind of value or the number is not finite.
    #[must_use]
    pub fn write(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Text, Value::Text(text)) => Some(text.clone()),
            (Self::Time, Value::Time(time)) => Some(time.strftime("%H:%M").to_string()),
            (Self::SiteTime, Value::Time(time)) => Some(site_time(*time)),
            (_, Value::Number(number)) if number.is_finite() => match self {
                Self::Number | Self::Seconds | Self::Metres | Self::Celsius => Some(decimals(*number, 6)),
                Self::Minutes => Some(decimals(number / 60.0, 1)),
                Self::Hours => Some(decimals(number / 3600.0, 2)),
                Self::HoursAndMinutes => Some(hours_and_minutes(*number)),
                Self::Kilometres => Some(decimals(number / 1000.0, 3)),
                Self::Miles => Some(decimals(number / METRES_PER_MILE, 3)),
                Self::Fahrenheit => Some(decimals(number * 1.8, 2)),
                Self::Time | Self::SiteTime | Self::Text => None,
            },
            _ => None,
        }
    }
}

/// At most `places` decimals, without the zeros that say nothing; never `-0`.
fn decimals(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn hours_and_minutes(seconds: f64) -> String {
    let minutes = (seconds.abs() / 60.0).round();
    let hours = (minutes / 60.0).trunc();
    let sign = if seconds < 0.0 && minutes > 0.0 { "-" } else { "" };
    format!("{sign}{hours:.0}:{:02.0}", minutes - hours * 60.0)
}

fn site_time(time: DateTime) -> String {
    match time.hour() {
        0 => time.strftime("00:%M AM").to_string(),
        _ => time.strftime("%-I:%M %p").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn number(unit: Unit, number: f64) -> String {
        unit.write(&Value::Number(number)).unwrap()
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(number(Unit::Number, 82.0), "82");
        assert_eq!(number(Unit::Number, 14.375), "14.375");
        assert_eq!(number(Unit::Celsius, -0.07), "-0.07");
        assert_eq!(number(Unit::Number, -0.0), "0");
        assert_eq!(number(Unit::Minutes, 27_330.0), "455.5");
        assert_eq!(number(Unit::Minutes, 27_360.0), "456");
        assert_eq!(number(Unit::Hours, 27_330.0), "7.59");
        assert_eq!(number(Unit::HoursAndMinutes, 27_330.0), "7:36");
        assert_eq!(number(Unit::HoursAndMinutes, 3_599.0), "1:00");
        assert_eq!(number(Unit::HoursAndMinutes, 0.0), "0:00");
        assert_eq!(number(Unit::HoursAndMinutes, -90.0), "-0:02");
        assert_eq!(number(Unit::Kilometres, 8_421.0), "8.421");
        assert_eq!(number(Unit::Miles, 1_609.344), "1");
        assert_eq!(number(Unit::Fahrenheit, 0.5), "0.9");
    }

    #[test]
    fn the_hour_after_midnight_is_never_written_as_twelve() {
        let midnight = Value::Time(date(2026, 3, 3).at(0, 14, 0, 0));
        assert_eq!(Unit::Time.write(&midnight).unwrap(), "00:14");
        assert_eq!(Unit::SiteTime.write(&midnight).unwrap(), "00:14 AM");
        let noon = Value::Time(date(2026, 3, 3).at(12, 5, 0, 0));
        assert_eq!(Unit::SiteTime.write(&noon).unwrap(), "12:05 PM");
        let evening = Value::Time(date(2026, 3, 2).at(23, 41, 0, 0));
        assert_eq!(Unit::SiteTime.write(&evening).unwrap(), "11:41 PM");
    }

    #[test]
    fn what_cannot_be_written_is_left_blank() {
        assert_eq!(Unit::Number.write(&Value::Number(f64::NAN)), None);
        assert_eq!(Unit::Minutes.write(&Value::Number(f64::INFINITY)), None);
        assert_eq!(Unit::Minutes.write(&Value::Text("long".into())), None);
        assert_eq!(Unit::Text.write(&Value::Number(1.0)), None);
    }
}
