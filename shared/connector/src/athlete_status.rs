//! An athlete's status, in words that a coach understands. Pure.
//!
//! The forms at Smartabase, the operator's tools and the pages all take these words from here, so that they agree.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit};
use store::{Connection, Status};

use crate::error::OUTDATED_APP;

/// Syncs older than this many days mean that Oura was not asked. Every tick asks Oura, and the connection stores it at
/// least hourly; the time zone can account for one day of difference.
const UNASKED_DAYS: i32 = 1;

/// How many nights must be missing before the status says that the app was not opened. Last night's may still come.
const SILENT_NIGHTS: i32 = 2;

/// An athlete connected for this many days has had two nights, one of them after the day of connecting.
const NIGHTLESS_DAYS: i32 = 3;

/// A day up to this many days ago is named by its weekday.
const WEEKDAYS: i32 = 6;

/// The longest reason written to a form, in characters.
const LONGEST_REASON: usize = 300;

/// A connection's note contains this text when a form lacks fields: `delivery` writes it, and this module recognises
/// it.
pub(crate) const LACKS_FIELDS: &str = "does not have the fields";

/// An athlete's status. Its `Display` is what a coach reads; [`reason`](Self::reason) gives the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AthleteStatus {
    /// The athlete has a link and has never connected.
    NotConnected,
    /// Connected and working. `received` says whether a night was ever received.
    Connected {
        /// Whether a night has ever been received.
        received: bool,
    },
    /// Connected for some days, and no night has ever been received.
    NeverReceived {
        /// The day of connecting, in UTC.
        since: Date,
    },
    /// Connected, but the last two nights or more are missing.
    Stale {
        /// The morning after the last night received: when the athlete is last known to have opened the app.
        since: Date,
        /// Today, in the site's time zone.
        today: Date,
    },
    /// A form at Smartabase lacks a field.
    FieldMissing {
        /// Which field, for the administrator.
        note: String,
    },
    /// Records are not written, for a reason that the athlete cannot change.
    HeldUp {
        /// The reason, for the administrator.
        note: String,
    },
    /// Oura no longer accepts the grant.
    NeedsToReconnect {
        /// The cause, if more is known.
        note: Option<String>,
    },
    /// Oura gives no data without a membership.
    NoMembership,
    /// Oura gives no data because the athlete's version of its app is too old.
    OutdatedApp,
    /// The athlete did not share the daily summaries.
    NotShared,
    /// The Oura account already feeds another athlete.
    OtherAthletes,
    /// The connection was ended.
    Disconnected,
}

impl AthleteStatus {
    /// The status of the athlete with this connection, or without one. `today` is the date in the site's time zone.
    #[must_use]
    pub fn of(connection: Option<&Connection>, today: Date) -> Self {
        let Some(connection) = connection else { return Self::NotConnected };
        match connection.status {
            Status::NeedsConsent => Self::NeedsToReconnect { note: connection.note.clone() },
            Status::MembershipLapsed if has_outdated_app(connection) => Self::OutdatedApp,
            Status::MembershipLapsed => Self::NoMembership,
            Status::ScopeMissing => Self::NotShared,
            Status::OuraAccountTaken => Self::OtherAthletes,
            Status::Disconnected => Self::Disconnected,
            Status::Active => Self::active(connection, today),
        }
    }

    /// The status if no form holds nights: then no night is missing.
    #[must_use]
    pub fn without_nights(self) -> Self {
        match self {
            Self::Connected { .. } | Self::NeverReceived { .. } | Self::Stale { .. } => {
                Self::Connected { received: true }
            }
            other => other,
        }
    }

    fn active(connection: &Connection, today: Date) -> Self {
        if let Some(note) = &connection.note {
            let note = note.clone();
            return if note.contains(LACKS_FIELDS) { Self::FieldMissing { note } } else { Self::HeldUp { note } };
        }
        // While the connector does not ask Oura, a missing night is not the athlete's fault.
        let asked = connection.last_sync.map(|last| last.to_zoned(TimeZone::UTC).date());
        match (asked, connection.last_day) {
            (Some(asked), _) if days(asked, today) > UNASKED_DAYS => {
                Self::HeldUp { note: format!("nothing has been fetched from Oura since {asked}") }
            }
            // Only after a fetch can a night be missing.
            (Some(_), None) => Self::waiting(connection.connected_at.to_zoned(TimeZone::UTC).date(), today),
            (None, None) => Self::Connected { received: false },
            (_, Some(evening)) => Self::since(evening, today),
        }
    }

    /// An active connection that has never received a night.
    fn waiting(since: Date, today: Date) -> Self {
        if days(since, today) >= NIGHTLESS_DAYS {
            Self::NeverReceived { since }
        } else {
            Self::Connected { received: false }
        }
    }

    /// An active connection whose last night received began on this evening.
    fn since(evening: Date, today: Date) -> Self {
        let morning = evening.saturating_add(1.day());
        // Counts the nights that began before today and after the last one received.
        if days(morning, today) >= SILENT_NIGHTS {
            Self::Stale { since: morning, today }
        } else {
            Self::Connected { received: true }
        }
    }

    /// A stable name for scripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Connected { .. } => "connected",
            Self::NeverReceived { .. } | Self::Stale { .. } => "silent",
            Self::FieldMissing { .. } => "field_missing",
            Self::HeldUp { .. } => "held_up",
            Self::NeedsToReconnect { .. } => "needs_to_reconnect",
            Self::NoMembership => "no_membership",
            Self::OutdatedApp => "outdated_app",
            Self::NotShared => "not_shared",
            Self::OtherAthletes => "other_athletes",
            Self::Disconnected => "disconnected",
        }
    }

    /// The cause, and who does what about it. Empty if there is nothing to add.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NotConnected => "the athlete has not connected a ring by the personal link".to_owned(),
            Self::Connected { received: false } => "no night received yet".to_owned(),
            Self::Connected { received: true } => String::new(),
            Self::NeverReceived { since } => format!(
                "connected since {}: the athlete wears the ring at night, and opens the Oura app with it charged and near",
                since.strftime("%-d %B %Y")
            ),
            Self::Stale { .. } => {
                "no night received since: the athlete wears the ring at night, and opens the Oura app with it charged and near"
                    .to_owned()
            }
            Self::FieldMissing { note } | Self::HeldUp { note } | Self::NeedsToReconnect { note: Some(note) } => {
                shortened(note)
            }
            Self::NeedsToReconnect { note: None } => {
                "Oura no longer accepts the consent: the athlete opens the personal link and connects again".to_owned()
            }
            Self::NoMembership => {
                "Oura gives no data without a membership: it goes on by itself once the athlete has renewed it"
                    .to_owned()
            }
            Self::OutdatedApp => {
                "Oura gives no data to an old version of its app: it goes on by itself once the athlete has updated it"
                    .to_owned()
            }
            Self::NotShared => {
                "the daily summaries were left out: the athlete connects again and leaves them ticked".to_owned()
            }
            Self::OtherAthletes => "the athlete connects again, with an Oura account of their own".to_owned(),
            Self::Disconnected => "no more data is fetched; the records stay".to_owned(),
        }
    }
}

impl fmt::Display for AthleteStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "not connected yet",
            Self::Connected { .. } => "connected",
            Self::Stale { since, today } => {
                let pattern = if days(*since, *today) <= WEEKDAYS { "%A" } else { "%-d %B %Y" };
                return write!(f, "has not opened the Oura app since {}", since.strftime(pattern));
            }
            Self::NeverReceived { .. } => "no night received yet: has the ring been worn?",
            Self::FieldMissing { .. } => "form field missing: tell your administrator",
            Self::HeldUp { .. } => "records are held up: tell your administrator",
            Self::NeedsToReconnect { .. } => "needs to reconnect",
            Self::NoMembership => "no Oura membership",
            Self::OutdatedApp => "needs to update the Oura app",
            Self::NotShared => "sleep data not shared",
            Self::OtherAthletes => "Oura account belongs to another athlete",
            Self::Disconnected => "disconnected",
        })
    }
}

/// Whether Oura gives no data because the athlete's app is too old, rather than because the membership lapsed.
pub(crate) fn has_outdated_app(connection: &Connection) -> bool {
    connection.status == Status::MembershipLapsed && connection.note.as_deref() == Some(OUTDATED_APP)
}

/// The days from one date to another; negative when that is earlier.
fn days(from: Date, to: Date) -> i32 {
    from.until((Unit::Day, to)).map_or(0, |span| span.get_days())
}

/// The text, cut to the longest reason that a form receives.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use jiff::civil::date;
    use proptest::prelude::*;
    use store::AthleteId;

    const MONDAY: Date = date(2026, 3, 2);

    pub(crate) fn connection(status: Status) -> Connection {
        let connected: Timestamp = "2026-02-01T09:30:00Z".parse().unwrap();
        Connection {
            athlete: AthleteId::parse("ada").unwrap(),
            status,
            status_at: connected,
            note: None,
            user_id: 17,
            oura_user: Some("oura-1".to_owned()),
            scopes: "daily".to_owned(),
            grant: None,
            generation: 3,
            fence: 1,
            lease: None,
            digest: None,
            last_sync: None,
            last_day: Some(MONDAY),
            first_connected_at: connected,
            connected_at: connected,
            account_changed_at: None,
            rotated_at: None,
            held_until: None,
            backfill_from: None,
            intended: BTreeSet::new(),
            brought: None,
            refresh_begun: None,
            refresh_suspect_at: None,
            refresh_refused: None,
        }
    }

    fn on(connection: &Connection, today: Date) -> String {
        AthleteStatus::of(Some(connection), today).to_string()
    }

    #[test]
    fn every_status_has_its_words() {
        assert_eq!(AthleteStatus::of(None, MONDAY).to_string(), "not connected yet");
        for (status, words) in [
            (Status::Active, "connected"),
            (Status::NeedsConsent, "needs to reconnect"),
            (Status::ScopeMissing, "sleep data not shared"),
            (Status::MembershipLapsed, "no Oura membership"),
            (Status::OuraAccountTaken, "Oura account belongs to another athlete"),
            (Status::Disconnected, "disconnected"),
        ] {
            assert_eq!(on(&connection(status), MONDAY), words);
        }
        let outdated = Connection { note: Some(OUTDATED_APP.to_owned()), ..connection(Status::MembershipLapsed) };
        assert_eq!(on(&outdated, MONDAY), "needs to update the Oura app");
    }

    #[test]
    fn a_stale_day_is_a_weekday_for_six_days_and_then_a_date() {
        let active = connection(Status::Active);
        for (today, words) in [
            // Monday's night ended on Tuesday.
            (date(2026, 3, 3), "connected"),
            // Tuesday's night may still come.
            (date(2026, 3, 4), "connected"),
            (date(2026, 3, 5), "has not opened the Oura app since Tuesday"),
            (date(2026, 3, 9), "has not opened the Oura app since Tuesday"),
            (date(2026, 3, 10), "has not opened the Oura app since 3 March 2026"),
            (date(2027, 3, 10), "has not opened the Oura app since 3 March 2026"),
            // East of the site a night may begin tomorrow.
            (date(2026, 3, 1), "connected"),
        ] {
            assert_eq!(on(&active, today), words, "{today}");
        }
    }

    #[test]
    fn an_administrators_problem_is_shown_before_a_stale_ring() {
        let missing = format!("the form \"F\" {LACKS_FIELDS} A, B: add them");
        let mut noted = Connection { note: Some(missing.clone()), ..connection(Status::Active) };
        let later = date(2026, 4, 2);
        assert_eq!(on(&noted, later), "form field missing: tell your administrator");
        assert_eq!(AthleteStatus::of(Some(&noted), later).reason(), missing);
        noted.note = Some("the form \"F\" has several events".to_owned());
        assert_eq!(on(&noted, later), "records are held up: tell your administrator");
        noted.status = Status::NeedsConsent;
        assert_eq!(on(&noted, later), "needs to reconnect");
    }

    #[test]
    fn without_recent_fetches_no_athlete_is_stale() {
        let asked = |day: &str| Connection {
            last_sync: Some(format!("{day}T12:00:00Z").parse().unwrap()),
            ..connection(Status::Active)
        };
        let today = date(2026, 3, 9);
        assert_eq!(on(&asked("2026-03-08"), today), "has not opened the Oura app since Tuesday");
        let unasked = AthleteStatus::of(Some(&asked("2026-03-07")), today);
        assert_eq!(unasked.to_string(), "records are held up: tell your administrator");
        assert_eq!(unasked.reason(), "nothing has been fetched from Oura since 2026-03-07");
    }

    #[test]
    fn an_athlete_without_a_night_is_asked_after_three_days() {
        let fresh = |day: Option<&str>| Connection {
            last_day: None,
            last_sync: day.map(|day| format!("{day}T12:00:00Z").parse().unwrap()),
            ..connection(Status::Active)
        };
        let on = |connection: &Connection, today| AthleteStatus::of(Some(connection), today);
        // Connected on 1 February.
        for (synced, today) in [("2026-02-01", date(2026, 2, 1)), ("2026-02-03", date(2026, 2, 3))] {
            let standing = on(&fresh(Some(synced)), today);
            assert_eq!((standing.to_string(), standing.reason()), ("connected".into(), "no night received yet".into()));
        }
        let standing = on(&fresh(Some("2026-02-04")), date(2026, 2, 4));
        assert_eq!(standing.to_string(), "no night received yet: has the ring been worn?");
        assert!(standing.reason().starts_with("connected since 1 February 2026: the athlete wears the ring at night"));
        assert_eq!(standing.name(), "silent");
        // Without a fetch, no night counts as missing.
        assert_eq!(on(&fresh(None), date(2027, 1, 1)).name(), "connected");
        assert_eq!(on(&fresh(Some("2026-02-01")), date(2026, 2, 4)).name(), "held_up");
    }

    proptest! {
        #[test]
        fn a_ring_becomes_stale_once_and_the_words_change_once(evening in -400i64..400, later in 0i64..800) {
            let last = MONDAY.saturating_add(evening.days());
            let active = Connection { last_day: Some(last), ..connection(Status::Active) };
            let today = last.saturating_add(later.days());
            let expected = match later {
                0..=2 => "connected".to_owned(),
                3..=7 => format!("has not opened the Oura app since {}", last.tomorrow().unwrap().strftime("%A")),
                _ => format!("has not opened the Oura app since {}", last.tomorrow().unwrap().strftime("%-d %B %Y")),
            };
            prop_assert_eq!(on(&active, today), expected);
        }

        #[test]
        fn no_note_makes_a_reason_too_long_for_a_form(note in ".{0,600}") {
            let reason = AthleteStatus::of(Some(&Connection { note: Some(note.clone()), ..connection(Status::Active) }), MONDAY).reason();
            prop_assert!(reason.chars().count() <= LONGEST_REASON + 1);
            prop_assert!(note.starts_with(reason.trim_end_matches('…')) || note == reason);
        }
    }
}
