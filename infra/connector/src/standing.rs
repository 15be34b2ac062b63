//! How an athlete stands, in words, and who has to do something about it.

use serde::Serialize;
use store::Status;

use crate::roster::Athlete;

/// How an athlete stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum State {
    /// The connection's row can't be read.
    Damaged,
    /// Oura no longer accepts the grant.
    NeedsConsent,
    /// The daily summaries were not shared.
    ScopeMissing,
    /// The Oura account feeds another athlete.
    OuraAccountTaken,
    /// Oura gives no data without a membership.
    MembershipLapsed,
    /// In order; there may be a reason for the operator all the same.
    Active,
    /// The athlete withdrew.
    Disconnected,
    /// Enrolled, and never connected.
    NotConnected,
}

/// Who has to act for an athlete's data to flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Actor {
    Nobody,
    Athlete,
    Operator,
}

impl State {
    pub(crate) fn of(athlete: &Athlete) -> Self {
        match athlete.connection.as_ref().map(|connection| connection.status) {
            _ if athlete.damage.is_some() => Self::Damaged,
            None => Self::NotConnected,
            Some(Status::Active) => Self::Active,
            Some(Status::NeedsConsent) => Self::NeedsConsent,
            Some(Status::ScopeMissing) => Self::ScopeMissing,
            Some(Status::MembershipLapsed) => Self::MembershipLapsed,
            Some(Status::OuraAccountTaken) => Self::OuraAccountTaken,
            Some(Status::Disconnected) => Self::Disconnected,
        }
    }

    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Damaged => "unreadable",
            Self::NeedsConsent => "needs to reconnect",
            Self::ScopeMissing => "sleep data not shared",
            Self::OuraAccountTaken => "another’s Oura account",
            Self::MembershipLapsed => "no Oura membership",
            Self::Active => "connected",
            Self::Disconnected => "disconnected",
            Self::NotConnected => "not connected yet",
        }
    }

    /// Who has to act, unless the connection notes something for the operator.
    fn actor(self) -> Actor {
        match self {
            Self::Damaged => Actor::Operator,
            Self::NeedsConsent | Self::ScopeMissing | Self::OuraAccountTaken | Self::MembershipLapsed => Actor::Athlete,
            Self::Active | Self::Disconnected | Self::NotConnected => Actor::Nobody,
        }
    }
}

impl Actor {
    /// Who has to act for this athlete.
    pub(crate) fn of(athlete: &Athlete) -> Self {
        let noted = athlete.connection.as_ref().is_some_and(|connection| connection.note.is_some());
        if noted { Self::Operator } else { State::of(athlete).actor() }
    }
}

/// What stands in the way: what is noted for the operator, or what is wrong with the row.
pub(crate) fn reason(athlete: &Athlete) -> Option<&str> {
    athlete.damage.as_deref().or(athlete.connection.as_ref()?.note.as_deref())
}
