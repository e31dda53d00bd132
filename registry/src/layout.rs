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
//!
//! Everything here waits for the disk, and for up to 20 s for other writers: in
//! a task, call it where blocking is allowed.

mod blobs;
mod document;
mod error;
mod files;
mod garbage;
mod index;
mod lock;
mod manifests;
mod name;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

use selvedge_artifact::{Descriptor, Digest, Index, Tag};
use serde::Deserialize;

pub use error::LayoutError;
pub use writer::BlobWriter;

pub(crate) use document::{DOCUMENT_BYTES_MAX, Document};
pub(crate) use index::{INDEX_BYTES_MAX, plain};
pub(crate) use manifests::Put;
pub(crate) use name::{of_any as foreign_name, subject};
#[cfg(test)]
pub(crate) use tests::Store;
pub(crate) use writer::digest_of;

use files::{is_directory, make_directory, read_regular, replace};

/// What `oci-layout` says (OCI image-spec 1.1, image-layout.md, "oci-layout file").
pub(crate) const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The version in it.
const LAYOUT_VERSION: &str = "1.0.0";
/// Bytes of `oci-layout` that are looked at.
pub(crate) const MARKER_BYTES_MAX: u64 = 4096;
/// What may be in a directory that is made a store.
const NAMES: [&str; 4] = ["oci-layout", "index.json", "blobs", "partial"];

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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Layout {
    /// Opens the store in `root`, which is made, for its owner alone, if it is
    /// not there. A store that is there may be on a read-only file system.
    ///
    /// # Errors
    ///
    /// If there is something else, or it cannot be made.
    pub fn open(root: &Path) -> Result<Self, LayoutError> {
        let layout = Self {
            root: root.to_owned(),
        };
        if !layout.is_there()? {
            layout.make()?;
        }
        Ok(layout)
    }

    /// Opens the store in `root`, which must be one.
    pub(crate) fn open_existing(root: &Path) -> Result<Self, LayoutError> {
        let layout = Self {
            root: root.to_owned(),
        };
        if !layout.is_there()? {
            return Err(LayoutError::NotALayout(layout.root));
        }
        Ok(layout)
    }

    /// Whether a store is there, whole.
    fn is_there(&self) -> Result<bool, LayoutError> {
        // The root may be a link that the operator made, nothing in it may.
        let found = files::there(fs_err::metadata(&self.root))?;
        if found.is_some_and(|found| !found.is_dir()) {
            return Err(LayoutError::NotALayout(self.root.clone()));
        }
        let path = self.root.join("oci-layout");
        let Some(marker) = read_regular(&path, MARKER_BYTES_MAX)? else {
            return Ok(false);
        };
        if !is_marker(&marker) {
            return Err(LayoutError::Version(self.root.clone()));
        }
        let blobs = self.root.join("blobs");
        Ok(is_directory(&blobs)?
            && is_directory(&blobs.join("sha256"))?
            && files::there(fs_err::symlink_metadata(self.index_path()))?.is_some())
    }

    /// Makes a store, or what is missing of one that was begun.
    fn make(&self) -> Result<(), LayoutError> {
        if !self.root.is_dir() {
            if let Some(parent) = self.root.parent() {
                fs_err::create_dir_all(parent)?;
            }
            make_directory(&self.root)?;
            files::sync_parent(&self.root)?;
        }
        for file in fs_err::read_dir(&self.root)? {
            let name = file?.file_name();
            if !NAMES.iter().any(|&known| name == known) {
                return Err(LayoutError::NotALayout(self.root.clone()));
            }
        }
        make_directory(&self.root.join("blobs"))?;
        make_directory(&self.root.join("blobs").join("sha256"))?;
        let _lock = self.lock_index()?;
        // Whoever had the lock before may have made it, and put something in it.
        let index = self.index_path();
        if files::there(fs_err::symlink_metadata(&index))?.is_none() {
            let empty = Index::new(Vec::new()).to_bytes();
            replace(&index, &empty, &self.partial_path(""))?;
        }
        replace(
            &self.root.join("oci-layout"),
            MARKER,
            &self.partial_path(""),
        )
    }

    fn make_partial(&self) -> Result<(), LayoutError> {
        make_directory(&self.root.join("partial"))
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join("sha256").join(digest.hex())
    }

    fn partial_path(&self, name: &str) -> PathBuf {
        self.root.join("partial").join(name)
    }
}

/// Whether `bytes` are an `oci-layout` file of the version that is known.
pub(crate) fn is_marker(bytes: &[u8]) -> bool {
    let marker: Result<Marker, _> = serde_json::from_slice(bytes);
    marker.is_ok_and(|marker| marker.image_layout_version == LAYOUT_VERSION)
}
