//! Artifacts in a directory: an OCI image layout (OCI image-spec 1.1,
//! image-layout.md).
//!
//! One format for the device's store, for what is carried to a site without a
//! network, and behind the server. Nothing in it is trusted: every blob is
//! checked against its digest when it is read, so whoever may write to the
//! directory can take artifacts away and no more.
//!
//! Tags are kept as `repository:tag`, without the registry: which one served an
//! artifact says nothing about it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, DocumentError, Index, Tag};

/// A store of artifacts. Many processes may use it at once.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

/// A tag in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTag {
    /// `acme/thermostat`, with what a mirror puts before it.
    pub repository: String,
    /// The tag.
    pub tag: Tag,
    /// The manifest or index that it stands for.
    pub manifest: Descriptor,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// A blob being written. Dropped without [`BlobWriter::commit`], nothing of it
/// is ever read; one begun with [`Layout::resume`] goes on where it stopped.
#[derive(Debug)]
pub struct BlobWriter {
    // Helper.
}

/// Why a store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Helper: more variants.
    #[error("a manifest in the store cannot be used")]
    Document(#[from] DocumentError),
}

impl Layout {
    /// Opens the store in `root`, which is made, for its owner alone, if it is
    /// not there.
    ///
    /// # Errors
    ///
    /// If there is something else, or it cannot be made.
    pub fn open(root: &Path) -> Result<Self, LayoutError> {
        todo!()
    }

    /// The bytes of a blob, read once and checked.
    ///
    /// # Errors
    ///
    /// If it is not there, has more than `bytes_max` bytes, or is not what its
    /// digest says.
    pub fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Bytes, LayoutError> {
        todo!()
    }

    /// A blob as a file, with its length, unchecked: for sending it to someone
    /// who checks.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn open_blob(&self, digest: &Digest) -> Result<(fs_err::File, u64), LayoutError> {
        todo!()
    }

    /// How many bytes a blob has, if it is there.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        todo!()
    }

    /// Keeps a blob. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, LayoutError> {
        todo!()
    }

    /// Begins a blob of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn begin(&self, bytes_max: u64) -> Result<BlobWriter, LayoutError> {
        todo!()
    }

    /// Begins the blob `digest`, or goes on with what is there of it.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or another process is at it.
    pub fn resume(&self, digest: &Digest, bytes_max: u64) -> Result<BlobWriter, LayoutError> {
        todo!()
    }

    /// Keeps a manifest or index, findable by its digest, by `name` if there is
    /// one, and as a referrer if it has a subject. The blobs that it names must
    /// be there.
    ///
    /// # Errors
    ///
    /// If it is not a manifest or index, a blob is missing, or it cannot be written.
    pub fn put_manifest(
        &self,
        bytes: &[u8],
        name: Option<(&str, &Tag)>,
    ) -> Result<Descriptor, LayoutError> {
        todo!()
    }

    /// What a tag stands for.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn resolve(&self, repository: &str, tag: &Tag) -> Result<Option<Descriptor>, LayoutError> {
        todo!()
    }

    /// The manifest or index `digest`, if it was put here as one.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<(Descriptor, Bytes)>, LayoutError> {
        todo!()
    }

    /// All tags, in order.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn tags(&self) -> Result<Vec<StoredTag>, LayoutError> {
        todo!()
    }

    /// What is about `subject`, with artifact type and annotations.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn referrers(&self, subject: &Digest) -> Result<Index, LayoutError> {
        todo!()
    }

    /// Forgets a tag. What it stood for goes with the next collection.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn untag(&self, repository: &str, tag: &Tag) -> Result<bool, LayoutError> {
        todo!()
    }

    /// Removes a manifest and every tag of it.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn delete_manifest(&self, digest: &Digest) -> Result<bool, LayoutError> {
        todo!()
    }

    /// Removes a blob that no manifest names.
    ///
    /// # Errors
    ///
    /// If the store cannot be written, or the blob is in use.
    pub fn delete_blob(&self, digest: &Digest) -> Result<bool, LayoutError> {
        todo!()
    }

    /// Removes what neither a tag nor `keep` (manifests) leads to, with
    /// referrers of what stays staying too, and unfinished blobs older than a day.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn collect_garbage(&self, keep: &[Digest]) -> Result<Collected, LayoutError> {
        todo!()
    }
}

impl BlobWriter {
    /// How many bytes are there.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// If there are too many, or they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), LayoutError> {
        todo!()
    }

    /// Makes it a blob, if it is `expected`. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it is something else; then it is gone.
    pub fn commit(self, expected: &Digest) -> Result<u64, LayoutError> {
        todo!()
    }
}
