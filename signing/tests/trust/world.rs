//! Repositories in a directory of their own, and devices that read them.

#![expect(
    clippy::disallowed_methods,
    reason = "`fs_err` is no dependency of this crate, which has no input or output"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_signer::{Lifetimes, RepositoryKeys, SigningKey, TrustRepository};
use selvedge_signing::{Policy, RepositoryFiles, StoredTrust, Trust, TrustError};

/// When nothing has expired yet.
pub(crate) const NOW: &str = "2026-01-15T00:00:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

pub(crate) fn keys() -> RepositoryKeys {
    RepositoryKeys {
        root: vec![key()],
        targets: vec![key()],
        online: key(),
    }
}

/// A policy that says which one it is, and its file.
pub(crate) fn policy(number: u32) -> Policy {
    let text = format!(
        r#"{{ "v": 1, "trust": {{ "main": "roots/trusted_root.json" }},
              "floor": {{ "acme/thermostat": "1.0.{number}" }} }}"#
    );
    Policy::parse(text.as_bytes()).unwrap()
}

pub(crate) fn files(number: u32) -> Vec<(String, Bytes)> {
    let root = format!(r#"{{"number": {number}}}"#);
    vec![("roots/trusted_root.json".to_owned(), Bytes::from(root))]
}

/// An empty directory, removed with this value.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "trust-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// An operator's repository.
pub(crate) struct Site {
    pub(crate) directory: Folder,
    pub(crate) keys: RepositoryKeys,
    pub(crate) repository: TrustRepository,
    /// What devices were given.
    pub(crate) root: Vec<u8>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::at(now(), keys())
    }

    pub(crate) fn at(now: Timestamp, keys: RepositoryKeys) -> Self {
        let directory = Folder::new();
        let repository = TrustRepository::create(
            &directory.0.join("site"),
            &keys,
            &policy(1),
            &files(1),
            Lifetimes::default(),
            now,
        )
        .unwrap();
        let root = repository.root().to_vec();
        Self {
            directory,
            keys,
            repository,
            root,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.0.join("site")
    }

    pub(crate) fn publish(&mut self, number: u32) {
        self.repository
            .publish(
                &self.keys,
                &policy(number),
                &files(number),
                Lifetimes::default(),
                now(),
            )
            .unwrap();
    }

    /// Exchanges all keys.
    pub(crate) fn rotate(&mut self) {
        let new = keys();
        self.repository
            .rotate(&self.keys.root, &new, Lifetimes::default(), now())
            .unwrap();
        self.keys = new;
    }

    pub(crate) fn copy(&self) -> RepositoryFiles {
        read_files(&self.path())
    }
}

/// A device: the root that it was given, and what it keeps.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) root: Vec<u8>,
    pub(crate) stored: StoredTrust,
}

impl Device {
    pub(crate) fn new(root: &[u8]) -> Self {
        Self {
            root: root.to_vec(),
            stored: StoredTrust::default(),
        }
    }

    /// Reads the repository and keeps it; which policy it was.
    pub(crate) fn update(&mut self, offered: RepositoryFiles) -> Result<u32, TrustError> {
        self.update_at(offered, now())
    }

    pub(crate) fn update_at(
        &mut self,
        offered: RepositoryFiles,
        now: Timestamp,
    ) -> Result<u32, TrustError> {
        let (_, stored) = Trust::update(&self.root, &self.stored, offered, now)?;
        // What is kept must be believed when it is read back.
        let json = serde_json::to_vec(&stored).unwrap();
        self.stored = serde_json::from_slice(&json).unwrap();
        assert_eq!(self.stored, stored);
        Trust::resume(&self.root, &self.stored).unwrap();
        Ok(self.number())
    }

    /// Why the repository is refused, which must change nothing.
    pub(crate) fn refuses(&self, offered: RepositoryFiles) -> &'static str {
        let error = Trust::update(&self.root, &self.stored, offered, now()).unwrap_err();
        error.code()
    }

    /// Which policy is kept.
    pub(crate) fn number(&self) -> u32 {
        number(&self.stored)
    }
}

/// Which policy this is.
pub(crate) fn number(stored: &StoredTrust) -> u32 {
    let policy = target(stored, "policy.json");
    let policy: serde_json::Value = serde_json::from_slice(&policy).unwrap();
    let version = policy["floor"]["acme/thermostat"].as_str().unwrap();
    version.strip_prefix("1.0.").unwrap().parse().unwrap()
}

/// A target as it is kept.
pub(crate) fn target(stored: &StoredTrust, name: &str) -> Vec<u8> {
    use base64::Engine as _;
    let json = serde_json::to_value(stored).unwrap();
    let text = json["files"][name].as_str().unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// All files below `directory`, as a host hands them in.
pub(crate) fn read_files(directory: &Path) -> RepositoryFiles {
    let mut files = RepositoryFiles::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in read_dir(&folder) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let name = entry.strip_prefix(directory).unwrap();
            files.insert(name.to_str().unwrap().to_owned(), read(&entry));
        }
    }
    files
}

fn read_dir(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn read(file: &Path) -> Bytes {
    Bytes::from(std::fs::read(file).unwrap())
}

pub(crate) fn write(file: &Path, bytes: &[u8]) {
    std::fs::write(file, bytes).unwrap();
}
