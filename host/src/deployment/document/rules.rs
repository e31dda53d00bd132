//! What the parts of a document must be to each other and to the host.
//!
//! Each part is judged as it is read, and every fault is told with its place. What can
//! be said only when all parts are known is said in the end.

mod granted;
mod limits;
mod origins;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fault::{Collector, FaultKind};
use super::handed::Files;
use super::place::Places;
use super::{Plugin, Site, rings, suggest};
use crate::names::{ModelName, PartyName, PluginName};

pub(super) use self::granted::Granted;

/// Judges one document, part by part.
#[derive(Debug)]
pub(crate) struct Rules<'a, 's> {
    pub(crate) faults: &'a mut Collector<'s>,
    /// The models that the document has.
    pub(crate) models: BTreeSet<ModelName>,
    site: &'a Site,
    folder: &'a Path,
    pub(crate) files: &'a Files,
    places: &'a Places,
    models_granted: BTreeSet<String>,
    /// The models that are tried out beside others, by those others.
    shadows: BTreeMap<ModelName, ModelName>,
    plugins: u64,
    memory_bytes: u64,
}

impl<'a, 's> Rules<'a, 's> {
    pub(crate) fn new(
        site: &'a Site,
        folder: &'a Path,
        places: &'a Places,
        faults: &'a mut Collector<'s>,
    ) -> Self {
        Self {
            faults,
            models: BTreeSet::new(),
            site,
            folder,
            files: &Files::Beside,
            places,
            models_granted: BTreeSet::new(),
            shadows: BTreeMap::new(),
            plugins: 0,
            memory_bytes: 0,
        }
    }

    pub(crate) fn count_plugin(&mut self, plugin: &PluginName) {
        self.plugins += 1;
        let ceiling = u64::from(self.site.ceilings.plugins_max.get());
        // Once is enough, at the first plugin too many.
        if self.plugins == ceiling + 1 {
            let at = format!("plugins.{plugin}");
            let kind = FaultKind::Invalid(format!(
                "plugin `{plugin}` exceeds the host's ceiling of {ceiling} plugins"
            ));
            self.faults.push(self.places.nearest(&at), kind);
        }
        if self.site.uplinks.contains(&PartyName::from(plugin)) {
            let at = format!("plugins.{plugin}");
            let kind = FaultKind::Invalid(format!(
                "plugin `{plugin}` has the name of an uplink of the host"
            ));
            self.faults.push(self.places.nearest(&at), kind);
        }
    }

    /// `shadow` is to be tried out beside `model`; whether it is there is known in
    /// the end.
    pub(crate) fn shadow(&mut self, model: &ModelName, shadow: &ModelName) {
        self.shadows.insert(model.clone(), shadow.clone());
    }

    /// What can be said only after all plugins.
    pub(crate) fn finish(mut self, plugins: &BTreeMap<PluginName, Plugin>) {
        for (model, shadow) in std::mem::take(&mut self.shadows) {
            self.models_granted.insert(shadow.to_string());
            if shadow == model || !self.models.contains(&shadow) {
                let offset = self.places.nearest(&format!("models.{model}.shadow.model"));
                let others = self.models.iter().filter(|other| **other != model);
                let help = suggest::or_list(shadow.as_str(), others.map(ModelName::as_str));
                let (model, shadow) = (model.to_string(), shadow.to_string());
                let kind = FaultKind::UnknownShadow { model, shadow };
                self.faults.push_with(offset, kind, help);
            }
        }
        for model in &self.models {
            if !self.models_granted.contains(model.as_str()) {
                let offset = self.places.nearest(&format!("models.{model}"));
                let kind = FaultKind::UnusedModel(model.to_string());
                self.faults.push(offset, kind);
            }
        }
        // Of a document that is refused, there is enough to say.
        if !self.faults.has_errors() {
            rings::warn(plugins, self.places, self.faults);
        }
    }
}
