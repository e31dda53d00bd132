//! Who may change a store at a moment.
//!
//! Two locks, both files that stay: one for the list of manifests, so that no
//! change is lost, and one that keeps a collection from removing a blob in the
//! moment it is put again. Whoever needs both takes the list's first. They are
//! advisory (flock): only our own processes heed them, and threads do too.

use std::fs::TryLockError;
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt;

use super::files::there;
use super::{Layout, LayoutError};

/// How long to wait for whoever holds a lock.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(20);
/// How long to wait before trying again, at most.
const LOCK_RETRY_MAX: Duration = Duration::from_millis(20);

/// A lock, held until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Lock {
    _file: File,
}

impl Layout {
    /// Held to change the list of manifests.
    pub(super) fn lock_index(&self) -> Result<Lock, LayoutError> {
        self.make_partial()?;
        let path = self.partial_path("index.lock");
        acquire(&path, std::fs::File::try_lock)
    }

    /// Held to put a blob in its place; many may.
    pub(super) fn lock_blobs_to_put(&self) -> Result<Lock, LayoutError> {
        self.make_partial()?;
        let path = self.partial_path("blobs.lock");
        acquire(&path, std::fs::File::try_lock_shared)
    }

    /// Held to remove blobs.
    pub(super) fn lock_blobs_to_remove(&self) -> Result<Lock, LayoutError> {
        self.make_partial()?;
        let path = self.partial_path("blobs.lock");
        acquire(&path, std::fs::File::try_lock)
    }
}

fn acquire(
    path: &Path,
    attempt: impl Fn(&std::fs::File) -> Result<(), TryLockError>,
) -> Result<Lock, LayoutError> {
    let file = open(path)?;
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt(file.file()) {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(LayoutError::Busy(path.to_owned()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(LOCK_RETRY_MAX);
    }
}

/// A file to lock or to go on with, made for its owner alone. Never a link.
pub(super) fn open(path: &Path) -> Result<File, LayoutError> {
    if there(fs_err::symlink_metadata(path))?.is_some_and(|found| !found.is_file()) {
        return Err(LayoutError::Foreign(path.to_owned()));
    }
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    Ok(options.mode(0o600).open(path)?)
}
