//! `connector show ATHLETE` shows everything the table holds about one athlete.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::Style;
use clap::Args;
use connector::forms::Forms;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use runtime::visible_on_one_line;
use serde::Serialize;
use store::{Connection, Entry, Record};

use crate::athlete_state::{Actor, Head, Stand};
use crate::failure::Failure;
use crate::installation::{Installation, Place, soon};
use crate::report::{Ending, Report};
use crate::roster::{Athlete, Roster};
use crate::status::{Pause, colour, pauses};
use crate::table::{Cell, QUIET, STRONG, WARNING, cell, columns, styled};
use crate::time_format;

#[derive(Args)]
pub(crate) struct Options {
    /// The athlete: UUID, Smartabase user id, or a unique part of the name.
    athlete: String,
    /// How many days of the ledger to show.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
}

/// The `--json` output.
#[derive(Serialize)]
struct Story<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    enrolment: Option<Enrolment>,
    connection: Option<ConnectionSummary<'a>>,
    /// The newest first.
    ledger: Vec<Line<'a>>,
    holds: Vec<Pause<'a>>,
}

#[derive(Serialize)]
struct Enrolment {
    told: Timestamp,
    link_expires: Timestamp,
}

#[derive(Serialize)]
struct ConnectionSummary<'a> {
    first_connected_at: Timestamp,
    connected_at: Timestamp,
    status_at: Timestamp,
    scopes: &'a str,
    /// Whether there is a grant. Without one, the athlete has to connect again.
    granted: bool,
    /// When the access token expires. The worker refreshes it before then.
    token_expires_at: Option<Timestamp>,
    rotated_at: Option<Timestamp>,
    last_sync: Option<Timestamp>,
    last_night: Option<Date>,
    /// The first day of the missing history.
    owed_from: Option<Date>,
    /// The last range of history brought.
    brought: Option<Brought>,
    /// The end of a worker's lease on the athlete, if a worker holds one.
    working_until: Option<Timestamp>,
    /// Until when the connector sends Oura no requests for this athlete.
    held_until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Brought {
    first: Date,
    last: Date,
    at: Timestamp,
}

/// One record of the ledger.
#[derive(Serialize)]
struct Line<'a> {
    form: &'a str,
    date: Date,
    /// `written` once Smartabase has confirmed the content; `intended` between sending and confirmation; `incomplete`
    /// if Smartabase confirmed only a part, or holds several events on the date.
    state: &'static str,
    event: Option<u64>,
    received_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
}

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let roster = Roster::read(&installation.store).await?;
    let athlete = roster.find(&options.athlete)?;
    let (now, zone) = (Timestamp::now(), installation.zone());
    let today = now.to_zoned(zone.clone()).date();
    let first = today.saturating_sub(i64::from(options.days).days());
    let forms = Forms::shipped().map_err(|error| Failure::Failed(format!("{error}: correct it and build again")))?;
    let names: Vec<_> = forms.events.iter().map(|form| form.name.to_string()).collect();
    let mut ledger = BTreeMap::new();
    let intended = athlete.connection.as_ref().map(|connection| connection.intended.clone()).unwrap_or_default();
    for name in &names {
        let entries = installation.store.entries(&athlete.id, &intended, name, first, today, soon().instant()).await?;
        ledger.extend(entries.into_iter().map(|entry| ((entry.date, name.as_str()), entry)));
    }
    let stand = Stand::of(athlete, today);
    let story = Story {
        head: Head::of(athlete, &stand),
        enrolment: athlete
            .enrolment
            .as_ref()
            .map(|enrolment| Enrolment { told: enrolment.told, link_expires: enrolment.link_expires }),
        connection: athlete.connection.as_ref().map(|connection| standing(connection, now)),
        ledger: ledger.iter().rev().map(|((_, form), entry)| line(form, entry)).collect(),
        holds: pauses(&roster.holds, now),
    };
    let text = text(&story, athlete, &stand, installation, now, &zone);
    let ending = if stand.needs() == Actor::Operator { Ending::Attention } else { Ending::Fine };
    Ok(Report::new(ending, &story, text))
}

fn standing(connection: &Connection, now: Timestamp) -> ConnectionSummary<'_> {
    ConnectionSummary {
        first_connected_at: connection.first_connected_at,
        connected_at: connection.connected_at,
        status_at: connection.status_at,
        scopes: &connection.scopes,
        granted: connection.grant.is_some(),
        token_expires_at: connection.grant.as_ref().map(|grant| grant.expires_at),
        rotated_at: connection.rotated_at,
        last_sync: connection.last_sync,
        last_night: connection.last_day,
        owed_from: connection.backfill_from,
        brought: connection.brought.map(|store::Brought { first, last, at }| Brought { first, last, at }),
        working_until: connection.lease.as_ref().map(|lease| lease.until).filter(|until| *until > now),
        held_until: connection.held_until.filter(|until| *until > now),
    }
}

fn line<'a>(form: &'a str, entry: &Entry) -> Line<'a> {
    let (state, event) = match &entry.record {
        Record::Intended { event } => ("intended", *event),
        Record::Written(written) if written.digest.is_empty() => ("incomplete", Some(written.event)),
        Record::Written(written) => ("written", Some(written.event)),
    };
    Line { form, date: entry.date, state, event, received_at: entry.received_at, changed_at: entry.changed_at }
}

fn text(
    story: &Story<'_>,
    athlete: &Athlete,
    stand: &Stand,
    installation: &Installation,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let at = |instant| time_format::time(instant, now, zone);
    let mut facts: Vec<(&str, String)> = Vec::new();
    let user = athlete.user_id().map_or("unknown".to_owned(), |user| user.to_string());
    facts.push(("UUID", format!("{}, Smartabase user {user}", athlete.id)));
    facts.push(("status", styled(&stand.to_string(), colour(stand.state))));
    if !stand.reason.is_empty() {
        facts.push(("reason", visible_on_one_line(&stand.reason).into_owned()));
    }
    if let Some(connection) = &story.connection {
        let again = connection.connected_at != connection.first_connected_at;
        let first = if again { format!(", first {}", at(connection.first_connected_at)) } else { String::new() };
        let scopes = visible_on_one_line(connection.scopes);
        facts.push(("connected", format!("{}{first}, scopes: {scopes}", at(connection.connected_at))));
        let token = match (connection.rotated_at, connection.token_expires_at) {
            (_, None) => "erased".to_owned(),
            (None, Some(expires)) => format!("as granted, good until {}", at(expires)),
            (Some(rotated), Some(expires)) => format!("refreshed {}, good until {}", at(rotated), at(expires)),
        };
        facts.push(("token", token));
        facts.push(("last sync", connection.last_sync.map_or("never".to_owned(), |last| time_format::ago(last, now))));
        facts.push((
            "last night",
            connection.last_night.map_or("none".to_owned(), |day| time_format::day(day, now, zone)),
        ));
        if let Some(Brought { first, last, at: when }) = &connection.brought {
            facts.push(("backfill", format!("{first} to {last}, done {}", at(*when))));
        }
        if let Some(owed) = connection.owed_from {
            facts.push(("owed", format!("history from {owed}")));
        }
        if let Some(until) = connection.working_until {
            facts.push(("at work", format!("a worker has the athlete until {} at the latest", at(until))));
        }
        if let Some(until) = connection.held_until {
            facts.push(("paused", format!("until {}", at(until))));
        }
    }
    match &story.enrolment {
        Some(enrolment) => facts.push(("link", format!("good until {}", at(enrolment.link_expires)))),
        None => facts.push(("link", "never enrolled: not on the roster when it was last read".to_owned())),
    }
    let mut text = format!("{}\n", styled(athlete.name(), STRONG));
    for (name, fact) in facts {
        let _ = writeln!(text, "  {}{fact}", styled(&format!("{name:<12}"), QUIET));
    }
    text.push('\n');
    if story.ledger.is_empty() {
        text += "nothing in the ledger for these days\n";
    } else {
        let rows: Vec<_> = story.ledger.iter().map(|line| row(line, now, zone)).collect();
        text += &columns(["DATE", "FORM", "RECORD", "EVENT", "RECEIVED", "LAST CHANGED"], &rows);
    }
    if let Place::Stack(stack) = &installation.place {
        let pattern = format!("{{ $.athlete = \"{}\" }}", athlete.id);
        let log = format!(
            "aws logs filter-log-events --log-group-name /{}/worker --filter-pattern '{pattern}' --query 'events[].message' --output text",
            stack.name
        );
        let _ =
            write!(text, "\n{}\n{}", styled("what the worker logged about this athlete:", QUIET), styled(&log, QUIET));
    }
    text
}

fn row(line: &Line<'_>, now: Timestamp, zone: &TimeZone) -> [Cell; 6] {
    let at =
        |instant: Option<Timestamp>| instant.map_or(String::new(), |instant| time_format::time(instant, now, zone));
    let style = if line.state == "written" { Style::new() } else { WARNING };
    [
        time_format::day(line.date, now, zone).into(),
        line.form.into(),
        cell(line.state, style),
        line.event.map_or(String::new(), |event| event.to_string()).into(),
        at(line.received_at).into(),
        cell(at(line.changed_at), QUIET),
    ]
}
