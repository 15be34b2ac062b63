//! `connector redrive`: the dead letters. A job comes here when it was tried too often, a message when nobody can read it;
//! each is explained, against what the table says now, before anything is done with it.

mod explain;
mod letters;

use std::fmt::Write;

use clap::{Args, Subcommand};
use connector::job::Job;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::failure::Failure;
use crate::installation::{Installation, Place};
use crate::report::{Ending, Report};
use crate::roster::Roster;
use crate::table::{QUIET, STRONG, styled};
use crate::when;

use explain::Explained;
pub(crate) use letters::waiting;
use letters::{Letter, Letters};

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Lists and explains them; what happens without a word.
    List,
    /// Sends jobs back to the queue, to be tried as new ones.
    Send(Chosen),
    /// Deletes them.
    Drop(Dropping),
}

#[derive(Args)]
struct Chosen {
    /// Ids as listed, or their beginnings.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Vec<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct Dropping {
    #[command(flatten)]
    chosen: Chosen,
    /// Drop rescues too, each of which may hold the only copy of an athlete’s token, and say why that is right. Whoever
    /// it was of has to connect again.
    #[arg(long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    lose_tokens_because: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listing {
    dead_letters: Vec<Line>,
    /// Why tokens were lost, as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_tokens_because: Option<String>,
}

#[derive(Serialize)]
struct Line {
    id: String,
    #[serde(flatten)]
    explained: Explained,
    sent_at: Option<Timestamp>,
    /// What was done with it.
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Kept,
    Sent,
    Dropped,
}

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let Place::Stack(stack) = &installation.place else {
        return Err(Failure::usage(
            "a pilot keeps no dead letters: its queue is in memory, and what is owed the table remembers",
        ));
    };
    let letters = Letters::of(stack)?;
    let found = letters.take().await?;
    let ended = handle(options, installation, &letters, &found).await;
    // Whatever happened, the others must not have to wait until what was only looked at can be seen again.
    let kept = match &ended {
        Ok((_, lines)) => found
            .iter()
            .zip(lines)
            .filter(|(_, line)| line.outcome == Outcome::Kept)
            .map(|(letter, _)| letter)
            .collect(),
        Err(_) => found.iter().collect::<Vec<_>>(),
    };
    letters.put_back(&kept).await;
    let (because, lines) = ended?;
    Ok(report(lines, because, Timestamp::now(), &installation.zone()))
}

/// Explains every letter and does with the chosen ones what was asked.
async fn handle(
    options: &Options,
    installation: &Installation,
    letters: &Letters<'_>,
    found: &[Letter],
) -> Result<(Option<String>, Vec<Line>), Failure> {
    let jobs: Vec<_> = found.iter().map(|letter| Job::from_message(&letter.body)).collect();
    let athletes = jobs.iter().flatten().map(|job| job.athlete().clone());
    let roster = Roster::of(&installation.store, athletes).await?;
    let today = Timestamp::now().to_zoned(installation.zone()).date();
    let mut lines = Vec::new();
    for (letter, job) in found.iter().zip(&jobs) {
        let explained = explain::explain(job.as_ref(), letter.reason.as_deref(), &roster, today);
        lines.push(Line { id: letter.id.clone(), explained, sent_at: letter.sent_at, outcome: Outcome::Kept });
    }
    let because = match &options.what {
        None | Some(What::List) => None,
        Some(What::Send(chosen)) => {
            for place in chosen.among(&lines, "send", |line| line.explained.job.is_some())? {
                if let (Some(letter), Some(Ok(job)), Some(line)) =
                    (found.get(place), jobs.get(place), lines.get_mut(place))
                {
                    letters.send_again(letter, job).await?;
                    line.outcome = Outcome::Sent;
                }
            }
            None
        }
        Some(What::Drop(Dropping { chosen, lose_tokens_because })) => {
            let may = |line: &Line| lose_tokens_because.is_some() || line.explained.job != Some("rescue");
            for place in chosen.among(&lines, "drop", may)? {
                if let (Some(letter), Some(line)) = (found.get(place), lines.get_mut(place)) {
                    letters.delete(letter).await?;
                    line.outcome = Outcome::Dropped;
                }
            }
            lose_tokens_because.clone()
        }
    };
    Ok((because, lines))
}

impl Chosen {
    /// The places of the chosen letters. Of all, those with which it `may` be done; by name, only such.
    fn among(&self, lines: &[Line], doing: &str, may: impl Fn(&Line) -> bool) -> Result<Vec<usize>, Failure> {
        if self.all {
            return Ok((0..lines.len()).filter(|place| lines.get(*place).is_some_and(&may)).collect());
        }
        let mut places = Vec::new();
        for id in &self.id {
            let named: Vec<_> = lines.iter().enumerate().filter(|(_, line)| line.id.starts_with(id.as_str())).collect();
            let (place, line) = match named.as_slice() {
                [one] => *one,
                [] => {
                    return Err(Failure::Usage(format!(
                        "no dead letter has the id “{id}”: `connector redrive` lists them"
                    )));
                }
                _ => {
                    return Err(Failure::Usage(format!(
                        "several dead letters’ ids begin with “{id}”: give more of it"
                    )));
                }
            };
            if !may(line) {
                return Err(Failure::Usage(match line.explained.job {
                    None => format!("to {doing} {id} again would bring it back here: nobody can read it, so drop it"),
                    Some(_) => format!(
                        "{id} is a rescue and may hold the only copy of an athlete’s token: send it again, or say why it can be lost \
                         with --lose-tokens-because"
                    ),
                }));
            }
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }
}

fn report(lines: Vec<Line>, because: Option<String>, now: Timestamp, zone: &TimeZone) -> Report {
    let kept = lines.iter().filter(|line| line.outcome == Outcome::Kept).count();
    let ending = if kept == 0 { Ending::Fine } else { Ending::Attention };
    let mut text = String::new();
    for line in &lines {
        let Explained { job, name, explanation, advice, .. } = &line.explained;
        let (did, style) = match line.outcome {
            Outcome::Kept => (advice.words(), advice.style()),
            Outcome::Sent => ("sent again", QUIET),
            Outcome::Dropped => ("dropped", QUIET),
        };
        let sent = line.sent_at.map_or(String::new(), |at| format!(", sent {}", when::time(at, now, zone)));
        let title =
            [Some(job.unwrap_or("unreadable")), name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" of ");
        let _ = writeln!(text, "{}  {}{}", styled(&title, STRONG), styled(&line.id, QUIET), styled(&sent, QUIET));
        let _ = writeln!(text, "  {explanation}\n  {}\n", styled(did, style));
    }
    let count = |outcome, word: &str| {
        let count = lines.iter().filter(|line| line.outcome == outcome).count();
        (count > 0).then(|| format!("{count} {word}"))
    };
    let counts =
        [count(Outcome::Sent, "sent again"), count(Outcome::Dropped, "dropped"), count(Outcome::Kept, "waiting here")];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    text += &if counts.is_empty() { "no dead letters".to_owned() } else { counts.join(", ") };
    Report::new(ending, &Listing { dead_letters: lines, lost_tokens_because: because }, text)
}
