//! Writes ONNX files for tests, well-formed or not: a protobuf of a dozen fields.

use bytes::Bytes;

pub(crate) const FLOAT: u64 = 1;
pub(crate) const UINT8: u64 = 2;
pub(crate) const INT32: u64 = 6;
pub(crate) const INT64: u64 = 7;
pub(crate) const BOOL: u64 = 9;
pub(crate) const FLOAT16: u64 = 10;
pub(crate) const DOUBLE: u64 = 11;
pub(crate) const BFLOAT16: u64 = 16;

#[derive(Default)]
pub(crate) struct Onnx {
    model: Vec<u8>,
    graph: Vec<u8>,
}

impl Onnx {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Dimensions are numbers, names, or `?`.
    pub(crate) fn input(mut self, name: &str, kind: u64, shape: &[&str]) -> Self {
        bytes(&mut self.graph, 11, &value_info(name, kind, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str, kind: u64, shape: &[&str]) -> Self {
        bytes(&mut self.graph, 12, &value_info(name, kind, shape));
        self
    }

    pub(crate) fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_of("", operator, inputs, outputs)
    }

    pub(crate) fn node_of(
        mut self,
        domain: &str,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
    ) -> Self {
        let mut node = Vec::new();
        for input in inputs {
            bytes(&mut node, 1, input.as_bytes());
        }
        for output in outputs {
            bytes(&mut node, 2, output.as_bytes());
        }
        bytes(&mut node, 4, operator.as_bytes());
        bytes(&mut node, 7, domain.as_bytes());
        bytes(&mut self.graph, 1, &node);
        self
    }

    pub(crate) fn weights(mut self, name: &str, dimensions: &[u64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let mut tensor = tensor(name, FLOAT, dimensions);
        bytes(&mut tensor, 9, &raw);
        bytes(&mut self.graph, 5, &tensor);
        self
    }

    /// Weights in another file.
    pub(crate) fn external(mut self, name: &str, location: &str) -> Self {
        let mut tensor = tensor(name, FLOAT, &[1]);
        let mut entry = Vec::new();
        bytes(&mut entry, 1, b"location");
        bytes(&mut entry, 2, location.as_bytes());
        bytes(&mut tensor, 13, &entry);
        number(&mut tensor, 14, 1);
        bytes(&mut self.graph, 5, &tensor);
        self
    }

    /// A function of its own, as newer models may carry.
    pub(crate) fn function(mut self, name: &str) -> Self {
        let mut function = Vec::new();
        bytes(&mut function, 1, name.as_bytes());
        bytes(&mut self.model, 25, &function);
        self
    }

    pub(crate) fn build(mut self) -> Bytes {
        number(&mut self.model, 1, 8);
        let mut opset = Vec::new();
        number(&mut opset, 2, 17);
        bytes(&mut self.model, 8, &opset);
        bytes(&mut self.graph, 2, b"test");
        bytes(&mut self.model, 7, &self.graph);
        self.model.into()
    }
}

/// `x [n, 64] -> tanh(x a) b -> y [n, 64]` by way of 16, with fixed weights, and
/// a `score [n]` for each row: the mean square of what is not restored.
pub(crate) fn autoencoder() -> Bytes {
    let weights = |n: usize| -> Vec<f32> {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 400.0;
        (0..n).map(value).collect()
    };
    Onnx::new()
        .input("x", FLOAT, &["n", "64"])
        .weights("a", &[64, 16], &weights(64 * 16))
        .weights("b", &[16, 64], &weights(16 * 64))
        .weights("mean", &[64, 1], &[1.0 / 64.0; 64])
        .node("MatMul", &["x", "a"], &["wide"])
        .node("Tanh", &["wide"], &["code"])
        .node("MatMul", &["code", "b"], &["y"])
        .node("Sub", &["x", "y"], &["off"])
        .node("Mul", &["off", "off"], &["square"])
        .node("MatMul", &["square", "mean"], &["score"])
        .output("score", FLOAT, &["n", "1"])
        .output("y", FLOAT, &["n", "64"])
        .build()
}

/// `y = x + x`, of any type and shape.
pub(crate) fn double(kind: u64, shape: &[&str]) -> Bytes {
    Onnx::new()
        .input("x", kind, shape)
        .node("Add", &["x", "x"], &["y"])
        .output("y", kind, shape)
        .build()
}

fn tensor(name: &str, kind: u64, dimensions: &[u64]) -> Vec<u8> {
    let mut tensor = Vec::new();
    for &dimension in dimensions {
        number(&mut tensor, 1, dimension);
    }
    number(&mut tensor, 2, kind);
    bytes(&mut tensor, 8, name.as_bytes());
    tensor
}

fn value_info(name: &str, kind: u64, dimensions: &[&str]) -> Vec<u8> {
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
    let mut tensor = Vec::new();
    number(&mut tensor, 1, kind);
    bytes(&mut tensor, 2, &shape);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut info = Vec::new();
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
