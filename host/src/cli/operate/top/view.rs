//! What `selvedge top` shows: rates from the differences of two samples.
//!
//! Pure: samples in, lines out, cut to the size of the terminal.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::cli::operate::ps::{loss, state};
use crate::cli::output::{Align, Cell, Columns, Paint, Tone, units};
use crate::deployment::deployments::PluginReport;
use crate::deployment::document::fault::plain;
use crate::names::PluginName;

/// The last sample, and rates since the one before.
#[derive(Debug, Default)]
pub(super) struct View {
    sampled: Option<Instant>,
    plugins: Vec<Sample>,
    /// Why the last try to sample failed.
    lost: Option<String>,
}

#[derive(Debug)]
struct Sample {
    report: PluginReport,
    handled_per_s: f64,
    published_per_s: f64,
}

impl View {
    /// Takes in a sample.
    pub(super) fn see(&mut self, at: Instant, plugins: &[PluginReport]) {
        let before: BTreeMap<PluginName, PluginReport> = std::mem::take(&mut self.plugins)
            .into_iter()
            .map(|sample| (sample.report.plugin.clone(), sample.report))
            .collect();
        let elapsed = self.sampled.map(|sampled| at.duration_since(sampled));
        let elapsed = elapsed.map_or(0.0, |elapsed| elapsed.as_secs_f64());
        self.plugins = plugins
            .iter()
            .map(|report| {
                let before = before.get(&report.plugin);
                let per_second = |total: fn(&PluginReport) -> u64| {
                    rate(before.map(total), total(report), elapsed)
                };
                Sample {
                    handled_per_s: per_second(|report| report.handled_total),
                    published_per_s: per_second(|report| report.published_total),
                    report: report.clone(),
                }
            })
            .collect();
        self.sampled = Some(at);
        self.lost = None;
    }

    /// The host did not answer: what is shown is old.
    pub(super) fn lose(&mut self, why: &str) {
        self.lost = Some(why.to_owned());
    }

    /// The screen, of at most `rows` lines of at most `columns` characters.
    pub(super) fn lines(&self, columns: usize, rows: usize, paint: Paint) -> Vec<String> {
        let head = match &self.lost {
            Some(why) => Cut::of(&plain(why), columns).painted(paint, Tone::Bad),
            None => Cut::of(&self.summary(), columns).0,
        };
        let mut lines = vec![head, String::new()];
        // Colours take no room, so that the table is cut without them.
        let table = self.table();
        let fits = table
            .lines(Paint::plain())
            .iter()
            .all(|line| line.chars().count() <= columns);
        let paint = if fits { paint } else { Paint::plain() };
        lines.extend(table.lines(paint).into_iter().map(|line| {
            if fits {
                line
            } else {
                Cut::of(&line, columns).0
            }
        }));
        lines.truncate(rows);
        lines
    }

    fn summary(&self) -> String {
        let running = self.plugins.iter();
        let running = running
            .filter(|sample| sample.report.state == "running")
            .count();
        let handled: f64 = self.plugins.iter().map(|sample| sample.handled_per_s).sum();
        let memory = self.plugins.iter().map(|sample| sample.report.memory_bytes);
        let memory = memory.fold(0, u64::saturating_add);
        format!(
            "selvedge top  {running} of {} running, {} msg/s, {}  (q quits)",
            units::counted(self.plugins.len(), "plugin"),
            units::rate(handled),
            units::bytes(memory)
        )
    }

    fn table(&self) -> Columns<9> {
        let mut table = Columns::new([
            ("PLUGIN", Align::Left),
            ("STATE", Align::Left),
            ("IN/S", Align::Right),
            ("OUT/S", Align::Right),
            ("INBOX", Align::Right),
            ("MEMORY", Align::Right),
            ("DROPPED", Align::Right),
            ("DEAD", Align::Right),
            ("PAUSE", Align::Right),
        ]);
        for sample in &self.plugins {
            let report = &sample.report;
            let pause = report.last_pause_us.map(units::pause);
            table.row([
                report.plugin.as_str().into(),
                state(report),
                units::rate(sample.handled_per_s).into(),
                units::rate(sample.published_per_s).into(),
                inbox(report),
                units::bytes(report.memory_bytes).into(),
                loss(report.dropped_total),
                loss(report.dead_letters_total),
                pause.unwrap_or_default().into(),
            ]);
        }
        table
    }
}

/// How full an inbox is: what waits, of what may.
fn inbox(report: &PluginReport) -> Cell {
    let (waiting, max) = (report.inbox_messages, u64::from(report.inbox_messages_max));
    let half_full = waiting.saturating_mul(2) >= max && max > 0;
    let tone = if half_full {
        Tone::Doubtful
    } else {
        Tone::Usual
    };
    Cell::new(tone, format!("{waiting}/{max}"))
}

/// Events in a second. A total that begins again at zero is another's: a
/// successor counts from its own start.
fn rate(before: Option<u64>, now: u64, elapsed_s: f64) -> f64 {
    let Some(before) = before.filter(|_| elapsed_s > 0.0) else {
        return 0.0;
    };
    let events = now.checked_sub(before).unwrap_or(now);
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with three digits"
    )]
    let events = events as f64;
    events / elapsed_s
}

/// A line that fits.
struct Cut(String);

impl Cut {
    fn of(line: &str, columns: usize) -> Self {
        Self(line.chars().take(columns).collect())
    }

    fn painted(&self, paint: Paint, tone: Tone) -> String {
        paint.text(tone, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{View, rate};
    use crate::cli::operate::ps::tests::plugin;
    use crate::cli::output::Paint;

    #[test]
    fn rates_are_of_the_time_between_two_samples() {
        let mut view = View::default();
        let start = Instant::now();
        let mut window = plugin("window");
        view.see(start, std::slice::from_ref(&window));
        window.handled_total += 96_420;
        window.published_total += 7;
        view.see(start + Duration::from_secs(2), &[window]);
        let lines = view.lines(120, 24, Paint::plain());
        let expected = [
            "selvedge top  1 of 1 plugin running, 48210 msg/s, 1.3 MiB  (q quits)",
            "",
            "PLUGIN  STATE     IN/S  OUT/S   INBOX   MEMORY  DROPPED  DEAD   PAUSE",
            "window  running  48210    3.5  3/1024  1.3 MiB        0     0  1.2 ms",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_successor_counts_from_its_own_start() {
        assert!((rate(Some(1_000_000), 500, 1.0) - 500.0).abs() < 1e-9);
        assert!(rate(None, 500, 1.0).abs() < 1e-9);
        assert!(rate(Some(1), 500, 0.0).abs() < 1e-9);
    }

    #[test]
    fn the_screen_is_never_larger_than_the_terminal() {
        let mut view = View::default();
        let plugins: Vec<_> = (0..60).map(|index| plugin(&format!("p{index}"))).collect();
        view.see(Instant::now(), &plugins);
        for lost in [false, true] {
            if lost {
                view.lose("no host answers at\n/run/selvedge/selvedge.sock");
            }
            for (columns, rows) in [(20, 5), (200, 10), (1, 2)] {
                let lines = view.lines(columns, rows, Paint::plain());
                assert!(lines.len() <= rows, "{columns}x{rows}");
                assert!(lines.iter().all(|line| line.chars().count() <= columns));
            }
        }
        assert!(view.lines(80, 9, Paint::plain())[0].starts_with("no host answers at\\u{a}/run"));
    }
}
