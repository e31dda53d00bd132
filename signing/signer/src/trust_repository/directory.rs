//! The files of a repository: `metadata/` and `targets/`.
//!
//! Every file appears whole or not at all, and those of a version are never
//! written again. What is written last, `timestamp.json`, makes the rest count.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use selvedge_artifact::Digest;

use super::RepositoryError;

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    metadata: PathBuf,
    targets: PathBuf,
}

impl Directory {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            metadata: path.join("metadata"),
            targets: path.join("targets"),
        }
    }

    /// Makes it, if there is nothing in `path` yet.
    pub(super) fn create(path: &Path) -> Result<Self, RepositoryError> {
        fs_err::create_dir_all(path).map_err(RepositoryError::files)?;
        let mut entries = fs_err::read_dir(path).map_err(RepositoryError::files)?;
        if entries.next().is_some() {
            return Err(RepositoryError::NotEmpty {
                path: path.to_owned(),
            });
        }
        let directory = Self::new(path);
        fs_err::create_dir(&directory.metadata).map_err(RepositoryError::files)?;
        fs_err::create_dir(&directory.targets).map_err(RepositoryError::files)?;
        Ok(directory)
    }

    pub(super) fn metadata(&self, name: &str) -> Result<Vec<u8>, RepositoryError> {
        fs_err::read(self.metadata.join(name)).map_err(RepositoryError::files)
    }

    pub(super) fn target(&self, name: &str, hash: &str) -> Result<Vec<u8>, RepositoryError> {
        fs_err::read(self.target_path(name, hash)).map_err(RepositoryError::files)
    }

    /// The versions of `role` that are there, in order.
    pub(super) fn versions(&self, role: &str) -> Result<Vec<u64>, RepositoryError> {
        let mut versions = Vec::new();
        for entry in fs_err::read_dir(&self.metadata).map_err(RepositoryError::files)? {
            let name = entry.map_err(RepositoryError::files)?.file_name();
            let version = name.to_str().and_then(|name| {
                let version = name.strip_suffix(".json")?.strip_suffix(role)?;
                version.strip_suffix('.')?.parse::<u64>().ok()
            });
            versions.extend(version);
        }
        versions.sort_unstable();
        Ok(versions)
    }

    /// Writes a target under its name with its hash.
    pub(super) fn put_target(&self, name: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        let path = self.target_path(name, &Digest::of(bytes).hex());
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).map_err(RepositoryError::files)?;
        }
        put(&path, bytes, true)
    }

    /// Writes a version of a role, which must not be there yet.
    pub(super) fn put_version(
        &self,
        version: u64,
        role: &str,
        bytes: &[u8],
    ) -> Result<(), RepositoryError> {
        let path = self.metadata.join(format!("{version}.{role}.json"));
        put(&path, bytes, false)
    }

    /// Writes the timestamp, once everything before it has reached the disk.
    pub(super) fn put_timestamp(&self, bytes: &[u8]) -> Result<(), RepositoryError> {
        sync(&self.metadata)?;
        sync(&self.targets)?;
        put(&self.metadata.join("timestamp.json"), bytes, true)?;
        sync(&self.metadata)
    }

    pub(super) fn remove_version(&self, version: u64, role: &str) -> Result<(), RepositoryError> {
        remove(&self.metadata.join(format!("{version}.{role}.json")))
    }

    pub(super) fn remove_target(&self, name: &str, hash: &str) -> Result<(), RepositoryError> {
        remove(&self.target_path(name, hash))
    }

    fn target_path(&self, name: &str, hash: &str) -> PathBuf {
        match name.rsplit_once('/') {
            Some((folder, name)) => self.targets.join(folder).join(format!("{hash}.{name}")),
            None => self.targets.join(format!("{hash}.{name}")),
        }
    }
}

/// Writes beside `path` first, so that nobody reads half of it.
fn put(path: &Path, bytes: &[u8], over: bool) -> Result<(), RepositoryError> {
    let files = |source| RepositoryError::Files {
        source: std::io::Error::other(format!("{}: {source}", path.display())),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // It is signed and not secret, and another user may serve it.
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let folder = path.parent().unwrap_or(path);
    let mut file = builder.tempfile_in(folder).map_err(files)?;
    file.write_all(bytes).map_err(files)?;
    file.as_file().sync_all().map_err(files)?;
    let persisted = if over {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(RepositoryError::Concurrent)
        }
        Err(error) => Err(files(error.error)),
    }
}

fn sync(folder: &Path) -> Result<(), RepositoryError> {
    let folder = fs_err::File::open(folder).map_err(RepositoryError::files)?;
    folder.sync_all().map_err(RepositoryError::files)
}

fn remove(path: &Path) -> Result<(), RepositoryError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RepositoryError::files(error))
        }
        _ => Ok(()),
    }
}
