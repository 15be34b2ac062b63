//! The pages that a person sees in the browser.

use maud::{DOCTYPE, Markup, html};

use super::Person;
use super::authorize::Asked;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#222}\
    fieldset{border:1px solid #ccc;border-radius:8px;margin:1rem 0;padding:1rem}label{display:block}\
    select,button{font:inherit;padding:.4rem .8rem;margin:.2rem .4rem .2rem 0}";

/// The consent page: the person chooses an account and the scopes.
pub(super) fn page(asked: &Asked, request: &[(String, String)], people: &[Person]) -> Markup {
    frame(&html! {
        h1 { "Share your Oura data?" }
        p { "An application asks for access. It will send you back to " code { (asked.redirect_uri.host_str().unwrap_or("?")) } "." }
        form method="post" {
            @for (name, value) in request {
                input type="hidden" name=(name) value=(value);
            }
            label { "You are " select name="person" {
                @for person in people { option value=(person.id) { (person.name) } }
            } }
            fieldset {
                legend { "It may see" }
                @for scope in &asked.scopes {
                    label { input type="checkbox" name="granted" value=(scope) checked; " " (scope) }
                }
            }
            button name="decision" value="approve" { "Approve" }
            button name="decision" value="decline" { "Decline" }
        }
    })
}

/// The page for a request that cannot be answered by a redirect.
pub(super) fn error(what: &str) -> Markup {
    frame(&html! { h1 { "Something is wrong with this link" } p { (what) } })
}

/// The list of people who have an account.
pub(super) fn people(people: &[Person]) -> Markup {
    frame(&html! {
        h1 { "Simulated Oura" }
        ul { @for person in people {
            li { (person.name) " (" (person.id) "), " (person.zone.iana_name().unwrap_or("UTC"))
                @if !person.member { ", membership lapsed" } }
        } }
    })
}

fn frame(content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Simulated Oura" }
                style { (STYLE) }
            }
            body { (content) }
        }
    }
}
