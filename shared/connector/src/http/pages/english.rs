//! The pages in English.

use std::time::Duration;

use jiff::civil::Date;

use super::Page;
use super::language::{Language, Section, Words};
use crate::athlete_status::AthleteStatus;

pub(super) const ENGLISH: Language = Language {
    tag: "en",
    direction: "ltr",
    ending,
    standing,
    offer,
    next,
    night: |date, today| named(date, today, "%A night, %-d %B"),
    day: |date, today| named(date, today, "%A, %-d %B"),
    athlete: "Athlete",
    site: "Smartabase",
    since: "Connected since",
    last_night: "Last night received",
    none_yet: "None yet",
    connect: "Continue to Oura",
    connect_again: "Connect again",
    disconnect: "Disconnect",
    disconnecting: "Disconnecting ends our access to your Oura data. Records already in Smartabase stay there.",
    open_site: "Open Smartabase",
};

#[expect(clippy::too_many_lines, reason = "a table: the words of every page")]
fn ending(page: &Page) -> Words {
    match page {
        Page::Connected { .. } => Words {
            title: "Your Oura ring is connected",
            happened: "From now on, your sleep, readiness and activity go to the Smartabase forms of the athlete named \
                       below.",
            todo: "If that is you, there is nothing more to do; if it is not, remove the access in your Oura account and \
                   tell your team’s staff.",
        },
        Page::ConnectedLapsed { .. } => Words {
            title: "Connected, but your Oura membership has lapsed",
            happened: "Your ring is connected to the forms of the athlete named below, but Oura shares no data without \
                       an active membership.",
            todo: "Renew your membership in the Oura app; your data follows within a day, without connecting again.",
        },
        Page::Disconnected => Words {
            title: "Your Oura ring is disconnected",
            happened: "Our access to your Oura data is revoked at Oura and erased here, and records already in Smartabase \
                       stay there.",
            todo: "There is nothing more to do; to connect again, open your personal link in Smartabase.",
        },
        Page::DisconnectedUnrevoked => Words {
            title: "Your Oura ring is disconnected",
            happened: "Our access to your Oura data is erased here, but Oura has not confirmed yet that it is revoked \
                       there; records already in Smartabase stay.",
            todo: "Nothing reaches us any more; to be certain at once, remove the access in your Oura account as well.",
        },
        Page::DisconnectedBefore => Words {
            title: "Your Oura ring is disconnected",
            happened: "It was disconnected before: we have no access to your Oura data any more, and what Oura still \
                       lists of it is being withdrawn there, which can take a while.",
            todo: "There is nothing more to do; to be certain at once, remove the access in your Oura account as well.",
        },
        Page::LinkExpired => Words {
            title: "This link has expired",
            happened: "For your safety, a personal link works only for a limited time, and this one’s is over.",
            todo: "Open the current link in Smartabase, where it is renewed by itself.",
        },
        Page::LinkDamaged => Words {
            title: "This link is damaged",
            happened: "A part of your personal link is missing or was changed on its way.",
            todo: "Open it from Smartabase again, or copy all of it, from https to the last character.",
        },
        Page::UnknownAthlete => Words {
            title: "We don’t know this athlete yet",
            happened: "The link is in order, but the athlete it was made for is not on our list.",
            todo: "Ask your team’s staff to check your Smartabase account, and use the link that appears there.",
        },
        Page::Declined => Words {
            title: "Nothing was connected",
            happened: "You declined at Oura, so nothing was changed.",
            todo: "If that was not what you wanted, open your personal link in Smartabase again and choose to allow it.",
        },
        Page::ScopeMissing => Words {
            title: "Sleep data was not shared",
            happened: "At Oura you allowed access, but not to your daily sleep, readiness and activity, which is what \
                       your team needs.",
            todo: "Open your personal link in Smartabase again and leave the daily summaries ticked at Oura.",
        },
        Page::AccountTaken => Words {
            title: "This Oura account belongs to another athlete",
            happened: "The Oura account you signed in to already sends its data to another athlete of your team.",
            todo: "Sign out at Oura, open your personal link again and sign in to your own account; if it is your own, \
                   ask your team’s staff.",
        },
        Page::TooSlow => Words {
            title: "That took too long",
            happened: "What you allow at Oura has to reach us within ten minutes, and this came too late.",
            todo: "Open your personal link in Smartabase again and go straight through.",
        },
        Page::SessionLost => Words {
            title: "We lost track of this visit",
            happened: "This page works once, straight from Oura, in the browser in which you began.",
            todo: "Open your personal link in Smartabase to see whether your ring is connected; if it is not, connect \
                   again with cookies allowed.",
        },
        Page::OuraUnwell => Words {
            title: "Oura did not answer",
            happened: "Oura could not complete the connection just now, so nothing was changed.",
            todo: "Wait a few minutes, then open your personal link in Smartabase again.",
        },
        Page::TryAgain => Words {
            title: "Something did not answer",
            happened: "A part of this service did not answer in time.",
            todo: "Wait a minute, then open your personal link in Smartabase again.",
        },
        Page::Misconfigured => Words {
            title: "This service needs attention",
            happened: "The connection to Oura is not set up correctly, which is not your doing.",
            todo: "Tell your team’s staff; they can see the reason in the service’s log.",
        },
        Page::NotFound => Words {
            title: "There is nothing here",
            happened: "This address is not one of our pages.",
            todo: "Open your personal link in Smartabase.",
        },
        Page::TooLarge => Words {
            title: "That was too much",
            happened: "The request is larger than anything these pages send.",
            todo: "Open your personal link in Smartabase again.",
        },
        Page::SentElsewhere => Words {
            title: "Please open your link again",
            happened: "The button was not pressed on a page that this browser got from us, or the browser did not keep \
                       our cookie, so nothing was changed.",
            todo: "Open your personal link in Smartabase again, with cookies allowed, and press the button there.",
        },
        Page::TooMany => Words {
            title: "Too many visits at once",
            happened: "More requests came from your network within a minute than we answer, so nothing was changed.",
            todo: "Wait a minute, then open your personal link in Smartabase again.",
        },
    }
}

fn standing(standing: &AthleteStatus) -> Words {
    match standing {
        AthleteStatus::NotConnected => Words {
            title: "Connect your Oura ring",
            happened: "This page connects your Oura ring to your team’s Smartabase.",
            todo: "Check that it is about you, read what is shared, and continue to Oura to allow it.",
        },
        AthleteStatus::Disconnected => Words {
            title: "Connect your Oura ring",
            happened: "Your Oura ring is disconnected, and nothing is shared.",
            todo: "To share again, check that this is about you, and continue to Oura to allow it.",
        },
        AthleteStatus::Connected { received: true } => Words {
            title: "Your Oura ring is connected",
            happened: "Your sleep, readiness and activity go to your team’s Smartabase automatically.",
            todo: "There is nothing to do but to let your ring sync with the Oura app.",
        },
        AthleteStatus::Connected { received: false } => Words {
            title: "Your Oura ring is connected",
            happened: "Your ring is connected, and no night has arrived yet.",
            todo: "Open the Oura app with your ring nearby, so that it syncs; everything else follows automatically.",
        },
        AthleteStatus::NeverReceived { .. } => Words {
            title: "Your Oura ring is connected",
            happened: "Your ring is connected, but not one night has reached us yet.",
            todo: "Wear your ring at night, and open the Oura app with it nearby, so that it syncs; everything else follows \
                   automatically.",
        },
        AthleteStatus::Stale { .. } => Words {
            title: "Your Oura ring is connected",
            happened: "Your ring is connected, but no new night has reached us lately.",
            todo: "Open the Oura app with your ring nearby, so that it syncs; the missing nights follow automatically.",
        },
        AthleteStatus::FieldMissing { .. } | AthleteStatus::HeldUp { .. } => Words {
            title: "Your Oura ring is connected",
            happened: "Your ring is connected, but your team’s Smartabase does not take everything it sends.",
            todo: "There is nothing you can do about it; your team’s staff see what has to be mended.",
        },
        AthleteStatus::NeedsToReconnect { .. } => Words {
            title: "Connect your Oura ring again",
            happened: "Oura no longer lets us in, because the access was removed or has ended.",
            todo: "Connect again, and your nights go on arriving.",
        },
        AthleteStatus::NotShared => Words {
            title: "Connect your Oura ring again",
            happened: "Oura no longer shares your sleep data with us.",
            todo: "Connect again and leave the daily summaries ticked at Oura.",
        },
        AthleteStatus::NoMembership => Words {
            title: "Your Oura membership has lapsed",
            happened: "Your ring is connected, but Oura shares no data without an active membership.",
            todo: "Renew your membership in the Oura app; your data follows within a day, without connecting again.",
        },
        AthleteStatus::OutdatedApp => Words {
            title: "Update the Oura app",
            happened: "Your ring is connected, but Oura shares no data with the version of its app on your phone.",
            todo: "Update the Oura app and open it; your data follows within a day, without connecting again.",
        },
        AthleteStatus::OtherAthletes => Words {
            title: "Connect your Oura ring again",
            happened: "The Oura account you used already belongs to another athlete of your team.",
            todo: "Sign out at Oura, then connect again and sign in to your own account.",
        },
    }
}

fn offer(history: u16) -> [Section; 3] {
    [
        Section {
            heading: "What is shared",
            intro: Some(
                format!("From {} and from every new one, for the staff who may see your records:", last(history))
                    .into(),
            ),
            items: vec![
                "your sleep: times, stages, scores, heart rate and its variability, breathing".into(),
                "your readiness: score, contributors, temperature deviation".into(),
                "your activity: score, steps, calories, time at each intensity".into(),
            ],
        },
        Section {
            heading: "What is not shared",
            intro: Some(
                "Your Oura password, your location, your tags and notes, your messages. Nobody can change anything in \
                 your Oura account."
                    .into(),
            ),
            items: Vec::new(),
        },
        Section {
            heading: "How to stop",
            intro: Some(
                "Open this link again and disconnect, or remove the access in your Oura account. Records already in \
                 Smartabase stay there."
                    .into(),
            ),
            items: Vec::new(),
        },
    ]
}

fn next(history: u16, every: Duration) -> Section {
    Section {
        heading: "What happens next",
        intro: None,
        items: vec![
            format!("The nights of {} appear in Smartabase within a few minutes.", last(history)).into(),
            format!(
                "Each new night follows when your ring has synced with the Oura app after you wake up: we look {}.",
                often(every)
            )
            .into(),
            "Your personal link in Smartabase shows how it stands, and lets you disconnect.".into(),
        ],
    }
}

fn last(days: u16) -> String {
    if days == 1 { "the last day".to_owned() } else { format!("the last {days} days") }
}

fn often(every: Duration) -> String {
    match every.as_secs() / 60 {
        ..=1 => "every minute".to_owned(),
        60 => "every hour".to_owned(),
        minutes if minutes % 60 == 0 => format!("every {} hours", minutes / 60),
        minutes => format!("every {minutes} minutes"),
    }
}

/// A date as people say it, with the year only when it is not the current one.
fn named(date: Date, today: Date, format: &str) -> String {
    let year = if date.year() == today.year() { String::new() } else { format!(" {}", date.year()) };
    format!("{}{year}", date.strftime(format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn dates_are_written_as_people_say_them() {
        let today = date(2026, 3, 3);
        assert_eq!((ENGLISH.night)(date(2026, 3, 2), today), "Monday night, 2 March");
        assert_eq!((ENGLISH.night)(date(2025, 12, 31), today), "Wednesday night, 31 December 2025");
        assert_eq!((ENGLISH.day)(date(2026, 3, 3), today), "Tuesday, 3 March");
    }

    #[test]
    fn periods_are_written_in_the_fitting_unit() {
        let said = |minutes| often(Duration::from_mins(minutes));
        assert_eq!(
            [1, 15, 60, 90, 120].map(said),
            ["every minute", "every 15 minutes", "every hour", "every 90 minutes", "every 2 hours"]
        );
    }
}
