//! The results of the checks, and how they are printed.

use std::fmt::Write;
use std::sync::Arc;

use anstyle::Style;
use runtime::{SecretError, visible_on_one_line};
use serde::Serialize;

use crate::remote_errors::{About, Explained};
use crate::report::{Ending, Report};
use crate::secrets::told;
use crate::table::{BAD, GOOD, QUIET, WARNING, styled};

/// The results of all checks so far, in order.
#[derive(Default)]
pub(super) struct Checkup {
    checks: Vec<Check>,
}

/// One check, as `--json` prints it.
#[derive(Serialize)]
struct Check {
    /// The name of the check, for scripts.
    #[serde(rename = "check")]
    name: &'static str,
    state: State,
    /// The name of the finding, if the check failed.
    finding: Option<&'static str>,
    says: String,
    /// What to do about it, if anything.
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Passed,
    Failed,
    /// The check can't find out from outside, or the service did not answer.
    Unknown,
    /// A check that this one depends on failed.
    Skipped,
}

/// The `--json` output.
#[derive(Serialize)]
struct Printed {
    checks: Vec<Check>,
}

impl Checkup {
    pub(super) fn pass(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, State::Passed, None, says, None);
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        finding: &'static str,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, State::Failed, Some(finding), says, Some(remedy.into()));
    }

    pub(super) fn unknown(&mut self, check: &'static str, says: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, State::Unknown, None, says, Some(remedy.into()));
    }

    /// Records a check as skipped. `first` is the check that must pass before it.
    pub(super) fn skip(&mut self, check: &'static str, first: &str) {
        self.add(check, State::Skipped, None, format!("not checked: {first} comes first"), None);
    }

    pub(super) fn skip_all(&mut self, checks: &[&'static str], first: &str) {
        for check in checks {
            self.skip(check, first);
        }
    }

    /// Records a service's error: the check failed, or its result is unknown.
    pub(super) fn explained(&mut self, check: &'static str, explained: Explained) {
        let Explained { name, says, remedy, about } = explained;
        match about {
            About::Moment => self.unknown(check, says, remedy),
            About::Credentials | About::Installation => self.fail(check, name, says, remedy),
        }
    }

    /// Records whether a secret could be read.
    pub(super) fn secret<T>(&mut self, check: &'static str, read: Result<Arc<T>, SecretError>) -> Option<Arc<T>> {
        match read {
            Ok(secret) => {
                self.pass(check, "filled and of the right form");
                Some(secret)
            }
            Err(error) => {
                let (says, remedy) = told(&error);
                let finding = match error {
                    SecretError::Unfilled { .. } => "secret-unfilled",
                    SecretError::Malformed { .. } => "secret-malformed",
                    SecretError::Unavailable { .. } => "secret-unreadable",
                    SecretError::KeyGone { .. } => "key-gone",
                };
                self.fail(check, finding, says, remedy);
                None
            }
        }
    }

    fn add(
        &mut self,
        check: &'static str,
        state: State,
        finding: Option<&'static str>,
        says: impl Into<String>,
        remedy: Option<String>,
    ) {
        self.checks.push(Check { name: check, state, finding, says: says.into(), remedy });
    }

    pub(super) fn report(self) -> Report {
        let count = |state| self.checks.iter().filter(|check| check.state == state).count();
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for check in &self.checks {
            let (mark, style) = check.state.shown();
            let finding = check.finding.map_or(String::new(), |finding| styled(&format!("  [{finding}]"), QUIET));
            let _ = writeln!(
                text,
                "{} {:width$}  {}{finding}",
                styled(mark, style),
                check.name,
                visible_on_one_line(&check.says)
            );
            if let Some(remedy) = &check.remedy {
                let _ = writeln!(text, "  {:width$}  → {}", "", visible_on_one_line(remedy));
            }
        }
        let states = [(State::Passed, "passed"), (State::Failed, "failed"), (State::Unknown, "unknown")];
        let states = states.into_iter().chain([(State::Skipped, "not checked")]);
        let counts: Vec<_> = states
            .map(|(state, words)| (count(state), words))
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        let _ = write!(text, "\n{}", counts.join(", "));
        let ending = if count(State::Failed) > 0 { Ending::Attention } else { Ending::Fine };
        Report::new(ending, &Printed { checks: self.checks }, text)
    }
}

impl State {
    fn shown(self) -> (&'static str, Style) {
        match self {
            Self::Passed => ("✓", GOOD),
            Self::Failed => ("✗", BAD),
            Self::Unknown => ("?", WARNING),
            Self::Skipped => ("–", QUIET),
        }
    }
}
