//! Does the model fit the configuration? Asked once, at the start: an operator
//! hears of it then, and not by the first window's rejection.

use selvedge_plugin::models::{Description, Dimension, Misfit, Port};

use crate::config::{Config, Score};

/// Why the model and the configuration do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FitError {
    #[error(transparent)]
    Model(#[from] Misfit),
    #[error("`features` has {features} features, but the input {input} takes {takes}")]
    Features {
        features: usize,
        input: String,
        takes: String,
    },
    #[error("`{field}` needs {expected} values, but the output {output} gives {gives}")]
    Output {
        field: &'static str,
        expected: usize,
        output: String,
        gives: u64,
    },
}

/// The name of the input that takes the features.
pub(crate) fn input(config: &Config, model: &Description) -> Result<String, FitError> {
    let input = model.input(config.input.as_deref())?;
    let features = config.features.len();
    let length = u32::try_from(features).unwrap_or(u32::MAX);
    if input.check_f32(&[1, length]).is_err() {
        let takes = match input.dimensions.as_slice() {
            [_, Dimension::Fixed(takes)] if *takes != length => takes.to_string(),
            _ => "another shape or kind".to_owned(),
        };
        let input = input.to_string();
        return Err(FitError::Features {
            features,
            input,
            takes,
        });
    }
    match &config.score {
        Score::Output(name) => output(model, "score.output", name, 1)?,
        Score::Reconstruction(name) => output(model, "score.reconstruction", name, features)?,
        Score::Kinds => {}
    }
    if let Some(kinds) = &config.kinds {
        output(model, "kinds.labels", &kinds.output, kinds.labels.len())?;
    }
    Ok(input.name.clone())
}

fn output(
    model: &Description,
    field: &'static str,
    name: &str,
    expected: usize,
) -> Result<(), FitError> {
    let port = model.output(Some(name))?;
    // An output whose size shows only in a run is judged there.
    let Some(gives) = elements(port) else {
        return Ok(());
    };
    if u64::try_from(expected) == Ok(gives) {
        return Ok(());
    }
    let output = port.to_string();
    Err(FitError::Output {
        field,
        expected,
        output,
        gives,
    })
}

/// How many values one row of it has, if that is always the same.
fn elements(port: &Port) -> Option<u64> {
    let mut sizes = port
        .dimensions
        .iter()
        .enumerate()
        .map(|(place, dimension)| {
            match (place, dimension) {
                (_, Dimension::Fixed(size)) => Some(u64::from(*size)),
                // The rows: there is one.
                (0, _) => Some(1),
                _ => None,
            }
        });
    sizes.try_fold(1_u64, |product, size| product.checked_mul(size?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_plugin::nn::TensorType;

    fn port(name: &str, dimensions: Vec<Dimension>) -> Port {
        Port {
            name: name.to_owned(),
            kind: TensorType::Fp32,
            dimensions,
        }
    }

    fn model(inputs: Vec<Port>) -> Description {
        let row = |size| vec![Dimension::Named("n".to_owned()), Dimension::Fixed(size)];
        Description {
            inputs,
            outputs: vec![
                port("s", row(1)),
                port("kinds", row(3)),
                port("any", vec![Dimension::Any; 2]),
            ],
            version: None,
            digest: String::new(),
            metadata: Vec::new(),
        }
    }

    fn config(changes: &str) -> Config {
        let text = format!(
            r#"{{"model":"m","features":[{{"name":"a"}},{{"name":"b"}}],"threshold":{{"fixed":{{"enter":1}}}},{changes}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[track_caller]
    fn check(changes: &str, inputs: &[(&str, u32)], expected: Result<&str, &str>) {
        let inputs = inputs
            .iter()
            .map(|(name, size)| port(name, vec![Dimension::Fixed(1), Dimension::Fixed(*size)]));
        let found = input(&config(changes), &model(inputs.collect()));
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn a_model_that_fits_needs_no_name_for_its_only_input() {
        let score = r#""score":{"output":"s"}"#;
        check(score, &[("x", 2)], Ok("x"));
        check(r#""score":{"output":"any"}"#, &[("x", 2)], Ok("x"));
        let named = r#""score":{"output":"s"},"input":"y""#;
        check(named, &[("x", 7), ("y", 2)], Ok("y"));
        let several = "`input` must say which input is meant: the model has `x`, `y`";
        check(score, &[("x", 2), ("y", 2)], Err(several));
        let missing = "the model has no input `y`; its inputs are `x`";
        check(named, &[("x", 2)], Err(missing));
    }

    #[test]
    fn what_does_not_fit_is_said_with_both_lengths() {
        let length = "`features` has 2 features, but the input `x` FP32 [1, 3] takes 3";
        check(r#""score":{"output":"s"}"#, &[("x", 3)], Err(length));
        let output = "the model has no output `t`; its outputs are `s`, `kinds`, `any`";
        check(r#""score":{"output":"t"}"#, &[("x", 2)], Err(output));
        let rebuilt =
            "`score.reconstruction` needs 2 values, but the output `kinds` FP32 [n, 3] gives 3";
        check(
            r#""score":{"reconstruction":"kinds"}"#,
            &[("x", 2)],
            Err(rebuilt),
        );
        let kinds =
            r#""score":"kinds","kinds":{"output":"kinds","labels":["a","b"],"healthy":"a"}"#;
        let labels = "`kinds.labels` needs 2 values, but the output `kinds` FP32 [n, 3] gives 3";
        check(kinds, &[("x", 2)], Err(labels));
    }
}
