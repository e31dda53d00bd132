//! Guests that feed models what they do not take, and models that were made to break
//! the host: on every library, by the whole path of a deployment.

use bytes::Bytes;
use selvedge::bus::Inbox;
use selvedge::deployment::report::Phase;
use tokio::time::timeout;

use super::{both, libraries};
use crate::deployments::world::{Device, Host, Line};
use crate::process::{DEADLINE, Process, run, selvedge, text};
use crate::updates::onnx_writer::{FLOAT, Onnx, autoencoder};

const BACKENDS: [&str; 3] = ["tract", "onnxruntime", "openvino"];
const COLUMNS: usize = 64;

/// The same model on all three, and one guest that may use them.
fn line(version: usize) -> Line {
    let models = BACKENDS.map(|backend| {
        format!("[models.{backend}]\npath = \"model.onnx\"\nbackend = \"{backend}\"\n")
    });
    Line::new(version)
        .plugin("i", "computes", "")
        .and("grants.models = [\"tract\", \"onnxruntime\", \"openvino\"]\nlimits.call_ms_max = 20000")
        .and(&models.concat())
}

async fn start(device: &Device, libraries: &[std::path::PathBuf; 2]) -> Host {
    fs_err::write(device.folder().join("model.onnx"), autoencoder()).unwrap();
    let host = device.open_with(|config| config.inference = both(libraries));
    host.resume().await;
    host
}

async fn ask(host: &Host, seen: &mut Inbox, message: &str) -> String {
    host.publish_waiting("in/i/go", message).await;
    let mut batch = Vec::new();
    let answered = timeout(DEADLINE, seen.receive(1, &mut batch)).await;
    answered.expect("the guest answers");
    String::from_utf8(batch.remove(0).payload.to_vec()).unwrap()
}

fn row(name: &str, kind: &str, shape: &str, value: &[u8], count: usize) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\n{name} {kind} {shape} {}", digits.repeat(count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_in_the_same_words_on_every_backend() {
    let Some(libraries) = libraries() else { return };
    let device = Device::with(&["computes"]);
    let host = start(&device, &libraries).await;
    host.commit(&line(1)).await;
    let mut seen = host.listen("seen/#");
    let one = 1.0_f32.to_le_bytes();
    let good = row("x", "fp32", "1,64", &one, COLUMNS);
    let wrong = [
        (
            "a wrong length",
            row("x", "fp32", "1,64", &one, COLUMNS - 1),
        ),
        ("a wrong size", row("x", "fp32", "1,63", &one, COLUMNS - 1)),
        ("a wrong rank", row("x", "fp32", "1,1,64", &one, COLUMNS)),
        ("a single number", row("x", "fp32", "1", &one, 1)),
        ("a wrong type", row("x", "i64", "1,64", &[0; 8], COLUMNS)),
        ("half of it", row("x", "fp16", "1,64", &[0; 2], COLUMNS)),
        ("a wrong name", row("y", "fp32", "1,64", &one, COLUMNS)),
        ("nothing", String::new()),
        ("it twice", good.clone() + &good),
        ("no rows", row("x", "fp32", "0,64", &one, 0)),
        (
            "a shape beyond all",
            row("x", "fp32", "4294967295,4294967295", &one, 1),
        ),
        (
            "too many dimensions",
            row("x", "fp32", "1,1,1,1,1,1,1,1,64", &one, COLUMNS),
        ),
    ];
    for (what, tensors) in &wrong {
        let mut answers = Vec::new();
        for backend in BACKENDS {
            let answer = ask(&host, &mut seen, &format!("{backend}{tensors}")).await;
            assert!(
                answer.starts_with("ErrorCode::InvalidArgument: "),
                "{what} on {backend}: {answer}"
            );
            assert!(answer.len() > 45, "{what} on {backend}: {answer}");
            answers.push(answer);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{what}: {answers:#?}");
    }
    // Numbers that are none are computed with, and spoil nothing for later.
    for value in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE / 2.0,
    ] {
        let tensors = row("x", "fp32", "1,64", &value.to_le_bytes(), COLUMNS);
        for backend in BACKENDS {
            let before = ask(&host, &mut seen, &format!("{backend}{good}")).await;
            let answer = ask(&host, &mut seen, &format!("{backend}{tensors}")).await;
            assert!(
                answer.starts_with("score fp32 1,1 "),
                "{value} on {backend}: {answer}"
            );
            if value.is_nan() {
                assert!(
                    answer.contains("c07f") || answer.contains("c0ff"),
                    "{backend}: {answer}"
                );
            }
            let after = ask(&host, &mut seen, &format!("{backend}{good}")).await;
            assert_eq!(after, before, "{value} on {backend}");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_models_are_refused_by_their_deployments_and_what_served_goes_on() {
    let Some(libraries) = libraries() else { return };
    let device = Device::with(&["computes"]);
    let host = start(&device, &libraries).await;
    host.commit(&line(1)).await;
    let mut seen = host.listen("seen/#");
    let good = row("x", "fp32", "1,64", &1.0_f32.to_le_bytes(), COLUMNS);
    let expected = ask(&host, &mut seen, &format!("tract{good}")).await;
    let whole = autoencoder();
    let (mut refused, mut version) = (0, 1);
    for round in 0..30_usize {
        let mut bytes = whole.to_vec();
        match round % 3 {
            0 => bytes.truncate(whole.len() * round / 31),
            1 => bytes[round * 7] ^= 1 << (round % 8),
            _ => {
                let at = whole.len() - 1 - round * 9;
                bytes[at] ^= 1 << (round % 8);
            }
        }
        fs_err::write(device.folder().join("bad.onnx"), bytes).unwrap();
        let backend = BACKENDS[round / 3 % 3];
        version += 1;
        let bad = format!("[models.bad]\npath = \"bad.onnx\"\nbackend = \"{backend}\"\n");
        let report = host.deploy(&line(version).and(&bad)).await;
        if report.phase != Phase::Committed {
            refused += 1;
            let fault = &report.faults[0];
            assert!(fault.message.contains("`bad`"), "{report:?}");
            assert!(!fault.message.contains('\n'), "{report:?}");
        }
        let answer = ask(&host, &mut seen, &format!("tract{good}")).await;
        assert_eq!(answer, expected, "after {round} on {backend}");
    }
    assert!(refused > 10, "{refused}");
    host.stop().await;
}

/// Fourteen gigabytes, of a column times the row that it is when turned.
fn bomb() -> Bytes {
    Onnx::new()
        .input("x", FLOAT, &["1", "1"])
        .weights("column", &[60_000, 1], &[1.0; 60_000])
        .node("Transpose", &["column"], &["row"])
        .node("Mul", &["column", "row"], &["square"])
        .node("ReduceMax", &["square"], &["most"])
        .node("Add", &["x", "most"], &["y"])
        .output("y", FLOAT, &["1", "1"])
        .build()
}

/// Models, the backends that refuse them, and what is said.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "trees",
        "tract",
        "the operator `TreeEnsembleRegressor` is not supported by the backend `tract`; `onnxruntime` of this host has it",
    ),
    (
        "custom",
        "onnxruntime",
        "the model uses the custom operator `com.example:Mine`",
    ),
    (
        "custom",
        "tract",
        "the model uses the custom operator `com.example:Mine`",
    ),
    (
        "outside",
        "onnxruntime",
        "the model keeps tensor `w` in another file",
    ),
    (
        "outside",
        "tract",
        "the model keeps tensor `w` in another file",
    ),
    ("claims", "onnxruntime", "model `m`"),
    ("claims", "tract", "model `m`"),
    (
        "bomb",
        "onnxruntime",
        "of memory when the backend `onnxruntime` tried it",
    ),
    ("good", "openvino", "the configuration names no library"),
];

fn unfit() -> [(&'static str, Onnx); 4] {
    [
        (
            "trees.onnx",
            Onnx::new()
                .input("x", FLOAT, &["1", "3"])
                .node_of("ai.onnx.ml", "TreeEnsembleRegressor", &["x"], &["y"])
                .output("y", FLOAT, &["1", "1"]),
        ),
        (
            "custom.onnx",
            Onnx::new()
                .input("x", FLOAT, &["1"])
                .node_of("com.example", "Mine", &["x"], &["y"])
                .output("y", FLOAT, &["1"]),
        ),
        (
            "outside.onnx",
            Onnx::new()
                .input("x", FLOAT, &["1"])
                .external("w", "/etc/passwd")
                .node("Add", &["x", "w"], &["y"])
                .output("y", FLOAT, &["1"]),
        ),
        (
            "claims.onnx",
            Onnx::new()
                .input("x", FLOAT, &["1"])
                .weights("w", &[50_000, 50_000], &[1.0])
                .node("Add", &["x", "w"], &["y"])
                .output("y", FLOAT, &["?", "?"]),
        ),
    ]
}

#[tokio::test]
async fn the_real_host_refuses_what_is_not_fit_and_says_which_backend_has_an_operator() {
    let Some([onnxruntime, _]) = libraries() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs_err::write(folder.path().join(name), bytes).unwrap();
    let pinned = run(&mut selvedge(&["backends", "pin", text(&onnxruntime)])).await;
    write("host.toml", pinned.stdout.as_bytes());
    for (name, model) in unfit() {
        write(name, &model.build());
    }
    write("bomb.onnx", &bomb());
    write("good.onnx", &autoencoder());
    let data = folder.path().join("data");
    let arguments = |line: &'static str| {
        let mut command = selvedge(&[
            "dev",
            line,
            "--host-config",
            "host.toml",
            "--data-directory",
        ]);
        command.arg(&data).current_dir(folder.path());
        command
    };
    for &(model, backend, expected) in REFUSED {
        write("line.toml", format!(
            "name = \"line\"\nversion = \"1.0.0\"\n[models.m]\npath = \"{model}.onnx\"\nbackend = \"{backend}\"\n"
        ).as_bytes());
        let mut host = Process::start(&mut arguments("line.toml"));
        let ended = host.end().await;
        assert_ne!(ended.code, Some(0), "{model} on {backend}: {ended:?}");
        let said = ended.stderr + &ended.stdout;
        assert!(said.contains(expected), "{model} on {backend}: {said}");
    }
    write("line.toml", b"name = \"line\"\nversion = \"1.0.0\"\n[models.m]\npath = \"good.onnx\"\nbackend = \"onnxruntime\"\n");
    let mut host = Process::start(&mut arguments("line.toml"));
    host.line("deployment committed").await;
    host.signal("INT").await;
    assert_eq!(host.end().await.code, Some(0));
}
