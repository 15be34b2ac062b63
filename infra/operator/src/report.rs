//! What a command prints, and the exit code.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

use runtime::{visible, visible_on_one_line};
use serde::Serialize;
use serde_json::Value;

/// How a command ended; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Ending {
    /// The command succeeded and found no problem.
    Fine = 0,
    /// The command failed; the message says what to do.
    Failed = 1,
    /// The command line is wrong: an option, an athlete that is unknown or ambiguous, a range.
    Usage = 2,
    /// The command succeeded, and something needs the operator's attention; the output says what.
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
    /// `text` may hold the escape sequences of `anstyle`; they are removed if the output is no terminal.
    pub(crate) fn new(ending: Ending, json: &impl Serialize, text: impl Into<String>) -> Self {
        // Every report consists of texts, numbers and lists, so it always serialises to JSON.
        Self { ending, text: text.into(), json: serde_json::to_value(json).unwrap_or_default() }
    }

    /// A report without text, for a command that has printed its results while it ran.
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

/// Writes text to standard output, with terminal control characters escaped. A closed pipe, for example from `head`, is
/// not an error.
pub(crate) fn print(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(anstream::stdout().lock(), "{}", harmless(text));
    }
}

/// Writes a line to standard error, which receives everything but the result itself.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", visible_on_one_line(text));
}

/// Writes several lines to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", visible(text));
}

/// Writes a question to standard error and leaves the cursor on its line.
pub(crate) fn ask(question: &str) {
    let _ = write!(anstream::stderr().lock(), "{}", visible_on_one_line(question));
}

/// The escape sequences that the styles of `table` begin and end with.
const STYLES: [&str; 6] = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// Escapes every terminal control sequence except those of our own styles.
fn harmless(text: &str) -> String {
    let mut harmless = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('\u{1b}') {
        let (before, from) = rest.split_at(place);
        let style = STYLES.into_iter().find(|style| from.starts_with(style));
        let (sequence, after) = from.split_at(style.map_or(1, str::len));
        harmless += &visible(before);
        harmless += &style.map_or_else(|| visible(sequence), Cow::Borrowed);
        rest = after;
    }
    harmless + &visible(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{BAD, GOOD, QUIET, STRONG, WARNING, styled};

    #[test]
    fn own_styles_are_kept() {
        for style in [BAD, GOOD, QUIET, STRONG, WARNING] {
            let text = format!("{}\nplain", styled("styled", style));
            assert_eq!(harmless(&text), text);
        }
    }

    #[test]
    fn every_other_sequence_is_escaped() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}x", r"\u001b]0;title\u0007x"),
            ("a\u{1b}[8mb\u{1b}[0m", "a\\u001b[8mb\u{1b}[0m"),
            ("\u{1b}\u{1b}[1m", "\\u001b\u{1b}[1m"),
            ("\u{1b}", r"\u001b"),
            ("\u{9b}2J", r"\u009b2J"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn style_within_untrusted_text_is_escaped() {
        assert_eq!(harmless(&styled("\u{1b}[31mEve\nAda", STRONG)), "\u{1b}[1m\\u001b[31mEve\\u000aAda\u{1b}[0m");
    }
}
