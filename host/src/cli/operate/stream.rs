//! Shows what a host sends line by line, until it ends or someone interrupts.
//!
//! A terminal takes a bounded number of lines in a second; the rest is counted,
//! not shown. Files and programs get all of it.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use reqwest::Url;
use serde::de::DeserializeOwned;

use crate::cli::client::{Answer, Client};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Paint, say};
use crate::cli::{Interrupts, wait};
use crate::names::PluginName;

/// Lines that a terminal is shown in a second: more nobody reads.
const LINES_PER_S_MAX: u32 = 200;

/// Shows each value of the stream at `url` with `show`, which may break off.
///
/// `begun` is said on standard error once all that comes from now on will be
/// heard. `endless` is a stream that ends only if something happened to the host.
pub(super) fn show(
    client: &Client,
    url: Url,
    begun: Option<&str>,
    endless: bool,
    mut show: impl FnMut(&Answer) -> Outcome<ControlFlow<()>>,
) -> Outcome {
    wait(async {
        let mut interrupts = Interrupts::listen();
        let mut lines = tokio::select! {
            lines = client.stream(url) => lines?,
            () = interrupts.next() => return Ok(ExitCode::SUCCESS),
        };
        if let Some(begun) = begun {
            complain(&begun);
        }
        loop {
            let next = tokio::select! {
                // Whoever interrupts is heard, however much there is to show.
                biased;
                () = interrupts.next() => return Ok(ExitCode::SUCCESS),
                next = lines.next() => next?,
            };
            match next {
                Some(value) if show(&value)?.is_break() => return Ok(ExitCode::SUCCESS),
                Some(_) => {}
                None if endless => {
                    return Err(Failure::new("the host ended the stream", None));
                }
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

/// What a host remembers of its plugins, line by line.
pub(super) struct Remembered<'a> {
    pub(super) host: &'a HostOptions,
    /// What it is called in the API.
    pub(super) name: &'a str,
    /// Of this plugin alone.
    pub(super) plugin: Option<&'a PluginName>,
    /// Go on with what comes.
    pub(super) follow: bool,
    /// The parameter that says how many at first, and how many.
    pub(super) last: (&'a str, u32),
}

impl Remembered<'_> {
    /// Shows each of them as `lines` says.
    pub(super) fn show<T: DeserializeOwned, L: IntoIterator<Item = String>>(
        &self,
        lines: impl Fn(&T, Paint) -> L,
    ) -> Outcome {
        let client = self.host.client()?;
        let last = self.last.1.to_string();
        let mut query = vec![(self.last.0, last.as_str())];
        query.extend(self.plugin.map(|plugin| ("plugin", plugin.as_str())));
        query.extend(self.follow.then_some(("follow", "true")));
        let (mut pace, paint) = (Pace::new(), Paint::stdout());
        let url = client.url(&[self.name], &query);
        show(&client, url, None, self.follow, |value| {
            if self.host.json {
                value.print_line()?;
            } else {
                for line in lines(&value.read()?, paint) {
                    pace.say(&line)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Lines on their way to standard output.
#[derive(Debug)]
pub(super) struct Pace {
    per_second_max: Option<u32>,
    second: Option<Instant>,
    shown: u32,
    left_out: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self::of(terminal.then_some(LINES_PER_S_MAX))
    }

    fn of(per_second_max: Option<u32>) -> Self {
        Self {
            per_second_max,
            second: None,
            shown: 0,
            left_out: 0,
        }
    }

    pub(super) fn say(&mut self, line: &str) -> Outcome<()> {
        let (left_out, is_shown) = self.take(Instant::now());
        if left_out > 0 {
            say(&format!(
                "… {left_out} more, not shown: too many in a second"
            ))?;
        }
        if is_shown { say(line) } else { Ok(()) }
    }

    /// How many lines were left out before this one, and whether it is shown.
    fn take(&mut self, now: Instant) -> (u64, bool) {
        let Some(max) = self.per_second_max else {
            return (0, true);
        };
        let mut left_out = 0;
        let over = |second: Instant| now.duration_since(second) >= Duration::from_secs(1);
        if self.second.is_none_or(over) {
            self.second = Some(now);
            self.shown = 0;
            left_out = std::mem::take(&mut self.left_out);
        }
        if self.shown < max {
            self.shown += 1;
            (left_out, true)
        } else {
            self.left_out += 1;
            (left_out, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;

    #[test]
    fn a_terminal_is_shown_so_many_lines_a_second_and_told_of_the_rest() {
        let mut pace = Pace::of(Some(2));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.take(at(0)), (0, true));
        assert_eq!(pace.take(at(1)), (0, true));
        assert_eq!(pace.take(at(2)), (0, false));
        assert_eq!(pace.take(at(999)), (0, false));
        assert_eq!(pace.take(at(1000)), (2, true));
        assert_eq!(pace.take(at(1001)), (0, true));
        let mut file = Pace::of(None);
        assert!((0..10_000).all(|_| file.take(start) == (0, true)));
    }
}
