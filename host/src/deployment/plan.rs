//! What a deployment would change: compared with what runs, part by part.
//!
//! Pure: what the components and manifests say is handed in. A plan also says
//! which rights widen ([`super::rights`]): what a plugin's next version needs
//! that the running one did not, and what the document grants that it did not
//! grant before. A plan prints as people read it.

mod compare;
mod print;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use selvedge_artifact::Want;
use selvedge_signing::VerifiedArtifact;
use serde::{Deserialize, Serialize};

use super::document::place::Place;
use super::document::{Document, Model};
use super::report::FaultReport;
use super::rights;
use crate::inference::ModelSource;
use crate::names::{Digest, ModelName, PluginName};
use crate::runtime::component::{self, ComponentError};
use crate::spec::{BackendChoice, RunOptions, ShadowOptions, Target};

pub use compare::compare;

/// One of two deployments that are compared.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it is.
    pub document: &'a Document,
    /// What its components and their manifests say.
    pub plugins: &'a BTreeMap<PluginName, Needs>,
    /// What its models are.
    pub models: &'a BTreeMap<ModelName, ModelNeeds>,
}

/// What a plugin's component and its signed manifest say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// SHA-256 of the component.
    pub component: Digest,
    /// SHA-256 of the artifact's manifest, which is what was signed.
    pub artifact: Digest,
    /// Its version, as signed.
    pub version: String,
    /// What the component imports.
    pub imports: Vec<String>,
    /// What the plugin's manifest wants, and why.
    pub wants: Vec<Want>,
}

/// What a model is. One that differs in any of this is another model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelNeeds {
    /// SHA-256 of its file.
    pub file: Digest,
    /// SHA-256 of the file with the vector that it must reproduce.
    pub golden: Option<Digest>,
    /// The library that runs it.
    pub backend: BackendChoice,
    /// Where it is to run.
    pub target: Target,
    /// How it is to run.
    pub run: RunOptions,
    /// Of an artifact, all that is asked of it: under another name it is to be
    /// verified anew, and what is not asked, its manifest says.
    #[serde(skip)]
    pub artifact: Option<Model>,
    /// What is tried out beside it: of this, another does not make another model.
    pub shadow: Option<ShadowOptions>,
}

impl Needs {
    /// Of what was verified. Reads its component; blocks.
    ///
    /// # Errors
    ///
    /// If the component cannot be read.
    pub fn of(artifact: &VerifiedArtifact) -> Result<Self, ComponentError> {
        let origin = artifact.origin();
        let manifest = artifact.config().plugin.as_ref();
        Ok(Self {
            component: origin.component_digest(),
            artifact: origin.digest(),
            version: origin.version().to_string(),
            imports: component::summary(artifact.component())?.imports,
            wants: manifest.map_or_else(Vec::new, |manifest| manifest.wants.clone()),
        })
    }
}

impl ModelNeeds {
    /// Of a model that was read; `golden` is the digest of its vector's file.
    pub fn of(source: &ModelSource, golden: Option<Digest>) -> Self {
        Self {
            file: source.digest,
            golden,
            backend: source.backend,
            target: source.target,
            run: source.options,
            artifact: None,
            shadow: None,
        }
    }

    /// Whether it is the same model.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let shadow = self.shadow.clone();
        *self
            == Self {
                shadow,
                ..other.clone()
            }
    }
}

/// What a deployment would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Every plugin of the running and of the new deployment, by name.
    pub plugins: Vec<PluginChange>,
    /// Models that are added, replaced or removed, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelChange>,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there.
    Added,
    /// Another component runs.
    Replaced,
    /// The same component, with other configuration, grants, limits or models; the
    /// same model, with another one to be tried out beside it.
    Reconfigured,
    /// It is no longer there.
    Removed,
    /// Nothing is done to it.
    Untouched,
}

/// What becomes of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginChange {
    /// The plugin.
    pub plugin: PluginName,
    /// What becomes of it.
    pub change: Change,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version that would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What differs, in words: `config.threshold`, `grants.publish`, `model oven`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// Rights that it would have or need and that it did not before. For a
    /// plugin that is added, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widens: Vec<Right>,
}

/// What becomes of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelChange {
    /// The model.
    pub model: ModelName,
    /// What becomes of it.
    pub change: Change,
    /// For one that is replaced: what becomes of the plugins that use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<ModelSwap>,
}

impl ModelChange {
    /// Whether it has to be loaded.
    pub(super) fn loads(&self) -> bool {
        !matches!(self.change, Change::Untouched | Change::Reconfigured)
    }

    /// As far as the documents say.
    pub(super) fn undecided(model: &ModelName, change: Change) -> Self {
        Self {
            model: model.clone(),
            change,
            swap: (change == Change::Replaced).then_some(ModelSwap::Undecided),
        }
    }
}

/// What becomes of the plugins that use a model when another takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSwap {
    /// It is not known before the model is loaded. If it takes and gives what the
    /// one before it does, they go on undisturbed; else they are swapped with it.
    Undecided,
    /// They go on undisturbed: it takes and gives the same.
    InPlace,
    /// They are swapped with it: it takes or gives something else.
    WithPlugins,
}

/// Something that a plugin may do, or needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Right {
    /// Of which kind: `import`, `publish`, `subscribe`, `tcp`, `udp`, `model`,
    /// `keyvalue_bytes_max`, or a limit by its name.
    pub kind: String,
    /// Which: `command/#`, `wasi:sockets/tcp`, `4194304`.
    pub what: String,
    /// Whose word it is: the component's imports, its manifest's wishes, or the
    /// document's grants.
    pub by: Asker,
    /// Whether the document grants it. What is needed, was not needed before and
    /// is not granted refuses the deployment.
    pub granted: bool,
    /// Why the plugin wants it, by its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whose word a right is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Asker {
    /// The component imports it.
    Component,
    /// The plugin's manifest wants it.
    Manifest,
    /// The document grants it.
    Document,
}

impl Plan {
    /// Whether anything is done at all.
    pub fn changes_anything(&self) -> bool {
        let touched = |change: Change| change != Change::Untouched;
        self.plugins.iter().any(|plugin| touched(plugin.change))
            || self.models.iter().any(|model| touched(model.change))
    }

    /// Now it is known which models take the places of others `in_place`. Returns
    /// the plugins that would have been touched for no other reason.
    pub(super) fn settle(&mut self, in_place: &BTreeSet<ModelName>) -> BTreeSet<PluginName> {
        for model in &mut self.models {
            if model.change == Change::Replaced {
                model.swap = Some(if in_place.contains(&model.model) {
                    ModelSwap::InPlace
                } else {
                    ModelSwap::WithPlugins
                });
            }
        }
        let words: BTreeSet<_> = in_place.iter().map(compare::model_differs).collect();
        let mut spared = BTreeSet::new();
        for plugin in &mut self.plugins {
            let before = plugin.differs.len();
            plugin.differs.retain(|word| !words.contains(word));
            let only = plugin.differs.is_empty() && plugin.differs.len() < before;
            if only && plugin.change == Change::Reconfigured {
                plugin.change = Change::Untouched;
                spared.insert(plugin.plugin.clone());
            }
        }
        spared
    }

    /// Rights that an upgrade needs, that what runs did not need, and that the
    /// document does not grant. A plugin that is added is no upgrade: its wants
    /// are wishes.
    pub fn refused(&self) -> Vec<(PluginName, Right)> {
        let of = |change: &PluginChange| {
            let rights = change.widens.iter().filter(|right| !right.granted);
            let named = rights.map(|right| (change.plugin.clone(), right.clone()));
            named.collect::<Vec<_>>()
        };
        let is_upgrade = |change: &&PluginChange| {
            matches!(change.change, Change::Replaced | Change::Reconfigured)
        };
        self.plugins
            .iter()
            .filter(is_upgrade)
            .flat_map(of)
            .collect()
    }

    /// The same as faults of `document`, which is the new one: each says which
    /// line would grant it.
    pub fn faults(&self, document: &Document) -> Vec<FaultReport> {
        let fault = |(plugin, right): (PluginName, Right)| {
            let list = rights::list_for(&right);
            let granted = document.plugins.get(&plugin).map(|plugin| &plugin.grants);
            let place = Place::Grant(&plugin, list.unwrap_or_default(), None);
            FaultReport {
                code: rights::WIDENED.to_owned(),
                message: rights::message(&plugin, &right),
                place: Some(document.place_of(place).to_string()),
                help: Some(rights::help(&plugin, &right, granted)),
                plugin: Some(plugin),
            }
        };
        self.refused().into_iter().map(fault).collect()
    }
}

#[cfg(test)]
mod tests;
