//! What the parts of a document must be to each other and to the host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use toml::de::DeValue;

use crate::names::{Digest, ModelName, PartyName, PluginName, Reference};
use crate::spec::{CaptureOptions, Grants, Limits};

use super::component_source::{ComponentSource, FilePath};
use super::fault::{Collector, FaultKind};
use super::handed::Files;
use super::place::Places;
use super::{Plugin, Site, files, rings, suggest};

/// Bytes in a component's file.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 256 << 20;

/// Bytes in a model's file.
pub(crate) const MODEL_BYTES_MAX: u64 = 2 << 30;

/// The entries of a plugin's grants, as text with their places.
#[derive(Debug, Default)]
pub(crate) struct Granted(BTreeMap<&'static str, Vec<(String, usize)>>);

impl Granted {
    pub(crate) fn new(grants: &Grants, tree: &DeValue<'_>) -> Self {
        let entries = [
            ("publish", texts(&grants.publish)),
            ("subscribe", texts(&grants.subscribe)),
            ("tcp", texts(&grants.tcp)),
            ("udp", texts(&grants.udp)),
            ("models", texts(&grants.models)),
        ];
        let placed = entries.map(|(list, texts)| {
            let written = tree.get(list).and_then(|list| list.get_ref().as_array());
            let offsets = written.into_iter().flat_map(|list| list.iter());
            let offsets = offsets.map(|entry| entry.span().start);
            (list, texts.into_iter().zip(offsets).collect())
        });
        Self(placed.into())
    }

    fn list(&self, name: &str) -> &[(String, usize)] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn texts<T: Clone + Into<String>>(entries: &[T]) -> Vec<String> {
    entries.iter().cloned().map(Into::into).collect()
}

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

    pub(crate) fn grants(&mut self, plugin: &PluginName, granted: &Granted) {
        for (list, entries) in &granted.0 {
            self.duplicates(list, entries);
        }
        for (filter, offset) in granted.list("publish") {
            let Some(why) = reserved(filter) else {
                continue;
            };
            let filter = filter.clone();
            self.faults
                .push(*offset, FaultKind::ReservedTopic { filter, why });
        }
        for (model, offset) in granted.list("models") {
            self.models_granted.insert(model.clone());
            let mut declared = self.models.iter().map(ModelName::as_str);
            if declared.any(|name| name == model) {
                continue;
            }
            let declared = self.models.iter().map(ModelName::as_str);
            let help = suggest::or_list(model, declared);
            let kind = FaultKind::UnknownModel {
                plugin: plugin.to_string(),
                model: model.clone(),
            };
            self.faults.push_with(*offset, kind, help);
        }
    }

    fn duplicates(&mut self, list: &'static str, entries: &[(String, usize)]) {
        let mut seen = BTreeSet::new();
        for (entry, offset) in entries {
            if !seen.insert(entry) {
                let entry = entry.clone();
                self.faults
                    .push(*offset, FaultKind::Duplicate { entry, list });
            }
        }
    }

    pub(crate) fn limits(&mut self, plugin: &PluginName, limits: &Limits) {
        let at = |limit: &str| format!("plugins.{plugin}.limits.{limit}");
        let ceilings = numbers(&self.site.ceilings.plugin);
        let asked = numbers(limits);
        for (limit, value) in &asked {
            let ceiling = ceilings.get(limit).copied().unwrap_or(u64::MAX);
            if *value > ceiling {
                let kind = FaultKind::AboveCeiling {
                    limit: limit.clone(),
                    value: *value,
                    ceiling,
                };
                let raise = format!("raise `ceilings.plugin.{limit}` in the host's configuration");
                let help = if self.places.is_written(&at(limit)) {
                    raise
                } else {
                    format!("that is its default: set `limits.{limit}`, or {raise}")
                };
                let offset = self.places.nearest(&at(limit));
                self.faults.push_with(offset, kind, Some(help));
            }
        }
        self.total_memory(plugin, limits.memory_bytes_max.get());
        let largest = self.site.message_bytes_max;
        if limits.inbox_bytes_max.get() < largest {
            let kind = FaultKind::Doubtful(format!(
                "`inbox_bytes_max` is {}, below the largest message of {largest} bytes: larger messages are never delivered",
                limits.inbox_bytes_max
            ));
            let offset = self.places.nearest(&at("inbox_bytes_max"));
            self.faults.push(offset, kind);
        }
        if limits.batch_messages_max > limits.inbox_messages_max {
            let kind = FaultKind::Doubtful(format!(
                "`batch_messages_max` is {}, above `inbox_messages_max`, {}: batches are never that large",
                limits.batch_messages_max, limits.inbox_messages_max
            ));
            let offset = self.places.nearest(&at("batch_messages_max"));
            self.faults.push(offset, kind);
        }
    }

    fn total_memory(&mut self, plugin: &PluginName, bytes: u64) {
        let ceiling = self.site.ceilings.memory_bytes_max.get();
        let before = self.memory_bytes;
        self.memory_bytes = before.saturating_add(bytes);
        if before <= ceiling && self.memory_bytes > ceiling {
            let at = format!("plugins.{plugin}.limits.memory_bytes_max");
            let kind = FaultKind::Invalid(format!(
                "with plugin `{plugin}` the sum of `memory_bytes_max` is {}, above the host's ceiling of {ceiling}",
                self.memory_bytes
            ));
            self.faults.push(self.places.nearest(&at), kind);
        }
    }

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

    /// `shadow` is to be tried out beside `model`; whether it is there is known in
    /// the end.
    pub(crate) fn shadow(&mut self, model: &ModelName, shadow: &ModelName) {
        self.shadows.insert(model.clone(), shadow.clone());
    }

    /// Where a model's runs are captured is a topic that the host lends to no one.
    pub(crate) fn capture(&mut self, at: &str, capture: Option<&CaptureOptions>) {
        let topic = capture.and_then(|capture| capture.topic.as_ref());
        if let Some(reason) = topic.and_then(|topic| reserved(topic.as_str())) {
            let offset = self.places.nearest(&format!("{at}.capture.topic"));
            let kind = FaultKind::Invalid(reason.to_owned());
            self.faults.push(offset, kind);
        }
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

/// Why nobody but the host may publish there, if so.
///
/// A filter that begins with a wildcard does not cover topics beginning with
/// `$` (MQTT 5.0 section 4.7.2), so only the first level decides.
fn reserved(filter: &str) -> Option<&'static str> {
    match filter.split('/').next() {
        Some("$selvedge") => Some("the host alone publishes under `$selvedge/`"),
        Some("$share") => Some("groups share subscriptions, not publications"),
        _ => None,
    }
}

/// The whole numbers of a flat structure by name.
fn numbers(of: &impl serde::Serialize) -> BTreeMap<String, u64> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_u64()?)))
            .collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{numbers, reserved};
    use crate::deployment::document::ceilings::PluginCeilings;
    use crate::spec::Limits;

    #[test]
    fn every_limit_has_a_ceiling_that_admits_its_default() {
        let ceilings = numbers(&PluginCeilings::default());
        let limits = numbers(&Limits::default());
        assert!(ceilings.keys().eq(limits.keys()));
        for (limit, value) in limits {
            assert!(value <= ceilings[&limit], "{limit}");
        }
    }

    #[test]
    fn only_the_first_level_reserves_a_topic() {
        for filter in ["$selvedge/#", "$selvedge", "$selvedge/log/a", "$share/g/a"] {
            assert!(reserved(filter).is_some(), "{filter}");
        }
        for filter in ["#", "+/state", "a/$selvedge/b", "$selvedges/a"] {
            assert!(reserved(filter).is_none(), "{filter}");
        }
    }
}
