//! What OpenVINO says of a failure: its own words, without where in its sources.

use openvino::{InferenceError, InferenceErrorKind};

use crate::inference::native_library::line_of;
use crate::inference::{LoadError, RunError};
use crate::spec::BackendKind;

/// What stands before the operators that it cannot translate.
const UNKNOWN: &str = "No conversion rule found for operations: ";

/// OpenVINO's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Said(String);

impl Said {
    /// What we have to say in its place.
    pub(super) fn of(text: &str) -> Self {
        Self(line_of(text))
    }
}

impl From<InferenceError> for Said {
    fn from(error: InferenceError) -> Self {
        match error.message {
            Some(message) if !message.is_empty() => Self(words(&message)),
            _ => Self(error.kind.to_string()),
        }
    }
}

/// Without the lines that only name its source files, and cut.
pub(super) fn words(message: &str) -> String {
    let place = |line: &&str| {
        let line = line.trim_start();
        line.contains("Exception from src/")
            || line.starts_with("Check '")
            || line.starts_with("FrontEnd API failed")
    };
    let lines: Vec<_> = message.lines().filter(|line| !place(line)).collect();
    let line = line_of(&lines.join(" "));
    if line.is_empty() {
        line_of(message)
    } else {
        line
    }
}

/// Why it did not load a model.
pub(super) fn not_loaded(error: InferenceError) -> LoadError {
    let message = error.message.as_deref().unwrap_or_default();
    if let Some((_, operators)) = message.split_once(UNKNOWN) {
        let first = operators.split([',', '\n', ' ']).next().unwrap_or_default();
        return LoadError::UnsupportedOperator {
            operator: line_of(operator(first)),
            backend: BackendKind::Openvino,
        };
    }
    LoadError::Malformed {
        source: Said::from(error).into(),
    }
}

/// `Gelu-20` and `ai.onnx.ml.Scaler` are written as the model writes them.
fn operator(listed: &str) -> &str {
    let name = listed.rsplit('.').next().unwrap_or(listed);
    match name.rsplit_once('-') {
        Some((name, version)) if version.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
}

/// Why a run failed.
pub(super) fn not_run(error: InferenceError) -> RunError {
    match error.kind {
        InferenceErrorKind::InferCancelled => RunError::Deadline,
        _ => RunError::Failed {
            source: Said::from(error).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loading(message: &str) -> LoadError {
        not_loaded(InferenceError {
            kind: InferenceErrorKind::GeneralError,
            message: Some(message.to_owned()),
        })
    }

    #[test]
    fn what_is_not_supported_is_named_as_the_model_names_it() {
        for (listed, expected) in [
            ("Frobnicate-17\nTo facilitate", "Frobnicate"),
            (
                "ai.onnx.ml.TreeEnsembleRegressor\n",
                "TreeEnsembleRegressor",
            ),
            ("Not-a-version, Other-3\n", "Not-a-version"),
        ] {
            let message = format!("Summary:\n-- {UNKNOWN}{listed}");
            let LoadError::UnsupportedOperator { operator, backend } = loading(&message) else {
                panic!("{message}");
            };
            assert_eq!(
                (operator.as_str(), backend),
                (expected, BackendKind::Openvino)
            );
        }
    }

    #[test]
    fn what_it_says_is_one_line_without_its_source_files() {
        let message = "Exception from src/inference/src/cpp/core.cpp:105:\n\
                       Check 'false' failed at src/x.cpp:1:\nthe rank\u{7} is wrong\n\n";
        assert_eq!(words(message), "the rank is wrong");
        let only = "Check 'x > 0' failed at src/x.cpp:1:\n";
        assert_eq!(words(only), "Check 'x > 0' failed at src/x.cpp:1:");
    }
}
