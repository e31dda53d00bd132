//! What is refused, and in what words.

use std::time::{Duration, Instant};

use super::{
    BOOL, Bytes, FLOAT, INT64, LoadError, ModelSource, Onnx, Provider, RunError, RunOptions,
    Tensor, TensorKind, double, run, source, store, tensor,
};
use crate::inference::onnx_writer::doubling;

fn refused(model: Onnx) -> Option<LoadError> {
    Some(store()?.prepare(&source(model.build())).unwrap_err())
}

fn one(domain: &str, operator: &str) -> Onnx {
    Onnx::new()
        .input("x", FLOAT, &["1"])
        .node_of(domain, operator, &["x"], &["y"])
        .output("y", FLOAT, &["1"])
}

#[test]
fn an_operator_that_the_library_lacks_is_named() {
    let Some(error) = refused(one("", "Levitate")) else {
        return;
    };
    assert_eq!(
        error.to_string(),
        "the operator `Levitate` is not supported by the backend `onnxruntime`; \
         no backend of this host is known to have it"
    );
    for (domain, operator) in [("com.example", "Relu"), ("com.microsoft", "EPContext")] {
        let error = refused(one(domain, operator)).unwrap();
        assert!(matches!(error, LoadError::CustomOperator { .. }), "{error}");
    }
}

#[test]
fn what_reaches_outside_the_model_is_refused() {
    let model = Onnx::new()
        .input("x", FLOAT, &["1"])
        .external("w", "/etc/passwd")
        .node("Add", &["x", "w"], &["y"])
        .output("y", FLOAT, &["1"]);
    let Some(error) = refused(model) else { return };
    assert!(matches!(error, LoadError::ExternalData { tensor } if tensor == "w"));
}

#[test]
fn a_port_of_another_kind_is_named() {
    let Some(store) = store() else { return };
    let model = Onnx::new()
        .input("flag", BOOL, &["1"])
        .node("Not", &["flag"], &["y"])
        .output("y", BOOL, &["1"]);
    let error = store.prepare(&source(model.build())).unwrap_err();
    assert!(
        matches!(&error, LoadError::UnsupportedKind { port, kind } if port == "flag" && kind == "bool"),
        "{error:?}"
    );
}

#[test]
fn a_size_that_callers_decide_by_value_is_refused() {
    let grown = Onnx::new()
        .input("x", FLOAT, &["1"])
        .input("shape", INT64, &["1"])
        .node("Expand", &["x", "shape"], &["y"])
        .output("y", FLOAT, &["n"]);
    let Some(error) = refused(grown) else { return };
    assert!(matches!(&error, LoadError::Unbounded { operator } if operator == "Expand"));

    // By the shape of another input it is bounded.
    let like = Onnx::new()
        .input("x", FLOAT, &["1"])
        .input("like", FLOAT, &["n", "m"])
        .node("Shape", &["like"], &["shape"])
        .node("Expand", &["x", "shape"], &["y"])
        .output("y", FLOAT, &["n", "m"]);
    store().unwrap().prepare(&source(like.build())).unwrap();
}

/// `y = x`, added to itself as often as `turns` says, which is an input or else a
/// constant.
fn turning(turns: Option<i64>) -> Bytes {
    let model = Onnx::new().input("x", FLOAT, &["2"]);
    let model = match turns {
        Some(turns) => model.integers("turns", &[], &[turns]),
        None => model.input("turns", INT64, &[]),
    };
    model
        .node_with("Loop", (&["turns", "", "x"], &["y"]), &[doubling("2")])
        .output("y", FLOAT, &["2"])
        .build()
}

#[tokio::test]
async fn a_loop_may_turn_as_often_as_its_author_says_but_not_for_ever() {
    let Some(store) = store() else { return };
    let model = store.prepare(&source(turning(Some(3)))).unwrap();
    let x = tensor(&[2], TensorKind::Fp32, &[1.0, 2.0]);
    let outputs = run(&model, vec![("x", x)], None).await.unwrap();
    assert_eq!(outputs[0].1.values().collect::<Vec<_>>(), [8.0, 16.0]);

    let started = Instant::now();
    let error = store.prepare(&source(turning(Some(i64::MAX)))).unwrap_err();
    let stopped = matches!(
        &error,
        LoadError::Trial {
            source: RunError::Deadline
        }
    );
    assert!(stopped, "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10));

    let error = store.prepare(&source(turning(None))).unwrap_err();
    assert!(matches!(&error, LoadError::Unbounded { operator } if operator == "Loop"));
}

#[test]
fn weights_that_are_only_claimed_are_refused_before_they_take_memory() {
    let model = Onnx::new()
        .input("x", FLOAT, &["1"])
        .weights("w", &[50_000, 50_000], &[1.0])
        .node("Add", &["x", "w"], &["y"])
        .output("y", FLOAT, &["n", "m"]);
    let Some(error) = refused(model) else { return };
    assert!(matches!(error, LoadError::Malformed { .. }), "{error:?}");
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let Some(store) = store() else { return };
    for bytes in [&b""[..], b"\0", b"ORTM", &[0xff; 1_000]] {
        let error = store
            .prepare(&source(Bytes::from_static(bytes)))
            .unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn inputs_and_outputs_have_a_bound() {
    let Some(store) = store() else { return };
    let outer = Onnx::new()
        .input("x", FLOAT, &["n", "1"])
        .node("Transpose", &["x"], &["t"])
        .node("MatMul", &["x", "t"], &["y"])
        .output("y", FLOAT, &["n", "m"]);
    let model = store.prepare(&source(outer.build())).unwrap();
    // 400 MB out of 40 kB.
    let input = Tensor::zeros(vec![10_000, 1], TensorKind::Fp32).unwrap();
    let error = run(&model, vec![("x", input)], None).await.unwrap_err();
    assert!(matches!(error, RunError::TooMuchMemory { .. }), "{error:?}");
    assert!(error.is_callers_fault());
    let input = tensor(&[2, 1], TensorKind::Fp32, &[2.0, 3.0]);
    let outputs = run(&model, vec![("x", input)], None).await.unwrap();
    assert_eq!(
        outputs[0].1.values().collect::<Vec<_>>(),
        [4.0, 6.0, 6.0, 9.0]
    );
}

#[tokio::test]
async fn a_wrong_input_says_what_was_wrong() {
    let Some(store) = store() else { return };
    let model = store.prepare(&source(double(FLOAT, &["2", "n"]))).unwrap();
    let shape = tensor(&[3, 1], TensorKind::Fp32, &[0.0; 3]);
    let error = run(&model, vec![("x", shape)], None).await.unwrap_err();
    assert!(matches!(error, RunError::WrongShape { .. }), "{error:?}");
    let kind = tensor(&[2, 1], TensorKind::I64, &[0.0; 2]);
    let error = run(&model, vec![("x", kind)], None).await.unwrap_err();
    assert!(matches!(error, RunError::WrongKind { .. }), "{error:?}");
    // What the library itself finds wrong is an error like any other.
    let clash = Onnx::new()
        .input("a", FLOAT, &["?"])
        .input("b", FLOAT, &["?"])
        .node("Add", &["a", "b"], &["y"])
        .output("y", FLOAT, &["?"]);
    let model = store.prepare(&source(clash.build())).unwrap();
    let of = |n: u32| Tensor::zeros(vec![n], TensorKind::Fp32).unwrap();
    let error = run(&model, vec![("a", of(2)), ("b", of(3))], None).await;
    assert!(matches!(error, Err(RunError::Failed { .. })), "{error:?}");
    let nan = tensor(&[2], TensorKind::Fp32, &[f64::NAN, f64::INFINITY]);
    let outputs = run(&model, vec![("a", nan), ("b", of(2))], None)
        .await
        .unwrap();
    assert!(outputs[0].1.values().next().unwrap().is_nan());
}

#[test]
fn a_provider_that_the_host_does_not_allow_is_refused() {
    let Some(store) = store() else { return };
    let options = RunOptions {
        provider: Some(Provider::Openvino),
        ..RunOptions::default()
    };
    let source = ModelSource {
        options,
        ..source(double(FLOAT, &["1"]))
    };
    let error = store.prepare(&source).unwrap_err();
    assert!(matches!(&error, LoadError::BackendUnavailable { why, .. }
        if why.contains("host.toml does not name it")));
}
