//! Finds the place of a part of a document after it was read.

use std::collections::BTreeMap;

use crate::names::{ModelName, PluginName};

/// A part of a deployment document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The whole document.
    Document,
    Name,
    Version,
    Plugin(&'a PluginName),
    /// A key of a plugin: `component`, `digest`, `config`, `grants`, `limits`.
    PluginField(&'a PluginName, &'a str),
    /// A key at the top of a plugin's configuration.
    Config(&'a PluginName, &'a str),
    /// An entry of a plugin's grants; its list without an index.
    Grant(&'a PluginName, &'a str, Option<usize>),
    Limit(&'a PluginName, &'a str),
    Model(&'a ModelName),
    /// A key of a model: `path`, `digest`, `golden`, `backend`, `target`.
    ModelField(&'a ModelName, &'a str),
    Probation,
}

impl Place<'_> {
    /// As [`Places`] records it.
    fn path(&self) -> String {
        match self {
            Self::Document => String::new(),
            Self::Name => "name".to_owned(),
            Self::Version => "version".to_owned(),
            Self::Plugin(plugin) => format!("plugins.{plugin}"),
            Self::PluginField(plugin, field) => format!("plugins.{plugin}.{field}"),
            Self::Config(plugin, key) => format!("plugins.{plugin}.config.{key}"),
            Self::Grant(plugin, list, None) => format!("plugins.{plugin}.grants.{list}"),
            Self::Grant(plugin, list, Some(index)) => {
                format!("plugins.{plugin}.grants.{list}[{index}]")
            }
            Self::Limit(plugin, limit) => format!("plugins.{plugin}.limits.{limit}"),
            Self::Probation => "probation".to_owned(),
            Self::Model(model) => format!("models.{model}"),
            Self::ModelField(model, field) => format!("models.{model}.{field}"),
        }
    }
}

/// Where each key, table and array entry begins: tables at the last part of
/// their header, all else at the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(BTreeMap<String, usize>);

impl Places {
    pub(crate) fn record(&mut self, path: String, offset: usize) {
        self.0.insert(path, offset);
    }

    /// The place of a part, or of the nearest part around it that was written:
    /// a limit left to its default is at its plugin.
    pub(crate) fn offset(&self, place: Place<'_>) -> usize {
        self.nearest(&place.path())
    }

    pub(crate) fn is_written(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(crate) fn nearest(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(offset) = self.0.get(path) {
                return *offset;
            }
            let Some(end) = path.rfind(['.', '[']) else {
                return 0;
            };
            path = path.get(..end).unwrap_or_default();
        }
    }
}
