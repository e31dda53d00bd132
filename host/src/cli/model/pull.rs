//! `selvedge model pull`: brings a model and its signatures into a store, or its
//! files to a folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use selvedge_artifact::{Manifest, ModelContents, Reference, media_type};
use selvedge_signing::Candidate;
use serde::Serialize;

use crate::artifacts::candidate;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{json, say};
use crate::cli::pull::bring;
use crate::cli::registry_options::{RegistryOptions, store_in};
use crate::cli::verify;
use crate::names::Digest;

const EXAMPLES: &str = "\
Examples:
  selvedge model pull registry.example/acme/pump:1.2.0 --host-config host.toml
  selvedge model pull registry.example/acme/pump:1.2.0 --output pump";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The model.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Bring it into this OCI image layout, instead of the host's store.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "output")]
    store: Option<PathBuf>,
    /// Write its files to this folder, which must not be there, and into no
    /// store. Nobody has verified them: `selvedge verify` does that.
    #[arg(long, short, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
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
    files: Vec<String>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let (digest, candidate) = match &args.output {
        Some(_) => verify::find(&args.reference, &args.registry)?,
        None => stored(args)?,
    };
    let manifest = Manifest::parse(&candidate.manifest)?;
    let read = ModelContents::read(&manifest, &candidate.config, &candidate.layers);
    read.map_err(|error| Failure::new(error, None))?;
    let paths = manifest.layers.iter();
    let paths = paths.filter_map(|layer| layer.annotations.get(media_type::MODEL_FILEPATH));
    let paths: Vec<_> = paths.cloned().collect();
    if let Some(output) = &args.output {
        write(output, &paths, &candidate)?;
    }
    let report = Report {
        reference: args.reference.with_digest(digest).to_string(),
        digest: digest.to_string(),
        signatures: candidate.bundles.len(),
        files: paths,
    };
    if args.json {
        json(&report)?;
    } else {
        say(&report.reference)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn stored(args: &Args) -> Outcome<(Digest, Candidate)> {
    let client = args.registry.client()?;
    let store = store_in(args.store.as_ref(), &args.registry)?;
    let digest = bring(&client, &args.reference, &store)?.manifest.digest;
    Ok((digest, candidate(&store, &digest)?))
}

/// The files, below a folder that is made for them. That their paths lead
/// nowhere else was seen when the artifact was read.
fn write(folder: &Path, paths: &[String], candidate: &Candidate) -> Outcome<()> {
    fs_err::create_dir(folder)?;
    for (path, bytes) in paths.iter().zip(&candidate.layers) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(path, bytes)?;
    }
    Ok(())
}
