//! `connector disconnect ATHLETE` does the same as the athlete’s own *Disconnect* button.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use connector::{Connector, InProcessQueue, JobError, Queue, Revocation};
use runtime::visible_on_one_line;
use serde::Serialize;
use store::Status;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::installation::{Installation, soon};
use crate::report::{Ending, Report, ask, remark};
use crate::roster::Roster;

#[derive(Args)]
pub(crate) struct Options {
    /// The athlete: UUID, Smartabase user id, or a unique part of the name.
    athlete: String,
    /// Disconnect without asking for confirmation.
    #[arg(long)]
    yes: bool,
}

/// The `--json` output.
#[derive(Serialize)]
struct Done<'a> {
    athlete: &'a str,
    name: &'a str,
    /// Whether Oura has confirmed the revocation; `null` if there was no grant to revoke. If Oura has not confirmed it,
    /// a deployment retries and a pilot does not.
    revoked: Option<bool>,
}

/// How long to retry a pilot’s revocation. A pilot's queue ends with this process.
const INSISTING: Duration = Duration::from_mins(3);

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let roster = Roster::read(&installation.store).await?;
    let athlete = roster.find(&options.athlete)?;
    let (id, name) = (&athlete.id, athlete.name());
    match &athlete.connection {
        Some(connection) if connection.status != Status::Disconnected => {}
        None if athlete.damage.is_some() => {
            return Err(Failure::Failed(format!(
                "the connection of {name} can’t be read: correct or remove the item ATHLETE#{id} / CONNECTION of the table"
            )));
        }
        Some(_) | None => {
            let done = Done { athlete: id.as_str(), name, revoked: None };
            return Ok(Report::new(
                Ending::Fine,
                &done,
                format!("{} is not connected; there is nothing to do", visible_on_one_line(name)),
            ));
        }
    }
    if !options.yes {
        confirm(name)?;
    }
    let connector = Arc::new(installation.connector()?);
    let mut revocation = connector.end_connection(id, soon()).await.map_err(|setback| refused(&setback))?;
    if let (Revocation::Open, Queue::InProcess(waiting)) = (revocation, &connector.queue) {
        remark("Oura does not confirm the revocation; trying again for three minutes");
        revocation = insist(&connector, waiting).await;
    }
    let done = Done { athlete: id.as_str(), name, revoked: Some(revocation == Revocation::Done) };
    let name = visible_on_one_line(name);
    Ok(match revocation {
        Revocation::Elsewhere => {
            let text = format!(
                "{name} is disconnected and the tokens are erased; the access is of Oura’s other token server, where it can’t \
                 be revoked from here: the athlete has to remove it in their Oura account"
            );
            Report::new(Ending::Attention, &done, text)
        }
        Revocation::Done => {
            let text = format!("{name} is disconnected: revoked at Oura, tokens erased, records kept");
            Report::new(Ending::Fine, &done, text)
        }
        Revocation::InUse => {
            let text = format!(
                "{name} is disconnected and the tokens are erased; the access is not revoked at Oura, because the same Oura \
                 account is connected again, here or for another athlete, and Oura could end that as well"
            );
            Report::new(Ending::Attention, &done, text)
        }
        Revocation::Open => {
            let next = match connector.queue {
                Queue::InProcess(_) => {
                    "nobody tries any more: the athlete has to remove the access in their Oura account"
                }
                Queue::Sqs { .. } => "the worker goes on trying",
            };
            let text = format!(
                "{name} is disconnected and the tokens are erased; Oura has not confirmed the revocation, and {next}"
            );
            Report::new(Ending::Attention, &done, text)
        }
    })
}

/// Runs the revocation job that is queued in this process.
async fn insist(connector: &Arc<Connector>, waiting: &InProcessQueue) -> Revocation {
    let end = Instant::now() + INSISTING;
    while !waiting.is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting.work(connector, soon()).await;
    }
    if waiting.is_empty() && waiting.dead_letters().is_empty() { Revocation::Done } else { Revocation::Open }
}

/// Asks the operator to confirm.
fn confirm(name: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on: give --yes to disconnect without being asked"));
    }
    let question = format!("Disconnect {name}? The tokens are erased, and only the athlete can connect again. [y/N] ");
    ask(&question);
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Failed(format!("{name} was left connected, as you did not say yes")))
    }
}

fn refused(setback: &JobError) -> Failure {
    Failure::Failed(match setback {
        JobError::RetryAfter { .. } | JobError::Busy { .. } | JobError::Superseded => {
            format!("the athlete may still be connected ({setback}): try again in a minute")
        }
        JobError::NeedsOperator(_) | JobError::NeedsAthlete(_) | JobError::OutdatedApp => {
            format!("the athlete may still be connected: {setback}")
        }
    })
}
