//! What can be wrong with a store, one variant per thing an operator does about
//! it. Paths come from the operator or are computed from digests; no text from
//! a document stands in a message but cut and quoted.

use std::path::PathBuf;

use selvedge_artifact::{Digest, DocumentError};

/// Why a store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file system does not do its part: full, read-only, not permitted.
    #[error("cannot use the store")]
    Io(#[from] std::io::Error),
    /// There is something else than a store, or a store that was left half made
    /// by another tool.
    #[error("`{}` is not an image layout", .0.display())]
    NotALayout(PathBuf),
    /// A store of a version that is not known.
    #[error("`{}` is an image layout of another version than 1.0.0", .0.display())]
    Version(PathBuf),
    /// A symbolic link, a directory or a device where a file must be, or a file
    /// where a directory must be. Nothing was read from it.
    #[error("`{}` is not what it must be: links and special files are not followed", .0.display())]
    Foreign(PathBuf),
    /// The list of manifests cannot be used.
    #[error("the list of manifests `{}` cannot be used", .path.display())]
    Index {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: DocumentError,
    },
    /// The list of manifests takes no more.
    #[error(
        "the store is full: it lists at most 10000 manifests and tags in 4194304 bytes; remove tags that are no longer needed and collect garbage"
    )]
    Full,
    /// Another process, or thread, holds what is needed and did not let go.
    #[error("the store is busy: `{}` stayed locked", .0.display())]
    Busy(PathBuf),
    /// Bytes are not a manifest or index.
    #[error("a manifest in the store cannot be used")]
    Document(#[from] DocumentError),
    /// A document can be read as a manifest and as an index (CVE-2021-41190).
    #[error("the document is both a manifest and an index")]
    Ambiguous,
    /// A name for a manifest has a path that no registry has.
    #[error("`{0}` is not a repository, as in `acme/thermostat`")]
    Repository(String),
    /// A blob is not there.
    #[error("`{0}` is not in the store")]
    Missing(Digest),
    /// What a manifest names is not there, or has another size.
    #[error("the manifest `{manifest}` names `{blob}`, which is not in the store")]
    Unmet {
        /// Which manifest.
        manifest: Digest,
        /// What it names.
        blob: Digest,
    },
    /// A blob has more bytes than are taken.
    #[error("a blob has more than {bytes_max} bytes")]
    TooLarge {
        /// Bytes that are taken.
        bytes_max: u64,
    },
    /// A blob in the store was changed or damaged. Putting it again, as pulling
    /// does, replaces it.
    #[error("`{0}` is damaged in the store: pull it again to replace it")]
    Corrupt(Digest),
    /// What was written is something else than it was said to be.
    #[error("expected `{expected}` and got `{found}`")]
    Mismatch {
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A manifest names the blob that was to be removed.
    #[error("`{0}` is in use")]
    InUse(Digest),
}
