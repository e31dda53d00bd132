//! The files of the cache: written whole, and bounded all together.
//!
//! Who writes a file aside holds a lock on it, which ends with the process: so what
//! a process left that was killed is known, and removed. What a file says is not
//! looked at here.

use std::fs::FileTimes;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::{info, warn};

use crate::names::Digest;

/// What the names of files end with.
const WHOLE: &str = "native";
/// What those end with that are being written.
const ASIDE: &str = "new";

/// A folder of native code.
#[derive(Debug)]
pub(super) struct Folder {
    directory: PathBuf,
    bytes_max: u64,
}

/// A file that is whole.
struct Found {
    path: PathBuf,
    digest: Digest,
    bytes: u64,
    needed_at: SystemTime,
}

impl Folder {
    /// The folder in `directory`, which is made if it is not there. What nobody
    /// writes any more is removed.
    pub(super) fn open(directory: PathBuf, bytes_max: u64) -> io::Result<Self> {
        fs_err::create_dir_all(&directory)?;
        for entry in fs_err::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == ASIDE)
                && let Err(error) = remove_if_left(&path)
            {
                // It is in nobody's way but for its size.
                warn!(error = %error, "unfinished native code not removed");
            }
        }
        Ok(Self {
            directory,
            bytes_max,
        })
    }

    /// Where the native code of a component is.
    pub(super) fn path_of(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.{WHOLE}", digest.hex()))
    }

    /// Removes what was needed longest ago until there is room for `bytes` more;
    /// never what `is_used`.
    ///
    /// # Errors
    ///
    /// If there is no room: all of it is in use.
    pub(super) fn make_place(
        &self,
        bytes: usize,
        is_used: impl Fn(&Digest) -> bool,
    ) -> io::Result<()> {
        let mut files = self.files()?;
        files.sort_by_key(|file| file.needed_at);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let all = files.iter().map(|file| file.bytes);
        let mut needed = all.fold(bytes, u64::saturating_add);
        let mut old = files.iter().filter(|file| !is_used(&file.digest));
        while needed > self.bytes_max {
            let Some(file) = old.next() else {
                let full = "the cache is full of what is in use";
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, full));
            };
            fs_err::remove_file(&file.path)?;
            needed = needed.saturating_sub(file.bytes);
            info!(digest = %file.digest, bytes = file.bytes, "native code removed to make place");
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<Found>> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(&self.directory)? {
            let path = entry?.path();
            let Some(digest) = digest_of(&path) else {
                continue;
            };
            // Another may have removed it meanwhile.
            let Ok(metadata) = fs_err::metadata(&path) else {
                continue;
            };
            files.push(Found {
                needed_at: metadata.accessed().unwrap_or(SystemTime::UNIX_EPOCH),
                bytes: metadata.len(),
                path,
                digest,
            });
        }
        Ok(files)
    }
}

/// The component that a file is of, by its name.
fn digest_of(path: &Path) -> Option<Digest> {
    if path.extension()? != WHOLE {
        return None;
    }
    let hex = path.file_stem()?.to_str()?;
    format!("sha256:{hex}").parse().ok()
}

/// Notes when a file was needed. Said by us, so also where the file system does not
/// note who reads.
pub(super) fn needed_now(file: &fs_err::File) {
    let now = FileTimes::new().set_accessed(SystemTime::now());
    if let Err(error) = file.file().set_times(now) {
        // Then it counts as old, and is made again.
        warn!(error = %error, "use of native code not noted");
    }
}

/// Written aside and renamed, so that a crash leaves a whole file or none.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let aside = path.with_extension(format!("{}.{number}.{ASIDE}", std::process::id()));
    let written = write_aside(&aside, bytes).and_then(|file| {
        fs_err::rename(&aside, path)?;
        // Held until it has its name.
        drop(file);
        Ok(())
    });
    if written.is_err()
        && let Err(error) = fs_err::remove_file(&aside)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(error = %error, "unfinished native code not removed");
    }
    written
}

fn write_aside(aside: &Path, bytes: &[u8]) -> io::Result<fs_err::File> {
    let mut file = fs_err::File::create(aside)?;
    // Where there are no locks, nothing is removed.
    drop(file.file().try_lock());
    file.write_all(bytes)?;
    Ok(file)
}

/// Removes an unfinished file that nobody writes.
fn remove_if_left(aside: &Path) -> io::Result<()> {
    let file = match fs_err::File::open(aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    if file.file().try_lock().is_err() {
        return Ok(());
    }
    match fs_err::remove_file(aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests;
