//! Against the real library, where `cargo xtask peers` has put it.

mod damaged;
mod ir;
mod libraries;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Openvino, open};
use crate::inference::config::OpenvinoConfig;
use crate::inference::onnx_writer::{BOOL, DOUBLE, FLOAT, INT64, Onnx, autoencoder, double};
use crate::inference::tests::any_library::{self, KINDS, assert_same, tensor};
use crate::inference::{
    Backend, Control, Device, InferenceLimits, LoadError, Model, ModelSource, ModelStore, RunError,
    Tensor, TensorKind, native_library,
};
use crate::spec::{BackendChoice, Precision, RunOptions, Target};

/// The library, as it would be configured; none, said aloud, where it is not.
fn installed() -> Option<OpenvinoConfig> {
    let library = any_library::installed("openvino/openvino/libs", "libopenvino_c.so")?;
    static FILES: OnceLock<OpenvinoConfig> = OnceLock::new();
    let config = FILES.get_or_init(|| OpenvinoConfig {
        files: native_library::pin(&library).unwrap(),
        library,
        gpu: false,
    });
    Some(config.clone())
}

fn with(config: &OpenvinoConfig) -> Box<dyn Backend> {
    open(config).unwrap()
}

fn store() -> Option<ModelStore> {
    let backends = vec![with(&installed()?)];
    Some(ModelStore::with_backends(
        InferenceLimits::default(),
        backends,
    ))
}

fn source(bytes: Bytes) -> ModelSource {
    ModelSource {
        backend: BackendChoice::Openvino,
        ..ModelSource::onnx(bytes)
    }
}

fn on_tract(bytes: Bytes) -> Arc<Model> {
    let source = ModelSource {
        backend: BackendChoice::Tract,
        ..ModelSource::onnx(bytes)
    };
    let store = ModelStore::new(InferenceLimits::default());
    store.prepare(&source).unwrap()
}

fn waves(rows: u32, columns: u32) -> Tensor {
    let values: Vec<f64> = (0..rows * columns)
        .map(|i| (f64::from(i) * 0.7).sin())
        .collect();
    tensor(&[rows, columns], TensorKind::Fp32, &values)
}

async fn run(
    model: &Arc<Model>,
    inputs: &[(&str, Tensor)],
) -> Result<Vec<(String, Tensor)>, RunError> {
    let inputs = inputs.iter();
    let inputs = inputs.map(|(name, tensor)| ((*name).to_owned(), tensor.clone()));
    let outputs = model.run(inputs.collect(), None).await?;
    let outputs = outputs.into_iter();
    Ok(outputs
        .map(|(name, tensor)| (name.to_string(), tensor))
        .collect())
}

#[tokio::test]
async fn single_precision_stays_single_precision_whatever_the_processor() {
    let Some(store) = store() else { return };
    let model = store.prepare(&source(autoencoder())).unwrap();
    let expected = on_tract(autoencoder());
    assert_eq!(model.interface(), expected.interface());
    for rows in [1, 3, 17, 1, 64] {
        let inputs = [("x", waves(rows, 64))];
        let outputs = run(&model, &inputs).await.unwrap();
        assert_same(&outputs, &run(&expected, &inputs).await.unwrap(), 1e-5);
    }
    assert_eq!(model.device(), Device::Cpu);
    assert_eq!(model.placement().provider, "cpu");
}

#[tokio::test]
async fn a_model_may_ask_for_less_precision() {
    let Some(store) = store() else { return };
    let reduced = ModelSource {
        options: RunOptions {
            precision: Precision::Reduced,
            ..RunOptions::default()
        },
        ..source(autoencoder())
    };
    let model = store.prepare(&reduced).unwrap();
    let inputs = [("x", waves(1, 64))];
    let outputs = run(&model, &inputs).await.unwrap();
    let expected = run(&on_tract(autoencoder()), &inputs).await.unwrap();
    // How much less depends on the processor.
    for (found, expected) in outputs[1].1.values().zip(expected[1].1.values()) {
        assert!((found - expected).abs() < 0.05, "{found} {expected}");
    }
}

#[tokio::test]
async fn every_kind_that_it_computes_as_it_says_is_computed() {
    let Some(store) = store() else { return };
    let kinds = KINDS.iter();
    for &(onnx, kind) in kinds.filter(|(_, kind)| *kind != TensorKind::Fp64) {
        let model = store.prepare(&source(double(onnx, &["2", "n"]))).unwrap();
        for _ in 0..3 {
            let input = tensor(&[2, 2], kind, &[0.0, 1.0, 2.0, 50.0]);
            let outputs = run(&model, &[("x", input)]).await.unwrap();
            assert_eq!(outputs[0].1, tensor(&[2, 2], kind, &[0.0, 2.0, 4.0, 100.0]));
        }
    }
    let refused = store.prepare(&source(double(BOOL, &["1"]))).unwrap_err();
    assert!(
        matches!(
            refused,
            LoadError::UnsupportedKind { .. } | LoadError::Malformed { .. }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_it_would_silently_compute_in_fewer_bits_is_refused() {
    let Some(store) = store() else { return };
    let wide = source(double(DOUBLE, &["n"]));
    let error = store.prepare(&wide).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`x` of the model has the unsupported type fp64, which OpenVINO computes in single \
         precision"
    );
    let model = store.prepare(&source(double(INT64, &["n"]))).unwrap();
    for beyond in [1_u64 << 31, 1 << 40] {
        for value in [beyond as f64, -(beyond as f64) - 1.0] {
            let input = tensor(&[1], TensorKind::I64, &[value]);
            let error = run(&model, &[("x", input)]).await.unwrap_err();
            assert!(matches!(error, RunError::Failed { .. }), "{error:?}");
        }
    }
    let input = tensor(&[1], TensorKind::I64, &[-1_000_000_000.0]);
    let outputs = run(&model, &[("x", input)]).await.unwrap();
    assert_eq!(outputs[0].1.values().next(), Some(-2_000_000_000.0));
}

#[tokio::test]
async fn ports_have_the_names_of_the_file() {
    let Some(store) = store() else { return };
    // The library knows `y` as `x` too, `w` as `same`, and drops `unused`.
    let model = Onnx::new()
        .input("x", FLOAT, &["n"])
        .input("unused", FLOAT, &["2"])
        .input("scale", FLOAT, &[])
        .weights("w", &[1], &[3.0])
        .node("Identity", &["x"], &["y"])
        .node("Identity", &["w"], &["same"])
        .node("Mul", &["x", "scale"], &["z"])
        .output("z", FLOAT, &["n"])
        .output("y", FLOAT, &["n"])
        .output("same", FLOAT, &["1"])
        .build();
    let model = store.prepare(&source(model)).unwrap();
    let names = |ports: &[crate::inference::Port]| {
        let names: Vec<_> = ports.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    assert_eq!(
        names(model.inputs()),
        "`x` fp32[n] `unused` fp32[2] `scale` fp32[]"
    );
    assert_eq!(
        names(model.outputs()),
        "`z` fp32[n] `y` fp32[n] `same` fp32[1]"
    );
    for single in [&[][..], &[1]] {
        let inputs = [
            ("scale", tensor(single, TensorKind::Fp32, &[10.0])),
            ("unused", tensor(&[2], TensorKind::Fp32, &[7.0, 7.0])),
            ("x", tensor(&[2], TensorKind::Fp32, &[1.0, 2.0])),
        ];
        let outputs = run(&model, &inputs).await.unwrap();
        let values: Vec<Vec<f64>> = outputs.iter().map(|(_, t)| t.values().collect()).collect();
        assert_eq!(values, [vec![10.0, 20.0], vec![1.0, 2.0], vec![3.0]]);
    }
}

#[tokio::test]
async fn a_single_number_comes_out_as_one_element() {
    let Some(store) = store() else { return };
    let model = store.prepare(&source(double(FLOAT, &[]))).unwrap();
    let outputs = run(&model, &[("x", tensor(&[1], TensorKind::Fp32, &[4.0]))]).await;
    let expected = tensor(&[1], TensorKind::Fp32, &[8.0]);
    assert_eq!(outputs.unwrap(), [("y".to_owned(), expected)]);
}

/// 512 times 512 by itself, 400 times: some tenths of a second.
fn slow() -> Bytes {
    let mut model = Onnx::new().input("x", FLOAT, &["512", "512"]).weights(
        "w",
        &[512, 512],
        &vec![0.001; 512 * 512],
    );
    let names: Vec<String> = (0..400).map(|i| format!("y{i}")).collect();
    let mut before = "x";
    for name in &names {
        model = model.node("MatMul", &[before, "w"], &[name]);
        before = name;
    }
    model.output(before, FLOAT, &["512", "512"]).build()
}

#[test]
fn a_long_run_is_stopped_at_its_deadline_and_the_model_can_be_run_again() {
    let Some(config) = installed() else { return };
    let backend = with(&config);
    let graph = backend
        .load(&source(slow()), Device::Cpu, &InferenceLimits::default())
        .unwrap();
    let inputs = [waves(512, 512)];
    let whole = Instant::now();
    let minute = Control::new(whole + Duration::from_secs(60));
    graph.run(&inputs, &minute).unwrap();
    let whole = whole.elapsed();

    let started = Instant::now();
    let control = Control::new(started + whole / 10);
    let error = graph.run(&inputs, &control).unwrap_err();
    assert!(matches!(error, RunError::Deadline), "{error:?}");
    // It was stopped, or a busy machine took its time.
    let took = started.elapsed();
    let most = (whole / 2).max(Duration::from_secs(2));
    assert!(took < most, "{took:?} of {whole:?}");

    let cancelled = Control::new(Instant::now() + Duration::from_secs(60));
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        let run = scope.spawn(|| graph.run(&inputs, &cancelled));
        cancelled.cancel();
        run.join().unwrap().unwrap_err()
    });
    assert!(matches!(error, RunError::Deadline), "{error:?}");
    let took = started.elapsed();
    let most = whole.max(Duration::from_secs(2));
    assert!(took < most, "{took:?} of {whole:?}");

    let minute = Control::new(Instant::now() + Duration::from_secs(60));
    graph.run(&inputs, &minute).unwrap();
}

#[test]
fn as_many_runs_at_once_as_the_model_asks_for_do_not_mix() {
    let Some(config) = installed() else { return };
    let model = ModelSource {
        options: RunOptions {
            concurrency: Some(3.try_into().unwrap()),
            ..RunOptions::default()
        },
        ..source(double(FLOAT, &["n"]))
    };
    let graph = with(&config)
        .load(&model, Device::Cpu, &InferenceLimits::default())
        .unwrap();
    assert_eq!(graph.concurrency(), 3);
    let control = Control::new(Instant::now() + Duration::from_secs(60));
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (graph, control) = (&graph, &control);
            scope.spawn(move || {
                for round in 0..200_u32 {
                    let (rows, value) = (1 + (thread + round) % 5, f64::from(thread));
                    let input = vec![value; rows as usize];
                    let input = tensor(&[rows], TensorKind::Fp32, &input);
                    let outputs = graph.run(&[input], control).unwrap();
                    assert_eq!(outputs[0].dimensions(), [rows]);
                    assert!(outputs[0].values().all(|found| found == 2.0 * value));
                }
            });
        }
    });
}

#[test]
fn an_operator_that_it_lacks_is_named() {
    let Some(store) = store() else { return };
    let model = Onnx::new()
        .input("x", FLOAT, &["1", "3"])
        .node_of("ai.onnx.ml", "TreeEnsembleRegressor", &["x"], &["y"])
        .output("y", FLOAT, &["1", "1"]);
    let error = store.prepare(&source(model.build())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the operator `TreeEnsembleRegressor` is not supported by the backend `openvino`; \
         `onnxruntime` has all standard operators, and this host has none"
    );
}

#[test]
fn what_is_too_large_for_a_run_is_refused_before_it_is_made() {
    let Some(store) = store() else { return };
    let model = source(double(FLOAT, &["100000", "100000"]));
    let error = store.prepare(&model).unwrap_err();
    assert!(matches!(error, LoadError::TooMuchMemory { .. }), "{error}");
}

#[test]
fn a_graphics_processor_that_is_not_there_is_never_replaced_in_silence() {
    let Some(config) = installed() else { return };
    let gpu = |gpu| {
        let config = OpenvinoConfig {
            gpu,
            ..config.clone()
        };
        Openvino::open(&config).unwrap()
    };
    let allowed = gpu(true);
    let Some(why) = allowed.status().providers[1].unavailable.clone() else {
        println!("skipped: there is a graphics processor");
        return;
    };
    assert_eq!(why.code, "no-device");
    assert!(why.help.is_some());
    let forbidden = gpu(false);
    let told = forbidden.status().providers[1].unavailable.clone().unwrap();
    assert_eq!(told.code, "not-configured");
    for (backend, says) in [(allowed, why.reason.as_str()), (forbidden, "has none here")] {
        let store = ModelStore::with_backends(InferenceLimits::default(), vec![Box::new(backend)]);
        let on = |target| ModelSource {
            target,
            ..source(autoencoder())
        };
        let error = store.prepare(&on(Target::Gpu)).unwrap_err();
        let LoadError::NoDevice { why, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(why.contains(says), "{why}");
        let model = store.prepare(&on(Target::GpuPreferred)).unwrap();
        assert!(model.degraded());
        assert_eq!(model.device(), Device::Cpu);
    }
}

#[test]
fn what_is_told_of_it_names_its_version_and_its_file() {
    let Some(config) = installed() else { return };
    let status = with(&config).status();
    let version = status.version.unwrap();
    assert!(version.starts_with("20"), "{version}");
    assert_eq!(status.library.as_ref(), Some(&config.library));
    let name = config.library.file_name().unwrap().to_str().unwrap();
    assert_eq!(status.digest, Some(config.files[name]));
    assert_eq!(status.unavailable, None);
}
