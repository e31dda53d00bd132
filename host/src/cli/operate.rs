//! Commands that talk to a running host: what is deployed, how it fares, and
//! what passes on its bus.
//!
//! Each asks the management API and shows the answer: to people as tables, with
//! `--json` exactly as the host gave it. The host decides; nothing here does.

mod backends;
mod completion;
mod dead_letters;
mod deploy;
mod devices;
mod follow;
mod health;
mod history;
mod logs;
mod message;
mod outcome;
mod parties;
mod plan;
mod plugin;
mod ps;
mod publish;
mod rollback;
mod status;
mod stream;
mod tap;
mod top;
mod topics;
mod uplinks;

use super::failure::Outcome;

/// What most of them end with.
const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failure, 64 usage.";

/// What commands end with that follow a deployment.
const EXIT_CODES_DEPLOY: &str = "\
Exit codes: 0 committed, 1 failed, rolled back or superseded, 64 usage,
78 the document was refused, 130 interrupted while the deployment goes on.";

/// What commands end with that show a stream until they are interrupted.
const EXIT_CODES_STREAM: &str = "\
Exit codes: 0 fine or interrupted, 1 failure, 64 usage.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Put a deployment into service on a running host, and follow it to its end.
    #[command(after_help = deploy::AFTER_HELP)]
    Deploy(deploy::Args),
    /// Say what a deployment would change, and which rights it widens.
    #[command(after_help = plan::AFTER_HELP)]
    Plan(plan::Args),
    /// Go back to a deployment that was committed before.
    #[command(after_help = EXIT_CODES_DEPLOY)]
    Rollback(rollback::Args),
    /// List deployments, or show one in full.
    #[command(after_help = history::AFTER_HELP)]
    History(history::Args),
    /// Say how the host fares.
    #[command(after_help = EXIT_CODES)]
    Status(status::Args),
    /// Ask whether everything runs that should.
    #[command(after_help = health::AFTER_HELP)]
    Health(health::Args),
    /// List the plugins.
    #[command(after_help = EXIT_CODES)]
    Ps(ps::Args),
    /// Watch the plugins at work.
    #[command(after_help = EXIT_CODES_STREAM)]
    Top(top::Args),
    /// Show what the host and its plugins log.
    #[command(after_help = EXIT_CODES_STREAM)]
    Logs(logs::Args),
    /// Show messages that were given up.
    #[command(after_help = EXIT_CODES_STREAM)]
    DeadLetters(dead_letters::Args),
    /// Show messages as they pass on the bus.
    #[command(after_help = EXIT_CODES_STREAM)]
    Tap(tap::Args),
    /// Publish a message on the bus.
    #[command(after_help = EXIT_CODES)]
    Pub(publish::Args),
    /// List topics that have a kept value.
    #[command(after_help = EXIT_CODES)]
    Topics(topics::Args),
    /// List everyone on the bus.
    #[command(after_help = EXIT_CODES)]
    Parties(parties::Args),
    /// List the devices that may connect by MQTT, and who is connected.
    #[command(after_help = EXIT_CODES)]
    Devices(devices::Args),
    /// Say how the MQTT connections outward fare.
    #[command(after_help = EXIT_CODES)]
    Uplinks(uplinks::Args),
    /// Say what this machine can run models with, and why not with the rest.
    #[command(after_help = backends::AFTER_HELP)]
    Backends(backends::Args),
    /// Stop a plugin until it is started again.
    #[command(after_help = EXIT_CODES)]
    Stop(plugin::Args),
    /// Start a plugin that was stopped or given up.
    #[command(after_help = EXIT_CODES)]
    Start(plugin::Args),
    /// Start a plugin afresh: its state is lost, what waits for it is not.
    #[command(after_help = EXIT_CODES)]
    Restart(plugin::Args),
    /// Swap in another component for one plugin, and follow that to its end.
    #[command(after_help = EXIT_CODES_DEPLOY)]
    Swap(plugin::SwapArgs),
    /// Write the completions of a shell.
    #[command(after_help = completion::AFTER_HELP)]
    Completion(completion::Args),
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Deploy(args) => deploy::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Rollback(args) => rollback::run(args),
        Command::History(args) => history::run(args),
        Command::Status(args) => status::run(args),
        Command::Health(args) => health::run(args),
        Command::Ps(args) => ps::run(args),
        Command::Top(args) => top::run(args),
        Command::Logs(args) => logs::run(args),
        Command::DeadLetters(args) => dead_letters::run(args),
        Command::Tap(args) => tap::run(args),
        Command::Pub(args) => publish::run(args),
        Command::Topics(args) => topics::run(args),
        Command::Parties(args) => parties::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Uplinks(args) => uplinks::run(args),
        Command::Backends(args) => backends::run(args),
        Command::Stop(args) => plugin::run(args, plugin::Action::Stop),
        Command::Start(args) => plugin::run(args, plugin::Action::Start),
        Command::Restart(args) => plugin::run(args, plugin::Action::Restart),
        Command::Swap(args) => plugin::swap(args),
        Command::Completion(args) => completion::run(args),
    }
}
