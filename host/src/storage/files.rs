//! Files by what is in them: a name is the digest of its content.
//!
//! A file that is there is whole: it is written aside, synced and renamed, and
//! checked whenever it is read. Each is bounded and so are all together; what
//! does not fit is refused. Who needs which file is decided above.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::names::Digest;

/// Bytes of one file.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// Bytes of all files.
const FILES_BYTES_MAX: u64 = 2 << 30;
/// How long a file is kept that nobody needs yet: whoever handed it in is about
/// to hand in the document that names it.
const UNNAMED_MAX: Duration = Duration::from_secs(60 * 60);
/// What the names of unfinished files begin with.
const ASIDE: &str = ".new-";

/// Why a file was not kept or not found.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file has {bytes} bytes; {FILE_BYTES_MAX} are allowed")]
    TooLarge { bytes: u64 },
    #[error("the files would take {needed} bytes; {FILES_BYTES_MAX} are allowed")]
    Quota { needed: u64 },
    #[error("there is no file {0}")]
    Missing(Digest),
    #[error("the file {path} is not what its name says", path = path.display())]
    Corrupt { path: PathBuf },
    #[error("cannot write {path}", path = path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Its text names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl FileError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "file-too-large",
            Self::Quota { .. } => "files-full",
            Self::Missing(_) => "file-missing",
            Self::Corrupt { .. } => "file-corrupt",
            Self::Write { source, .. } | Self::Io(source)
                if source.kind() == ErrorKind::StorageFull =>
            {
                "disk-full"
            }
            Self::Write { .. } | Self::Io(_) => "file-not-kept",
        }
    }
}

/// Files by their digests. Its methods touch the disk: call them where blocking
/// is allowed. Clones are the same store.
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Held while files come and go.
    bytes_used: Mutex<u64>,
}

impl FileStore {
    /// The store in `folder`, which is made if it is not there. What was being
    /// written when the host ended is removed.
    pub(super) fn open(folder: &Path) -> Result<Self, FileError> {
        fs_err::create_dir_all(folder)?;
        let mut bytes_used = 0;
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(ASIDE) {
                fs_err::remove_file(entry.path())?;
            } else {
                bytes_used += entry.metadata()?.len();
            }
        }
        let bytes_used = Mutex::new(bytes_used);
        let folder = folder.to_owned();
        Ok(Self(Arc::new(Inner { folder, bytes_used })))
    }

    /// Keeps `bytes`; on the disk when this returns.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, FileError> {
        let size = bytes.len() as u64;
        if size > FILE_BYTES_MAX {
            return Err(FileError::TooLarge { bytes: size });
        }
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        let mut used = self.0.bytes_used.lock();
        let old = match fs_err::metadata(&path) {
            Ok(_) if self.get(&digest).is_ok() && self.renew(&digest) => return Ok(digest),
            Ok(damaged) => damaged.len(),
            Err(_) => 0,
        };
        let needed = used.saturating_sub(old).saturating_add(size);
        if needed > FILES_BYTES_MAX {
            return Err(FileError::Quota { needed });
        }
        self.write(&path, bytes)?;
        *used = needed;
        Ok(digest)
    }

    /// Written aside and renamed, so that a crash or a full disk leaves a whole
    /// file or none.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let folder = &self.0.folder;
        let aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(folder);
        let named = |source| FileError::Write {
            path: path.to_owned(),
            source,
        };
        // Dropped on an error, it is removed.
        let mut aside = aside.map_err(named)?;
        aside.write_all(bytes).map_err(named)?;
        aside.as_file().sync_all().map_err(named)?;
        aside.persist(path).map_err(|error| named(error.error))?;
        Ok(fs_err::File::open(folder)?.sync_all()?)
    }

    /// Keeps a file as if it had just been put; false if it is not there.
    pub fn renew(&self, digest: &Digest) -> bool {
        let file = fs_err::OpenOptions::new()
            .write(true)
            .open(self.path(digest));
        file.is_ok_and(|file| file.file().set_modified(SystemTime::now()).is_ok())
    }

    /// The file of that digest, checked.
    pub fn get(&self, digest: &Digest) -> Result<Bytes, FileError> {
        let path = self.path(digest);
        let file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FileError::Missing(*digest));
            }
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes.into())
        } else {
            Err(FileError::Corrupt { path })
        }
    }

    /// Where the file of that digest is, if it is there.
    pub fn find(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.path(digest)).filter(|path| path.is_file())
    }

    /// Removes the files that are not `needed`, except those that came within
    /// the last hour.
    pub fn retain(&self, needed: &BTreeSet<Digest>) -> Result<(), FileError> {
        let mut used = self.0.bytes_used.lock();
        let needed: BTreeSet<_> = needed.iter().map(Digest::hex).collect();
        for entry in fs_err::read_dir(&self.0.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = entry.metadata()?;
            // A clock that was set back makes files of the future: they stay.
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            if !needed.contains(&name) && age > UNNAMED_MAX {
                fs_err::remove_file(entry.path())?;
                *used = used.saturating_sub(metadata.len());
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.folder.join(digest.hex())
    }
}

#[cfg(test)]
mod tests;
