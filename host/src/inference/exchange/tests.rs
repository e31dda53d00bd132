use std::sync::Arc;

use crate::inference::{Dim, Interface, Port, TensorKind};

fn interface(input: &[Dim], output: &[Dim]) -> Interface {
    let port = |name: &str, shape: &[Dim]| Port {
        name: name.into(),
        kind: TensorKind::Fp32,
        shape: shape.to_vec(),
    };
    Interface {
        inputs: vec![port("x", input)],
        outputs: vec![port("y", output)],
    }
}

fn named(name: &str) -> Dim {
    Dim::Named(Arc::from(name))
}

#[test]
fn what_a_size_is_called_does_not_make_another_interface() {
    let old = interface(&[named("n"), Dim::Fixed(4)], &[named("n"), Dim::Fixed(1)]);
    let new = interface(
        &[named("rows"), Dim::Fixed(4)],
        &[named("rows"), Dim::Fixed(1)],
    );
    assert!(old.is_same(&new));
    assert!(interface(&[named("n")], &[Dim::Any]).is_same(&interface(&[Dim::Any], &[named("m")])));
}

#[test]
fn another_size_kind_name_or_tie_makes_another_interface() {
    let old = interface(&[named("n"), Dim::Fixed(4)], &[named("n"), Dim::Fixed(1)]);
    let others = [
        interface(&[named("n"), Dim::Fixed(5)], &[named("n"), Dim::Fixed(1)]),
        interface(
            &[Dim::Fixed(1), Dim::Fixed(4)],
            &[named("n"), Dim::Fixed(1)],
        ),
        interface(&[named("n"), Dim::Fixed(4)], &[named("m"), Dim::Fixed(1)]),
        interface(&[named("n"), Dim::Fixed(4)], &[named("n")]),
    ];
    for other in others {
        assert!(!old.is_same(&other), "{other:?}");
    }
    let mut other = old.clone();
    other.inputs[0].name = "z".into();
    assert!(!old.is_same(&other));
    let mut other = old.clone();
    other.outputs[0].kind = TensorKind::I64;
    assert!(!old.is_same(&other));
}
