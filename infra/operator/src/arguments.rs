//! The command line's grammar.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{console, disconnect, forms, link, redrive, resync, secrets, show, status};

/// Looks after an installation of the Oura connector for Smartabase.
#[derive(Parser)]
#[command(name = "connector", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which installation.
#[derive(Args)]
pub(crate) struct Target {
    /// A deployment: the name of its CloudFormation stack.
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    pub(crate) stack: Option<String>,
    /// A pilot: the file given to `serve --table`. Needs the environment variables of `serve` where it talks to Oura or
    /// Smartabase.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) local: Option<PathBuf>,
    /// The AWS region of the stack, if not the one set for the AWS CLI.
    #[arg(long, global = true, value_name = "REGION", conflicts_with = "local")]
    pub(crate) region: Option<String>,
    /// The profile of the AWS CLI to sign in with, if not the one set.
    #[arg(long, global = true, value_name = "PROFILE", conflicts_with = "local")]
    pub(crate) profile: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// How the athletes stand: state, reason, last sync, last night received.
    Status(status::Options),
    /// One athlete’s story: connection, work, ledger.
    Show(show::Options),
    /// Prints an athlete’s personal link, to be sent to that athlete and nobody else.
    Link(link::Options),
    /// Brings days of Oura to the forms again, and follows the work.
    Resync(resync::Options),
    /// Disconnects an athlete: revokes at Oura, erases the tokens, keeps the records.
    Disconnect(disconnect::Options),
    /// Dead letters, jobs that were given up: lists and explains them, sends them again, drops them.
    Redrive(redrive::Options),
    /// Serves a page on this machine that shows all of it, and refreshes itself.
    Console(console::Options),
    /// Checks everything the product needs, and says what to do about each thing that is wrong.
    Doctor,
    /// The forms of the Smartabase site.
    #[command(subcommand)]
    Forms(forms::Command),
    /// The secrets of a deployment.
    #[command(subcommand)]
    Secrets(secrets::Command),
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 it failed, and the message says what to do; 2 the command makes no sense as \
given; 3 done, and something needs attention.";
