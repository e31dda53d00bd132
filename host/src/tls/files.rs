//! Files of certificates: read within bounds, and whether they changed.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::TlsError;

/// Bytes of one file of certificates or keys.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file of revocation lists: some hundred thousand serial numbers.
pub(super) const LISTS_BYTES_MAX: u64 = 16 << 20;

/// What tells one content of a file from another; None: it cannot be looked at.
/// The time of its last change of state cannot be set, and another file under
/// the same name has another number.
pub(super) type Stamp = Option<(u64, i64, i64, u64)>;

pub(super) fn stamp(path: &Path) -> Stamp {
    let metadata = fs_err::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.ctime(),
        metadata.ctime_nsec(),
        metadata.len(),
    ))
}

pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("{} has more than {bytes_max} bytes", path.display());
        return Err(std::io::Error::other(text).into());
    }
    Ok(bytes)
}
