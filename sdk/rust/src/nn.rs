//! Inference by the host on models that the deployment grants (`wasi:nn`).

use crate::bindings::imports::wasi::nn::{errors, graph, inference, tensor};

pub use crate::bindings::imports::wasi::nn::tensor::TensorType;

/// Why an inference failed: what the host says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NnError {
    text: String,
    passes: bool,
}

impl NnError {
    /// Whether it may go well later: the model was busy or too slow.
    pub fn passes(&self) -> bool {
        self.passes
    }
}

impl std::fmt::Display for NnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for NnError {}

impl From<NnError> for String {
    fn from(error: NnError) -> Self {
        error.text
    }
}

impl From<errors::Error> for NnError {
    fn from(error: errors::Error) -> Self {
        let code = error.code();
        Self {
            text: format!("{code:?}: {}", error.data()),
            // The host says so of a result that is late and of a busy model.
            passes: code == errors::ErrorCode::Timeout,
        }
    }
}

/// A model, ready to compute.
#[derive(Debug)]
pub struct Model {
    context: inference::GraphExecutionContext,
    // Kept as long as its context, which it made.
    _graph: graph::Graph,
}

impl Model {
    /// Loads a model that the deployment grants, by its name there.
    ///
    /// # Errors
    /// The model is not granted, not there or not fit to run.
    pub fn load(name: &str) -> Result<Self, NnError> {
        let graph = graph::load_by_name(name)?;
        let context = graph.init_execution_context()?;
        Ok(Self {
            context,
            _graph: graph,
        })
    }

    /// Runs the model on `f32` inputs: name, dimensions and values in
    /// row-major order. Returns each output's name and values.
    ///
    /// # Errors
    /// An input does not fit the model, or the model failed.
    pub fn compute_f32(
        &self,
        inputs: &[(&str, &[u32], &[f32])],
    ) -> Result<Vec<(String, Vec<f32>)>, NnError> {
        let inputs = inputs
            .iter()
            .map(|(name, dimensions, values)| {
                let tensor = tensor::Tensor::new(dimensions, TensorType::Fp32, bytes_of(values));
                ((*name).to_owned(), tensor)
            })
            .collect();
        let outputs = self.context.compute(inputs)?;
        let read = |(name, tensor): (String, tensor::Tensor)| match tensor.ty() {
            TensorType::Fp32 => Ok((name, f32_values(&tensor))),
            other => Err(NnError {
                text: format!("output `{name}` is {other:?}, not FP32"),
                passes: false,
            }),
        };
        outputs.into_iter().map(read).collect()
    }
}

/// Components have numbers in memory as `wasi:nn` wants them: little end first.
fn bytes_of(values: &[f32]) -> &[u8] {
    bytemuck::must_cast_slice(values)
}

fn f32_values(tensor: &tensor::Tensor) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(&tensor.data())
}

#[cfg(test)]
mod tests {
    use super::NnError;
    use crate::Error;

    #[test]
    fn a_message_is_tried_again_where_the_model_may_answer_later() {
        let error = |passes| NnError {
            text: "busy".to_owned(),
            passes,
        };
        assert!(matches!(Error::from(error(true)), Error::Retry(text) if text == "busy"));
        assert!(matches!(Error::from(error(false)), Error::Reject(_)));
    }
}
