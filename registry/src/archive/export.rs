//! Writes artifacts as one file. Sorted, without times and owners: the same
//! artifacts under the same tags are the same bytes. The list of manifests comes
//! after the blobs, so an archive that was cut short has none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use selvedge_artifact::{Descriptor, Digest, Index};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::{ArchiveError, BLOB_BYTES_MAX};
use crate::layout::{Document, MARKER, digest_of};
use crate::{Layout, LayoutError};

/// What an export is made of, by digest.
#[derive(Default)]
struct Selection {
    documents: BTreeMap<Digest, Document>,
    blobs: BTreeMap<Digest, u64>,
}

impl Layout {
    /// Writes `manifests`, all that they name and all that is about them, with
    /// their tags, as a tar archive that others read as an image layout too.
    /// The same artifacts and tags give the same bytes.
    ///
    /// # Errors
    ///
    /// If one is not there or damaged, or the archive cannot be written; what
    /// was written then has no list of manifests, and nobody takes it.
    pub fn export(&self, manifests: &[Digest], out: &mut dyn Write) -> Result<(), ArchiveError> {
        let index = self.load()?;
        let selection = self.select(&index, manifests)?;
        let mut archive = tar::Builder::new(out);
        for (digest, &size) in &selection.blobs {
            self.write_blob(&mut archive, digest, size)?;
        }
        let list = list(&index, &selection).to_bytes();
        for (name, bytes) in [("index.json", list.as_slice()), ("oci-layout", MARKER)] {
            let header = header(name, bytes.len() as u64)?;
            archive
                .append(&header, bytes)
                .map_err(ArchiveError::Write)?;
        }
        let out = archive.into_inner().map_err(ArchiveError::Write)?;
        out.flush().map_err(ArchiveError::Write)
    }

    fn select(&self, index: &Index, manifests: &[Digest]) -> Result<Selection, ArchiveError> {
        let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for entry in &index.manifests {
            if let Some(subject) = crate::layout::subject(entry) {
                about.entry(subject).or_default().push(entry.digest);
            }
        }
        let mut selection = Selection::default();
        let mut seen: BTreeSet<Digest> = manifests.iter().copied().collect();
        let mut waiting = manifests.to_vec();
        while let Some(digest) = waiting.pop() {
            let document = self.document(&digest)?;
            for blob in &document.blobs {
                selection.blobs.insert(blob.digest, blob.size);
            }
            let children = document.manifests.iter().map(|child| &child.digest);
            let referrers = about.get(&digest).into_iter().flatten();
            let new = children
                .chain(referrers)
                .filter(|found| seen.insert(**found));
            waiting.extend(new);
            let size = document.descriptor.size;
            selection.blobs.insert(digest, size);
            selection.documents.insert(digest, document);
        }
        Ok(selection)
    }

    fn write_blob(
        &self,
        archive: &mut tar::Builder<&mut dyn Write>,
        digest: &Digest,
        size: u64,
    ) -> Result<(), ArchiveError> {
        if size > BLOB_BYTES_MAX {
            let bytes_max = BLOB_BYTES_MAX;
            return Err(LayoutError::TooLarge { bytes_max }.into());
        }
        let (file, length) = self.open_blob(digest)?;
        if length != size {
            return Err(LayoutError::Corrupt(*digest).into());
        }
        let mut hashed = Hashed {
            inner: file.take(size),
            hasher: Sha256::new(),
        };
        let header = header(&format!("blobs/sha256/{}", digest.hex()), size)?;
        archive
            .append(&header, &mut hashed)
            .map_err(ArchiveError::Write)?;
        if digest_of(hashed.hasher) != *digest {
            return Err(LayoutError::Corrupt(*digest).into());
        }
        Ok(())
    }
}

/// The list of what is selected: our entries, in an order that does not depend
/// on when they were put.
fn list(index: &Index, selection: &Selection) -> Index {
    let selected = |entry: &&Descriptor| selection.documents.contains_key(&entry.digest);
    let mut entries: Vec<Descriptor> = index.manifests.iter().filter(selected).cloned().collect();
    for (digest, document) in &selection.documents {
        if !entries.iter().any(|entry| entry.digest == *digest) {
            entries.push(document.entry());
        }
    }
    entries.sort_by(|a, b| (a.digest, &a.annotations).cmp(&(b.digest, &b.annotations)));
    Index::new(entries)
}

fn header(name: &str, size: u64) -> Result<Header, ArchiveError> {
    let mut header = Header::new_ustar();
    header.set_path(name).map_err(ArchiveError::Write)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
