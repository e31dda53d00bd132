//! Who may have changed a file: only those who may run code in the host anyway.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::LibraryError;

const ROOT: u32 = 0;
/// Writable by the group or by all. Where a list of access rights names others,
/// the kernel shows the most that any of them has as the group's.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// The users whose files are trusted: root and the one that the host runs as.
pub(super) struct Owners([u32; 2]);

impl Owners {
    pub(super) fn trusted() -> Result<Self, LibraryError> {
        let unreadable = |source| LibraryError::Unreadable { source };
        let status = fs_err::read_to_string("/proc/self/status").map_err(unreadable)?;
        // Real, effective, saved, of the file system.
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let effective = line.and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
        Ok(Self([ROOT, effective.unwrap_or(ROOT)]))
    }

    /// Whether nobody else can write to what is at `path`.
    pub(super) fn check(&self, path: &Path) -> Result<(), LibraryError> {
        self.check_mode(path, |mode| mode & OTHERS_WRITE == 0)
    }

    /// Whether nobody else can put something else in the place of what is in the
    /// folder at `path` and is not theirs. In a sticky one, `/tmp` and the like,
    /// all may add, and only owners take away.
    pub(super) fn check_above(&self, path: &Path) -> Result<(), LibraryError> {
        self.check_mode(path, |mode| mode & OTHERS_WRITE == 0 || mode & STICKY != 0)
    }

    fn check_mode(&self, path: &Path, fits: fn(u32) -> bool) -> Result<(), LibraryError> {
        let unreadable = |source| LibraryError::Unreadable { source };
        let metadata = fs_err::metadata(path).map_err(unreadable)?;
        let owner = metadata.uid();
        if !self.0.contains(&owner) {
            return Err(LibraryError::Writable {
                path: path.to_owned(),
                by: format!("its owner, user {owner}"),
            });
        }
        if !fits(metadata.mode()) {
            return Err(LibraryError::Writable {
                path: path.to_owned(),
                by: format!("others, with the mode {:04o}", metadata.mode() & 0o7777),
            });
        }
        Ok(())
    }
}
