//! `selvedge model`: models as artifacts, from their files to the registry and
//! back.

mod folder;
mod inspect;
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
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Package(args) => package::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Pull(args) => pull::run(args),
        Command::Inspect(args) => inspect::run(args),
    }
}
