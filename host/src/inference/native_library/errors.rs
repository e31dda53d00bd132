//! Why a native library is not used, and what to do about it.

use std::path::{Path, PathBuf};

use crate::error_chain::ErrorChain;
use crate::inference::{BackendStatus, Unavailable};
use crate::names::Digest;
use crate::spec::BackendKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Characters of a reason: what a library says can be long.
const REASON_CHARS_MAX: usize = 400;

/// Why a native library is not used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error("the path {path} is not absolute", path = path.display())]
    NotAbsolute { path: PathBuf },
    #[error("there is no {path}", path = path.display())]
    Missing {
        path: PathBuf,
        source: Option<std::io::Error>,
    },
    #[error("the library cannot be read")]
    Unreadable { source: std::io::Error },
    #[error("{path} cannot be loaded", path = path.display())]
    NotALibrary { path: PathBuf, source: Source },
    #[error("{path} is too old: {found}, and {needed} is needed", path = path.display())]
    TooOld {
        path: PathBuf,
        found: String,
        needed: String,
    },
    #[error("{path} has the digest {found}, not {expected}", path = path.display())]
    WrongDigest {
        path: PathBuf,
        expected: Digest,
        found: Digest,
    },
    #[error("{path} is not among the files that may be loaded", path = path.display())]
    Unlisted { path: PathBuf },
    #[error("{path} can be written to by {by}", path = path.display())]
    Writable { path: PathBuf, by: String },
    #[error("there are too many files in {folder}", folder = folder.display())]
    TooManyFiles { folder: PathBuf },
    #[error("the variable `{variable}` of the environment would change what it does")]
    Environment { variable: String },
    #[error("{path} was already loaded by this process", path = path.display())]
    AnotherLoaded { path: PathBuf },
    #[error("the library does not start")]
    Start { source: Source },
}

impl LibraryError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAbsolute { .. } => "path-not-absolute",
            Self::Missing { .. } => "library-missing",
            Self::Unreadable { .. } => "library-unreadable",
            Self::NotALibrary { .. } => "library-not-a-library",
            Self::TooOld { .. } => "library-too-old",
            Self::WrongDigest { .. } => "library-digest",
            Self::Unlisted { .. } => "library-unlisted-file",
            Self::Writable { .. } => "library-writable",
            Self::TooManyFiles { .. } => "library-too-many-files",
            Self::Environment { .. } => "library-environment",
            Self::AnotherLoaded { .. } => "library-another-loaded",
            Self::Start { .. } => "library-start-failed",
        }
    }

    /// What to do about it.
    pub fn help(&self, library: &Path) -> String {
        let library = library.display();
        match self {
            Self::NotAbsolute { .. } | Self::Missing { .. } => {
                "install it and name its whole path as `library` in host.toml".to_owned()
            }
            Self::Unreadable { .. } => "let the host's user read it".to_owned(),
            Self::NotALibrary { .. } => {
                "name the shared library itself, built for this machine".to_owned()
            }
            Self::TooOld { .. } => format!(
                "install a newer one, and write what `selvedge backends pin {library}` prints \
                 into host.toml"
            ),
            Self::WrongDigest { .. } | Self::Unlisted { .. } => format!(
                "if you put it there yourself, write what `selvedge backends pin {library}` \
                 prints into host.toml; else remove it and find out who did"
            ),
            Self::Writable { .. } => "install it where only root and the host's user may write, \
                 below /opt for one; folders of your own: `chmod go-w`, `chown root`"
                .to_owned(),
            Self::TooManyFiles { .. } => "give the library a folder of its own".to_owned(),
            Self::Environment { variable } => {
                format!("start the host without `{variable}`")
            }
            Self::AnotherLoaded { .. } => "start the host again".to_owned(),
            Self::Start { .. } => "look whether all that it needs is installed".to_owned(),
        }
    }

    /// This, as it is told to operators.
    pub(in crate::inference) fn unavailable(&self, library: &Path) -> Unavailable {
        let reason = ErrorChain(self).to_string();
        Unavailable {
            code: self.code().to_owned(),
            reason: line_of(&reason),
            help: Some(self.help(library)),
        }
    }

    /// The status of a library that is not used because of this.
    pub(in crate::inference) fn status(
        &self,
        backend: BackendKind,
        library: &Path,
    ) -> BackendStatus {
        BackendStatus {
            backend,
            version: None,
            library: Some(library.to_owned()),
            digest: None,
            formats: Vec::new(),
            providers: Vec::new(),
            unavailable: Some(self.unavailable(library)),
        }
    }
}

/// What a library says, as one line that fits a log.
pub(in crate::inference) fn line_of(text: &str) -> String {
    let plain = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_CHARS_MAX);
    let plain: String = plain.collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
