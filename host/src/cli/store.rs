//! `selvedge store`: what artifacts this device has, and what it can do without.

use std::path::PathBuf;
use std::process::ExitCode;

use selvedge_artifact::{Digest, Reference};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::output::{json, say};
use super::registry_options::{RegistryOptions, store_in};
use crate::storage::{Storage, StorageError};
use crate::trust::accepted;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the artifacts of the store.
    List(List),
    /// Forget what an artifact is called. Its bytes go with the next `collect`.
    Remove(Remove),
    /// Remove what neither has a name nor runs here, nor ran before. The host must
    /// not be running.
    Collect(Collect),
}

/// The store that a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct StoreOptions {
    /// This OCI image layout, instead of the host's store.
    #[arg(long, value_name = "DIRECTORY")]
    store: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The artifact, with its tag.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    #[command(flatten)]
    store: StoreOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Collect {
    #[command(flatten)]
    store: StoreOptions,
}

/// An artifact of the store.
#[derive(Debug, Serialize)]
struct Listed {
    repository: String,
    tag: String,
    digest: Digest,
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List(args) => list(args),
        Command::Remove(args) => remove(args),
        Command::Collect(args) => collect(args),
    }
}

fn list(args: &List) -> Outcome {
    let layout = store_in(args.store.store.as_ref(), &args.store.registry)?;
    let tags = layout.tags()?.into_iter();
    let listed: Vec<_> = tags
        .map(|stored| Listed {
            repository: stored.repository,
            tag: stored.tag.to_string(),
            digest: stored.manifest.digest,
        })
        .collect();
    if args.json {
        json(&listed)?;
    } else {
        for Listed {
            repository,
            tag,
            digest,
        } in listed
        {
            say(&format!("{repository}:{tag}@{digest}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(args: &Remove) -> Outcome {
    let layout = store_in(args.store.store.as_ref(), &args.store.registry)?;
    let tag = args.reference.tag();
    let tag = tag.ok_or_else(|| Failure::usage("which one? name its tag"))?;
    if layout.untag(args.reference.repository(), tag)? {
        return Ok(ExitCode::SUCCESS);
    }
    let what = format!(
        "`{}:{tag}` is not in the store",
        args.reference.repository()
    );
    Err(Failure::new(what, None))
}

fn collect(args: &Collect) -> Outcome {
    let layout = store_in(args.store.store.as_ref(), &args.store.registry)?;
    let keep = match &args.store.store {
        // It belongs to no host.
        Some(_) => Vec::new(),
        None => {
            let directory = args.store.registry.host()?.data_directory;
            let storage = Storage::open(&directory).map_err(|error| match error {
                StorageError::InUse { .. } => Failure::new(
                    error,
                    Some("stop the host first: it knows what it runs".to_owned()),
                ),
                error => error.into(),
            })?;
            accepted(&storage)?
        }
    };
    let collected = layout.collect_garbage(&keep)?;
    say(&format!(
        "removed {} blobs, {} bytes",
        collected.blobs, collected.bytes
    ))?;
    Ok(ExitCode::SUCCESS)
}
