//! The table: each figure beside the raw thing and the bar it is held to.

use std::fmt;

use serde_json::{Value, json};

/// What is measured, in one unit for each kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Figure {
    /// More is better.
    PerSecond(f64),
    /// Less is better.
    Nanos(f64),
    /// Less is better.
    Bytes(f64),
    /// Less is better: what should not happen, counted.
    Count(f64),
}

/// What a figure is held to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// The figure itself, at least (rates) or at most (times, sizes) this.
    Figure(Figure),
    /// At most this many times the cost of the raw thing.
    Times(f64),
    /// At most this much more than the raw thing.
    Over(Figure),
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    what: String,
    figure: Figure,
    raw: Option<Figure>,
    bars: Vec<Bar>,
}

impl Figure {
    fn value(self) -> f64 {
        match self {
            Self::PerSecond(value)
            | Self::Nanos(value)
            | Self::Bytes(value)
            | Self::Count(value) => value,
        }
    }

    /// How many times the cost of `raw` this is.
    fn cost_over(self, raw: Self) -> f64 {
        match self {
            Self::PerSecond(rate) => raw.value() / rate,
            Self::Nanos(value) | Self::Bytes(value) | Self::Count(value) => value / raw.value(),
        }
    }

    fn is_as_good_as(self, other: Self) -> bool {
        match self {
            Self::PerSecond(rate) => rate >= other.value(),
            Self::Nanos(value) | Self::Bytes(value) | Self::Count(value) => value <= other.value(),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = |value: f64, steps: [(f64, &'static str); 4]| {
            let fits = |(size, _): &(f64, &str)| value.abs() >= *size;
            let (size, unit) = steps.into_iter().rfind(fits).unwrap_or(steps[0]);
            (value / size, unit)
        };
        let (value, unit) = match *self {
            Self::PerSecond(rate) => scaled(
                rate,
                [(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")],
            ),
            Self::Nanos(nanos) => {
                scaled(nanos, [(1.0, "ns"), (1e3, "us"), (1e6, "ms"), (1e9, "s")])
            }
            Self::Count(count) => return write!(f, "{count}"),
            Self::Bytes(bytes) => {
                let (kib, mib) = (1024.0, 1024.0 * 1024.0);
                scaled(
                    bytes,
                    [
                        (1.0, "B"),
                        (kib, "KiB"),
                        (mib, "MiB"),
                        (1024.0 * mib, "GiB"),
                    ],
                )
            }
        };
        let digits = if value.abs() < 100.0 { 2 } else { 0 };
        write!(f, "{value:.digits$} {unit}")
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Figure(figure @ Figure::PerSecond(_)) => write!(f, ">= {figure}"),
            Self::Figure(figure) => write!(f, "<= {figure}"),
            Self::Times(times) => write!(f, "<= {times}x"),
            Self::Over(figure) => write!(f, "<= raw + {figure}"),
        }
    }
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, figure: Figure) -> Self {
        Self {
            what: what.into(),
            figure,
            raw: None,
            bars: Vec::new(),
        }
    }

    /// The same without the host, measured in the same run.
    pub(crate) fn raw(mut self, raw: Figure) -> Self {
        self.raw = Some(raw);
        self
    }

    pub(crate) fn bar(mut self, bar: Bar) -> Self {
        self.bars.push(bar);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.raw.map(|raw| self.figure.cost_over(raw))
    }

    /// Whether it meets all its bars; `None` if it has none.
    fn meets(&self) -> Option<bool> {
        let meets = |bar: &Bar| match *bar {
            Bar::Figure(bar) => self.figure.is_as_good_as(bar),
            Bar::Times(times) => self.ratio().is_some_and(|ratio| ratio <= times),
            Bar::Over(more) => self
                .raw
                .is_some_and(|raw| self.figure.value() <= raw.value() + more.value()),
        };
        (!self.bars.is_empty()).then(|| self.bars.iter().all(meets))
    }

    fn verdict(&self) -> &'static str {
        match self.meets() {
            None => "",
            Some(true) => "meets it",
            Some(false) => "FALLS SHORT",
        }
    }

    fn cells(&self) -> [String; 6] {
        let bars: Vec<_> = self.bars.iter().map(ToString::to_string).collect();
        [
            self.what.clone(),
            self.figure.to_string(),
            self.raw.map(|raw| raw.to_string()).unwrap_or_default(),
            self.ratio()
                .map(|ratio| format!("{ratio:.2}x"))
                .unwrap_or_default(),
            bars.join(", "),
            self.verdict().to_owned(),
        ]
    }

    /// Values in messages a second, nanoseconds or bytes.
    pub(crate) fn json(&self) -> Value {
        let bars: Vec<_> = self.bars.iter().map(ToString::to_string).collect();
        json!({
            "what": self.what,
            "figure": self.figure.value(),
            "raw": self.raw.map(Figure::value),
            "ratio": self.ratio(),
            "bar": bars,
            "meets": self.meets(),
        })
    }
}

/// The rows under their heads, in columns as wide as they need to be.
pub(crate) fn table(rows: &[Row]) -> String {
    let heads = ["what", "figure", "raw", "ratio", "bar", ""].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(heads)
        .chain(rows.iter().map(Row::cells))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let mut padded = String::new();
        for (column, cell) in line.iter().enumerate() {
            let widths = lines.iter().filter_map(|line| line.get(column));
            let width = widths.map(String::len).max().unwrap_or(0);
            // Words to the left, numbers to the right.
            padded += &match column {
                0 | 4 | 5 => format!("{cell:<width$}  "),
                _ => format!("{cell:>width$}  "),
            };
        }
        text += padded.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Bar, Figure, Row, table};

    #[test]
    fn a_ratio_says_how_many_times_the_raw_cost_it_is() {
        let rate = Row::new("rate", Figure::PerSecond(2e6))
            .raw(Figure::PerSecond(6e6))
            .bar(Bar::Times(2.0));
        assert_eq!((rate.ratio(), rate.meets()), (Some(3.0), Some(false)));
        let time = Row::new("time", Figure::Nanos(300.0))
            .raw(Figure::Nanos(200.0))
            .bar(Bar::Times(2.0))
            .bar(Bar::Over(Figure::Nanos(100.0)));
        assert_eq!((time.ratio(), time.meets()), (Some(1.5), Some(true)));
        assert_eq!(Row::new("free", Figure::Bytes(1.0)).meets(), None);
    }

    #[test]
    fn the_table_shows_units_that_people_read() {
        let rows = [
            Row::new("a", Figure::PerSecond(5_300_000.0)).bar(Bar::Figure(Figure::PerSecond(5e6))),
            Row::new("bc", Figure::Bytes(150.0 * 1024.0))
                .raw(Figure::Bytes(64.0 * 1024.0))
                .bar(Bar::Figure(Figure::Bytes(102_400.0))),
        ];
        let expected = "\
what    figure        raw  ratio  bar
a     5.30 M/s                    >= 5.00 M/s  meets it
bc     150 KiB  64.00 KiB  2.34x  <= 100 KiB   FALLS SHORT
";
        assert_eq!(table(&rows), expected);
    }
}
