//! `selvedge device revoke` and `remove`: who may no longer be there.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::site::{Site, SiteOptions};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{json, say};
use crate::devices::{Authority, AuthorityError, DeviceFile, Revoked};
use crate::names::PartyName;

pub(super) const AFTER_HELP_REVOKE: &str = "\
A running host ends the device's connections within seconds.

Examples:
  selvedge device revoke oven-3 --reason 'stolen from the yard'

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeArgs {
    /// The device.
    #[arg(value_name = "NAME")]
    name: PartyName,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RemoveArgs {
    /// The device.
    #[arg(value_name = "NAME")]
    name: PartyName,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

/// What was done, as programs read of it.
#[derive(Debug, Serialize)]
struct Done<'a> {
    device: &'a PartyName,
    certificates_revoked: usize,
}

pub(super) fn revoke(args: &RevokeArgs) -> Outcome {
    let (site, name) = (args.site.open()?, &args.name);
    let mut file = site.device(name)?;
    if let Some(Revoked { at, .. }) = &file.revoked {
        let what = format!("the device `{name}` is revoked since {at}");
        return Err(Failure::new(what, None));
    }
    let now = Timestamp::now();
    file.revoked = Some(Revoked {
        at: now,
        reason: args.reason.clone(),
    });
    // First what shuts it out at once.
    file.replace(&site.data_directory, name)?;
    let count = revoke_certificates(&site, name, now, "privilegeWithdrawn")?;
    told(args.json, name, count, "is revoked")
}

pub(super) fn remove(args: &RemoveArgs) -> Outcome {
    let (site, name) = (args.site.open()?, &args.name);
    // Also one whose file cannot be read any more.
    if !DeviceFile::path(&site.data_directory, name).exists() {
        site.device(name)?;
    }
    // First, so that a certificate that is left can never be that of a later
    // device of the same name.
    let now = Timestamp::now();
    let count = revoke_certificates(&site, name, now, "cessationOfOperation")?;
    DeviceFile::remove(&site.data_directory, name)?;
    told(args.json, name, count, "is removed")
}

/// How many there were. A site may have an authority elsewhere.
fn revoke_certificates(
    site: &Site,
    name: &PartyName,
    now: Timestamp,
    reason: &'static str,
) -> Outcome<usize> {
    match Authority::open(&site.data_directory) {
        Ok(authority) => Ok(authority.revoke(name, now, reason, |_| true)?),
        Err(AuthorityError::NotThere(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn told(as_json: bool, device: &PartyName, count: usize, what: &str) -> Outcome {
    match as_json {
        true => json(&Done {
            device,
            certificates_revoked: count,
        })?,
        false => say(&format!(
            "{device} {what}; {count} certificates were revoked"
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}
