//! Small files that are whole or not there: written aside, synced, renamed.
//!
//! Root changes them too, in folders of the user that the host runs as. So nothing
//! here follows what that user may have put there: below the data directory folders
//! are opened one by one, links are refused, and what root made is given away by
//! its handle, never by its name.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;

/// What the names of unfinished files begin with.
pub(super) const ASIDE: &str = ".new-";
/// For what only the host's own user may read.
pub(super) const PRIVATE: u32 = 0o600;
/// For what anybody may read who may enter the folder.
pub(super) const PUBLIC: u32 = 0o644;

/// A folder, by its handle: it stays the same whatever becomes of its name.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    handle: File,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}", path = path.display())]
struct Unusable {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Folder {
    /// The folder at `path`, which is the operator's: links in it are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, path, flags, Mode::empty());
        let handle = handle.map_err(|error| unusable("open", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            handle: handle.into(),
        })
    }

    /// The same; made for its owner only, unless it is there.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        match (Self::open(path), path.parent(), path.file_name()) {
            (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
                Self::make(parent)?.make_within(Path::new(name))
            }
            (outcome, ..) => outcome,
        }
    }

    /// The folder called `name` in this one, and no link to one.
    pub(super) fn within(&self, name: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let handle = openat(&self.handle, name, flags, Mode::empty());
        let handle = handle.map_err(|error| unusable("open", &path, error))?;
        Ok(Self {
            path,
            handle: handle.into(),
        })
    }

    /// The same; made for its owner only, unless it is there.
    pub(super) fn make_within(&self, name: &Path) -> io::Result<Self> {
        match mkdirat(&self.handle, name, Mode::RWXU) {
            Ok(()) => {
                let folder = self.within(name)?;
                self.adopt(&folder.handle);
                Ok(folder)
            }
            Err(Errno::EXIST) => self.within(name),
            Err(error) => Err(unusable("make", &self.path.join(name), error)),
        }
    }

    /// Puts `bytes` into the file called `name`, in place of what is there; on the
    /// disk when this returns.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.write(name, bytes, mode, |aside| {
            renameat(&self.handle, aside, &self.handle, name)
        })
    }

    /// The same, and fails if there is anything.
    pub(super) fn create(&self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.write(name, bytes, mode, |aside| {
            let folder = &self.handle;
            match renameat_with(folder, aside, folder, name, RenameFlags::NOREPLACE) {
                // Not every file system can.
                Err(Errno::NOSYS | Errno::INVAL) => {
                    linkat(folder, aside, folder, name, AtFlags::empty())?;
                    unlinkat(folder, aside, AtFlags::empty())
                }
                outcome => outcome,
            }
        })
    }

    /// Removes the file called `name`, for good when this returns.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let removed = unlinkat(&self.handle, name, AtFlags::empty());
        removed.map_err(|error| unusable("remove", &self.path.join(name), error))?;
        self.handle.sync_all()
    }

    /// Waits until nobody else has the lock called `name`, and has it until what is
    /// returned is dropped.
    pub(super) fn lock(&self, name: &str) -> io::Result<File> {
        // A pipe would be waited for.
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || openat(&self.handle, name, flags, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) => {
                match self.create(name, b"", PUBLIC) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    // Or somebody else made it meanwhile.
                    _ => {}
                }
                open()
            }
            opened => opened,
        };
        let path = self.path.join(name);
        let file = File::from(opened.map_err(|error| unusable("open", &path, error))?);
        let locked = file.lock();
        locked.map_err(|error| unusable("lock", &path, error))?;
        Ok(file)
    }

    fn write(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        put: impl FnOnce(&str) -> rustix::io::Result<()>,
    ) -> io::Result<()> {
        let aside = aside()?;
        let written = self.write_aside(&aside, bytes, mode);
        let put = written.and_then(|()| put(&aside).map_err(io::Error::from));
        let put = put.inspect_err(|_| drop(self.remove(&aside)));
        put.map_err(|error| unusable("write", &self.path.join(name), error))?;
        self.handle.sync_all()
    }

    fn write_aside(&self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        self.adopt(&file);
        file.sync_all()
    }

    /// Gives what root made in this folder to whoever has the folder, for that is
    /// whom the host runs as. Best effort: nobody else can, or need.
    fn adopt(&self, made: &File) {
        if let (Ok(made_by), Ok(folder)) = (made.metadata(), self.handle.metadata())
            && (made_by.uid(), made_by.gid()) != (folder.uid(), folder.gid())
        {
            drop(fchown(made, Some(folder.uid()), Some(folder.gid())));
        }
    }
}

fn unusable(verb: &'static str, path: &Path, error: impl Into<io::Error>) -> io::Error {
    let (path, source) = (path.to_owned(), error.into());
    let kind = source.kind();
    io::Error::new(kind, Unusable { verb, path, source })
}

/// A name that nobody has.
fn aside() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{ASIDE}{:016x}", u64::from_ne_bytes(random)))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    use std::path::Path;

    use super::{Folder, PRIVATE, PUBLIC};

    #[test]
    fn files_are_replaced_whole_and_created_once() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::make(&directory.path().join("new/data")).unwrap();
        folder.create("file", b"one", PRIVATE).unwrap();
        let exists = folder.create("file", b"two", PRIVATE).unwrap_err();
        assert_eq!(exists.kind(), std::io::ErrorKind::AlreadyExists);
        folder.replace("file", b"three", PUBLIC).unwrap();
        let path = directory.path().join("new/data/file");
        assert_eq!(fs_err::read(&path).unwrap(), b"three");
        assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o777, PUBLIC);
        let lock = folder.lock("lock").unwrap();
        drop(lock);
        folder.lock("lock").unwrap();
        folder.remove("file").unwrap();
        let names = fs_err::read_dir(directory.path().join("new/data")).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["lock"], "nothing is left aside");
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_or_a_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (data, other) = (
            directory.path().join("data"),
            directory.path().join("other"),
        );
        let folder = Folder::make(&data).unwrap();
        Folder::make(&other).unwrap();
        fs_err::write(other.join("file"), b"precious").unwrap();
        symlink(&other, data.join("folder")).unwrap();
        symlink(other.join("file"), data.join("lock")).unwrap();
        symlink(other.join("nothing"), data.join("nothing")).unwrap();
        folder.within(Path::new("folder")).unwrap_err();
        folder.make_within(Path::new("folder")).unwrap_err();
        folder.lock("lock").unwrap_err();
        folder.lock("nothing").unwrap_err();
        folder.create("nothing", b"", PUBLIC).unwrap_err();
        assert!(!other.join("nothing").exists());
        // A link is replaced, not what it leads to.
        folder.replace("lock", b"", PUBLIC).unwrap();
        assert_eq!(fs_err::read(other.join("file")).unwrap(), b"precious");
        // The operator's own path may lead over one.
        symlink(&data, directory.path().join("link")).unwrap();
        Folder::make(&directory.path().join("link")).unwrap();
    }

    #[test]
    fn root_gives_away_what_it_made_and_nothing_else() {
        const NOBODY: u32 = 65_534;
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let folder = Folder::make(&data).unwrap();
        fs_err::write(directory.path().join("precious"), b"").unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        fs_err::set_permissions(directory.path().join("precious"), mode).unwrap();
        fs_err::hard_link(directory.path().join("precious"), data.join("lock")).unwrap();
        let owner = |path: &Path| fs_err::metadata(path).unwrap().uid();
        let own = owner(directory.path());
        if chown(&data, Some(NOBODY), Some(NOBODY)).is_err() {
            return; // Only root can.
        }
        drop(folder.lock("lock").unwrap());
        assert_eq!(owner(&directory.path().join("precious")), own);
        drop(folder.lock("other").unwrap());
        let within = folder.make_within(Path::new("within")).unwrap();
        within.create("file", b"", PRIVATE).unwrap();
        for made in ["other", "within", "within/file"] {
            assert_eq!(owner(&data.join(made)), NOBODY, "{made}");
        }
    }
}
