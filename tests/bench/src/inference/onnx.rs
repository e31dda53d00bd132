//! Writes ONNX files: numbers are in single precision.

#[path = "../../../../host/src/inference/onnx_writer/parts.rs"]
mod parts;

use bytes::Bytes;

use self::parts::{FLOAT, bytes, model, node, port, weights};

pub(super) use self::parts::{number_attribute, numbers_attribute};

/// A model that is being written.
#[derive(Default)]
pub(super) struct Onnx(Vec<u8>);

impl Onnx {
    /// Dimensions are numbers or names.
    pub(super) fn input(&mut self, name: &str, shape: &[&str]) {
        bytes(&mut self.0, 11, &port(name, FLOAT, shape));
    }

    pub(super) fn output(&mut self, name: &str, shape: &[&str]) {
        bytes(&mut self.0, 12, &port(name, FLOAT, shape));
    }

    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[Vec<u8>],
    ) {
        let node = node(operator, inputs, &[output], attributes);
        bytes(&mut self.0, 1, &node);
    }

    pub(super) fn weights(&mut self, name: &str, dimensions: &[u64], values: &[f32]) {
        bytes(&mut self.0, 5, &weights(name, dimensions, values));
    }

    pub(super) fn build(self) -> Bytes {
        model("bench", self.0).into()
    }
}
