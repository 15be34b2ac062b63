//! `connector redrive`: the dead letters, which are jobs that failed too often and messages that can't be parsed. The
//! command explains each one against the current state of the table, before it sends or drops any.

mod explain;
mod letters;

use std::fmt::Write;

use clap::{Args, Subcommand};
use connector::queue::message::Job;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use runtime::visible_on_one_line;
use serde::Serialize;

use crate::failure::Failure;
use crate::installation::{Installation, Place};
use crate::report::{Ending, Report};
use crate::roster::Roster;
use crate::table::{BAD, QUIET, STRONG, styled};
use crate::time_format;

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
    /// List and explain the dead letters. This is the default.
    List,
    /// Send jobs back to the queue, as new ones.
    Send(Chosen),
    /// Delete dead letters.
    Drop(Dropping),
}

#[derive(Args)]
struct Chosen {
    /// Ids as listed, or the first characters of one.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Vec<String>,
    /// All dead letters.
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct Dropping {
    #[command(flatten)]
    chosen: Chosen,
    /// Also drop rescues, and give the reason. Each may hold the only copy of an athlete’s token; without it the
    /// athlete has to connect again.
    #[arg(long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    lose_tokens_because: Option<String>,
}

/// The `--json` output.
#[derive(Serialize)]
struct Listing {
    dead_letters: Vec<Line>,
    /// Why rescues were dropped, as the operator gave the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_tokens_because: Option<String>,
}

#[derive(Serialize)]
struct Line {
    id: String,
    #[serde(flatten)]
    explained: Explained,
    sent_at: Option<Timestamp>,
    #[serde(flatten)]
    outcome: LetterOutcome,
}

/// What the command did with a dead letter.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum LetterOutcome {
    /// Nothing.
    Kept,
    Sent,
    Dropped,
    /// Sending or dropping it failed, so it may still be in the queue. The command did not touch the letters after it.
    Failed {
        why: String,
    },
}

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let Place::Stack(stack) = &installation.place else {
        return Err(Failure::usage(
            "a pilot keeps no dead letters: its queue is in memory, and the log of `serve` says what was given up. Days that \
             are owed to the forms the table remembers; a refreshed token that was never stored is lost, so that the athlete \
             connects again, and an access that was never revoked ends when the athlete removes it in their Oura account",
        ));
    };
    let letters = Letters::of(stack)?;
    let found = letters.take().await?;
    let ended = handle(options, installation, &letters, &found).await;
    // Make the letters visible again after success and failure alike, so that the next reader does not have to wait.
    let kept = match &ended {
        Ok((_, lines)) => {
            found.iter().zip(lines).filter(|(_, line)| line.outcome.is_here()).map(|(letter, _)| letter).collect()
        }
        Err(_) => found.iter().collect::<Vec<_>>(),
    };
    letters.put_back(&kept).await;
    let (because, lines) = ended?;
    Ok(report(lines, because, Timestamp::now(), &installation.zone()))
}

/// Explains every letter, and sends or drops the chosen ones.
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
        lines.push(Line { id: letter.id.clone(), explained, sent_at: letter.sent_at, outcome: LetterOutcome::Kept });
    }
    let may_go = |lose: bool| move |line: &Line| lose || line.explained.job != Some("rescue");
    let (places, because) = match &options.what {
        None | Some(What::List) => (Vec::new(), None),
        Some(What::Send(chosen)) => (chosen.among(&lines, "send", |line| line.explained.job.is_some())?, None),
        Some(What::Drop(Dropping { chosen, lose_tokens_because: because })) => {
            (chosen.among(&lines, "drop", may_go(because.is_some()))?, because.clone())
        }
    };
    for (done, place) in places.into_iter().enumerate() {
        let (Some(letter), Some(job), Some(line)) = (found.get(place), jobs.get(place), lines.get_mut(place)) else {
            continue;
        };
        let outcome = match (&options.what, job) {
            (Some(What::Send(_)), Ok(job)) => send_again(letters, letter, job).await,
            (Some(What::Drop(_)), _) => letters.delete(letter).await.map(|()| LetterOutcome::Dropped),
            (None | Some(What::List | What::Send(_)), _) => continue,
        };
        line.outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failure) if done == 0 => return Err(failure),
            // Report the letters that were already sent or dropped.
            Err(failure) => LetterOutcome::Failed { why: failure.to_string() },
        };
        // The error that stopped one letter would stop the others too.
        if line.outcome.is_here() {
            break;
        }
    }
    Ok((because, lines))
}

/// Puts a job back on the queue, then deletes its letter. If the process ends between the two, the job runs twice,
/// which is harmless.
async fn send_again(letters: &Letters<'_>, letter: &Letter, job: &Job) -> Result<LetterOutcome, Failure> {
    letters.send(letter, job).await?;
    Ok(match letters.delete(letter).await {
        Ok(()) => LetterOutcome::Sent,
        Err(failure) => {
            LetterOutcome::Failed { why: format!("it is sent again, but still here as well, to be dropped: {failure}") }
        }
    })
}

impl Chosen {
    /// The indexes of the chosen letters. `--all` selects those that this action `may` be applied to; an id must name
    /// such a letter.
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

impl LetterOutcome {
    /// Whether the letter is, as far as known, still in the dead-letter queue.
    fn is_here(&self) -> bool {
        matches!(self, Self::Kept | Self::Failed { .. })
    }
}

fn report(lines: Vec<Line>, because: Option<String>, now: Timestamp, zone: &TimeZone) -> Report {
    let ending = if lines.iter().any(|line| line.outcome.is_here()) { Ending::Attention } else { Ending::Fine };
    let mut text = String::new();
    let (mut sent, mut dropped, mut failed, mut kept) = (0, 0, 0, 0);
    for line in &lines {
        let Explained { job, name, explanation, advice, .. } = &line.explained;
        let (count, did, style) = match &line.outcome {
            LetterOutcome::Kept => (&mut kept, advice.words().to_owned(), advice.style()),
            LetterOutcome::Sent => (&mut sent, "sent again".to_owned(), QUIET),
            LetterOutcome::Dropped => (&mut dropped, "dropped".to_owned(), QUIET),
            LetterOutcome::Failed { why } => (&mut failed, format!("failed: {why}"), BAD),
        };
        *count += 1;
        let at = line.sent_at.map_or(String::new(), |at| format!(", sent {}", time_format::time(at, now, zone)));
        let title =
            [Some(job.unwrap_or("unreadable")), name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" of ");
        let _ = writeln!(text, "{}  {}{}", styled(&title, STRONG), styled(&line.id, QUIET), styled(&at, QUIET));
        let _ = writeln!(text, "  {}\n  {}\n", visible_on_one_line(explanation), styled(&did, style));
    }
    let counts = [(sent, "sent again"), (dropped, "dropped"), (failed, "failed"), (kept, "waiting here")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let counts: Vec<_> = counts.collect();
    text += &if counts.is_empty() { "no dead letters".to_owned() } else { counts.join(", ") };
    Report::new(ending, &Listing { dead_letters: lines, lost_tokens_because: because }, text)
}
