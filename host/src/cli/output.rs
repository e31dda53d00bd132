//! Writes to standard output: lines for people, JSON for programs.

use std::io::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::failure::Outcome;

/// A line for people.
pub(super) fn say(line: &str) -> Outcome<()> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// One JSON document for programs.
pub(super) fn json(value: &impl Serialize) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
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
    pub(super) fn print(&self) -> Outcome<()> {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.0 {
            let value = crate::deployment::document::fault::plain(value);
            say(format!("{name:width$}  {value}").trim_end())?;
        }
        Ok(())
    }
}
