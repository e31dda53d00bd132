//! Stores that are carried: as one file, a tar archive of an image layout, or as
//! a directory.
//!
//! What is written is the same bytes for the same artifacts. What is read is
//! hostile: only the names of a layout are taken, every blob is checked against
//! its name, sizes and numbers are bounded, and nothing is found in the store
//! before all of it is there. What was refused leaves at most blobs that nothing
//! leads to, which the next collection takes.

mod directory;
mod entry;
mod export;
mod import;
mod intake;
#[cfg(test)]
mod tests;

use selvedge_artifact::foreign::{Cause, cause};
use selvedge_artifact::{Descriptor, DocumentError};

use crate::{LayoutError, StoredTag};

/// Bytes of one blob, as the client and the server have it by default.
const BLOB_BYTES_MAX: u64 = 256 << 20;

/// What an import took in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The manifests and indexes, by digest.
    pub manifests: Vec<Descriptor>,
    /// What they are called, in order. A tag that the store had stands for the
    /// imported manifest now.
    pub tags: Vec<StoredTag>,
}

/// Why an archive was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store did not do its part, or what came does not fit together.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// It cannot be read, or is not a tar archive.
    #[error("cannot read the archive")]
    Read(#[source] Cause),
    /// It cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] std::io::Error),
    /// It is compressed. How large it becomes is not known before, so that is
    /// left to whoever trusts it.
    #[error("the archive is compressed with {0}: unpack it first, to a plain tar archive")]
    Compressed(&'static str),
    /// It holds something that is not taken.
    #[error("`{name}` is refused: {reason}")]
    Refused {
        /// What, cut and quoted.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Something that every image layout has is not there.
    #[error("the archive has no `{0}`")]
    Incomplete(&'static str),
    /// Its list of manifests cannot be used.
    #[error("the archive's list of manifests cannot be used")]
    Index(#[source] DocumentError),
    /// It is larger than was allowed.
    #[error("it has more than {bytes_max} bytes")]
    TooLarge {
        /// Bytes that are taken.
        bytes_max: u64,
    },
    /// It has more entries than are looked at.
    #[error("it has more than {entries_max} entries")]
    TooMany {
        /// Entries that are looked at.
        entries_max: usize,
    },
}

impl ArchiveError {
    /// The reader's errors repeat what stands in the archive.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    fn read(error: std::io::Error) -> Self {
        Self::Read(cause(&error))
    }
}

/// How many more bytes may be taken.
#[derive(Debug)]
struct Budget {
    bytes_max: u64,
    left: u64,
}

impl Budget {
    fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            left: bytes_max,
        }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let bytes_max = self.bytes_max;
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(ArchiveError::TooLarge { bytes_max })?;
        Ok(())
    }
}

/// Says that `name` is not taken.
fn refused(name: &[u8], reason: &'static str) -> ArchiveError {
    let name = String::from_utf8_lossy(name);
    let cut = name.chars().take(120).flat_map(char::escape_debug);
    ArchiveError::Refused {
        name: cut.collect(),
        reason,
    }
}
