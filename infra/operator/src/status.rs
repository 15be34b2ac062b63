//! `connector status` lists the athletes' states.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::Style;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use store::{Holds, Service};

use crate::athlete_state::{Actor, Head, Stand, State};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::report::{Ending, Report};
use crate::roster::{Athlete, Roster};
use crate::table::{BAD, Cell, GOOD, QUIET, WARNING, cell, columns, styled};
use crate::time_format;

#[derive(Args)]
pub(crate) struct Options {
    /// Only athletes whose UUID, Smartabase user id or name contains this.
    athlete: Vec<String>,
    /// Only athletes in this state; may be given several times.
    #[arg(long, value_enum)]
    state: Vec<State>,
    /// Only athletes for whom the athlete or the operator has to act.
    #[arg(long)]
    attention: bool,
    /// Only healthy athletes not synced for this long, such as `2h` or `3d`. Every tick syncs them, and they are marked
    /// as synced once an hour. Excludes athletes who have to act first.
    #[arg(long, value_name = "DURATION", value_parser = time_format::duration)]
    unsynced_for: Option<SignedDuration>,
}

/// The `--json` output.
#[derive(Serialize)]
struct Listing<'a> {
    /// The selected athletes.
    athletes: Vec<Entry<'a>>,
    /// How many of them are in each state.
    states: BTreeMap<State, usize>,
    /// The holds in force for all athletes.
    holds: Vec<Pause<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    connected_at: Option<Timestamp>,
    last_sync: Option<Timestamp>,
    /// The date of the last night's record in the form.
    last_night: Option<Date>,
}

/// A hold for all athletes.
#[derive(Clone, Serialize)]
pub(crate) struct Pause<'a> {
    pub(crate) service: &'static str,
    pub(crate) until: Timestamp,
    pub(crate) why: &'a str,
}

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let roster = Roster::read(&installation.store).await?;
    let (now, zone) = (Timestamp::now(), installation.zone());
    let today = now.to_zoned(zone.clone()).date();
    let standing = roster.athletes.iter().map(|athlete| (athlete, Stand::of(athlete, today)));
    let shown: Vec<_> = standing.filter(|(athlete, stand)| options.want(athlete, stand, now)).collect();
    Ok(report(&shown, &pauses(&roster.holds, now), now, &zone))
}

impl Options {
    fn want(&self, athlete: &Athlete, stand: &Stand, now: Timestamp) -> bool {
        let named = |text: &String| {
            athlete.name().to_lowercase().contains(&text.to_lowercase())
                || athlete.id.as_str().contains(text.as_str())
                || athlete.user_id().is_some_and(|user| user.to_string() == *text)
        };
        (self.athlete.is_empty() || self.athlete.iter().any(named))
            && (self.state.is_empty() || self.state.contains(&stand.state))
            && (!self.attention || stand.needs() != Actor::Nobody)
            && self.unsynced_for.is_none_or(|limit| athlete.lag(now).is_some_and(|lag| lag >= limit))
    }
}

/// The holds in force.
pub(crate) fn pauses(holds: &Holds, now: Timestamp) -> Vec<Pause<'_>> {
    let held = |service: Service| {
        let hold = holds.in_force(service, now)?;
        Some(Pause { service: service.name(), until: hold.until, why: &hold.why })
    };
    let outage = holds.outage.as_ref().filter(|outage| outage.in_force(now));
    let outage =
        outage.map(|outage| Pause { service: Service::Smartabase.name(), until: outage.until, why: &outage.why });
    Service::ALL.into_iter().filter_map(held).chain(outage).collect()
}

fn report(shown: &[(&Athlete, Stand)], pauses: &[Pause<'_>], now: Timestamp, zone: &TimeZone) -> Report {
    let mut states = BTreeMap::new();
    for (_, stand) in shown {
        *states.entry(stand.state).or_insert(0) += 1;
    }
    let operator = shown.iter().any(|(_, stand)| stand.needs() == Actor::Operator);
    let ending = if operator || !pauses.is_empty() { Ending::Attention } else { Ending::Fine };
    let mut text = String::new();
    if !shown.is_empty() {
        let rows: Vec<_> = shown.iter().map(|(athlete, stand)| row(athlete, stand, now, zone)).collect();
        text += &columns(["ATHLETE", "USER", "STATUS", "LAST SYNC", "LAST NIGHT", "REASON"], &rows);
        text.push('\n');
    }
    text += &summary(shown.len(), &states);
    for pause in pauses {
        let until = time_format::time(pause.until, now, zone);
        let _ =
            write!(text, "\n{}", styled(&format!("{} is on hold until {until}: {}", pause.service, pause.why), BAD));
    }
    let listing = Listing {
        athletes: shown.iter().map(|(athlete, stand)| Entry::of(athlete, stand)).collect(),
        states,
        holds: pauses.to_vec(),
    };
    Report::new(ending, &listing, text)
}

impl<'a> Entry<'a> {
    fn of(athlete: &'a Athlete, stand: &'a Stand) -> Self {
        let connection = athlete.connection.as_ref();
        Self {
            head: Head::of(athlete, stand),
            connected_at: connection.map(|connection| connection.connected_at),
            last_sync: connection.and_then(|connection| connection.last_sync),
            last_night: connection.and_then(|connection| connection.last_day),
        }
    }
}

fn row(athlete: &Athlete, stand: &Stand, now: Timestamp, zone: &TimeZone) -> [Cell; 6] {
    let connection = athlete.connection.as_ref();
    let last_sync = connection.and_then(|connection| connection.last_sync);
    let last_night = connection.and_then(|connection| connection.last_day);
    [
        athlete.name().into(),
        cell(athlete.user_id().map_or(String::new(), |user| user.to_string()), QUIET),
        cell(stand.to_string(), colour(stand.state)),
        last_sync.map_or(String::new(), |at| time_format::ago(at, now)).into(),
        last_night.map_or(String::new(), |day| time_format::day(day, now, zone)).into(),
        stand.reason.as_str().into(),
    ]
}

/// The colour of a state depends on who has to act.
pub(crate) fn colour(state: State) -> Style {
    match (state.needs(), state) {
        (Actor::Operator, _) => BAD,
        (Actor::Athlete, _) => WARNING,
        (Actor::Nobody, State::Connected) => GOOD,
        (Actor::Nobody, _) => QUIET,
    }
}

/// “30 athletes: 27 connected, 3 not connected yet”.
fn summary(count: usize, states: &BTreeMap<State, usize>) -> String {
    let counts: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    match count {
        0 => styled("no athletes", QUIET),
        1 => format!("1 athlete: {}", counts.join(", ")),
        _ => format!("{count} athletes: {}", counts.join(", ")),
    }
}
