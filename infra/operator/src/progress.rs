//! Shows progress while a command waits for services.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress line on standard error, if that is a terminal. Dropping this value clears the line.
pub(crate) struct Progress(ProgressBar);

/// How often the line is redrawn.
const TURN: Duration = Duration::from_millis(120);

impl Progress {
    /// Creates no line if the output is `json`, for scripts.
    pub(crate) fn of(json: bool) -> Self {
        let line = if json { ProgressBar::hidden() } else { ProgressBar::no_length() };
        if !line.is_hidden() {
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
            line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            line.enable_steady_tick(TURN);
        }
        Self(line)
    }

    /// Sets the text that says what the command is doing.
    pub(crate) fn now(&self, doing: &'static str) {
        self.0.set_message(doing);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
