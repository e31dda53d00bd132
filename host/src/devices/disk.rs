//! Small files that are whole or not there: written aside, synced, renamed.

use std::fs::DirBuilder;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What the names of unfinished files begin with.
pub(super) const ASIDE: &str = ".new-";
/// For what only the host's own user may read.
pub(super) const PRIVATE: u32 = 0o600;
/// For what anybody may read who may enter the folder.
pub(super) const PUBLIC: u32 = 0o644;

/// Puts `bytes` at `path`, in place of what is there; on the disk when this
/// returns.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, |aside| {
        aside.persist(path).map_err(|error| error.error)?;
        Ok(())
    })
}

/// The same, and fails if there is anything.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, |aside| {
        aside.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(())
    })
}

fn write(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    put: impl FnOnce(tempfile::NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let named = |error: io::Error| io::Error::new(error.kind(), Unwritten(path.to_owned(), error));
    let aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(folder);
    // Made readable by its owner only; dropped on an error, it is removed.
    let mut aside = aside.map_err(named)?;
    aside.write_all(bytes).map_err(named)?;
    let permissions = std::fs::Permissions::from_mode(mode);
    aside
        .as_file()
        .set_permissions(permissions)
        .map_err(named)?;
    aside.as_file().sync_all().map_err(named)?;
    put(aside).map_err(named)?;
    fs_err::File::open(folder)?.sync_all()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}", path = .0.display())]
struct Unwritten(PathBuf, #[source] io::Error);

/// All of a file, unless it has more than `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("{} has more than {bytes_max} bytes", path.display());
        return Err(io::Error::other(text));
    }
    Ok(bytes)
}

/// Makes a folder that only its owner may enter, unless it is there.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| io::Error::new(error.kind(), Unwritten(path.to_owned(), error)))
}
