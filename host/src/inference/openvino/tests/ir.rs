//! OpenVINO's own form.

use bytes::Bytes;

use super::{assert_same, run, store, tensor, waves};
use crate::inference::{Dim, Interface, LoadError, ModelFormat, ModelSource, Port, TensorKind};
use crate::spec::BackendChoice;

/// `y = x w`, with `w` of 4 times 2.
const XML: &str = r#"<?xml version="1.0"?>
<net name="test" version="11">
	<layers>
		<layer id="0" name="x" type="Parameter" version="opset1">
			<data shape="?,4" element_type="f32" />
			<output>
				<port id="0" precision="FP32" names="x"><dim>-1</dim><dim>4</dim></port>
			</output>
		</layer>
		<layer id="1" name="w" type="Const" version="opset1">
			<data element_type="f32" shape="4, 2" offset="0" size="32" />
			<output>
				<port id="0" precision="FP32" names="w"><dim>4</dim><dim>2</dim></port>
			</output>
		</layer>
		<layer id="2" name="y" type="MatMul" version="opset1">
			<data transpose_a="false" transpose_b="false" />
			<input>
				<port id="0" precision="FP32"><dim>-1</dim><dim>4</dim></port>
				<port id="1" precision="FP32"><dim>4</dim><dim>2</dim></port>
			</input>
			<output>
				<port id="2" precision="FP32" names="product,y"><dim>-1</dim><dim>2</dim></port>
			</output>
		</layer>
		<layer id="3" name="y/sink" type="Result" version="opset1">
			<input>
				<port id="0" precision="FP32"><dim>-1</dim><dim>2</dim></port>
			</input>
		</layer>
	</layers>
	<edges>
		<edge from-layer="0" from-port="0" to-layer="2" to-port="0" />
		<edge from-layer="1" from-port="0" to-layer="2" to-port="1" />
		<edge from-layer="2" from-port="2" to-layer="3" to-port="0" />
	</edges>
</net>"#;

fn source(xml: &str, weights: &[f32]) -> ModelSource {
    let weights: Vec<u8> = weights
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    ModelSource {
        format: ModelFormat::OpenvinoIr,
        weights: Some(weights.into()),
        backend: BackendChoice::Openvino,
        ..ModelSource::onnx(Bytes::copy_from_slice(xml.as_bytes()))
    }
}

const WEIGHTS: [f32; 8] = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];

#[tokio::test]
async fn a_description_and_its_weights_are_run() {
    let Some(store) = store() else { return };
    let model = store.prepare(&source(XML, &WEIGHTS)).unwrap();
    let input = tensor(&[1, 4], TensorKind::Fp32, &[1.0, 2.0, 3.0, 4.0]);
    let outputs = run(&model, &[("x", input.clone())]).await.unwrap();
    let expected = tensor(&[1, 2], TensorKind::Fp32, &[4.0, 6.0]);
    assert_same(
        &outputs,
        &[(model.outputs()[0].name.to_string(), expected)],
        1e-5,
    );
    assert_eq!(model.inputs()[0].shape, [Dim::Any, Dim::Fixed(4)]);

    // Under the name that was promised, where it has several.
    let port = |name: &str, columns| Port {
        name: name.into(),
        kind: TensorKind::Fp32,
        shape: vec![Dim::Named("n".into()), Dim::Fixed(columns)],
    };
    for name in ["y", "product"] {
        let promised = ModelSource {
            promised: Some(Interface {
                inputs: vec![port("x", 4)],
                outputs: vec![port(name, 2)],
            }),
            ..source(XML, &WEIGHTS)
        };
        let model = store.prepare(&promised).unwrap();
        let outputs = run(&model, &[("x", input.clone())]).await.unwrap();
        assert_eq!(outputs[0].0, name);
        run(&model, &[("x", waves(9, 4))]).await.unwrap();
    }
    let promised = ModelSource {
        promised: Some(Interface {
            inputs: vec![port("x", 4)],
            outputs: vec![port("nothing", 2)],
        }),
        ..source(XML, &WEIGHTS)
    };
    store.prepare(&promised).unwrap_err();
}

#[test]
fn what_must_not_be_in_it_is_found_however_it_is_written() {
    let Some(store) = store() else { return };
    let of = |kind: &str| {
        let xml = XML.replacen("type=\"MatMul\"", &format!("type=\"{kind}\""), 1);
        store.prepare(&source(&xml, &WEIGHTS)).unwrap_err()
    };
    for kind in ["Loop", "loop", "LOOP"] {
        let error = of(kind);
        assert_eq!(
            error.code(),
            "model-unsupported-operator",
            "{kind}: {error}"
        );
    }
    for kind in [
        "ReadValue",
        "readvalue",
        "ASSIGN",
        "L&#111;op",
        "Read&#x56;alue",
    ] {
        let error = of(kind);
        assert!(
            matches!(error, LoadError::Malformed { .. }),
            "{kind}: {error}"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            cause.contains("keeps a state") || cause.contains("not a plain name"),
            "{kind}: {cause}"
        );
    }
}

#[test]
fn constants_outside_the_weights_are_refused() {
    let Some(store) = store() else { return };
    let short = store.prepare(&source(XML, &WEIGHTS[..7])).unwrap_err();
    assert!(matches!(short, LoadError::Malformed { .. }), "{short:?}");
    let mut none = source(XML, &WEIGHTS);
    none.weights = None;
    store.prepare(&none).unwrap_err();
    for (offset, size) in [
        ("32", "32"),
        ("18446744073709551615", "32"),
        ("-1", "32"),
        ("0", "99999999999999999999"),
        ("0x0", "32"),
    ] {
        let data = format!("offset=\"{offset}\" size=\"{size}\"");
        let xml = XML.replace("offset=\"0\" size=\"32\"", &data);
        let error = store.prepare(&source(&xml, &WEIGHTS)).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{error:?}");
    }
    // More bytes than there are for its shape.
    let xml = XML.replace("shape=\"4, 2\"", "shape=\"4, 2000000000\"");
    store.prepare(&source(&xml, &WEIGHTS)).unwrap_err();
}

#[test]
fn damaged_descriptions_are_refused_or_run() {
    let Some(store) = store() else { return };
    let mut refused = 0;
    for at in (0..XML.len()).step_by(7) {
        let mut bytes = XML.as_bytes().to_vec();
        bytes[at] ^= 1 << (at % 7);
        let model = ModelSource {
            weights: source(XML, &WEIGHTS).weights,
            format: ModelFormat::OpenvinoIr,
            backend: BackendChoice::Openvino,
            ..ModelSource::onnx(bytes.into())
        };
        refused += u32::from(store.prepare(&model).is_err());
    }
    assert!(refused > 100, "{refused}");
    store.prepare(&source(XML, &WEIGHTS)).unwrap();
}
