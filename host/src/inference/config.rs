//! What `host.toml` says of inference.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Component, Path, PathBuf};

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
    /// The inference API for native programs on the gateway: gRPC over a Unix
    /// socket. Without it, there is none.
    pub api: Option<InferenceApiConfig>,
    /// Files for what deployments let be captured. Without them, it goes to the bus
    /// alone.
    pub capture: Option<CaptureConfig>,
}

/// Where the inference API listens, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InferenceApiConfig {
    /// The Unix socket. Relative to this file. If nobody is named below, only root
    /// and the host's own user can open it; else everyone can, and the kernel says
    /// who they are.
    pub socket: PathBuf,
    /// Users of this machine who may run models.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups whose members may. Known from `/etc/passwd` and `/etc/group`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Users who may load and unload models too, besides root and the host's own.
    #[serde(default)]
    pub operators: Vec<String>,
    /// Groups whose members may.
    #[serde(default)]
    pub operator_groups: Vec<String>,
    /// Connections at once; one user has at most half of them.
    #[serde(default = "connections_max")]
    pub connections_max: NonZeroU32,
    /// Bytes of one message, in both directions.
    #[serde(default = "message_bytes_max")]
    pub message_bytes_max: NonZeroU32,
    /// Bytes of all requests that are being received and of all answers that are
    /// being made, over all connections; one user has at most half of them, or one
    /// message.
    #[serde(default = "received_bytes_max")]
    pub received_bytes_max: NonZeroU32,
}

fn connections_max() -> NonZeroU32 {
    nonzero!(NonZeroU32, 64)
}

fn message_bytes_max() -> NonZeroU32 {
    nonzero!(NonZeroU32, 16 << 20)
}

fn received_bytes_max() -> NonZeroU32 {
    nonzero!(NonZeroU32, 256 << 20)
}

/// Files of captured data: one JSON object a line. The oldest file goes when there
/// are too many or they are too large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureConfig {
    /// Their folder. Relative to the data directory.
    pub directory: PathBuf,
    /// Bytes of all files.
    pub bytes_max: NonZeroU64,
    /// Files.
    pub files_max: NonZeroU32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            directory: "capture".into(),
            bytes_max: nonzero!(NonZeroU64, 64 << 20),
            files_max: nonzero!(NonZeroU32, 8),
        }
    }
}

/// ONNX Runtime, from 1.22 on. `selvedge backends pin` writes this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnnxruntimeConfig {
    /// The library, `libonnxruntime.so.1.32.0` and the like: an absolute path, or
    /// relative to this file. Neither it nor a folder above it may be writable
    /// for others than root and the host's user; a folder above its own may be sticky.
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
            api: None,
            capture: None,
        }
    }
}

impl InferenceConfig {
    /// What no type can say by itself: the field, and what is wrong.
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Some(capture) = &self.capture {
            let within = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            let directory = &capture.directory;
            // Its rights are changed: the data directory itself has others.
            let named = |part| matches!(part, Component::Normal(_));
            if !directory.components().any(named) || !directory.components().all(within) {
                let text = format!("`{}` is not below the data directory", directory.display());
                faults.push(("inference.capture.directory", text));
            }
        }
        if let Some(api) = &self.api
            && api.message_bytes_max > api.received_bytes_max
        {
            let text = "`message_bytes_max` is above `received_bytes_max`".to_owned();
            faults.push(("inference.api.message_bytes_max", text));
        }
        faults
    }

    /// With its paths seen from `folder`.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        let runtime = self
            .onnxruntime
            .as_mut()
            .map(|runtime| &mut runtime.library);
        let openvino = self.openvino.as_mut().map(|openvino| &mut openvino.library);
        let socket = self.api.as_mut().map(|api| &mut api.socket);
        for path in runtime.into_iter().chain(openvino).chain(socket) {
            *path = folder.join(&*path);
        }
        self
    }
}
