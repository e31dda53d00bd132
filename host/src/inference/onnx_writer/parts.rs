//! The parts of an ONNX file: a protobuf of a dozen fields.
//!
//! Nothing is checked: what is written may be wrong on purpose.

/// Single precision.
pub(crate) const FLOAT: u64 = 1;

/// A whole model around a graph.
pub(super) fn model(name: &str, mut graph: Vec<u8>) -> Vec<u8> {
    const IR_VERSION: u64 = 8;
    const OPSET: u64 = 17;
    bytes(&mut graph, 2, name.as_bytes());
    let mut opset = Vec::new();
    number(&mut opset, 2, OPSET);
    let mut model = Vec::new();
    number(&mut model, 1, IR_VERSION);
    bytes(&mut model, 8, &opset);
    bytes(&mut model, 7, &graph);
    model
}

pub(super) fn node(
    operator: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[Vec<u8>],
) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        bytes(&mut node, 1, input.as_bytes());
    }
    for output in outputs {
        bytes(&mut node, 2, output.as_bytes());
    }
    bytes(&mut node, 4, operator.as_bytes());
    for attribute in attributes {
        bytes(&mut node, 5, attribute);
    }
    node
}

pub(crate) fn number_attribute(name: &str, value: u64) -> Vec<u8> {
    const INT: u64 = 2;
    attribute(name, INT, |attribute| number(attribute, 3, value))
}

pub(crate) fn numbers_attribute(name: &str, values: &[u64]) -> Vec<u8> {
    const INTS: u64 = 7;
    attribute(name, INTS, |attribute| {
        for &value in values {
            number(attribute, 8, value);
        }
    })
}

pub(super) fn attribute(name: &str, kind: u64, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut attribute = Vec::new();
    bytes(&mut attribute, 1, name.as_bytes());
    write(&mut attribute);
    number(&mut attribute, 20, kind);
    attribute
}

/// Numbers in single precision, of a shape that need not be theirs.
pub(super) fn weights(name: &str, dimensions: &[u64], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    let mut tensor = tensor(name, FLOAT, dimensions);
    bytes(&mut tensor, 9, &raw);
    tensor
}

pub(super) fn tensor(name: &str, kind: u64, dimensions: &[u64]) -> Vec<u8> {
    let mut tensor = Vec::new();
    for &dimension in dimensions {
        number(&mut tensor, 1, dimension);
    }
    number(&mut tensor, 2, kind);
    bytes(&mut tensor, 8, name.as_bytes());
    tensor
}

/// An input or output, whose dimensions are numbers, names, or `?`.
pub(super) fn port(name: &str, kind: u64, dimensions: &[&str]) -> Vec<u8> {
    let mut shape = Vec::new();
    for dimension in dimensions {
        let mut dim = Vec::new();
        match dimension.parse() {
            Ok(size) => number(&mut dim, 1, size),
            Err(_) if *dimension == "?" => {}
            Err(_) => bytes(&mut dim, 2, dimension.as_bytes()),
        }
        bytes(&mut shape, 1, &dim);
    }
    let (mut tensor, mut typed, mut info) = (Vec::new(), Vec::new(), Vec::new());
    number(&mut tensor, 1, kind);
    bytes(&mut tensor, 2, &shape);
    bytes(&mut typed, 1, &tensor);
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &typed);
    info
}

pub(super) fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

pub(super) fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}
