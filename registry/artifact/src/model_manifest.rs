//! `model.toml`: what a model is called, what it takes and gives, and how it
//! wants to be run.
//!
//! It travels inside the artifact and so is signed with it. What only a host
//! understands, backends and how they are told, is kept as it is written; a
//! deployment may say otherwise.

mod bounds;

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::foreign::{Cause, cause};

pub(crate) use bounds::is_path;

/// Bytes of a manifest.
pub(crate) const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// A model's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// The second half of the package name.
    pub name: String,
    /// Its version (Semantic Versioning 2.0.0).
    pub version: Version,
    /// What it tells from what, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The licence (SPDX expression).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licenses: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Where what it was made with is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it was made from: the data, the model it was tuned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The library that should run it: `auto`, `tract`, `onnxruntime`, `openvino`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The processor it should run on: `cpu`, `gpu`, `gpu-preferred`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Files with inputs and the outputs that they must give. A host that
    /// computes otherwise does not serve it. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<String>,
    /// Files for people: `README.md`, `LICENSE`. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docs: Vec<String>,
    /// Its files.
    pub model: ModelFiles,
    /// How it should be run: `threads`, `concurrency`, `precision`, `provider`,
    /// `strict`, `batching`, as in a deployment.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub run: serde_json::Map<String, serde_json::Value>,
    /// What it takes. If given, a file that takes anything else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ModelPort>,
    /// What it gives; given together with `inputs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<ModelPort>,
    /// What plugins that run it may ask for: `labels` and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The files of a model, by their paths beside `model.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFiles {
    /// The model.
    pub file: String,
    /// In what form it is written.
    #[serde(default)]
    pub format: ModelFileFormat,
    /// The weights, where the form keeps them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

/// In what form a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelFileFormat {
    /// Open Neural Network Exchange, one file.
    #[default]
    Onnx,
    /// OpenVINO's intermediate representation: a description and its weights.
    OpenvinoIr,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPort {
    /// Its name in the file.
    pub name: String,
    /// What its numbers are: `fp32`, `fp16`, `fp64`, `bf16`, `u8`, `i32`, `i64`.
    #[serde(default = "single")]
    pub kind: String,
    /// Its dimensions; none for a single number.
    #[serde(default)]
    pub shape: Vec<ModelDimension>,
}

/// A dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModelDimension {
    /// Always this many.
    Fixed(u32),
    /// Decided by each run, for all dimensions of this name alike; `?` for one
    /// that is like no other.
    Named(String),
}

/// Why text is no model manifest.
#[derive(Debug, thiserror::Error)]
pub enum ModelManifestError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes; {MANIFEST_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not TOML, or not these fields.
    #[error("it is not well formed")]
    Malformed(#[source] Cause),
    /// A field has a value that it may not have.
    #[error("`{field}` is not acceptable: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn single() -> String {
    "fp32".to_owned()
}

impl ModelFileFormat {
    /// What model registries call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::OpenvinoIr => "openvino-ir",
        }
    }
}

impl ModelManifest {
    /// What its file is called, in an artifact and beside a model.
    pub const FILE: &str = "model.toml";

    /// Reads `model.toml`.
    ///
    /// # Errors
    ///
    /// If it is too large, not TOML, or says what no model may say.
    pub fn parse(text: &[u8]) -> Result<Self, ModelManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ModelManifestError::TooLarge(text.len()));
        }
        let text = std::str::from_utf8(text);
        let text = text.map_err(|error| ModelManifestError::Malformed(cause(&error)))?;
        let manifest = toml::from_str(text);
        let manifest: Self =
            manifest.map_err(|error| ModelManifestError::Malformed(cause(&error)))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Of a model whose artifact says no more of it than this.
    pub(crate) fn bare(name: &str, version: Version, file: &str) -> Self {
        Self {
            name: name.to_owned(),
            version,
            description: None,
            licenses: None,
            vendor: None,
            source: None,
            origin: None,
            backend: None,
            target: None,
            golden: Vec::new(),
            docs: Vec::new(),
            model: ModelFiles {
                file: file.to_owned(),
                format: ModelFileFormat::Onnx,
                weights: None,
            },
            run: serde_json::Map::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// The files of the artifact besides `model.toml`, in its order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let model = [Some(&self.model.file), self.model.weights.as_ref()];
        let others = self.golden.iter().chain(&self.docs);
        model
            .into_iter()
            .flatten()
            .chain(others)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
