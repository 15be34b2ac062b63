//! Explains a dead letter and advises what to do with it. Pure.

use anstyle::Style;
use connector::queue::message::{Job, UnreadableMessage};
use jiff::civil::Date;
use serde::Serialize;

use crate::athlete_state::{Stand, State};
use crate::roster::{Athlete, Roster};
use crate::table::{BAD, QUIET, WARNING};

/// A dead letter with its explanation. It contains no part of a grant that the letter may carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Explained {
    /// `sync`, `backfill`, `rescue` or `revoke`; `None` for a message that can't be parsed.
    pub(crate) job: Option<&'static str>,
    pub(crate) athlete: Option<String>,
    pub(crate) name: Option<String>,
    /// What the letter is, and what will happen to it.
    pub(crate) explanation: String,
    pub(crate) advice: Advice,
}

/// What the operator should do with a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Advice {
    /// Send it again, as soon as the cause of the failure is repaired.
    Send,
    /// Send it again at once: an athlete’s connection depends on it.
    SendSoon,
    /// Drop it: it no longer has any effect.
    Drop,
}

impl Advice {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Send => "send it again once the cause is mended",
            Self::SendSoon => "send it again now",
            Self::Drop => "drop it",
        }
    }

    pub(crate) fn style(self) -> Style {
        match self {
            Self::Send => WARNING,
            Self::SendSoon => BAD,
            Self::Drop => QUIET,
        }
    }
}

/// Explains a message from the reason recorded when it became a dead letter and the athlete's current state.
pub(crate) fn explain(
    job: Result<&Job, &UnreadableMessage>,
    reason: Option<&str>,
    roster: &Roster,
    today: Date,
) -> Explained {
    let job = match job {
        Ok(job) => job,
        Err(unreadable) => {
            let reason = reason.map_or_else(|| unreadable.to_string(), str::to_owned);
            let explanation = format!("nobody can read it: {reason}");
            return Explained { job: None, athlete: None, name: None, explanation, advice: Advice::Drop };
        }
    };
    let athlete = roster.athletes.iter().find(|athlete| athlete.id == *job.athlete());
    let (explanation, advice) = about(job, athlete, today);
    Explained {
        job: Some(job.kind()),
        athlete: Some(job.athlete().to_string()),
        name: Some(athlete.map_or(job.athlete().as_str(), Athlete::name).to_owned()),
        explanation,
        advice,
    }
}

fn about(job: &Job, athlete: Option<&Athlete>, today: Date) -> (String, Advice) {
    match job {
        Job::Sync { .. } => {
            let why =
                "a tick’s sync that panicked every time; later ticks have looked again, and the worker’s log says why";
            (why.to_owned(), Advice::Drop)
        }
        Job::Backfill { from, to, .. } => {
            let days = format!("Oura’s days from {from} to {to}, given up after five tries");
            match athlete.map(|athlete| Stand::of(athlete, today)) {
                Some(stand) if comes_to_something(stand.state) => {
                    (format!("{days}; the worker’s log says why"), Advice::Send)
                }
                Some(stand) => (
                    format!("{days}; the athlete is “{stand}” now, and connecting brings history by itself"),
                    Advice::Drop,
                ),
                None => (format!("{days}, of somebody unknown"), Advice::Drop),
            }
        }
        Job::Rescue { generation, .. } => rescue(*generation, athlete),
        Job::Revoke { .. } => {
            let why = "the athlete disconnected and the tokens are erased here, but Oura did not confirm the revocation for a week";
            (why.to_owned(), Advice::Send)
        }
    }
}

/// Explains a rescue: a refreshed grant that could not be stored for a day.
fn rescue(generation: u64, athlete: Option<&Athlete>) -> (String, Advice) {
    if athlete.is_some_and(|athlete| athlete.damage.is_some()) {
        let why = "it may be the only copy of a refreshed token, for a row of the table that can’t be read: mend the row \
                   first, as `connector show` says";
        return (why.to_owned(), Advice::Send);
    }
    let connection = athlete.and_then(|athlete| athlete.connection.as_ref());
    match connection.filter(|connection| connection.grant.is_some()) {
        None => ("a refreshed token of a connection that has ended: it is of no use".to_owned(), Advice::Drop),
        Some(connection) if connection.generation > generation => {
            ("a refreshed token that came too late: a later one is stored".to_owned(), Advice::Drop)
        }
        Some(_) => {
            let why = "the only copy of a refreshed token, which the table would not take; without it the athlete has to \
                       connect again";
            (why.to_owned(), Advice::SendSoon)
        }
    }
}

fn comes_to_something(state: State) -> bool {
    matches!(state, State::Connected | State::Stale | State::FieldMissing | State::HeldUp | State::Damaged)
}
