//! The configuration of a model artifact (CNCF ModelPack 1.0, config.md).
//!
//! For people, registries and other tools. It has no room for members of one's
//! own: what a host needs is in `model.toml`, a layer.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::foreign::{Cause, cause};
use crate::model_manifest::ModelManifest;

/// Bytes of a configuration.
const CONFIG_BYTES_MAX: usize = 256 << 10;
/// Layers listed.
const LAYERS_MAX: usize = 64;

/// The configuration of a model. What other tools write is read, too, as far as
/// it is of use here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// What it is.
    pub descriptor: ModelDescriptor,
    /// How it is written.
    pub config: ModelDetails,
    /// Its layers.
    pub modelfs: ModelLayers,
}

/// What a model is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDescriptor {
    /// When it was made (RFC 3339), if it says.
    #[serde(rename = "createdAt", skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its source is.
    #[serde(rename = "sourceURL", skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The licences (SPDX expressions).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// What it tells from what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How a model is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDetails {
    /// `onnx`, `openvino-ir`, `safetensors` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// The layers of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelLayers {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of their contents, in order. Of layers that are neither
    /// archived nor compressed, their own.
    #[serde(rename = "diffIds")]
    pub diff_ids: Vec<Digest>,
}

/// Why bytes are no configuration of a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelConfigError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes; {CONFIG_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not the JSON of a configuration.
    #[error("it is not well formed")]
    Malformed(#[source] Cause),
    /// Not layers, or too many.
    #[error("it does not list at most {LAYERS_MAX} layers")]
    Layers,
}

impl ModelConfig {
    /// Of a model with these layers.
    pub(crate) fn of(
        manifest: &ModelManifest,
        created: Option<String>,
        diff_ids: Vec<Digest>,
    ) -> Self {
        Self {
            descriptor: ModelDescriptor {
                created_at: created,
                name: Some(manifest.name.clone()),
                source_url: manifest.source.clone(),
                version: Some(manifest.version.to_string()),
                vendor: manifest.vendor.clone(),
                licenses: manifest.licenses.iter().cloned().collect(),
                description: manifest.description.clone(),
            },
            config: ModelDetails {
                format: Some(manifest.model.format.as_str().to_owned()),
            },
            modelfs: ModelLayers {
                kind: "layers".to_owned(),
                diff_ids,
            },
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// If it is too large or not one of a model.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelConfigError> {
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(ModelConfigError::TooLarge(bytes.len()));
        }
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| ModelConfigError::Malformed(cause(&error)))?;
        if config.modelfs.kind != "layers" || config.modelfs.diff_ids.len() > LAYERS_MAX {
            return Err(ModelConfigError::Layers);
        }
        Ok(config)
    }

    /// The bytes that are stored and pushed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("configurations are plain data")
    }
}
