//! Blobs: bytes under the name of their digest.
//!
//! What is read is hashed, and exactly what was hashed is returned: there is no
//! second look at the file. A blob that is damaged is never returned, and
//! putting it again replaces it.

use std::io::Read;

use bytes::Bytes;
use fs_err::File;
use selvedge_artifact::{Descriptor, Digest};
use sha2::{Digest as _, Sha256};

use super::files::{open_regular, read_bounded, there};
use super::writer::digest_of;
use super::{Layout, LayoutError};

/// Bytes hashed at once.
const CHUNK_BYTES: usize = 64 << 10;

impl Layout {
    /// The bytes of a blob, read once and checked.
    ///
    /// # Errors
    ///
    /// If it is not there, has more than `bytes_max` bytes, or is not what its
    /// digest says.
    pub fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Bytes, LayoutError> {
        let (file, length) = self.open_blob(digest)?;
        let bytes = read_bounded(file, length, bytes_max)?;
        if Digest::of(&bytes) != *digest {
            return Err(LayoutError::Corrupt(*digest));
        }
        Ok(bytes.into())
    }

    /// A blob as a file, with its length, unchecked: for sending it to someone
    /// who checks.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn open_blob(&self, digest: &Digest) -> Result<(File, u64), LayoutError> {
        open_regular(&self.blob_path(digest))?.ok_or(LayoutError::Missing(*digest))
    }

    /// How many bytes a blob has, if it is there. Whether they are the right
    /// ones, only [`Layout::blob`] and [`Layout::holds`] say.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let found = fs_err::symlink_metadata(self.blob_path(digest)).ok()?;
        found.is_file().then_some(found.len())
    }

    /// Whether a blob is there, whole and undamaged: all its bytes are hashed.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn holds(&self, described: &Descriptor) -> Result<bool, LayoutError> {
        let sized = self.blob_size(&described.digest) == Some(described.size);
        Ok(sized && self.sound(&described.digest)?.is_some())
    }

    /// Keeps a blob. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, LayoutError> {
        let digest = Digest::of(bytes);
        if self.blob_size(&digest) == Some(bytes.len() as u64) && self.renew(&digest)? {
            return Ok(digest);
        }
        let mut writer = self.begin(bytes.len() as u64)?;
        writer.append(bytes)?;
        writer.commit(&digest)?;
        Ok(digest)
    }

    /// Makes a blob young again, so that a collection spares it until a
    /// manifest names it. False: it has to be written.
    fn renew(&self, digest: &Digest) -> Result<bool, LayoutError> {
        let _lock = self.lock_blobs_to_put()?;
        let Some(file) = self.sound(digest)? else {
            return Ok(false);
        };
        let now = std::time::SystemTime::now();
        Ok(file.file().set_modified(now).is_ok())
    }

    /// As [`Layout::renew`], for who holds the lock and does not look at the
    /// bytes. Another user's blob stays as old as it is: only a collection by
    /// that user, within this moment, could take it.
    pub(super) fn make_young(&self, digest: &Digest) -> Result<(), LayoutError> {
        if let Some((file, _)) = open_regular(&self.blob_path(digest))? {
            file.file().set_modified(std::time::SystemTime::now()).ok();
        }
        Ok(())
    }

    /// The file of a blob if its bytes are the right ones.
    fn sound(&self, digest: &Digest) -> Result<Option<File>, LayoutError> {
        let mut file = match self.open_blob(digest) {
            Ok((file, _)) => file,
            // Putting replaces it, whatever it is.
            Err(LayoutError::Missing(_) | LayoutError::Foreign(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            hasher.update(bytes);
        }
        Ok((digest_of(hasher) == *digest).then_some(file))
    }

    /// Removes a blob that no manifest names.
    ///
    /// # Errors
    ///
    /// If the store cannot be written, or the blob is in use.
    pub fn delete_blob(&self, digest: &Digest) -> Result<bool, LayoutError> {
        let _index = self.lock_index()?;
        let index = self.load()?;
        for entry in &index.manifests {
            if entry.digest == *digest || self.leads_to(&entry.digest)?.contains(digest) {
                return Err(LayoutError::InUse(*digest));
            }
        }
        let _blobs = self.lock_blobs_to_remove()?;
        Ok(there(fs_err::remove_file(self.blob_path(digest)))?.is_some())
    }
}
