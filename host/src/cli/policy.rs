//! `selvedge policy`: what a site trusts, and its trust repository.
//!
//! A site is a folder on the operator's machine: `repository/`, which devices
//! get a copy of; `root.json`, which they are set up with; and `keys/`, which
//! never leave it. `keys/root.key` belongs offline.

mod add;
mod revoke;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use selvedge_signing::Policy;

use super::failure::{Failure, Outcome};
use super::output::{json, say, to_the_second};

use site::{Change, Site};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a site: keys, an empty policy and its trust repository.
    Init(Init),
    /// Trust a publisher, or let one release packages.
    #[command(subcommand)]
    Add(add::Command),
    /// Trust an artifact or a publisher no longer.
    #[command(subcommand)]
    Revoke(revoke::Command),
    /// Put a policy into force that was edited by hand.
    Apply(Apply),
    /// Say again that the policy is current: devices install nothing once it
    /// is older than `--valid-days`.
    Refresh(Refresh),
    /// Show the policy.
    Show(Show),
    /// Say what changed from one policy to another, and what it widens.
    Diff(Diff),
}

/// The site that a command is about.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SiteOptions {
    /// The folder that `selvedge policy init` makes.
    #[arg(long, value_name = "DIRECTORY", default_value = "site")]
    site: PathBuf,
    /// The password of its keys: the first line of this file.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// For how many days devices install without a newer repository.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=730))]
    valid_days: u16,
}

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    #[command(flatten)]
    site: SiteOptions,
    /// Leave the keys unencrypted: whoever reads them decides what runs.
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// The policy.
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Refresh {
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// The policy before: a file, or the folder of a site.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy after.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// End with exit code 1 if anything is trusted that was not before.
    #[arg(long)]
    fail_if_wider: bool,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Init(args) => init(args),
        Command::Add(command) => add::run(command),
        Command::Revoke(command) => revoke::run(command),
        Command::Apply(args) => apply(args),
        Command::Refresh(args) => refresh(args),
        Command::Show(args) => show(args),
        Command::Diff(args) => diff(args),
    }
}

fn init(args: &Init) -> Outcome {
    if args.site.password_file.is_none() && !args.no_password {
        return Err(Failure::usage(
            "the keys need a password: name `--password-file`, or say `--no-password`",
        ));
    }
    let site = Site::create(&args.site)?;
    let folder = site.folder.display();
    say(&format!(
        "{folder}/repository: the trust repository; devices get a copy"
    ))?;
    say(&format!("{folder}/root.json: what devices are set up with"))?;
    say(&format!("{folder}/keys: the keys; take root.key offline"))?;
    Ok(ExitCode::SUCCESS)
}

fn apply(args: &Apply) -> Outcome {
    let mut site = Site::open(&args.site)?;
    let bytes = fs_err::read(&args.policy)?;
    let policy = Policy::parse(&bytes).map_err(|error| Failure::about(&args.policy, error))?;
    site.publish(Change::of(policy))
}

fn refresh(args: &Refresh) -> Outcome {
    let mut site = Site::open(&args.site)?;
    let now = Timestamp::now();
    site.refresh(now)?;
    let until = now + SignedDuration::from_hours(24 * i64::from(args.site.valid_days));
    let until = to_the_second(until);
    say(&format!("the policy is current until {until}"))?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &Show) -> Outcome {
    json(Site::open(&args.site)?.policy())?;
    Ok(ExitCode::SUCCESS)
}

fn diff(args: &Diff) -> Outcome {
    let (old, new) = (site::policy_at(&args.old)?, site::policy_at(&args.new)?);
    let changes = new.diff(&old);
    let mut wider = false;
    for change in &changes {
        wider |= change.widens();
        say(&change.to_string())?;
    }
    if changes.is_empty() {
        say("no change")?;
    }
    Ok(ExitCode::from(u8::from(args.fail_if_wider && wider)))
}
