//! `connector resync` brings a range of Oura's days to the forms again. It queues jobs for the workers and follows them
//! until they are done.
//!
//! The command spaces the jobs as a tick does, and further apart the more history each covers. Together with the ticks,
//! the installation stays within Oura’s rate limit. Each connection records its own progress, so this process stores
//! nothing: interrupting it stops no job. A pilot’s queue is in this process, so this process also runs its jobs.

mod follow;
mod range;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use connector::queue::message::Job;
use connector::schedule::plan;
use connector::{Connector, Queue};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use store::{AthleteId, Connection};
use tokio::time::Instant;

use crate::athlete_state::{Stand, State};
use crate::failure::Failure;
use crate::installation::{Installation, soon};
use crate::report::{Ending, Report, remark};
use crate::roster::{Athlete, Roster};
use crate::table::{WARNING, cell, columns};
use crate::time_format;

use follow::{Followed, ResyncOutcome};
use range::Range;

#[derive(Args)]
pub(crate) struct Options {
    /// The athletes: UUID, Smartabase user id, or a unique part of the name.
    #[arg(conflicts_with = "all")]
    athlete: Vec<String>,
    /// All connected athletes.
    #[arg(long)]
    all: bool,
    /// The first of Oura’s days to bring, such as 2026-03-01. A night belongs to the day the athlete woke up.
    #[arg(long, value_name = "DAY", value_parser = range::day)]
    from: Date,
    /// The last of Oura’s days to bring; today by default.
    #[arg(long, value_name = "DAY", value_parser = range::day)]
    to: Option<Date>,
    /// Queue the jobs and don’t follow them.
    #[arg(long)]
    detach: bool,
    /// Stop following when no athlete has made progress for this long. The queued jobs continue.
    #[arg(long, value_name = "DURATION", default_value = "16m", value_parser = time_format::duration)]
    give_up_after: SignedDuration,
}

/// The `--json` output.
#[derive(Serialize)]
struct Resync<'a> {
    from: Date,
    to: Date,
    athletes: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    athlete: &'a str,
    name: &'a str,
    #[serde(flatten)]
    outcome: &'a ResyncOutcome,
}

/// A job, and its delay after the first one.
type Planned = (Job, Duration);

/// How many days of history cost Oura as many requests as one sync.
const DAYS_PER_SYNC: u64 = 31;

/// How often the command reads the connections: of a deployment, and of a pilot, whose jobs this process runs itself.
const LOOK: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(250)];

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let today = Timestamp::now().to_zoned(installation.zone()).date();
    let range = Range::new(options.from, options.to.unwrap_or(today), today)?;
    let roster = Roster::read(&installation.store).await?;
    let chosen = choose(options, &roster)?;
    let connector = Arc::new(installation.connector()?);
    let mut outcomes = BTreeMap::new();
    let mut followed = Vec::new();
    for athlete in &chosen {
        match ready(athlete, today) {
            Ok(connection) => followed.push(Followed::new(connection)),
            Err(why) => drop(outcomes.insert(athlete.id.clone(), ResyncOutcome::Skipped { why })),
        }
    }
    let jobs = planned(&followed, range);
    let detached = options.detach && !matches!(connector.queue, Queue::InProcess(_));
    if detached {
        queue(&connector, jobs).await?;
        outcomes.extend(followed.into_iter().map(|followed| (followed.athlete, ResyncOutcome::Queued)));
    } else {
        outcomes.extend(follow(&connector, followed, jobs, range, options.give_up_after.unsigned_abs()).await?);
    }
    Ok(report(range, &chosen, &outcomes))
}

/// The chosen athletes, without duplicates.
fn choose<'a>(options: &Options, roster: &'a Roster) -> Result<Vec<&'a Athlete>, Failure> {
    if options.all {
        return Ok(roster.athletes.iter().filter(|athlete| athlete.is_connected()).collect());
    }
    if options.athlete.is_empty() {
        return Err(Failure::usage("whose days? Name athletes, or give --all for everybody connected"));
    }
    let mut chosen = Vec::new();
    for text in &options.athlete {
        let athlete = roster.find(text)?;
        if !chosen.iter().any(|other: &&Athlete| other.id == athlete.id) {
            chosen.push(athlete);
        }
    }
    Ok(chosen)
}

/// The athlete's connection, if the days can be brought now; otherwise the reason why not.
fn ready(athlete: &Athlete, today: Date) -> Result<&Connection, String> {
    let stand = Stand::of(athlete, today);
    match (stand.state, &athlete.connection) {
        (State::Connected | State::Stale | State::FieldMissing | State::HeldUp, Some(connection)) => Ok(connection),
        _ => Err(stand.to_string()),
    }
}

fn planned(followed: &[Followed], range: Range) -> Vec<Planned> {
    let stretch = usize::try_from(range.days().div_ceil(DAYS_PER_SYNC)).unwrap_or(1);
    let job = |(position, followed): (usize, &Followed)| {
        let job = Job::Backfill { athlete: followed.athlete.clone(), from: range.from, to: range.to, put_off: 0 };
        (job, plan::offset(position * stretch))
    };
    followed.iter().enumerate().map(job).collect()
}

/// Queues all the jobs at once, if the queue can delay the last of them for long enough.
async fn queue(connector: &Connector, jobs: Vec<Planned>) -> Result<(), Failure> {
    if jobs.last().is_some_and(|(_, offset)| *offset > plan::LONGEST_DELAY) {
        return Err(Failure::usage(
            "these are more days than may be asked of Oura in a quarter of an hour: leave --detach out, or give fewer \
             athletes or days",
        ));
    }
    send(connector, &jobs).await
}

async fn send(connector: &Connector, jobs: &[Planned]) -> Result<(), Failure> {
    let sent = connector.queue.send(jobs, soon()).await;
    sent.map_err(|error| Failure::Failed(format!("{error}: try again; days that are brought twice do no harm")))
}

/// Queues the jobs as they become due, and reads the connections until every job is done or no athlete makes progress.
async fn follow(
    connector: &Arc<Connector>,
    mut followed: Vec<Followed>,
    mut jobs: Vec<Planned>,
    range: Range,
    patience: Duration,
) -> Result<BTreeMap<AthleteId, ResyncOutcome>, Failure> {
    let at_once = jobs.last().is_none_or(|(_, offset)| *offset <= plan::LONGEST_DELAY);
    let bar = bar(followed.len(), range, at_once);
    let begun = Instant::now();
    let mut outcomes = BTreeMap::new();
    let mut advanced = begun;
    let mut reached = 0;
    while !followed.is_empty() {
        let due = jobs.partition_point(|(_, offset)| *offset <= begun.elapsed() + plan::LONGEST_DELAY);
        let due: Vec<_> = jobs.drain(..due).collect();
        let due: Vec<_> = due.into_iter().map(|(job, offset)| (job, offset.saturating_sub(begun.elapsed()))).collect();
        if let Some((_, last)) = due.last() {
            send(connector, &due).await.map_err(|failure| unsent(failure, due.len() + jobs.len()))?;
            advanced = Instant::now() + *last;
        }
        if let Queue::InProcess(waiting) = &connector.queue {
            while waiting.work(connector, soon()).await > 0 {}
        }
        let ids: Vec<_> = followed.iter().map(|followed| followed.athlete.clone()).collect();
        let now = match Roster::of(&connector.store, ids).await {
            Ok(now) => now,
            Err(failure) if jobs.is_empty() => return Err(failure),
            Err(failure) => return Err(unsent(failure, jobs.len())),
        };
        let mut days = range.days() * outcomes.len() as u64;
        for athlete in &now.athletes {
            let Some(place) = followed.iter().position(|followed| followed.athlete == athlete.id) else { continue };
            let outcome = match (ready(athlete, range.to), followed.get_mut(place)) {
                (Err(why), _) => Some(ResyncOutcome::Unfinished { why }),
                (Ok(connection), Some(followed)) => followed.look(connection, range),
                (Ok(_), None) => None,
            };
            if let Some(outcome) = outcome {
                days += range.days();
                followed.swap_remove(place);
                outcomes.insert(athlete.id.clone(), outcome);
            } else {
                days += followed.get(place).map_or(0, |followed| followed.days(range));
            }
        }
        bar.set_position(days);
        bar.set_message(format!("{} of {} athletes", outcomes.len(), outcomes.len() + followed.len()));
        if days > reached {
            (reached, advanced) = (days, advanced.max(Instant::now()));
        }
        if jobs.is_empty() && advanced.elapsed() >= patience {
            let why = "nothing moved for a while: `connector status` says what stands in the way";
            outcomes.extend(
                followed
                    .drain(..)
                    .map(|followed| (followed.athlete, ResyncOutcome::Unfinished { why: why.to_owned() })),
            );
        }
        if !followed.is_empty() {
            let [deployed, here] = LOOK;
            tokio::time::sleep(if matches!(connector.queue, Queue::InProcess(_)) { here } else { deployed }).await;
        }
    }
    bar.finish_and_clear();
    Ok(outcomes)
}

/// The error that stopped the queueing before every athlete's job was queued.
fn unsent(failure: Failure, athletes: usize) -> Failure {
    match failure {
        Failure::Failed(why) => {
            Failure::Failed(format!("{why}; {athletes} athletes were not queued yet, so run this once more"))
        }
        usage @ Failure::Usage(_) => usage,
    }
}

/// A progress bar on standard error, if that is a terminal.
fn bar(athletes: usize, range: Range, at_once: bool) -> ProgressBar {
    let bar = ProgressBar::new(range.days() * athletes as u64);
    if !bar.is_hidden() && athletes > 0 {
        remark(if at_once {
            "Interrupting this stops the watching, not the work of a deployment."
        } else {
            "Keep this running: it queues the athletes little by little, as Oura’s allowance permits."
        });
    }
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}, {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn report(range: Range, chosen: &[&Athlete], outcomes: &BTreeMap<AthleteId, ResyncOutcome>) -> Report {
    let lines: Vec<_> = chosen
        .iter()
        .filter_map(|athlete| {
            Some(Line { athlete: athlete.id.as_str(), name: athlete.name(), outcome: outcomes.get(&athlete.id)? })
        })
        .collect();
    let well = lines.iter().filter(|line| line.outcome.is_well()).count();
    let ending = if well == lines.len() { Ending::Fine } else { Ending::Attention };
    let mut text = String::new();
    let unwell: Vec<_> = lines
        .iter()
        .filter(|line| !line.outcome.is_well())
        .map(|line| [line.name.into(), cell(line.outcome.words(), WARNING)])
        .collect();
    if !unwell.is_empty() {
        text += &columns(["ATHLETE", "OUTCOME"], &unwell);
        text.push('\n');
    }
    let done = if lines.iter().any(|line| *line.outcome == ResyncOutcome::Queued) { "queued" } else { "done" };
    let _ = write!(text, "{} to {}: {well} of {} athletes {done}", range.from, range.to, lines.len());
    Report::new(ending, &Resync { from: range.from, to: range.to, athletes: lines }, text)
}
