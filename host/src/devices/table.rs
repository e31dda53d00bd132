//! All devices as their files were last seen, for looking up.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use jiff::Timestamp;

use super::admission::{NotAdmitted, named};
use super::class::Rules;
use super::disk::ASIDE;
use super::file::{DeviceFile, FileError};
use super::{Device, Fault, Registered, Standing};
use crate::error_chain::ErrorChain;
use crate::names::PartyName;
use crate::tls::{Fingerprint, Identity};

/// Files that are looked at; others are reported and leave no device.
pub(super) const DEVICES_MAX: usize = 20_000;
/// Bytes of what is said about a file.
const REASON_BYTES_MAX: usize = 500;
const ENDING: &str = "toml";

/// The devices, and what is wrong with their files.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<PartyName, Entry>,
    /// Whose certificate it is; none, if it is of several.
    certificates: HashMap<Fingerprint, Option<PartyName>>,
    pub(super) faults: Vec<Fault>,
    /// When it has to be made again though no file changed.
    pub(super) next_change: Option<Timestamp>,
}

/// One file.
#[derive(Clone, Debug)]
struct Entry {
    stamp: Stamp,
    file: Arc<DeviceFile>,
    registered: Arc<Registered>,
    fault: Option<Fault>,
    /// The fault is that it could not be looked at or read, which may pass without a
    /// change: the stamp is that of the file as it was before.
    unread: bool,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    bytes: u64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs_err::metadata(path)?;
        if !metadata.is_file() {
            // Reading a pipe would never end.
            let text = format!("{} is not a file", path.display());
            return Err(io::Error::other(text));
        }
        Ok(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            bytes: metadata.len(),
        })
    }
}

impl Table {
    /// What the files in `folder` say now. A file that is as it was is not read; one
    /// that cannot be used leaves the device as it was before.
    pub(super) fn read(
        folder: &Path,
        rules: &Rules,
        before: &Self,
        now: Timestamp,
    ) -> io::Result<Self> {
        let mut table = Self::default();
        let mut count = 0;
        for path in files(folder)? {
            let path = path?;
            count += 1;
            if count > DEVICES_MAX {
                let reason = format!("there are more than {DEVICES_MAX} files of devices");
                table
                    .faults
                    .push(Fault::new(folder, "devices-too-many", reason));
                break;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let Ok(name) = name.parse::<PartyName>() else {
                let reason = "its name without `.toml` is no device's: expected 1 to 63 of a-z, \
                              0-9 and `-`";
                table
                    .faults
                    .push(Fault::new(&path, "device-name-invalid", reason.to_owned()));
                continue;
            };
            let old = before.entries.get(&name);
            match Entry::read(&path, &name, old, (rules, now)) {
                Ok(entry) => drop(table.entries.insert(name, entry)),
                Err(fault) => table.faults.push(fault),
            }
        }
        table.index(now);
        Ok(table)
    }

    fn index(&mut self, now: Timestamp) {
        for (name, entry) in &self.entries {
            self.faults.extend(entry.fault.clone());
            let next = entry.file.next_change(now);
            self.next_change = self.next_change.into_iter().chain(next).min();
            for fingerprint in &entry.registered.device.fingerprints {
                self.certificates
                    .entry(*fingerprint)
                    .and_modify(|of| *of = None)
                    .or_insert_with(|| Some(name.clone()));
            }
        }
        self.faults.sort_by(|a, b| a.path.cmp(&b.path));
    }

    pub(super) fn admit(&self, identity: &Identity) -> Result<Arc<Device>, NotAdmitted> {
        let fingerprint = identity.fingerprint;
        match self.certificates.get(&fingerprint) {
            Some(Some(name)) => return self.find(name),
            Some(None) => return Err(NotAdmitted::OfSeveral(fingerprint)),
            None => {}
        }
        let name = named(identity).ok_or(NotAdmitted::NamesNobody(fingerprint))?;
        let device = self.find(&name)?;
        let file = self.entries.get(&name).map(|entry| &entry.file);
        // Also if the time of all that are listed has ended.
        let lists =
            |file: &Arc<DeviceFile>| !file.fingerprints.is_empty() || !file.retiring.is_empty();
        if file.is_some_and(lists) {
            return Err(NotAdmitted::NotRegistered {
                device: name,
                fingerprint,
            });
        }
        Ok(device)
    }

    pub(super) fn find(&self, name: &PartyName) -> Result<Arc<Device>, NotAdmitted> {
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| NotAdmitted::UnknownDevice(name.clone()))?;
        match entry.registered.standing {
            Standing::Good => Ok(Arc::clone(&entry.registered.device)),
            Standing::Disabled => Err(NotAdmitted::Disabled(name.clone())),
            Standing::Revoked => Err(NotAdmitted::Revoked(name.clone())),
        }
    }

    pub(super) fn registered(&self) -> impl Iterator<Item = &Arc<Registered>> {
        self.entries.values().map(|entry| &entry.registered)
    }

    /// Whether somebody would be admitted otherwise by the other.
    pub(super) fn admits_like(&self, other: &Self) -> bool {
        self.registered().eq(other.registered())
    }
}

impl Entry {
    fn read(
        path: &Path,
        name: &PartyName,
        old: Option<&Self>,
        (rules, now): (&Rules, Timestamp),
    ) -> Result<Self, Fault> {
        let fault = |error: FileError| {
            let mut reason = ErrorChain(&error).to_string().replace('\n', " ");
            reason.retain(|char| !char.is_control());
            reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
            Fault::new(path, error.code(), reason)
        };
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let stamp = match (Stamp::of(path), old) {
            (Ok(stamp), _) => stamp,
            (Err(error), Some(old)) if !gone(&error) => {
                return Ok(Self {
                    fault: Some(fault(error.into())),
                    unread: true,
                    ..old.as_of(name, rules, now)
                });
            }
            (Err(error), _) => return Err(fault(error.into())),
        };
        let same = old.filter(|old| old.stamp == stamp);
        if let Some(same) = same
            && same.fault.is_some()
            && !same.unread
        {
            return Ok(same.as_of(name, rules, now));
        }
        let read = || match same {
            Some(same) => Ok(Arc::clone(&same.file)),
            None => DeviceFile::read(path).map(Arc::new),
        };
        let whole = read().and_then(|file| {
            let device = file.device(name, rules, now)?;
            Ok((file, device))
        });
        match (whole, old) {
            (Ok((file, device)), _) => Ok(Self {
                stamp,
                registered: Arc::new(Registered::new(device, &file)),
                file,
                fault: None,
                unread: false,
            }),
            (Err(error), Some(old)) => Ok(Self {
                stamp: match error {
                    FileError::Io(_) => old.stamp,
                    _ => stamp,
                },
                unread: matches!(error, FileError::Io(_)),
                fault: Some(fault(error)),
                ..old.as_of(name, rules, now)
            }),
            (Err(error), None) => Err(fault(error)),
        }
    }
}

impl Entry {
    /// The same, without the certificates whose time has ended.
    fn as_of(&self, name: &PartyName, rules: &Rules, now: Timestamp) -> Self {
        let mut entry = self.clone();
        if let Ok(device) = self.file.device(name, rules, now) {
            entry.registered = Arc::new(Registered::new(device, &self.file));
        }
        entry
    }
}

/// What may be files of devices. None, if there is no folder.
fn files(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<PathBuf>>> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let paths = entries.into_iter().flatten();
    let paths = paths.map(|entry| Ok(entry?.path()));
    Ok(paths.filter(|path: &io::Result<PathBuf>| match path {
        Ok(path) => {
            let unfinished = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(ASIDE));
            !unfinished && path.extension().is_some_and(|ending| ending == ENDING)
        }
        Err(_) => true,
    }))
}

/// Whose files there are.
pub(super) fn names(folder: &Path) -> io::Result<Vec<PartyName>> {
    let mut names = Vec::new();
    for path in files(folder)?.take(DEVICES_MAX) {
        let path = path?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        names.extend(name.parse::<PartyName>());
    }
    names.sort();
    Ok(names)
}

/// What the file of a device is called.
pub(super) fn file(name: &PartyName) -> String {
    format!("{name}.{ENDING}")
}
