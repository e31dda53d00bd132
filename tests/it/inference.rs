//! Models on the libraries of this machine, through real guests.

mod backends;
mod hostile;
mod libraries;
mod same_answers;

use std::path::{Path, PathBuf};

use selvedge::inference::config::{InferenceConfig, OnnxruntimeConfig, OpenvinoConfig};
use selvedge::inference::pin;

use crate::peers;

/// Where `cargo xtask peers` puts ONNX Runtime and OpenVINO: their names end with
/// their versions.
const ONNXRUNTIME: (&str, &str) = ("onnxruntime/onnxruntime/capi", "libonnxruntime.so");
const OPENVINO: (&str, &str) = ("openvino/openvino/libs", "libopenvino_c.so");

/// The two libraries, if they are installed.
pub(crate) fn libraries() -> Option<[PathBuf; 2]> {
    let peers = peers::installed(&[ONNXRUNTIME.0, OPENVINO.0])?;
    Some([ONNXRUNTIME, OPENVINO].map(|(folder, name)| find(&peers.join(folder), name)))
}

fn find(folder: &Path, name: &str) -> PathBuf {
    let entries = fs_err::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| {
        let found = path.file_name().unwrap_or_default().to_string_lossy();
        found.starts_with(name)
    };
    let found = paths.into_iter().find(named);
    fs_err::canonicalize(found.expect("the wheel has its library")).unwrap()
}

/// A host that may use both.
fn both([onnxruntime, openvino]: &[PathBuf; 2]) -> InferenceConfig {
    InferenceConfig {
        onnxruntime: Some(OnnxruntimeConfig {
            files: pin(onnxruntime).unwrap(),
            library: onnxruntime.clone(),
            providers: Vec::new(),
            gpu_bytes_max: 1 << 30,
        }),
        openvino: Some(OpenvinoConfig {
            files: pin(openvino).unwrap(),
            library: openvino.clone(),
            gpu: false,
        }),
        ..InferenceConfig::default()
    }
}
