//! What a command is about, while whoever started it waits for services to answer.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error, if that is a terminal. It is gone when this is.
pub(crate) struct Progress(ProgressBar);

/// How often the line moves.
const TURN: Duration = Duration::from_millis(120);

impl Progress {
    /// None for scripts, which ask for `json`.
    pub(crate) fn of(json: bool) -> Self {
        let line = if json { ProgressBar::hidden() } else { ProgressBar::no_length() };
        if !line.is_hidden() {
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
            line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            line.enable_steady_tick(TURN);
        }
        Self(line)
    }

    /// What is being done now.
    pub(crate) fn now(&self, doing: &'static str) {
        self.0.set_message(doing);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
