//! What an instance is made from: serialisable, and nothing else.
//!
//! A jailed worker process must be able to make the same instance from the same
//! specification, so nothing here refers to the running host.

mod grants;
mod limits;
mod running;
mod sampling;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::grants::{Endpoint, EndpointError, Grants};
pub use self::limits::{Limits, Overflow};
pub use self::running::{
    BATCH_WAIT_US_MAX, BackendChoice, BackendKind, Batching, Precision, Provider, RunOptions,
    Target,
};
pub use self::sampling::{CaptureOptions, Ratio, RatioError, ShadowOptions};

use crate::names::{Digest, ModelName, PluginName};

/// Everything that makes one instance of one plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Its name in the deployment.
    pub plugin: PluginName,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// What the plugin reads through `wasi:config`.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// What it may reach.
    pub grants: Grants,
    /// What it may cost.
    pub limits: Limits,
}

/// Models of a deployment by name.
pub type Models<T> = BTreeMap<ModelName, T>;
