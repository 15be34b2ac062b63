//! What an athlete reads. No script, one small stylesheet in the page, nothing from anywhere else.

use http::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use store::{Connection, Status};

use crate::link::Link;

/// Every way a visit can end, other than on the connect page itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The grant is stored.
    Connected {
        /// The athlete.
        name: String,
    },
    /// The grant is stored, but Oura gives no data without a membership.
    ConnectedLapsed {
        /// The athlete.
        name: String,
    },
    /// The grant is erased.
    Disconnected,
    /// The link is older than it may be.
    LinkExpired,
    /// The link was cut off or changed.
    LinkDamaged,
    /// The link is good, but nobody was enrolled under it.
    UnknownAthlete,
    /// Consent was declined at Oura.
    Declined,
    /// Consent was given, without sleep, readiness and activity.
    ScopeMissing,
    /// The Oura account already feeds another athlete.
    AccountTaken,
    /// The visit to Oura took too long, or its answer was used already.
    TooSlow,
    /// The browser that came back is not the one that left.
    SessionLost,
    /// Oura did not answer, or not usefully.
    OuraUnwell,
    /// Something of ours did not answer.
    TryAgain,
    /// Something only the staff can mend.
    Misconfigured,
    /// There is no such page.
    NotFound,
    /// The request is larger than any of ours.
    TooLarge,
}

/// What a page says: a title, what happened, what to do.
struct Text {
    status: StatusCode,
    title: &'static str,
    happened: &'static str,
    todo: &'static str,
}

impl Page {
    /// The page's HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.text().status
    }

    /// The page.
    #[must_use]
    pub fn render(&self) -> Markup {
        let text = self.text();
        let name = match self {
            Self::Connected { name } | Self::ConnectedLapsed { name } => Some(name),
            _ => None,
        };
        frame(
            text.title,
            &html! {
                h1 { (text.title) }
                @if let Some(name) = name { p { strong { (name) } } }
                p { (text.happened) }
                p { (text.todo) }
            },
        )
    }

    #[expect(clippy::too_many_lines, reason = "a table: one entry for each page")]
    fn text(&self) -> Text {
        let text = |status, title, happened, todo| Text { status, title, happened, todo };
        match self {
            Self::Connected { .. } => text(
                StatusCode::OK,
                "Your Oura ring is connected",
                "Your sleep, readiness and activity now go to your team’s Smartabase, about every 15 minutes.",
                "There is nothing more to do: your recent nights appear within a few minutes, and last night’s whenever \
                 your Oura app has synced. You can close this page.",
            ),
            Self::ConnectedLapsed { .. } => text(
                StatusCode::OK,
                "Connected, but your Oura membership has lapsed",
                "Your ring is connected, but Oura shares no data without an active membership.",
                "Renew your membership in the Oura app; your data follows within a day, without connecting again.",
            ),
            Self::Disconnected => text(
                StatusCode::OK,
                "Your Oura ring is disconnected",
                "We no longer have access to your Oura data. Records already in Smartabase stay there.",
                "To connect again, open your personal link in Smartabase.",
            ),
            Self::LinkExpired => text(
                StatusCode::GONE,
                "This link has expired",
                "For your safety, a personal link works only for a limited time.",
                "Open the current one in Smartabase: it is renewed by itself.",
            ),
            Self::LinkDamaged => text(
                StatusCode::BAD_REQUEST,
                "This link is damaged",
                "A part of your personal link is missing or was changed on its way.",
                "Open it from Smartabase again, or copy all of it, from https to the last character.",
            ),
            Self::UnknownAthlete => text(
                StatusCode::NOT_FOUND,
                "We don’t know this athlete yet",
                "The link is in order, but the athlete it was made for is not enrolled any more.",
                "Ask your team’s staff to check your Smartabase account, and use the link that appears there.",
            ),
            Self::Declined => text(
                StatusCode::OK,
                "Nothing was connected",
                "You declined at Oura, so no data is shared.",
                "If that was not what you wanted, open your personal link in Smartabase again and choose to allow it.",
            ),
            Self::ScopeMissing => text(
                StatusCode::FORBIDDEN,
                "Sleep data was not shared",
                "At Oura you allowed access, but not to your daily sleep, readiness and activity, which is what your \
                 team needs.",
                "Open your personal link in Smartabase again and leave the daily summaries ticked at Oura.",
            ),
            Self::AccountTaken => text(
                StatusCode::CONFLICT,
                "This Oura account belongs to another athlete",
                "The Oura account you signed in to already sends its data to another athlete of your team.",
                "Sign out at Oura, open your personal link again and sign in to your own account; if it is your own, \
                 ask your team’s staff.",
            ),
            Self::TooSlow => text(
                StatusCode::GONE,
                "That took too long",
                "Oura’s answer is good for ten minutes and for one use, and it no longer was.",
                "Open your personal link in Smartabase again and go straight through.",
            ),
            Self::SessionLost => text(
                StatusCode::BAD_REQUEST,
                "We lost track of this visit",
                "This page has to be reached from Oura, in the browser in which you began.",
                "Open your personal link in Smartabase again, in one browser, with cookies allowed.",
            ),
            Self::OuraUnwell => text(
                StatusCode::BAD_GATEWAY,
                "Oura did not answer",
                "Oura could not complete the connection just now. Nothing was changed.",
                "Wait a few minutes, then open your personal link in Smartabase again.",
            ),
            Self::TryAgain => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "Something did not answer",
                "A part of this service did not answer in time.",
                "Wait a minute, then open your personal link in Smartabase again.",
            ),
            Self::Misconfigured => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "This service needs attention",
                "The connection to Oura is not set up correctly. It is not your doing.",
                "Tell your team’s staff; they can see the reason in the service’s log.",
            ),
            Self::NotFound => text(
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "This address is not one of our pages.",
                "Open your personal link in Smartabase.",
            ),
            Self::TooLarge => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "That was too much",
                "The request is larger than anything these pages send.",
                "Open your personal link in Smartabase again.",
            ),
        }
    }
}

/// The page behind the personal link: whose data, which site, what is shared, one button.
pub(crate) fn connect(link: &Link, name: &str, site: &str, connection: Option<&Connection>) -> Markup {
    let connected = connection.filter(|connection| connection.grant.is_some());
    let title = match connected.map(|connection| connection.status) {
        None | Some(Status::Disconnected) => "Connect your Oura ring",
        Some(Status::Active | Status::MembershipLapsed) => "Your Oura ring is connected",
        Some(Status::NeedsConsent | Status::ScopeMissing | Status::OuraAccountTaken) => "Connect your Oura ring again",
    };
    frame(
        title,
        &html! {
            h1 { (title) }
            p { "This is about the data of " strong { (name) } ", for your team’s Smartabase at " strong { (site) } "." }
            @if let Some(connection) = connected {
                p { (standing(connection)) }
                @if let Some(day) = connection.last_day { p { "The last night received began on " time { (day) } "." } }
            } @else {
                h2 { "What is shared" }
                ul {
                    li { "your sleep: times, stages, scores, heart rate and its variability, breathing" }
                    li { "your readiness: score, contributors, temperature deviation" }
                    li { "your activity: score, steps, calories, time at each intensity" }
                }
                h2 { "What is not" }
                p { "Your Oura password, your location, your tags and notes, your messages. Nobody can change anything in your Oura account." }
                h2 { "How to stop" }
                p { "Open this link again and disconnect, or remove the access in your Oura account. Records already in Smartabase stay there." }
            }
            form method="post" action="connect" {
                (entries(link))
                button { @if connected.is_some() { "Connect again" } @else { "Continue to Oura" } }
            }
            @if connected.is_some() {
                form method="post" action="disconnect" {
                    (entries(link))
                    button class="quiet" { "Disconnect" }
                }
            }
        },
    )
}

fn standing(connection: &Connection) -> &'static str {
    match connection.status {
        Status::Active => "Your data is on its way: nothing needs doing.",
        Status::NeedsConsent => "Oura no longer lets us in: please connect again.",
        Status::ScopeMissing => {
            "Oura no longer shares your sleep data with us: please connect again and leave it ticked."
        }
        Status::MembershipLapsed => {
            "Your Oura membership has lapsed: renew it in the Oura app, and your data follows within a day."
        }
        Status::OuraAccountTaken => {
            "The Oura account you used already belongs to another athlete: please connect again with your own."
        }
        Status::Disconnected => "You are not connected.",
    }
}

fn entries(link: &Link) -> Markup {
    html! {
        @for (name, value) in link.entries() { input type="hidden" name=(name) value=(value); }
    }
}

/// The one stylesheet; its hash stands in the content security policy.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;font:112.5%/1.5 system-ui,sans-serif}\
body{margin:0;background:#f4f5f7;color:#16191f}\
main{max-width:34rem;margin:0 auto;padding:2rem 1.25rem}\
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}\
h2{font-size:1.05rem;margin:1.5rem 0 .25rem}\
p,ul{margin:.5rem 0}ul{padding-left:1.25rem}\
form{margin:1.75rem 0 0}\
button{font:inherit;font-weight:600;min-height:3rem;width:100%;border:2px solid #12477a;border-radius:.5rem;background:#12477a;color:#fff;cursor:pointer}\
button.quiet{background:transparent;color:#12477a}\
button:focus-visible{outline:3px solid #d97706;outline-offset:2px}\
@media(prefers-color-scheme:dark){body{background:#14171c;color:#eceff4}\
button{background:#8ec5ff;border-color:#8ec5ff;color:#0b1a2a}button.quiet{background:transparent;color:#8ec5ff}}";

fn frame(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    }
}

#[cfg(test)]
mod tests;
