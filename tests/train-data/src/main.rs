//! Writes what the demo's models learn from: `cargo xtask train-data OUT`.
//!
//! The demo's own machines run at accelerated time, and the window plugin's own
//! code turns their readings into features, configured by the demo's own
//! deployment: a model sees in service what it saw in training. One CSV file for
//! each machine, one row for each window; runs depend on their seed only.

#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a tool for people")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use plugin_window::{Config, Device, Feature, Features, Windows};
use selvedge::demo::{self, Kind, Machine, Schedule};
use selvedge::error_chain::ErrorChain;
use selvedge_plugin::senml::{Quality, Record, Value};

/// Runs of each scenario; the seed is the run's number.
const SEEDS: u64 = 300;

/// Length of a run.
const RUN_S: f64 = 60.0;

/// Simulated time starts here, so that windows lie on a plausible grid.
const EPOCH_S: f64 = 1_700_000_000.0;

/// Why no data were written.
#[derive(Debug, thiserror::Error)]
enum TrainDataError {
    #[error("cannot write the training data")]
    Write(#[from] std::io::Error),
    #[error("the demo's deployment has no usable window for the {kind}: {why}")]
    Window { kind: &'static str, why: String },
}

/// What happens in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scenario {
    /// Nothing but work.
    Healthy,
    /// Nothing is wrong, yet the answer is given: the machine works reduced.
    Reduced,
    /// The machine's own fault, later answered.
    Fault,
    /// Any of its sensors repeats itself.
    Stuck,
}

impl Scenario {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Healthy, "healthy"),
        (Self::Reduced, "reduced"),
        (Self::Fault, "fault"),
        (Self::Stuck, "stuck"),
    ];
}

/// One run of one machine.
#[derive(Debug)]
struct Run {
    kind: Kind,
    scenario: Scenario,
    seed: u64,
    /// When it goes wrong, in seconds.
    onset_s: f64,
    /// When it is answered.
    answer_s: f64,
    /// Which reading repeats itself, if one does.
    frozen: usize,
    /// Parts of a poll interval by which polls lie off the grid.
    offset: f64,
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: cargo xtask train-data FOLDER");
        return ExitCode::from(64);
    };
    match run(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train-data: {}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Writes `<machine>.csv` for every machine into `folder`.
fn run(folder: &Path) -> Result<(), TrainDataError> {
    fs_err::create_dir_all(folder)?;
    for kind in Kind::ALL {
        let config = window_of(kind)?;
        let mut text = format!(
            "scenario,seed,onset,answer,end,{}\n",
            config.feature_names().join(",")
        );
        for (scenario, name) in Scenario::ALL {
            for seed in 0..SEEDS {
                let run = Run::new(kind, scenario, seed, &config);
                for window in run.windows(&config) {
                    row(&mut text, name, &run, &window);
                }
            }
        }
        let path = folder.join(format!("{}.csv", kind.short()));
        fs_err::write(path, text)?;
    }
    Ok(())
}

fn row(text: &mut String, name: &str, run: &Run, window: &Features) {
    let (seed, onset, answer) = (run.seed, run.onset_s, run.answer_s);
    let end = window.end - EPOCH_S;
    text.push_str(&format!("{name},{seed},{onset:.2},{answer:.2},{end:.2}"));
    for value in &window.values {
        text.push_str(&format!(",{}", value.unwrap_or(f64::NAN)));
    }
    text.push('\n');
}

/// The configuration of the window plugin for `kind` in the demo's deployment.
fn window_of(kind: Kind) -> Result<Config, TrainDataError> {
    let fault = |why: String| TrainDataError::Window {
        kind: kind.short(),
        why,
    };
    let text = demo::deployment_text(&|_| 502);
    let document: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| fault(error.to_string()))?;
    let config = document
        .get("plugins")
        .and_then(|plugins| {
            plugins
                .get(format!("window-{}", kind.short()))?
                .get("config")
        })
        .ok_or_else(|| fault("it is not there".to_owned()))?;
    let config: Config = config
        .clone()
        .try_into()
        .map_err(|error| fault(format!("{error}")))?;
    config.check().map_err(|error| fault(error.to_string()))?;
    Ok(config)
}

impl Run {
    fn new(kind: Kind, scenario: Scenario, seed: u64, config: &Config) -> Self {
        // Spread evenly rather than at random: every run counts.
        let part = |step: u64, parts: u64| -> f64 {
            let place = u32::try_from(seed * step % parts).unwrap_or_default();
            f64::from(place) / f64::from(u32::try_from(parts).unwrap_or(u32::MAX))
        };
        let frozen: Vec<usize> = (0..)
            .zip(kind.points())
            .filter(|(_, point)| {
                let series = config
                    .series
                    .iter()
                    .find(|series| series.record == point.name);
                series.is_some_and(|series| series.features.contains(&Feature::Stuck))
            })
            .map(|(place, _)| place)
            .collect();
        let pick = usize::try_from(seed).unwrap_or_default() % frozen.len().max(1);
        let onset_s = 15.0 + 15.0 * part(7, 61);
        Self {
            kind,
            scenario,
            seed,
            onset_s,
            answer_s: onset_s + 5.0 + 5.0 * part(11, 37),
            frozen: frozen.get(pick).copied().unwrap_or_default(),
            offset: part(13, 47),
        }
    }

    /// Polls the machine ten times a second and cuts what it says into windows.
    fn windows(&self, config: &Config) -> Vec<Features> {
        let mut machine = Machine::new(self.kind, self.seed + 1_000 * self.scenario as u64);
        if self.scenario == Scenario::Fault {
            machine = machine.with_fault(Schedule {
                first_s: self.onset_s,
                lasts_s: RUN_S,
                every_s: 10.0 * RUN_S,
            });
        }
        machine.arm();
        let mut windows = Windows::new(config.clone()).expect("checked when it was read");
        let device = Device {
            site: "plant".to_owned(),
            name: self.kind.short().to_owned(),
        };
        let mut finished = Vec::new();
        let mut held = f64::NAN;
        let mut answered = false;
        for poll in 0_u32..600 {
            machine.step(Duration::from_millis(100));
            let now = f64::from(poll + 1) / 10.0;
            let answers = matches!(self.scenario, Scenario::Fault | Scenario::Reduced);
            if answers && !answered && now >= self.answer_s {
                answered = true;
                machine.answer();
            }
            let mut values = machine.read();
            if let Some(value) = values.get_mut(self.frozen)
                && self.scenario == Scenario::Stuck
            {
                if now < self.onset_s || held.is_nan() {
                    held = *value;
                }
                *value = held;
            }
            let time = EPOCH_S + now + 0.1 * self.offset;
            let records = self.records(&values, time);
            finished.extend(windows.push(&device, &records));
        }
        finished
    }

    fn records(&self, values: &[f64], time: f64) -> Vec<Record> {
        let record = |(point, value): (&demo::Reading, &f64)| Record {
            name: point.name.to_owned(),
            unit: Some(point.unit.to_owned()),
            value: Value::Number(*value),
            time,
            quality: Quality::Good,
        };
        self.kind.points().iter().zip(values).map(record).collect()
    }
}
