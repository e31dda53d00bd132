use prost::Message as _;
use tract_onnx::pb;

use super::{OnnxFile, Rules};
use crate::inference::onnx_writer::{FLOAT, INT64, Onnx, autoencoder, double};
use crate::inference::{InferenceLimits, LoadError};
use crate::spec::BackendKind;

fn vet(bytes: &[u8]) -> Result<OnnxFile, LoadError> {
    let limits = InferenceLimits {
        model_operators_max: 100.try_into().unwrap(),
        ..InferenceLimits::default()
    };
    let rules = Rules {
        backend: BackendKind::Openvino,
        allowed: &|_, operator| operator != "Forbidden",
        limits: &limits,
    };
    OnnxFile::vet(bytes, rules)
}

/// A model as the writer makes it, changed.
fn changed(model: Onnx, change: impl FnOnce(&mut pb::ModelProto)) -> Vec<u8> {
    let mut model = pb::ModelProto::decode(model.build()).unwrap();
    change(&mut model);
    model.encode_to_vec()
}

fn graph(model: &mut pb::ModelProto) -> &mut pb::GraphProto {
    model.graph.as_mut().unwrap()
}

#[test]
fn what_computes_is_kept_and_what_only_hints_is_not() {
    let plain = autoencoder();
    let vetted = vet(&plain).unwrap();
    let kept = pb::ModelProto::decode(&*vetted.bytes).unwrap();
    assert_eq!(kept, pb::ModelProto::decode(plain).unwrap());
    assert!(vetted.unshaped.is_empty());

    let hinting = changed(Onnx::new().input("x", FLOAT, &["n * 2"]), |model| {
        model.doc_string = "a note".to_owned();
        model.metadata_props.push(pb::StringStringEntryProto {
            key: "ort_config".to_owned(),
            value: "{}".to_owned(),
        });
        let port = graph(model).input[0].clone();
        graph(model).value_info.push(port);
    });
    let mut unknown = hinting.clone();
    // A field that no version of the format has.
    unknown.extend([0xfa, 0x7f, 3, b'a', b'b', b'c']);
    for bytes in [hinting, unknown] {
        let vetted = vet(&bytes).unwrap();
        let text = String::from_utf8_lossy(&vetted.bytes).into_owned();
        for gone in ["a note", "ort_config", "n * 2", "abc"] {
            assert!(!text.contains(gone), "{gone}");
        }
    }
}

#[test]
fn operators_are_counted_and_looked_at_in_nested_graphs_too() {
    let with = |operator: &str, count: usize| {
        let node = pb::NodeProto {
            op_type: operator.to_owned(),
            ..Default::default()
        };
        let inner = pb::GraphProto {
            node: vec![node; count],
            ..Default::default()
        };
        let attribute = pb::AttributeProto {
            g: Some(inner),
            ..Default::default()
        };
        vet(&changed(Onnx::new(), |model| {
            graph(model).node.push(pb::NodeProto {
                op_type: "If".to_owned(),
                attribute: vec![attribute],
                ..Default::default()
            });
        }))
    };
    with("Relu", 99).unwrap();
    let error = with("Relu", 100).unwrap_err();
    assert!(matches!(error, LoadError::TooManyOperators { max: 100 }));
    let error = with("Forbidden", 1).unwrap_err();
    assert!(
        matches!(&error, LoadError::UnsupportedOperator { operator, .. } if operator == "Forbidden")
    );
}

#[test]
fn graphs_that_nest_without_end_are_refused() {
    // Written from the inside out: to write them as others do overflows the stack.
    let wrap = |field: u8, inner: &[u8]| {
        let mut outer = vec![field << 3 | 2];
        prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
        outer.extend_from_slice(inner);
        outer
    };
    let nested = |depth: usize| {
        let mut inner = Vec::new();
        for _ in 0..depth {
            let attribute = wrap(6, &inner);
            let mut node = wrap(5, &attribute);
            node.extend(wrap(4, b"If"));
            inner = wrap(1, &node);
        }
        vet(&wrap(7, &inner))
    };
    nested(10).unwrap();
    for depth in [16, 40, 5_000] {
        let error = nested(depth).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{depth}");
    }
}

#[test]
fn a_constant_has_all_the_data_that_it_claims() {
    let with = |dims: &[i64], change: fn(&mut pb::TensorProto)| {
        let mut tensor = pb::TensorProto {
            name: "w".to_owned(),
            dims: dims.to_vec(),
            data_type: 1,
            ..Default::default()
        };
        change(&mut tensor);
        vet(&changed(Onnx::new(), |model| {
            graph(model).initializer.push(tensor);
        }))
    };
    with(&[2, 3], |tensor| tensor.raw_data = vec![0; 24]).unwrap();
    with(&[2, 3], |tensor| tensor.float_data = vec![0.0; 6]).unwrap();
    with(&[0, 3], |_| {}).unwrap();
    with(&[5], |tensor| {
        tensor.data_type = 22;
        tensor.raw_data = vec![0; 3];
    })
    .unwrap();
    let bad: [fn(&mut pb::TensorProto); 3] = [
        |tensor| tensor.raw_data = vec![0; 23],
        |tensor| tensor.float_data = vec![0.0; 5],
        |_| {},
    ];
    for change in bad {
        let error = with(&[2, 3], change).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{error}");
    }
    for dims in [&[i64::MAX, i64::MAX][..], &[-1], &[1 << 40]] {
        let error = with(dims, |tensor| tensor.raw_data = vec![0; 8]).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{error}");
    }
    let error = with(&[1], |tensor| tensor.data_location = Some(1)).unwrap_err();
    assert!(matches!(error, LoadError::ExternalData { .. }), "{error}");
}

#[test]
fn a_sparse_tensor_counts_as_the_dense_one_it_becomes() {
    let with = |dims: &[i64]| {
        let values = pb::TensorProto {
            name: "w".to_owned(),
            dims: vec![1],
            data_type: 1,
            float_data: vec![1.0],
            ..Default::default()
        };
        vet(&changed(Onnx::new(), |model| {
            graph(model).sparse_initializer.push(pb::SparseTensorProto {
                values: Some(values),
                indices: None,
                dims: dims.to_vec(),
            });
        }))
    };
    with(&[1_000, 1_000]).unwrap();
    let error = with(&[1 << 20, 1 << 20]).unwrap_err();
    assert!(matches!(error, LoadError::TooMuchMemory { .. }), "{error}");
}

#[test]
fn only_shapes_and_constants_may_decide_sizes() {
    let x = || Onnx::new().input("x", FLOAT, &["n"]);
    let fed = |model: Onnx| match vet(&model.build()) {
        Ok(_) => None,
        Err(LoadError::Unbounded { operator }) => Some(operator),
        Err(error) => panic!("{error}"),
    };
    let shape = || x().node("Shape", &["x"], &["shape"]);
    assert_eq!(
        fed(shape().node("ConstantOfShape", &["shape"], &["y"])),
        None
    );
    let grown = shape().node("Mul", &["shape", "shape"], &["more"]);
    assert_eq!(fed(grown.node("ConstantOfShape", &["more"], &["y"])), None);

    let number = || x().input("k", INT64, &["1"]);
    for (operator, inputs) in [
        ("ConstantOfShape", &["k"][..]),
        ("Expand", &["x", "k"]),
        ("Tile", &["x", "k"]),
        ("Range", &["x", "k", "x"]),
        ("OneHot", &["x", "k", "x"]),
        ("Resize", &["x", "", "", "k"]),
    ] {
        let direct = number().node(operator, inputs, &["y"]);
        assert_eq!(fed(direct).as_deref(), Some(operator));
    }
    // By way of others, and of values that nobody made.
    let through = number().node("Cast", &["k"], &["c"]);
    let through = through.node("Concat", &["c", "c"], &["k2"]);
    let through = through.node("Expand", &["x", "k2"], &["y"]);
    assert_eq!(fed(through).as_deref(), Some("Expand"));
    let nowhere = x().node("Expand", &["x", "nowhere"], &["y"]);
    assert_eq!(fed(nowhere).as_deref(), Some("Expand"));
}

#[test]
fn what_is_fed_decides_no_place_in_memory() {
    let refused = |model: Onnx| match vet(&model.build()) {
        Ok(_) => None,
        Err(LoadError::Addressing { operator }) => Some(operator),
        Err(error) => panic!("{error}"),
    };
    let model = || {
        let fed = Onnx::new()
            .input("x", FLOAT, &["n"])
            .input("fed", INT64, &["1"]);
        fed.integers("kept", &[1], &[1])
    };
    let own = "com.microsoft";
    for (domain, operator, place) in [
        ("", "Attention", 6),
        ("", "RotaryEmbedding", 3),
        ("ai.onnx", "RotaryEmbedding", 3),
        ("", "TensorScatter", 2),
        ("", "MaxUnpool", 1),
        ("", "RoiAlign", 1),
        ("", "RoiAlign", 2),
        ("ai.onnx.ml", "ArrayFeatureExtractor", 1),
        (own, "Attention", 3),
        (own, "Attention", 6),
        (own, "QAttention", 5),
        (own, "MultiHeadAttention", 4),
        (own, "MultiHeadAttention", 8),
        (own, "MultiHeadAttention", 9),
        (own, "RotaryEmbedding", 1),
        (own, "MatMulNBits", 4),
    ] {
        let with = |name| {
            let mut inputs = vec![""; place];
            inputs.push(name);
            let cast = model().node("Cast", &["fed"], &["as_fed"]);
            refused(cast.node_of(domain, operator, &inputs, &["y"]))
        };
        for name in ["fed", "as_fed", "nowhere"] {
            let refused = with(name);
            assert_eq!(
                refused.as_deref(),
                Some(operator),
                "{domain} {place} {name}"
            );
        }
        // What its author says, and what is left out.
        for name in ["kept", ""] {
            assert_eq!(with(name), None, "{domain} {operator} {place} {name}");
        }
    }
    // Elsewhere the same place is a table, and the same name another's.
    let table = |domain| model().node_of(domain, "RotaryEmbedding", &["x", "kept", "fed"], &["y"]);
    assert_eq!(refused(table("")), None);
    assert_eq!(refused(table(own)), None);
    let table = model().node("RotaryEmbedding", &["x", "fed", "x", "kept"], &["y"]);
    assert_eq!(refused(table), None);
}

#[test]
fn a_constant_that_asks_for_all_memory_is_refused() {
    let with = |shape: &[i64]| {
        let tensor = pb::TensorProto {
            name: "shape".to_owned(),
            dims: vec![i64::try_from(shape.len()).unwrap()],
            data_type: 7,
            int64_data: shape.to_vec(),
            ..Default::default()
        };
        let model = Onnx::new().node("ConstantOfShape", &["shape"], &["y"]);
        vet(&changed(model, |model| {
            graph(model).initializer.push(tensor)
        }))
    };
    with(&[100, 100]).unwrap();
    let error = with(&[100_000, 100_000]).unwrap_err();
    assert!(matches!(error, LoadError::TooMuchMemory { .. }), "{error}");
}

#[test]
fn bytes_that_are_no_model_are_malformed() {
    for bytes in [&b""[..], b"\0\0", &[0xff; 64], b"not a model"] {
        let error = vet(bytes).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{error}");
    }
    vet(&double(FLOAT, &["1"])).unwrap();
}
