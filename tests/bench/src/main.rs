//! Measures the host, each figure in the same run as the raw thing it is built
//! on: `cargo xtask bench [NAME...] [--json]`.
//!
//! How to read the table: `figure` is ours, `raw` is the same work without the
//! host (a mutex around a queue, a wasmtime call with the same data, the model
//! called natively, a hash of the same bytes, `curl`). `ratio` is how many times the raw cost ours is, for rates
//! too, so less is better and 1 is free. `bar` is what we hold ourselves to
//! (section 7 of the design); a line without one is there to explain another.
//! Ratios of one run hold on any machine; times and rates are this machine's,
//! and a busy one falls short by itself: look at `raw` first. Of costs the best
//! of some rounds is shown, of latencies the median of the rounds' quantiles.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people: its output is what it is for"
)]

mod bus;
mod call;
mod codec;
mod curl;
mod demo;
mod guests;
mod idle;
mod inference;
mod instantiate;
mod kills;
mod line;
mod measure;
mod mqtt;
mod neighbours;
mod pace;
mod pull;
mod raw;
mod report;
mod signed;
mod sigstore;
mod swap;
mod trust;
mod world;

use std::process::ExitCode;

use guests::Guests;
use report::{Row, table};

/// A measurement goes on or fails for good: nobody tells causes apart.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One measurement: some lines of the table.
type Bench = fn(&Guests) -> Outcome<Vec<Row>>;

/// All of them, by the names that select them.
const BENCHES: &[(&str, Bench)] = &[
    ("bus", bus::measure),
    ("call", call::measure),
    ("codec", codec::measure),
    ("latency", line::latency),
    ("throughput", line::throughput),
    ("instantiate", instantiate::measure),
    ("idle", idle::measure),
    ("demo", demo::measure),
    ("neighbours", neighbours::measure),
    ("inference", inference::measure),
    ("trust", trust::measure),
    ("pull", pull::measure),
    ("swap", swap::measure),
    ("kills", kills::measure),
    ("mqtt", mqtt::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        [idle::CHILD, options @ ..] => idle::child(options),
        options => run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &[&str]) -> Outcome<()> {
    if cfg!(debug_assertions) {
        return Err("this is a debug build, which says nothing: `cargo xtask bench`".into());
    }
    let json = options.contains(&"--json");
    let names: Vec<_> = options.iter().filter(|name| **name != "--json").collect();
    let is_known = |name: &str| BENCHES.iter().any(|(known, _)| *known == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        return Err(format!("unknown measurement `{unknown}`: there are {known}").into());
    }
    let guests = Guests::find()?;
    let mut rows = Vec::new();
    for (name, bench) in BENCHES {
        if names.is_empty() || names.contains(&name) {
            eprintln!("measuring: {name}");
            rows.extend(bench(&guests).map_err(|error| format!("{name}: {error}"))?);
        }
    }
    if json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!("{:#}", serde_json::Value::from(rows));
    } else {
        print!("{}", table(&rows));
    }
    Ok(())
}
