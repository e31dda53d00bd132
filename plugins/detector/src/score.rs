//! What a model's outputs mean.

use crate::config::{Config, Score};

/// A model's outputs: name and values.
pub type Outputs = Vec<(String, Vec<f32>)>;

/// What the model says of one window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// More is worse.
    pub(crate) score: f64,
    /// The most likely kind of anomaly; `None` if nothing tells.
    pub(crate) kind: Option<String>,
}

/// Why outputs cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The model has no such output.
    #[error("the model has no output `{0}`")]
    NotThere(String),
    /// It has another number of values.
    #[error("the model's output `{name}` has {found} values instead of {expected}")]
    Length {
        /// Which output.
        name: String,
        /// Values it has.
        found: usize,
        /// Values it should have.
        expected: usize,
    },
    /// A value is not a number.
    #[error("the model's output `{0}` is not finite")]
    NotFinite(String),
}

/// Reads the outputs that the model made of `input`.
pub(crate) fn read(
    config: &Config,
    input: &[f32],
    outputs: &Outputs,
) -> Result<Verdict, OutputError> {
    let output = |name: &str, expected: usize| -> Result<&[f32], OutputError> {
        let (_, values) = outputs
            .iter()
            .find(|(other, _)| other == name)
            .ok_or_else(|| OutputError::NotThere(name.to_owned()))?;
        if values.len() != expected {
            return Err(OutputError::Length {
                name: name.to_owned(),
                found: values.len(),
                expected,
            });
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(OutputError::NotFinite(name.to_owned()));
        }
        Ok(values)
    };
    let mut worst = None;
    let mut kind = None;
    if let Some(kinds) = &config.kinds {
        let values = output(&kinds.output, kinds.labels.len())?;
        let best = |(label, value): (&String, &f32)| (label.clone(), f64::from(*value));
        let anomalies = kinds.labels.iter().zip(values);
        worst = anomalies
            .filter(|(label, _)| **label != kinds.healthy)
            .map(best)
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        kind = worst.as_ref().map(|(label, _)| label.clone());
    }
    let score = match &config.score {
        Score::Output(name) => output(name, 1)?.first().copied().map(f64::from),
        Score::Reconstruction(name) => Some(error(input, output(name, input.len())?)),
        Score::Kinds => worst.map(|(_, value)| value),
    };
    // No score is left out by `Config::check`; a missing one would be no anomaly.
    let score = score.ok_or_else(|| OutputError::NotThere("kinds".to_owned()))?;
    Ok(Verdict { score, kind })
}

/// The mean squared difference.
fn error(input: &[f32], rebuilt: &[f32]) -> f64 {
    let squares = input
        .iter()
        .zip(rebuilt)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    #[expect(clippy::cast_precision_loss, reason = "512 features at most")]
    let count = input.len().max(1) as f64;
    squares.sum::<f64>() / count
}
