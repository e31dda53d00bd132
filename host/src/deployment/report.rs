//! What is told of deployments: to clients, to the journal, on the bus.
//!
//! Plain data, in one form everywhere. Nothing here decides anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::inference::{Chosen, Device, Exchanges, ModelSet};
use crate::names::{Digest, ModelName, PluginName};
use crate::spec::BackendKind;

/// The number of a deployment on this device, from 1, never used again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct DeploymentId(pub u64);

impl std::fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a deployment is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It waits for the one before it.
    Queued,
    /// Its artifacts are brought into the store.
    Pull,
    /// They are checked: may they run here?
    Verify,
    /// Their needs are compared with grants and policy.
    Admit,
    /// They become native code.
    Compile,
    /// Successors are started beside what runs.
    Prepare,
    /// Successors take over.
    Swap,
    /// It runs, and is watched.
    Probation,
    /// It stays. It is the active one until another is committed.
    Committed,
    /// It failed after the swap, or power was lost in its probation: what ran
    /// before runs again.
    RolledBack,
    /// It failed before the swap: what ran was not touched.
    Failed,
    /// A newer one took its place before it was committed.
    Superseded,
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Committed | Self::RolledBack | Self::Failed | Self::Superseded
        )
    }

    /// Whether anything of it may have run already.
    pub fn has_swapped(self) -> bool {
        matches!(self, Self::Swap | Self::Probation)
    }
}

/// Why a deployment was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// Someone handed in a document.
    Submitted,
    /// Someone asked for what another deployment was.
    RollBackTo {
        /// That deployment.
        deployment: DeploymentId,
    },
    /// Someone asked for another version of one plugin.
    SwapOf {
        /// The plugin.
        plugin: PluginName,
    },
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultReport {
    /// A stable name for it.
    pub code: String,
    /// What went wrong, with its causes.
    pub message: String,
    /// The plugin that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginName>,
    /// The place in the document: `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl std::fmt::Display for FaultReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "error: {} [{}]", self.message, self.code)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Which version of a plugin a deployment runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Installed {
    /// Where it comes from, as the document says.
    pub component: String,
    /// Its package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Who vouches for it.
    pub publisher: String,
    /// The digest of the artifact.
    #[schemars(with = "String")]
    pub artifact: Digest,
    /// The digest of the component.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// How one plugin changed hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwapReport {
    /// The plugin.
    pub plugin: PluginName,
    /// Microseconds in which nobody handled its messages.
    pub pause_us: u64,
    /// Bytes of state that were handed over; none if it hands over none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}

/// What computes a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComputedBy {
    /// The library: if the document leaves it open, it is chosen once. When the host
    /// starts again it takes no other, and no other part of it; another processor
    /// only for a model that merely prefers one.
    pub backend: BackendKind,
    /// By which part of it.
    pub provider: String,
    /// On which processor.
    pub device: Device,
}

impl std::fmt::Display for ComputedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let device = match self.device {
            Device::Cpu => "cpu",
            Device::Gpu => "gpu",
        };
        write!(
            f,
            "{} by {} on the {device}",
            self.backend.name(),
            self.provider
        )
    }
}

impl ComputedBy {
    /// Of all models that serve, or will with `next`.
    pub fn of(models: &ModelSet, next: &Exchanges) -> BTreeMap<ModelName, Self> {
        let of = |name: &ModelName| {
            let model = next.version_of(models.get(name)?);
            let Chosen {
                backend,
                provider,
                device,
            } = Chosen::of(&model);
            let by = Self {
                backend,
                provider,
                device,
            };
            Some((name.clone(), by))
        };
        models.names().filter_map(of).collect()
    }
}

impl From<&ComputedBy> for Chosen {
    fn from(by: &ComputedBy) -> Self {
        Self {
            backend: by.backend,
            provider: by.provider.clone(),
            device: by.device,
        }
    }
}

/// A deployment, from request to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentReport {
    /// Its number.
    pub id: DeploymentId,
    /// Its name, from the document.
    pub name: String,
    /// Its version, from the document.
    pub version: String,
    /// Why it was made.
    pub reason: Reason,
    /// Who asked for it: `uid 0`, or the identity of a client certificate.
    pub requested_by: String,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub requested_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Where it is, or how it ended.
    pub phase: Phase,
    /// Why it did not stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultReport>,
    /// What it changes; known once its components were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What it runs; known once verified.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<PluginName, Installed>,
    /// Its models, by the digest of their files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub models: BTreeMap<ModelName, Digest>,
    /// What computes its models; known once they were loaded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub computed_by: BTreeMap<ModelName, ComputedBy>,
    /// How its plugins changed hands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swaps: Vec<SwapReport>,
    /// SHA-256 of the document.
    #[schemars(with = "String")]
    pub document: Digest,
}

/// What happens to a deployment, as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// It entered a phase, or ended.
    Phase {
        /// The deployment.
        deployment: DeploymentId,
        /// The phase.
        phase: Phase,
    },
    /// Work on a plugin goes on: bytes of a pull, or 1 of 1 once compiled.
    Progress {
        /// The deployment.
        deployment: DeploymentId,
        /// The plugin or model.
        what: String,
        /// What is done to it.
        phase: Phase,
        /// How much is done.
        done: u64,
        /// Out of how much.
        total: u64,
    },
    /// A plugin changed hands.
    Swapped {
        /// The deployment.
        deployment: DeploymentId,
        /// How.
        swap: SwapReport,
    },
}
