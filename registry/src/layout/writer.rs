//! Blobs on their way into a store.
//!
//! They are written under `partial/`, which no other tool looks at, and renamed
//! into place when whole and checked. A partial blob has the name of its digest
//! and is locked while someone writes it; what is there is hashed again before
//! it is gone on with, so a damaged one only costs its bytes.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bytes::Bytes;
use fs_err::File;
use selvedge_artifact::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::files::{sync_parent, there};
use super::{Layout, LayoutError, lock};

/// How often a partial blob may be finished by another while it is opened.
const RESUME_ATTEMPTS_MAX: u32 = 8;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Fewer are hashed faster than a thread begins.
const APART_BYTES_MIN: u64 = 256 << 10;

/// A blob being written. Dropped without [`BlobWriter::commit`], nothing of it
/// is ever read; one begun with [`Layout::resume`] goes on where it stopped.
#[derive(Debug)]
pub struct BlobWriter {
    layout: Layout,
    file: Unfinished,
    hasher: Sha256,
    length: u64,
    bytes_max: u64,
}

#[derive(Debug)]
enum Unfinished {
    /// Gone when dropped.
    New(NamedTempFile),
    /// Stays, locked until dropped.
    Known { file: File, path: PathBuf },
}

impl Layout {
    /// Begins a blob of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn begin(&self, bytes_max: u64) -> Result<BlobWriter, LayoutError> {
        self.make_partial()?;
        let file = NamedTempFile::with_prefix_in("new-", self.partial_path(""))?;
        Ok(BlobWriter {
            layout: self.clone(),
            file: Unfinished::New(file),
            hasher: Sha256::new(),
            length: 0,
            bytes_max,
        })
    }

    /// Begins the blob `digest`, or goes on with what is there of it. What is
    /// there is read and hashed again first.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or another process is at it.
    pub fn resume(&self, digest: &Digest, bytes_max: u64) -> Result<BlobWriter, LayoutError> {
        self.make_partial()?;
        let path = self.partial_path(&digest.hex());
        for _ in 0..RESUME_ATTEMPTS_MAX {
            let file = lock::open(&path)?;
            match file.file().try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => return Err(LayoutError::Busy(path)),
                Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            }
            // Whoever held it before may have made it a blob, which must not be
            // written to any more.
            let opened = file.metadata()?;
            let named = there(fs_err::symlink_metadata(&path))?;
            let same = |named: &std::fs::Metadata| {
                (named.dev(), named.ino()) == (opened.dev(), opened.ino())
            };
            if named.as_ref().is_some_and(same) {
                return BlobWriter::go_on(self.clone(), file, path, bytes_max);
            }
        }
        Err(LayoutError::Busy(path))
    }
}

impl BlobWriter {
    fn go_on(
        layout: Layout,
        mut file: File,
        path: PathBuf,
        bytes_max: u64,
    ) -> Result<Self, LayoutError> {
        let (mut hasher, mut length) = (Sha256::new(), 0);
        if file.metadata()?.len() > bytes_max {
            file.set_len(0)?;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            hasher.update(bytes);
            length += bytes.len() as u64;
        }
        file.seek(SeekFrom::Start(length))?;
        Ok(Self {
            layout,
            file: Unfinished::Known { file, path },
            hasher,
            length,
            bytes_max,
        })
    }

    /// How many bytes are there.
    pub fn len(&self) -> u64 {
        self.length
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
        let length = self.length.saturating_add(bytes.len() as u64);
        if length > self.bytes_max {
            let bytes_max = self.bytes_max;
            return Err(LayoutError::TooLarge { bytes_max });
        }
        match &mut self.file {
            Unfinished::New(file) => file.write_all(bytes)?,
            Unfinished::Known { file, .. } => file.write_all(bytes)?,
        }
        self.hasher.update(bytes);
        self.length = length;
        Ok(())
    }

    /// Adds `pieces` as one; they are hashed while they are written. After an
    /// error it is of no use any more.
    ///
    /// # Errors
    ///
    /// As [`BlobWriter::append`].
    pub(crate) fn append_all(&mut self, pieces: &[Bytes]) -> Result<(), LayoutError> {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        let length = self.length.saturating_add(bytes);
        if bytes < APART_BYTES_MIN || length > self.bytes_max {
            return pieces.iter().try_for_each(|piece| self.append(piece));
        }
        let (hasher, file) = (&mut self.hasher, &mut self.file);
        let written = std::thread::scope(|scope| {
            scope.spawn(|| pieces.iter().for_each(|piece| hasher.update(piece)));
            let mut pieces = pieces.iter();
            match file {
                Unfinished::New(file) => pieces.try_for_each(|piece| file.write_all(piece)),
                Unfinished::Known { file, .. } => {
                    pieces.try_for_each(|piece| file.write_all(piece))
                }
            }
        });
        written?;
        self.length = length;
        Ok(())
    }

    /// What brings the bytes that are there so far to the disk, wherever it is
    /// run, so that [`BlobWriter::commit`] has less to wait for. The system tells
    /// only once that bytes were lost: an error here is one of the blob.
    pub(crate) fn flush(
        &self,
    ) -> Result<impl FnOnce() -> Result<(), LayoutError> + Send + 'static, LayoutError> {
        let file = match &self.file {
            Unfinished::New(file) => file.as_file().try_clone()?,
            Unfinished::Known { file, .. } => file.file().try_clone()?,
        };
        Ok(move || Ok(file.sync_data()?))
    }

    /// Forgets what is there, to begin anew: for a sender that cannot go on in
    /// the middle.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn restart(&mut self) -> Result<(), LayoutError> {
        match &mut self.file {
            Unfinished::New(file) => {
                file.as_file().set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
            }
            Unfinished::Known { file, .. } => {
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
            }
        }
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// Makes it a blob, if it is `expected`. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If it is something else; then it is gone.
    pub fn commit(self, expected: &Digest) -> Result<u64, LayoutError> {
        let found = digest_of(self.hasher);
        if found != *expected {
            if let Unfinished::Known { path, .. } = &self.file {
                fs_err::remove_file(path)?;
            }
            let expected = *expected;
            return Err(LayoutError::Mismatch { expected, found });
        }
        let target = self.layout.blob_path(expected);
        let _lock = self.layout.lock_blobs_to_put()?;
        match self.file {
            Unfinished::New(file) => {
                file.as_file().sync_all()?;
                file.persist(&target).map_err(|failed| failed.error)?;
            }
            Unfinished::Known { file, path } => {
                // Begun long ago, perhaps; a collection spares what is young.
                file.file().set_modified(std::time::SystemTime::now())?;
                file.sync_all()?;
                fs_err::rename(&path, &target)?;
            }
        }
        sync_parent(&target)?;
        Ok(self.length)
    }
}

/// What was hashed.
pub(crate) fn digest_of(hasher: Sha256) -> Digest {
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
        .parse()
        .expect("a hash has 32 bytes in hex digits")
}
