//! Whether the *values* that a model is fed decide how large its tensors get, or
//! where in them something is read or written.
//!
//! A native library cannot be told how much memory it may take. If the shapes of
//! the inputs decide all sizes, then bounding the inputs bounds the run; if a
//! number in an input does, one caller can take all memory there is. Nor is it
//! known to look whether a number lies within a tensor before it goes there.
//! Whatever is not known to depend on shapes and constants alone counts as fed.

use std::collections::HashMap;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::tensors::{elements, within};
use super::{malformed, plain_domain};
use crate::inference::shown::shown;
use crate::inference::{InferenceLimits, LoadError};

/// Nested graphs within each other.
const DEPTH_MAX: usize = 16;

/// What is known of a value.
#[derive(Clone, Copy)]
enum Known {
    /// Callers decide it.
    Fed,
    /// The shapes of the inputs and the model decide it.
    Fixed,
    /// It is a shape of that many elements.
    Shape(u64),
}

pub(super) struct Sizes<'a> {
    /// By name, the innermost graph last.
    scopes: Vec<HashMap<&'a str, Known>>,
    limits: &'a InferenceLimits,
}

impl<'a> Sizes<'a> {
    pub(super) fn check(
        graph: &'a pb::GraphProto,
        limits: &'a InferenceLimits,
    ) -> Result<(), LoadError> {
        let scopes = Vec::new();
        Self { scopes, limits }.graph(graph, false).map(drop)
    }

    /// Whether all that the graph gives is fixed. The first input of a loop's body
    /// counts its turns, and has their bound.
    fn graph(&mut self, graph: &'a pb::GraphProto, counted: bool) -> Result<bool, LoadError> {
        if self.scopes.len() >= DEPTH_MAX {
            return Err(malformed(format!(
                "it nests graphs more than {DEPTH_MAX} deep"
            )));
        }
        let mut scope = HashMap::new();
        for (index, input) in graph.input.iter().enumerate() {
            let known = if counted && index == 0 {
                Known::Fixed
            } else {
                Known::Fed
            };
            scope.insert(input.name.as_str(), known);
        }
        for tensor in &graph.initializer {
            scope.insert(tensor.name.as_str(), constant(tensor));
        }
        for sparse in &graph.sparse_initializer {
            let values = sparse.values.as_ref();
            scope.insert(values.map_or("", |values| &values.name), Known::Fixed);
        }
        self.scopes.push(scope);
        graph.node.iter().try_for_each(|node| self.node(node))?;
        let mut outputs = graph.output.iter();
        let fixed = outputs.all(|output| !matches!(self.known(&output.name), Known::Fed));
        self.scopes.pop();
        Ok(fixed)
    }

    fn node(&mut self, node: &'a pb::NodeProto) -> Result<(), LoadError> {
        let operator = node.op_type.as_str();
        for &index in deciding(operator) {
            // One that is left out is decided by the model's author.
            let input = node.input.get(index).filter(|input| !input.is_empty());
            let unbounded = match input {
                Some(input) => matches!(self.known(input), Known::Fed),
                None => operator == "Loop",
            };
            if unbounded {
                return Err(LoadError::Unbounded {
                    operator: shown(operator),
                });
            }
            if let ("ConstantOfShape" | "Expand", Some(input)) = (operator, input)
                && let Known::Shape(elements) = self.known(input)
            {
                within(elements, self.limits)?;
            }
        }
        self.nowhere_by_value(node)?;
        let mut fixed = node
            .input
            .iter()
            .all(|input| input.is_empty() || !matches!(self.known(input), Known::Fed));
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                fixed &= self.graph(graph, operator == "Loop")?;
            }
        }
        let known = match operator {
            // The shape of what is fed is not what is fed.
            "Shape" | "Size" => Known::Fixed,
            "Constant" => value(node),
            operator if operator.starts_with("Random") || operator == "Multinomial" => Known::Fed,
            _ if fixed => Known::Fixed,
            _ => Known::Fed,
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.extend(node.output.iter().map(|name| (name.as_str(), known)));
        }
        Ok(())
    }

    /// What is fed may decide no place in memory.
    fn nowhere_by_value(&self, node: &pb::NodeProto) -> Result<(), LoadError> {
        let operator = node.op_type.as_str();
        let domain = plain_domain(&node.domain);
        let inputs = addressing(domain, operator).iter();
        let mut inputs = inputs.filter_map(|&index| node.input.get(index));
        let fed = |name: &String| !name.is_empty() && matches!(self.known(name), Known::Fed);
        if inputs.any(fed) {
            return Err(LoadError::Addressing {
                operator: shown(operator),
            });
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Known {
        let mut scopes = self.scopes.iter().rev();
        let found = scopes.find_map(|scope| scope.get(name));
        found.copied().unwrap_or(Known::Fed)
    }
}

/// The inputs of an operator whose values, not shapes, decide the size of what it
/// makes beyond the sizes of its inputs.
fn deciding(operator: &str) -> &'static [usize] {
    match operator {
        "ConstantOfShape" | "Loop" | "HannWindow" | "HammingWindow" | "BlackmanWindow"
        | "ImageDecoder" => &[0],
        "Expand" | "OneHot" | "Upsample" | "Pad" | "CenterCropPad" | "DFT" | "AffineGrid" => &[1],
        "MelWeightMatrix" => &[0, 1],
        "Tile" | "Col2Im" => &[1, 2],
        "MaxUnpool" => &[2],
        "STFT" => &[1, 3],
        "Range" => &[0, 1, 2],
        "Resize" => &[1, 2, 3],
        _ => &[],
    }
}

/// The inputs of an operator whose values are taken for places in tensors, or for
/// lengths of parts of them, without a look at how large those are: in ONNX Runtime
/// of before the spring of 2026 at least (its pull requests 27432, 27543, 27573,
/// 27597, 27789, 28031 and issue 27265). What else takes indices checks them.
fn addressing(domain: &str, operator: &str) -> &'static [usize] {
    match (domain, operator) {
        // Lengths without padding; positions; where a cache is written.
        ("", "Attention") => &[6],
        ("", "RotaryEmbedding") => &[3],
        ("", "TensorScatter") => &[2],
        ("", "MaxUnpool") | ("ai.onnx.ml", "ArrayFeatureExtractor") => &[1],
        // Regions, of which no coordinate may be infinite, and their batches.
        ("", "RoiAlign") => &[1, 2],
        // Masks, which may be lengths; lengths of what came before.
        ("com.microsoft", "Attention") => &[3, 6],
        ("com.microsoft", "QAttention") => &[5],
        ("com.microsoft", "MultiHeadAttention") => &[4, 8, 9],
        ("com.microsoft", "RotaryEmbedding") => &[1],
        ("com.microsoft", "MatMulNBits") => &[4],
        _ => &[],
    }
}

fn value(node: &pb::NodeProto) -> Known {
    let mut tensors = node.attribute.iter().filter_map(|a| a.t.as_ref());
    tensors.next().map_or(Known::Fixed, constant)
}

/// A list of up to eight integers may be a shape.
fn constant(tensor: &pb::TensorProto) -> Known {
    if tensor.data_type != DataType::Int64 as i32 || tensor.dims.len() > 1 {
        return Known::Fixed;
    }
    let raw = tensor.raw_data.as_chunks::<8>().0.iter();
    let dims = raw.map(|bytes| i64::from_le_bytes(*bytes));
    let dims: Vec<i64> = dims
        .chain(tensor.int64_data.iter().copied())
        .take(9)
        .collect();
    if dims.is_empty() || dims.len() > 8 {
        return Known::Fixed;
    }
    elements(&dims).map_or(Known::Fixed, Known::Shape)
}
