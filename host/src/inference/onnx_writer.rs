//! Writes ONNX files for tests, well-formed or not.

// Named, since tests of other crates take this file in by its path.
#[path = "onnx_writer/parts.rs"]
pub(crate) mod parts;

use bytes::Bytes;

use self::parts::{attribute, bytes, model, number, tensor};

pub(crate) use self::parts::FLOAT;

pub(crate) const UINT8: u64 = 2;
pub(crate) const INT32: u64 = 6;
pub(crate) const INT64: u64 = 7;
pub(crate) const BOOL: u64 = 9;
pub(crate) const FLOAT16: u64 = 10;
pub(crate) const DOUBLE: u64 = 11;
pub(crate) const BFLOAT16: u64 = 16;

/// The kind of an attribute that is a graph.
const GRAPH: u64 = 5;

#[derive(Default)]
pub(crate) struct Onnx {
    /// What the file has besides its graph.
    beside: Vec<u8>,
    graph: Vec<u8>,
}

impl Onnx {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Dimensions are numbers, names, or `?`.
    pub(crate) fn input(mut self, name: &str, kind: u64, shape: &[&str]) -> Self {
        bytes(&mut self.graph, 11, &parts::port(name, kind, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str, kind: u64, shape: &[&str]) -> Self {
        bytes(&mut self.graph, 12, &parts::port(name, kind, shape));
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
        let mut node = parts::node(operator, inputs, outputs, &[]);
        bytes(&mut node, 7, domain.as_bytes());
        bytes(&mut self.graph, 1, &node);
        self
    }

    /// A node with attributes, as [`number_attribute`] and its like write them.
    pub(crate) fn node_with(
        mut self,
        operator: &str,
        (inputs, outputs): (&[&str], &[&str]),
        attributes: &[Vec<u8>],
    ) -> Self {
        let node = parts::node(operator, inputs, outputs, attributes);
        bytes(&mut self.graph, 1, &node);
        self
    }

    pub(crate) fn weights(mut self, name: &str, dimensions: &[u64], values: &[f32]) -> Self {
        let tensor = parts::weights(name, dimensions, values);
        bytes(&mut self.graph, 5, &tensor);
        self
    }

    /// A constant of whole numbers.
    pub(crate) fn integers(mut self, name: &str, dimensions: &[u64], values: &[i64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        let mut tensor = tensor(name, INT64, dimensions);
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
        bytes(&mut self.beside, 25, &function);
        self
    }

    /// What is written as the graph within a node, a loop's for example.
    pub(crate) fn into_attribute(mut self, name: &str) -> Vec<u8> {
        bytes(&mut self.graph, 2, name.as_bytes());
        attribute(name, GRAPH, |attribute| bytes(attribute, 6, &self.graph))
    }

    pub(crate) fn build(self) -> Bytes {
        let mut model = model("test", self.graph);
        model.extend(self.beside);
        model.into()
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

/// The body of a loop that goes on and adds `v [size]` to itself at each turn.
pub(crate) fn doubling(size: &str) -> Vec<u8> {
    Onnx::new()
        .input("turn", INT64, &[])
        .input("on", BOOL, &[])
        .input("v", FLOAT, &[size])
        .node("Identity", &["on"], &["still_on"])
        .node("Add", &["v", "v"], &["w"])
        .output("still_on", BOOL, &[])
        .output("w", FLOAT, &[size])
        .into_attribute("body")
}
