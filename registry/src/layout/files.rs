//! Files of a store, opened and replaced so that nothing else is ever read or
//! written in their place.
//!
//! Links are not followed: what a path names is looked at first, opened, and
//! compared with what was opened. A file that is replaced at that moment is
//! looked at again. Replacing is by rename, durable when it returns.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use fs_err::File;
use tempfile::NamedTempFile;

use super::LayoutError;

/// How often a file may be replaced while it is opened before it is given up.
const OPEN_ATTEMPTS_MAX: u32 = 64;
/// Permissions of what is made: for its owner alone.
const DIRECTORY_MODE: u32 = 0o700;

/// The regular file at `path` and its length, `None` if nothing is there.
pub(crate) fn open_regular(path: &Path) -> Result<Option<(File, u64)>, LayoutError> {
    for _ in 0..OPEN_ATTEMPTS_MAX {
        let Some(named) = there(fs_err::symlink_metadata(path))? else {
            return Ok(None);
        };
        if !named.is_file() {
            return Err(LayoutError::Foreign(path.to_owned()));
        }
        let Some(file) = there(File::open(path))? else {
            continue;
        };
        let opened = file.metadata()?;
        if (opened.dev(), opened.ino()) == (named.dev(), named.ino()) {
            return Ok(Some((file, opened.len())));
        }
    }
    Err(LayoutError::Busy(path.to_owned()))
}

/// The bytes of the regular file at `path`, `None` if nothing is there.
pub(crate) fn read_regular(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, LayoutError> {
    let Some((file, length)) = open_regular(path)? else {
        return Ok(None);
    };
    read_bounded(file, length, bytes_max).map(Some)
}

/// At most `bytes_max` bytes; `length` is a guess.
pub(crate) fn read_bounded(
    file: impl Read,
    length: u64,
    bytes_max: u64,
) -> Result<Vec<u8>, LayoutError> {
    let too_large = LayoutError::TooLarge { bytes_max };
    if length > bytes_max {
        return Err(too_large);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large);
    }
    Ok(bytes)
}

/// Puts `bytes` at `path` in place of what is there, with a temporary file in
/// `beside`, which is in the same file system.
pub(crate) fn replace(path: &Path, bytes: &[u8], beside: &Path) -> Result<(), LayoutError> {
    let mut file = NamedTempFile::with_prefix_in("new-", beside)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_parent(path)
}

/// Makes what was renamed to `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), LayoutError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    // A name alone is in the working directory.
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    Ok(File::open(parent)?.sync_all()?)
}

/// The directory at `path`, made for its owner alone if it is not there.
pub(crate) fn make_directory(path: &Path) -> Result<(), LayoutError> {
    if is_directory(path)? {
        return Ok(());
    }
    match std::fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        // The umask may have taken away more; it cannot have added anything.
        Ok(()) => {
            let mode = std::fs::Permissions::from_mode(DIRECTORY_MODE);
            fs_err::set_permissions(path, mode)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        // The plain call names no path; this one fails the same way and does.
        Err(_) => fs_err::create_dir(path)?,
    }
    Ok(())
}

/// Whether `path` is a directory.
///
/// # Errors
///
/// If it is something else, a link among it.
pub(crate) fn is_directory(path: &Path) -> Result<bool, LayoutError> {
    match there(fs_err::symlink_metadata(path))? {
        Some(found) if found.is_dir() => Ok(true),
        Some(_) => Err(LayoutError::Foreign(path.to_owned())),
        None => Ok(false),
    }
}

/// `None` if nothing is there.
pub(crate) fn there<T>(result: std::io::Result<T>) -> Result<Option<T>, LayoutError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
