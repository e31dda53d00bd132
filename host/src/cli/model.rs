//! `selvedge model`: models, from the machine that they are made on to the registry
//! and the device that they run on.

mod bench;
mod compile;
mod flow;
mod folder;
mod inspect;
mod local;
mod package;
mod publish;
mod pull;
mod trial;

use super::failure::Outcome;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Put a model and what is known of it into one file, for sites without a
    /// registry.
    Package(Box<package::Args>),
    /// Package a model, sign it and bring it to a registry.
    Publish(Box<publish::Args>),
    /// Bring a model and its signatures into a store, or its files to a folder.
    Pull(pull::Args),
    /// Say what a model is, takes and gives.
    Inspect(inspect::Args),
    /// Make of a model what runs fastest on this device, and check it.
    Compile(compile::Args),
    /// Say what a model costs on this device.
    Bench(bench::Args),
    /// Train, compile, package, publish and deploy a model, as a file says.
    Flow(flow::Args),
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Package(args) => package::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Pull(args) => pull::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Compile(args) => compile::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Flow(args) => flow::run(args),
    }
}
