//! The forms of the site as a page for people.

use maud::{DOCTYPE, Markup, html};

use super::record::{Event, Profile};
use super::{Form, Kind, Site};

const STYLE: &str = "\
    body{font:14px/1.45 system-ui,sans-serif;margin:2rem;color:#1c2330;background:#f6f7f9}\
    h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:.95rem;margin:1rem 0 .3rem}\
    p{color:#5b6577;margin:.2rem 0}.scroll{overflow-x:auto;background:#fff;border:1px solid #dde1e8;border-radius:8px}\
    table{border-collapse:collapse;width:100%}th,td{padding:.35rem .7rem;text-align:right;white-space:nowrap;\
    font-variant-numeric:tabular-nums;border-bottom:1px solid #eef0f4}th{font-weight:600;color:#5b6577;background:#fafbfc;white-space:normal;min-width:3.6rem;vertical-align:bottom}\
    th:first-child,td:first-child,td.text{text-align:left}td:first-child{position:sticky;left:0;background:#fff}\
    tr:last-child td{border-bottom:0}.updated{color:#8a5a00}td.text{max-width:36rem;overflow:hidden;text-overflow:ellipsis}\
    td.text a{white-space:normal;overflow-wrap:anywhere}";

pub(super) fn page(site: &Site) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Simulated Smartabase" }
                style { (STYLE) }
            }
            body {
                h1 { "Smartabase " (site.path) }
                p { "A simulated site. " (site.users.len()) " users, " (site.events.len()) " events, "
                    (site.profiles.len()) " profile records." }
                @for form in &site.forms {
                    h2 { (form.name) }
                    @match form.kind {
                        Kind::Event => (events(site, form)),
                        Kind::Profile => (profiles(site, form)),
                    }
                }
            }
        }
    }
}

fn events(site: &Site, form: &Form) -> Markup {
    let of = |user: i64| -> Vec<&Event> {
        let mut events: Vec<&Event> =
            site.events.values().filter(|event| event.form == form.name && event.user == user).collect();
        events.sort_by_key(|event| (event.start_date, event.start_time, event.id));
        events
    };
    let by_user: Vec<_> =
        site.users.iter().map(|user| (user, of(user.id))).filter(|(_, events)| !events.is_empty()).collect();
    // An empty column would only push the others off the page.
    let filled: Vec<&String> = form
        .fields
        .iter()
        .filter(|field| by_user.iter().flat_map(|(_, events)| events).any(|event| event.value(field).is_some()))
        .collect();
    html! {
        @if by_user.is_empty() { p { "No records." } }
        @for (user, events) in &by_user {
            h3 { (user.first_name) " " (user.last_name) }
            div class="scroll" { table {
                tr { th { "Date" } th { "Time" } @for field in &filled { th { (field) } } th { "Event" } }
                @for event in events {
                    tr {
                        td { (event.start_date.strftime("%a %d/%m/%Y")) }
                        td { (event.start_time.strftime("%H:%M")) }
                        @for field in &filled { td { (event.value(field).unwrap_or_default()) } }
                        td { (event.id) @if event.updates > 0 {
                            span class="updated" title="overwritten so many times" { " ×" (event.updates) }
                        } }
                    }
                }
            } }
        }
    }
}

fn profiles(site: &Site, form: &Form) -> Markup {
    let records: Vec<(&str, &Profile)> = site
        .users
        .iter()
        .filter_map(|user| Some((user.first_name.as_str(), site.profiles.get(&(form.name.clone(), user.id))?)))
        .collect();
    html! {
        @if records.is_empty() { p { "No records." } } @else {
            div class="scroll" { table {
                tr { th { "Athlete" } @for field in &form.fields { th { (field) } } }
                @for (name, record) in records {
                    tr { td { (name) } @for field in &form.fields {
                        td class="text" { (value(record.value(field).unwrap_or_default())) }
                    } }
                }
            } }
        }
    }
}

/// A value; a link if it is an address.
fn value(value: &str) -> Markup {
    let address = ["http://", "https://"].iter().any(|scheme| value.starts_with(scheme));
    html! { @if address { a href=(value) { (value) } } @else { (value) } }
}
