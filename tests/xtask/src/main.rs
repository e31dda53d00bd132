//! Repository tasks: `cargo xtask help` lists them.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people: its output is what it is for"
)]

mod checks;
mod command;
mod fuzz;
mod peers;
mod run;
mod wit;

use std::process::{Command, ExitCode};

use wasm_build::Workspace;

use crate::command::{Cargo, Failure};
use crate::run::{Options, run};

const HELP: &str = "\
Repository tasks

    cargo xtask test [--keep-going] [--only STEP]
                         every check and test; sets up what they need.
                         Stops at the first step that fails, unless told to go on
    cargo xtask peers    sets up other people's servers and clients in target/peers
    cargo xtask fuzz [TARGET] [--seconds N] [--input FILE]
                         throws hostile bytes at what parses foreign bytes, for
                         60 seconds a target; or shows what one input does
    cargo xtask guests   builds the test components to target/guests
    cargo xtask wit      checks that the vendored WIT is what was vendored
    cargo xtask schemas  rewrites the checked-in schemas from the code
    cargo xtask train-data FOLDER
                         writes what the demo's models learn from; see
                         plugins/detector/train
    cargo xtask bench [NAME...] [--json]
                         measures, each figure against the raw thing
    cargo xtask help     this text
";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["test", options @ ..] => test(options),
        ["peers"] => peers::set_up(&Workspace::here()),
        ["fuzz", options @ ..] => fuzz::fuzz(options, &Workspace::here()),
        ["guests"] => guests(),
        ["wit"] => wit::check(&Workspace::here()),
        ["schemas"] => schemas(),
        ["train-data", folder] => train_data(folder),
        ["bench", options @ ..] => bench(options),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [other, ..] => Err(Failure::usage(format!("unknown task `{other}`\n\n{HELP}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}

fn test(options: &[&str]) -> Result<(), Failure> {
    let options = Options::parse(options)?;
    run(checks::STEPS, &options, &Workspace::here())
}

fn guests() -> Result<(), Failure> {
    let folder = Workspace::here().guests()?;
    println!("guests are in {}", folder.display());
    Ok(())
}

/// Builds what is measured and the binary that measures; the rest is its business.
fn bench(options: &[&str]) -> Result<(), Failure> {
    let workspace = Workspace::here();
    let guests = workspace.guests()?;
    let build = [
        "build",
        "--locked",
        "--release",
        "--package=bench",
        "--package=selvedge",
    ];
    Cargo::new(&workspace, &build).run()?;
    let mut bench = Command::new(workspace.target().join("release/bench"));
    bench.env("SELVEDGE_GUESTS", guests).args(options);
    command::run(bench)
}

/// The schema tests rewrite what they compare with when asked to. All packages
/// are named so that nothing is built with other features than by `test`.
fn schemas() -> Result<(), Failure> {
    Cargo::new(
        &Workspace::here(),
        &["test", "--workspace", "--exclude", "guests"],
    )
    .env("UPDATE_EXPECT", "1")
    .arguments(&["--", "schema"])
    .run()
}

/// A program of its own, so that the other tasks need not wait for the host.
fn train_data(folder: &str) -> Result<(), Failure> {
    let folder = std::path::absolute(folder)?;
    let folder = folder.to_string_lossy();
    Cargo::new(
        &Workspace::here(),
        &["run", "--quiet", "--package", "train-data", "--", &folder],
    )
    .run()
}
