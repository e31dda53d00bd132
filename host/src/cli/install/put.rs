//! Files, written aside and renamed, so that a crash leaves the old or the new
//! one whole.
//!
//! Each of ours begins with a seal: the digest of what follows. One whose seal is
//! broken was edited by hand, and is left as it is.

use std::fs::Permissions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::names::Digest;

/// Everyone may read what is installed.
pub(super) const MODE: u32 = 0o644;
const MODE_BINARY: u32 = 0o755;

/// The program that runs, also when its file has been replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Bytes of a file that is compared with ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

const SEAL: &str = "# Written by `selvedge install`; what follows was then ";

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub(super) enum Put {
    /// It was not there.
    Written,
    /// It was another version.
    Replaced,
    /// It is as it should be.
    Unchanged,
    /// Someone edited it: left as it is.
    Edited {
        /// Lines that are not ours, and lines of ours that are not there.
        lines: usize,
    },
    /// It is the operator's: left as it is.
    Kept,
    Removed,
    Absent,
}

impl Put {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Edited { .. } | Self::Kept => "kept",
            Self::Removed => "removed",
            Self::Absent => "absent",
        }
    }

    pub(super) fn note(self) -> Option<String> {
        match self {
            Self::Edited { lines: 0 } => Some("it was edited by hand".to_owned()),
            Self::Edited { lines } => Some(format!(
                "it was edited by hand and differs in {lines} lines; move what is yours to a \
                 drop-in, remove it and install again"
            )),
            Self::Kept => Some("it is yours".to_owned()),
            _ => None,
        }
    }
}

/// `text` with its seal.
pub(super) fn sealed(text: &str) -> String {
    format!("{SEAL}{}\n{text}", Digest::of(text.as_bytes()))
}

/// Whether `text` is as it was written, by whichever version.
fn is_sealed(text: &str) -> bool {
    let Some((first, rest)) = text.split_once('\n') else {
        return false;
    };
    let seal = first.strip_prefix(SEAL);
    seal.is_some_and(|seal| seal == Digest::of(rest.as_bytes()).to_string())
}

/// Puts this program at `path`.
pub(super) fn binary(path: &Path) -> io::Result<Put> {
    let this = fs_err::File::open(THIS_PROGRAM)?;
    let before = match fs_err::File::open(path) {
        Ok(there) => {
            if is_same(&this, &there)? {
                return Ok(Put::Unchanged);
            }
            Put::Replaced
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Put::Written,
        Err(error) => return Err(error),
    };
    let mut this = fs_err::File::open(THIS_PROGRAM)?;
    replace(path, MODE_BINARY, &mut this)?;
    Ok(before)
}

/// Puts a file of ours at `path`, unless someone edited the one that is there.
pub(super) fn ours(path: &Path, text: &str) -> io::Result<Put> {
    let before = match read(path)? {
        None => Put::Written,
        Some(there) if there == text => return Ok(Put::Unchanged),
        Some(there) if is_sealed(&there) => Put::Replaced,
        Some(there) => {
            let lines = differing(&there, text);
            return Ok(Put::Edited { lines });
        }
    };
    replace(path, MODE, &mut text.as_bytes())?;
    Ok(before)
}

/// Puts a file at `path` that is the operator's from then on.
pub(super) fn if_absent(path: &Path, text: &str) -> io::Result<Put> {
    match read(path)? {
        None => {}
        Some(there) if there == text => return Ok(Put::Unchanged),
        Some(_) => return Ok(Put::Kept),
    }
    replace(path, MODE, &mut text.as_bytes())?;
    Ok(Put::Written)
}

/// Removes a file of ours, unless someone edited it.
pub(super) fn remove(path: &Path) -> io::Result<Put> {
    match read(path)? {
        None => Ok(Put::Absent),
        Some(there) if is_sealed(&there) => {
            fs_err::remove_file(path)?;
            Ok(Put::Removed)
        }
        Some(_) => Ok(Put::Edited { lines: 0 }),
    }
}

/// Removes the program.
pub(super) fn remove_binary(path: &Path) -> io::Result<Put> {
    match fs_err::remove_file(path) {
        Ok(()) => Ok(Put::Removed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Put::Absent),
        Err(error) => Err(error),
    }
}

/// The operator's file stays.
pub(super) fn leave(path: &Path) -> Put {
    if path.exists() {
        Put::Kept
    } else {
        Put::Absent
    }
}

/// What is at `path`. A file that is too large or no text is none of ours.
fn read(path: &Path) -> io::Result<Option<String>> {
    use std::io::Read as _;

    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn replace(path: &Path, mode: u32, content: &mut dyn io::Read) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(folder)?;
    let mut aside = NamedTempFile::new_in(folder)?;
    io::copy(content, &mut aside)?;
    aside.flush()?;
    let file = aside.as_file();
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    aside.persist(path)?;
    fs_err::File::open(folder)?.sync_all()
}

/// Whether both are the same file, or hold the same.
fn is_same(one: &fs_err::File, other: &fs_err::File) -> io::Result<bool> {
    let (meta, there) = (one.metadata()?, other.metadata()?);
    if (meta.dev(), meta.ino()) == (there.dev(), there.ino()) {
        return Ok(true);
    }
    if meta.len() != there.len() || there.mode() & 0o7777 != MODE_BINARY {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let count = left.len().min(right.len());
        if left.get(..count) != right.get(..count) || (count == 0 && left.len() != right.len()) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
        one.consume(count);
        other.consume(count);
    }
}

/// Lines that only one of both has.
fn differing(there: &str, ours: &str) -> usize {
    let missing = |from: &str, of: &str| {
        let known: std::collections::HashSet<_> = of.lines().collect();
        from.lines().filter(|line| !known.contains(line)).count()
    };
    // The seal says nothing of its own.
    let body = |text: &str| match text.split_once('\n') {
        Some((first, rest)) if first.starts_with(SEAL) => rest.to_owned(),
        _ => text.to_owned(),
    };
    let (there, ours) = (body(there), body(ours));
    missing(&there, &ours) + missing(&ours, &there)
}
