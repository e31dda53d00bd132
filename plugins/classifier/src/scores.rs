//! From a model's output to labels: probabilities, the likeliest first.

use serde::Serialize;

use crate::plan::Plan;

/// A model's outputs: name and values.
pub type Outputs = Vec<(String, Vec<f32>)>;

/// A label and how sure the model is of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// Which.
    pub label: String,
    /// How sure; more is surer.
    pub score: f32,
}

/// Why an output cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The model gave no such output.
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

/// The `top` likeliest labels, the likeliest first; of equals, the model's first.
pub(crate) fn read(plan: &Plan, outputs: Outputs, top: u32) -> Result<Vec<Scored>, OutputError> {
    let name = || plan.output.clone();
    let found = outputs.into_iter().find(|(other, _)| *other == plan.output);
    let (_, mut values) = found.ok_or_else(|| OutputError::NotThere(name()))?;
    let expected = plan.labels.len();
    if values.len() != expected {
        return Err(OutputError::Length {
            name: name(),
            found: values.len(),
            expected,
        });
    }
    if !values.iter().all(|value| value.is_finite()) {
        return Err(OutputError::NotFinite(name()));
    }
    if plan.softmax {
        softmax(&mut values);
    }
    let mut order: Vec<_> = plan.labels.iter().zip(values).collect();
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    order.truncate(top as usize);
    let scored = |(label, score): (&String, f32)| Scored {
        label: label.clone(),
        score,
    };
    Ok(order.into_iter().map(scored).collect())
}

/// Shifted by the largest, so that no exponential overflows.
fn softmax(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in values.iter_mut() {
        *value = (*value - largest).exp();
    }
    let sum: f32 = values.iter().sum();
    for value in values.iter_mut() {
        *value /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    fn scores(softmax: bool, values: &[f32], top: u32) -> Result<Vec<(String, f32)>, OutputError> {
        let mut plan = plan();
        plan.softmax = softmax;
        let outputs = vec![
            ("other".to_owned(), vec![]),
            ("y".to_owned(), values.to_vec()),
        ];
        let scored = read(&plan, outputs, top)?;
        Ok(scored.into_iter().map(|s| (s.label, s.score)).collect())
    }

    #[test]
    fn the_likeliest_comes_first() {
        let top = scores(false, &[0.25, 0.5], 3).unwrap();
        assert_eq!(top, [("b".to_owned(), 0.5), ("a".to_owned(), 0.25)]);
        assert_eq!(
            scores(false, &[0.5, 0.5], 1).unwrap(),
            [("a".to_owned(), 0.5)]
        );
    }

    #[test]
    fn logits_become_probabilities_however_large() {
        let top = scores(true, &[0.0, 3.0_f32.ln()], 2).unwrap();
        assert_eq!(top[0].0, "b");
        assert!((top[0].1 - 0.75).abs() < 1e-6 && (top[1].1 - 0.25).abs() < 1e-6);
        let top = scores(true, &[3e38, -3e38], 2).unwrap();
        assert_eq!(top, [("a".to_owned(), 1.0), ("b".to_owned(), 0.0)]);
    }

    #[test]
    fn what_is_no_score_is_refused() {
        assert_eq!(
            scores(false, &[0.5, f32::NAN], 2),
            Err(OutputError::NotFinite("y".to_owned()))
        );
        let error = scores(true, &[0.5], 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model's output `y` has 1 values instead of 2"
        );
        let missing = read(&plan(), vec![], 1);
        assert_eq!(missing, Err(OutputError::NotThere("y".to_owned())));
    }
}
