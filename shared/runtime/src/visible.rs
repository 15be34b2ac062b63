//! Escapes control characters in untrusted text before it is printed to a terminal.
//!
//! A name on the site's roster, a message of a service or a file name may contain control characters. A terminal acts
//! on them instead of showing them. It clears the screen, moves the cursor over earlier output, sets the window's
//! title, or reverses the order of letters. This module writes such characters as JSON does, for example `\u001b`. So a
//! JSON document keeps its meaning, and other text shows which characters it contained.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes every terminal control character in `text`, except line breaks and tabs.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| obeyed(letter) && !matches!(letter, '\n' | '\t'))
}

/// Like [`visible`], but also escapes line breaks and tabs, so that the sender cannot forge a line.
#[must_use]
pub fn visible_on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, obeyed)
}

/// Whether a terminal may act on the character: control characters, line and paragraph separators, and characters that
/// change the direction of the text that follows.
fn obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if wanted(letter) {
            // All of them have four digits.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_control_characters_are_escaped() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}Eve", r"\u001b]0;title\u0007Eve"),
            ("\u{1b}[2J\u{1b}[8mhidden", r"\u001b[2J\u001b[8mhidden"),
            ("Ada\rEve", r"Ada\u000dEve"),
            ("Ada\u{8}\u{7f}", r"Ada\u0008\u007f"),
            // One character for "escape, bracket". Some terminals act on it in UTF-8, too.
            ("\u{9b}31m", r"\u009b31m"),
            ("gpj.\u{202e}exe", r"gpj.\u202eexe"),
            ("\u{2066}x\u{2069}", r"\u2066x\u2069"),
            ("one\u{2028}two", r"one\u2028two"),
            ("\u{200e}a\u{200f}b\u{61c}c", r"\u200ea\u200fb\u061cc"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible_on_one_line(text), shown);
        }
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in ["", "Ada Okafor", "Zoë Ødegaard", "王小明", "דנה", "👩\u{200d}🔬", "50 % <b> \\u001b \"x\""]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(visible_on_one_line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn only_visible_on_one_line_escapes_line_breaks() {
        assert_eq!(visible("one\n\ttwo"), "one\n\ttwo");
        assert_eq!(visible_on_one_line("one\n\ttwo"), r"one\u000a\u0009two");
    }

    #[test]
    fn escaped_json_is_still_the_same_document() {
        let document = serde_json::json!({"name": "\u{1b}[2J\u{9b}m\u{202e}\n"});
        let shown = visible(&format!("{document:#}")).into_owned();
        assert!(!shown.contains(|letter: char| letter != '\n' && obeyed(letter)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
    }
}
