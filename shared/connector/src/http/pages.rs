//! The pages that an athlete reads. No script, one small inline stylesheet, no external resources.
//!
//! Every page says in one sentence what happened and in one sentence what to do. Each language has its own file of
//! texts; this file contains none.

mod english;
mod language;

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use secrecy::{ExposeSecret, SecretString};
use store::Connection;
use url::{Position, Url};

use crate::athlete_status::AthleteStatus;
use crate::http::Link;
use crate::http::csrf::ENTRY;
use language::{Language, Section, Words};

/// The language of the pages. To add another, write a file like `english.rs` and name it here.
const LANGUAGE: &Language = &english::ENGLISH;

/// The stylesheet; the content security policy contains its hash.
pub(crate) const STYLE: &str = include_str!("pages/style.css");

/// The icon, inline: browsers ask for one anyway, which would be one more request to answer.
const ICON: &str = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>\
                    <circle cx='8' cy='8' r='5.5' fill='none' stroke='%233b82c4' stroke-width='3'/></svg>";

/// Every page except the connect page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The grant is stored.
    Connected {
        /// The athlete.
        name: String,
        /// How many days of history follow.
        history: u16,
        /// How often Oura is asked from now on.
        every: Duration,
    },
    /// The grant is stored, but Oura gives no data without a membership.
    ConnectedLapsed {
        /// The athlete.
        name: String,
    },
    /// The grant is erased and revoked at Oura.
    Disconnected,
    /// The grant is erased; Oura has not confirmed the revocation.
    DisconnectedUnrevoked,
    /// There was no grant left to erase; it is unknown whether Oura has revoked the earlier one.
    DisconnectedBefore,
    /// The link has expired.
    LinkExpired,
    /// The link was cut off or changed.
    LinkDamaged,
    /// The link is valid, but no athlete is enrolled under it.
    UnknownAthlete,
    /// The athlete declined the consent at Oura.
    Declined,
    /// The athlete gave the consent without sleep, readiness and activity.
    ScopeMissing,
    /// The Oura account already feeds another athlete.
    AccountTaken,
    /// The visit to Oura took too long, or its answer was used already.
    TooSlow,
    /// The callback came from another browser than the one that began.
    SessionLost,
    /// Oura did not answer, or its answer could not be used.
    OuraUnwell,
    /// A service of ours did not answer.
    TryAgain,
    /// A problem that only the staff can fix.
    Misconfigured,
    /// There is no such page.
    NotFound,
    /// The request is larger than the limit.
    TooLarge,
    /// The form was not sent from one of our pages in this browser.
    SentElsewhere,
    /// Too many requests came from one address.
    TooMany,
}

impl Page {
    /// The page's HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Connected { .. }
            | Self::ConnectedLapsed { .. }
            | Self::Disconnected
            | Self::DisconnectedUnrevoked
            | Self::DisconnectedBefore
            | Self::Declined => StatusCode::OK,
            Self::LinkExpired | Self::TooSlow => StatusCode::GONE,
            Self::LinkDamaged | Self::SessionLost => StatusCode::BAD_REQUEST,
            Self::UnknownAthlete | Self::NotFound => StatusCode::NOT_FOUND,
            Self::ScopeMissing | Self::SentElsewhere => StatusCode::FORBIDDEN,
            Self::AccountTaken => StatusCode::CONFLICT,
            Self::OuraUnwell => StatusCode::BAD_GATEWAY,
            Self::TryAgain | Self::Misconfigured => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The page, with the way back to the site.
    pub(crate) fn render(&self, site: &Url) -> Markup {
        let facts = match self {
            Self::Connected { name, .. } | Self::ConnectedLapsed { name } => Some(whose(name, site)),
            _ => None,
        };
        let next = match self {
            Self::Connected { history, every, .. } => Some((LANGUAGE.next)(*history, *every)),
            _ => None,
        };
        frame(
            &(LANGUAGE.ending)(self),
            self.mark(),
            &html! {
                @if let Some(facts) = facts { dl { (facts) } }
                @if let Some(next) = next { (section(&next)) }
                div.actions {
                    a.button.quiet[!self.goes_on_at_the_site()] href=(site) { (LANGUAGE.open_site) }
                }
            },
        )
    }

    fn mark(&self) -> Mark {
        match self {
            Self::Connected { .. } | Self::Disconnected | Self::DisconnectedBefore => Mark::Good,
            Self::Declined => Mark::None,
            _ => Mark::Attention,
        }
    }

    /// Whether the athlete has to act at the site; then the link to the site is the page's main button.
    fn goes_on_at_the_site(&self) -> bool {
        !matches!(
            self,
            Self::Connected { .. }
                | Self::ConnectedLapsed { .. }
                | Self::Disconnected
                | Self::DisconnectedUnrevoked
                | Self::DisconnectedBefore
                | Self::Misconfigured
        )
    }
}

/// The content of the connect page, which the personal link opens.
pub(crate) struct Visit<'a> {
    /// The link that was opened.
    pub(crate) link: &'a Link,
    /// The CSRF token that the forms share with the browser's cookie.
    pub(crate) token: &'a SecretString,
    /// The athlete's name.
    pub(crate) name: &'a str,
    /// The Smartabase site.
    pub(crate) site: &'a Url,
    /// The athlete's connection, if there ever was one.
    pub(crate) connection: Option<&'a Connection>,
    /// How many days of history a connection brings.
    pub(crate) history: u16,
    /// Whether any form holds nights.
    pub(crate) nights: bool,
    /// The current time.
    pub(crate) now: Timestamp,
    /// The site's zone, in which dates are given.
    pub(crate) zone: &'a TimeZone,
}

impl Visit<'_> {
    /// Renders the page: whose data, which site, what is shared and how to stop, or the status of the connection; and
    /// the buttons.
    pub(crate) fn render(&self) -> Markup {
        let standing = self.standing();
        let (mark, in_order) = match standing {
            AthleteStatus::NotConnected | AthleteStatus::Disconnected => (Mark::None, false),
            AthleteStatus::Connected { .. } => (Mark::Good, true),
            // Connecting again would fix nothing.
            AthleteStatus::NeverReceived { .. }
            | AthleteStatus::Stale { .. }
            | AthleteStatus::FieldMissing { .. }
            | AthleteStatus::HeldUp { .. }
            | AthleteStatus::NoMembership
            | AthleteStatus::OutdatedApp => (Mark::Attention, true),
            AthleteStatus::NeedsToReconnect { .. } | AthleteStatus::NotShared | AthleteStatus::OtherAthletes => {
                (Mark::Attention, false)
            }
        };
        let connection = self.connection.filter(|_| mark != Mark::None);
        let offer = if connection.is_none() { (LANGUAGE.offer)(self.history).to_vec() } else { Vec::new() };
        frame(
            &(LANGUAGE.standing)(&standing),
            mark,
            &html! {
                dl {
                    (whose(self.name, self.site))
                    @if let Some(connection) = connection { (self.so_far(connection)) }
                }
                @for part in offer { (section(&part)) }
                div.actions {
                    form method="post" action="connect" {
                        (self.entries())
                        button.quiet[in_order] {
                            @if connection.is_some() { (LANGUAGE.connect_again) } @else { (LANGUAGE.connect) }
                        }
                    }
                    @if connection.is_some() {
                        form method="post" action="disconnect" {
                            (self.entries())
                            button.quiet aria-describedby="disconnecting" { (LANGUAGE.disconnect) }
                        }
                        p id="disconnecting" { (LANGUAGE.disconnecting) }
                    }
                }
            },
        )
    }

    /// The status shown to the athlete. No night counts as missing if no form holds nights, or while a backfill is
    /// running.
    fn standing(&self) -> AthleteStatus {
        let owed = self.connection.is_some_and(|connection| connection.backfill_from.is_some());
        match AthleteStatus::of(self.connection, self.today()) {
            standing if !self.nights => standing.without_nights(),
            AthleteStatus::Stale { .. } if owed => AthleteStatus::Connected { received: true },
            AthleteStatus::NeverReceived { .. } if owed => AthleteStatus::Connected { received: false },
            standing => standing,
        }
    }

    fn so_far(&self, connection: &Connection) -> Markup {
        let (today, since) = (self.today(), self.zone.to_datetime(connection.connected_at).date());
        html! {
            (fact(LANGUAGE.since, &html! { time datetime=(since) { ((LANGUAGE.day)(since, today)) } }))
            @if self.nights {
                (fact(LANGUAGE.last_night, &html! {
                    @match connection.last_day {
                        Some(night) => time datetime=(night) { ((LANGUAGE.night)(night, today)) },
                        None => (LANGUAGE.none_yet),
                    }
                }))
            }
        }
    }

    /// The hidden fields of the forms.
    fn entries(&self) -> Markup {
        html! {
            (entries(self.link))
            input type="hidden" name=(ENTRY) value=(self.token.expose_secret());
        }
    }

    fn today(&self) -> Date {
        self.zone.to_datetime(self.now).date()
    }
}

/// The athlete and the site. A name may be written right to left, and must not change the direction of the text around
/// it.
fn whose(name: &str, site: &Url) -> Markup {
    let site = site[Position::BeforeHost..].trim_end_matches('/');
    html! {
        (fact(LANGUAGE.athlete, &html! { bdi { (name) } }))
        (fact(LANGUAGE.site, &html! { (site) }))
    }
}

fn fact(what: &str, value: &Markup) -> Markup {
    html! { div { dt { (what) } dd { (value) } } }
}

fn section(section: &Section) -> Markup {
    html! {
        h2 { (section.heading) }
        @if let Some(intro) = &section.intro { p { (intro) } }
        @if !section.items.is_empty() {
            ul { @for item in &section.items { li { (item) } } }
        }
    }
}

fn entries(link: &Link) -> Markup {
    html! {
        @for (name, value) in link.entries() { input type="hidden" name=(name) value=(value); }
    }
}

/// The page's symbol; it repeats what the text says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Good,
    Attention,
}

impl Mark {
    fn class(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Good => Some("good"),
            Self::Attention => Some("attention"),
        }
    }
}

fn frame(words: &Words, mark: Mark, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(LANGUAGE.tag) dir=(LANGUAGE.direction) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (words.title) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                main class=[mark.class()] {
                    h1 { (words.title) }
                    p { (words.happened) }
                    p { (words.todo) }
                    (content)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
