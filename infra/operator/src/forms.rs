//! `connector forms`: the forms the site must have, and how its forms differ.

mod check;
mod spec;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use connector::forms::Forms;

pub(crate) use check::{survey, unoffered};

use crate::failure::Failure;
use crate::installation::Installation;
use crate::report::Report;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compare the site’s forms with forms.toml: missing, misspelt, required or calculated fields.
    Check(File),
    /// Print what an administrator of the site must build, form by form and field by field. Needs no installation.
    Spec(spec::Options),
}

#[derive(Args)]
pub(crate) struct File {
    /// A forms.toml to use in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Command {
    /// Runs the command, if it needs no installation.
    pub(crate) fn alone(&self) -> Option<Result<Report, Failure>> {
        match self {
            Self::Check(_) => None,
            Self::Spec(options) => Some(spec::run(options)),
        }
    }

    pub(crate) async fn run(&self, installation: &Installation, json: bool) -> Result<Report, Failure> {
        match self {
            Self::Check(file) => check::run(&file.read()?, installation, json).await,
            Self::Spec(options) => spec::run(options),
        }
    }
}

impl File {
    fn read(&self) -> Result<Forms, Failure> {
        match &self.file {
            None => Forms::shipped().map_err(|error| Failure::Failed(format!("{error}; correct it and build again"))),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
                Forms::parse(&text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
            }
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{} can’t be read ({}): check --file", path.display(), error.kind()))
}
