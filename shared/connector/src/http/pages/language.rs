//! What the pages need in each language.

use std::borrow::Cow;
use std::time::Duration;

use jiff::civil::Date;

use super::Page;
use crate::athlete_status::AthleteStatus;

/// Everything the pages say, in one language.
pub(super) struct Language {
    /// The language, as in the attribute `lang` (BCP 47).
    pub(super) tag: &'static str,
    /// Which way it runs, as in the attribute `dir`: `ltr` or `rtl`.
    pub(super) direction: &'static str,
    /// How a visit ended.
    pub(super) ending: fn(&Page) -> Words,
    /// How a connection stands.
    pub(super) standing: fn(&AthleteStatus) -> Words,
    /// What is shared, what is not and how to stop, when a connection brings so many days of history.
    pub(super) offer: fn(u16) -> [Section; 3],
    /// What follows a connection, with so many days of history and Oura asked so often.
    pub(super) next: fn(u16, Duration) -> Section,
    /// A night, named by the evening on which it began; the second date is today's.
    pub(super) night: fn(Date, Date) -> String,
    /// A day; the second date is today's.
    pub(super) day: fn(Date, Date) -> String,
    /// Stands before the athlete's name.
    pub(super) athlete: &'static str,
    /// Stands before the site's address.
    pub(super) site: &'static str,
    /// Stands before the day of the consent.
    pub(super) since: &'static str,
    /// Stands before the last night that was received.
    pub(super) last_night: &'static str,
    /// Stands there when no night was received.
    pub(super) none_yet: &'static str,
    /// The button that leads to Oura the first time.
    pub(super) connect: &'static str,
    /// The button that leads to Oura another time.
    pub(super) connect_again: &'static str,
    /// The button that disconnects.
    pub(super) disconnect: &'static str,
    /// What that button does.
    pub(super) disconnecting: &'static str,
    /// The link that leads to the site.
    pub(super) open_site: &'static str,
}

/// A page's words.
pub(super) struct Words {
    /// Its title and heading.
    pub(super) title: &'static str,
    /// What happened, or how it stands, in one sentence.
    pub(super) happened: &'static str,
    /// What to do, in one sentence.
    pub(super) todo: &'static str,
}

/// A part of a page under a heading of its own.
#[derive(Clone)]
pub(super) struct Section {
    /// The heading.
    pub(super) heading: &'static str,
    /// What stands before the list.
    pub(super) intro: Option<Cow<'static, str>>,
    /// The list.
    pub(super) items: Vec<Cow<'static, str>>,
}
