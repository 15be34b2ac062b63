use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::date;
use store::{AthleteId, KeyVersion, Keyring, Purpose, StoredGrant};

use super::*;

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
    let sealed = keyring().seal(Purpose::Grant, &athlete(), b"tokens").unwrap();
    let token_url = "https://oura.test/oauth/token".parse().unwrap();
    let connected = status != Status::Disconnected;
    Connection {
        athlete: athlete(),
        status,
        status_at: noon(),
        note: Some("for the operator only".to_owned()),
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
        rotated_at: None,
        refresh_begun: None,
        held_until: None,
        backfill_from: None,
    }
}

fn endings() -> Vec<Page> {
    let name = "Ada Sample".to_owned();
    vec![
        Page::Connected { name: name.clone() },
        Page::ConnectedLapsed { name },
        Page::Disconnected,
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
    ]
}

/// The connect page, for somebody who has not connected and for every way a connection can stand.
fn connect_pages(name: &str, site: &str) -> Vec<(String, Markup)> {
    let statuses = [
        Status::Active,
        Status::NeedsConsent,
        Status::ScopeMissing,
        Status::MembershipLapsed,
        Status::OuraAccountTaken,
        Status::Disconnected,
    ];
    let mut pages = vec![("connect, never connected".to_owned(), connect(&link(), name, site, None))];
    for status in statuses {
        pages.push((format!("connect, {status}"), connect(&link(), name, site, Some(&connection(status)))));
    }
    pages
}

fn every_page() -> Vec<(String, Markup)> {
    let ending = |page: Page| (format!("{page:?}, {}", page.status()), page.render());
    let mut pages: Vec<_> = endings().into_iter().map(ending).collect();
    pages.extend(connect_pages("Ada Sample", "example.smartabase.com"));
    pages
}

/// What a person reads: the text of the body, a line for each element.
fn text(markup: &Markup) -> String {
    let (_, body) = markup.0.split_once("<main>").unwrap();
    let mut text = String::new();
    for piece in body.split('<').skip(1) {
        let (tag, words) = piece.split_once('>').unwrap();
        let within_a_line = ["strong", "/strong", "time", "/time"].contains(&tag);
        match tag {
            "h1" | "h2" | "li" | "button" | r#"button class="quiet""# => {
                let mark =
                    ["# ", "## ", "- ", "["][["h1", "h2", "li"].iter().position(|known| *known == tag).unwrap_or(3)];
                write!(text, "{mark}{words}").unwrap();
            }
            "/button" => text.push_str("]\n"),
            _ if within_a_line => text.push_str(words),
            _ if tag.starts_with('/') => text.push_str(if text.ends_with('\n') { "" } else { "\n" }),
            _ => text.push_str(words),
        }
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
fn every_page_is_a_whole_document_without_script_or_anything_from_elsewhere() {
    for (name, markup) in every_page() {
        let html = markup.into_string();
        assert!(html.starts_with(r#"<!DOCTYPE html><html lang="en">"#), "{name}");
        for once in ["<title>", "<h1>", "<main>", r#"<meta charset="utf-8">"#, r#"<meta name="viewport""#] {
            assert_eq!(html.matches(once).count(), 1, "{once} in {name}");
        }
        assert!(!html.contains("<title></title>") && !html.contains("<h1></h1>"), "{name}");
        for tag in html.split('<').skip(1).filter_map(|piece| piece.split('>').next()) {
            let (element, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(!["script", "img", "iframe", "link", "object"].contains(&element), "{tag} in {name}");
            for never in ["src=", "href=", "style=", "javascript:"] {
                assert!(!attributes.contains(never), "{tag} in {name}");
            }
            let handler = attributes.split(' ').any(|attribute| attribute.starts_with("on"));
            assert!(!handler, "{tag} in {name}");
        }
        assert!(!html.contains("url(") && !html.contains("@import"), "{name}");
        assert!(!html.contains("for the operator only"), "{name}");
    }
}

#[test]
fn names_are_text_and_nothing_else() {
    let hostile = r#"<script>alert("1")</script>&'"#;
    let mut pages = connect_pages(hostile, hostile);
    pages.push(("connected".to_owned(), Page::Connected { name: hostile.to_owned() }.render()));
    for (name, markup) in pages {
        assert!(!markup.0.contains("<script"), "{name}");
        assert!(!markup.0.contains("alert(\"1\")"), "{name}");
    }
    let hostile = AthleteId::parse(r#"a"><b>"#).unwrap();
    let markup = connect(&Link::new(&keyring(), hostile, noon()), "Ada", "site", None);
    assert!(markup.0.contains(r#"value="a&quot;&gt;&lt;b&gt;""#), "{}", markup.0);
}
