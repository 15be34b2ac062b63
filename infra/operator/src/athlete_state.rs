//! An athlete's state for the operator: the words that coaches read, and who has to act.

use std::fmt;
use std::sync::LazyLock;

use connector::AthleteStatus;
use connector::forms::Forms;
use jiff::civil::Date;
use serde::Serialize;

use crate::roster::Athlete;

/// Whether any form of this build has records of nights.
static NIGHTS: LazyLock<bool> = LazyLock::new(|| Forms::shipped().is_ok_and(|forms| forms.nights()));

/// The kind of state. Its name is stable, for scripts and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum State {
    /// The connection’s row in the table can’t be read.
    Damaged,
    /// The form on the site lacks a field.
    FieldMissing,
    /// Another problem for the operator keeps records out of the forms.
    HeldUp,
    /// Oura no longer accepts the athlete's consent.
    NeedsToReconnect,
    /// The athlete did not share the daily summaries.
    NotShared,
    /// The Oura account feeds another athlete.
    OtherAthletes,
    /// Oura gives no data without a membership.
    NoMembership,
    /// Oura gives no data to the version of its app that the athlete has.
    OutdatedApp,
    /// Healthy, but no night has come for days.
    Stale,
    /// Healthy.
    Connected,
    /// The athlete disconnected.
    Disconnected,
    /// Enrolled, but never connected.
    NotConnected,
}

/// Who has to act before the athlete’s data can flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Actor {
    Nobody,
    Athlete,
    Operator,
}

/// One athlete's state, with its reason.
#[derive(Clone, Debug)]
pub(crate) struct Stand {
    pub(crate) state: State,
    /// The reason for the state; empty if there is nothing to add.
    pub(crate) reason: String,
    words: String,
}

/// The fields that begin every `--json` entry about an athlete: who it is, and the athlete's state.
#[derive(Serialize)]
pub(crate) struct Head<'a> {
    athlete: &'a str,
    user_id: Option<u64>,
    name: &'a str,
    state: State,
    /// The state in the words that coaches read.
    status: String,
    /// The reason for the state; empty if there is nothing to add.
    reason: &'a str,
    /// `nobody`, `athlete` or `operator`.
    needs: Actor,
}

impl<'a> Head<'a> {
    pub(crate) fn of(athlete: &'a Athlete, stand: &'a Stand) -> Self {
        Self {
            athlete: athlete.id.as_str(),
            user_id: athlete.user_id(),
            name: athlete.name(),
            state: stand.state,
            status: stand.to_string(),
            reason: &stand.reason,
            needs: stand.needs(),
        }
    }
}

impl Stand {
    /// Computes the athlete's state. `today` is the date in the site's time zone.
    pub(crate) fn of(athlete: &Athlete, today: Date) -> Self {
        if let Some(damage) = &athlete.damage {
            return Self { state: State::Damaged, reason: damage.clone(), words: State::Damaged.to_string() };
        }
        let standing = AthleteStatus::of(athlete.connection.as_ref(), today);
        let standing = if *NIGHTS { standing } else { standing.without_nights() };
        Self { state: State::from(&standing), reason: standing.reason(), words: standing.to_string() }
    }

    /// Who has to act.
    pub(crate) fn needs(&self) -> Actor {
        self.state.needs()
    }
}

/// The state in words for coaches.
impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl State {
    /// Who has to act.
    pub(crate) fn needs(self) -> Actor {
        match self {
            Self::Damaged | Self::FieldMissing | Self::HeldUp => Actor::Operator,
            Self::NeedsToReconnect
            | Self::NotShared
            | Self::OtherAthletes
            | Self::NoMembership
            | Self::OutdatedApp
            | Self::Stale => Actor::Athlete,
            Self::Connected | Self::Disconnected | Self::NotConnected => Actor::Nobody,
        }
    }
}

impl From<&AthleteStatus> for State {
    fn from(standing: &AthleteStatus) -> Self {
        match standing {
            AthleteStatus::NotConnected => Self::NotConnected,
            AthleteStatus::Connected { .. } => Self::Connected,
            AthleteStatus::NeverReceived { .. } | AthleteStatus::Stale { .. } => Self::Stale,
            AthleteStatus::FieldMissing { .. } => Self::FieldMissing,
            AthleteStatus::HeldUp { .. } => Self::HeldUp,
            AthleteStatus::NeedsToReconnect { .. } => Self::NeedsToReconnect,
            AthleteStatus::NoMembership => Self::NoMembership,
            AthleteStatus::OutdatedApp => Self::OutdatedApp,
            AthleteStatus::NotShared => Self::NotShared,
            AthleteStatus::OtherAthletes => Self::OtherAthletes,
            AthleteStatus::Disconnected => Self::Disconnected,
        }
    }
}

/// The state in a few words.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "unreadable",
            Self::FieldMissing => "form field missing",
            Self::HeldUp => "held up",
            Self::NeedsToReconnect => "needs to reconnect",
            Self::NotShared => "sleep data not shared",
            Self::OtherAthletes => "another athlete’s account",
            Self::NoMembership => "no Oura membership",
            Self::OutdatedApp => "needs to update the Oura app",
            Self::Stale => "no nights arrive",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::NotConnected => "not connected yet",
        })
    }
}
