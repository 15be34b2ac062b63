//! `connector`: the command line for the operator of an installation. It shows the athletes' states, repeats failed
//! work, and explains each problem in one sentence with what to do about it.
//!
//! It works on a deployment (`--stack NAME`, found through CloudFormation with the credentials the AWS CLI would use)
//! or on a pilot's file (`--local FILE`). It changes the product's data only through the use cases of [`connector`] and
//! the operations of [`store`], under the same leases and fences as the functions. It has no rules of its own.
//!
//! **Output.** Text for people, or with `--json` one JSON document on standard output. Its entries keep their names and
//! meaning from release to release; new ones may be added. A command that fails writes the reason to standard error,
//! and with `--json` also prints `{"error":{"kind":"failed","message":"..."}}`. The kinds are `usage` and `failed`.
//! Instants are RFC 3339 in UTC, dates `YYYY-MM-DD`. The output never contains a token, a secret or a health value.
//!
//! **Exit codes** are those of [`Ending`].

mod arguments;
mod athlete_state;
mod aws;
mod console;
mod disconnect;
mod doctor;
mod failure;
mod forms;
mod installation;
mod link;
mod local;
mod progress;
mod redrive;
mod remote_errors;
mod report;
mod resync;
mod roster;
mod secrets;
mod show;
mod stack;
mod status;
mod table;
mod time_format;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;

use arguments::{Arguments, Command};
use failure::Failure;
use installation::Installation;
pub use report::Ending;
use report::Report;

/// The time-out of one operation on the table, the queue or AWS.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misread(&error),
    };
    let json = arguments.json;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Failure::Failed(format!("the operating system gives no event loop: {error}"))),
    };
    match ended {
        Ok(report) => report.print(json),
        Err(failure) => failure.print(json),
    }
}

/// Reports a command line that can't be parsed, or prints the help or version it asks for.
fn misread(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // This prints the help or the version. If printing fails, there is no other output to report the failure to.
        let _ = error.print();
        return Ending::Fine.into();
    }
    // clap's message quotes the arguments.
    report::complain(error.render().to_string().trim_end());
    if std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json") {
        let usage = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "it requires a subcommand: see --help".to_owned(),
            _ => error.to_string(),
        };
        // The first paragraph says what is wrong; the others are hints for a person at the terminal.
        let message = usage.split("\n\n").next().unwrap_or_default();
        let message = message.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
        Failure::Usage(message).print_json();
    }
    Ending::Usage.into()
}

async fn run(arguments: Arguments) -> Result<Report, Failure> {
    let Arguments { target, json, command } = arguments;
    if let Command::Forms(forms) = &command
        && let Some(ended) = forms.alone()
    {
        return ended;
    }
    let installation = Installation::open(&target).await?;
    match command {
        Command::Doctor => doctor::run(&installation, json).await,
        Command::Forms(forms) => forms.run(&installation, json).await,
        Command::Secrets(secrets) => secrets.run(&installation).await,
        Command::Status(options) => status::run(&options, &installation).await,
        Command::Show(options) => show::run(&options, &installation).await,
        Command::Link(options) => link::run(&options, &installation).await,
        Command::Resync(options) => resync::run(&options, &installation).await,
        Command::Disconnect(options) => disconnect::run(&options, &installation).await,
        Command::Redrive(options) => redrive::run(&options, &installation).await,
        Command::Console(options) => console::run(&options, installation, json).await,
    }
}
