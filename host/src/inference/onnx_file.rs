//! What an ONNX file must not contain, told before a native library reads it.
//!
//! The file is read here first, within bounds, and written anew: what the library
//! gets is what was looked at, whatever else its own parser would have found.
//! Hints and notes are left out. Nesting is bounded by the reader, at 100 levels.
//!
//! What the operators compute is not judged; a file that passes may still be one
//! that no library can run.

mod sizes;
mod tensors;

use prost::Message as _;
use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;

use self::sizes::Sizes;
use super::errors::LoadError;
use super::limits::InferenceLimits;
use super::shown::shown;
use crate::spec::BackendKind;

/// Characters of the name of a dimension that is kept.
const DIMENSION_NAME_MAX: usize = 64;
/// Inputs, or outputs, of a model.
const PORTS_MAX: usize = 256;

/// What a library may be given.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The library.
    pub(super) backend: BackendKind,
    /// Whether it has that operator of that domain; `""` is ONNX's own.
    pub(super) allowed: &'a dyn Fn(&str, &str) -> bool,
    pub(super) limits: &'a InferenceLimits,
}

/// A model that was looked at.
#[derive(Debug)]
pub(super) struct OnnxFile {
    /// The model, to be handed to the library.
    pub(super) bytes: Vec<u8>,
    /// The outputs whose number of dimensions it does not say.
    pub(super) unshaped: Vec<String>,
    /// Whether the values that it is fed may decide how long it runs.
    pub(super) loops: bool,
}

impl OnnxFile {
    pub(super) fn vet(bytes: &[u8], rules: Rules<'_>) -> Result<Self, LoadError> {
        let mut model = pb::ModelProto::decode(bytes).map_err(malformed)?;
        no_functions(&model)?;
        model.training_info.clear();
        model.metadata_props.clear();
        model.doc_string.clear();
        let graph = model.graph.as_mut();
        let graph = graph.ok_or_else(|| malformed("it has no graph"))?;
        if graph.input.len().max(graph.output.len()) > PORTS_MAX {
            return Err(malformed(format!(
                "it has more than {PORTS_MAX} inputs or outputs"
            )));
        }
        let mut walk = Walk {
            rules,
            operators: 0,
            loops: false,
        };
        walk.graph(graph)?;
        let loops = walk.loops;
        Sizes::check(graph, rules.limits)?;
        let unshaped = graph.output.iter().filter(|port| !has_shape(port));
        let unshaped = unshaped.map(|port| port.name.clone()).collect();
        Ok(Self {
            bytes: model.encode_to_vec(),
            unshaped,
            loops,
        })
    }
}

/// Looks at every part once, nested graphs included.
struct Walk<'a> {
    rules: Rules<'a>,
    operators: u32,
    loops: bool,
}

impl Walk<'_> {
    fn graph(&mut self, graph: &mut pb::GraphProto) -> Result<(), LoadError> {
        graph.value_info.clear();
        graph.quantization_annotation.clear();
        graph.doc_string.clear();
        for port in graph.input.iter_mut().chain(&mut graph.output) {
            port.doc_string.clear();
            plain_dimensions(port);
        }
        for tensor in &graph.initializer {
            tensors::check(tensor)?;
        }
        for tensor in &graph.sparse_initializer {
            tensors::check_sparse(tensor, self.rules.limits)?;
        }
        graph.node.iter_mut().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &mut pb::NodeProto) -> Result<(), LoadError> {
        let max = self.rules.limits.model_operators_max.get();
        self.operators += 1;
        if self.operators > max {
            return Err(LoadError::TooManyOperators { max });
        }
        let domain = plain_domain(&node.domain);
        if !(self.rules.allowed)(domain, &node.op_type) {
            if domain.is_empty() {
                return Err(LoadError::UnsupportedOperator {
                    operator: shown(&node.op_type),
                    backend: self.rules.backend,
                });
            }
            return Err(LoadError::CustomOperator {
                domain: shown(&node.domain),
                operator: shown(&node.op_type),
            });
        }
        self.loops |= node.op_type == "Loop";
        node.doc_string.clear();
        for attribute in &mut node.attribute {
            attribute.doc_string.clear();
            for tensor in attribute.t.iter().chain(&attribute.tensors) {
                tensors::check(tensor)?;
            }
            let sparse = attribute.sparse_tensor.iter();
            for tensor in sparse.chain(&attribute.sparse_tensors) {
                tensors::check_sparse(tensor, self.rules.limits)?;
            }
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.graph(graph)?;
            }
        }
        Ok(())
    }
}

/// ONNX's own domain has two names.
fn plain_domain(domain: &str) -> &str {
    match domain {
        "ai.onnx" => "",
        domain => domain,
    }
}

/// Operators that a model brings along are none that a library can vouch for.
pub(super) fn no_functions(model: &pb::ModelProto) -> Result<(), LoadError> {
    match model.functions.first() {
        Some(function) => Err(LoadError::CustomOperator {
            domain: shown(function.domain.as_deref().unwrap_or_default()),
            operator: shown(function.name.as_deref().unwrap_or_default()),
        }),
        None => Ok(()),
    }
}

fn has_shape(port: &pb::ValueInfoProto) -> bool {
    let value = port.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    matches!(value, Some(pb::type_proto::Value::TensorType(tensor)) if tensor.shape.is_some())
}

/// Leaves only plain names of dimensions: libraries take them for formulas, tract
/// without a bound; anything that is not a name makes the dimension an independent
/// one.
pub(super) fn plain_dimensions(port: &mut pb::ValueInfoProto) {
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        port.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    else {
        return;
    };
    for dimension in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
        dimension.denotation.clear();
        if let Some(Dimension::DimParam(name)) = &dimension.value {
            let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
            let plain = (1..=DIMENSION_NAME_MAX).contains(&name.len())
                && name.starts_with(letter)
                && name.chars().all(|c| letter(c) || c.is_ascii_digit());
            if !plain {
                dimension.value = None;
            }
        }
    }
}

fn malformed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LoadError {
    LoadError::Malformed {
        source: source.into(),
    }
}

#[cfg(test)]
mod tests;
