//! Small files that are whole or not there: written aside, synced, renamed.

use std::fs::DirBuilder;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
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
    adopt(aside.path());
    put(aside).map_err(named)?;
    fs_err::File::open(folder)?.sync_all()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}", path = .0.display())]
struct Unwritten(PathBuf, #[source] io::Error);

/// Gives what root made to whoever has the folder, for that is whom the host runs
/// as. Best effort: nobody else can, or need.
pub(super) fn adopt(path: &Path) {
    let (own, folder) = (fs_err::metadata(path), path.parent().map(fs_err::metadata));
    if let (Ok(own), Some(Ok(folder))) = (own, folder)
        && (own.uid(), own.gid()) != (folder.uid(), folder.gid())
    {
        drop(chown(path, Some(folder.uid()), Some(folder.gid())));
    }
}

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
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let unwritten = Unwritten(path.to_owned(), error);
            Err(io::Error::new(unwritten.1.kind(), unwritten))
        }
        _ => {
            adopt(path);
            Ok(())
        }
    }
}
