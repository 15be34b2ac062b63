//! What a command prints, and with which code the process ends.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

/// How a command ended; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Ending {
    /// Done, and all is well.
    Fine = 0,
    /// It could not be done; the message says what to do.
    Failed = 1,
    /// The command makes no sense as it was given: an option, an athlete that is unknown or ambiguous, a range.
    Usage = 2,
    /// Done, and something needs the operator's attention; the output says what.
    Attention = 3,
}

/// The outcome of a command, for people and for scripts.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ending: Ending,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Report {
    /// `text` may hold the escape sequences of `anstyle`; they are taken out where the output is no terminal.
    pub(crate) fn new(ending: Ending, json: &impl Serialize, text: impl Into<String>) -> Self {
        // Everything reported is made of texts, numbers and lists: there is nothing in it that JSON can't say.
        Self { ending, text: text.into(), json: serde_json::to_value(json).unwrap_or_default() }
    }

    /// Nothing more to say: it was said while it happened.
    pub(crate) fn silent() -> Self {
        Self { ending: Ending::Fine, text: String::new(), json: Value::Null }
    }

    pub(crate) fn print(self, json: bool) -> ExitCode {
        let json = json && !self.json.is_null();
        print(&if json { format!("{:#}", self.json) } else { self.text.trim_end().to_owned() });
        self.ending.into()
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending as u8)
    }
}

/// Writes a line to standard output. Whoever stopped reading, as `head` does, has seen enough.
pub(crate) fn print(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(anstream::stdout().lock(), "{text}");
    }
}

/// Writes a line to standard error, which is where everything goes that is not the outcome itself.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
