//! An ordered durable queue: lanes of numbered entries, oldest first.
//!
//! What [`Log::append`] has returned for is on the disk; several logs that append
//! at the same time share one sync. A removal costs none: it survives the end of
//! the process, but after a power failure an entry removed shortly before may be
//! there again, never the other way round. Numbers grow over all lanes, restarts
//! included. What entries mean, and when one may go, is decided above.

mod state;
mod sync;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Database, Keyspace, PersistMode};
use parking_lot::Mutex;

use self::state::State;
pub(super) use self::sync::GroupSync;

/// Which of a log's queues an entry is in; read in any order the owner likes.
pub type Lane = u8;

/// Bytes in the name of a log.
pub const LOG_NAME_BYTES_MAX: usize = 256;

/// Bytes in one entry.
pub const LOG_ENTRY_BYTES_MAX: usize = 1 << 20;

/// What an entry takes on the disk beside its own bytes.
const ENTRY_BYTES: u64 = 64;

/// Entries removed in one step when many are, and about how many bytes of them are
/// read for that.
const REMOVED_AT_ONCE: usize = 1_024;
const REMOVED_BYTES: usize = 4 << 20;

/// What keys begin with: an entry's, and that of a log's next number.
const ENTRY: &[u8] = b"e\0";
const NUMBER: &[u8] = b"n\0";

/// An ordered durable queue. Its methods touch the disk: call them where blocking
/// is allowed. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    bytes_max: u64,
}

/// What all who have a log open have in common.
pub(super) struct Shared {
    database: Database,
    keyspace: Keyspace,
    sync: Arc<GroupSync>,
    /// The key of its next number.
    number_key: Vec<u8>,
    /// What its entries' keys begin with.
    prefix: Vec<u8>,
    /// Held while entries come and go, not while they are synced.
    state: Mutex<State>,
}

/// Why a log did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the store failed")]
    Store(#[from] fjall::Error),
    #[error("a log's name has {0} bytes; 1 to {LOG_NAME_BYTES_MAX} without NUL are allowed")]
    Name(usize),
    #[error("an entry has {0} bytes; {LOG_ENTRY_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("the quota of {bytes_max} bytes is reached: {needed} would be used")]
    Full { bytes_max: u64, needed: u64 },
}

impl LogError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "store-failed",
            Self::Name(_) => "log-name-invalid",
            Self::TooLarge(_) => "entry-too-large",
            Self::Full { .. } => "log-full",
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

/// What an entry of so many bytes counts against the quota.
pub fn entry_size(bytes: usize) -> u64 {
    ENTRY_BYTES + bytes as u64
}

impl Shared {
    /// Counts what is there.
    pub(super) fn open(
        database: Database,
        keyspace: Keyspace,
        sync: Arc<GroupSync>,
        name: &str,
    ) -> Result<Self, LogError> {
        check_name(name)?;
        let number_key = [NUMBER, name.as_bytes()].concat();
        // Names hold no NUL, so no log's keys begin with another's prefix.
        let prefix = [ENTRY, name.as_bytes(), b"\0"].concat();
        let mut state = State::default();
        if let Some(next) = keyspace.get(&number_key)? {
            let bytes = next.as_ref().try_into().unwrap_or_default();
            state.next = u64::from_be_bytes(bytes);
        }
        for entry in keyspace.prefix(&prefix) {
            let (key, value) = entry.into_inner()?;
            if let Some((lane, number)) = parse_key(&prefix, &key) {
                state.add(lane, number, entry_size(value.len()));
                state.next = state.next.max(number + 1);
            }
        }
        state.durable = state.next;
        Ok(Self {
            database,
            keyspace,
            sync,
            number_key,
            prefix,
            state: Mutex::new(state),
        })
    }

    fn key(&self, lane: Lane, number: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + 9);
        key.extend_from_slice(&self.prefix);
        key.push(lane);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }
}

fn check_name(name: &str) -> Result<(), LogError> {
    if (1..=LOG_NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0') {
        Ok(())
    } else {
        Err(LogError::Name(name.len()))
    }
}

fn parse_key(prefix: &[u8], key: &[u8]) -> Option<(Lane, u64)> {
    let (lane, number) = key.strip_prefix(prefix)?.split_first()?;
    Some((*lane, u64::from_be_bytes(number.try_into().ok()?)))
}

impl Log {
    pub(super) fn new(shared: Arc<Shared>, bytes_max: u64) -> Self {
        Self { shared, bytes_max }
    }

    /// Adds entries at the end of their lanes: all of them or, after a crash or an
    /// error, none; on the disk when this returns. Their numbers, in order.
    pub fn append(&self, entries: &[(Lane, Bytes)]) -> Result<Range<u64>, LogError> {
        let needed: u64 = entries
            .iter()
            .map(|(_, bytes)| entry_size(bytes.len()))
            .sum();
        if let Some((_, large)) = entries
            .iter()
            .find(|(_, bytes)| bytes.len() > LOG_ENTRY_BYTES_MAX)
        {
            return Err(LogError::TooLarge(large.len()));
        }
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        let needed = state.bytes().saturating_add(needed);
        let bytes_max = self.bytes_max;
        if entries.is_empty() {
            return Ok(state.next..state.next);
        }
        if needed > bytes_max {
            return Err(LogError::Full { bytes_max, needed });
        }
        let first = state.next;
        let mut batch = shared.database.batch();
        let mut next = first;
        for (lane, bytes) in entries {
            batch.insert(&shared.keyspace, shared.key(*lane, next), bytes.as_ref());
            next += 1;
        }
        batch.insert(
            &shared.keyspace,
            shared.number_key.as_slice(),
            next.to_be_bytes(),
        );
        // In the order of the numbers: `state` is held.
        batch.commit()?;
        for ((lane, bytes), number) in entries.iter().zip(first..) {
            state.add(*lane, number, entry_size(bytes.len()));
        }
        state.next = next;
        drop(state);
        shared.sync.sync(&shared.database)?;
        let mut state = shared.state.lock();
        state.durable = state.durable.max(next);
        Ok(first..next)
    }

    /// Up to `max` entries of a lane that follow number `after`, oldest first, of
    /// together at most `bytes_max` bytes but at least one. Never one that is not
    /// on the disk yet.
    pub fn read(
        &self,
        lane: Lane,
        after: Option<u64>,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, LogError> {
        let shared = &*self.shared;
        let (from, durable) = {
            let state = shared.state.lock();
            // What is below was removed; its traces need not be passed again.
            let floor = state.floor(lane);
            let from = after.map_or(floor, |after| after.saturating_add(1).max(floor));
            (from, state.durable)
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        if from >= durable {
            return Ok(entries);
        }
        let range = shared.key(lane, from)..shared.key(lane, durable);
        for entry in shared.keyspace.range(range).take(max) {
            let (key, value) = entry.into_inner()?;
            let Some((_, number)) = parse_key(&shared.prefix, &key) else {
                continue;
            };
            bytes += value.len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            // A copy: a part of a block would keep the whole block.
            entries.push((number, Bytes::copy_from_slice(&value)));
        }
        if after.is_none()
            && let Some((first, _)) = entries.first()
        {
            shared.state.lock().raise_floor(lane, *first);
        }
        Ok(entries)
    }

    /// Removes entries; those that are not there are passed over.
    pub fn remove(&self, entries: &[(Lane, u64)]) -> Result<(), LogError> {
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        let mut batch = shared
            .database
            .batch()
            .durability(Some(PersistMode::Buffer));
        let mut gone = Vec::with_capacity(entries.len());
        for &(lane, number) in entries {
            let key = shared.key(lane, number);
            if let Some(size) = shared.keyspace.size_of(&key)? {
                gone.push((lane, number, entry_size(size as usize)));
                batch.remove(&shared.keyspace, key);
            }
        }
        // Named twice, it counts once.
        gone.sort_unstable();
        gone.dedup();
        batch.commit()?;
        for (lane, number, size) in gone {
            state.subtract(lane, number, size);
        }
        Ok(())
    }

    /// Removes the oldest entries of a lane until at least `bytes` are free or it
    /// is empty. How many went.
    pub fn drop_oldest(&self, lane: Lane, bytes: u64) -> Result<u64, LogError> {
        let (mut freed, mut count) = (0, 0);
        while freed < bytes {
            let oldest = self.read(lane, None, REMOVED_AT_ONCE, REMOVED_BYTES)?;
            let mut going = Vec::new();
            for (number, entry) in &oldest {
                if freed >= bytes {
                    break;
                }
                freed += entry_size(entry.len());
                going.push((lane, *number));
            }
            if going.is_empty() {
                break;
            }
            count += going.len() as u64;
            self.remove(&going)?;
        }
        Ok(count)
    }

    /// Removes all entries. Numbers go on where they were.
    pub fn clear(&self) -> Result<(), LogError> {
        let lanes = self.shared.state.lock().lanes();
        for lane in lanes {
            self.drop_oldest(lane, u64::MAX)?;
        }
        Ok(())
    }

    /// Bytes used, as the quota counts them.
    pub fn bytes(&self) -> u64 {
        self.shared.state.lock().bytes()
    }

    /// Bytes used in one lane.
    pub fn lane_bytes(&self, lane: Lane) -> u64 {
        self.shared.state.lock().lane_bytes(lane)
    }

    /// Entries.
    pub fn len(&self) -> u64 {
        self.shared.state.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The names of logs that begin with `prefix`, in order.
pub(super) fn names(keyspace: &Keyspace, prefix: &str) -> Result<Vec<String>, LogError> {
    let mut names = Vec::new();
    for entry in keyspace.prefix([NUMBER, prefix.as_bytes()].concat()) {
        let key = entry.key()?;
        let name = key.get(NUMBER.len()..).unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
    }
    Ok(names)
}

/// Forgets a log that nobody has open, its numbers included.
pub(super) fn forget(database: &Database, keyspace: &Keyspace, name: &str) -> Result<(), LogError> {
    check_name(name)?;
    let prefix = [ENTRY, name.as_bytes(), b"\0"].concat();
    loop {
        let mut batch = database.batch().durability(Some(PersistMode::Buffer));
        for entry in keyspace.prefix(&prefix).take(REMOVED_AT_ONCE) {
            batch.remove(keyspace, entry.key()?);
        }
        if batch.is_empty() {
            break;
        }
        batch.commit()?;
    }
    // Last: until it is gone, the log is found and can be forgotten again.
    let mut batch = database.batch().durability(Some(PersistMode::Buffer));
    batch.remove(keyspace, [NUMBER, name.as_bytes()].concat());
    Ok(batch.commit()?)
}
