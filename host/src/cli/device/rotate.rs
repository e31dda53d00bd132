//! `selvedge device rotate`: a new certificate for a device.

use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::add::{CertificateOptions, Made};
use super::site::SiteOptions;
use crate::cli::duration;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{json, say, to_the_second};
use crate::devices::{DeviceFile, Retiring};
use crate::names::PartyName;

pub(super) const AFTER_HELP: &str = "\
The old certificate is good until the overlap has passed, at most until its own
end; then it is revoked. With `--overlap 0` that is at once.

Examples:
  selvedge device rotate oven-3
  selvedge device rotate oven-3 --overlap 12h --out /media/usb
  selvedge device rotate oven-3 --overlap 0 --csr oven-3.csr

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The device.
    #[arg(value_name = "NAME")]
    name: PartyName,
    /// How long the old certificate is good beside the new one: `7d`, `12h`, `0`.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = overlap)]
    overlap: Duration,
    #[command(flatten)]
    certificate: CertificateOptions,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let (site, name) = (args.site.open()?, &args.name);
    let mut file = site.device(name)?;
    if file.revoked.is_some() {
        let help = format!("`selvedge device remove {name}` and add it again");
        let what = format!("the device `{name}` is revoked");
        return Err(Failure::new(what, Some(help)));
    }
    let now = Timestamp::now();
    let device = file.device(name, &site.rules_to_show_with(&file), now)?;
    let folder = args.certificate.folder(name);
    let issued = args.certificate.issue(&site, name)?;
    let authority = site.authority()?;
    let endpoints = args.certificate.endpoints(&site);
    let chain = authority.chain()?;
    // Both are good until the new one is written, so that nothing that fails here
    // shuts the device out.
    file.fingerprints.push(issued.fingerprint);
    file.replace(&site.data_directory, name)?;
    file.fingerprints.pop();
    let files = folder.write(&issued, &chain, &device, &endpoints)?;
    let overlap = SignedDuration::try_from(args.overlap).unwrap_or(SignedDuration::MAX);
    let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
    retire(&mut file, (now, until), issued.fingerprint);
    file.replace(&site.data_directory, name)?;
    let new = issued.fingerprint;
    authority.revoke(name, until, "superseded", |record| {
        record.fingerprint != new
    })?;
    if args.json {
        json(&Made {
            device: name,
            fingerprint: new.to_string(),
            serial: &issued.serial,
            not_after: issued.not_after,
            folder: folder.path().to_owned(),
            files,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let end = to_the_second(issued.not_after);
    say(&format!("{name} has a new certificate, good until {end}"))?;
    say(&match args.overlap.is_zero() {
        true => "the old one is revoked".to_owned(),
        false => format!("the old one is good until {}", to_the_second(until)),
    })?;
    say(&format!("{}: what it needs", folder.path().display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Replaces what the device shows by `new`. What was to end sooner still does.
fn retire(
    file: &mut DeviceFile,
    (now, until): (Timestamp, Timestamp),
    new: crate::tls::Fingerprint,
) {
    let old = std::mem::replace(&mut file.fingerprints, vec![new]);
    for retiring in &mut file.retiring {
        retiring.until = retiring.until.min(until);
    }
    let old = old
        .into_iter()
        .map(|fingerprint| Retiring { fingerprint, until });
    file.retiring.extend(old);
    file.retiring.retain(|retiring| retiring.until > now);
}

fn overlap(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    match days {
        Some(days @ 1..=3_650_u64) => Ok(Duration::from_secs(days * 24 * 60 * 60)),
        Some(_) => Err(format!("`{text}` is not between 0 and 10 years")),
        None => duration::parse(text),
    }
}
