//! What a model file must not contain, told before the library interprets it.
//!
//! The library resolves operators without their domain, follows files named in
//! the model, and parses the names of dimensions recursively without a bound
//! (a deep one ends the process); none of that is left for it to do.

use tract_onnx::pb;

use crate::inference::onnx_file::{no_functions, plain_dimensions};
use crate::inference::shown::shown;
use crate::inference::{InferenceLimits, LoadError};
use crate::spec::BackendKind;

/// Operators of these are ONNX's own.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];

/// Walks the model once, nested graphs included.
pub(super) struct Vetting<'a> {
    pub(super) supported: &'a dyn Fn(&str) -> bool,
    pub(super) limits: &'a InferenceLimits,
    operators: u32,
}

impl<'a> Vetting<'a> {
    pub(super) fn new(supported: &'a dyn Fn(&str) -> bool, limits: &'a InferenceLimits) -> Self {
        Self {
            supported,
            limits,
            operators: 0,
        }
    }

    /// Refuses what is not allowed and strips what is only a hint.
    pub(super) fn model(mut self, model: &mut pb::ModelProto) -> Result<(), LoadError> {
        no_functions(model)?;
        model.training_info.clear();
        match &mut model.graph {
            Some(graph) => self.graph(graph),
            None => Ok(()),
        }
    }

    fn graph(&mut self, graph: &mut pb::GraphProto) -> Result<(), LoadError> {
        graph.value_info.clear();
        for port in graph.input.iter_mut().chain(&mut graph.output) {
            plain_dimensions(port);
        }
        for tensor in &graph.initializer {
            self.tensor(tensor)?;
        }
        for tensor in &graph.sparse_initializer {
            self.sparse(tensor)?;
        }
        for node in &mut graph.node {
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &mut pb::NodeProto) -> Result<(), LoadError> {
        let max = self.limits.model_operators_max.get();
        self.operators += 1;
        if self.operators > max {
            return Err(LoadError::TooManyOperators { max });
        }
        if !DOMAINS.contains(&node.domain.as_str()) {
            return Err(LoadError::CustomOperator {
                domain: shown(&node.domain),
                operator: shown(&node.op_type),
            });
        }
        if !(self.supported)(&node.op_type) {
            return Err(LoadError::UnsupportedOperator {
                operator: shown(&node.op_type),
                backend: BackendKind::Tract,
            });
        }
        for attribute in &mut node.attribute {
            for tensor in attribute.t.iter().chain(&attribute.tensors) {
                self.tensor(tensor)?;
            }
            for tensor in attribute
                .sparse_tensor
                .iter()
                .chain(&attribute.sparse_tensors)
            {
                self.sparse(tensor)?;
            }
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.graph(graph)?;
            }
        }
        Ok(())
    }

    fn sparse(&self, sparse: &pb::SparseTensorProto) -> Result<(), LoadError> {
        let parts = sparse.values.iter().chain(&sparse.indices);
        parts.into_iter().try_for_each(|tensor| self.tensor(tensor))
    }

    fn tensor(&self, tensor: &pb::TensorProto) -> Result<(), LoadError> {
        let external = pb::tensor_proto::DataLocation::External as i32;
        if tensor.data_location == Some(external) || !tensor.external_data.is_empty() {
            return Err(LoadError::ExternalData {
                tensor: shown(&tensor.name),
            });
        }
        Ok(())
    }
}
