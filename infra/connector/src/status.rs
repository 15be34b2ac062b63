//! `connector status`: how the athletes stand.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::Style;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use store::{Holds, Service};

use crate::failure::Failure;
use crate::installation::Installation;
use crate::report::{Ending, Report};
use crate::roster::{Athlete, Roster};
use crate::standing::{Actor, State, reason};
use crate::table::{BAD, GOOD, QUIET, WARNING, cell, columns, styled};
use crate::when;

#[derive(Args)]
pub(crate) struct Options {
    /// Only athletes whose UUID, Smartabase user id or name contains this.
    athlete: Vec<String>,
    /// Only athletes in this state; may be given several times.
    #[arg(long, value_enum)]
    state: Vec<State>,
    /// Only athletes for whom somebody has to do something.
    #[arg(long)]
    attention: bool,
    /// Only connected athletes who were not synced for this long, such as `2h` or `3d`. One in order is looked at every
    /// tick, and marked as synced once an hour.
    #[arg(long, value_name = "DURATION", value_parser = when::duration)]
    unsynced_for: Option<SignedDuration>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listing<'a> {
    /// The athletes asked for.
    athletes: Vec<Entry<'a>>,
    /// How many of them are in each state.
    states: BTreeMap<State, usize>,
    /// The pauses in force for everybody.
    holds: Vec<Pause<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    athlete: &'a str,
    user_id: Option<u64>,
    name: &'a str,
    state: State,
    /// What stands in the way, beyond the state.
    reason: Option<&'a str>,
    /// `nobody`, `athlete` or `operator`.
    needs: Actor,
    connected_at: Option<Timestamp>,
    last_sync: Option<Timestamp>,
    /// The date under which the last night received stands.
    last_night: Option<Date>,
}

/// A pause for everybody.
#[derive(Serialize)]
pub(crate) struct Pause<'a> {
    pub(crate) service: &'static str,
    pub(crate) until: Timestamp,
    pub(crate) why: &'a str,
}

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let roster = Roster::read(&installation.store).await?;
    let now = Timestamp::now();
    let shown: Vec<_> = roster.athletes.iter().filter(|athlete| options.wants(athlete, now)).collect();
    Ok(report(&shown, &pauses(&roster.holds, now), now, &installation.zone()))
}

impl Options {
    fn wants(&self, athlete: &Athlete, now: Timestamp) -> bool {
        let named = |text: &String| {
            athlete.name().to_lowercase().contains(&text.to_lowercase())
                || athlete.id.as_str().contains(text.as_str())
                || athlete.user_id().is_some_and(|user| user.to_string() == *text)
        };
        let unsynced = |limit| {
            athlete.connection.as_ref().is_some_and(|connection| {
                let since = connection.last_sync.unwrap_or(connection.connected_at);
                connection.grant.is_some() && now.duration_since(since) >= limit
            })
        };
        (self.athlete.is_empty() || self.athlete.iter().any(named))
            && (self.state.is_empty() || self.state.contains(&State::of(athlete)))
            && (!self.attention || Actor::of(athlete) != Actor::Nobody)
            && self.unsynced_for.is_none_or(unsynced)
    }
}

/// The pauses in force.
pub(crate) fn pauses(holds: &Holds, now: Timestamp) -> Vec<Pause<'_>> {
    let held = |service: Service| {
        let hold = holds.in_force(service, now)?;
        Some(Pause { service: service.name(), until: hold.until, why: &hold.why })
    };
    Service::ALL.into_iter().filter_map(held).collect()
}

fn report(shown: &[&Athlete], pauses: &[Pause<'_>], now: Timestamp, zone: &TimeZone) -> Report {
    let mut states = BTreeMap::new();
    for athlete in shown {
        *states.entry(State::of(athlete)).or_insert(0) += 1;
    }
    let operator = shown.iter().any(|athlete| Actor::of(athlete) == Actor::Operator);
    let ending = if operator || !pauses.is_empty() { Ending::Attention } else { Ending::Fine };
    let mut text = String::new();
    if !shown.is_empty() {
        let rows: Vec<_> = shown.iter().map(|athlete| row(athlete, now, zone)).collect();
        text += &columns(["ATHLETE", "USER", "STATE", "LAST SYNC", "LAST NIGHT", "REASON"], &rows);
        text.push('\n');
    }
    text += &summary(shown.len(), &states);
    for pause in pauses {
        let _ =
            write!(text, "\n{} is on hold until {}: {}", pause.service, when::time(pause.until, now, zone), pause.why);
    }
    let listing = Listing {
        athletes: shown.iter().map(|athlete| Entry::of(athlete)).collect(),
        states,
        holds: pauses.iter().map(|pause| Pause { ..*pause }).collect(),
    };
    Report::new(ending, &listing, text)
}

impl<'a> Entry<'a> {
    fn of(athlete: &'a Athlete) -> Self {
        let connection = athlete.connection.as_ref();
        Self {
            athlete: athlete.id.as_str(),
            user_id: athlete.user_id(),
            name: athlete.name(),
            state: State::of(athlete),
            reason: reason(athlete),
            needs: Actor::of(athlete),
            connected_at: connection.map(|connection| connection.connected_at),
            last_sync: connection.and_then(|connection| connection.last_sync),
            last_night: connection.and_then(|connection| connection.last_day),
        }
    }
}

fn row(athlete: &Athlete, now: Timestamp, zone: &TimeZone) -> [crate::table::Cell; 6] {
    let connection = athlete.connection.as_ref();
    let style = match Actor::of(athlete) {
        Actor::Operator => BAD,
        Actor::Athlete => WARNING,
        Actor::Nobody if State::of(athlete) == State::Active => GOOD,
        Actor::Nobody => QUIET,
    };
    let last_sync = connection.and_then(|connection| connection.last_sync);
    let last_night = connection.and_then(|connection| connection.last_day);
    [
        athlete.name().into(),
        cell(athlete.user_id().map_or(String::new(), |user| user.to_string()), QUIET),
        cell(State::of(athlete).words(), style),
        last_sync.map_or(String::new(), |at| when::ago(at, now)).into(),
        last_night.map_or(String::new(), |day| when::day(day, now, zone)).into(),
        cell(reason(athlete).unwrap_or_default(), Style::new()),
    ]
}

/// “30 athletes: 27 connected, 3 not connected yet”.
fn summary(count: usize, states: &BTreeMap<State, usize>) -> String {
    let counts: Vec<_> = states.iter().map(|(state, count)| format!("{count} {}", state.words())).collect();
    match count {
        0 => styled("no athletes", QUIET),
        1 => format!("1 athlete: {}", counts.join(", ")),
        _ => format!("{count} athletes: {}", counts.join(", ")),
    }
}
