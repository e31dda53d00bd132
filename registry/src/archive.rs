//! Stores as one file: a tar archive of an image layout, to carry it.

use std::io::{Read, Write};

use selvedge_artifact::Digest;

use crate::{Layout, LayoutError};

/// Why an archive was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store did not do its part.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl Layout {
    /// Writes `manifests`, all that they name and all that is about them, with
    /// their tags, as a tar archive that others read as an image layout too.
    ///
    /// # Errors
    ///
    /// If one is not there or the archive cannot be written.
    pub fn export(&self, manifests: &[Digest], out: &mut dyn Write) -> Result<(), ArchiveError> {
        todo!()
    }

    /// Takes in what [`Layout::export`], or another tool, wrote. Nothing outside
    /// the layout's own names is read, nothing is unpacked that is not asked
    /// for by its digest, and at most `bytes_max` bytes are taken.
    ///
    /// # Errors
    ///
    /// If it is not such an archive. What was taken in whole before stays.
    pub fn import(
        &self,
        archive: &mut dyn Read,
        bytes_max: u64,
    ) -> Result<Vec<Digest>, ArchiveError> {
        todo!()
    }
}
