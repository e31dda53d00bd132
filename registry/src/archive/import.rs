//! Reads an archive. Blobs go to the store as they come, each checked against
//! its name; the list of manifests, before or after them, is looked at last.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};

use selvedge_artifact::{Digest, Index};

use super::entry::{EXTENSION_BYTES_MAX, Part, check_extension};
use super::intake::Intake;
use super::{ArchiveError, BLOB_BYTES_MAX, Budget, Imported, refused};
use crate::layout::{INDEX_BYTES_MAX, MARKER_BYTES_MAX, is_marker};
use crate::{Layout, LayoutError};

/// Entries of an archive, whatever they are.
const ENTRIES_MAX: usize = 20_000;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// How compressed files begin (RFC 1952, RFC 8878, and the formats' own
/// descriptions).
pub(super) const COMPRESSED: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
];
/// Bytes of the longest of these.
const MAGIC_BYTES_MAX: u64 = 6;

impl Layout {
    /// Takes in what [`Layout::export`], or another tool, wrote. Only a layout's
    /// own names are taken, anything else is refused with its name; at most
    /// `bytes_max` bytes in 20,000 entries are read, and 256 MiB of one blob.
    ///
    /// # Errors
    ///
    /// If it is not such an archive. Nothing of it is findable then.
    pub fn import(&self, archive: &mut dyn Read, bytes_max: u64) -> Result<Imported, ArchiveError> {
        let mut magic = Vec::new();
        let mut start = archive.take(MAGIC_BYTES_MAX);
        start.read_to_end(&mut magic).map_err(ArchiveError::read)?;
        for (begin, name) in COMPRESSED {
            if magic.starts_with(begin) {
                return Err(ArchiveError::Compressed(name));
            }
        }
        let rest = start.into_inner();
        let index = self.import_blobs(Cursor::new(magic).chain(rest), bytes_max)?;
        Intake::gather(self, &index)?.take(self)
    }

    /// Reads all of it; the list is returned.
    fn import_blobs(&self, archive: impl Read, bytes_max: u64) -> Result<Index, ArchiveError> {
        let mut budget = Budget::new(bytes_max);
        let mut seen = BTreeSet::new();
        let (mut index, mut marked) = (None, false);
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().map_err(ArchiveError::read)?;
        // As they are: what would rename or resize another is an entry too.
        for (number, entry) in entries.raw(true).enumerate() {
            let mut entry = entry.map_err(ArchiveError::read)?;
            if number >= ENTRIES_MAX {
                let entries_max = ENTRIES_MAX;
                return Err(ArchiveError::TooMany { entries_max });
            }
            let part = Part::of(entry.header())?;
            let name = entry.header().path_bytes().into_owned();
            if part != Part::Extension && !seen.insert(part) {
                return Err(refused(&name, "there twice"));
            }
            let size = entry.header().entry_size().map_err(ArchiveError::read)?;
            budget.spend(size)?;
            let entry = Whole {
                entry: &mut entry,
                name: &name,
                size,
            };
            match part {
                Part::Directory(_) => {}
                Part::Extension => check_extension(&entry.read(EXTENSION_BYTES_MAX)?)?,
                Part::Marker => marked = is_marker(&entry.read(MARKER_BYTES_MAX)?),
                Part::Index => index = Some(entry.read(INDEX_BYTES_MAX)?),
                Part::Blob(digest) => self.import_blob(entry, &digest)?,
            }
        }
        if !marked {
            return Err(ArchiveError::Incomplete("oci-layout"));
        }
        let index = index.ok_or(ArchiveError::Incomplete("index.json"))?;
        Index::parse(&index).map_err(ArchiveError::Index)
    }

    fn import_blob(&self, blob: Whole<'_, impl Read>, digest: &Digest) -> Result<(), ArchiveError> {
        blob.check(BLOB_BYTES_MAX)?;
        let mut writer = self.begin(blob.size)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = blob.entry.read(&mut chunk).map_err(ArchiveError::read)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            writer.append(bytes)?;
        }
        if writer.len() != blob.size {
            return Err(refused(blob.name, "cut short"));
        }
        match writer.commit(digest) {
            Ok(_) => Ok(()),
            Err(LayoutError::Mismatch { .. }) => Err(refused(blob.name, "not what its name says")),
            Err(error) => Err(error.into()),
        }
    }
}

/// An entry of which as many bytes must come as its header says.
struct Whole<'a, R> {
    entry: &'a mut R,
    name: &'a [u8],
    size: u64,
}

impl<R: Read> Whole<'_, R> {
    fn check(&self, bytes_max: u64) -> Result<(), ArchiveError> {
        if self.size > bytes_max {
            return Err(refused(self.name, "too large"));
        }
        Ok(())
    }

    fn read(self, bytes_max: u64) -> Result<Vec<u8>, ArchiveError> {
        self.check(bytes_max)?;
        let mut bytes = Vec::new();
        let read = self.entry.take(bytes_max).read_to_end(&mut bytes);
        if read.map_err(ArchiveError::read)? as u64 != self.size {
            return Err(refused(self.name, "cut short"));
        }
        Ok(bytes)
    }
}
