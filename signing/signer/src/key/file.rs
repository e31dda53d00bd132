//! Files that only their owner may read.
//!
//! A file is looked at once it is open, so that what was checked is what is
//! read. It is never written over something else, and what could not be written
//! whole is removed.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::{KeyError, Secret};

/// Bytes of a key file. A key and a chain of certificates have about 5,000.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// Reads a file that its owner alone may read.
///
/// # Errors
///
/// If it is none, too large, or open to others.
pub(crate) fn read_private(path: &Path) -> Result<Secret, KeyError> {
    let read = |source| KeyError::Read { source };
    let not_a_file = |reason| KeyError::NotAFile {
        path: path.to_owned(),
        reason,
    };
    let file = fs_err::File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(not_a_file("it is a directory or a device"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let path = path.to_owned();
        return Err(KeyError::Exposed { path, mode });
    }
    let mut bytes = Secret(Vec::with_capacity(4096));
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes.0)
        .map_err(read)?;
    if bytes.0.len() as u64 > FILE_BYTES_MAX {
        return Err(not_a_file("it is larger than 64 KiB"));
    }
    Ok(bytes)
}

/// Writes a new file that its owner alone may read.
///
/// # Errors
///
/// If there is one, or it cannot be written; then there is none.
pub(crate) fn write_private(path: &Path, bytes: &Secret) -> Result<(), KeyError> {
    let mut options = fs_err::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists {
            path: path.to_owned(),
        },
        _ => KeyError::Write { source },
    })?;
    let written = file.write_all(&bytes.0).and_then(|()| file.sync_all());
    written.map_err(|source| {
        // Half a key is worse than none; the first error is the one to tell.
        drop(fs_err::remove_file(path));
        KeyError::Write { source }
    })
}

/// The PEM blocks of `text`, each from its `BEGIN` to the end of its `END` line.
pub(crate) fn blocks(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begin = find(rest, b"-----BEGIN ")?;
        let block = rest.get(begin..)?;
        let end = find(block, b"-----END ")?;
        let after = block.get(end..)?;
        let line = after.iter().position(|&byte| byte == b'\n');
        let length = end + line.map_or(after.len(), |line| line + 1);
        rest = block.get(length..)?;
        block.get(..length)
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
