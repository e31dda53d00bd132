//! Against the real library, which `cargo xtask peers` brings.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::open;
use crate::inference::config::{InferenceConfig, OnnxruntimeConfig};
use crate::inference::onnx_writer::{BOOL, FLOAT, INT64, Onnx, autoencoder, double};
use crate::inference::tests::any_library::{self, KINDS, installed, tensor};
use crate::inference::{
    Backends, Device, Dim, InferenceLimits, LoadError, Model, ModelSource, ModelStore, RunError,
    Tensor, TensorKind, pin,
};
use crate::spec::{BackendChoice, BackendKind, Provider, RunOptions, Target};

mod children;
mod refusals;

const PLAIN: (&str, &str) = ("onnxruntime/onnxruntime/capi", "libonnxruntime.so.1.32.0");
const WITH_OPENVINO: (&str, &str) = (
    "onnxruntime-openvino/onnxruntime/capi",
    "libonnxruntime.so.1.24.1",
);

/// A library of the peers: its folder, and its file's name.
fn peer((folder, name): (&str, &str)) -> Option<PathBuf> {
    installed(folder, name)
}

fn config(library: PathBuf, providers: &[Provider]) -> OnnxruntimeConfig {
    OnnxruntimeConfig {
        files: pin(&library).unwrap(),
        library,
        providers: providers.to_vec(),
        gpu_bytes_max: 1 << 30,
    }
}

fn limits() -> InferenceLimits {
    InferenceLimits {
        run_ms_max: 3_000.try_into().unwrap(),
        ..InferenceLimits::default()
    }
}

/// The library is loaded once in a process.
fn store() -> Option<&'static ModelStore> {
    static STORE: OnceLock<Option<ModelStore>> = OnceLock::new();
    let made = STORE.get_or_init(|| {
        let inference = InferenceConfig {
            onnxruntime: Some(config(peer(PLAIN)?, &[])),
            ..InferenceConfig::default()
        };
        Some(ModelStore::with(limits(), Backends::open(&inference)))
    });
    made.as_ref()
}

fn source(bytes: Bytes) -> ModelSource {
    ModelSource {
        backend: BackendChoice::Onnxruntime,
        ..ModelSource::onnx(bytes)
    }
}

async fn run(
    model: &Arc<Model>,
    inputs: Vec<(&str, Tensor)>,
    deadline: Option<Instant>,
) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
    let named = |(name, tensor): (&str, Tensor)| (name.to_owned(), tensor);
    model
        .run(inputs.into_iter().map(named).collect(), deadline)
        .await
}

/// Inputs that fit, the same each time, `rows` in each dimension that varies.
fn inputs(model: &Model, rows: u32) -> Vec<(String, Tensor)> {
    let fill = |(index, port): (usize, &crate::inference::Port)| {
        let dims = port.shape.iter().map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Named(_) | Dim::Any => rows,
        });
        let dims: Vec<u32> = dims.collect();
        let count: u32 = dims.iter().product();
        let values: Vec<f64> = (0..count)
            .map(|i| f64::from(i * 7 + 13 * u32::try_from(index).unwrap()).sin())
            .collect();
        (port.name.to_string(), tensor(&dims, port.kind, &values))
    };
    model.inputs().iter().enumerate().map(fill).collect()
}

async fn assert_same(left: &Arc<Model>, right: &Arc<Model>, rows: u32) {
    let left = left.run(inputs(left, rows), None).await.unwrap();
    let right = right.run(inputs(right, rows), None).await.unwrap();
    any_library::assert_same(&left, &right, 1e-4);
}

#[tokio::test]
async fn models_give_the_answers_that_the_built_in_backend_gives() {
    let Some(store) = store() else { return };
    let models: [Bytes; 5] = [
        Bytes::from_static(include_bytes!("../../demo/assets/oven.onnx")),
        Bytes::from_static(include_bytes!("../../demo/assets/press.onnx")),
        Bytes::from_static(include_bytes!("../../demo/assets/pump.onnx")),
        autoencoder(),
        double(FLOAT, &["2", "n"]),
    ];
    for bytes in models {
        let ours = store.prepare(&source(bytes.clone())).unwrap();
        assert_eq!(ours.backend(), BackendKind::Onnxruntime);
        assert_eq!(ours.placement().provider, "cpu");
        let built_in = store
            .prepare(&ModelSource {
                backend: BackendChoice::Tract,
                ..ModelSource::onnx(bytes)
            })
            .unwrap();
        let names = |model: &Model| {
            let ports = model.inputs().iter().chain(model.outputs());
            ports.map(|port| port.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&built_in));
        for rows in [1, 2, 33] {
            assert_same(&ours, &built_in, rows).await;
        }
    }
}

#[tokio::test]
async fn every_kind_goes_in_and_comes_out() {
    let Some(store) = store() else { return };
    for (onnx, kind) in KINDS {
        // What every build has for every kind.
        let model = Onnx::new()
            .input("x", onnx, &["2", "n"])
            .node("Transpose", &["x"], &["y"])
            .output("y", onnx, &["n", "2"]);
        let model = store.prepare(&source(model.build())).unwrap();
        let input = tensor(&[2, 3], kind, &[0.0, 1.0, 2.0, 3.0, 50.0, 100.0]);
        // Not aligned, as a guest's may be.
        let mut shifted = vec![0];
        shifted.extend_from_slice(input.data());
        let shifted = Bytes::from(shifted).slice(1..);
        let input = Tensor::new(vec![2, 3], kind, shifted).unwrap();
        let outputs = run(&model, vec![("x", input)], None).await.unwrap();
        let expected = tensor(&[3, 2], kind, &[0.0, 3.0, 1.0, 50.0, 2.0, 100.0]);
        assert_eq!(outputs[0].1, expected);
    }
}

#[tokio::test]
async fn a_single_number_may_be_written_either_way() {
    let Some(store) = store() else { return };
    let model = Onnx::new()
        .input("x", FLOAT, &[])
        .node("Neg", &["x"], &["y"])
        .output("y", FLOAT, &[]);
    let model = store.prepare(&source(model.build())).unwrap();
    assert!(model.inputs()[0].shape.is_empty());
    for dimensions in [&[][..], &[1]] {
        let input = tensor(dimensions, TensorKind::Fp32, &[4.0]);
        let outputs = run(&model, vec![("x", input)], None).await.unwrap();
        assert_eq!(outputs[0].1, tensor(&[1], TensorKind::Fp32, &[-4.0]));
    }
}

/// `y = x x x … x`, with rows and columns decided by the run: short for one,
/// long for many.
fn chain(products: u32) -> Bytes {
    let mut model = Onnx::new().input("x", FLOAT, &["n", "n"]);
    let names: Vec<String> = (0..products).map(|i| format!("v{i}")).collect();
    let mut before = "x";
    for name in &names {
        model = model.node("MatMul", &[before, "x"], &[name]);
        before = name;
    }
    model
        .node("Identity", &[before], &["y"])
        .output("y", FLOAT, &["n", "n"])
        .build()
}

#[tokio::test]
async fn a_long_run_ends_by_its_deadline_and_the_next_one_runs() {
    let Some(store) = store() else { return };
    let model = store.prepare(&source(chain(400))).unwrap();
    let long = || {
        vec![(
            "x",
            Tensor::zeros(vec![700, 700], TensorKind::Fp32).unwrap(),
        )]
    };
    let short = || vec![("x", tensor(&[1, 1], TensorKind::Fp32, &[1.0]))];
    for _ in 0..2 {
        let (stopped, took) = when_free(&model, long, Duration::from_millis(150)).await;
        assert!(matches!(stopped, Err(RunError::Deadline)), "{stopped:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        let (outputs, _) = when_free(&model, short, Duration::from_secs(2)).await;
        assert_eq!(outputs.unwrap()[0].1.values().next(), Some(1.0));
    }
}

/// Runs it within `time` once the run before has really ended.
async fn when_free(
    model: &Arc<Model>,
    inputs: impl Fn() -> Vec<(&'static str, Tensor)>,
    time: Duration,
) -> (Result<Vec<(Arc<str>, Tensor)>, RunError>, Duration) {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let started = Instant::now();
        match run(model, inputs(), Some(started + time)).await {
            Err(error) if error.is_busy() && started < patience => {
                tokio::task::yield_now().await;
            }
            result => return (result, started.elapsed()),
        }
    }
}

#[tokio::test]
async fn runs_at_once_use_sessions_of_their_own() {
    let Some(store) = store() else { return };
    let options = RunOptions {
        concurrency: Some(3.try_into().unwrap()),
        ..RunOptions::default()
    };
    let model = store
        .prepare(&ModelSource {
            options,
            ..source(autoencoder())
        })
        .unwrap();
    let runs = (0..24).map(|_| model.run(inputs(&model, 4), None));
    let outputs = futures::future::join_all(runs).await;
    let first = outputs[0].as_ref().unwrap();
    for outputs in &outputs {
        assert_eq!(outputs.as_ref().unwrap(), first);
    }
}

#[test]
fn opening_the_same_library_again_is_no_second_one() {
    let (Some(_), Some(library)) = (store(), peer(PLAIN)) else {
        return;
    };
    let backend = open(&config(library, &[Provider::Cuda])).unwrap();
    let status = backend.status();
    assert_eq!(status.version.as_deref(), Some("1.32.0"));
    assert_eq!(status.unavailable, None);
    assert_eq!(backend.devices(), [Device::Cpu, Device::Gpu]);
    let cuda = &status.providers[1];
    assert_eq!((cuda.provider.as_str(), cuda.device), ("cuda", Device::Gpu));
    assert_eq!(cuda.unavailable.as_ref().unwrap().code, "not-compiled-in");

    let Some(other) = peer(WITH_OPENVINO) else {
        return;
    };
    let status = open(&config(other, &[])).map(drop).unwrap_err();
    let why = status.unavailable.unwrap();
    assert_eq!(why.code, "library-another-loaded");
}

#[tokio::test]
async fn a_graphics_processor_that_is_not_there_is_never_replaced_silently() {
    let (Some(_), Some(library)) = (store(), peer(PLAIN)) else {
        return;
    };
    let inference = InferenceConfig {
        onnxruntime: Some(config(library, &[Provider::Cuda, Provider::Tensorrt])),
        ..InferenceConfig::default()
    };
    let store = ModelStore::with(limits(), Backends::open(&inference));
    let on = |target| {
        store.prepare(&ModelSource {
            target,
            ..source(autoencoder())
        })
    };
    let error = on(Target::Gpu).unwrap_err();
    let LoadError::NoDevice { backend, why } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*backend, BackendKind::Onnxruntime);
    assert!(why.contains("cuda") && why.contains("tensorrt"), "{why}");
    assert!(why.contains("not enabled in this build"), "{why}");
    assert_eq!(error.code(), "model-target-unavailable");

    let model = on(Target::GpuPreferred).unwrap();
    assert!(model.degraded());
    assert_eq!(model.placement().provider, "cpu");
    model.run(inputs(&model, 2), None).await.unwrap();
    assert!(!on(Target::Cpu).unwrap().degraded());
}
