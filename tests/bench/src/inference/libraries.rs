//! The libraries that run models: tract, and the native ones below `target/peers`.
//!
//! With `SELVEDGE_TEST_ONNXRUNTIME_GPU` another ONNX Runtime takes the place of
//! that one, and models are run on the graphics processor with it too.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use selvedge::inference::config::{OnnxruntimeConfig, OpenvinoConfig};
use selvedge::inference::{Backends, InferenceConfig, InferenceLimits, ModelStore, pin};
use selvedge::spec::{BackendKind, Provider, Target};

use crate::Outcome;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers");
const ONNXRUNTIME: (&str, &str) = ("onnxruntime/onnxruntime/capi", "libonnxruntime.so.1.");
const OPENVINO: (&str, &str) = ("openvino/openvino/libs", "libopenvino_c.so.");
const GPU: &str = "SELVEDGE_TEST_ONNXRUNTIME_GPU";
const GPU_BYTES_MAX: u64 = 2 << 30;

/// What a model can be run with here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) backend: BackendKind,
    pub(super) target: Target,
    pub(super) threads: NonZeroU32,
}

impl Way {
    pub(super) fn text(&self) -> String {
        let Self {
            backend,
            target,
            threads,
        } = self;
        match (target, threads.get()) {
            (Target::Cpu, 1) => format!("{}, 1 thread", backend.name()),
            (Target::Cpu, threads) => format!("{}, {threads} threads", backend.name()),
            _ => format!("{}, gpu", backend.name()),
        }
    }
}

pub(super) fn cores() -> NonZeroU32 {
    let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let cores = u32::try_from(cores).ok().and_then(NonZeroU32::new);
    cores.unwrap_or(NonZeroU32::MIN)
}

/// Opens what there is, once in this process, and says why the rest is skipped.
pub(super) fn open() -> Outcome<(ModelStore, Vec<Way>)> {
    let gpu = std::env::var_os(GPU).map(PathBuf::from);
    let config = config(gpu.as_deref())?;
    let limits = InferenceLimits {
        slots: cores(),
        ..InferenceLimits::default()
    };
    let store = ModelStore::with(limits, Backends::open(&config));
    let mut ways = Vec::new();
    for status in store.backends().status() {
        let backend = status.backend;
        if let Some(why) = status.unavailable {
            eprintln!("without {}: {}", backend.name(), why.reason);
            continue;
        }
        let way = |target, threads| Way {
            backend,
            target,
            threads,
        };
        ways.push(way(Target::Cpu, NonZeroU32::MIN));
        // tract computes with one.
        if backend != BackendKind::Tract && cores() > NonZeroU32::MIN {
            ways.push(way(Target::Cpu, cores()));
        }
        if backend == BackendKind::Onnxruntime && gpu.is_some() {
            ways.push(way(Target::Gpu, NonZeroU32::MIN));
        }
    }
    if gpu.is_none() {
        eprintln!("without a graphics processor: {GPU} names no library");
    }
    Ok((store, ways))
}

fn config(gpu: Option<&Path>) -> Outcome<InferenceConfig> {
    let found = |(folder, name)| find(&Path::new(PEERS).join(folder), name);
    let onnxruntime = gpu.map(Path::to_owned).or_else(|| found(ONNXRUNTIME));
    let openvino = found(OPENVINO);
    let pinned = |library: &Option<PathBuf>| match library {
        Some(library) => pin(library),
        None => Ok(BTreeMap::new()),
    };
    let (onnxruntime_files, openvino_files) = (pinned(&onnxruntime)?, pinned(&openvino)?);
    Ok(InferenceConfig {
        onnxruntime: onnxruntime.map(|library| OnnxruntimeConfig {
            library,
            files: onnxruntime_files,
            providers: gpu.map(|_| Provider::Cuda).into_iter().collect(),
            gpu_bytes_max: GPU_BYTES_MAX,
        }),
        openvino: openvino.map(|library| OpenvinoConfig {
            library,
            files: openvino_files,
            gpu: false,
        }),
        ..InferenceConfig::default()
    })
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs_err::read_dir(folder).ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let named = |path: &PathBuf| {
        let found = path.file_name().unwrap_or_default().to_string_lossy();
        found.starts_with(name)
    };
    fs_err::canonicalize(paths.find(named)?).ok()
}
