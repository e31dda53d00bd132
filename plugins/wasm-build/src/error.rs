//! Why there is no component. Written by hand: this crate is built before
//! everything else and pulls in no macro.

use std::fmt;
use std::process::ExitStatus;

use crate::TARGET;

/// Why a component could not be built.
#[derive(Debug)]
pub enum BuildError {
    /// The toolchain has no standard library for [`TARGET`], and getting it failed.
    TargetMissing {
        /// What went wrong with `rustup target add`.
        reason: String,
    },
    /// `rustc` could not be asked for its targets.
    Rustc(std::io::Error),
    /// `cargo` could not be started.
    Cargo(std::io::Error),
    /// `cargo` ran and failed; its output says why.
    Failed {
        /// What it was to build.
        what: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file could not be read or written.
    File(std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetMissing { reason } => write!(
                f,
                "the toolchain cannot build plugins: {reason}\n\
                 plugins are built for {TARGET}; run this and try again:\n\n    \
                 rustup target add {TARGET}\n"
            ),
            Self::Rustc(_) => f.write_str("cannot run rustc"),
            Self::Cargo(_) => f.write_str("cannot run cargo"),
            Self::Failed { what, status } => {
                write!(f, "cargo build for {TARGET} failed ({what}): {status}")
            }
            Self::File(_) => f.write_str("cannot put the components in place"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rustc(error) | Self::Cargo(error) | Self::File(error) => Some(error),
            Self::TargetMissing { .. } | Self::Failed { .. } => None,
        }
    }
}

impl From<std::io::Error> for BuildError {
    /// For `fs_err`, whose errors name the file.
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl BuildError {
    /// The error and its causes, one line each.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {error}"));
            cause = error.source();
        }
        text
    }
}
