//! `selvedge model inspect`: what is it, what does it take and give?
//!
//! It says what a model says of itself, and who claims to have signed it. The
//! file is read and not loaded: whose it is, nobody has verified.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use selvedge_artifact::{
    ArtifactKind, Manifest, ModelContents, ModelDimension, ModelManifest, ModelPort, Reference,
    media_type,
};
use selvedge_registry::Layout;
use selvedge_signing::Candidate;
use serde::Serialize;

use super::folder::Folder;
use crate::artifacts::candidate;
use crate::cli::claims::Claim;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{Table, json};
use crate::cli::registry_options::RegistryOptions;
use crate::cli::verify;
use crate::inference::operators;
use crate::names::Digest;

/// Bytes that are taken in of a file with a layout.
const IMPORT_BYTES_MAX: u64 = 8 << 30;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A model by its reference; or its `model.toml`; or an OCI image layout, a
    /// folder or the file that `selvedge model package` writes.
    #[arg(value_name = "REFERENCE|FILE|DIRECTORY")]
    what: String,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What a model is.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// What it says of itself.
    manifest: ModelManifest,
    files: Vec<File>,
    /// How often each operator stands in it; of ONNX files.
    operators: BTreeMap<String, u64>,
    /// What is attached: not verified.
    signatures: Vec<Claim>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    bytes: usize,
    digest: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let path = PathBuf::from(&args.what);
    let report = if path.join("oci-layout").is_file() {
        of_layout(&path)?
    } else if path.is_dir() || path.extension().is_some_and(|it| it == "toml") {
        of_contents(Folder::read(&path)?.contents())
    } else if path.is_file() {
        of_layout(&path)?
    } else {
        let reference: Reference = args.what.parse().map_err(|error| {
            Failure::new(error, Some("there is no such file either".to_owned()))
        })?;
        let (digest, candidate) = verify::find(&reference, &args.registry)?;
        let reference = reference.with_digest(digest).to_string();
        of_candidate(Some(reference), digest, &candidate)?
    };
    if args.json {
        json(&report)?;
    } else {
        table(&report).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The one model in a layout, which is a folder or an archive.
fn of_layout(path: &Path) -> Outcome<Report> {
    let directory = tempfile::tempdir()?;
    let layout = Layout::open(&directory.path().join("layout"))?;
    let imported = if path.is_dir() {
        layout.import_directory(path, IMPORT_BYTES_MAX)?
    } else {
        let mut file = BufReader::new(fs_err::File::open(path)?);
        layout.import(&mut file, IMPORT_BYTES_MAX)?
    };
    let mut models = Vec::new();
    for described in &imported.manifests {
        let Some((_, bytes)) = layout.manifest(&described.digest)? else {
            continue;
        };
        let manifest = Manifest::parse(&bytes).ok();
        if manifest.as_ref().and_then(ArtifactKind::of) == Some(ArtifactKind::Model) {
            models.push(described.digest);
        }
    }
    let [digest] = models.as_slice() else {
        let what = format!("there are {} models in it; one is wanted", models.len());
        return Err(Failure::about(path, what));
    };
    let tags = imported.tags.iter();
    let tag = tags.clone().find(|tag| tag.manifest.digest == *digest);
    let reference = tag.map(|tag| format!("{}:{}@{digest}", tag.repository, tag.tag));
    of_candidate(reference, *digest, &candidate(&layout, digest)?)
}

fn of_candidate(
    reference: Option<String>,
    digest: Digest,
    candidate: &Candidate,
) -> Outcome<Report> {
    let manifest = Manifest::parse(&candidate.manifest)?;
    let contents = ModelContents::read(&manifest, &candidate.config, &candidate.layers);
    let contents = contents.map_err(|error| Failure::new(error, None))?;
    Ok(Report {
        reference,
        digest: Some(digest.to_string()),
        package: manifest.annotations.get(media_type::PACKAGE).cloned(),
        created: manifest.annotations.get(media_type::CREATED).cloned(),
        signatures: Claim::all(candidate),
        ..of_contents(contents)
    })
}

fn of_contents(contents: ModelContents) -> Report {
    let ModelContents {
        manifest,
        model,
        weights,
        golden,
        docs,
    } = contents;
    let operators = operators(&model).unwrap_or_default();
    let files = [model].into_iter().chain(weights).chain(golden).chain(docs);
    let files = manifest.files().zip(files).map(|(path, bytes)| File {
        path: path.to_owned(),
        bytes: bytes.len(),
        digest: Digest::of(&bytes).to_string(),
    });
    Report {
        reference: None,
        digest: None,
        package: None,
        created: None,
        files: files.collect(),
        operators,
        signatures: Vec::new(),
        manifest,
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::default();
    let manifest = &report.manifest;
    let version = Some(manifest.version.to_string());
    let name = Some(manifest.name.clone());
    let named = [
        ("artifact", &report.reference),
        (
            "package",
            report.package.as_ref().map_or(&name, |_| &report.package),
        ),
        ("version", &version),
        ("description", &manifest.description),
        ("licence", &manifest.licenses),
        ("vendor", &manifest.vendor),
        ("source", &manifest.source),
        ("made from", &manifest.origin),
        ("created", &report.created),
        ("backend", &manifest.backend),
        ("target", &manifest.target),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            table.row(name, value);
        }
    }
    for (option, value) in &manifest.run {
        table.row("run", format!("{option} = {value}"));
    }
    table.row("format", manifest.model.format.as_str());
    for File {
        path,
        bytes,
        digest,
    } in &report.files
    {
        table.row("file", format!("{path}, {bytes} bytes, {digest}"));
    }
    for (which, ports) in [("takes", &manifest.inputs), ("gives", &manifest.outputs)] {
        for each in ports {
            table.row(which, port(each));
        }
    }
    for (key, value) in &manifest.metadata {
        table.row("metadata", format!("{key} = {value}"));
    }
    if !report.operators.is_empty() {
        let operators = report.operators.iter();
        let operators = operators.map(|(name, count)| format!("{name} x{count}"));
        table.row("operators", operators.collect::<Vec<_>>().join(", "));
    }
    for claim in &report.signatures {
        claim.tell(&mut table);
    }
    table
}

fn port(port: &ModelPort) -> String {
    let shape = port.shape.iter().map(|dimension| match dimension {
        ModelDimension::Fixed(size) => size.to_string(),
        ModelDimension::Named(name) => name.clone(),
    });
    let shape: Vec<_> = shape.collect();
    format!("{} {}[{}]", port.name, port.kind, shape.join(", "))
}
