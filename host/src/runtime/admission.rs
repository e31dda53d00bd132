//! May this component run here with these grants? Decided before it is compiled.
//!
//! What is refused costs a reading of its bytes and nothing else. Whether its
//! publisher is trusted was decided before; whether it compiles is decided after.

use bytes::Bytes;
use selvedge_signing::VerifiedArtifact;

use super::component::{Described, describe};
use super::exports;
use super::prepared::PrepareError;
use crate::capabilities::{AdmitError, admit, admit_by_policy};
use crate::names::PluginName;
use crate::spec::InstanceSpec;

/// A verified component that fits its grants and the site's policy, and exports
/// what the host calls.
///
/// Only [`Admitted::check`] makes one:
///
/// ```compile_fail
/// # use bytes::Bytes;
/// # use selvedge::runtime::Admitted;
/// # use selvedge::spec::InstanceSpec;
/// # fn unchecked(spec: InstanceSpec, component: Bytes) {
/// let admitted = Admitted { spec, component };
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admitted {
    pub(super) spec: InstanceSpec,
    pub(super) component: Bytes,
}

impl Admitted {
    /// Reads what the component imports and exports, and compares it with what
    /// `spec` grants and what the policy leaves its package. Blocks.
    ///
    /// ```
    /// # use selvedge::runtime::{Admitted, PrepareError};
    /// # use selvedge::spec::InstanceSpec;
    /// # use selvedge_signing::VerifiedArtifact;
    /// # fn verified(spec: InstanceSpec, artifact: &VerifiedArtifact) -> Result<(), PrepareError> {
    /// let admitted = Admitted::check(spec, artifact)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If it is not what was verified or no component, and everything that it
    /// may not have.
    pub fn check(spec: InstanceSpec, artifact: &VerifiedArtifact) -> Result<Self, PrepareError> {
        let plugin = || spec.plugin.clone();
        if spec.digest != artifact.origin().component_digest() {
            return Err(PrepareError::Mistaken { plugin: plugin() });
        }
        let component = artifact.component().clone();
        let described = describe(&component).map_err(|source| PrepareError::Component {
            plugin: plugin(),
            source,
        })?;
        let refused = refused(&spec, &described, artifact.imports_allowed());
        if !refused.is_empty() {
            return Err(PrepareError::NotAdmitted(refused));
        }
        Ok(Self { spec, component })
    }

    /// Whose component it is.
    pub fn plugin(&self) -> &PluginName {
        &self.spec.plugin
    }
}

/// Everything that the component may not have or should have.
fn refused(
    spec: &InstanceSpec,
    described: &Described,
    allowed: Option<&[String]>,
) -> Vec<AdmitError> {
    let plugin = &spec.plugin;
    let imports = || described.summary.imports.iter().map(String::as_str);
    let mut refused = admit(plugin, imports(), &spec.grants);
    if let Some(allowed) = allowed {
        refused.extend(admit_by_policy(plugin, imports(), allowed));
    }
    let functions = &described.functions;
    let inbox = imports().any(|import| import.starts_with("selvedge:bus/inbox@"));
    let has = |name: &str| functions.iter().any(|function| function.name == name);
    refused.extend(exports::admit(plugin, inbox, has).err());
    let mistyped = functions.iter().filter(|function| !function.well_typed);
    refused.extend(mistyped.map(|function| AdmitError::Mistyped {
        plugin: plugin.clone(),
        export: function.name,
    }));
    refused
}

#[cfg(test)]
mod tests;
