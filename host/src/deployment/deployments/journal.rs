//! The form in which deployments are remembered on the disk: one JSON record for
//! each thing, each with its version.
//!
//! What a step changes is written together. A record that cannot be read is
//! named and left out; the others count, and its number is not given out again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::state::State;
use crate::deployment::report::DeploymentId;
use crate::storage::{Bucket, BucketError, FileError, Storage};

/// Names of plugins have no `$`.
const BUCKET: &str = "$deployment";
/// Bytes of all records: some thirty documents, the largest of which take two
/// million each, and what is told of two hundred deployments.
const BYTES_MAX: u64 = 96 << 20;
/// The version of the records.
const VERSION: u32 = 1;

const LAST: &str = "next";
const ACTIVE: &str = "active";
const UNDER_WAY: &str = "under-way";
const QUEUE: &str = "queue";
const STOPPED: &str = "stopped";
const REPORT: &str = "report/";
const DOCUMENT: &str = "document/";

/// Why deployments cannot be remembered.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot read or write the journal of deployments")]
    Bucket(#[from] BucketError),
    #[error("the record `{key}` of the journal of deployments cannot be understood")]
    Unreadable {
        key: String,
        source: serde_json::Error,
    },
    #[error(
        "the record `{key}` of the journal of deployments has version {version}, of a newer host"
    )]
    Newer { key: String, version: u32 },
    #[error("cannot open the files that were handed in")]
    Files(#[from] FileError),
    #[error("writing the journal of deployments did not end")]
    Interrupted,
}

/// What is on the disk.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    bucket: Bucket,
}

#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
struct Record<T> {
    version: u32,
    /// Must be there, also where it may be null.
    #[serde(deserialize_with = "T::deserialize")]
    value: T,
}

/// What changes on the disk: keys with their new values, or none.
pub(super) type Changes = BTreeMap<String, Option<Vec<u8>>>;

impl Journal {
    pub(super) fn open(storage: &Storage) -> Result<Self, JournalError> {
        Self::within(storage, BYTES_MAX)
    }

    /// The same with another quota.
    pub(super) fn within(storage: &Storage, bytes_max: u64) -> Result<Self, JournalError> {
        let bucket = storage.bucket(BUCKET, bytes_max)?;
        Ok(Self { bucket })
    }

    /// What is remembered, and what of it cannot be read. Blocks.
    pub(super) fn read(&self) -> Result<(State, Vec<JournalError>), JournalError> {
        let mut state = State::default();
        let mut unreadable = Vec::new();
        let (mut seen, mut numbered) = (0, 0);
        loop {
            let (keys, more) = self.bucket.keys(seen)?;
            seen += keys.len() as u64;
            for key in &keys {
                let Some(bytes) = self.bucket.get(key)? else {
                    continue;
                };
                numbered = numbered.max(number(key).unwrap_or_default());
                unreadable.extend(take(&mut state, key, &bytes).err());
            }
            if !more {
                // A newer host's, which it may want to read again.
                state.last = state.last.max(numbered);
                return Ok((state, unreadable));
            }
        }
    }

    /// Writes `changes` together; on the disk when this returns. Blocks.
    pub(super) fn write(&self, changes: &Changes) -> Result<(), JournalError> {
        let changes: Vec<_> = changes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        Ok(self.bucket.apply(&changes)?)
    }
}

/// The number of the deployment that a record is about.
fn number(key: &str) -> Option<u64> {
    let digits = key.strip_prefix(REPORT).or(key.strip_prefix(DOCUMENT));
    digits?.parse().ok()
}

/// Puts one record in its place.
fn take(state: &mut State, key: &str, bytes: &[u8]) -> Result<(), JournalError> {
    let id = |digits: &str| digits.parse().ok().map(DeploymentId);
    match key {
        LAST => state.last = parse(key, bytes)?,
        ACTIVE => state.active = parse(key, bytes)?,
        UNDER_WAY => state.under_way = parse(key, bytes)?,
        QUEUE => state.queue = parse(key, bytes)?,
        STOPPED => state.stopped = parse(key, bytes)?,
        _ => {
            if let Some(id) = key.strip_prefix(REPORT).and_then(id) {
                state.reports.insert(id, Arc::new(parse(key, bytes)?));
            } else if let Some(id) = key.strip_prefix(DOCUMENT).and_then(id) {
                state.documents.insert(id, Arc::new(parse(key, bytes)?));
            }
            // A record of another kind is a newer host's, and not in the way.
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, JournalError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let unreadable = |source| JournalError::Unreadable {
        key: key.to_owned(),
        source,
    };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if version != VERSION {
        let key = key.to_owned();
        return Err(JournalError::Newer { key, version });
    }
    let record: Record<T> = serde_json::from_slice(bytes).map_err(unreadable)?;
    Ok(record.value)
}

fn record(value: &impl Serialize) -> Vec<u8> {
    let version = VERSION;
    serde_json::to_vec(&Record { version, value }).expect("records are plain data")
}

/// What must be written so that `old` becomes `new`.
pub(super) fn changes(old: &State, new: &State) -> Changes {
    let mut changes = Changes::new();
    let mut set = |key: &str, changed: bool, value: &dyn Fn() -> Vec<u8>| {
        if changed {
            changes.insert(key.to_owned(), Some(value()));
        }
    };
    set(LAST, old.last != new.last, &|| record(&new.last));
    set(ACTIVE, old.active != new.active, &|| record(&new.active));
    let moved = old.under_way != new.under_way;
    set(UNDER_WAY, moved, &|| record(&new.under_way));
    set(QUEUE, old.queue != new.queue, &|| record(&new.queue));
    let stopped = old.stopped != new.stopped;
    set(STOPPED, stopped, &|| record(&new.stopped));
    each(&mut changes, REPORT, &old.reports, &new.reports);
    each(&mut changes, DOCUMENT, &old.documents, &new.documents);
    changes
}

fn each<T: Serialize>(
    changes: &mut Changes,
    kind: &str,
    old: &BTreeMap<DeploymentId, Arc<T>>,
    new: &BTreeMap<DeploymentId, Arc<T>>,
) {
    let ids: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for id in ids {
        let key = || format!("{kind}{:020}", id.0);
        match (old.get(id), new.get(id)) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {}
            (_, Some(new)) => drop(changes.insert(key(), Some(record(&**new)))),
            (_, None) => drop(changes.insert(key(), None)),
        }
    }
}

#[cfg(test)]
mod tests;
