//! `selvedge model publish`: packages a model, signs it and brings it to a
//! registry.

use std::path::PathBuf;
use std::process::ExitCode;

use selvedge_artifact::{Reference, Tag};
use semver::Version;
use serde::Serialize;

use super::folder::Folder;
use super::trial::TrialOptions;
use crate::cli::failure::Outcome;
use crate::cli::output::{json, say};
use crate::cli::publish::{self, Statements};
use crate::cli::registry_options::RegistryOptions;
use crate::cli::signing_options::SigningOptions;
use crate::cli::wait;

const EXAMPLES: &str = "\
Examples:
  selvedge model publish pump/model.toml registry.example/acme/pump --key acme.key --timestamp-authority clock.tsa.pem
  selvedge model publish pump registry.example/acme/pump --unsigned --no-check";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// `model.toml`, or the folder it is in.
    #[arg(value_name = "FILE|DIRECTORY")]
    model: PathBuf,
    /// Where to, without a tag: `registry.example/acme/pump`. The tag is the
    /// version.
    #[arg(value_name = "REFERENCE")]
    to: Reference,
    /// Let a version that was published before mean something else from now on.
    #[arg(long)]
    replace: bool,
    /// Publish without a signature; it serves nowhere until `selvedge sign` was
    /// used on it.
    #[arg(long)]
    unsigned: bool,
    /// Say what was published as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trial: TrialOptions,
    #[command(flatten)]
    statements: Statements,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What was published.
#[derive(Debug, Serialize)]
struct Published {
    /// With tag and digest, as a deployment names it.
    reference: String,
    version: Version,
    digest: String,
    /// The digest of the model's file.
    model: String,
    bytes: u64,
    attached: Vec<String>,
}

pub(super) fn run(args: &Args) -> Outcome {
    publish::without_tag(&args.to)?;
    let folder = Folder::read(&args.model)?;
    let contents = folder.contents();
    args.trial.check(&contents, &args.registry.host()?)?;
    let (signer, statements) = args.statements.signed_by(&args.signing, args.unsigned)?;
    let version = folder.manifest.version.clone();
    let reference = args.to.with_tag(Tag::for_version(&version)?);
    let packaged = folder.release(args.to.package().clone())?.package()?;
    let bytes = packaged.blobs.iter().map(|(blob, _)| blob.size).sum();
    let client = args.registry.client()?;
    wait(async {
        let digest = packaged.digest();
        let package = reference.package();
        let bundles = publish::bundles(signer.as_ref(), package, &digest, &statements).await?;
        publish::unless_released(&client, &reference, &digest, args.replace).await?;
        publish::push(&client, &reference, &packaged, &bundles).await?;
        let published = Published {
            reference: reference.with_digest(digest).to_string(),
            version,
            digest: digest.to_string(),
            model: crate::names::Digest::of(&contents.model).to_string(),
            bytes,
            attached: bundles.into_iter().map(|bundle| bundle.kind).collect(),
        };
        if args.json {
            json(&published)?;
        } else {
            say(&published.reference)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
