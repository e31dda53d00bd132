//! Makes the parts of a document from its tree.
//!
//! Each part is read by itself, so that a fault in one hides none in another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::names::{ModelName, PluginName, Reference};
use crate::spec::{CaptureOptions, Grants, Models, ShadowOptions};

use super::component_source::FilePath;
use super::fault::{Collector, FaultKind};
use super::handed::Files;
use super::place::Places;
use super::probation::Probation;
use super::rules::{Granted, Rules};
use super::source::Source;
use super::version::Version;
use super::{DeploymentName, Model, Plugin, Site, free_table, piece};

/// What a document consists of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) name: DeploymentName,
    pub(crate) version: Version,
    pub(crate) plugins: BTreeMap<PluginName, Plugin>,
    pub(crate) models: Models<Model>,
    pub(crate) probation: Probation,
}

/// Reads one tree, after [`super::shape`] took out what does not fit.
#[derive(Debug)]
pub(crate) struct Reader<'a, 's> {
    rules: Rules<'a, 's>,
}

impl<'a, 's> Reader<'a, 's> {
    pub(crate) fn new(
        source: &'a Source,
        site: &'a Site,
        places: &'a Places,
        faults: &'a mut Collector<'s>,
    ) -> Self {
        let folder = source.file().parent().unwrap_or(Path::new(""));
        Self {
            rules: Rules::new(site, folder, places, faults),
        }
    }

    /// Its files are where `files` says.
    pub(crate) fn with_files(mut self, files: &'a Files) -> Self {
        self.rules.files = files;
        self
    }

    /// The parts, unless the name or version is wrong. A plugin or model that
    /// is wrong is left out and reported.
    pub(crate) fn read(mut self, mut root: DeTable<'_>) -> Option<Parts> {
        let name = self.field(&mut root, "name");
        let version = self.field(&mut root, "version");
        let (models, declared) = self.models(table(&mut root, "models"));
        self.rules.models = declared;
        let plugins = self.plugins(table(&mut root, "plugins"));
        let probation = self.field(&mut root, "probation").unwrap_or_default();
        self.rules.finish(&plugins);
        Some(Parts {
            name: name?,
            version: version?,
            plugins,
            models,
            probation,
        })
    }

    /// The models, and the names of all that are declared, faulty ones too.
    fn models(&mut self, models: DeTable<'_>) -> (Models<Model>, BTreeSet<ModelName>) {
        let mut declared = BTreeSet::new();
        let mut read = BTreeMap::new();
        for (key, value) in models {
            let name: Option<ModelName> = self.name(&key);
            let Some(mut fields) = into_table(value) else {
                continue;
            };
            let origins = ["artifact", "path"].map(|name| fields.contains_key(name));
            let artifact: Option<Reference> = self.field(&mut fields, "artifact");
            let path: Option<FilePath> = self.field(&mut fields, "path");
            let digest = self.field(&mut fields, "digest");
            let golden: Option<FilePath> = self.field(&mut fields, "golden");
            let backend = self.field(&mut fields, "backend");
            let target = self.field(&mut fields, "target");
            let run = self.field(&mut fields, "run");
            let shadow: Option<ShadowOptions> = self.field(&mut fields, "shadow");
            let capture: Option<CaptureOptions> = self.field(&mut fields, "capture");
            let Some(name) = name else { continue };
            if let Some(shadow) = &shadow {
                self.rules.shadow(&name, &shadow.model);
            }
            declared.insert(name.clone());
            let at = format!("models.{name}");
            if let Some(golden) = &golden {
                self.rules.golden(&at, golden);
            }
            self.rules.capture(&at, capture.as_ref());
            if !self.rules.model_origin(&at, origins) {
                continue;
            }
            match (&artifact, &path) {
                (Some(artifact), _) => self.rules.model_artifact(&at, artifact),
                (None, Some(path)) => self.rules.model_file(&at, path, digest),
                (None, None) => continue,
            }
            let model = Model {
                artifact,
                path,
                digest,
                golden,
                backend,
                target,
                run,
                shadow,
                capture,
            };
            read.insert(name, model);
        }
        (read, declared)
    }

    fn plugins(&mut self, plugins: DeTable<'_>) -> BTreeMap<PluginName, Plugin> {
        let mut read = BTreeMap::new();
        for (key, value) in plugins {
            let name: Option<PluginName> = self.name(&key);
            let Some(mut fields) = into_table(value) else {
                continue;
            };
            let component = self.field(&mut fields, "component");
            let digest = self.field(&mut fields, "digest");
            let config = free_table::read(&table(&mut fields, "config"), self.rules.faults);
            let (grants, granted) = self.grants(&mut fields);
            let limits = self.field(&mut fields, "limits").unwrap_or_default();
            let Some(name) = name else { continue };
            self.rules.count_plugin(&name);
            self.rules.grants(&name, &granted);
            self.rules.limits(&name, &limits);
            let Some(component) = component else { continue };
            self.rules.component(&name, &component, digest);
            let plugin = Plugin {
                component,
                digest,
                config,
                grants,
                limits,
            };
            read.insert(name, plugin);
        }
        read
    }

    /// The grants, and each entry of their lists with its place.
    fn grants(&mut self, fields: &mut DeTable<'_>) -> (Grants, Granted) {
        let Some(mut value) = fields.remove("grants") else {
            return Default::default();
        };
        let grants = piece::read(&mut value, self.rules.faults).unwrap_or_default();
        // What was refused is gone from the tree, so the two agree.
        let granted = Granted::new(&grants, value.get_ref());
        (grants, granted)
    }

    /// A field as its type reads it, if it is there and right.
    fn field<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, name: &str) -> Option<T> {
        piece::read(&mut table.remove(name)?, self.rules.faults)
    }

    fn name<T>(&mut self, key: &Spanned<DeString<'_>>) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let parsed = key.get_ref().parse();
        parsed
            .map_err(|error: T::Err| {
                let kind = FaultKind::Invalid(error.to_string());
                self.rules.faults.push(key.span().start, kind);
            })
            .ok()
    }
}

/// The table at `name`, taken out; empty if there is none.
fn table<'i>(within: &mut DeTable<'i>, name: &str) -> DeTable<'i> {
    let value = within.remove(name);
    value.and_then(into_table).unwrap_or_default()
}

fn into_table<'i>(value: Spanned<DeValue<'i>>) -> Option<DeTable<'i>> {
    match value.into_inner() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}
