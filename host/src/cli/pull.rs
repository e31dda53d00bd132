//! `selvedge pull`: brings an artifact and its signatures into a store.

use std::path::PathBuf;
use std::process::ExitCode;

use selvedge_artifact::{Reference, media_type};
use selvedge_registry::{Client, Layout, Pulled};
use serde::Serialize;

use super::failure::Outcome;
use super::output::{json, say};
use super::progress::Bars;
use super::registry_options::{RegistryOptions, store_in};
use super::wait;

const EXAMPLES: &str = "\
Examples:
  selvedge pull registry.example/acme/thermostat --list
  selvedge pull registry.example/acme/thermostat:1.2.0 --host-config host.toml";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The artifact.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Bring it into this OCI image layout, instead of the host's store.
    #[arg(long, value_name = "DIRECTORY")]
    store: Option<PathBuf>,
    /// List the versions of the package, newest first, and bring nothing.
    #[arg(long)]
    list: bool,
    /// Say what was brought as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What was brought.
#[derive(Debug, Serialize)]
struct Report {
    /// With its digest, as a deployment names it.
    reference: String,
    digest: String,
    signatures: usize,
    bytes: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.registry.client()?;
    if args.list {
        return wait(async {
            let versions = client.versions(&args.reference).await?;
            if args.json {
                json(&versions)?;
            } else {
                for version in versions {
                    say(&version.to_string())?;
                }
            }
            Ok(ExitCode::SUCCESS)
        });
    }
    let store = store_in(args.store.as_ref(), &args.registry)?;
    let pulled = bring(&client, &args.reference, &store)?;
    let digest = pulled.manifest.digest;
    let report = Report {
        reference: args.reference.with_digest(digest).to_string(),
        digest: digest.to_string(),
        signatures: pulled.referrers.len(),
        bytes: pulled.bytes,
    };
    if args.json {
        json(&report)?;
    } else {
        say(&report.reference)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings an artifact and its signatures into a store, and shows how far it is.
pub(super) fn bring(client: &Client, reference: &Reference, store: &Layout) -> Outcome<Pulled> {
    wait(async {
        let types = [media_type::SIGSTORE_BUNDLE_PREFIX];
        let bars = Bars::new();
        Ok(client.pull(reference, store, &types, &bars).await?)
    })
}
