//! Who an athlete is to us.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The Smartabase UUID of an athlete. Despite its name it is a free string that the site's administrators type in, so
/// nothing is assumed about its shape beyond what [`AthleteId::parse`] checks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AthleteId(String);

/// What is wrong with a text that should have been an [`AthleteId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAthleteId {
    /// Nothing but spaces.
    #[error("an athlete's UUID is empty")]
    Empty,
    /// More than [`AthleteId::MAX_CHARS`] characters.
    #[error("an athlete's UUID is longer than {} characters", AthleteId::MAX_CHARS)]
    TooLong,
    /// A line break, a NUL or another character that nobody can have meant.
    #[error("an athlete's UUID contains a control character")]
    ControlCharacter,
}

impl AthleteId {
    /// The longest UUID that is accepted, in characters. DynamoDB would take more, a profile form would not.
    pub const MAX_CHARS: usize = 128;

    /// Reads a UUID as the site gives it. Spaces around it are dropped; everything else, case included, is kept.
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
    fn spaces_around_go_and_everything_else_stays() {
        assert_eq!(AthleteId::parse("  Ab #1\u{e9} ").unwrap().as_str(), "Ab #1\u{e9}");
    }

    #[test]
    fn what_nobody_can_have_meant_is_refused() {
        assert_eq!(AthleteId::parse(" \t"), Err(InvalidAthleteId::Empty));
        assert_eq!(AthleteId::parse("a\nb"), Err(InvalidAthleteId::ControlCharacter));
        assert_eq!(AthleteId::parse(&"\u{e9}".repeat(129)), Err(InvalidAthleteId::TooLong));
        assert!(AthleteId::parse(&"\u{e9}".repeat(128)).is_ok());
    }
}
