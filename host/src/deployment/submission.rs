//! What is handed in to be deployed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::Reason;
use crate::names::Digest;

/// A document with the files that it names, and by whose word.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The document.
    pub text: String,
    /// What its file is called where it was handed in: faults name it.
    pub file: PathBuf,
    /// The files that the document names by path, which were handed in before.
    pub files: BTreeMap<String, Digest>,
    /// Who asks: `uid 0`, or the identity of a client certificate.
    pub requested_by: String,
    /// Why.
    pub reason: Reason,
    /// What becomes of it while another one is under way.
    pub when_busy: WhenBusy,
}

/// What becomes of a deployment that comes while another is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenBusy {
    /// It is refused.
    Refuse,
    /// It waits in line.
    #[default]
    Queue,
    /// It ends the one under way, which is undone, and those in line.
    Supersede,
}

/// Why something was not taken in. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("deployment {0} is under way")]
    Busy(super::report::DeploymentId),
    #[error("{0} deployments are in line already")]
    TooMany(usize),
    #[error("the document cannot be deployed")]
    Document(Vec<super::report::FaultReport>),
    #[error("there is no deployment to go back to")]
    NothingBefore,
    #[error("there is no deployment {0}")]
    NoDeployment(super::report::DeploymentId),
    #[error("there is no plugin `{0}`")]
    NoPlugin(crate::names::PluginName),
    #[error("the file {path} was not handed in")]
    NoFile { path: String },
    #[error("the host is stopping")]
    Stopping,
    #[error("it cannot be remembered")]
    Journal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SubmitError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) => "deployment-under-way",
            Self::TooMany(_) => "too-many-deployments",
            Self::Document(_) => "document-refused",
            Self::NothingBefore => "nothing-before",
            Self::NoDeployment(_) => "no-such-deployment",
            Self::NoPlugin(_) => "no-such-plugin",
            Self::NoFile { .. } => "file-missing",
            Self::Stopping => "stopping",
            Self::Journal(_) => "journal-failed",
        }
    }
}
