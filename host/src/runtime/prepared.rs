//! A plugin ready to be started: compiled, found to fit its grants, linked.

use std::sync::Arc;

use selvedge_signing::VerifiedArtifact;
use wasmtime::component::{Component, InstancePre};

use super::engine::Engine;
use super::exports::Exports;
use super::instance::{CallError, Instance};
use super::precompiled::{CodeCache, CompileError};
use crate::capabilities::{AdmitError, PluginState, Services, admit, admit_by_policy};
use crate::spec::InstanceSpec;

/// Why a plugin cannot be started at all.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
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
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl PrepareError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
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
    /// Compiles, admits and links what was verified. Nothing of it runs. Blocks.
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
        let plugin = || spec.plugin.clone();
        if spec.digest != artifact.origin().component_digest() {
            return Err(PrepareError::Mistaken { plugin: plugin() });
        }
        let component = cache
            .component(engine, artifact.component())
            .map_err(|source| PrepareError::Compile {
                plugin: plugin(),
                source,
            })?;
        let component_type = component.component_type();
        let imports = component_type
            .imports(engine.wasmtime())
            .map(|(name, _)| name);
        let mut refused = admit(&spec.plugin, imports, &spec.grants);
        if let Some(allowed) = artifact.imports_allowed() {
            let imports = component_type.imports(engine.wasmtime());
            let imports = imports.map(|(name, _)| name);
            refused.extend(admit_by_policy(&spec.plugin, imports, allowed));
        }
        let exports = Exports::of(&component);
        let inbox = component_type
            .imports(engine.wasmtime())
            .any(|(name, _)| name.starts_with("selvedge:bus/inbox@"));
        refused.extend(exports.admit(&spec.plugin, inbox).err());
        if !refused.is_empty() {
            return Err(PrepareError::NotAdmitted(refused));
        }
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
