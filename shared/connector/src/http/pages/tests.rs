use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::civil::date;
use store::{AthleteId, KeyVersion, Keyring, SealPurpose, Status, StoredGrant};

use super::*;
use crate::error::OUTDATED_APP;

fn keyring() -> Keyring {
    Keyring::new(KeyVersion { id: "one".to_owned(), secret: "root of one".into() })
}

fn athlete() -> AthleteId {
    AthleteId::parse("31152").unwrap()
}

fn noon() -> Timestamp {
    "2026-03-03T12:00:00Z".parse().unwrap()
}

fn link() -> Link {
    Link::new(&keyring(), athlete(), noon())
}

fn connection(status: Status) -> Connection {
    let sealed = keyring().seal(SealPurpose::Grant, &athlete(), b"tokens").unwrap();
    let token_url = "https://oura.test/oauth/token".parse().unwrap();
    let connected = status != Status::Disconnected;
    Connection {
        athlete: athlete(),
        status,
        status_at: noon(),
        note: None,
        user_id: 17,
        oura_user: None,
        scopes: "daily".to_owned(),
        grant: connected.then_some(StoredGrant { sealed, token_url, expires_at: noon() }),
        generation: 1,
        fence: 1,
        lease: None,
        digest: None,
        last_sync: None,
        last_day: (status == Status::Active).then_some(date(2026, 3, 2)),
        first_connected_at: noon(),
        connected_at: noon(),
        account_changed_at: None,
        rotated_at: None,
        intended: BTreeSet::new(),
        brought: None,
        refresh_begun: None,
        refresh_suspect_at: None,
        refresh_refused: None,
        held_until: None,
        backfill_from: None,
    }
}

fn site() -> Url {
    "https://example.smartabase.com/site".parse().unwrap()
}

fn endings() -> Vec<Page> {
    let name = "Ada Sample".to_owned();
    vec![
        Page::Connected { name: name.clone(), history: 30, every: Duration::from_mins(15) },
        Page::ConnectedLapsed { name },
        Page::Disconnected,
        Page::DisconnectedUnrevoked,
        Page::DisconnectedBefore,
        Page::LinkExpired,
        Page::LinkDamaged,
        Page::UnknownAthlete,
        Page::Declined,
        Page::ScopeMissing,
        Page::AccountTaken,
        Page::TooSlow,
        Page::SessionLost,
        Page::OuraUnwell,
        Page::TryAgain,
        Page::Misconfigured,
        Page::NotFound,
        Page::TooLarge,
        Page::SentElsewhere,
        Page::TooMany,
    ]
}

fn connect_page(name: &str, site: &Url, connection: Option<&Connection>) -> Markup {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let token = SecretString::from("what the cookie holds");
    let link = link();
    let visit = Visit {
        link: &link,
        token: &token,
        name,
        site,
        connection,
        history: 30,
        nights: true,
        now: noon(),
        zone: &zone,
    };
    visit.render()
}

/// The connect page, for an athlete who has not connected and for every status of a connection.
fn connect_pages(name: &str, site: &Url) -> Vec<(String, Markup)> {
    let statuses = [
        Status::Active,
        Status::NeedsConsent,
        Status::ScopeMissing,
        Status::MembershipLapsed,
        Status::OuraAccountTaken,
        Status::Disconnected,
    ];
    let mut pages = vec![("connect, never connected".to_owned(), connect_page(name, site, None))];
    for status in statuses {
        pages.push((format!("connect, {status}"), connect_page(name, site, Some(&connection(status)))));
    }
    let active = || connection(Status::Active);
    let outdated_app = Connection { note: Some(OUTDATED_APP.to_owned()), ..connection(Status::MembershipLapsed) };
    let held_up = Connection { note: Some("for the operator only".to_owned()), ..active() };
    for (how, connection) in [
        ("without a night", Connection { last_day: None, ..active() }),
        ("silent", Connection { last_day: Some(date(2025, 12, 31)), ..active() }),
        ("held up", held_up),
        ("outdated app", outdated_app),
    ] {
        pages.push((format!("connect, {}, {how}", connection.status), connect_page(name, site, Some(&connection))));
    }
    pages
}

fn every_page() -> Vec<(String, Markup)> {
    let ending = |page: Page| (format!("{page:?}, {}", page.status()), page.render(&site()));
    let mut pages: Vec<_> = endings().into_iter().map(ending).collect();
    pages.extend(connect_pages("Ada Sample", &site()));
    pages
}

/// The visible text: the text of the body, one line for each element.
fn text(markup: &Markup) -> String {
    let (_, body) = markup.0.split_once("<main").unwrap();
    let mut text = String::new();
    for piece in body.split('<').skip(1) {
        let (tag, words) = piece.split_once('>').unwrap();
        let (begin, end) = match tag.split(' ').next().unwrap() {
            "h1" => ("# ", ""),
            "h2" => ("## ", ""),
            "li" => ("- ", ""),
            "/dt" => (": ", ""),
            "button" | "a" => ("[", "]\n"),
            "dt" | "dd" | "time" | "bdi" | "/time" | "/bdi" => ("", ""),
            other if other.starts_with('/') && !text.is_empty() && !text.ends_with('\n') => ("", "\n"),
            _ => ("", ""),
        };
        write!(text, "{begin}{words}{end}").unwrap();
    }
    text
}

#[test]
fn every_page_says_what_happened_and_what_to_do() {
    let mut all = String::new();
    for (name, markup) in every_page() {
        writeln!(all, "--- {name}\n{}", text(&markup)).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn each_page_has_one_sentence_for_event_and_one_for_action() {
    let endings: Vec<_> = endings().iter().map(LANGUAGE.ending).collect();
    let (since, today, note) = (date(2026, 2, 1), date(2026, 3, 3), String::new);
    let standings = [
        AthleteStatus::NotConnected,
        AthleteStatus::Connected { received: false },
        AthleteStatus::Connected { received: true },
        AthleteStatus::NeverReceived { since },
        AthleteStatus::Stale { since, today },
        AthleteStatus::FieldMissing { note: note() },
        AthleteStatus::HeldUp { note: note() },
        AthleteStatus::NeedsToReconnect { note: None },
        AthleteStatus::NoMembership,
        AthleteStatus::OutdatedApp,
        AthleteStatus::NotShared,
        AthleteStatus::OtherAthletes,
        AthleteStatus::Disconnected,
    ];
    for words in endings.into_iter().chain(standings.iter().map(LANGUAGE.standing)) {
        for sentence in [words.happened, words.todo] {
            assert!(sentence.ends_with('.') && sentence.matches(['.', '!', '?']).count() == 1, "{sentence}");
        }
    }
}

#[test]
fn a_stale_ring_is_shown_unless_a_backfill_is_running() {
    let silent = Connection { last_day: Some(date(2026, 2, 28)), ..connection(Status::Active) };
    let owed = Connection { backfill_from: Some(date(2026, 2, 1)), ..silent.clone() };
    let says =
        |connection| text(&connect_page("Ada", &site(), Some(connection))).contains("no new night has reached us");
    assert_eq!((says(&silent), says(&owed)), (true, false));
}

#[test]
fn without_a_form_for_nights_no_page_mentions_nights() {
    let (link, token, site, zone) = (link(), SecretString::from("token"), site(), TimeZone::UTC);
    for last_day in [None, Some(date(2026, 2, 1))] {
        let connection = Connection { last_day, ..connection(Status::Active) };
        let visit = Visit {
            link: &link,
            token: &token,
            name: "Ada",
            site: &site,
            connection: Some(&connection),
            history: 30,
            nights: false,
            now: noon(),
            zone: &zone,
        };
        let page = text(&visit.render());
        assert!(!page.contains("night"), "{page}");
    }
}

#[test]
fn dates_are_in_the_sites_time_zone() {
    let late = Connection { connected_at: "2026-03-02T23:30:00Z".parse().unwrap(), ..connection(Status::Active) };
    let page = text(&connect_page("Ada", &site(), Some(&late)));
    assert!(page.contains("Connected since: Tuesday, 3 March\n"), "{page}");
    assert!(page.contains("Last night received: Monday night, 2 March\n"), "{page}");
}

#[test]
fn every_page_is_complete_without_script_or_external_parts() {
    for (name, markup) in every_page() {
        let html = markup.into_string();
        assert!(html.starts_with(r#"<!DOCTYPE html><html lang="en" dir="ltr">"#), "{name}");
        for once in ["<title>", "<h1>", "<main", r#"<meta charset="utf-8">"#, r#"<meta name="viewport""#] {
            assert_eq!(html.matches(once).count(), 1, "{once} in {name}");
        }
        assert!(!html.contains("<title></title>") && !html.contains("<h1></h1>"), "{name}");
        for tag in html.split('<').skip(1).filter_map(|piece| piece.split('>').next()) {
            let (element, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(!["script", "img", "iframe", "object"].contains(&element), "{tag} in {name}");
            for never in ["src=", "style=", "javascript:"] {
                assert!(!attributes.contains(never), "{tag} in {name}");
            }
            let known = match element {
                "a" => attributes.ends_with(r#"" href="https://example.smartabase.com/site""#),
                "link" => attributes.starts_with(r#"rel="icon" href="data:image/svg+xml,"#),
                _ => !attributes.contains("href="),
            };
            assert!(known, "{tag} in {name}");
            let handler = attributes.split(' ').any(|attribute| attribute.starts_with("on"));
            assert!(!handler, "{tag} in {name}");
        }
        assert!(!html.contains("url(") && !html.contains("@import"), "{name}");
        assert!(!html.contains("for the operator only"), "{name}");
    }
}

#[test]
fn names_are_escaped() {
    let hostile = r#"<script>alert("1")</script>&'"#;
    let mut pages = connect_pages(hostile, &site());
    let connected = Page::Connected { name: hostile.to_owned(), history: 30, every: Duration::from_mins(15) };
    pages.push(("connected".to_owned(), connected.render(&site())));
    for (name, markup) in pages {
        assert!(!markup.0.contains("<script"), "{name}");
        assert!(!markup.0.contains("alert(\"1\")"), "{name}");
        // A name of any direction does not change the text around it.
        assert!(markup.0.contains("<bdi>&lt;script&gt;"), "{name}");
    }
    let hostile = Link::new(&keyring(), AthleteId::parse(r#"a"><b>"#).unwrap(), noon());
    let markup = entries(&hostile);
    assert!(markup.0.contains(r#"value="a&quot;&gt;&lt;b&gt;""#), "{}", markup.0);
}
