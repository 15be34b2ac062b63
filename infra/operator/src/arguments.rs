//! The command line's grammar.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{console, disconnect, forms, link, redrive, resync, secrets, show, status};

/// Operates an installation of the Oura connector for Smartabase.
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

/// The installation to work on.
#[derive(Args)]
pub(crate) struct Target {
    /// A deployment: the name of its CloudFormation stack.
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    pub(crate) stack: Option<String>,
    /// A pilot: the file given to `serve --table`. Commands that call Oura or Smartabase need the environment variables
    /// of `serve`.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) local: Option<PathBuf>,
    /// The AWS region of the stack, if it differs from the one set for the AWS CLI.
    #[arg(long, global = true, value_name = "REGION", conflicts_with = "local")]
    pub(crate) region: Option<String>,
    /// The AWS CLI profile to sign in with, if it differs from the one set.
    #[arg(long, global = true, value_name = "PROFILE", conflicts_with = "local")]
    pub(crate) profile: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the athletes: state, reason, last sync, last night received.
    Status(status::Options),
    /// Show one athlete: connection, work under way, ledger.
    Show(show::Options),
    /// Print an athlete’s personal link. Send it to that athlete only.
    Link(link::Options),
    /// Bring a range of Oura’s days to the forms again, and follow the work.
    Resync(resync::Options),
    /// Disconnect an athlete: revoke at Oura, erase the tokens, keep the records.
    Disconnect(disconnect::Options),
    /// List and explain the dead letters (jobs that failed too often), send them again, or drop them.
    Redrive(redrive::Options),
    /// Serve a page on this machine that shows all athletes and refreshes itself.
    Console(console::Options),
    /// Check everything the product needs, and say how to fix each problem.
    Doctor,
    /// Work with the forms of the Smartabase site.
    #[command(subcommand)]
    Forms(forms::Command),
    /// Fill the secrets of a deployment.
    #[command(subcommand)]
    Secrets(secrets::Command),
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 it failed, and the message says what to do; 2 the command makes no sense as \
given; 3 done, and something needs attention.";
