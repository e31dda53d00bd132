//! A document with the files that it names, judged as far as that goes without
//! knowing the host: the same checks as `selvedge check`, but for ceilings and
//! for which plugins are shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::files::complain;
use crate::deployment::document::ceilings::{Ceilings, PluginCeilings};
use crate::deployment::document::fault::{Fault, FaultKind, Faults, Severity};
use crate::deployment::document::handed::files_named;
use crate::deployment::document::source::Source;
use crate::deployment::document::{Document, Site};

/// What shipped components are called in faults.
const SHIPPED: &str = "shipped:";

/// A document that can be sent.
#[derive(Clone, Debug)]
pub(in crate::cli::operate) struct Package {
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// The files by the paths that the document gives them.
    pub(super) files: BTreeMap<String, PathBuf>,
    warnings: Vec<Fault>,
}

impl Package {
    /// Reads the document and looks at the files that it names.
    ///
    /// # Errors
    ///
    /// All faults that can be told from here, if any is an error.
    pub(in crate::cli::operate) fn read(file: &Path) -> Result<Self, Faults> {
        let source = Source::read(file).map_err(|fault| Faults(vec![fault]))?;
        Self::of(file, Arc::new(source))
    }

    fn of(file: &Path, source: Arc<Source>) -> Result<Self, Faults> {
        let faults = match Document::check(&source, &any_site()) {
            Ok(checked) => checked.warnings,
            Err(faults) => faults.0,
        };
        let faults: Vec<_> = faults.into_iter().filter(is_ours).collect();
        if faults
            .iter()
            .any(|fault| fault.severity() == Severity::Error)
        {
            return Err(Faults(faults));
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let named = files_named(&source)?.into_iter();
        let files = named.map(|path| {
            let found = folder.join(&path);
            (path, found)
        });
        Ok(Self {
            file: file.to_owned(),
            files: files.collect(),
            text: source.text().to_owned(),
            warnings: faults,
        })
    }

    /// Says what is doubtful about it.
    pub(super) fn warn(&self) {
        for warning in &self.warnings {
            complain(warning);
        }
    }
}

/// The document at `file` and the files that it names, as far as it can be read.
pub(super) fn paths(file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let source = Source::read(file).ok();
    let named = source.and_then(|source| files_named(&source).ok());
    let named = named.unwrap_or_default().into_iter();
    let named = named.map(|path| folder.join(path));
    std::iter::once(file.to_owned()).chain(named).collect()
}

/// A site that has no bounds.
fn any_site() -> Site {
    let (most, few) = (NonZeroU64::MAX, NonZeroU32::MAX);
    Site {
        ceilings: Ceilings {
            plugins_max: few,
            memory_bytes_max: most,
            plugin: PluginCeilings {
                memory_bytes_max: most,
                table_elements_max: few,
                resources_max: few,
                call_ms_max: few,
                batch_messages_max: few,
                inbox_messages_max: few,
                inbox_bytes_max: most,
                publish_per_s_max: few,
                log_lines_per_s_max: few,
                retries_max: u32::MAX,
                restarts_max: u32::MAX,
                tensor_bytes_max: most,
            },
        },
        message_bytes_max: 0,
        shipped: BTreeMap::new(),
        plugin_directories: Vec::new(),
        uplinks: BTreeSet::new(),
    }
}

/// Whether a fault is one of the document, not of a site without shipped plugins.
fn is_ours(fault: &Fault) -> bool {
    match fault.kind.as_ref() {
        FaultKind::UnknownShipped(_) => false,
        FaultKind::DigestMismatch { path, .. } => !path.starts_with(SHIPPED),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::Package;

    const DOCUMENT: &str = r#"name = "line"
version = "1.0.0"

[plugins.first]
component = "parts/echo.wasm"
limits = { memory_bytes_max = 1099511627776 }

[plugins.second]
component = "shipped:something"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
grants = { models = ["oven"] }

[models.oven]
path = "oven.onnx"
golden = "oven.json"
"#;

    fn read(document: &str) -> Result<Package, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs_err::create_dir(file("parts")).unwrap();
        for name in ["parts/echo.wasm", "oven.onnx", "oven.json"] {
            fs_err::write(file(name), name).unwrap();
        }
        fs_err::write(file("line.toml"), document).unwrap();
        Package::read(&file("line.toml")).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_document_brings_the_files_that_it_names_whatever_the_host_may_grant() {
        let package = read(DOCUMENT).unwrap();
        let files: Vec<_> = package.files.keys().map(String::as_str).collect();
        assert_eq!(files, ["oven.json", "oven.onnx", "parts/echo.wasm"]);
        assert_eq!(package.text, DOCUMENT);
    }

    #[test]
    fn faults_that_need_no_host_are_found_without_one() {
        for (right, wrong, fault) in [
            ("[plugins.first]", "[plugins.first", ":4:15: error: "),
            (
                "limits = {",
                "limit = {",
                ":6:1: error: unknown field `limit`",
            ),
            (
                "parts/echo.wasm",
                "echo.wasm",
                ":5:13: error: cannot find component",
            ),
            (
                "\"oven.json\"",
                "\"gold\"",
                ":15:10: error: cannot find golden vector",
            ),
            ("\"oven\"]", "\"open\"]", ":11:22: error: "),
        ] {
            let faults = read(&DOCUMENT.replacen(right, wrong, 1)).unwrap_err();
            assert!(faults.contains(fault), "{fault}: {faults}");
        }
    }
}
