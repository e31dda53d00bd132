//! Writes to standard output: lines for people, JSON for programs.
//!
//! Nothing that others wrote steers the terminal. A reader who goes away, as
//! `head` does, is no failure: see [`OutputError::nobody_reads`].

mod columns;
mod paint;
pub(super) mod units;

use std::borrow::Cow;
use std::io::{self, Write as _};

use jiff::Timestamp;
use serde::Serialize;

use super::failure::Outcome;
use crate::deployment::document::fault::plain;

pub(super) use columns::{Align, Cell, Columns};
pub(super) use paint::{Paint, Tone};

/// Standard output took no more.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(super) struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whether whoever read it has gone.
    pub(super) fn nobody_reads(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// A line for people.
pub(super) fn say(line: &str) -> Outcome<()> {
    Ok(print(line)?)
}

/// One JSON document for programs.
pub(super) fn json(value: &impl Serialize) -> Outcome<()> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(print(&harmless(&text))?)
}

/// One JSON value of a stream, on a line of its own.
pub(super) fn json_line(value: &impl Serialize) -> Outcome<()> {
    let text = serde_json::to_string(value)?;
    Ok(print(&harmless(&text))?)
}

/// Text as it is, for files and programs.
pub(super) fn raw(text: &str) -> Outcome<()> {
    let written = io::stdout().lock().write_all(text.as_bytes());
    Ok(written.map_err(OutputError)?)
}

fn print(line: &str) -> Result<(), OutputError> {
    writeln!(io::stdout().lock(), "{line}").map_err(OutputError)
}

/// The same JSON without characters that steer a terminal. They can only be
/// within strings, where an escape means the same.
fn harmless(json: &str) -> Cow<'_, str> {
    let steers = |char: char| {
        (char.is_control() && char != '\n')
            || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}')
            || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    let escape = |char: char| match char {
        _ if steers(char) => format!("\\u{:04x}", u32::from(char)),
        _ => char.to_string(),
    };
    Cow::Owned(json.chars().map(escape).collect())
}

/// A time for people.
pub(super) fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Names in a column and what belongs to each.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(String, String)>);

impl Table {
    pub(super) fn row(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Foreign text is made fit for a terminal.
    pub(super) fn lines(&self) -> Vec<String> {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let line = |(name, value): &(String, String)| {
            let line = format!("{name:width$}  {}", plain(value));
            line.trim_end().to_owned()
        };
        self.0.iter().map(line).collect()
    }

    pub(super) fn print(&self) -> Outcome<()> {
        self.lines().iter().try_for_each(|line| say(line))
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, harmless};

    #[test]
    fn json_keeps_its_meaning_and_loses_what_steers_a_terminal() {
        let value = serde_json::json!({ "text": "\u{9b}2J \u{7f} \u{202e}well \u{1b}[1m ü" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = harmless(&text);
        assert!(!shown.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{1b}']));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
        assert!(shown.contains("\\u009b2J \\u007f \\u202ewell"));
    }

    #[test]
    fn what_belongs_to_a_name_stands_beside_it_on_one_line() {
        let mut table = Table::default();
        table.row("id", "7");
        table.row("document", "a\nb");
        table.row("name", "");
        assert_eq!(table.lines(), ["id        7", "document  a\\u{a}b", "name"]);
    }
}
