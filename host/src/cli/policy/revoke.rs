//! `selvedge policy revoke`: what a site no longer trusts.

use jiff::Timestamp;
use selvedge_artifact::Digest;

use super::SiteOptions;
use super::site::{Change, Site};
use crate::cli::failure::{Failure, Outcome};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Never run this artifact or component again, by its digest.
    Digest(DigestArgs),
    /// Believe nothing that a publisher signed from some time on.
    Publisher(PublisherArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DigestArgs {
    /// Of the artifact's manifest or of the component.
    #[arg(value_name = "DIGEST")]
    digest: Digest,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PublisherArgs {
    /// The publisher, by the policy's name.
    #[arg(value_name = "NAME")]
    name: String,
    /// From when on, as `2026-11-01T00:00:00Z`; without it, whatever it signed.
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
    #[command(flatten)]
    site: SiteOptions,
}

pub(super) fn run(command: &Command) -> Outcome {
    let options = match command {
        Command::Digest(args) => &args.site,
        Command::Publisher(args) => &args.site,
    };
    let mut site = Site::open(options)?;
    let mut policy = site.policy().clone();
    match command {
        Command::Digest(args) => {
            policy.revoked.digests.insert(args.digest);
        }
        Command::Publisher(args) => {
            if !policy.publishers.contains_key(&args.name) {
                let known = policy.publishers.keys().cloned().collect::<Vec<_>>();
                let hint = match known.as_slice() {
                    [] => "it knows none yet".to_owned(),
                    known => format!("it knows {}", known.join(", ")),
                };
                let what = format!("the policy knows no publisher `{}`", args.name);
                return Err(Failure::new(what, Some(hint)));
            }
            let after = args.after.unwrap_or(Timestamp::UNIX_EPOCH);
            // An earlier revocation is never taken back here.
            let revoked = policy.revoked.publishers.entry(args.name.clone());
            let from = revoked.or_insert(after);
            *from = (*from).min(after);
        }
    }
    site.publish(Change::of(policy))
}
