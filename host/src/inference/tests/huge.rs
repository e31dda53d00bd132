//! Tiny files that ask for all memory, or for all time, on every library that is
//! installed. The host must not grow by it: what grows is another process.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::any_library::installed;
use super::{FLOAT, INT64, LoadError, ModelStore, Onnx, RunError, TensorKind, autoencoder, tensor};
use crate::inference::config::{InferenceConfig, OnnxruntimeConfig, OpenvinoConfig};
use crate::inference::onnx_writer::doubling;
use crate::inference::onnx_writer::parts::{number_attribute, numbers_attribute};
use crate::inference::rehearsal::Rehearsal;
use crate::inference::{Backends, InferenceLimits, ModelSource, pin};
use crate::spec::{BackendChoice, RunOptions};

/// Bytes that this process may grow by over one refusal, other tests' included.
const GROWTH_MAX: u64 = 1 << 30;

/// A store that tries models apart, and what it has.
pub(super) fn store() -> (ModelStore, Vec<BackendChoice>) {
    let mut config = InferenceConfig::default();
    let mut backends = vec![BackendChoice::Tract];
    if let Some(library) = installed("onnxruntime/onnxruntime/capi", "libonnxruntime.so") {
        backends.push(BackendChoice::Onnxruntime);
        config.onnxruntime = Some(OnnxruntimeConfig {
            files: pin(&library).unwrap(),
            library,
            providers: Vec::new(),
            gpu_bytes_max: 1 << 30,
        });
    }
    if let Some(library) = installed("openvino/openvino/libs", "libopenvino_c.so") {
        backends.push(BackendChoice::Openvino);
        config.openvino = Some(OpenvinoConfig {
            files: pin(&library).unwrap(),
            library,
            gpu: false,
        });
    }
    let program = std::env::current_exe().unwrap();
    let arguments = [
        "--exact",
        "--nocapture",
        "inference::rehearsal::tests::the_other_process",
    ];
    let rehearsal = Rehearsal::with(program, &arguments, config.clone());
    let limits = InferenceLimits {
        run_ms_max: 2_000.try_into().unwrap(),
        ..InferenceLimits::default()
    };
    let store = ModelStore::with(limits, Backends::open(&config)).rehearsing(Some(rehearsal));
    (store, backends)
}

fn peak_bytes() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}

/// What makes twelve gigabytes or more of nothing, in the ways there are.
fn huge() -> Vec<(&'static str, Bytes)> {
    let made = |operator: &'static str, inputs: &[&str], constants: &[(&str, &[i64])]| {
        let mut model = Onnx::new()
            .input("x", FLOAT, &["1"])
            .weights("one", &[1], &[1.0])
            .node(operator, inputs, &["huge"])
            .node("ReduceMax", &["huge"], &["y"])
            .output("y", FLOAT, &["?"]);
        for (name, values) in constants {
            model = model.integers(name, &[values.len() as u64], values);
        }
        (operator, model.build())
    };
    let mut files = vec![
        made("ConstantOfShape", &["n"], &[("n", &[3_000_000_000])]),
        made("Expand", &["x", "n"], &[("n", &[3_000_000_000])]),
        made("Expand", &["one", "n"], &[("n", &[60_000, 60_000])]),
        made("Tile", &["x", "n"], &[("n", &[3_000_000_000])]),
        made("Pad", &["x", "n"], &[("n", &[0, 3_000_000_000])]),
    ];
    // The shape is computed, from constants alone.
    let product = Onnx::new()
        .input("x", FLOAT, &["1"])
        .integers("a", &[1], &[60_000])
        .integers("b", &[1], &[60_000])
        .node("Mul", &["a", "b"], &["n"])
        .node("Expand", &["x", "n"], &["huge"])
        .node("ReduceMax", &["huge"], &["y"])
        .output("y", FLOAT, &["?"]);
    files.push(("a computed shape", product.build()));
    // Twice as long each time.
    let mut doubled = Onnx::new().input("x", FLOAT, &["1"]);
    let names: Vec<_> = (0..33).map(|i| format!("x{i}")).collect();
    let mut before = "x";
    for name in &names {
        let axis = number_attribute("axis", 0);
        doubled = doubled.node_with("Concat", (&[before, before], &[name]), &[axis]);
        before = name;
    }
    let doubled = doubled
        .node("ReduceMax", &[before], &["y"])
        .output("y", FLOAT, &["?"]);
    files.push(("Concat", doubled.build()));
    // Its shape is an attribute.
    let shape = numbers_attribute("shape", &[60_000, 60_000]);
    let random = Onnx::new()
        .input("x", FLOAT, &["1"])
        .node_with("RandomNormal", (&[], &["huge"]), &[shape])
        .node("ReduceMax", &["huge"], &["most"])
        .node("Add", &["x", "most"], &["y"])
        .output("y", FLOAT, &["?"]);
    files.push(("RandomNormal", random.build()));
    // A range of numbers, and every index in it.
    let range = Onnx::new()
        .input("x", INT64, &["1"])
        .integers("zero", &[1], &[0])
        .integers("count", &[1], &[2_000_000_000])
        .integers("one", &[1], &[1])
        .node("Squeeze", &["zero"], &["from"])
        .node("Squeeze", &["count"], &["to"])
        .node("Squeeze", &["one"], &["step"])
        .node("Range", &["from", "to", "step"], &["huge"])
        .node("NonZero", &["huge"], &["all"])
        .node("Gather", &["huge", "x"], &["y"])
        .output("y", INT64, &["1"])
        .output("all", INT64, &["1", "?"]);
    files.push(("Range", range.build()));
    files
}

#[test]
fn a_tiny_model_that_makes_huge_tensors_does_not_make_the_host_grow() {
    let (store, backends) = store();
    for (what, bytes) in huge() {
        for backend in &backends {
            let before = peak_bytes();
            let started = Instant::now();
            let source = ModelSource {
                backend: *backend,
                ..ModelSource::onnx(bytes.clone())
            };
            let loaded = store.prepare(&source);
            let grown = peak_bytes().saturating_sub(before);
            let told = match &loaded {
                Ok(_) => "loaded".to_owned(),
                Err(error) => format!("{}: {error}", error.code()),
            };
            println!(
                "{what}, {} bytes, on {backend:?}: {told}; {} MiB, {:?}",
                bytes.len(),
                grown >> 20,
                started.elapsed()
            );
            assert!(grown < GROWTH_MAX, "{what} on {backend:?}: {grown}");
            assert!(
                started.elapsed() < Duration::from_secs(70),
                "{what} on {backend:?}"
            );
        }
    }
}

/// `y = x + z`, with `z` what a loop of 2^60 turns makes of `of`, as long as `on` says.
fn looping(of: &str, on: &str) -> Bytes {
    Onnx::new()
        .input("x", FLOAT, &["1"])
        .weights("half", &[1], &[0.5])
        .integers("turns", &[1], &[1 << 60])
        .node("Greater", &["x", "half"], &["large"])
        .node("Squeeze", &["large"], &["is_large"])
        .node("Squeeze", &["turns"], &["count"])
        .node_with("Loop", (&["count", on, of], &["z"]), &[doubling("1")])
        .node("Add", &["x", "z"], &["y"])
        .output("y", FLOAT, &["1"])
        .build()
}

#[test]
fn a_model_that_takes_for_ever_is_refused_in_time() {
    let (store, backends) = store();
    let models = [
        ("a loop", looping("x", "")),
        // Of constants alone, so that a library may run it while it loads.
        ("a loop of constants", looping("half", "")),
    ];
    for (what, bytes) in models {
        for backend in &backends {
            let started = Instant::now();
            let source = ModelSource {
                backend: *backend,
                ..ModelSource::onnx(bytes.clone())
            };
            let error = store.prepare(&source).unwrap_err();
            println!(
                "{what} on {backend:?}: {}: {error} {:?}",
                error.code(),
                started.elapsed()
            );
            assert!(
                started.elapsed() < Duration::from_secs(90),
                "{what} on {backend:?}"
            );
        }
    }
    // All of them load what is in order afterwards.
    for backend in backends {
        let source = ModelSource {
            backend,
            options: RunOptions::default(),
            ..ModelSource::onnx(autoencoder())
        };
        store.prepare(&source).unwrap();
    }
}

#[test]
fn a_model_in_order_is_loaded_after_its_rehearsal() {
    let (store, backends) = store();
    for backend in backends {
        let started = Instant::now();
        let source = ModelSource {
            backend,
            ..ModelSource::onnx(autoencoder())
        };
        store.prepare(&source).unwrap();
        println!("{backend:?}: {:?}", started.elapsed());
    }
    let error = store.prepare(&ModelSource::onnx(Bytes::from_static(b"no model")));
    assert!(
        matches!(error, Err(LoadError::Malformed { .. })),
        "{error:?}"
    );
}

/// The trial is over at once, since it is made with zeros.
#[tokio::test]
async fn a_run_that_never_ends_holds_nobody_else_up() {
    let (store, backends) = store();
    let bytes = looping("x", "is_large");
    for backend in backends {
        let source = ModelSource {
            backend,
            ..ModelSource::onnx(bytes.clone())
        };
        if backend != BackendChoice::Onnxruntime {
            let error = store.prepare(&source).unwrap_err();
            assert_eq!(error.code(), "model-unsupported-operator", "{error}");
            continue;
        }
        let model = store.prepare(&source).unwrap();
        let one = |value| vec![("x".to_owned(), tensor(&[1], TensorKind::Fp32, &[value]))];
        for _ in 0..3 {
            let deadline = Instant::now() + Duration::from_secs(4);
            let endless = model.run(one(1.0), Some(deadline));
            let others = async {
                let mut longest = Duration::ZERO;
                for _ in 0..30 {
                    let before = Instant::now();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    longest = longest.max(before.elapsed());
                }
                longest
            };
            let (ended, longest) = tokio::join!(endless, others);
            assert!(matches!(ended, Err(RunError::Deadline)), "{ended:?}");
            assert!(longest < Duration::from_secs(3), "{longest:?}");
            // The library was told to stop, and its session goes on.
            let deadline = Instant::now() + Duration::from_secs(10);
            let mut outputs = model.run(one(0.0), Some(deadline)).await;
            while matches!(outputs, Err(RunError::Overdue { .. })) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(5)).await;
                outputs = model.run(one(0.0), Some(deadline)).await;
            }
            assert_eq!(outputs.unwrap()[0].1.values().collect::<Vec<_>>(), [0.0]);
        }
    }
}
