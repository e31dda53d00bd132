//! The configuration of a Wasm artifact (CNCF TAG Runtime, Wasm OCI Artifact
//! layout), with the plugin's manifest as one member more.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::foreign::{Cause, cause, cut};
use crate::plugin_manifest::{PluginManifest, PluginManifestError};

/// Bytes of a configuration.
const CONFIG_BYTES_MAX: usize = 256 << 10;
/// Imports and exports listed.
const NAMES_MAX: usize = 1000;

/// The configuration of a Wasm artifact. What other tools write without
/// `plugin` is read too: such an artifact simply says nothing about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WasmConfig {
    /// When it was built (RFC 3339), if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Always `wasm`.
    pub architecture: String,
    /// `wasip2` for components; `wasip1` is for modules, which do not run here.
    pub os: String,
    /// The digests of the layers, in order.
    #[serde(default)]
    pub layer_digests: Vec<Digest>,
    /// What the component imports and exports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentSummary>,
    /// The plugin's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginManifest>,
}

/// What a component imports and exports, by name. A hint for people and
/// registries: what counts is what the component itself says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSummary {
    /// `selvedge:plugin/subscriber@0.1.0` and the like.
    #[serde(default)]
    pub exports: Vec<String>,
    /// `selvedge:bus/publisher@0.1.0` and the like.
    #[serde(default)]
    pub imports: Vec<String>,
    /// The world, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Why bytes are no configuration of a Wasm artifact.
#[derive(Debug, thiserror::Error)]
pub enum WasmConfigError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes; {CONFIG_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not the JSON of a configuration.
    #[error("it is not well formed")]
    Malformed(#[source] Cause),
    /// Not for WebAssembly components.
    #[error("it is for `{architecture}` and `{os}`; only components run here, `wasm` and `wasip2`")]
    Platform {
        /// The architecture that it names.
        architecture: String,
        /// The system that it names.
        os: String,
    },
    /// A list is longer than is looked at.
    #[error("it lists more than {NAMES_MAX} layers, imports or exports")]
    TooMany,
    /// The plugin's manifest says what no plugin may say.
    #[error("its plugin manifest is refused")]
    Plugin(#[from] PluginManifestError),
}

impl WasmConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// If it is too large or not one for components.
    pub fn parse(bytes: &[u8]) -> Result<Self, WasmConfigError> {
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(WasmConfigError::TooLarge(bytes.len()));
        }
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| WasmConfigError::Malformed(cause(&error)))?;
        if config.architecture != "wasm" || config.os != "wasip2" {
            return Err(WasmConfigError::Platform {
                architecture: cut(&config.architecture),
                os: cut(&config.os),
            });
        }
        let listed = config.component.iter();
        let mut lengths = listed
            .flat_map(|component| [component.exports.len(), component.imports.len()])
            .chain([config.layer_digests.len()]);
        if lengths.any(|length| length > NAMES_MAX) {
            return Err(WasmConfigError::TooMany);
        }
        if let Some(plugin) = &config.plugin {
            plugin.check()?;
        }
        Ok(config)
    }

    /// The bytes that are stored and pushed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("configurations are plain data")
    }
}
