//! What a deployment would change: compared with what runs, part by part.
//!
//! Pure. A plan also says which rights widen: what a plugin's next version needs
//! that the running one did not, and what the document grants that it did not
//! grant before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{ModelName, PluginName};

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
    /// The same component, with other configuration, grants, limits or models.
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
}
