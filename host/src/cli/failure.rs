//! How a command ends that did not do as asked.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::error_chain::ErrorChain;

use super::hints::hint;
use super::output::OutputError;
use super::{EXIT_CONFIG, EXIT_FAILURE, EXIT_USAGE, files};

/// How a command ends.
pub(super) type Outcome<T = ExitCode> = Result<T, Failure>;

/// Why a command did not do as asked, and what can be done about it.
#[derive(Debug)]
pub(super) struct Failure {
    error: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Arguments that make no sense together.
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self {
            error: what.into().into(),
            hint: None,
            code: EXIT_USAGE,
        }
    }

    /// The same, with what can be done about it.
    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that is not as it should be.
    pub(super) fn config(faults: &dyn std::fmt::Display) -> Self {
        Self {
            error: faults.to_string().into(),
            hint: None,
            code: EXIT_CONFIG,
        }
    }

    /// What is wrong with a file.
    pub(super) fn about(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot use {path}", path = .0.display())]
        struct About(PathBuf, #[source] Box<dyn Error + Send + Sync>);

        Self::new(About(path.to_owned(), error.into()), None)
    }

    /// Anything else, with what can be done about it.
    pub(super) fn new(
        error: impl Into<Box<dyn Error + Send + Sync>>,
        hint: Option<String>,
    ) -> Self {
        Self {
            error: error.into(),
            hint,
            code: EXIT_FAILURE,
        }
    }

    /// Whether all that happened is that nobody reads the output any more.
    pub(super) fn is_end_of_output(&self) -> bool {
        let output = self.error.downcast_ref();
        output.is_some_and(OutputError::nobody_reads)
    }

    /// Why, in a line.
    pub(super) fn text(&self) -> String {
        ErrorChain(self.error.as_ref()).to_string()
    }

    /// Says so, and how the process ends. That nobody reads any more is no
    /// failure.
    pub(super) fn report(&self) -> ExitCode {
        if self.is_end_of_output() {
            return ExitCode::SUCCESS;
        }
        match self.code {
            // Faults of a file are lines, each fit to be printed.
            EXIT_CONFIG => files::complain(&format_args!("error: {}", self.error)),
            _ => files::complain(&format_args!("error: {}", ErrorChain(self.error.as_ref()))),
        }
        if let Some(hint) = &self.hint {
            files::complain(&format_args!("  help: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let hint = hint(&error);
        Self::new(error, hint)
    }
}
