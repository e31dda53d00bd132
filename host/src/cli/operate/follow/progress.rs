//! A deployment under way: bars on a terminal, else plain lines, or the host's
//! own JSON.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::client::Answer;
use crate::cli::failure::Outcome;
use crate::cli::files::complain;
use crate::cli::operate::outcome::phase_name;
use crate::cli::output::units;
use crate::deployment::document::fault::plain;
use crate::deployment::report::{Event, Phase, SwapReport};

/// Plugins and models that have a bar at once; of others nothing is shown.
const BARS_MAX: usize = 32;

/// Characters of a name in front of a bar.
const NAME_CHARS_MAX: usize = 24;

/// How often something moves while nothing is known to.
const TICK: Duration = Duration::from_millis(120);

/// Shows how far a deployment is.
#[derive(Debug)]
pub(in crate::cli::operate) struct Progress(Form);

#[derive(Debug)]
enum Form {
    Json,
    Lines(Option<Phase>),
    Bars(Bars),
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    phase: ProgressBar,
    /// Bytes that are brought, by what they are of.
    pulls: HashMap<String, ProgressBar>,
    /// What is compiled, and whether it is done.
    compiled: HashMap<String, bool>,
    compile: Option<ProgressBar>,
}

impl Progress {
    pub(in crate::cli::operate) fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self(match (json, terminal) {
            (true, _) => Form::Json,
            (false, true) => Form::Bars(Bars::new()),
            (false, false) => Form::Lines(None),
        })
    }

    /// Shows an event: as the host told it, or what this version makes of it.
    pub(in crate::cli::operate) fn see(
        &mut self,
        told: &Answer,
        event: Option<&Event>,
    ) -> Outcome<()> {
        match (&mut self.0, event) {
            (Form::Json, _) => told.print_line()?,
            (Form::Lines(phase), Some(event)) => {
                if let Some(line) = line(phase, event) {
                    complain(&line);
                }
            }
            (Form::Bars(bars), Some(event)) => bars.see(event),
            (Form::Lines(_) | Form::Bars(_), None) => {}
        }
        Ok(())
    }

    /// Nothing moves any more.
    pub(in crate::cli::operate) fn ended(&mut self, told: &Answer) -> Outcome<()> {
        match &self.0 {
            Form::Json => told.print_line(),
            Form::Lines(_) => Ok(()),
            Form::Bars(bars) => {
                bars.clear();
                Ok(())
            }
        }
    }
}

/// An event as a line; none if it says nothing new.
fn line(told: &mut Option<Phase>, event: &Event) -> Option<String> {
    match event {
        Event::Phase { deployment, phase } if *told != Some(*phase) => {
            *told = Some(*phase);
            Some(format!("deployment {deployment}: {}", phase_name(*phase)))
        }
        Event::Phase { .. } => None,
        // Of a pull only the end: a log is not a bar.
        Event::Progress {
            deployment,
            what,
            phase,
            done,
            total,
        } => (done == total).then(|| {
            let size = match phase {
                Phase::Pull => format!(", {}", units::bytes(*total)),
                _ => String::new(),
            };
            let phase = phase_name(*phase);
            format!("deployment {deployment}: {phase}: {}{size}", plain(what))
        }),
        Event::Swapped { deployment, swap } => {
            Some(format!("deployment {deployment}: {}", swapped(swap)))
        }
    }
}

fn swapped(swap: &SwapReport) -> String {
    let state = swap.state_bytes;
    let state = state.map_or(String::new(), |bytes| {
        format!(", state {}", units::bytes(bytes))
    });
    let pause = units::pause(swap.pause_us);
    format!("{} swapped, paused {pause}{state}", swap.plugin)
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        let style = style.expect("this is a template");
        let phase = all.add(ProgressBar::new_spinner().with_style(style));
        phase.enable_steady_tick(TICK);
        Self {
            all,
            phase,
            pulls: HashMap::new(),
            compiled: HashMap::new(),
            compile: None,
        }
    }

    fn see(&mut self, event: &Event) {
        match event {
            Event::Phase { deployment, phase } => {
                let message = format!("deployment {deployment}: {}", phase_name(*phase));
                self.phase.set_message(message);
            }
            Event::Progress {
                what,
                phase: Phase::Pull,
                done,
                total,
                ..
            } => self.pull(&name(what), *done, *total),
            Event::Progress {
                what, done, total, ..
            } => self.compiled(&name(what), done >= total),
            Event::Swapped { swap, .. } => {
                // Fails only if the terminal is gone.
                drop(self.all.println(format!("  {}", swapped(swap))));
            }
        }
    }

    fn pull(&mut self, what: &str, done: u64, total: u64) {
        if !self.pulls.contains_key(what) {
            if self.pulls.len() >= BARS_MAX {
                return;
            }
            let template = "  {msg:24} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
            let style = ProgressStyle::with_template(template).expect("this is a template");
            let bar = self.all.add(ProgressBar::new(total).with_style(style));
            bar.set_message(what.to_owned());
            self.pulls.insert(what.to_owned(), bar);
        }
        if let Some(bar) = self.pulls.get(what) {
            bar.set_length(total);
            bar.set_position(done.min(total));
            if done >= total {
                bar.finish();
            }
        }
    }

    /// One bar for all: of each is known only that it is done.
    fn compiled(&mut self, what: &str, done: bool) {
        if self.compiled.len() < BARS_MAX || self.compiled.contains_key(what) {
            self.compiled.insert(what.to_owned(), done);
        }
        let bar = self.compile.get_or_insert_with(|| {
            let template = "  {msg:24} [{bar:30}] {pos}/{len} plugins";
            let style = ProgressStyle::with_template(template).expect("this is a template");
            let bar = self.all.add(ProgressBar::new(0).with_style(style));
            bar.set_message("compile");
            bar
        });
        let compiled = self.compiled.values().filter(|done| **done).count();
        bar.set_length(self.compiled.len() as u64);
        bar.set_position(compiled as u64);
    }

    fn clear(&self) {
        for bar in self.pulls.values().chain(&self.compile) {
            bar.finish_and_clear();
        }
        self.phase.finish_and_clear();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

fn name(what: &str) -> String {
    plain(what).chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;
    use crate::deployment::report::Event;

    #[test]
    fn where_nobody_looks_each_step_is_a_line_and_is_told_once() {
        let mut told = None;
        let mut line = |json: serde_json::Value| {
            let event: Event = serde_json::from_value(json).unwrap();
            line(&mut told, &event)
        };
        let phase = |phase| json!({ "event": "phase", "deployment": 7, "phase": phase });
        let progress = |phase, done, total| {
            json!({ "event": "progress", "deployment": 7, "what": "win\ndow",
                    "phase": phase, "done": done, "total": total })
        };
        let shown = "deployment 7: pull";
        assert_eq!(line(phase("pull")).as_deref(), Some(shown));
        assert_eq!(line(phase("pull")), None);
        assert_eq!(line(progress("pull", 1, 2048)), None);
        let shown = "deployment 7: pull: win\\u{a}dow, 2.0 KiB";
        assert_eq!(line(progress("pull", 2048, 2048)).as_deref(), Some(shown));
        let shown = "deployment 7: compile: win\\u{a}dow";
        assert_eq!(line(progress("compile", 1, 1)).as_deref(), Some(shown));
        let swapped = json!({ "event": "swapped", "deployment": 7, "swap":
            { "plugin": "window", "pause_us": 900, "state_bytes": 1024 } });
        let shown = "deployment 7: window swapped, paused 900 us, state 1.0 KiB";
        assert_eq!(line(swapped).as_deref(), Some(shown));
    }
}
