//! Inference against hostile models, hostile inputs and slow backends.

pub(super) mod any_library;
mod batches;
mod batches_mixed;
mod chosen;
mod damaged;
mod hostile;
mod huge;
mod native;
mod shadows;
mod slots;
mod turns;

use std::sync::Arc;

use bytes::Bytes;

use self::any_library::tensor;
use super::onnx_writer::{
    BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT32, INT64, Onnx, UINT8, autoencoder, double,
};
use super::{
    Golden, GoldenError, InferenceLimits, LoadError, Model, ModelSet, ModelSource, ModelStore,
    RunError, Tensor, TensorKind,
};
use crate::names::{Digest, ModelName};
use crate::spec::{BackendChoice, Target};

fn name() -> ModelName {
    "model".parse().unwrap()
}

fn source(bytes: Bytes) -> ModelSource {
    ModelSource {
        backend: BackendChoice::Tract,
        ..ModelSource::onnx(bytes)
    }
}

fn store() -> ModelStore {
    ModelStore::new(InferenceLimits::default())
}

fn load(bytes: Bytes) -> Result<Arc<Model>, LoadError> {
    store().prepare(&source(bytes))
}

fn zeros(dimensions: &[u32]) -> Tensor {
    Tensor::zeros(dimensions.to_vec(), TensorKind::Fp32).unwrap()
}

async fn run(
    model: &Arc<Model>,
    inputs: Vec<(&str, Tensor)>,
) -> Result<Vec<(String, Tensor)>, RunError> {
    let named = |(name, tensor): (&str, Tensor)| (name.to_owned(), tensor);
    let outputs = model
        .run(inputs.into_iter().map(named).collect(), None)
        .await?;
    let named = |(name, tensor): (Arc<str>, Tensor)| (name.to_string(), tensor);
    Ok(outputs.into_iter().map(named).collect())
}

#[tokio::test]
async fn an_autoencoder_computes_what_it_should_whatever_the_batch() {
    let model = load(autoencoder()).unwrap();
    let weight = |i: usize| ((i * 37 % 101) as f64 - 50.0) / 400.0;
    for rows in [1_u8, 3, 17] {
        let batch = u32::from(rows);
        let rows = usize::from(rows);
        let x: Vec<f64> = (0..rows * 64).map(|i| (i as f64 * 0.7).sin()).collect();
        let input = tensor(&[batch, 64], TensorKind::Fp32, &x);
        let outputs = run(&model, vec![("x", input)]).await.unwrap();

        let names: Vec<_> = outputs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["score", "y"]);
        assert_eq!(outputs[0].1.dimensions(), [batch, 1]);
        let scores: Vec<f64> = outputs[0].1.values().collect();
        let y: Vec<f64> = outputs[1].1.values().collect();
        for row in 0..rows {
            let x = &x[row * 64..][..64];
            let code: Vec<f64> = (0..16)
                .map(|j| {
                    (0..64)
                        .map(|i| x[i] * weight(i * 16 + j))
                        .sum::<f64>()
                        .tanh()
                })
                .collect();
            let restored = |k| (0..16).map(|j| code[j] * weight(j * 64 + k)).sum::<f64>();
            for k in 0..64 {
                assert!((y[row * 64 + k] - restored(k)).abs() < 1e-5);
            }
            let score = (0..64).map(|k| (x[k] - restored(k)).powi(2)).sum::<f64>() / 64.0;
            assert!((scores[row] - score).abs() < 1e-5);
        }
    }
}

#[tokio::test]
async fn six_of_the_seven_kinds_are_computed() {
    let kinds = [
        (FLOAT, TensorKind::Fp32),
        (DOUBLE, TensorKind::Fp64),
        (FLOAT16, TensorKind::Fp16),
        (UINT8, TensorKind::U8),
        (INT32, TensorKind::I32),
        (INT64, TensorKind::I64),
    ];
    for (onnx, kind) in kinds {
        let model = load(double(onnx, &["2", "n"])).unwrap();
        let input = tensor(&[2, 2], kind, &[0.0, 1.0, 2.0, 50.0]);
        let outputs = run(&model, vec![("x", input)]).await.unwrap();
        assert_eq!(outputs[0].1, tensor(&[2, 2], kind, &[0.0, 2.0, 4.0, 100.0]));
    }
    for other in [BFLOAT16, BOOL] {
        let error = load(double(other, &["1"])).unwrap_err();
        assert!(
            matches!(
                error,
                LoadError::Malformed { .. } | LoadError::UnsupportedKind { .. }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn inputs_go_by_name_and_a_single_number_may_be_written_either_way() {
    let model = Onnx::new()
        .input("minuend", FLOAT, &["n"])
        .input("scale", FLOAT, &[])
        .input("subtrahend", FLOAT, &["n"])
        .node("Sub", &["minuend", "subtrahend"], &["d"])
        .node("Mul", &["d", "scale"], &["out"])
        .output("out", FLOAT, &["n"]);
    let model = load(model.build()).unwrap();
    for single in [&[][..], &[1]] {
        let one = |value| tensor(&[1], TensorKind::Fp32, &[value]);
        let inputs = vec![
            ("subtrahend", one(2.0)),
            ("scale", tensor(single, TensorKind::Fp32, &[10.0])),
            ("minuend", one(5.0)),
        ];
        assert_eq!(
            run(&model, inputs).await.unwrap(),
            [("out".to_owned(), one(30.0))]
        );
    }
    let of = |n: u32| tensor(&[n], TensorKind::Fp32, &vec![0.0; n as usize]);
    let inputs = vec![("minuend", of(2)), ("scale", of(1)), ("subtrahend", of(3))];
    let error = run(&model, inputs).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "dimension `n` of input `subtrahend` is 3, but 2 elsewhere"
    );
}

#[tokio::test]
async fn a_wrong_input_is_refused_with_what_was_wrong() {
    let model = load(autoencoder()).unwrap();
    let i64s = Tensor::zeros(vec![1, 64], TensorKind::I64).unwrap();
    let cases = [
        (vec![], "input `x` is missing"),
        (
            vec![("z", zeros(&[1, 64]))],
            "there is no input `z`; the model takes `x`",
        ),
        (
            vec![("x", zeros(&[1, 64])), ("x", zeros(&[1, 64]))],
            "input `x` is given twice",
        ),
        (vec![("x", i64s)], "input `x` is i64, the model takes fp32"),
        (
            vec![("x", zeros(&[1, 63]))],
            "input `x` has the shape [1, 63], the model takes [n, 64]",
        ),
        (
            vec![("x", zeros(&[64]))],
            "input `x` has the shape [64], the model takes [n, 64]",
        ),
        (
            vec![("x", zeros(&[0, 64]))],
            "input `x` has the shape [0, 64], which has no elements",
        ),
    ];
    let count = cases.len() as u64;
    for (inputs, message) in cases {
        let error = run(&model, inputs).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.is_callers_fault());
    }
    let status = model.run_status();
    assert_eq!(
        (
            status.refused_total,
            status.runs_total,
            status.failures_total
        ),
        (count, 0, 0)
    );
    run(&model, vec![("x", zeros(&[2, 64]))]).await.unwrap();
    let status = model.run_status();
    assert_eq!((status.runs_total, status.failures_total), (1, 0));
    assert!(status.run_p50_us > 0.0 && status.run_p99_us >= status.run_p50_us);
}

#[test]
fn a_graphics_processor_is_never_silently_replaced() {
    let store = store();
    let load = |target| {
        let source = ModelSource {
            target,
            ..source(autoencoder())
        };
        store.prepare(&source)
    };
    let status = |model| {
        let set = store.change(&ModelSet::default(), [(name(), Some(model))]);
        serde_json::to_value(set.unwrap().status()).unwrap()
    };
    let error = load(Target::Gpu).unwrap_err();
    assert!(matches!(error, LoadError::NoDevice { .. }));

    let status_of_less = status(load(Target::GpuPreferred).unwrap());
    assert_eq!(status_of_less[0]["target"], "gpu-preferred");
    assert_eq!(status_of_less[0]["device"], "cpu");
    assert_eq!(status_of_less[0]["degraded"], true);

    let status = status(load(Target::Cpu).unwrap());
    assert_eq!(status[0]["degraded"], false);
    assert_eq!(
        status[0]["inputs"][0]["shape"],
        serde_json::json!(["n", 64])
    );
}

#[tokio::test]
async fn another_set_leaves_the_one_before_as_it_is() {
    let store = store();
    let kept: ModelName = "kept".parse().unwrap();
    let model = |bytes| Some(store.prepare(&source(bytes)).unwrap());
    let old = [
        (name(), model(double(FLOAT, &["1"]))),
        (kept.clone(), model(autoencoder())),
    ];
    let old = store.change(&ModelSet::default(), old).unwrap();
    let new = [(name(), model(autoencoder()))];
    let new = store.change(&old, new).unwrap();

    let of_old = old.get(&name()).unwrap();
    let of_old = of_old.current();
    assert_ne!(
        new.get(&name()).unwrap().current().digest(),
        of_old.digest()
    );
    run(&of_old, vec![("x", zeros(&[1]))]).await.unwrap();
    // What stays is not loaded again.
    let (before, after) = (old.get(&kept).unwrap(), new.get(&kept).unwrap());
    assert!(Arc::ptr_eq(before, after));

    let without = store.change(&new, [(name(), None)]).unwrap();
    assert_eq!(without.names().collect::<Vec<_>>(), [&kept]);
    assert_eq!(new.names().len(), 2);
}

#[test]
fn the_limits_on_models_hold() {
    let small = |limits| ModelStore::new(limits).prepare(&source(autoencoder()));
    let defaults = InferenceLimits::default;
    let error = small(InferenceLimits {
        model_bytes_max: 1_000.try_into().unwrap(),
        ..defaults()
    });
    assert!(matches!(error, Err(LoadError::TooLarge { max: 1_000, .. })));
    let error = small(InferenceLimits {
        model_operators_max: 5.try_into().unwrap(),
        ..defaults()
    });
    assert!(matches!(error, Err(LoadError::TooManyOperators { max: 5 })));
    let error = small(InferenceLimits {
        run_bytes_max: 500.try_into().unwrap(),
        ..defaults()
    });
    assert!(matches!(
        error,
        Err(LoadError::TooMuchMemory { max: 500, .. })
    ));

    let store = ModelStore::new(InferenceLimits {
        models_max: 1.try_into().unwrap(),
        ..defaults()
    });
    let model = store.prepare(&source(autoencoder())).unwrap();
    let with = |set: &ModelSet, name| store.change(set, [(name, Some(Arc::clone(&model)))]);
    let one = with(&ModelSet::default(), name()).unwrap();
    let one = with(&one, name()).unwrap();
    let error = with(&one, "other".parse().unwrap());
    assert!(matches!(error, Err(LoadError::TooMany { max: 1 })));

    let wrong = ModelSource {
        digest: Digest::of(b"another"),
        ..source(autoencoder())
    };
    let error = store.prepare(&wrong);
    assert!(matches!(error, Err(LoadError::WrongDigest { .. })));
}

fn with_golden(expected: &str) -> Result<(), LoadError> {
    let golden = format!(
        r#"{{"inputs": [{{"name": "x", "dimensions": [2], "values": [1.5, -2]}}],
            "outputs": [{expected}], "tolerance": 1e-3}}"#
    );
    let source = ModelSource {
        golden: vec![Golden::parse(golden.as_bytes()).unwrap()],
        ..source(double(FLOAT, &["n"]))
    };
    store().prepare(&source).map(drop)
}

#[test]
fn a_model_that_misses_its_golden_vector_is_not_taken() {
    with_golden(r#"{"name": "y", "dimensions": [2], "values": [3.0005, -4]}"#).unwrap();
    let missed = |expected| match with_golden(expected).unwrap_err() {
        LoadError::Wrong { source } => source,
        error => panic!("{error:?}"),
    };
    let error = missed(r#"{"name": "y", "dimensions": [2], "values": [3.5, -4]}"#);
    assert_eq!(
        error.to_string(),
        "element 0 of output `y` is 3 instead of 3.5"
    );
    let error = missed(r#"{"name": "y", "dimensions": [1, 2], "values": [3, -4]}"#);
    assert!(matches!(error, GoldenError::Shape { .. }));
    let error = missed(r#"{"name": "z", "dimensions": [2], "values": [3, -4]}"#);
    assert!(matches!(error, GoldenError::UnknownOutput { .. }));
}

#[test]
fn a_golden_vector_must_be_able_to_fail() {
    let check = |json: &str| Golden::parse(json.as_bytes()).unwrap_err();
    let error = check(r#"{"inputs": [], "outputs": [], "tolerance": 0}"#);
    assert!(matches!(error, GoldenError::ChecksNothing));
    let output = r#"{"name": "y", "dimensions": [2], "values": [3, -4]}"#;
    let error = check(&format!(
        r#"{{"inputs": [], "outputs": [{output}], "tolerance": -1}}"#
    ));
    assert!(matches!(error, GoldenError::Tolerance { .. }));
    let error = check(&format!(r#"{{"inputs": [], "outputs": [{output}]}}"#));
    assert!(matches!(error, GoldenError::Malformed { .. }));
    let short = output.replace("[2]", "[3]");
    let error = check(&format!(
        r#"{{"inputs": [], "outputs": [{short}], "tolerance": 1}}"#
    ));
    assert!(matches!(error, GoldenError::Tensor { .. }));
}

#[test]
fn weights_that_are_kept_apart_count_as_the_model() {
    let limits = InferenceLimits {
        model_bytes_max: 10_000.try_into().unwrap(),
        ..InferenceLimits::default()
    };
    let store = ModelStore::new(limits);
    let source = ModelSource {
        format: crate::inference::ModelFormat::OpenvinoIr,
        weights: Some(vec![0; 9_990].into()),
        ..source("<net></net>".into())
    };
    let error = store.prepare(&source).unwrap_err();
    let LoadError::TooLarge { bytes, max } = error else {
        panic!("{error}");
    };
    assert_eq!((bytes, max), (10_001, 10_000));
}

#[test]
fn how_many_models_fit_is_known_before_they_are_loaded() {
    let store = store();
    let max = InferenceLimits::default().models_max.get();
    store.fits(max).unwrap();
    let error = store.fits(max + 1).unwrap_err();
    assert!(matches!(error, LoadError::TooMany { .. }), "{error}");
}

#[test]
fn a_model_with_names_that_fill_a_log_is_refused() {
    let long = "x".repeat(257);
    let model = |input: &str| {
        let model = Onnx::new()
            .input(input, FLOAT, &["n", "2"])
            .node("Neg", &[input], &["y"])
            .output("y", FLOAT, &["n", "2"]);
        store().prepare(&source(model.build()))
    };
    model("x").unwrap();
    assert_eq!(model(&long).unwrap_err().code(), "model-malformed");
    let port = |dim: &str| crate::inference::Port {
        name: "x".into(),
        kind: TensorKind::Fp32,
        shape: vec![crate::inference::Dim::Named(dim.into())],
    };
    let bounded = |outputs| {
        let inputs = vec![port("n")];
        super::store::bounded(&crate::inference::Interface { inputs, outputs })
    };
    bounded(vec![port("n"); 256]).unwrap();
    bounded(vec![port("n"); 257]).unwrap_err();
    bounded(vec![port(&long)]).unwrap_err();
}
