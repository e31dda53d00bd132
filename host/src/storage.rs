//! What must outlast the process: one embedded store in the data directory.
//!
//! Every write is on the disk before it is acknowledged. This module knows
//! buckets and quotas; whose bucket it is, and who may open it, is decided
//! above.

mod bucket;
mod creation;
mod device_key;
mod files;
mod log;

use std::collections::HashMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;

pub use bucket::{Bucket, BucketError, KEY_BYTES_MAX};
pub use device_key::DeviceKey;
pub use files::{FILE_BYTES_MAX, FileError, FileStore};
pub use log::{LOG_ENTRY_BYTES_MAX, LOG_NAME_BYTES_MAX, Lane, Log, LogError, entry_size};

/// Bytes of cache and of journal that the store may hold.
const CACHE_BYTES: u64 = 4 << 20;
const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// Bytes of logs that are kept in memory until they are written out: most entries
/// go before.
const LOGS_MEMORY_BYTES_MAX: u64 = 8 << 20;

/// What is written to find out whether the disk takes anything.
const TRIAL_FILE: &str = "trial";
const TRIAL_BYTES: usize = 256 << 10;

/// What is used of each bucket that somebody has open.
type InUse = Mutex<HashMap<String, Weak<Mutex<u64>>>>;

/// The logs that somebody has open.
type OpenLogs = Mutex<HashMap<String, Weak<log::Shared>>>;

/// The store in the data directory.
#[derive(Clone)]
pub struct Storage {
    database: Database,
    buckets: Keyspace,
    directory: Arc<Path>,
    in_use: Arc<InUse>,
    logs: Keyspace,
    open_logs: Arc<OpenLogs>,
    sync: Arc<log::GroupSync>,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("cannot open the store in {path}", path = path.display())]
    Open { path: PathBuf, source: fjall::Error },
    #[error("the store in {path} is in use by another host", path = path.display())]
    InUse { path: PathBuf },
    #[error("cannot prepare the data directory")]
    Directory(#[from] std::io::Error),
    #[error(
        "others may write to {path}: run `chmod go-w` on it, after making sure that what is in it is yours",
        path = path.display()
    )]
    Writable { path: PathBuf },
    #[error("{path} is not a device key: expected 32 bytes, found {found}", path = path.display())]
    Key { path: PathBuf, found: usize },
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Storage {
    /// Opens the store below `directory`, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, StorageError> {
        prepare(directory)?;
        let path = directory.join("store");
        let open = |path: &Path| {
            let database = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .worker_threads(1)
                .open()?;
            let buckets = database.keyspace("buckets", KeyspaceCreateOptions::default)?;
            // Their own: what is removed from them does not slow the buckets.
            let logs = database.keyspace("logs", || {
                KeyspaceCreateOptions::default().max_memtable_size(LOGS_MEMORY_BYTES_MAX)
            })?;
            Ok((database, buckets, logs))
        };
        let opened = creation::make_whole(&path, |aside| open(aside).map(drop));
        let opened = opened.and_then(|()| open(&path));
        let (database, buckets, logs) = opened.map_err(|error| {
            let path = path.clone();
            match error {
                fjall::Error::Locked => StorageError::InUse { path },
                source => StorageError::Open { path, source },
            }
        })?;
        creation::clear(&path)?;
        Ok(Self {
            database,
            buckets,
            directory: directory.into(),
            in_use: Arc::default(),
            logs,
            open_logs: Arc::default(),
            sync: Arc::default(),
        })
    }

    /// Opens the bucket called `name`, which may hold `bytes_max`. All who have it
    /// open count together, each against its own quota.
    pub fn bucket(&self, name: &str, bytes_max: u64) -> Result<Bucket, BucketError> {
        // Held while it is counted: nobody writes before it is.
        let mut in_use = self.in_use.lock();
        in_use.retain(|_, used| used.strong_count() > 0);
        let used = in_use.get(name).and_then(Weak::upgrade);
        let (database, keyspace) = (self.database.clone(), self.buckets.clone());
        let bucket = Bucket::open(database, keyspace, name, bytes_max, used)?;
        in_use.insert(name.to_owned(), bucket.used());
        Ok(bucket)
    }

    /// Opens the log called `name`, which may hold `bytes_max`. All who have it open
    /// share it, each with its own quota.
    pub fn log(&self, name: &str, bytes_max: u64) -> Result<Log, LogError> {
        // Held while it is counted: nobody writes before it is.
        let mut open = self.open_logs.lock();
        if let Some(shared) = open.get(name).and_then(Weak::upgrade) {
            return Ok(Log::new(shared, bytes_max));
        }
        let (database, keyspace) = (self.database.clone(), self.logs.clone());
        let shared = log::Shared::open(database, keyspace, Arc::clone(&self.sync), name)?;
        let shared = Arc::new(shared);
        open.retain(|_, log| log.strong_count() > 0);
        open.insert(name.to_owned(), Arc::downgrade(&shared));
        Ok(Log::new(shared, bytes_max))
    }

    /// The names of the logs that begin with `prefix`, in order: of those that
    /// anything was ever appended to.
    pub fn log_names(&self, prefix: &str) -> Result<Vec<String>, LogError> {
        log::names(&self.logs, prefix)
    }

    /// Forgets the log called `name`, its numbers included; false if somebody has
    /// it open.
    pub fn forget_log(&self, name: &str) -> Result<bool, LogError> {
        let open = self.open_logs.lock();
        if open.get(name).is_some_and(|log| log.strong_count() > 0) {
            return Ok(false);
        }
        log::forget(&self.database, &self.logs, name)?;
        Ok(true)
    }

    /// The files that deployments were handed in with.
    pub fn files(&self) -> Result<FileStore, FileError> {
        FileStore::open(&self.directory.join("files"))
    }

    /// What it takes on the disk, if that can be told.
    pub fn disk_bytes(&self) -> Option<u64> {
        self.database.disk_space().ok()
    }

    /// Whether nothing is written any more until the store is opened anew: so it is
    /// after any write that failed. May wait for a write of somebody else.
    pub fn is_lost(&self) -> bool {
        self.database.persist(PersistMode::Buffer).is_err()
    }

    /// Whether the disk takes as much as a store needs to go on: writes a file beside
    /// it, and removes it.
    pub fn try_disk(&self) -> std::io::Result<()> {
        let path = self.directory.join(TRIAL_FILE);
        let mut file = fs_err::File::create(&path)?;
        let written = file.write_all(&[0; TRIAL_BYTES]);
        let written = written.and_then(|()| file.sync_all());
        drop(file);
        fs_err::remove_file(path)?;
        written
    }

    /// This device's own secret, made on first use.
    pub fn device_key(&self) -> Result<DeviceKey, StorageError> {
        DeviceKey::load(&self.directory.join("device.key"))
    }
}

/// Makes the directory for its owner alone. What is in it is trusted, native code
/// included, so one that others may write to is refused.
fn prepare(directory: &Path) -> Result<(), StorageError> {
    if fs_err::metadata(directory).is_err() {
        fs_err::create_dir_all(directory)?;
        fs_err::set_permissions(directory, Permissions::from_mode(0o700))?;
    }
    if fs_err::metadata(directory)?.permissions().mode() & 0o022 != 0 {
        let path = directory.to_owned();
        return Err(StorageError::Writable { path });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Permissions, Storage, StorageError};

    #[test]
    fn the_directory_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("var/data");
        drop(Storage::open(&data).unwrap());
        let mode = fs_err::metadata(&data).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs_err::set_permissions(&data, Permissions::from_mode(0o777)).unwrap();
        let refused = Storage::open(&data).unwrap_err();
        assert!(
            matches!(refused, StorageError::Writable { .. }),
            "{refused}"
        );
    }
}
