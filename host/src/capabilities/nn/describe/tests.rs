//! What a guest is told of models, granted or not.

use std::collections::BTreeMap;

use super::models::Host as _;
use super::{DescribeError, Description, Dimension, METADATA_BYTES_MAX, fitting};
use crate::capabilities::nn::bindings::wasi::nn::tensor::TensorType;
use crate::capabilities::nn::tests::{Guest, guest};

fn described(guest: &mut Guest, name: &str) -> Result<Description, DescribeError> {
    guest.view().describe(name.to_owned()).unwrap()
}

#[test]
fn a_granted_model_says_what_it_takes_and_gives() {
    let mut guest = guest(1 << 20, 1);
    // More often than there are resources: a description is none.
    for _ in 0..3 {
        let description = described(&mut guest, "ae").unwrap();
        let [input] = description.inputs.as_slice() else {
            panic!("one input")
        };
        assert_eq!((input.name.as_str(), input.kind), ("x", TensorType::Fp32));
        let [Dimension::Named(name), Dimension::Fixed(64)] = input.dimensions.as_slice() else {
            panic!("{:?}", input.dimensions)
        };
        assert_eq!(name, "n");
        let outputs: Vec<_> = description.outputs.iter().map(|port| &port.name).collect();
        assert_eq!(outputs, ["score", "y"]);
        assert!(description.digest.starts_with("sha256:"));
        assert_eq!(description.digest.len(), 71);
        assert_eq!(description.version.as_deref(), Some("1.2.3"));
        let labels = ("labels".to_owned(), r#"["a","b"]"#.to_owned());
        assert!(description.metadata.contains(&labels));
    }
}

#[test]
fn nothing_is_told_of_a_model_that_is_not_granted() {
    let mut guest = guest(1 << 20, 16);
    for name in ["secret", "nothing", "", "ae ", "AE"] {
        let refused = described(&mut guest, name).unwrap_err();
        assert_eq!(refused, DescribeError::NotGranted, "{name}");
    }
    let refused = described(&mut guest, &"x".repeat(1 << 20)).unwrap_err();
    assert_eq!(refused, DescribeError::NotGranted);
    let refused = described(&mut guest, "absent").unwrap_err();
    assert_eq!(refused, DescribeError::NotLoaded);
}

#[test]
fn metadata_beyond_the_bounds_is_left_out() {
    let entry = |n: usize, bytes: usize| (format!("k{n:03}"), "v".repeat(bytes));
    let many: BTreeMap<_, _> = (0..100).map(|n| entry(n, 1)).collect();
    assert_eq!(fitting(&many).len(), 64);
    let large: BTreeMap<_, _> = [
        entry(0, 10),
        entry(1, METADATA_BYTES_MAX - 4 - 14 + 1),
        entry(2, 10),
    ]
    .into();
    let names: Vec<_> = fitting(&large).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["k000", "k002"]);
}
