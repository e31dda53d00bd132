//! The same files give the same answers on tract, ONNX Runtime and OpenVINO, asked
//! by a guest that gets all numbers back.

use std::path::Path;

use bytes::Bytes;
use selvedge::bus::Inbox;
use selvedge::deployment::report::Phase;
use selvedge::inference::{Dim, ModelSource, ModelStore, Port, Tensor, TensorKind};
use selvedge::spec::{BackendChoice, BackendKind};
use tokio::time::timeout;

use super::{both, libraries};
use crate::deployments::world::{Device, Host, Line};
use crate::process::DEADLINE;
use crate::updates::onnx_writer::{FLOAT, FLOAT16, INT64, Onnx, autoencoder};

const BACKENDS: [(&str, BackendKind); 3] = [
    ("tract", BackendKind::Tract),
    ("onnxruntime", BackendKind::Onnxruntime),
    ("openvino", BackendKind::Openvino),
];
/// Rows of inputs whose number each run decides.
const ROWS: [u32; 3] = [1, 3, 17];

/// A model, and how far answers of half precision may be apart.
struct Case {
    name: &'static str,
    bytes: Bytes,
    tolerance: f64,
}

fn demo(name: &'static str) -> Case {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/assets");
    let bytes = fs_err::read(assets.join(name).with_extension("onnx")).unwrap();
    case(name, bytes.into())
}

fn case(name: &'static str, bytes: Bytes) -> Case {
    Case {
        name,
        bytes,
        tolerance: 1e-5,
    }
}

/// Looks rows of a table up, by whole numbers, and gives whole numbers too.
fn lookup() -> Bytes {
    let table: Vec<f32> = (0..64_u8).map(|i| f32::from(i) * 0.37 - 7.0).collect();
    Onnx::new()
        .input("indices", INT64, &["n"])
        .weights("table", &[64], &table)
        .node("Gather", &["table", "indices"], &["found"])
        .node("Add", &["indices", "indices"], &["doubled"])
        .output("doubled", INT64, &["n"])
        .output("found", FLOAT, &["n"])
        .build()
}

fn half() -> Bytes {
    Onnx::new()
        .input("a", FLOAT16, &["n", "8"])
        .input("b", FLOAT16, &["n", "8"])
        .node("Mul", &["a", "b"], &["product"])
        .node("Tanh", &["product"], &["out"])
        .output("out", FLOAT16, &["n", "8"])
        .build()
}

/// Its outputs are an input and a constant too, and one input is never read:
/// libraries have names of their own for those.
fn aliases() -> Bytes {
    Onnx::new()
        .input("x", FLOAT, &["n", "2"])
        .input("unused", FLOAT, &["1"])
        .weights("weights", &[1, 2], &[1.5, -2.5])
        .node("Identity", &["x"], &["same"])
        .node("Identity", &["weights"], &["constant"])
        .node("Mul", &["x", "weights"], &["scaled"])
        .output("scaled", FLOAT, &["n", "2"])
        .output("same", FLOAT, &["n", "2"])
        .output("constant", FLOAT, &["1", "2"])
        .build()
}

/// A host with a guest and every model on every backend.
async fn start(device: &Device, cases: &[Case], host: &Host) {
    let mut models = String::new();
    let mut names = Vec::new();
    for Case { name, bytes, .. } in cases {
        fs_err::write(device.folder().join(name).with_extension("onnx"), bytes).unwrap();
        for (backend, _) in BACKENDS {
            let model = format!("{name}-{backend}");
            models +=
                &format!("[models.{model}]\npath = \"{name}.onnx\"\nbackend = \"{backend}\"\n");
            names.push(format!("\"{model}\""));
        }
    }
    let grants = format!(
        "grants.models = [{}]\nlimits.call_ms_max = 10000",
        names.join(", ")
    );
    let line = Line::new(1).plugin("i", "computes", "").and(&grants);
    let report = host.deploy(&line.and(&models)).await;
    assert_eq!(report.phase, Phase::Committed, "{report:?}");
}

/// What the model takes, as the built-in library reads it.
fn inputs_of(bytes: &Bytes) -> Vec<Port> {
    let source = ModelSource {
        backend: BackendChoice::Tract,
        ..ModelSource::onnx(bytes.clone())
    };
    let model = ModelStore::new(Default::default()).prepare(&source);
    model.unwrap().inputs().to_vec()
}

/// Numbers of no pattern, within [-2, 2] or, if they are whole, within [0, 63].
fn input(port: &Port, rows: u32, salt: u32) -> Tensor {
    let dimensions = port.shape.iter().map(|dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Named(_) | Dim::Any => rows,
    });
    let dimensions: Vec<u32> = dimensions.collect();
    let count: u32 = dimensions.iter().product();
    let values = (0..count).map(|i| {
        let mixed = (i + salt * 7919).wrapping_mul(2_654_435_761) >> 8;
        match port.kind {
            TensorKind::I64 | TensorKind::I32 | TensorKind::U8 => f64::from(mixed % 64),
            _ => f64::from(mixed) / f64::from(1_u32 << 22) - 2.0,
        }
    });
    Tensor::of_values(dimensions, port.kind, &values.collect::<Vec<_>>()).unwrap()
}

/// As the guest reads and writes it.
fn spelled(name: &str, tensor: &Tensor) -> String {
    let dimensions: Vec<_> = tensor.dimensions().iter().map(u32::to_string).collect();
    let bytes: Vec<_> = tensor
        .data()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (kind, dimensions) = (tensor.kind(), dimensions.join(","));
    format!("{name} {kind} {dimensions} {}", bytes.concat())
}

fn read(line: &str) -> (String, Tensor) {
    let words: Vec<_> = line.split(' ').collect();
    let [name, kind, dimensions, digits] = words[..] else {
        panic!("no tensor: {line}");
    };
    let kinds = [
        TensorKind::Fp16,
        TensorKind::Fp32,
        TensorKind::I64,
        TensorKind::I32,
        TensorKind::U8,
    ];
    let kind = kinds.into_iter().find(|found| found.to_string() == kind);
    let dimensions = dimensions.split(',').map(|size| size.parse().unwrap());
    let bytes = (0..digits.len()).step_by(2);
    let bytes: Bytes = bytes
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    let tensor = Tensor::new(dimensions.collect(), kind.unwrap(), bytes);
    (name.to_owned(), tensor.unwrap())
}

/// What the guest was answered.
async fn ask(host: &Host, seen: &mut Inbox, message: &str) -> Vec<(String, Tensor)> {
    host.publish_waiting("in/i/go", message).await;
    let mut batch = Vec::new();
    let answered = timeout(DEADLINE, seen.receive(1, &mut batch)).await;
    answered.expect("the guest answers");
    let text = String::from_utf8(batch.remove(0).payload.to_vec()).unwrap();
    assert!(!text.starts_with("ErrorCode"), "{text}");
    text.lines().map(read).collect()
}

/// Whether two answers are the same, up to `tolerance`.
fn compare(what: &str, expected: &[(String, Tensor)], found: &[(String, Tensor)], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for ((name, expected), (found_name, found)) in expected.iter().zip(found) {
        assert_eq!(found_name, name, "{what}");
        assert_eq!(found.dimensions(), expected.dimensions(), "{what} {name}");
        assert_eq!(found.kind(), expected.kind(), "{what} {name}");
        for (found, expected) in found.values().zip(expected.values()) {
            let off = (found - expected).abs();
            // Of large numbers, in proportion to them.
            let far = tolerance * expected.abs().max(1.0);
            assert!(off <= far, "{what} {name}: {found} instead of {expected}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_file_gives_a_guest_the_same_answers_on_every_backend() {
    let Some(libraries) = libraries() else { return };
    let cases = [
        demo("press"),
        demo("pump"),
        demo("oven"),
        // In bfloat16, which OpenVINO would choose by itself, this is 7e-4 off.
        case("autoencoder", autoencoder()),
        case("lookup", lookup()),
        case("aliases", aliases()),
        Case {
            tolerance: 2e-3,
            ..case("half", half())
        },
    ];
    let device = Device::with(&["computes"]);
    let host = device.open_with(|config| config.inference = both(&libraries));
    host.resume().await;
    start(&device, &cases, &host).await;

    let status = host.deployments().models().status();
    assert_eq!(status.len(), cases.len() * BACKENDS.len());
    for model in &status {
        let expected = BACKENDS
            .iter()
            .find(|(name, _)| model.model.as_str().ends_with(name));
        assert_eq!(
            Some(model.backend),
            expected.map(|(_, kind)| *kind),
            "{}",
            model.model
        );
        assert!(!model.degraded);
    }
    for Case {
        name,
        bytes,
        tolerance,
    } in &cases
    {
        let ports = inputs_of(bytes);
        for (salt, rows) in (1..).zip(ROWS) {
            let tensors = ports
                .iter()
                .map(|port| spelled(&port.name, &input(port, rows, salt)));
            let tensors = tensors.collect::<Vec<_>>().join("\n");
            let mut expected = None;
            for (backend, _) in BACKENDS {
                let model = format!("{name}-{backend}");
                let mut seen = host.listen(&format!("seen/{model}"));
                let found = ask(&host, &mut seen, &format!("{model}\n{tensors}")).await;
                let what = format!("{model} of {rows}");
                match &expected {
                    None => expected = Some(found),
                    Some(expected) => compare(&what, expected, &found, *tolerance),
                }
            }
        }
    }
    host.stop().await;
}
