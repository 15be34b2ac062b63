//! Columns for a terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use runtime::visible_on_one_line;
use unicode_width::UnicodeWidthStr;

/// What needs nobody.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What somebody has to look at.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// What the operator has to mend.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is said by the way.
pub(crate) const QUIET: Style = Style::new().dimmed();
/// Headings.
pub(crate) const STRONG: Style = Style::new().bold();

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// The cell with this style.
pub(crate) fn cell(text: impl Into<String>, style: Style) -> Cell {
    Cell { text: visible_on_one_line(&text.into()).into_owned(), style }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        cell(text, Style::new())
    }
}

/// The text in this style.
pub(crate) fn styled(text: &str, style: Style) -> String {
    format!("{style}{}{style:#}", visible_on_one_line(text))
}

/// Columns as wide as their widest cell, the last as it comes. Widths are those of a terminal, in which a name may have
/// wide letters or letters of two code points.
pub(crate) fn columns<const N: usize>(heading: [&str; N], rows: &[[Cell; N]]) -> String {
    let heading = heading.map(|name| cell(name, STRONG));
    let lines = || std::iter::once(&heading).chain(rows);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.text.width().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines() {
        let mut pending = 0;
        for (width, cell) in widths.iter().zip(line) {
            if !cell.text.is_empty() {
                let _ = write!(text, "{:pending$}{}", "", styled(&cell.text, cell.style));
                pending = 0;
            }
            pending += width.saturating_sub(cell.text.width()) + 2;
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_the_letters() {
        let rows = [["Ada", "1", "x"], ["王小明", "22", ""], ["Zoe\u{308}", "333", "y"]].map(|row| row.map(Cell::from));
        let text = anstream::adapter::strip_str(&columns(["NAME", "N", "LAST"], &rows)).to_string();
        assert_eq!(text, "NAME    N    LAST\nAda     1    x\n王小明  22\nZoe\u{308}     333  y\n");
    }
}
