//! Writes ONNX files: a protobuf of a dozen fields.

use bytes::Bytes;

const FLOAT: u64 = 1;

/// An attribute of an operator.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Numbers(&'a [u64]),
}

/// A model that is being written: numbers are in single precision.
#[derive(Default)]
pub(super) struct Onnx(Vec<u8>);

impl Onnx {
    /// Dimensions are numbers or names.
    pub(super) fn input(&mut self, name: &str, shape: &[&str]) {
        bytes(&mut self.0, 11, &port(name, shape));
    }

    pub(super) fn output(&mut self, name: &str, shape: &[&str]) {
        bytes(&mut self.0, 12, &port(name, shape));
    }

    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Value<'_>)],
    ) {
        let mut node = Vec::new();
        for input in inputs {
            bytes(&mut node, 1, input.as_bytes());
        }
        bytes(&mut node, 2, output.as_bytes());
        bytes(&mut node, 4, operator.as_bytes());
        for (name, value) in attributes {
            bytes(&mut node, 5, &attribute(name, *value));
        }
        bytes(&mut self.0, 1, &node);
    }

    pub(super) fn weights(&mut self, name: &str, dimensions: &[u64], values: &[f32]) {
        let mut tensor = Vec::new();
        for &dimension in dimensions {
            number(&mut tensor, 1, dimension);
        }
        number(&mut tensor, 2, FLOAT);
        bytes(&mut tensor, 8, name.as_bytes());
        let raw: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        bytes(&mut tensor, 9, &raw);
        bytes(&mut self.0, 5, &tensor);
    }

    pub(super) fn build(mut self) -> Bytes {
        const IR_VERSION: u64 = 8;
        const OPSET: u64 = 17;
        bytes(&mut self.0, 2, b"bench");
        let mut opset = Vec::new();
        number(&mut opset, 2, OPSET);
        let mut model = Vec::new();
        number(&mut model, 1, IR_VERSION);
        bytes(&mut model, 8, &opset);
        bytes(&mut model, 7, &self.0);
        model.into()
    }
}

fn attribute(name: &str, value: Value<'_>) -> Vec<u8> {
    const INT: u64 = 2;
    const INTS: u64 = 7;
    let mut attribute = Vec::new();
    bytes(&mut attribute, 1, name.as_bytes());
    let kind = match value {
        Value::Number(value) => {
            number(&mut attribute, 3, value);
            INT
        }
        Value::Numbers(values) => {
            for &value in values {
                number(&mut attribute, 8, value);
            }
            INTS
        }
    };
    number(&mut attribute, 20, kind);
    attribute
}

fn port(name: &str, dimensions: &[&str]) -> Vec<u8> {
    let mut shape = Vec::new();
    for dimension in dimensions {
        let mut dim = Vec::new();
        match dimension.parse() {
            Ok(size) => number(&mut dim, 1, size),
            Err(_) => bytes(&mut dim, 2, dimension.as_bytes()),
        }
        bytes(&mut shape, 1, &dim);
    }
    let (mut tensor, mut kind, mut info) = (Vec::new(), Vec::new(), Vec::new());
    number(&mut tensor, 1, FLOAT);
    bytes(&mut tensor, 2, &shape);
    bytes(&mut kind, 1, &tensor);
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &kind);
    info
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
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
