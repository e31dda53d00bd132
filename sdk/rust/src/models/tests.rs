use super::{Description, Dimension, Port};
use crate::nn::TensorType;

fn port(name: &str, kind: TensorType, dimensions: Vec<Dimension>) -> Port {
    Port {
        name: name.to_owned(),
        kind,
        dimensions,
    }
}

fn described(metadata: &[(&str, &str)]) -> Description {
    let batch = || Dimension::Named("n".to_owned());
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Description {
        inputs: vec![port(
            "x",
            TensorType::Fp32,
            vec![batch(), Dimension::Fixed(4)],
        )],
        outputs: vec![
            port("y", TensorType::Fp32, vec![batch()]),
            port("z", TensorType::I64, vec![Dimension::Any]),
        ],
        version: None,
        digest: "sha256:00".to_owned(),
        metadata: metadata.iter().map(owned).collect(),
    }
}

#[test]
fn the_only_port_needs_no_name() {
    let model = described(&[]);
    assert_eq!(model.input(None).unwrap().name, "x");
    assert_eq!(model.input(Some("x")).unwrap().name, "x");
    let error = model.input(Some("a")).unwrap_err().to_string();
    assert_eq!(error, "the model has no input `a`; its inputs are `x`");
    let error = model.output(None).unwrap_err().to_string();
    let expected = "`output` must say which output is meant: the model has `y`, `z`";
    assert_eq!(error, expected);
}

#[test]
fn a_tensor_that_does_not_fit_is_told_with_both_shapes() {
    let model = described(&[]);
    let input = model.input(None).unwrap();
    for fits in [[1, 4], [7, 4]] {
        assert_eq!(input.check_f32(&fits), Ok(()));
    }
    for misfit in [vec![1, 5], vec![0, 4], vec![4], vec![1, 4, 1], vec![]] {
        assert!(input.check_f32(&misfit).is_err(), "{misfit:?}");
    }
    let error = input.check_f32(&[1, 5]).unwrap_err().to_string();
    assert_eq!(
        error,
        "`x` FP32 [n, 4] of the model does not fit FP32 [1, 5]"
    );
    let error = model.outputs[1].check_f32(&[1]).unwrap_err().to_string();
    assert_eq!(error, "`z` I64 [any] of the model does not fit FP32 [1]");
}

#[test]
fn labels_are_read_from_the_metadata() {
    assert_eq!(described(&[]).labels(), Ok(None));
    let labels = described(&[("labels", r#"["a","b"]"#)]).labels().unwrap();
    assert_eq!(labels.unwrap(), ["a", "b"]);
    for bad in ["", "a,b", "[1]", "{}"] {
        assert!(described(&[("labels", bad)]).labels().is_err(), "{bad}");
    }
}
