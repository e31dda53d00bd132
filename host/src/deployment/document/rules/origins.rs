//! Where components, models and golden vectors come from: named once, pinned, there,
//! of the size and digest they should have.

use std::path::Path;

use super::Rules;
use crate::deployment::document::component_source::{ComponentSource, FilePath};
use crate::deployment::document::fault::FaultKind;
use crate::deployment::document::handed::Files;
use crate::deployment::document::{files, suggest};
use crate::names::{Digest, PluginName, Reference};

/// Bytes in a component's file.
const COMPONENT_BYTES_MAX: u64 = 256 << 20;

/// Bytes in a model's file.
const MODEL_BYTES_MAX: u64 = 2 << 30;

impl Rules<'_, '_> {
    pub(crate) fn component(
        &mut self,
        plugin: &PluginName,
        component: &ComponentSource,
        digest: Option<Digest>,
    ) {
        let at = format!("plugins.{plugin}");
        match component {
            ComponentSource::File(path) => {
                let directories = &self.site.plugin_directories;
                let found = self.files.find(path, self.folder, directories);
                let file = files::File {
                    what: "component",
                    path: found.as_deref().unwrap_or(path.as_path()),
                    shown: self.shown(path, found.as_deref()),
                    bytes_max: COMPONENT_BYTES_MAX,
                };
                self.file(&at, "component", &file, digest);
            }
            ComponentSource::Artifact(reference) if reference.digest().is_none() => {
                let offset = self.places.nearest(&format!("{at}.component"));
                let help = format!("`selvedge pull {reference}` says which digest it has");
                let kind = FaultKind::NotPinned(reference.to_string());
                self.faults.push_with(offset, kind, Some(help));
            }
            ComponentSource::Artifact(_) => {}
            ComponentSource::Shipped(name) => match (self.site.shipped.get(name), digest) {
                (None, _) => {
                    let names = self.site.shipped.keys().map(PluginName::as_str);
                    let help = suggest::or_list(name.as_str(), names);
                    let kind = FaultKind::UnknownShipped(name.to_string());
                    let offset = self.places.nearest(&format!("{at}.component"));
                    self.faults.push_with(offset, kind, help);
                }
                (Some(found), Some(expected)) if *found != expected => {
                    let kind = FaultKind::DigestMismatch {
                        what: "component",
                        path: String::from(component.clone()),
                        found: found.to_string(),
                        expected: expected.to_string(),
                    };
                    let offset = self.places.nearest(&format!("{at}.digest"));
                    self.faults.push(offset, kind);
                }
                _ => {}
            },
        }
    }

    /// A model comes from one place: from an artifact or from a file.
    pub(crate) fn model_origin(&mut self, at: &str, given: [bool; 2]) -> bool {
        let why = match given {
            [true, true] => "names both `artifact` and `path`: one of them is wanted",
            [false, false] => "names neither `artifact` nor `path`",
            _ => return true,
        };
        let kind = FaultKind::Invalid(format!("`{at}` {why}"));
        self.faults.push(self.places.nearest(at), kind);
        false
    }

    pub(crate) fn model_artifact(&mut self, at: &str, reference: &Reference) {
        if reference.digest().is_none() {
            let offset = self.places.nearest(&format!("{at}.artifact"));
            let help = format!("`selvedge pull {reference}` says which digest it has");
            let kind = FaultKind::NotPinned(reference.to_string());
            self.faults.push_with(offset, kind, Some(help));
        }
    }

    pub(crate) fn model_file(&mut self, at: &str, path: &FilePath, digest: Option<Digest>) {
        let found = self.files.find(path, self.folder, &[]);
        let found = found.unwrap_or_else(|| path.within(self.folder));
        let file = files::File {
            what: "model",
            path: &found,
            shown: self.shown(path, Some(&found)),
            bytes_max: MODEL_BYTES_MAX,
        };
        self.file(at, "path", &file, digest);
    }

    pub(crate) fn golden(&mut self, at: &str, path: &FilePath) {
        let found = self.files.find(path, self.folder, &[]);
        let found = found.unwrap_or_else(|| path.within(self.folder));
        let file = files::File {
            what: "golden vector",
            path: &found,
            shown: self.shown(path, Some(&found)),
            bytes_max: MODEL_BYTES_MAX,
        };
        self.file(at, "golden", &file, None);
    }

    /// A file in the store is called what the document calls it.
    fn shown<'p>(&self, path: &'p FilePath, found: Option<&'p Path>) -> &'p Path {
        match self.files {
            Files::Beside => found.unwrap_or(path.as_path()),
            Files::Handed(..) => path.as_path(),
        }
    }

    /// Reports at the digest what is wrong with it, else at the field.
    fn file(&mut self, at: &str, field: &str, file: &files::File<'_>, digest: Option<Digest>) {
        let Some(kind) = file.fault(digest) else {
            return;
        };
        let field = match kind {
            FaultKind::DigestMismatch { .. } => "digest",
            _ => field,
        };
        let offset = self.places.nearest(&format!("{at}.{field}"));
        self.faults.push(offset, kind);
    }
}
