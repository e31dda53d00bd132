//! What the demo shows: a line for each machine, and the last things to happen.
//!
//! Pure: events in, lines of text out. Whether they are drawn in place or
//! printed one by one is decided by [`super::watch()`].

use std::collections::{HashMap, VecDeque};

use super::device::Device;
use super::event::{Event, State};
use super::machine::Kind;
use super::scenario::{Summary, Verdict};

/// Values in a sparkline, and lines of news.
const SPARK_MAX: usize = 24;
const NEWS_MAX: usize = 12;

/// Seconds from one value of a sparkline to the next.
const SPARK_EVERY_S: f64 = 0.5;

/// Columns of a line.
const WIDTH: usize = 110;

/// The state of the screen.
#[derive(Debug, Default)]
pub(super) struct View {
    machines: HashMap<Device, Row>,
    news: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Row {
    readings: HashMap<String, f64>,
    spark: VecDeque<f64>,
    spark_at: f64,
    score: Option<f64>,
    anomaly: Option<String>,
    answered: bool,
}

/// A reading on the screen: its name, what it is divided by, decimals, unit.
type Shown = (&'static str, f64, usize, &'static str);

fn shown(kind: Kind) -> [Shown; 3] {
    match kind {
        Kind::Pump => [
            ("vibration", 1.0, 1, "m/s2"),
            ("bearing_temperature", 1.0, 0, "Cel"),
            ("speed", 1.0, 0, "1/min"),
        ],
        Kind::Press => [
            ("pressure", 1000.0, 0, "bar"),
            ("valve_command", 1.0, 0, "% wanted"),
            ("valve_position", 1.0, 0, "% there"),
        ],
        Kind::Oven => [
            ("temperature", 1.0, 2, "Cel"),
            ("zone_temperature", 1.0, 1, "Cel"),
            ("power", 1.0, 1, "kW"),
        ],
    }
}

impl View {
    /// Takes in what happened at `at` seconds; returns its line if it is news.
    pub(super) fn see(&mut self, at: f64, event: &Event) -> Option<String> {
        let ends_nothing = self.ends_nothing(event);
        self.update(at, event);
        let line = match event {
            Event::Anomaly { device, .. } if ends_nothing => format!("{device}: found healthy"),
            _ => news(event)?,
        };
        Some(self.tell(at, &line))
    }

    /// A detector says once of each device it comes to know that it is healthy.
    fn ends_nothing(&self, event: &Event) -> bool {
        let Event::Anomaly {
            device,
            state: State::Cleared,
            ..
        } = event
        else {
            return false;
        };
        let row = Device::named(device).and_then(|device| self.machines.get(&device));
        row.is_none_or(|row| row.anomaly.is_none())
    }

    /// Adds a line of news.
    pub(super) fn tell(&mut self, at: f64, text: &str) -> String {
        let line = format!("{at:6.1} s  {text}");
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(line.clone());
        line
    }

    fn update(&mut self, at: f64, event: &Event) {
        let row = |device: &String,
                   rows: &mut HashMap<Device, Row>,
                   change: &mut dyn FnMut(&mut Row, Kind)| {
            if let Some(device) = Device::named(device) {
                change(rows.entry(device).or_default(), device.kind());
            }
        };
        match event {
            Event::Telemetry { device, readings } => {
                row(device, &mut self.machines, &mut |row, kind| {
                    row.read(at, kind, readings)
                });
            }
            Event::Score { device, score } => {
                row(device, &mut self.machines, &mut |row, _| row.score = *score);
            }
            Event::Anomaly {
                device,
                state,
                kind,
            } => row(device, &mut self.machines, &mut |row, _| {
                row.anomaly = (*state != State::Cleared).then(|| kind.clone());
            }),
            Event::Command { device, .. } => {
                row(device, &mut self.machines, &mut |row, _| {
                    row.answered = true
                });
            }
            Event::Notice { .. }
            | Event::Audit { .. }
            | Event::Cloud { .. }
            | Event::Uplink { .. }
            | Event::System { .. } => {}
        }
    }

    /// The whole screen, as lines of at most `WIDTH` columns.
    pub(super) fn screen(&self, at: f64) -> Vec<String> {
        let mut lines = vec![format!("selvedge demo  {at:5.1} s"), String::new()];
        for device in Device::ALL {
            let empty = Row::default();
            let row = self.machines.get(&device).unwrap_or(&empty);
            lines.push(row.line(device));
        }
        lines.push(String::new());
        lines.extend(self.news.iter().cloned());
        lines.resize(3 + Device::ALL.len() + NEWS_MAX, String::new());
        let cut = |line: String| line.chars().take(WIDTH).collect();
        lines.into_iter().map(cut).collect()
    }
}

impl Row {
    fn read(&mut self, at: f64, kind: Kind, readings: &[(String, f64)]) {
        let [main, ..] = shown(kind);
        for (name, value) in readings {
            // Only what is shown is kept: names come from outside.
            if shown(kind).iter().any(|(known, ..)| known == name) {
                self.readings.insert(name.clone(), *value);
            }
            if name == main.0 && (self.spark.is_empty() || at >= self.spark_at + SPARK_EVERY_S) {
                self.spark_at = at;
                if self.spark.len() == SPARK_MAX {
                    self.spark.pop_front();
                }
                self.spark.push_back(*value);
            }
        }
    }

    fn line(&self, device: Device) -> String {
        let reading = |(name, divisor, decimals, unit): Shown| match self.readings.get(name) {
            Some(value) => format!("{:>7.decimals$} {unit:8}", value / divisor),
            None => format!("{:>7} {unit:8}", "-"),
        };
        let readings: String = shown(device.kind()).into_iter().map(reading).collect();
        let score = self
            .score
            .map_or("   -".to_owned(), |score| format!("{score:4.2}"));
        let state = match (&self.anomaly, self.answered) {
            (Some(kind), _) => format!("! {kind}"),
            (None, true) => "answered, calm".to_owned(),
            (None, false) => "healthy".to_owned(),
        };
        let spark = sparkline(&self.spark);
        format!(
            "{:8}{spark:SPARK_MAX$} {readings} score {score}  {state}",
            device.name()
        )
    }
}

/// A value as one of eight heights, from the least to the greatest.
fn sparkline(values: &VecDeque<f64>) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A nearly constant value is a flat line, not its noise enlarged.
    let span = (high - low).max(0.05 * high.abs()).max(f64::MIN_POSITIVE);
    let level = |value: &f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 7.99, and a cast saturates"
        )]
        let place = (7.99 * (value - low) / span) as usize;
        LEVELS.get(place).copied().unwrap_or('█')
    };
    values.iter().map(level).collect()
}

/// What is worth a line.
fn news(event: &Event) -> Option<String> {
    Some(match event {
        Event::Telemetry { .. } | Event::Score { .. } => return None,
        Event::Anomaly {
            device,
            state,
            kind,
        } => match state {
            State::Raised => format!("{device}: {kind} raised"),
            State::Cleared => format!("{device}: {kind} cleared"),
            State::Ongoing => return None,
        },
        Event::Command {
            device,
            name,
            value,
        } => format!("{device}: write {name} = {value}"),
        Event::Notice { text, .. } => format!("notice: {text}"),
        Event::Audit {
            device,
            decision,
            reason,
        } => match decision.as_str() {
            // The command and the notice themselves have been shown.
            "acted" => return None,
            _ if reason.is_empty() => format!("{device}: {decision}"),
            _ => format!("{device}: {decision}, {reason}"),
        },
        Event::Cloud {
            device,
            state: State::Raised,
            kind,
            after_s,
        } => match after_s {
            Some(after) => format!("{device}: {kind} in the cloud after {:.0} ms", after * 1e3),
            None => format!("{device}: {kind} in the cloud"),
        },
        // That all is well is no news there.
        Event::Cloud { .. } => return None,
        Event::Uplink { text } => format!("uplink: {text}"),
        Event::System { topic, text } => {
            let (kind, of) = topic.strip_prefix("$selvedge/")?.split_once('/')?;
            match kind {
                "state" => trouble(of, text)?,
                "dead-letter" => format!("{topic}: {text}"),
                _ => return None,
            }
        }
    })
}

/// What is wrong with a unit, if something is: starting and stopping is no news.
fn trouble(unit: &str, state: &str) -> Option<String> {
    let state: serde_json::Value = serde_json::from_str(state).ok()?;
    let error = state.get("error")?.as_str()?;
    let name = state.get("state")?.as_str()?;
    Some(format!("{unit} {name}: {error}"))
}

/// The end of a run, for people.
pub(super) fn summary_lines(summary: &Summary) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.extend(summary.machines.iter().map(verdict_line));
    let end = if summary.passed {
        "every fault detected, answered, its effect seen and in the cloud; no false alarm"
    } else {
        "not everything went as it should"
    };
    lines.push(format!("{:.1} s: {end}", summary.lasted_s));
    lines
}

fn verdict_line(verdict: &Verdict) -> String {
    let seconds = |what: &str, after: Option<f64>| match after {
        Some(after) => format!("{what} after {after:.1} s"),
        None => format!("not {what}"),
    };
    let injected = match verdict.injected_s {
        Some(at) => format!("{} at {at:.1} s", verdict.fault),
        None => format!("{} not injected", verdict.fault),
    };
    let confirmed = if verdict.confirmed {
        ""
    } else {
        " (not confirmed)"
    };
    let cloud = match verdict.cloud_after_s {
        Some(after) if verdict.not_in_cloud == 0 => {
            format!("in the cloud after {:.0} ms", after * 1e3)
        }
        _ => "not in the cloud".to_owned(),
    };
    format!(
        "{:8} {injected}: {}, {cloud}, {}{confirmed}, {}; false alarms {}",
        verdict.device,
        seconds("detected", verdict.detected_after_s),
        seconds("answered", verdict.answered_after_s),
        verdict.effect.as_deref().unwrap_or("no effect seen"),
        verdict.false_alarms
    )
}

#[cfg(test)]
mod tests {
    use super::{Event, NEWS_MAX, State, View, WIDTH};

    fn device() -> String {
        "pump-1".to_owned()
    }

    #[test]
    fn a_failing_plugin_is_news_and_a_running_one_is_not() {
        let state = |text: &str| Event::System {
            topic: "$selvedge/state/plugin/window".to_owned(),
            text: text.to_owned(),
        };
        let mut view = View::default();
        assert_eq!(view.see(1.0, &state(r#"{"state":"running"}"#)), None);
        let failed = state(r#"{"state":"given-up","error":"`handle` trapped"}"#);
        let line = view.see(2.0, &failed).unwrap();
        assert!(
            line.contains("plugin/window given-up: `handle` trapped"),
            "{line}"
        );
    }

    #[test]
    fn a_machine_is_shown_with_readings_score_and_state() {
        let mut view = View::default();
        let readings = vec![("vibration".to_owned(), 6.12), ("other".to_owned(), 1.0)];
        let telemetry = Event::Telemetry {
            device: device(),
            readings,
        };
        assert_eq!(view.see(1.0, &telemetry), None);
        let score = Event::Score {
            device: device(),
            score: Some(0.987),
        };
        view.see(1.0, &score);
        let raised = Event::Anomaly {
            device: device(),
            state: State::Raised,
            kind: "bearing-wear".to_owned(),
        };
        let line = view.see(1.5, &raised);
        assert_eq!(
            line.as_deref(),
            Some("   1.5 s  pump-1: bearing-wear raised")
        );
        let screen = view.screen(2.0);
        for part in ["pump-1", "6.1 m/s2", "score 0.99", "! bearing-wear"] {
            assert!(screen[2].contains(part), "{part} not in {}", screen[2]);
        }
        assert_eq!(screen[7], "   1.5 s  pump-1: bearing-wear raised");

        let cleared = Event::Anomaly {
            device: device(),
            state: State::Cleared,
            kind: "bearing-wear".to_owned(),
        };
        let line = view.see(9.0, &cleared);
        assert_eq!(
            line.as_deref(),
            Some("   9.0 s  pump-1: bearing-wear cleared")
        );
        let line = view.see(10.0, &cleared);
        assert_eq!(line.as_deref(), Some("  10.0 s  pump-1: found healthy"));
    }

    #[test]
    fn the_screen_never_changes_its_size() {
        let mut view = View::default();
        let empty = view.screen(0.0).len();
        for step in 0..50 {
            let readings = vec![("vibration".to_owned(), f64::from(step))];
            let telemetry = Event::Telemetry {
                device: device(),
                readings,
            };
            view.see(f64::from(step), &telemetry);
            view.tell(f64::from(step), &"long ".repeat(60));
        }
        let screen = view.screen(50.0);
        assert_eq!(screen.len(), empty);
        assert_eq!(view.news.len(), NEWS_MAX);
        assert!(screen.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(
            screen[2].contains("▁▁▁▂") && screen[2].contains('█'),
            "{}",
            screen[2]
        );
    }
}
