//! `selvedge device`: who may connect by MQTT.
//!
//! A device is a file in the data directory, and a certificate of the site's
//! authority. The host need not run; if it does, it sees what changes within
//! seconds and ends the connections of whoever may no longer be there.

mod add;
mod connection;
mod list;
mod remove;
mod rotate;
pub(super) mod site;

use super::failure::Outcome;

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Let a device in: register it, vouch for it, and write all it needs to
    /// connect.
    #[command(after_help = add::AFTER_HELP)]
    Add(add::Args),
    /// List the devices.
    #[command(after_help = EXIT_CODES)]
    List(list::ListArgs),
    /// Show one device: what it may do, and its certificates.
    #[command(after_help = EXIT_CODES)]
    Show(list::ShowArgs),
    /// Give a device a new certificate.
    #[command(after_help = rotate::AFTER_HELP)]
    Rotate(rotate::Args),
    /// Keep a device out for good: its file says so, and its certificates are on
    /// the authority's list.
    #[command(after_help = remove::AFTER_HELP_REVOKE)]
    Revoke(remove::RevokeArgs),
    /// Forget a device. Its certificates are revoked too.
    #[command(after_help = EXIT_CODES)]
    Remove(remove::RemoveArgs),
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Add(args) => add::run(args),
        Command::List(args) => list::list(args),
        Command::Show(args) => list::show(args),
        Command::Rotate(args) => rotate::run(args),
        Command::Revoke(args) => remove::revoke(args),
        Command::Remove(args) => remove::remove(args),
    }
}
