//! Tables for people: columns as wide as what is in them.

use super::{Paint, Tone, say};
use crate::cli::failure::Outcome;
use crate::deployment::document::fault::plain;

/// Characters of one cell: what others wrote does not push the rest away.
const CELL_CHARS_MAX: usize = 100;

/// What is between two columns.
const GAP: &str = "  ";

/// At which edge of its column a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Align {
    Left,
    Right,
}

/// What is in one place of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Foreign text is made fit for a terminal, and cut.
    pub(in crate::cli) fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        let mut text = plain(text.as_ref());
        if let Some((end, _)) = text.char_indices().nth(CELL_CHARS_MAX) {
            text.truncate(end);
            text.push('…');
        }
        Self { text, tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Usual, text)
    }
}

/// Rows of `N` cells, with the name of each column above it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Columns<const N: usize> {
    names: [&'static str; N],
    align: [Align; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Columns<N> {
    pub(in crate::cli) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            names: columns.map(|(name, _)| name),
            align: columns.map(|(_, align)| align),
            rows: Vec::new(),
        }
    }

    pub(in crate::cli) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table, without its names if they are empty.
    pub(in crate::cli) fn lines(&self, paint: Paint) -> Vec<String> {
        let names = self.names.map(|name| Cell::new(Tone::Faint, name));
        let named = self.names.iter().any(|name| !name.is_empty());
        let rows = named.then_some(&names).into_iter().chain(&self.rows);
        let mut widths = [0; N];
        for row in rows.clone() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        rows.map(|row| self.line(row, &widths, paint)).collect()
    }

    pub(in crate::cli) fn print(&self, paint: Paint) -> Outcome<()> {
        self.lines(paint).iter().try_for_each(|line| say(line))
    }

    fn line(&self, row: &[Cell; N], widths: &[usize; N], paint: Paint) -> String {
        let mut line = String::new();
        let mut owed = 0;
        for ((cell, align), width) in row.iter().zip(self.align).zip(widths) {
            let space = width.saturating_sub(cell.width());
            let (before, after) = match align {
                Align::Left => (0, space),
                Align::Right => (space, 0),
            };
            // What would end the line blank is not written.
            owed += before;
            if cell.width() > 0 {
                line.extend(std::iter::repeat_n(' ', owed));
                line.push_str(&paint.text(cell.tone, &cell.text));
                owed = 0;
            }
            owed += after + GAP.len();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Cell, Columns};
    use crate::cli::output::{Paint, Tone};

    #[test]
    fn numbers_end_and_names_begin_in_one_column() {
        let mut table = Columns::new([
            ("PLUGIN", Align::Left),
            ("MSG/S", Align::Right),
            ("NOTE", Align::Left),
        ]);
        table.row(["window".into(), "1200".into(), "".into()]);
        table.row(["größe".into(), "7".into(), "slow".into()]);
        let lines = [
            "PLUGIN  MSG/S  NOTE",
            "window   1200",
            "größe       7  slow",
        ];
        assert_eq!(table.lines(Paint::plain()), lines);
    }

    #[test]
    fn colours_take_no_room_and_end_where_they_should() {
        let mut table = Columns::new([("", Align::Left), ("", Align::Left)]);
        table.row([Cell::new(Tone::Bad, "no"), "x".into()]);
        table.row(["maybe".into(), "y".into()]);
        let lines = ["\x1b[31mno\x1b[0m     x", "maybe  y"];
        assert_eq!(table.lines(Paint::always()), lines);
    }

    #[test]
    fn what_others_wrote_stays_in_its_cell() {
        let mut table = Columns::new([("", Align::Left), ("", Align::Left)]);
        table.row(["\x1b[2J\n".into(), "x".repeat(5000).into()]);
        let lines = table.lines(Paint::plain());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("\\u{1b}[2J\\u{a}  xxx"), "{lines:?}");
        assert!(lines[0].chars().count() < 130, "{lines:?}");
    }
}
