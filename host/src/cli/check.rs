//! `selvedge check`: says what is wrong with configuration files, all of it,
//! without running anything.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::config::HostConfig;
use crate::deployment::document::fault::{Fault, FaultKind, Faults, plain};
use crate::deployment::document::source::Source;
use crate::deployment::document::{Document, Site};
use crate::names::{Digest, PluginName};

/// The exit code of a faulty configuration (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// Check deployment and host files without running them.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Deployment documents or host configurations; which, is seen from the
    /// fields at the top.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The host that the deployments are for, with its ceilings and plugin
    /// directories; without it, a host with the default ones.
    #[arg(long, value_name = "FILE")]
    pub host_config: Option<PathBuf>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}

/// What became of all files.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    files: Vec<Outcome>,
}

/// What became of one file.
#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    ok: bool,
    /// What it holds, unless it was refused.
    #[serde(flatten)]
    summary: Option<Summary>,
    faults: Vec<Fault>,
}

/// What a file without errors holds.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Summary {
    Deployment { plugins: usize, models: usize },
    Host,
}

/// Checks the files and writes what was found to `out`.
///
/// # Errors
///
/// Only if `out` cannot be written: faults are an exit code.
pub fn run(
    args: &CheckArgs,
    shipped: BTreeMap<PluginName, Digest>,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    let mut files = Vec::new();
    let mut host = HostConfig::default();
    if let Some(path) = &args.host_config {
        match read(path).and_then(|source| HostConfig::check(&source)) {
            Ok(checked) => host = checked.value,
            Err(faults) => files.push(Outcome::refused(path, faults)),
        }
    }
    let site = host.site(shipped);
    files.extend(args.files.iter().map(|path| Outcome::of(path, &site)));
    let ok = files.iter().all(|outcome| outcome.ok);
    let code = if ok { 0 } else { EXIT_CONFIG };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &Report { ok, files })?;
        writeln!(out)?;
    } else {
        for outcome in &files {
            outcome.write(out)?;
        }
    }
    Ok(ExitCode::from(code))
}

fn read(path: &Path) -> Result<Arc<Source>, Faults> {
    let source = Source::read(path).map_err(|fault| Faults(vec![fault]))?;
    Ok(Arc::new(source))
}

fn check(path: &Path, site: &Site) -> Result<(Summary, Vec<Fault>), Faults> {
    let source = read(path)?;
    match kind(&source)? {
        Kind::Deployment => {
            let checked = Document::check(&source, site)?;
            let summary = Summary::Deployment {
                plugins: checked.value.plugins.len(),
                models: checked.value.models.len(),
            };
            Ok((summary, checked.warnings))
        }
        Kind::Host => {
            let checked = HostConfig::check(&source)?;
            Ok((Summary::Host, checked.warnings))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deployment,
    Host,
}

/// Which kind of file it is: the one that has more of the fields at the top.
fn kind(source: &Source) -> Result<Kind, Faults> {
    let fields = source.top_level_fields()?;
    let count = |known: &[&str]| {
        let known = fields
            .iter()
            .filter(|field| known.contains(&field.as_str()));
        known.count()
    };
    let (deployment, host) = (count(&Document::FIELDS), count(&HostConfig::FIELDS));
    match deployment.cmp(&host) {
        std::cmp::Ordering::Greater => Ok(Kind::Deployment),
        std::cmp::Ordering::Less => Ok(Kind::Host),
        std::cmp::Ordering::Equal => Err(Faults(vec![Fault {
            location: source.start(),
            kind: Box::new(FaultKind::UnknownFile),
            help: Some(
                "a deployment has `name`, `version` and `[plugins]`; a host has `data_directory`, `[ceilings]` and others"
                    .to_owned(),
            ),
        }])),
    }
}

impl Outcome {
    fn of(path: &Path, site: &Site) -> Self {
        match check(path, site) {
            Ok((summary, warnings)) => Self {
                file: path.to_string_lossy().into_owned(),
                ok: true,
                summary: Some(summary),
                faults: warnings,
            },
            Err(faults) => Self::refused(path, faults),
        }
    }

    fn refused(path: &Path, faults: Faults) -> Self {
        Self {
            file: path.to_string_lossy().into_owned(),
            ok: false,
            summary: None,
            faults: faults.0,
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for fault in &self.faults {
            writeln!(out, "{fault}")?;
        }
        let Some(summary) = &self.summary else {
            return Ok(());
        };
        let mut parts = match summary {
            Summary::Deployment { plugins, models } => {
                vec![counted(*plugins, "plugin"), counted(*models, "model")]
            }
            Summary::Host => vec!["host configuration".to_owned()],
        };
        if !self.faults.is_empty() {
            parts.push(counted(self.faults.len(), "warning"));
        }
        writeln!(out, "{}: ok ({})", plain(&self.file), parts.join(", "))
    }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests;
