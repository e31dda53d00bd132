//! `selvedge model bench`: what a model costs on this machine, on each library
//! that can run it and with one thread and all.
//!
//! It is run as a host runs it, one run after another, on its golden vectors.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::local::{Local, Machine};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::units::bytes;
use crate::cli::output::{Align, Columns, Paint, json, say};
use crate::cli::wait;
use crate::error_chain::ErrorChain;
use crate::inference::{LoadError, Model, ModelSource, ModelStore, Tensor};
use crate::spec::BackendKind;

const EXAMPLE: &str = "\
Example:
  selvedge model bench pump/model.toml --host-config host.toml";

/// Runs whose times are kept; further ones only count.
const TIMES_MAX: usize = 1_000_000;
const SECONDS_MAX: u16 = 600;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Args {
    /// `model.toml`, the folder it is in, or an ONNX file.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Threads of a run, several with commas; else 1 and all.
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    threads: Vec<NonZeroU32>,
    /// Seconds for each line.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=i64::from(SECONDS_MAX)))]
    seconds: u16,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

/// One library with so many threads.
#[derive(Debug, Serialize)]
struct Line {
    backend: BackendKind,
    version: Option<String>,
    threads: u32,
    #[serde(flatten)]
    result: Measured,
}

/// What it costs, or why it does not run.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Measured {
    Runs {
        load_ms: f64,
        p50_us: f64,
        p99_us: f64,
        runs_per_s: f64,
        /// What loading it and running it added to what the process holds.
        resident_bytes: u64,
    },
    Refused {
        code: String,
        reason: String,
    },
}

pub(super) fn run(args: &Args) -> Outcome {
    let local = Local::read(&args.model)?;
    let store = args.machine.store()?;
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let all = u32::try_from(all).ok().and_then(NonZeroU32::new);
    let mut threads = args.threads.clone();
    if threads.is_empty() {
        threads = [Some(NonZeroU32::MIN), all].into_iter().flatten().collect();
        threads.dedup();
    }
    let time = Duration::from_secs(args.seconds.into());
    let mut lines = Vec::new();
    for status in store.backends().status() {
        if let Some(why) = status.unavailable.filter(|_| status.library.is_none()) {
            lines.push(Line {
                backend: status.backend,
                version: None,
                threads: 0,
                result: Measured::Refused {
                    code: why.code,
                    reason: why.reason,
                },
            });
            continue;
        }
        for threads in &threads {
            let mut source = local.source.clone();
            source.backend = status.backend.into();
            source.options.threads = *threads;
            lines.push(Line {
                backend: status.backend,
                version: status.version.clone(),
                threads: threads.get(),
                result: measure(&store, &source, time)?,
            });
        }
    }
    if args.json {
        json(&lines)?;
    } else {
        print(local.name(), &lines)?;
    }
    let any = lines
        .iter()
        .any(|line| matches!(line.result, Measured::Runs { .. }));
    Ok(ExitCode::from(if any {
        0
    } else {
        crate::cli::EXIT_FAILURE
    }))
}

fn measure(store: &ModelStore, source: &ModelSource, time: Duration) -> Outcome<Measured> {
    let before = resident();
    let started = Instant::now();
    let model = match store.prepare(source) {
        Ok(model) => model,
        Err(error) => return Ok(refused(&error)),
    };
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let inputs = match source.golden.first() {
        Some(golden) => golden.inputs()?,
        None => model.smallest_inputs()?,
    };
    let (mut times, runs_per_s) = wait(runs(&model, &inputs, time))?;
    times.sort_unstable();
    let at = |part: f64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a million times at most"
        )]
        let place = (part * times.len() as f64) as usize;
        let time = times.get(place).or(times.last()).copied();
        time.unwrap_or_default().as_secs_f64() * 1e6
    };
    Ok(Measured::Runs {
        load_ms,
        p50_us: at(0.5),
        p99_us: at(0.99),
        runs_per_s,
        resident_bytes: resident().saturating_sub(before),
    })
}

/// The time of each run, and runs in a second.
async fn runs(
    model: &Arc<Model>,
    inputs: &[(String, Tensor)],
    time: Duration,
) -> Outcome<(Vec<Duration>, f64)> {
    let run = || model.run(inputs.to_vec(), None);
    // The first ones fill caches.
    for _ in 0..3 {
        run().await?;
    }
    let (mut times, mut count, started) = (Vec::new(), 0_u32, Instant::now());
    while started.elapsed() < time || count == 0 {
        let began = Instant::now();
        run().await?;
        count = count.saturating_add(1);
        if times.len() < TIMES_MAX {
            times.push(began.elapsed());
        }
    }
    Ok((times, f64::from(count) / started.elapsed().as_secs_f64()))
}

fn refused(error: &LoadError) -> Measured {
    Measured::Refused {
        code: error.code().to_owned(),
        reason: ErrorChain(error).to_string(),
    }
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let text = fs_err::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default().saturating_mul(4096)
}

fn print(name: &str, lines: &[Line]) -> Outcome<()> {
    say(&format!("{name}, one run after another"))?;
    let mut table = Columns::new([
        ("BACKEND", Align::Left),
        ("THREADS", Align::Right),
        ("LOAD", Align::Right),
        ("P50", Align::Right),
        ("P99", Align::Right),
        ("RUNS/S", Align::Right),
        ("MEMORY", Align::Right),
        ("WHY NOT", Align::Left),
    ]);
    for line in lines {
        let version = line.version.as_deref().unwrap_or_default();
        let backend = serde_json::to_value(line.backend)?;
        let backend = format!("{} {version}", backend.as_str().unwrap_or_default());
        let threads = line.threads.to_string();
        let cells = match &line.result {
            Measured::Runs {
                load_ms,
                p50_us,
                p99_us,
                runs_per_s,
                resident_bytes,
            } => [
                backend,
                threads,
                format!("{load_ms:.1} ms"),
                format!("{p50_us:.1} µs"),
                format!("{p99_us:.1} µs"),
                format!("{runs_per_s:.0}"),
                bytes(*resident_bytes),
                String::new(),
            ],
            Measured::Refused { reason, .. } => {
                let nothing = || "-".to_owned();
                let threads = if line.threads == 0 {
                    nothing()
                } else {
                    threads
                };
                let none = [(); 5].map(|()| nothing());
                let [load, p50, p99, rate, memory] = none;
                [
                    backend,
                    threads,
                    load,
                    p50,
                    p99,
                    rate,
                    memory,
                    reason.clone(),
                ]
            }
        };
        table.row(cells.map(Into::into));
    }
    table.print(Paint::plain())?;
    if lines.is_empty() {
        return Err(Failure::usage(
            "this machine has no library that runs models",
        ));
    }
    Ok(())
}
