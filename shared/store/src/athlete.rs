//! The id of an athlete.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The Smartabase UUID of an athlete. Despite its name, it is free text that the site's administrators type in. So the
/// code assumes nothing about its shape beyond what [`AthleteId::parse`] checks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AthleteId(String);

/// Why a text is not a valid [`AthleteId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAthleteId {
    /// Empty, or only spaces.
    #[error("an athlete's UUID is empty")]
    Empty,
    /// More than [`AthleteId::MAX_CHARS`] characters.
    #[error("an athlete's UUID is longer than {} characters", AthleteId::MAX_CHARS)]
    TooLong,
    /// A line break, a NUL or another control character. Such a character can only be a mistake.
    #[error("an athlete's UUID contains a control character")]
    ControlCharacter,
}

impl AthleteId {
    /// The maximum length of a UUID, in characters. DynamoDB accepts longer ones, a profile form does not.
    pub const MAX_CHARS: usize = 128;

    /// Parses a UUID as the site returns it. Trims spaces at both ends and keeps everything else, including case.
    pub fn parse(text: &str) -> Result<Self, InvalidAthleteId> {
        let text = text.trim();
        if text.is_empty() {
            Err(InvalidAthleteId::Empty)
        } else if text.chars().count() > Self::MAX_CHARS {
            Err(InvalidAthleteId::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(InvalidAthleteId::ControlCharacter)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The UUID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AthleteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for AthleteId {
    type Err = InvalidAthleteId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AthleteId {
    type Error = InvalidAthleteId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<AthleteId> for String {
    fn from(athlete: AthleteId) -> Self {
        athlete.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_trims_spaces_and_keeps_everything_else() {
        assert_eq!(AthleteId::parse("  Ab #1\u{e9} ").unwrap().as_str(), "Ab #1\u{e9}");
    }

    #[test]
    fn parse_refuses_empty_long_and_control_characters() {
        assert_eq!(AthleteId::parse(" \t"), Err(InvalidAthleteId::Empty));
        assert_eq!(AthleteId::parse("a\nb"), Err(InvalidAthleteId::ControlCharacter));
        assert_eq!(AthleteId::parse(&"\u{e9}".repeat(129)), Err(InvalidAthleteId::TooLong));
        assert!(AthleteId::parse(&"\u{e9}".repeat(128)).is_ok());
    }
}
