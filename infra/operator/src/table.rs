//! Tables and styles for the terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use runtime::visible_on_one_line;
use unicode_width::UnicodeWidthStr;

/// The style of what needs no action.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// The style of what a person should check.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// The style of what the operator has to repair.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of additional information.
pub(crate) const QUIET: Style = Style::new().dimmed();
/// The style of headings.
pub(crate) const STRONG: Style = Style::new().bold();

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// Sets the style of the cell.
pub(crate) fn cell(text: impl Into<String>, style: Style) -> Cell {
    Cell { text: visible_on_one_line(&text.into()).into_owned(), style }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        cell(text, Style::new())
    }
}

/// The text in the given style.
pub(crate) fn styled(text: &str, style: Style) -> String {
    format!("{style}{}{style:#}", visible_on_one_line(text))
}

/// Aligns the columns to their widest cells; the last column is not padded. Widths are terminal columns, since a name
/// may contain wide letters or letters of two code points.
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
    fn columns_align_whatever_the_width_of_the_letters() {
        let rows = [["Ada", "1", "x"], ["王小明", "22", ""], ["Zoe\u{308}", "333", "y"]].map(|row| row.map(Cell::from));
        let text = anstream::adapter::strip_str(&columns(["NAME", "N", "LAST"], &rows)).to_string();
        assert_eq!(text, "NAME    N    LAST\nAda     1    x\n王小明  22\nZoe\u{308}     333  y\n");
    }
}
