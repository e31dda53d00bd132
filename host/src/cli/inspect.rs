//! `selvedge inspect`: what is it, and what does it want?
//!
//! It says what an artifact says of itself, and who claims to have signed it.
//! Whether that is true is the business of `selvedge verify`.

use std::path::Path;
use std::process::ExitCode;

use selvedge_artifact::{
    ArtifactKind, ComponentSummary, Manifest, Reference, WasmConfig, media_type,
};
use serde::Serialize;

use super::claims::Claim;
use super::failure::{Failure, Outcome};
use super::output::{Table, json};
use super::registry_options::RegistryOptions;
use super::verify;
use crate::runtime::component;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An artifact by its reference, or a component's file.
    #[arg(value_name = "REFERENCE|FILE")]
    what: String,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// What something is and wants.
#[derive(Debug, Default, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    component_bytes: usize,
    component: String,
    imports: Vec<String>,
    exports: Vec<String>,
    wants: Vec<Wanted>,
    /// What is attached: not verified.
    signatures: Vec<Claim>,
}

#[derive(Debug, Serialize)]
struct Wanted {
    kind: &'static str,
    what: String,
    why: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let file = Path::new(&args.what);
    let report = if file.is_file() {
        let component = fs_err::read(file)?;
        let summary = component::summary(&component);
        let summary = summary.map_err(|error| Failure::about(file, error))?;
        of_component(&component, summary)
    } else {
        let reference: Reference = args.what.parse().map_err(|error| {
            Failure::new(error, Some("there is no such file either".to_owned()))
        })?;
        of_artifact(&reference, &args.registry)?
    };
    if args.json {
        json(&report)?;
    } else {
        table(&report).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn of_component(bytes: &[u8], summary: ComponentSummary) -> Report {
    let ComponentSummary {
        imports, exports, ..
    } = summary;
    Report {
        component_bytes: bytes.len(),
        component: crate::names::Digest::of(bytes).to_string(),
        imports,
        exports,
        ..Report::default()
    }
}

fn of_artifact(reference: &Reference, options: &RegistryOptions) -> Outcome<Report> {
    let (digest, candidate) = verify::find(reference, options)?;
    let manifest = Manifest::parse(&candidate.manifest)?;
    if ArtifactKind::of(&manifest) == Some(ArtifactKind::Model) {
        return Err(Failure::new(
            format!("`{reference}` is a model"),
            Some(format!(
                "`selvedge model inspect {reference}` says what it is"
            )),
        ));
    }
    let component = candidate.component().cloned().unwrap_or_default();
    let summary = component::summary(&component)?;
    let mut report = of_component(&component, summary);
    let annotations = manifest.annotations;
    report.reference = Some(reference.with_digest(digest).to_string());
    report.digest = Some(digest.to_string());
    report.package = annotations.get(media_type::PACKAGE).cloned();
    report.version = annotations.get(media_type::VERSION).cloned();
    report.created = annotations.get(media_type::CREATED).cloned();
    if let Ok(WasmConfig {
        plugin: Some(plugin),
        ..
    }) = WasmConfig::parse(&candidate.config)
    {
        report.description = plugin.description;
        report.wants = plugin
            .wants
            .iter()
            .filter_map(|want| {
                let (kind, what) = want.wish()?;
                let why = want.why.clone();
                Some(Wanted { kind, what, why })
            })
            .collect();
    }
    report.signatures = Claim::all(&candidate);
    Ok(report)
}

fn table(report: &Report) -> Table {
    let mut table = Table::default();
    let named = [
        ("artifact", &report.reference),
        ("package", &report.package),
        ("version", &report.version),
        ("description", &report.description),
        ("created", &report.created),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            table.row(name, value);
        }
    }
    table.row("component", &report.component);
    table.row("bytes", report.component_bytes.to_string());
    for import in &report.imports {
        table.row("imports", import);
    }
    for export in &report.exports {
        table.row("exports", export);
    }
    for Wanted { kind, what, why } in &report.wants {
        table.row("wants", format!("{kind} {what}: {why}"));
    }
    for claim in &report.signatures {
        claim.tell(&mut table);
    }
    table
}
