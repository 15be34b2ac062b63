//! Renders the pages as HTML. There is no script, one inline style sheet, and no external resource. The pages show
//! whether and when a record came, and no health value.

use jiff::SignedDuration;
use jiff::civil::Date;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::day_status::Mark;
use super::filter::Choice;
use super::heat::{spoken, strip, swatch, totals};
use super::view::{Budget, Row, View};
use crate::athlete_state::Actor;
use crate::status::Pause;
use crate::time_format;

/// The only style sheet. Its hash is in the content security policy.
pub(crate) const STYLE: &str = include_str!("style.css");

/// The icon, a ring, inlined because browsers request an icon anyway.
const ICON: &str = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>\
                    <circle cx='8' cy='8' r='5.5' fill='none' stroke='%232b7a8c' stroke-width='3'/></svg>";

/// A healthy athlete is marked as synced about once an hour. If the mark is older than this, the athlete has not been
/// synced for a while.
const STALE: SignedDuration = SignedDuration::from_hours(2);

/// How many dates of one kind the description lists.
const NAMED: usize = 5;

/// What both pages need around their content.
pub(crate) struct Surroundings<'a> {
    /// The name of the stack, or of the pilot's file.
    pub(crate) installation: &'a str,
    /// Why the last refresh failed, if it did. The page then shows older data.
    pub(crate) failure: Option<&'a str>,
    pub(crate) pauses: Vec<Pause<'a>>,
    /// How many dead letters wait. `None` for a pilot, which has no dead-letter queue; an error if the count is
    /// unknown.
    pub(crate) dead_letters: Option<Result<u64, String>>,
    /// The names of the event forms.
    pub(crate) forms: &'a [String],
    pub(crate) choice: Choice,
}

/// Renders the page of all athletes.
pub(crate) fn overview(view: &View<'_>, around: &Surroundings<'_>) -> Markup {
    let choice = &around.choice;
    let shown: Vec<_> = view.rows.iter().filter(|row| choice.wants(row)).collect();
    let content = html! {
        (tiles(view, around))
        section {
            h2 id="athletes" {
                "Athletes and days"
                @if let Some(form) = around.forms.get(choice.form) { span class="quiet" { ": " (form) } }
            }
            (choices(view, choice))
            (forms(around))
            (legend())
            @if shown.is_empty() {
                p class="quiet" { "Nobody to show." }
            } @else {
                div class="wide" role="region" aria-labelledby="athletes" tabindex="0" { (athletes(view, &shown, choice)) }
            }
        }
    };
    frame("Athletes", view, around, &content)
}

/// The key figures at the top.
fn tiles(view: &View<'_>, around: &Surroundings<'_>) -> Markup {
    let Budget { wanted, room } = view.budget;
    html! {
        dl class="tiles" {
            div {
                dt { "Connected" }
                dd class="figure" { (grouped(view.connected())) }
                dd class="quiet" { "of " (grouped(view.rows.len())) " athletes" }
            }
            @if let Some((date, tally)) = view.last_night() {
                @let received = tally.get(&Mark::Received).unwrap_or(&0) + tally.get(&Mark::Late).unwrap_or(&0);
                div {
                    dt { "Arrived for " (date.strftime("%A")) }
                    dd class="figure" { (grouped(received)) }
                    dd class="quiet" { "of " (grouped(tally.iter().filter(|(mark, _)| **mark != Mark::Blank).map(|(_, count)| count).sum())) " expected" }
                }
            }
            @if let Some((athlete, lag)) = view.stalest {
                div {
                    dt { "Synced longest ago" }
                    dd class={ "figure" @if lag >= STALE { " bad" } } { (time_format::ago(view.now - lag, view.now)) }
                    dd class="quiet" { (athlete.name()) }
                }
            }
            div {
                dt { "Oura requests in a tick" }
                dd class={ "figure" @if !view.budget.holds() { " bad" } } { (grouped(wanted)) }
                dd class="quiet" {
                    (meter(view.budget))
                    @if view.budget.holds() { "of " (grouped(room)) " that Oura’s allowance has room for" }
                    @else { "room for " (grouped(room)) ": everybody’s turn comes every " (view.budget.ticks()) " ticks" }
                }
            }
            div {
                dt { "Dead letters" }
                @match &around.dead_letters {
                    Some(Ok(0)) => { dd class="figure" { "0" } dd class="quiet" { "no job was given up" } }
                    Some(Ok(count)) => { dd class="figure bad" { (count) } dd class="quiet" { code { "connector redrive" } " explains them" } }
                    Some(Err(why)) => { dd class="figure" { "?" } dd class="quiet" { (why) } }
                    None => { dd class="figure" { "none" } dd class="quiet" { "a pilot keeps none" } }
                }
            }
        }
    }
}

/// How much of the request budget the ticks need, or by how much they exceed it.
fn meter(budget: Budget) -> Markup {
    const WIDTH: usize = 1000;
    let Budget { wanted, room } = budget;
    let most = wanted.max(room).max(1);
    html! {
        svg class="meter" viewBox=(format!("0 0 {WIDTH} 8")) preserveAspectRatio="none" aria-hidden="true" {
            rect class="track" width=(WIDTH) height="8" {}
            rect class="used" width=(wanted.min(room) * WIDTH / most) height="8" {}
            @if wanted > room {
                rect class="over" x=(room * WIDTH / most) width=((wanted - room) * WIDTH / most) height="8" {}
            }
        }
    }
}

/// The filters: all athletes, those with something to do, and each state that occurs.
fn choices(view: &View<'_>, choice: &Choice) -> Markup {
    let attention = view.rows.iter().filter(|row| row.needs_somebody()).count();
    let link = |words: &str, count: usize, class: &str, to: Choice| {
        let here = to.attention == choice.attention && to.state == choice.state;
        html! { li { a class=(class) href=(to.address()) aria-current=[here.then_some("true")] { (grouped(count)) " " (words) } } }
    };
    let with = |attention, state| Choice { attention, state, ..choice.clone() };
    html! {
        nav aria-label="Which athletes" class="screen" {
            ul class="choices" {
                (link("athletes", view.rows.len(), "", with(false, None)))
                (link("need somebody", attention, "", with(true, None)))
                @for (state, count) in view.states() { (link(&state.to_string(), count, class(state.needs()), with(false, Some(state)))) }
            }
        }
        form method="get" action="." {
            @if choice.form > 0 { input type="hidden" name="form" value=(choice.form); }
            @if choice.still { input type="hidden" name="refresh" value="off"; }
            label { span class="quiet" { "Name, UUID or user id " } input type="search" name="find" value=(choice.search); }
            button { "Find" }
        }
    }
}

fn forms(around: &Surroundings<'_>) -> Markup {
    html! {
        nav aria-label="Which form" {
            ul class="choices" {
                @for (place, name) in around.forms.iter().enumerate() {
                    @let to = Choice { form: place, ..around.choice.clone() };
                    li { a href=(to.address()) aria-current=[(place == around.choice.form).then_some("true")] { (name) } }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul class="legend" {
            @for mark in Mark::SHOWN { li { (swatch(mark)) strong { (mark.words()) } span class="quiet" { " – " (mark.explanation()) } } }
        }
    }
}

fn athletes(view: &View<'_>, shown: &[&Row<'_>], choice: &Choice) -> Markup {
    let all = view.totals();
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Athlete" }
                    th scope="col" { "Status" }
                    th scope="col" { "Last sync" }
                    th scope="col" { "Arrived" }
                    th scope="col" { (totals(&view.dates, &all, "How many athletes’ records arrived for each day")) }
                }
            }
            tbody {
                @for row in shown {
                    @let (tally, stand) = (row.tally(), &row.stand);
                    tr {
                        th scope="row" { a href=(athlete_address(row, choice)) { (row.athlete.name()) } }
                        td class={ "status " (class(stand.needs())) } title=(if stand.needs() == Actor::Operator { stand.reason.clone() } else { stand.to_string() }) { (stand) }
                        td { @if let Some(at) = row.athlete.connection.as_ref().and_then(|connection| connection.last_sync) { (time_format::ago(at, view.now)) } }
                        td class="quiet" { (arrived(&tally)) }
                        td { (strip(&row.marks, &said(row, view))) }
                    }
                }
            }
        }
    }
}

/// Renders the page of one athlete.
pub(crate) fn athlete(view: &View<'_>, row: &Row<'_>, marks: &[Vec<Mark>], around: &Surroundings<'_>) -> Markup {
    let connection = row.athlete.connection.as_ref();
    let at = |instant| time_format::time(instant, view.now, view.zone);
    let name = row.athlete.name();
    let content = html! {
        p class="screen" { a href=(around.choice.address()) { "All athletes" } }
        section aria-labelledby="athlete" {
            h2 id="athlete" { (name) }
            dl class="facts" {
                dt { "UUID" } dd { (row.athlete.id) }
                @if let Some(user) = row.athlete.user_id() { dt { "Smartabase user" } dd { (user) } }
                dt { "Status" } dd { (row.stand) }
                @if !row.stand.reason.is_empty() { dt { "Reason" } dd { (row.stand.reason) } }
                @if let Some(connection) = connection {
                    dt { "Connected" } dd { (at(connection.connected_at)) }
                    dt { "Last sync" } dd { @match connection.last_sync { Some(last) => (time_format::ago(last, view.now)), None => "never" } }
                    dt { "Last night" } dd { @match connection.last_day { Some(day) => (time_format::day(day, view.now, view.zone)), None => "none" } }
                }
            }
        }
        section {
            h2 id="days" { "Days" }
            div class="wide" role="region" aria-labelledby="days" tabindex="0" {
                table {
                    thead { tr { th scope="col" { "Date" } @for form in around.forms { th scope="col" { (form) } } } }
                    tbody {
                        @for (place, date) in view.dates.iter().enumerate().rev() {
                            tr {
                                th scope="row" { (time_format::day(*date, view.now, view.zone)) }
                                @for form in marks { td { (word(form.get(place).copied().unwrap_or(Mark::Blank))) } }
                            }
                        }
                    }
                }
            }
            p class="quiet" { "The whole story: " code { "connector show " (row.athlete.id) } }
        }
    };
    frame(name, view, around, &content)
}

/// A mark with its name.
fn word(mark: Mark) -> Markup {
    html! { @if mark != Mark::Blank { span class="mark" { (swatch(mark)) (mark.words()) } } }
}

/// The page for an unknown address.
pub(crate) fn nothing() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head("Nothing here"))
            body { main { h1 { "Nothing here" } p { "Open the address that " code { "connector console" } " printed." } } }
        }
    }
}

fn frame(title: &str, view: &View<'_>, around: &Surroundings<'_>, content: &Markup) -> Markup {
    let still = Choice { still: !around.choice.still, ..around.choice.clone() };
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{title} – {}", around.installation)))
            body {
                header {
                    h1 { "Oura connector " span { (around.installation) } }
                    p class="quiet" {
                        "as of " (time_format::time(view.now, view.now, view.zone)) " " (view.zone.iana_name().unwrap_or("UTC")) ". "
                        span class="screen" {
                            @if around.choice.still { "Does not refresh. " a href=(still.address()) { "Go on" } }
                            @else { "Refreshes every minute. " a href=(still.address()) { "Stop" } }
                        }
                    }
                }
                main {
                    @if let Some(why) = around.failure { p class="alarm" role="alert" { strong { "This could not be refreshed. " } (why) } }
                    @for pause in &around.pauses {
                        p class="alarm" role="alert" {
                            strong { (capitalised(pause.service)) " is on hold until " (time_format::time(pause.until, view.now, view.zone)) ". " } (pause.why)
                        }
                    }
                    (content)
                }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) }
            link rel="icon" href=(ICON);
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn athlete_address(row: &Row<'_>, choice: &Choice) -> String {
    let query = choice.address();
    let query = query.trim_start_matches(".?");
    let mut address = url::form_urlencoded::Serializer::new(String::new());
    address.append_pair("id", row.athlete.id.as_str());
    let address = address.finish();
    if query.is_empty() { format!("athlete?{address}") } else { format!("athlete?{address}&{query}") }
}

/// The text for screen readers about a row: the counts, and the dates with problems.
fn said(row: &Row<'_>, view: &View<'_>) -> String {
    let mut said = format!("{}: {}", row.athlete.name(), spoken(&row.tally()));
    for mark in [Mark::Late, Mark::Missing, Mark::HeldUp] {
        let dates: Vec<Date> =
            row.marks.iter().zip(&view.dates).filter(|(other, _)| **other == mark).map(|(_, date)| *date).collect();
        if dates.is_empty() {
            continue;
        }
        let named = dates.iter().rev().take(NAMED).map(|date| date.strftime("%-d %b").to_string()).collect::<Vec<_>>();
        let more = if dates.len() > NAMED { " and earlier" } else { "" };
        said += &[". ", mark.words(), ": ", &named.join(", "), more].concat();
    }
    said
}

/// “57 of 60”.
fn arrived(tally: &super::view::Tally) -> String {
    let count = |mark| tally.get(&mark).copied().unwrap_or(0);
    let arrived = count(Mark::Received) + count(Mark::Late);
    let expected = arrived + count(Mark::Missing) + count(Mark::Stopped) + count(Mark::HeldUp);
    if expected == 0 { String::new() } else { format!("{arrived} of {expected}") }
}

fn class(needs: Actor) -> &'static str {
    match needs {
        Actor::Nobody => "nobody",
        Actor::Athlete => "athlete",
        Actor::Operator => "operator",
    }
}

/// The service’s name as people write it.
fn capitalised(service: &str) -> String {
    let mut letters = service.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A number with separated thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
