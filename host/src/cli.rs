//! The command line.

mod bundle;
mod ca;
pub mod check;
mod claims;
mod client;
mod demo;
mod device;
mod directories;
mod duration;
mod failure;
mod files;
mod hints;
mod host_options;
mod inspect;
mod install;
mod keygen;
mod log;
mod model;
mod operate;
mod output;
mod panics;
mod policy;
mod progress;
mod provision;
mod publish;
mod pull;
mod registry;
mod registry_options;
mod run;
mod service;
mod sign;
mod signing_options;
mod store;
mod trust_options;
mod verify;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app;
use crate::inference;

use failure::Outcome;

/// A failure that no argument or file explains.
const EXIT_FAILURE: u8 = 1;
/// Arguments that make no sense (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;
/// A file that is not as it should be (`EX_CONFIG` of sysexits).
const EXIT_CONFIG: u8 = check::EXIT_CONFIG;
/// Interrupted, while what was asked for goes on (as shells say it of `SIGINT`).
const EXIT_INTERRUPTED: u8 = 130;

/// Looked at for sockets and timers after so many tasks, even when guests keep
/// every worker busy: a task may take a millisecond, and the default is 61.
const TASKS_BETWEEN_EVENTS: u32 = 5;

/// How long work off the executor may go on once everything has stopped.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration, 130 interrupted while
a deployment goes on.
SELVEDGE_LOG=debug logs more: error, warn, info, debug, trace.";

/// Runs other people's code at the edge without trusting it.
#[derive(Debug, Parser)]
#[command(name = "selvedge", version, arg_required_else_help = true)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run signed and shipped plugins until it is interrupted: what was deployed
    /// before, and the document that is given.
    Run(run::RunArgs),
    /// Run a deployment with components from files, signed for this run alone.
    Dev(run::DevArgs),
    /// Check deployment and host files without running them.
    Check(check::CheckArgs),
    #[command(flatten)]
    Operate(Box<operate::Command>),
    /// Make a key to sign with, or a timestamp authority.
    Keygen(keygen::Args),
    /// Package a component, sign it and bring it to a registry.
    Publish(Box<publish::Args>),
    /// Sign an artifact in a registry, or a statement about one.
    Sign(Box<sign::Args>),
    /// Say what a site trusts.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Say whether an artifact may run, and by whose word.
    Verify(verify::Args),
    /// Say what an artifact or a component is and wants.
    Inspect(inspect::Args),
    /// Bring an artifact and its signatures into a store.
    Pull(pull::Args),
    /// Models: make, compile, package, publish, pull and inspect them.
    #[command(subcommand)]
    Model(model::Command),
    /// Carry artifacts and policy to a site without a network.
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Serve a store as a registry.
    #[command(subcommand)]
    Registry(registry::Command),
    /// List and remove the artifacts of this device.
    #[command(subcommand)]
    Store(store::Command),
    /// The site's own authority, which vouches for devices and this gateway.
    #[command(subcommand)]
    Ca(ca::Command),
    /// The devices that may connect by MQTT, and their certificates.
    #[command(subcommand)]
    Device(Box<device::Command>),
    /// Get a certificate from the cloud by the claim of a fleet.
    Provision(Box<provision::Args>),
    /// Install this program as a service of systemd, or remove it.
    Install(install::Args),
    /// Show a whole line at work on four simulated machines.
    Demo(demo::Args),
    /// Try the model that the standard input brings: how the host makes sure of a
    /// model before it loads it.
    #[command(name = inference::REHEARSAL, hide = true)]
    RehearseModel,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            // If even this cannot be printed there is nobody to tell.
            drop(error.print());
            return ExitCode::from(if asked { 0 } else { EXIT_USAGE });
        }
    };
    panics::log_bounded();
    inference::enable_rehearsals();
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Dev(args) => run::dev(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Operate(command) => ended(operate::run(&command)),
        Command::Install(args) => ended(install::run(&args)),
        Command::Provision(args) => ended(provision::run(&args)),
        Command::Keygen(args) => ended(keygen::run(&args)),
        Command::Publish(args) => ended(publish::run(&args)),
        Command::Sign(args) => ended(sign::run(&args)),
        Command::Verify(args) => ended(verify::run(&args)),
        Command::Inspect(args) => ended(inspect::run(&args)),
        Command::Pull(args) => ended(pull::run(&args)),
        Command::Policy(command) => ended(policy::run(&command)),
        Command::Model(command) => ended(model::run(&command)),
        Command::Registry(command) => ended(registry::run(&command)),
        Command::Store(command) => ended(store::run(&command)),
        Command::Bundle(command) => ended(bundle::run(&command)),
        Command::Ca(command) => ended(ca::run(&command)),
        Command::Device(command) => ended(device::run(&command)),
        Command::Check(args) => ended(checked(&args)),
        Command::RehearseModel => inference::rehearse_here(),
    }
}

fn checked(args: &check::CheckArgs) -> Outcome {
    let code = check::run(args, app::shipped(), &mut std::io::stdout().lock());
    Ok(code.map_err(output::OutputError::from)?)
}

fn ended(outcome: Outcome) -> ExitCode {
    outcome.unwrap_or_else(|failure| failure.report())
}

/// Runs `main` on as many workers as there are cores.
fn block_on(main: impl Future<Output = ExitCode>) -> ExitCode {
    wait(async { Ok(main.await) }).unwrap_or_else(|failure| failure.report())
}

/// The same, for commands that say why they failed.
fn wait<T>(main: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_EVENTS)
        .build()?;
    let outcome = runtime.block_on(main);
    // A run of a model that nobody can stop does not keep the process.
    runtime.shutdown_timeout(BLOCKING_GRACE);
    outcome
}

/// The signals that ask the process to end. They are heard from when this is
/// made, even while nobody waits for them.
#[derive(Debug)]
struct Interrupts([Option<Signal>; 2]);

impl Interrupts {
    /// Only on the executor.
    fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    /// Resolves when the process is asked to end: once each time.
    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            () = arrived(interrupt) => {}
            () = arrived(terminate) => {}
        }
    }
}

async fn arrived(signal: &mut Option<Signal>) {
    let asked = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if asked.is_none() {
        std::future::pending().await
    }
}
