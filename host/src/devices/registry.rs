//! The devices that are known here, as their files say.
//!
//! Looking up never touches the disk. What changed is told to whoever watches;
//! it then asks again about everyone it let in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use super::disk::{Folder, PRIVATE};
use super::table::{self, Table};
use super::{Device, DeviceFile, FileError, NotAdmitted, Revoked, Rules};
use crate::names::PartyName;
use crate::tls::Identity;

/// The folder of devices' files within the data directory.
const FOLDER: &str = "devices";

/// Why it is not known who the devices are.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// Its text names the path.
    #[error("cannot look up the devices")]
    Folder(#[from] io::Error),
}

/// A device and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub device: Arc<Device>,
    pub standing: Standing,
    pub revoked: Option<Revoked>,
    pub created: Option<Timestamp>,
    pub note: Option<String>,
}

/// Whether a device is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    Disabled,
    Revoked,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub path: PathBuf,
    pub code: &'static str,
    /// One line without control characters.
    pub reason: String,
}

/// The devices. Clones are the same.
#[derive(Clone, Debug)]
pub struct Devices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    rules: Rules,
    table: ArcSwap<Table>,
    changes: watch::Sender<u64>,
    /// Held while files are read.
    reading: Mutex<()>,
}

impl Fault {
    pub(super) fn new(path: &Path, code: &'static str, reason: String) -> Self {
        let path = path.to_owned();
        Self { path, code, reason }
    }
}

impl Registered {
    pub(super) fn new(device: Device, file: &DeviceFile) -> Self {
        let standing = match (&file.revoked, file.disabled) {
            (Some(_), _) => Standing::Revoked,
            (None, true) => Standing::Disabled,
            (None, false) => Standing::Good,
        };
        Self {
            device: Arc::new(device),
            standing,
            revoked: file.revoked.clone(),
            created: file.created,
            note: file.note.clone(),
        }
    }
}

impl Devices {
    /// The devices whose files are in `data_directory`, as they are now. Files that
    /// cannot be used leave no device and are reported. Touches the disk.
    pub fn open(data_directory: &Path, rules: Rules) -> Result<Self, DevicesError> {
        let folder = folder(data_directory);
        if !folder.is_dir() {
            Folder::make(&folder)?;
        }
        Self::read(data_directory, rules)
    }

    /// The same, and makes no folder.
    pub fn read(data_directory: &Path, rules: Rules) -> Result<Self, DevicesError> {
        let devices = Self(Arc::new(Inner {
            folder: folder(data_directory),
            rules,
            table: ArcSwap::default(),
            changes: watch::Sender::new(0),
            reading: Mutex::new(()),
        }));
        devices.reload()?;
        Ok(devices)
    }

    /// Whose certificate this is, if it lets in. The chain is verified by whoever
    /// asks.
    pub fn admit(&self, identity: &Identity) -> Result<Arc<Device>, NotAdmitted> {
        self.0.table.load().admit(identity)
    }

    /// The device called `name`, if it may come in at all.
    pub fn find(&self, name: &PartyName) -> Result<Arc<Device>, NotAdmitted> {
        self.0.table.load().find(name)
    }

    /// All devices, by name.
    pub fn list(&self) -> Vec<Arc<Registered>> {
        self.0.table.load().registered().cloned().collect()
    }

    /// What is wrong with files now.
    pub fn faults(&self) -> Vec<Fault> {
        self.0.table.load().faults.clone()
    }

    /// Changes whenever a device came, went or may do something else: then ask
    /// again about everyone who is in.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Reads the files again that changed. Touches the disk.
    pub fn reload(&self) -> Result<(), DevicesError> {
        let _reading = self.0.reading.lock();
        let before = self.0.table.load_full();
        let now = Timestamp::now();
        let table = Table::read(&self.0.folder, &self.0.rules, &before, now)?;
        for fault in &table.faults {
            if !before.faults.contains(fault) {
                let (path, reason) = (fault.path.display(), &fault.reason);
                warn!(code = fault.code, %path, reason, "file of a device not used");
            }
        }
        let same = table.admits_like(&before);
        let count = table.registered().count();
        self.0.table.store(Arc::new(table));
        if !same {
            info!(devices = count, "devices read");
            self.0.changes.send_modify(|number| *number += 1);
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// When something changes though no file does.
    pub(super) fn next_change(&self) -> Option<Timestamp> {
        self.0.table.load().next_change
    }
}

/// The files of devices, for whoever changes them. The host sees it by itself.
impl DeviceFile {
    /// Where the file of `name` is.
    pub fn path(data_directory: &Path, name: &PartyName) -> PathBuf {
        folder(data_directory).join(table::file(name))
    }

    /// Whose files there are.
    pub fn names(data_directory: &Path) -> Result<Vec<PartyName>, FileError> {
        Ok(table::names(&folder(data_directory))?)
    }

    /// The file of `name`, if there is one.
    pub fn load(data_directory: &Path, name: &PartyName) -> Result<Option<Self>, FileError> {
        match Self::read(&Self::path(data_directory, name)) {
            Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Writes the file of a device that has none.
    pub fn create(&self, data_directory: &Path, name: &PartyName) -> Result<(), FileError> {
        let folder = Folder::make(data_directory)?.make_within(Path::new(FOLDER))?;
        let text = self.checked_text()?;
        Ok(folder.create(&table::file(name), text.as_bytes(), PRIVATE)?)
    }

    /// Writes the file of a device in place of the one it has.
    pub fn replace(&self, data_directory: &Path, name: &PartyName) -> Result<(), FileError> {
        let folder = Folder::open(data_directory)?.within(Path::new(FOLDER))?;
        let text = self.checked_text()?;
        Ok(folder.replace(&table::file(name), text.as_bytes(), PRIVATE)?)
    }

    /// Removes the file of a device.
    pub fn remove(data_directory: &Path, name: &PartyName) -> Result<(), FileError> {
        let folder = Folder::open(data_directory)?.within(Path::new(FOLDER))?;
        Ok(folder.remove(&table::file(name))?)
    }
}

/// Where devices' files are.
fn folder(data_directory: &Path) -> PathBuf {
    data_directory.join(FOLDER)
}
