//! `selvedge bundle`: artifacts as one file, for sites without a network.
//!
//! The file is an OCI image layout in a tar archive: other tools read it, and
//! nobody needs to trust whoever carries it. It may bring the site's trust
//! repository along, as one artifact more.

mod repository;

use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use selvedge_artifact::{Reference, media_type};
use selvedge_registry::Layout;
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output::{json, say};
use super::progress::Bars;
use super::registry_options::{RegistryOptions, store_in};
use super::wait;
use crate::artifacts::Artifacts;

/// Bytes that one import takes in.
const IMPORT_BYTES_MAX: u64 = 8 << 30;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write artifacts and their signatures to a file; those that are not in the
    /// store come from their registries.
    Export(Export),
    /// Take in what such a file holds.
    Import(Import),
}

const EXPORT_EXAMPLE: &str = "\
Example:
  selvedge bundle export site.tar registry.example/acme/thermostat:1.2.0 --trust-repository site/repository";

#[derive(Debug, clap::Args)]
#[command(after_help = EXPORT_EXAMPLE)]
pub(super) struct Export {
    /// The file, which must not be there.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The artifacts.
    #[arg(value_name = "REFERENCE", required_unless_present = "trust_repository")]
    references: Vec<Reference>,
    /// Bring this trust repository along.
    #[arg(long, value_name = "DIRECTORY")]
    trust_repository: Option<PathBuf>,
    /// The OCI image layout to look in first, instead of the host's store.
    #[arg(long, value_name = "DIRECTORY")]
    store: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The file, or the folder of an OCI image layout.
    #[arg(value_name = "FILE|DIRECTORY")]
    from: PathBuf,
    /// Take it into this OCI image layout, instead of the host's store.
    #[arg(long, value_name = "DIRECTORY")]
    store: Option<PathBuf>,
    /// Say what was taken in as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What was taken in.
#[derive(Debug, Serialize)]
struct Imported {
    artifacts: Vec<String>,
    trust_repository: bool,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Export(args) => export(args),
        Command::Import(args) => import(args),
    }
}

fn export(args: &Export) -> Outcome {
    let passing = args.registry.passing()?;
    let gathered = passing.artifacts.layout();
    let mut digests = Vec::new();
    for reference in &args.references {
        if let Some(digest) = stored(args, reference, gathered)? {
            digests.push(digest);
            continue;
        }
        let artifacts: &Artifacts = &passing.artifacts;
        let pulled = wait(async { Ok(artifacts.pull(reference, &Bars::new()).await?) })?;
        digests.push(pulled.manifest.digest);
    }
    if let Some(directory) = &args.trust_repository {
        digests.push(repository::put(directory, gathered)?);
    }
    let file = fs_err::File::create_new(&args.file)?;
    let written = write(gathered, &digests, &file);
    if let Err(failure) = written {
        // Half a file is of no use to anyone.
        drop(fs_err::remove_file(&args.file));
        return Err(failure);
    }
    say(&args.file.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn write(
    layout: &Layout,
    digests: &[selvedge_artifact::Digest],
    file: &fs_err::File,
) -> Outcome<()> {
    let mut out = BufWriter::new(file);
    layout.export(digests, &mut out)?;
    out.flush()?;
    drop(out);
    Ok(file.sync_all()?)
}

/// The artifact out of the store, if that has it, gathered with the others.
fn stored(
    args: &Export,
    reference: &Reference,
    gathered: &Layout,
) -> Outcome<Option<selvedge_artifact::Digest>> {
    let there = match &args.store {
        Some(directory) => directory.is_dir(),
        None => args.registry.host()?.artifacts_directory().is_dir(),
    };
    if !there {
        return Ok(None);
    }
    let store = store_in(args.store.as_ref(), &args.registry)?;
    let found = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => store.manifest(&digest)?.map(|(found, _)| found),
        (None, Some(tag)) => store.resolve(reference.repository(), tag)?,
        (None, None) => None,
    };
    let Some(found) = found else { return Ok(None) };
    let mut archive = Vec::new();
    store.export(&[found.digest], &mut archive)?;
    gathered.import(&mut archive.as_slice(), IMPORT_BYTES_MAX)?;
    Ok(Some(found.digest))
}

fn import(args: &Import) -> Outcome {
    let store = store_in(args.store.as_ref(), &args.registry)?;
    let imported = if args.from.is_dir() {
        store.import_directory(&args.from, IMPORT_BYTES_MAX)?
    } else {
        let mut file = BufReader::new(fs_err::File::open(&args.from)?);
        store.import(&mut file, IMPORT_BYTES_MAX)?
    };
    let mut report = Imported {
        artifacts: Vec::new(),
        trust_repository: false,
    };
    for tagged in &imported.tags {
        let digest = tagged.manifest.digest;
        if repository::is_one(&store, &tagged.manifest) {
            continue;
        }
        let (repository, tag) = (&tagged.repository, &tagged.tag);
        report
            .artifacts
            .push(format!("{repository}:{tag}@{digest}"));
    }
    let carried = imported.manifests.iter().find(|manifest| {
        manifest.media_type == media_type::MANIFEST && repository::is_one(&store, manifest)
    });
    if let Some(carried) = carried {
        let host = args.registry.host()?;
        let trust = host.trust.ok_or_else(|| {
            Failure::new(
                "the file brings a trust repository, but the host has no place for it",
                Some(
                    "name a `--host-config` with `[trust]`; the artifacts were taken in".to_owned(),
                ),
            )
        })?;
        repository::replace(&trust, &store, &carried.digest)?;
        report.trust_repository = true;
    }
    if args.json {
        json(&report)?;
    } else {
        for artifact in &report.artifacts {
            say(artifact)?;
        }
        if report.trust_repository {
            say("the trust repository is believed and in its place")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
