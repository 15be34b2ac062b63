//! Text from elsewhere on its way to a terminal.
//!
//! A name on the site's roster, a message of a service or the name of a file may hold characters that a terminal obeys
//! instead of showing: it clears the screen, moves the cursor over what was printed before, sets the window's title, or
//! turns the order of letters around. They are written as JSON writes them, such as `\u001b`. So JSON stays the same
//! document, and everything else shows what was there.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes every terminal control character in `text`, except line breaks and tabs.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| obeyed(letter) && !matches!(letter, '\n' | '\t'))
}

/// The same for text within one line: line breaks are escaped, too, so that the sender can't forge a line.
#[must_use]
pub fn visible_on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, obeyed)
}

/// Control characters, line and paragraph separators, and what changes the direction of the letters that follow.
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
    fn what_a_terminal_would_obey_is_shown() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}Eve", r"\u001b]0;title\u0007Eve"),
            ("\u{1b}[2J\u{1b}[8mhidden", r"\u001b[2J\u001b[8mhidden"),
            ("Ada\rEve", r"Ada\u000dEve"),
            ("Ada\u{8}\u{7f}", r"Ada\u0008\u007f"),
            // One character for "escape, bracket", which some terminals obey in UTF-8, too.
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
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "Ada Okafor", "Zoë Ødegaard", "王小明", "דנה", "👩\u{200d}🔬", "50 % <b> \\u001b \"x\""]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
            assert!(matches!(visible_on_one_line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn line_breaks_stay_only_where_there_may_be_several_lines() {
        assert_eq!(visible("one\n\ttwo"), "one\n\ttwo");
        assert_eq!(visible_on_one_line("one\n\ttwo"), r"one\u000a\u0009two");
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let document = serde_json::json!({"name": "\u{1b}[2J\u{9b}m\u{202e}\n"});
        let shown = visible(&format!("{document:#}")).into_owned();
        assert!(!shown.contains(|letter: char| letter != '\n' && obeyed(letter)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
    }
}
