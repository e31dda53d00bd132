//! What `host.toml` says of inference.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::Digest;
use crate::spec::Provider;

/// What inference may take, and with what it computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// Computations at once, over all plugins; each takes one core while it
    /// lasts. Further ones wait.
    pub slots_max: NonZeroU32,
    /// ONNX Runtime. Without it, models that ask for it are refused.
    pub onnxruntime: Option<OnnxruntimeConfig>,
    /// OpenVINO. Without it, models that ask for it are refused.
    pub openvino: Option<OpenvinoConfig>,
}

/// ONNX Runtime, from 1.22 on. `selvedge backends pin` writes this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnnxruntimeConfig {
    /// The library, `libonnxruntime.so.1.32.0` and the like: an absolute path, or
    /// relative to this file. Neither it nor a folder above it may be writable
    /// for others than root and the host's user.
    pub library: PathBuf,
    /// The shared libraries in its folder that may be loaded, by file name, with
    /// the SHA-256 that each must have; the library itself is one. What is there
    /// besides is refused.
    #[schemars(with = "BTreeMap<String, String>")]
    pub files: BTreeMap<String, Digest>,
    /// What else than its own code may compute, in the order in which models for a
    /// graphics processor try it.
    #[serde(default)]
    pub providers: Vec<Provider>,
    /// Bytes that a model may take of a graphics processor's memory.
    #[serde(default = "gpu_bytes_max")]
    pub gpu_bytes_max: u64,
}

/// OpenVINO, from 2025.0 on. `selvedge backends pin` writes this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenvinoConfig {
    /// The library, `libopenvino_c.so.2641` and the like: as for ONNX Runtime.
    pub library: PathBuf,
    /// As for ONNX Runtime.
    #[schemars(with = "BTreeMap<String, String>")]
    pub files: BTreeMap<String, Digest>,
    /// Let it use a graphics processor.
    #[serde(default)]
    pub gpu: bool,
}

fn gpu_bytes_max() -> u64 {
    2 << 30
}

impl Default for InferenceConfig {
    fn default() -> Self {
        Self {
            slots_max: nonzero!(NonZeroU32, 2),
            onnxruntime: None,
            openvino: None,
        }
    }
}

impl InferenceConfig {
    /// With its paths seen from `folder`.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        let runtime = self
            .onnxruntime
            .as_mut()
            .map(|runtime| &mut runtime.library);
        let openvino = self.openvino.as_mut().map(|openvino| &mut openvino.library);
        for path in runtime.into_iter().chain(openvino) {
            *path = folder.join(&*path);
        }
        self
    }
}
