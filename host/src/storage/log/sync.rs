//! One sync for all who wrote before it.

use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, PersistMode};
use parking_lot::Mutex;

/// Lets writers of one database share syncs: whoever waits while another syncs is
/// served, together with all others who wait, by the one that follows.
#[derive(Debug, Default)]
pub(crate) struct GroupSync {
    written: AtomicU64,
    /// The last write that a sync covers.
    synced: Mutex<u64>,
}

impl GroupSync {
    /// Returns when what the caller has written is on the disk.
    pub(super) fn sync(&self, database: &Database) -> Result<(), fjall::Error> {
        let own = self.written.fetch_add(1, Ordering::AcqRel) + 1;
        let mut synced = self.synced.lock();
        if *synced >= own {
            return Ok(());
        }
        let written = self.written.load(Ordering::Acquire);
        database.persist(PersistMode::SyncData)?;
        *synced = written;
        Ok(())
    }
}
