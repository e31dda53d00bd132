//! A plugin ready to be started: found to fit its grants, compiled, linked.

use std::sync::Arc;

use selvedge_signing::VerifiedArtifact;
use wasmtime::component::{Component, InstancePre};

use super::admission::Admitted;
use super::component::ComponentError;
use super::engine::Engine;
use super::exports::Exports;
use super::instance::{CallError, Instance};
use super::precompiled::{CodeCache, CompileError};
use crate::capabilities::{AdmitError, PluginState, Services};
use crate::spec::InstanceSpec;

/// Refusals of one plugin that are told.
const REFUSALS_MAX: usize = 20;

/// Why a plugin cannot be started at all.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("plugin `{plugin}` is made from no component that can be read")]
    Component {
        plugin: crate::names::PluginName,
        source: ComponentError,
    },
    #[error("plugin `{plugin}` cannot be compiled")]
    Compile {
        plugin: crate::names::PluginName,
        source: CompileError,
    },
    #[error("plugin `{plugin}` is to be made from something other than what was verified")]
    Mistaken { plugin: crate::names::PluginName },
    #[error("{}", list(.0))]
    NotAdmitted(Vec<AdmitError>),
    #[error("plugin `{plugin}` imports something in a form that this host does not offer")]
    Link {
        plugin: crate::names::PluginName,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn list(errors: &[AdmitError]) -> String {
    let told = errors.iter().take(REFUSALS_MAX).map(ToString::to_string);
    let told = told.collect::<Vec<_>>().join("; ");
    match errors.len().saturating_sub(REFUSALS_MAX) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

impl PrepareError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Component { .. } => "component-unreadable",
            Self::Compile { .. } => "plugin-not-compiled",
            Self::Mistaken { .. } => "digest-mistaken",
            Self::NotAdmitted(errors) => errors.first().map_or("not-admitted", AdmitError::code),
            Self::Link { .. } => "plugin-not-linked",
        }
    }
}

/// A plugin ready to be started, as often as need be.
#[derive(Clone)]
pub struct Prepared {
    pub(super) spec: Arc<InstanceSpec>,
    pub(super) pre: InstancePre<PluginState>,
    pub(super) exports: Exports,
    // While one plugin runs it, others of the same component share its code.
    _component: Arc<Component>,
    // Whoever can run a guest keeps the clock that preempts it going.
    _engine: Engine,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("plugin", &self.spec.plugin)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// Admits, compiles and links what was verified. Nothing of it runs. Blocks.
    ///
    /// There is no other way to code that runs, and bytes alone are not enough:
    ///
    /// ```compile_fail
    /// # use selvedge::runtime::{CodeCache, Engine, Prepared};
    /// # use selvedge::spec::InstanceSpec;
    /// # fn unverified(engine: &Engine, cache: &CodeCache, spec: InstanceSpec, bytes: &[u8]) {
    /// let prepared = Prepared::new(engine, cache, spec, bytes);
    /// # }
    /// ```
    ///
    /// ```
    /// # use selvedge::runtime::{CodeCache, Engine, Prepared};
    /// # use selvedge::spec::InstanceSpec;
    /// # use selvedge_signing::VerifiedArtifact;
    /// # fn verified(engine: &Engine, cache: &CodeCache, spec: InstanceSpec, artifact: &VerifiedArtifact) {
    /// let prepared = Prepared::new(engine, cache, spec, artifact);
    /// # }
    /// ```
    pub fn new(
        engine: &Engine,
        cache: &CodeCache,
        spec: InstanceSpec,
        artifact: &VerifiedArtifact,
    ) -> Result<Self, PrepareError> {
        Self::compile(engine, cache, Admitted::check(spec, artifact)?)
    }

    /// Compiles and links what was admitted. Nothing of it runs. Blocks.
    pub fn compile(
        engine: &Engine,
        cache: &CodeCache,
        admitted: Admitted,
    ) -> Result<Self, PrepareError> {
        let Admitted { spec, component } = admitted;
        let plugin = || spec.plugin.clone();
        let compiled = cache.component(engine, &component);
        let component = compiled.map_err(|source| PrepareError::Compile {
            plugin: plugin(),
            source,
        })?;
        let exports = Exports::of(&component);
        let pre = engine
            .linker()
            .instantiate_pre(&component)
            .map_err(|error| PrepareError::Link {
                plugin: plugin(),
                source: error.into(),
            })?;
        Ok(Self {
            spec: Arc::new(spec),
            pre,
            exports,
            _component: component,
            _engine: engine.clone(),
        })
    }

    /// What it was made from.
    pub fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    /// What it exports.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// A new instance, not yet initialised. Runs the guest's start functions.
    pub async fn instantiate(&self, services: Services) -> Result<Instance, CallError> {
        Instance::new(self, services).await
    }
}
