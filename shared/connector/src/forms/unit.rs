use jiff::civil::DateTime;
use oura::{Quantity, Value};

/// How a value is written into a form. Every field receives text; numbers have a decimal point, no thousands separator
/// and no trailing zeros.
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
    /// A deviation in degrees Fahrenheit, two decimals. It is a difference, so 32 is not added.
    Fahrenheit,
    /// A time of day in the athlete's local time, `23:41`.
    Time,
    /// The same as Smartabase writes times, `11:41 PM`. The hour after midnight is `00:14 AM`, because the site's
    /// import mishandles 12 AM (the vendor's own client, smartabaseR, sends it so).
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
            Quantity::Metres => &[("metres", Self::Metres), ("kilometres", Self::Kilometres), ("miles", Self::Miles)],
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
            (_, Value::Number(number)) => match self {
                Self::Number | Self::Seconds | Self::Metres | Self::Celsius => decimals(*number, 6),
                Self::Minutes => decimals(number / 60.0, 1),
                Self::Hours => decimals(number / 3600.0, 2),
                Self::HoursAndMinutes => hours_and_minutes(*number),
                Self::Kilometres => decimals(number / 1000.0, 3),
                Self::Miles => decimals(number / METRES_PER_MILE, 3),
                Self::Fahrenheit => decimals(number * 1.8, 2),
                Self::Time | Self::SiteTime | Self::Text => None,
            },
            _ => None,
        }
    }
}

/// At most `places` decimals, without trailing zeros; never `-0`.
fn decimals(number: f64, places: usize) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let text = format!("{number:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    Some(if text == "-0" { "0".to_owned() } else { text.to_owned() })
}

fn hours_and_minutes(seconds: f64) -> Option<String> {
    if !seconds.is_finite() {
        return None;
    }
    let minutes = (seconds.abs() / 60.0).round();
    let past = minutes % 60.0;
    let hours = (minutes - past) / 60.0;
    let sign = if seconds < 0.0 && minutes > 0.0 { "-" } else { "" };
    Some(format!("{sign}{hours:.0}:{past:02.0}"))
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
    use jiff::civil::{date, time};
    use proptest::prelude::*;

    const QUANTITIES: [Quantity; 13] = [
        Quantity::Score,
        Quantity::Percent,
        Quantity::Seconds,
        Quantity::Count,
        Quantity::Metres,
        Quantity::Kilocalories,
        Quantity::MetMinutes,
        Quantity::CelsiusDeviation,
        Quantity::BeatsPerMinute,
        Quantity::BreathsPerMinute,
        Quantity::Milliseconds,
        Quantity::LocalTime,
        Quantity::Text,
    ];

    /// Plain numbers such as `-12.5` and `7`: no exponent, no trailing zeros, no negative zero.
    fn is_plain(text: &str) -> bool {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "1"));
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        numeric(whole)
            && numeric(fraction)
            && !fraction.ends_with('0')
            && (whole == "0" || !whole.starts_with('0'))
            && text != "-0"
    }

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
    fn a_value_that_the_unit_cannot_show_is_blank() {
        assert_eq!(Unit::Number.write(&Value::Number(f64::NAN)), None);
        assert_eq!(Unit::Minutes.write(&Value::Number(f64::INFINITY)), None);
        assert_eq!(Unit::Minutes.write(&Value::Text("long".into())), None);
        assert_eq!(Unit::Text.write(&Value::Number(1.0)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_number_is_written_plainly_or_not_at_all(number in any::<f64>()) {
            for (name, unit) in QUANTITIES.iter().flat_map(|quantity| Unit::choices(*quantity)) {
                match unit.write(&Value::Number(number)) {
                    None => {
                        let shows_numbers = !matches!(unit, Unit::Text | Unit::Time | Unit::SiteTime);
                        prop_assert!(!shows_numbers || number.abs() > f64::MAX / 2.0 || !number.is_finite(), "{}", name);
                    }
                    Some(text) if *unit == Unit::HoursAndMinutes => {
                        let (hours, minutes) = text.split_once(':').unwrap();
                        prop_assert!(is_plain(hours) || hours == "-0", "{name}: {text}");
                        prop_assert!(minutes.len() == 2 && minutes.parse::<u8>().unwrap() < 60, "{name}: {text}");
                        prop_assert_ne!(text, "-0:00");
                    }
                    Some(text) => prop_assert!(is_plain(&text), "{}: {}", name, text),
                }
            }
        }

        #[test]
        fn what_oura_measures_is_not_changed_by_writing_it(thousandths in -100_000_000i32..100_000_000) {
            let written = f64::from(thousandths) / 1000.0;
            for unit in [Unit::Number, Unit::Seconds, Unit::Metres, Unit::Celsius] {
                prop_assert_eq!(number(unit, written).parse::<f64>(), Ok(written));
            }
            prop_assert_eq!(number(Unit::Kilometres, f64::from(thousandths)).parse::<f64>(), Ok(written));
        }

        #[test]
        fn a_duration_in_hours_and_minutes_is_within_half_a_minute(seconds in 0u32..1_000_000) {
            let text = number(Unit::HoursAndMinutes, f64::from(seconds));
            let (hours, minutes) = text.split_once(':').unwrap();
            let minutes = hours.parse::<u32>().unwrap() * 60 + minutes.parse::<u32>().unwrap();
            prop_assert!((minutes * 60).abs_diff(seconds) <= 30, "{} for {} s", text, seconds);
        }

        #[test]
        fn any_time_of_day_can_be_read_back(hour in 0i8..24, minute in 0i8..60, second in 0i8..60) {
            let value = Value::Time(date(2026, 3, 3).to_datetime(time(hour, minute, second, 0)));
            prop_assert_eq!(Unit::Time.write(&value).unwrap(), format!("{hour:02}:{minute:02}"));
            let text = Unit::SiteTime.write(&value).unwrap();
            let (clock, half) = text.split_once(' ').unwrap();
            let (written, past) = clock.split_once(':').unwrap();
            let twelve = i8::from(half == "PM" && written != "12") * 12;
            prop_assert_eq!((written.parse::<i8>().unwrap() + twelve, past.parse()), (hour, Ok(minute)));
            prop_assert!(!(written == "12" && half == "AM"), "{}", text);
        }
    }
}
