//! How much memory the tensors of one run take, known before it starts.
//!
//! Every dimension must follow from the dimensions of the inputs: a model that
//! makes tensors of a size that depends on the *values* it is fed could be fed
//! one that takes all memory. What an operator uses while it computes is not
//! counted; it is of the order of what it makes.

use tract_onnx::prelude::{Symbol, SymbolValues, TDim, TypedModel};

use crate::inference::LoadError;
use crate::inference::shown::shown;

/// Bytes made by one run.
#[derive(Debug)]
pub(super) struct Footprint {
    /// Of tensors whose size never changes.
    fixed: u64,
    /// Of the others: element size and dimensions.
    varying: Vec<(u64, Vec<TDim>)>,
}

impl Footprint {
    /// Of a model whose inputs have the dimensions `known`.
    pub(super) fn of(model: &TypedModel, known: &[Symbol]) -> Result<Self, LoadError> {
        let mut footprint = Self {
            fixed: 0,
            varying: Vec::new(),
        };
        for node in model.nodes() {
            for output in &node.outputs {
                let fact = &output.fact;
                let dimensions: Vec<TDim> = fact.shape.iter().cloned().collect();
                let mut symbols = dimensions.iter().flat_map(TDim::symbols);
                if symbols.any(|symbol| !known.contains(&symbol)) {
                    return Err(LoadError::Unbounded {
                        operator: shown(&node.op.name()),
                    });
                }
                let element = fact.datum_type.size_of() as u64;
                let bytes = product(element, &dimensions, &SymbolValues::default());
                if dimensions
                    .iter()
                    .all(|dimension| dimension.as_i64().is_some())
                {
                    footprint.fixed = footprint.fixed.saturating_add(bytes);
                } else {
                    footprint.varying.push((element, dimensions));
                }
            }
        }
        Ok(footprint)
    }

    /// Given the dimensions of the inputs; saturates.
    pub(super) fn bytes(&self, values: &SymbolValues) -> u64 {
        self.varying
            .iter()
            .map(|(element, dimensions)| product(*element, dimensions, values))
            .fold(self.fixed, u64::saturating_add)
    }

    pub(super) fn varies(&self) -> bool {
        !self.varying.is_empty()
    }
}

/// A dimension that cannot be computed counts as infinite, one below 0 as 0.
fn product(element: u64, dimensions: &[TDim], values: &SymbolValues) -> u64 {
    dimensions.iter().fold(element, |bytes, dimension| {
        let size = dimension.eval_to_i64(values).unwrap_or(i64::MAX);
        bytes.saturating_mul(u64::try_from(size).unwrap_or(0))
    })
}
