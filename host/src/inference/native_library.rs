//! Whether a native library may be loaded: told before it is, since its
//! initialisers run the moment it is loaded.
//!
//! What decides is the configuration: every shared library in the folder must be
//! named there with its SHA-256, and nobody but root and the host's user may be
//! able to change any of them. What the library does afterwards is not bounded
//! here, and not by anything else in this process.

mod errors;
mod owners;

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

pub use self::errors::LibraryError;
pub(super) use self::errors::line_of;
use self::owners::Owners;
use crate::names::Digest;

/// Shared libraries in one folder.
const FILES_MAX: usize = 256;
/// Bytes of one of them: the largest known, CUDA's, have 1.5 GB.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Entries of the folder and of those in it, which hold no code.
const ENTRIES_MAX: usize = 10_000;
/// Folders within each other below it.
const DEPTH_MAX: usize = 8;
/// Tells OpenVINO which libraries it is made of, wherever these are.
const PLUGINS: &str = "plugins.xml";

/// A library and what lies beside it, found to be what the configuration says.
#[derive(Debug)]
pub(super) struct NativeLibrary {
    path: PathBuf,
    digest: Digest,
    files: Vec<(PathBuf, Seen)>,
}

/// What shows that a file is still the one that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl NativeLibrary {
    /// Checks `library` and its folder against `allowed`. The file that was
    /// checked is at [`Self::path`], with all links resolved.
    pub(super) fn check(
        library: &Path,
        allowed: &BTreeMap<String, Digest>,
    ) -> Result<Self, LibraryError> {
        let folder = Folder::open(library)?;
        for name in allowed.keys() {
            if !folder.files.iter().any(|(found, _)| found == name) {
                let path = folder.path.join(name);
                return Err(LibraryError::Missing { path, source: None });
            }
        }
        // All names first: hashing takes a while.
        let mut expected = Vec::new();
        for (name, path) in &folder.files {
            match allowed.get(name) {
                Some(digest) => expected.push((path, *digest)),
                None => return Err(LibraryError::Unlisted { path: path.clone() }),
            }
        }
        let mut files = Vec::new();
        let mut own = None;
        for (path, expected) in expected {
            let (found, seen) = digest_of(path)?;
            if found != expected {
                let path = path.clone();
                return Err(LibraryError::WrongDigest {
                    path,
                    expected,
                    found,
                });
            }
            if *path == folder.library {
                own = Some(found);
            }
            files.push((path.clone(), seen));
        }
        let path = folder.library;
        match own {
            Some(digest) => Ok(Self {
                path,
                digest,
                files,
            }),
            None => Err(LibraryError::NotALibrary {
                path,
                source: "its name has no `.so`".into(),
            }),
        }
    }

    /// Where it really is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The first file that is no longer the one that was checked: what runs is
    /// not what lies there.
    pub(super) fn replaced(&self) -> Option<&Path> {
        let same = |path: &Path, seen: &Seen| {
            fs_err::metadata(path).is_ok_and(|metadata| Seen::of(&metadata) == *seen)
        };
        let mut files = self.files.iter();
        let replaced = files.find(|(path, seen)| !same(path, seen));
        replaced.map(|(path, _)| path.as_path())
    }
}

/// What `files` of the configuration has to say to allow `library` as it is now.
pub fn pin(library: &Path) -> Result<BTreeMap<String, Digest>, LibraryError> {
    let folder = Folder::open(library)?;
    let files = folder.files.into_iter();
    files
        .map(|(name, path)| Ok((name, digest_of(&path)?.0)))
        .collect()
}

/// Refuses variables that would change what a native library does: they are set
/// for all of the process, so none of them can be undone for the library alone.
///
/// `prefixes` are the library's own. A folder of `LD_LIBRARY_PATH` comes before
/// the library's own one when the linker looks for what it needs, so none may
/// hold a file of a name that is checked here.
pub(super) fn check_environment(
    library: &NativeLibrary,
    prefixes: &[&str],
) -> Result<(), LibraryError> {
    let own = library.path.parent();
    for (name, value) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if prefixes.iter().any(|prefix| shown.starts_with(prefix)) {
            let variable = shown.chars().take(64).collect();
            return Err(LibraryError::Environment { variable });
        }
        if name != "LD_LIBRARY_PATH" {
            continue;
        }
        for folder in std::env::split_paths(&value) {
            let folder = fs_err::canonicalize(folder).unwrap_or_default();
            let shadows = |(path, _): &(PathBuf, Seen)| {
                let name = path.file_name().unwrap_or_default();
                folder.join(name).exists()
            };
            if Some(folder.as_path()) != own && library.files.iter().any(shadows) {
                let variable = "LD_LIBRARY_PATH".to_owned();
                return Err(LibraryError::Environment { variable });
            }
        }
    }
    Ok(())
}

/// The folder of a library, which nobody else can write to.
struct Folder {
    path: PathBuf,
    library: PathBuf,
    /// All in it that is code or says which code is loaded, by name.
    files: Vec<(String, PathBuf)>,
}

impl Folder {
    fn open(library: &Path) -> Result<Self, LibraryError> {
        if !library.is_absolute() {
            return Err(LibraryError::NotAbsolute {
                path: library.to_owned(),
            });
        }
        let library = fs_err::canonicalize(library).map_err(|source| LibraryError::Missing {
            path: library.to_owned(),
            source: Some(source),
        })?;
        let owners = Owners::trusted()?;
        owners.check(&library)?;
        // Above a file there is always a folder.
        let path = library.parent().unwrap_or(Path::new("/")).to_owned();
        owners.check(&path)?;
        let mut above = path.ancestors().skip(1);
        above.try_for_each(|folder| owners.check_above(folder))?;
        let files = shared_libraries(&path, &owners)?;
        Ok(Self {
            path,
            library,
            files,
        })
    }
}

/// Names with `.so` in them are what the linker, and libraries themselves, look
/// for. A link counts as what it leads to, which must lie in the same folder. What
/// is there besides is for nobody else to write to either: libraries read it.
fn shared_libraries(
    folder: &Path,
    owners: &Owners,
) -> Result<Vec<(String, PathBuf)>, LibraryError> {
    let unreadable = |source| LibraryError::Unreadable { source };
    let mut found = Vec::new();
    let entries = fs_err::read_dir(folder).map_err(unreadable)?;
    let mut others = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if found.len() >= FILES_MAX || others.len() >= ENTRIES_MAX {
            return Err(LibraryError::TooManyFiles {
                folder: folder.to_owned(),
            });
        }
        if !is_code(&path) {
            others.push(path);
            continue;
        }
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let real = fs_err::canonicalize(&path).map_err(unreadable)?;
        let metadata = fs_err::metadata(&real).map_err(unreadable)?;
        if real.parent() != Some(folder) || !metadata.is_file() {
            return Err(LibraryError::NotALibrary {
                path,
                source: "it is not a regular file of its folder".into(),
            });
        }
        owners.check(&real)?;
        found.push((name, real));
    }
    let mut beside = Beside {
        owners,
        left: ENTRIES_MAX,
    };
    for other in &others {
        beside.check(other, DEPTH_MAX)?;
    }
    found.sort();
    Ok(found)
}

fn is_code(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name == PLUGINS || name.to_string_lossy().contains(".so")
}

/// What lies beside the libraries.
struct Beside<'a> {
    owners: &'a Owners,
    /// Entries that are still looked at.
    left: usize,
}

impl Beside<'_> {
    /// Whether it is nobody else's to write to, and holds no code: the linker and
    /// OpenVINO look for libraries in certain folders below their own first.
    fn check(&mut self, path: &Path, depth: usize) -> Result<(), LibraryError> {
        let unreadable = |source| LibraryError::Unreadable { source };
        let too_many = || LibraryError::TooManyFiles {
            folder: path.to_owned(),
        };
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        // A link that leads nowhere is nothing yet.
        let Ok(metadata) = fs_err::metadata(path) else {
            return Ok(());
        };
        self.owners.check(path)?;
        if !metadata.is_dir() {
            return Ok(());
        }
        let depth = depth.checked_sub(1).ok_or_else(too_many)?;
        for entry in fs_err::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if is_code(&path) {
                return Err(LibraryError::Unlisted { path });
            }
            self.check(&path, depth)?;
        }
        Ok(())
    }
}

fn digest_of(path: &Path) -> Result<(Digest, Seen), LibraryError> {
    let unreadable = |source| LibraryError::Unreadable { source };
    let mut file = fs_err::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(LibraryError::NotALibrary {
            path: path.to_owned(),
            source: format!("it has more than {FILE_BYTES_MAX} bytes").into(),
        });
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        match buffer.get(..read) {
            Some(chunk) if !chunk.is_empty() => hasher.update(chunk),
            _ => break,
        }
    }
    let hex: String = hasher.finalize().iter().map(hex).collect();
    match format!("sha256:{hex}").parse() {
        Ok(digest) => Ok((digest, Seen::of(&metadata))),
        Err(source) => Err(unreadable(io::Error::other(source))),
    }
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
