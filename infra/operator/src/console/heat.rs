//! The drawings: a strip of days for each athlete, and above the strips the totals of each day.
//!
//! Each mark has its own shape as well as its colour. A strip draws all marks of one kind as one path. Received marks
//! are dashed lines, because they are the most frequent. This keeps a page of two thousand athletes below two
//! megabytes.

use std::fmt::Write;

use jiff::civil::{Date, Weekday};
use maud::{Markup, html};

use super::day_status::Mark;
use super::view::Tally;

/// The width of a day, and of a mark in it, in pixels.
const DAY: usize = 10;

/// The height of a strip, in pixels.
const STRIP: usize = 14;

/// The height of the totals, in pixels.
const TOTALS: usize = 56;

/// Draws one athlete’s days. `said` is the text for screen readers.
pub(crate) fn strip(marks: &[Mark], said: &str) -> Markup {
    html! {
        svg class="strip" role="img" width=(marks.len() * DAY) height=(STRIP) viewBox=(format!("0 0 {} {STRIP}", marks.len() * DAY)) {
            title { (said) }
            @for mark in Mark::SHOWN {
                @let path = path(marks, mark);
                @if !path.is_empty() { path class=(mark.class()) d=(path) {} }
            }
        }
    }
}

/// Draws a single mark, for the legend.
pub(crate) fn swatch(mark: Mark) -> Markup {
    html! {
        svg class="strip" aria-hidden="true" width=(DAY) height=(STRIP) viewBox=(format!("0 0 {DAY} {STRIP}")) {
            path class=(mark.class()) d=(path(&[mark], mark)) {}
        }
    }
}

/// Draws all marks of one kind in a strip.
fn path(marks: &[Mark], wanted: Mark) -> String {
    let mut path = String::new();
    if wanted == Mark::Received {
        let mut place = 0;
        for run in marks.chunk_by(|one, other| (*one == wanted) == (*other == wanted)) {
            if run.first() == Some(&wanted) {
                let _ = write!(path, "M{} 7h{}", place * DAY, run.len() * DAY - 1);
            }
            place += run.len();
        }
        return path;
    }
    for (place, _) in marks.iter().enumerate().filter(|(_, mark)| **mark == wanted) {
        let x = place * DAY;
        let _ = match wanted {
            // A triangle in the lower half.
            Mark::Late => write!(path, "M{x} 13V1l9 12z"),
            // A small dot.
            Mark::Missing => write!(path, "M{} 5h4v4h-4z", x + 3),
            // A cross.
            Mark::Stopped => write!(path, "M{} 3l7 8m0-8l-7 8", x + 1),
            // A full block with an exclamation mark cut out.
            Mark::HeldUp => write!(path, "M{x} 1h9v12h-9zM{} 3v5h3v-5zm0 6v2h3v-2z", x + 3),
            // A dash.
            Mark::InProcessQueue => write!(path, "M{} 7h5", x + 2),
            Mark::Received | Mark::Blank => Ok(()),
        };
    }
    path
}

/// Draws the totals of every day as stacked columns above the strips. Each column has its numbers as a tooltip.
pub(crate) fn totals(dates: &[Date], totals: &[Tally], said: &str) -> Markup {
    let most = totals.iter().map(due).max().unwrap_or(0).max(1);
    let width = dates.len() * DAY;
    html! {
        svg class="totals" role="img" width=(width) height=(TOTALS + 16) viewBox=(format!("0 0 {width} {}", TOTALS + 16)) {
            title { (said) }
            @for (place, (date, tally)) in dates.iter().zip(totals).enumerate() {
                g {
                    title { (date.strftime("%a %-d %b")) ": " (spoken(tally)) }
                    // A transparent area over the full height, so that the pointer finds even a short column.
                    rect class="under" x=(place * DAY) y="0" width=(DAY) height=(TOTALS) {}
                    @for (mark, top, height) in stack(tally, most) {
                        rect class=(mark.class()) x=(place * DAY) y=(top) width=(DAY - 1) height=(height) {}
                    }
                }
            }
            @for (place, date) in dates.iter().enumerate().filter(|(_, date)| date.weekday() == Weekday::Monday) {
                path class="tick" d=(format!("M{}.5 {}v5", place * DAY, TOTALS + 1)) {}
                @if place + 4 <= dates.len() {
                    text x=(place * DAY + 3) y=(TOTALS + 13) { (date.strftime("%-d %b")) }
                }
            }
        }
    }
}

/// The segments of a column from the bottom up: mark, top and height.
fn stack(tally: &Tally, most: usize) -> Vec<(Mark, usize, usize)> {
    let (mut below, mut bottom) = (0, TOTALS);
    let mut pieces = Vec::new();
    for mark in Mark::SHOWN.into_iter().filter(|mark| *mark != Mark::InProcessQueue) {
        below += tally.get(&mark).copied().unwrap_or(0);
        let top = TOTALS - below * TOTALS / most;
        if top < bottom {
            pieces.push((mark, top, bottom - top));
        }
        bottom = top;
    }
    pieces
}

/// How many athletes have an expected record on a date.
fn due(tally: &Tally) -> usize {
    tally.iter().filter(|(mark, _)| **mark != Mark::Blank).map(|(_, count)| count).sum()
}

/// “57 received, 2 late”.
pub(crate) fn spoken(tally: &Tally) -> String {
    let counts = Mark::SHOWN.into_iter().filter_map(|mark| Some(format!("{} {}", tally.get(&mark)?, mark.words())));
    let counts: Vec<_> = counts.collect();
    if counts.is_empty() { "nothing expected".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip_draws_each_day_once_in_its_place() {
        let marks = [Mark::Blank, Mark::Received, Mark::Received, Mark::Late, Mark::Received, Mark::Missing];
        assert_eq!(path(&marks, Mark::Received), "M10 7h19M40 7h9");
        assert_eq!(path(&marks, Mark::Late), "M30 13V1l9 12z");
        assert_eq!(path(&marks, Mark::Missing), "M53 5h4v4h-4z");
        assert_eq!(path(&marks, Mark::HeldUp), "");
        assert_eq!(path(&marks, Mark::Blank), "");
    }

    #[test]
    fn column_height_is_proportional_and_without_gaps() {
        let tally = Tally::from([(Mark::Received, 50), (Mark::Late, 25), (Mark::HeldUp, 25), (Mark::Blank, 900)]);
        assert_eq!(due(&tally), 100);
        assert_eq!(stack(&tally, 100), [(Mark::Received, 28, 28), (Mark::Late, 14, 14), (Mark::HeldUp, 0, 14)]);
        assert_eq!(spoken(&tally), "50 received, 25 late, 25 held up");
        assert_eq!(spoken(&Tally::new()), "nothing expected");
    }
}
