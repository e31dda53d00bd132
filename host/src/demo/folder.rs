//! What the demo keeps on the disk, and what it begins anew.
//!
//! All of it is in one folder of its own, `demo`, which only one demo uses at a
//! time. A run begins with nothing of an earlier one: no authority, no device, no
//! session, no queue, no retained value, no state of a plugin. Only what was
//! compiled stays, and the key that tells that it is this host's.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::{AMAZON_ROOT, ASSETS};

/// What stays in the gateway's folder from one run to the next.
const KEPT: [&str; 2] = ["compiled", "device.key"];

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Its text names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("another demo runs in {path}", path = .0.display())]
    InUse(PathBuf),
}

/// The folder, while this demo has it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: fs_err::File,
}

impl Folder {
    /// The folder in `directory`, with nothing of an earlier run.
    pub(super) fn begin(directory: &Path) -> Result<Self, FolderError> {
        let path = directory.join("demo");
        fs_err::create_dir_all(&path)?;
        let mut options = fs_err::OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true);
        let lock = lock.open(path.join("lock"))?;
        if lock.file().try_lock().is_err() {
            return Err(FolderError::InUse(path));
        }
        let folder = Self { path, _lock: lock };
        clear(&folder.gateway(), &KEPT)?;
        clear(&folder.cloud(), &[])?;
        clear(&folder.uplink(), &[])?;
        for (name, bytes) in ASSETS {
            fs_err::write(folder.path.join(name), bytes)?;
        }
        for place in [folder.gateway(), folder.cloud(), folder.uplink()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(place)?;
        }
        Ok(folder)
    }

    /// The host's own data.
    pub(super) fn gateway(&self) -> PathBuf {
        self.path.join("gateway")
    }

    /// The stand-in cloud's.
    pub(super) fn cloud(&self) -> PathBuf {
        self.path.join("cloud")
    }

    /// What the uplink shows.
    fn uplink(&self) -> PathBuf {
        self.path.join("uplink")
    }

    /// Writes the deployment beside the models it names; says where it is.
    pub(super) fn write_deployment(&self, text: &str) -> Result<PathBuf, FolderError> {
        let path = self.path.join("demo.toml");
        fs_err::write(&path, text)?;
        Ok(path)
    }

    /// Writes the root of AWS IoT Core; says where it is.
    pub(super) fn write_amazon_root(&self) -> Result<PathBuf, FolderError> {
        self.write_uplink("AmazonRootCA1.pem", AMAZON_ROOT)
    }

    /// Writes what the uplink shows or trusts, for nobody else to read.
    pub(super) fn write_uplink(&self, name: &str, text: &str) -> Result<PathBuf, FolderError> {
        let path = self.uplink().join(name);
        let mut options = fs_err::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(path)
    }
}

/// Removes all that is in `folder`, but what is `kept`.
fn clear(folder: &Path, kept: &[&str]) -> io::Result<()> {
    let entries = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if kept.iter().any(|kept| name == *kept) {
            continue;
        }
        // Of a link, only the link goes.
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Folder, FolderError};

    #[test]
    fn a_run_finds_nothing_of_an_earlier_one_but_what_was_compiled() {
        let data = tempfile::tempdir().unwrap();
        fs_err::write(data.path().join("mine"), "").unwrap();
        let folder = Folder::begin(data.path()).unwrap();
        let (gateway, cloud) = (folder.gateway(), folder.cloud());
        for place in [&gateway, &cloud] {
            for inner in ["ca", "compiled", "store"] {
                fs_err::create_dir_all(place.join(inner)).unwrap();
                fs_err::write(place.join(inner).join("file"), "").unwrap();
            }
            fs_err::write(place.join("device.key"), "").unwrap();
        }
        let key = folder.write_uplink("key", "secret").unwrap();
        assert!(matches!(
            Folder::begin(data.path()),
            Err(FolderError::InUse(_))
        ));
        assert!(key.exists());
        drop(folder);

        let _folder = Folder::begin(data.path()).unwrap();
        let left = |place: &std::path::Path| {
            let entries = fs_err::read_dir(place).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        };
        assert_eq!(left(&gateway), ["compiled", "device.key"]);
        assert!(gateway.join("compiled/file").exists());
        assert!(left(&cloud).is_empty());
        assert!(!key.exists());
        assert_eq!(left(data.path()), ["demo", "mine"]);
    }
}
