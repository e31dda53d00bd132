//! `selvedge model package`: a model as one file, an OCI image layout in a tar
//! archive, which `selvedge bundle import` and other tools read.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use selvedge_artifact::{Reference, Tag, attachment, media_type};
use selvedge_registry::Layout;
use serde::Serialize;

use super::folder::Folder;
use super::trial::TrialOptions;
use crate::cli::failure::Outcome;
use crate::cli::output::{json, say};
use crate::cli::publish;
use crate::cli::registry_options::RegistryOptions;
use crate::cli::signing_options::SigningOptions;
use crate::cli::wait;

const EXAMPLE: &str = "\
Example:
  selvedge model package pump/model.toml registry.example/acme/pump --output pump.tar \\
    --key acme.key --timestamp-authority clock.tsa.pem";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Args {
    /// `model.toml`, or the folder it is in.
    #[arg(value_name = "FILE|DIRECTORY")]
    model: PathBuf,
    /// What it will be called, without a tag: `registry.example/acme/pump`.
    #[arg(value_name = "REFERENCE")]
    to: Reference,
    /// The file to write, which must not be there.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Say what was packaged as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trial: TrialOptions,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What was packaged.
#[derive(Debug, Serialize)]
struct Report {
    /// With tag and digest, as a deployment names it.
    reference: String,
    digest: String,
    signed: bool,
    file: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    publish::without_tag(&args.to)?;
    let folder = Folder::read(&args.model)?;
    args.trial
        .check(&folder.contents(), &args.registry.host()?)?;
    let signer = args.signing.signer()?;
    let reference = args
        .to
        .with_tag(Tag::for_version(&folder.manifest.version)?);
    let packaged = folder.release(args.to.package().clone())?.package()?;
    let (digest, package) = (packaged.digest(), reference.package());
    let signing = publish::bundles(signer.as_ref(), package, &digest, &[]);
    let bundles = wait(signing)?;
    let directory = tempfile::tempdir()?;
    let layout = Layout::open(&directory.path().join("layout"))?;
    for (_, bytes) in &packaged.blobs {
        layout.put_blob(bytes)?;
    }
    let name = reference.tag().map(|tag| (reference.repository(), tag));
    layout.put_manifest(&packaged.manifest, name)?;
    for bundle in &bundles {
        let attached = attachment(
            packaged.descriptor(),
            media_type::SIGSTORE_BUNDLE,
            bundle.bytes.clone(),
            bundle.annotations(),
        );
        for (_, bytes) in &attached.blobs {
            layout.put_blob(bytes)?;
        }
        layout.put_manifest(&attached.manifest, None)?;
    }
    let file = fs_err::File::create_new(&args.output)?;
    if let Err(failure) = write(&layout, digest, &file) {
        // Half a file is of no use to anyone.
        drop(fs_err::remove_file(&args.output));
        return Err(failure);
    }
    let report = Report {
        reference: reference.with_digest(digest).to_string(),
        digest: digest.to_string(),
        signed: !bundles.is_empty(),
        file: args.output.display().to_string(),
    };
    if args.json {
        json(&report)?;
    } else {
        say(&report.reference)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(layout: &Layout, digest: selvedge_artifact::Digest, file: &fs_err::File) -> Outcome<()> {
    let mut out = BufWriter::new(file);
    layout.export(&[digest], &mut out)?;
    out.flush()?;
    drop(out);
    Ok(file.sync_all()?)
}
