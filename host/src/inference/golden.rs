//! Golden vectors: what a model must compute before it is taken into service.
//!
//! Catches the wrong file, the wrong backend, and a device or library that
//! silently computes in lower precision.

use serde::{Deserialize, Serialize};

use super::interface::Port;
use super::tensor::{Tensor, TensorError, TensorKind};

/// Inputs of one run and the outputs it must have; a JSON file beside the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    inputs: Vec<GoldenTensor>,
    outputs: Vec<GoldenTensor>,
    /// How far each value may be off: absolutely, and relatively to values beyond 1.
    tolerance: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenTensor {
    name: String,
    #[serde(default = "fp32")]
    kind: TensorKind,
    dimensions: Vec<u32>,
    /// In row-major order.
    values: Vec<f64>,
}

fn fp32() -> TensorKind {
    TensorKind::Fp32
}

/// Why a golden vector cannot be used, or was not met.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("it cannot be read")]
    Malformed { source: serde_json::Error },
    #[error("its tolerance is {tolerance}, not a number from 0")]
    Tolerance { tolerance: f64 },
    #[error("its tensor `{name}` is not valid")]
    Tensor { name: String, source: TensorError },
    #[error("it checks no output")]
    ChecksNothing,
    #[error("the model has no output `{name}`")]
    UnknownOutput { name: String },
    #[error("output `{name}` is {found} instead of {expected}")]
    Shape {
        name: String,
        expected: String,
        found: String,
    },
    #[error("element {index} of output `{name}` is {found} instead of {expected}")]
    Value {
        name: String,
        index: usize,
        expected: f64,
        found: f64,
    },
}

impl Golden {
    /// Reads `{"inputs": [{"name", "kind", "dimensions", "values"}], "outputs":
    /// [...], "tolerance"}`; `kind` is `fp32` unless given.
    pub fn parse(json: &[u8]) -> Result<Self, GoldenError> {
        let golden: Self =
            serde_json::from_slice(json).map_err(|source| GoldenError::Malformed { source })?;
        let tolerance = golden.tolerance;
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return Err(GoldenError::Tolerance { tolerance });
        }
        if golden.outputs.iter().all(|output| output.values.is_empty()) {
            return Err(GoldenError::ChecksNothing);
        }
        for tensor in golden.inputs.iter().chain(&golden.outputs) {
            tensor.tensor()?;
        }
        Ok(golden)
    }

    /// What is fed.
    pub fn inputs(&self) -> Result<Vec<(String, Tensor)>, GoldenError> {
        let named = |input: &GoldenTensor| Ok((input.name.clone(), input.tensor()?));
        self.inputs.iter().map(named).collect()
    }

    /// Compares what the model computed with what it must compute.
    pub(super) fn check(&self, ports: &[Port], found: &[Tensor]) -> Result<(), GoldenError> {
        for output in &self.outputs {
            let expected = output.tensor()?;
            let name = output.name.clone();
            let found = ports
                .iter()
                .zip(found)
                .find(|(port, _)| *port.name == name)
                .map(|(_, tensor)| tensor);
            let Some(found) = found else {
                return Err(GoldenError::UnknownOutput { name });
            };
            if found.dimensions() != expected.dimensions() || found.kind() != expected.kind() {
                return Err(GoldenError::Shape {
                    name,
                    expected: format!("{expected:?}"),
                    found: format!("{found:?}"),
                });
            }
            let mut pairs = expected.values().zip(found.values()).enumerate();
            let near = |a, b| is_near(a, b, self.tolerance);
            let off = pairs.find(|(_, (expected, found))| !near(*expected, *found));
            if let Some((index, (expected, found))) = off {
                return Err(GoldenError::Value {
                    name,
                    index,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// Whether `found` is as good as `expected`: the same, or off by no more than
/// `tolerance`, absolutely and relatively to values beyond 1. A NaN is near nothing,
/// and what is infinite only to itself.
pub(super) fn is_near(expected: f64, found: f64, tolerance: f64) -> bool {
    let off = (expected - found).abs();
    expected == found || (off.is_finite() && off <= tolerance * expected.abs().max(1.0))
}

impl GoldenTensor {
    fn tensor(&self) -> Result<Tensor, GoldenError> {
        Tensor::of_values(self.dimensions.clone(), self.kind, &self.values).map_err(|source| {
            GoldenError::Tensor {
                name: self.name.clone(),
                source,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn nothing_is_near_to_what_is_no_number_and_only_itself_to_what_is_infinite() {
        let infinite = f64::INFINITY;
        let cases = [
            (0.0, 0.01, true),
            (0.0, 0.02, false),
            (100.0, 101.0, true),
            (100.0, 102.0, false),
            (infinite, infinite, true),
            (infinite, 5.0, false),
            (infinite, -infinite, false),
            (5.0, infinite, false),
            (f64::MAX, -f64::MAX, false),
            (f64::NAN, f64::NAN, false),
            (f64::NAN, 0.0, false),
            (0.0, f64::NAN, false),
        ];
        for (expected, found, near) in cases {
            assert_eq!(is_near(expected, found, 0.01), near, "{expected} {found}");
        }
        assert!(is_near(1.0, 1.0, 0.0));
    }
}
