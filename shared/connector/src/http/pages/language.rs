//! The texts that the pages need in each language.

use std::borrow::Cow;
use std::time::Duration;

use jiff::civil::Date;

use super::Page;
use crate::athlete_status::AthleteStatus;

/// All texts of the pages, in one language.
pub(super) struct Language {
    /// The language, as in the attribute `lang` (BCP 47).
    pub(super) tag: &'static str,
    /// The text direction, as in the attribute `dir`: `ltr` or `rtl`.
    pub(super) direction: &'static str,
    /// The texts for the result of a visit.
    pub(super) ending: fn(&Page) -> Words,
    /// The texts for the status of a connection.
    pub(super) standing: fn(&AthleteStatus) -> Words,
    /// What is shared, what is not and how to stop. The argument is the days of history that a connection brings.
    pub(super) offer: fn(u16) -> [Section; 3],
    /// What happens after connecting. The arguments are the days of history and the time between requests to Oura.
    pub(super) next: fn(u16, Duration) -> Section,
    /// A night, named by the evening on which it began; the second date is today's.
    pub(super) night: fn(Date, Date) -> String,
    /// A day; the second date is today's.
    pub(super) day: fn(Date, Date) -> String,
    /// The label of the athlete's name.
    pub(super) athlete: &'static str,
    /// The label of the site's address.
    pub(super) site: &'static str,
    /// The label of the day of consent.
    pub(super) since: &'static str,
    /// The label of the last night received.
    pub(super) last_night: &'static str,
    /// Replaces the date when no night was received.
    pub(super) none_yet: &'static str,
    /// The button that leads to Oura the first time.
    pub(super) connect: &'static str,
    /// The button that leads to Oura another time.
    pub(super) connect_again: &'static str,
    /// The button that disconnects.
    pub(super) disconnect: &'static str,
    /// What the disconnect button does.
    pub(super) disconnecting: &'static str,
    /// The link that leads to the site.
    pub(super) open_site: &'static str,
}

/// A page's texts.
pub(super) struct Words {
    /// Its title and heading.
    pub(super) title: &'static str,
    /// What happened, or the current status, in one sentence.
    pub(super) happened: &'static str,
    /// What to do, in one sentence.
    pub(super) todo: &'static str,
}

/// A part of a page under a heading of its own.
#[derive(Clone)]
pub(super) struct Section {
    /// The heading.
    pub(super) heading: &'static str,
    /// The text before the list.
    pub(super) intro: Option<Cow<'static, str>>,
    /// The list.
    pub(super) items: Vec<Cow<'static, str>>,
}
