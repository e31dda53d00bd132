//! Takes in a layout that is a directory: a stick, a share, another tool's. It
//! is only read, and only what its list leads to is looked at.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use selvedge_artifact::{Descriptor, Digest};

use super::intake::Intake;
use super::{ArchiveError, BLOB_BYTES_MAX, Budget, Imported};
use crate::{Layout, LayoutError};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;

impl Layout {
    /// Takes in the layout in `from`, which is only read. At most `bytes_max`
    /// bytes are taken, and 256 MiB of one blob. Links and special files are
    /// refused.
    ///
    /// # Errors
    ///
    /// If it is not a layout, or not whole. Nothing of it is findable then.
    pub fn import_directory(&self, from: &Path, bytes_max: u64) -> Result<Imported, ArchiveError> {
        let source = Self::open_existing(from)?;
        let mut budget = Budget::new(bytes_max);
        let intake = Intake::gather(&source, &source.list()?)?;
        let mut copied: BTreeSet<Digest> = BTreeSet::new();
        for (bytes, document) in intake.documents.values() {
            budget.spend(bytes.len() as u64)?;
            for blob in &document.blobs {
                if copied.insert(blob.digest) {
                    budget.spend(blob.size)?;
                    self.copy_from(&source, blob)?;
                }
            }
        }
        intake.take(self)
    }

    fn copy_from(&self, source: &Self, blob: &Descriptor) -> Result<(), ArchiveError> {
        if blob.size > BLOB_BYTES_MAX {
            let bytes_max = BLOB_BYTES_MAX;
            return Err(LayoutError::TooLarge { bytes_max }.into());
        }
        let (mut file, length) = source.open_blob(&blob.digest)?;
        if length != blob.size {
            return Err(LayoutError::Corrupt(blob.digest).into());
        }
        let mut writer = self.begin(blob.size)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk).map_err(ArchiveError::read)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            writer.append(bytes)?;
        }
        match writer.commit(&blob.digest) {
            Ok(_) => Ok(()),
            Err(LayoutError::Mismatch { expected, .. }) => {
                Err(LayoutError::Corrupt(expected).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
