//! What is handed in to be deployed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::fault::{Faults, Severity};
use super::document::handed::files_named;
use super::document::source::Source;
use super::report::{FaultReport, Reason};
use crate::names::Digest;
use crate::storage::{FILE_BYTES_MAX, FileError, FileStore};

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

impl Submission {
    /// The document in the file at `path`, with the files that it names put into
    /// `store`. They are looked for beside it and then in `directories`; those
    /// that are nowhere are left out, which a check of the document tells best.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// If the document cannot be read, or a file that is there cannot be kept.
    pub fn of_file(
        path: &Path,
        directories: &[PathBuf],
        store: &FileStore,
    ) -> Result<Self, SubmitError> {
        let source = Source::read(path).map_err(|fault| SubmitError::of(&Faults(vec![fault])))?;
        Self::of_source(&source, directories, store)
    }

    /// The same for what was read already.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn of_source(
        source: &Source,
        directories: &[PathBuf],
        store: &FileStore,
    ) -> Result<Self, SubmitError> {
        let folder = source.file().parent().unwrap_or(Path::new(""));
        let mut files = BTreeMap::new();
        for name in files_named(source).map_err(|faults| SubmitError::of(&faults))? {
            let folders = std::iter::once(folder).chain(directories.iter().map(PathBuf::as_path));
            let mut found = folders.map(|folder| folder.join(&name));
            // Opening a pipe would wait for whoever writes to it.
            if let Some(found) = found.find(|found| found.is_file()) {
                let digest = keep(&found, store).map_err(SubmitError::File)?;
                files.insert(name, digest);
            }
        }
        Ok(Self {
            text: source.text().to_owned(),
            file: source.file().to_owned(),
            files,
            requested_by: "local".to_owned(),
            reason: Reason::Submitted,
            when_busy: WhenBusy::default(),
        })
    }

    /// By whose word.
    #[must_use]
    pub fn by(mut self, requested_by: &str) -> Self {
        requested_by.clone_into(&mut self.requested_by);
        self
    }
}

fn keep(path: &Path, store: &FileStore) -> Result<Digest, FileError> {
    let bytes = fs_err::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { bytes });
    }
    store.put(&fs_err::read(path)?)
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
    Document(Vec<FaultReport>),
    #[error("there is no deployment to go back to")]
    NothingBefore,
    #[error("there is no deployment {0}")]
    NoDeployment(super::report::DeploymentId),
    #[error("there is no plugin `{0}`")]
    NoPlugin(crate::names::PluginName),
    #[error("the file {path} was not handed in")]
    NoFile { path: String },
    #[error("a file that the document names cannot be kept")]
    File(#[source] FileError),
    #[error("the host is stopping")]
    Stopping,
    #[error("it cannot be remembered")]
    Journal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SubmitError {
    /// What is wrong with a document.
    pub(super) fn of(faults: &Faults) -> Self {
        let report = |fault: &super::document::fault::Fault| FaultReport {
            code: fault.kind.code().to_owned(),
            message: super::document::fault::plain(&fault.kind.to_string()),
            plugin: None,
            place: Some(fault.location.to_string()),
            help: fault.help.as_deref().map(super::document::fault::plain),
        };
        let errors = faults.0.iter();
        let errors = errors.filter(|fault| fault.severity() == Severity::Error);
        Self::Document(errors.map(report).collect())
    }

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
            Self::File(error) => error.code(),
            Self::Stopping => "stopping",
            Self::Journal(_) => "journal-failed",
        }
    }
}
