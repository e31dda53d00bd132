//! Model files that were made to break the host.

use super::{
    FLOAT, INT64, LoadError, Onnx, RunError, TensorKind, autoencoder, double, load, run, source,
    store, tensor, zeros,
};

#[test]
fn damaged_models_never_break_the_host() {
    let whole = autoencoder();
    let store = store();
    let mut refused = 0;
    let mut damaged: Vec<Vec<u8>> = (0..64)
        .map(|i| whole[..whole.len() * i / 64].to_vec())
        .collect();
    // Most bits are weights, which may well be others: flip the structure, which
    // is at both ends, and a few of the rest.
    let structure = (0..200).chain(whole.len() - 400..whole.len());
    for (i, at) in structure.chain((200..whole.len()).step_by(97)).enumerate() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (i % 8);
        damaged.push(bytes);
    }
    for bytes in &damaged {
        refused += u32::from(store.prepare(&source(bytes.clone().into())).is_err());
    }
    assert!(damaged.len() > 600, "{}", damaged.len());
    assert!(refused > 200, "{refused} of {}", damaged.len());
    // Still in order afterwards.
    store.prepare(&source(whole)).unwrap();
}

#[test]
fn what_reaches_outside_the_model_is_refused() {
    let model = Onnx::new()
        .input("x", FLOAT, &["1"])
        .external("w", "/etc/passwd")
        .node("Add", &["x", "w"], &["y"])
        .output("y", FLOAT, &["1"]);
    let error = load(model.build()).unwrap_err();
    assert!(matches!(error, LoadError::ExternalData { tensor } if tensor == "w"));

    let with = |domain, operator| {
        let model = Onnx::new()
            .input("x", FLOAT, &["1"])
            .node_of(domain, operator, &["x"], &["y"])
            .output("y", FLOAT, &["1"]);
        load(model.build())
    };
    // The library would take this for its own `Relu`.
    let error = with("com.example", "Relu").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model uses the custom operator `com.example:Relu`"
    );
    with("ai.onnx", "Relu").unwrap();
    let error = with("ai.onnx.ml", "TreeEnsembleRegressor").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the operator `TreeEnsembleRegressor` is not supported by the backend `tract`; \
         `onnxruntime` has all standard operators, and this host has none"
    );
    let error = load(Onnx::new().function("f").build()).unwrap_err();
    assert!(matches!(error, LoadError::CustomOperator { .. }));
}

#[tokio::test]
async fn the_name_of_a_dimension_is_not_interpreted() {
    // Parsed recursively, this ends the process.
    let deep = "(".repeat(1_000_000);
    let huge = "n*9223372036854775807*n".to_owned();
    let fraction = "floor(n/0)".to_owned();
    for dimension in [deep, huge, fraction] {
        let model = load(double(FLOAT, &["1", &dimension])).unwrap();
        run(&model, vec![("x", zeros(&[1, 3]))]).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_would_take_all_memory_is_refused() {
    let outer = Onnx::new()
        .input("a", FLOAT, &["n", "1"])
        .input("b", FLOAT, &["1", "m"])
        .node("MatMul", &["a", "b"], &["y"])
        .output("y", FLOAT, &["n", "m"]);
    let model = load(outer.build()).unwrap();
    let inputs = |n| vec![("a", zeros(&[n, 1])), ("b", zeros(&[1, n]))];
    let outputs = run(&model, inputs(64)).await.unwrap();
    assert_eq!(outputs[0].1.dimensions(), [64, 64]);
    // A megabyte in, a terabyte out.
    let error = run(&model, inputs(1 << 18)).await.unwrap_err();
    assert!(matches!(error, RunError::TooMuchMemory { .. }), "{error}");

    let fixed = double(FLOAT, &["100000", "100000"]);
    let error = load(fixed).unwrap_err();
    assert!(matches!(error, LoadError::TooMuchMemory { .. }), "{error}");
}

#[test]
fn a_size_that_depends_on_values_is_refused() {
    let chosen = Onnx::new()
        .input("size", INT64, &["1"])
        .node("ConstantOfShape", &["size"], &["y"])
        .output("y", FLOAT, &["?"]);
    let found = Onnx::new()
        .input("x", FLOAT, &["n"])
        .node("NonZero", &["x"], &["y"])
        .output("y", INT64, &["1", "?"]);
    for model in [chosen, found] {
        let error = load(model.build()).unwrap_err();
        assert!(
            matches!(
                error,
                LoadError::Unbounded { .. } | LoadError::Malformed { .. }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_index_outside_a_tensor_is_an_error() {
    let model = Onnx::new()
        .input("i", INT64, &["1"])
        .weights("table", &[3], &[1.0, 2.0, 3.0])
        .node("Gather", &["table", "i"], &["y"])
        .output("y", FLOAT, &["1"]);
    let model = load(model.build()).unwrap();
    let at = |i: f64| tensor(&[1], TensorKind::I64, &[i]);
    let outputs = run(&model, vec![("i", at(2.0))]).await.unwrap();
    assert_eq!(outputs[0].1, tensor(&[1], TensorKind::Fp32, &[3.0]));
    for i in [3.0, -4.0, 1e18, -1e18] {
        let error = run(&model, vec![("i", at(i))]).await.unwrap_err();
        assert!(
            matches!(error, RunError::Failed { .. } | RunError::Panicked { .. }),
            "{error:?}"
        );
    }
    assert_eq!(model.run_status().failures_total, 4);
}
