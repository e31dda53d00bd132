//! A named set of keys and values with a quota.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use fjall::{Database, Keyspace, PersistMode};
use parking_lot::Mutex;

/// Bytes in one key.
pub const KEY_BYTES_MAX: usize = 256;

/// What an entry takes on the disk beside its key and its value.
const ENTRY_BYTES: u64 = 64;

/// Keys in one answer to [`Bucket::keys`].
const PAGE: usize = 1_000;

/// A named set of keys and values. Its methods touch the disk: call them where
/// blocking is allowed.
#[derive(Clone)]
pub struct Bucket {
    database: Database,
    keyspace: Keyspace,
    prefix: Arc<[u8]>,
    bytes_max: u64,
    bytes_used: Arc<Mutex<u64>>,
}

/// Why a bucket did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("the store failed")]
    Store(#[from] fjall::Error),
    #[error("the key has {0} bytes; 1 to {KEY_BYTES_MAX} are allowed")]
    Key(usize),
    #[error("the quota of {bytes_max} bytes is reached: {needed} would be used")]
    Quota { bytes_max: u64, needed: u64 },
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl Bucket {
    pub(super) fn open(
        database: Database,
        keyspace: Keyspace,
        name: &str,
        bytes_max: u64,
        bytes_used: Option<Arc<Mutex<u64>>>,
    ) -> Result<Self, BucketError> {
        // Bucket names hold no NUL, so no bucket's keys begin with another's prefix.
        let prefix: Arc<[u8]> = [name.as_bytes(), b"\0"].concat().into();
        let count = || {
            let mut used = 0;
            for entry in keyspace.prefix(&prefix) {
                let (key, value) = entry.into_inner()?;
                used += ENTRY_BYTES + (key.len() - prefix.len() + value.len()) as u64;
            }
            Ok::<_, BucketError>(Arc::new(Mutex::new(used)))
        };
        let bytes_used = bytes_used.map_or_else(count, Ok)?;
        Ok(Self {
            database,
            keyspace,
            prefix,
            bytes_max,
            bytes_used,
        })
    }

    /// What is used, for as long as anybody has it open.
    pub(super) fn used(&self) -> Weak<Mutex<u64>> {
        Arc::downgrade(&self.bytes_used)
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, BucketError> {
        Ok(self
            .keyspace
            .get(self.full(key)?)?
            .map(|value| value.to_vec()))
    }

    /// Sets `key` to `value`; on the disk when this returns.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), BucketError> {
        let full = self.full(key)?;
        let mut used = self.bytes_used.lock();
        let old = self.size_of(&full, key)?;
        let needed = used.saturating_sub(old) + size(key, value);
        self.fits(*used, needed)?;
        self.keyspace.insert(full, value)?;
        *used = needed;
        drop(used);
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    /// Sets keys to values and removes those without one: all of it or, after a
    /// crash, nothing; on the disk when this returns. Of a key named twice the last
    /// counts.
    pub fn apply(&self, changes: &[(&str, Option<&[u8]>)]) -> Result<(), BucketError> {
        let changes: BTreeMap<&str, Option<&[u8]>> = changes.iter().copied().collect();
        let mut used = self.bytes_used.lock();
        let (mut freed, mut added) = (0, 0);
        let mut batch = self.database.batch();
        for (key, value) in changes {
            let full = self.full(key)?;
            freed += self.size_of(&full, key)?;
            match value {
                Some(value) => {
                    added += size(key, value);
                    batch.insert(&self.keyspace, full, value);
                }
                None => batch.remove(&self.keyspace, full),
            }
        }
        let needed = used.saturating_sub(freed) + added;
        self.fits(*used, needed)?;
        batch.durability(Some(PersistMode::SyncData)).commit()?;
        *used = needed;
        Ok(())
    }

    /// Whether `needed` bytes may be used instead of `used`. What makes it no larger
    /// is always allowed: a predecessor may have had a larger quota.
    fn fits(&self, used: u64, needed: u64) -> Result<(), BucketError> {
        let bytes_max = self.bytes_max;
        if needed > bytes_max && needed > used {
            return Err(BucketError::Quota { bytes_max, needed });
        }
        Ok(())
    }

    /// Removes `key`; on the disk when this returns.
    pub fn delete(&self, key: &str) -> Result<(), BucketError> {
        let full = self.full(key)?;
        let mut used = self.bytes_used.lock();
        let old = self.size_of(&full, key)?;
        *used = used.saturating_sub(old);
        self.keyspace.remove(full)?;
        drop(used);
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    /// Up to a thousand keys, from the `skip`th on, and whether there are more.
    pub fn keys(&self, skip: u64) -> Result<(Vec<String>, bool), BucketError> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut keys = Vec::new();
        for entry in self.keyspace.prefix(&self.prefix).skip(skip).take(PAGE + 1) {
            let key = entry.key()?;
            let bare = key.get(self.prefix.len()..).unwrap_or_default();
            keys.push(String::from_utf8_lossy(bare).into_owned());
        }
        let more = keys.len() > PAGE;
        keys.truncate(PAGE);
        Ok((keys, more))
    }

    fn full(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        if (1..=KEY_BYTES_MAX).contains(&key.len()) {
            Ok([&self.prefix, key.as_bytes()].concat())
        } else {
            Err(BucketError::Key(key.len()))
        }
    }

    fn size_of(&self, full: &[u8], key: &str) -> Result<u64, BucketError> {
        let size = self.keyspace.size_of(full)?;
        Ok(size.map_or(0, |size| ENTRY_BYTES + u64::from(size) + key.len() as u64))
    }
}

/// What an entry takes.
fn size(key: &str, value: &[u8]) -> u64 {
    ENTRY_BYTES + (key.len() + value.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::BucketError;
    use crate::storage::Storage;

    #[test]
    fn values_survive_and_buckets_do_not_see_each_other() {
        let directory = tempfile::tempdir().unwrap();
        {
            let storage = Storage::open(directory.path()).unwrap();
            storage.bucket("a", 100).unwrap().set("k", b"mine").unwrap();
            assert_eq!(storage.bucket("ab", 100).unwrap().get("k").unwrap(), None);
        }
        let storage = Storage::open(directory.path()).unwrap();
        let bucket = storage.bucket("a", 100).unwrap();
        assert_eq!(bucket.get("k").unwrap().as_deref(), Some(&b"mine"[..]));
        assert_eq!(bucket.keys(0).unwrap(), (vec!["k".to_owned()], false));
        assert_eq!(bucket.keys(u64::MAX).unwrap().0, Vec::<String>::new());
    }

    #[test]
    fn the_quota_counts_keys_and_values_and_gives_back_what_is_freed() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(directory.path()).unwrap();
        let bucket = storage.bucket("a", 74).unwrap();
        bucket.set("k", &[0; 9]).unwrap();
        bucket.set("k", &[1; 9]).unwrap();
        let error = bucket.set("l", b"").unwrap_err();
        assert!(
            matches!(error, BucketError::Quota { needed: 139, .. }),
            "{error}"
        );
        bucket.delete("k").unwrap();
        bucket.delete("k").unwrap();
        bucket.set("l", &[0; 9]).unwrap();
        let reopened = storage.bucket("a", 74).unwrap();
        assert!(matches!(
            reopened.set("m", b""),
            Err(BucketError::Quota { .. })
        ));
    }

    #[test]
    fn all_who_have_a_bucket_open_count_together() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(directory.path()).unwrap();
        let old = storage.bucket("a", 148).unwrap();
        old.set("k", &[0; 9]).unwrap();
        let new = storage.bucket("a", 74).unwrap();
        assert!(matches!(
            new.set("l", &[0; 9]),
            Err(BucketError::Quota { needed: 148, .. })
        ));
        old.set("l", &[0; 9]).unwrap();
        assert!(old.set("m", b"").is_err());
        // More is used than the newer one may: it may not grow.
        assert!(new.set("l", &[1; 10]).is_err());
        new.set("l", &[1; 9]).unwrap();
        new.set("l", &[1; 8]).unwrap();
        new.delete("k").unwrap();
        new.set("l", &[1; 9]).unwrap();
        old.set("k", &[0; 9]).unwrap();
        drop((old, new));
        let reopened = storage.bucket("a", 148).unwrap();
        assert!(reopened.set("m", b"").is_err());
    }

    #[test]
    fn changes_are_applied_together_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let some = |value: &'static [u8]| Some(value);
        {
            let storage = Storage::open(directory.path()).unwrap();
            let bucket = storage.bucket("a", 148).unwrap();
            bucket.set("old", b"1").unwrap();
            let too_much = [("old", None), ("new", some(&[0; 200]))];
            assert!(matches!(
                bucket.apply(&too_much),
                Err(BucketError::Quota { .. })
            ));
            assert!(matches!(
                bucket.apply(&[("old", None), ("", some(b"2"))]),
                Err(BucketError::Key(0))
            ));
            assert_eq!(bucket.get("old").unwrap().as_deref(), Some(&b"1"[..]));
            let changes = [("old", None), ("k", some(b"x")), ("k", some(b"y"))];
            bucket.apply(&changes).unwrap();
            bucket.apply(&[("l", some(&[0; 17])), ("m", None)]).unwrap();
            assert!(bucket.apply(&[("m", some(b""))]).is_err());
        }
        let storage = Storage::open(directory.path()).unwrap();
        let bucket = storage.bucket("a", 148).unwrap();
        assert_eq!(bucket.get("old").unwrap(), None);
        assert_eq!(bucket.get("k").unwrap().as_deref(), Some(&b"y"[..]));
        assert_eq!(bucket.keys(0).unwrap().0, ["k", "l"]);
    }

    #[test]
    fn keys_without_a_name_or_too_long_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let bucket = Storage::open(directory.path())
            .unwrap()
            .bucket("a", 10_000)
            .unwrap();
        assert!(matches!(bucket.get(""), Err(BucketError::Key(0))));
        assert!(matches!(
            bucket.set(&"k".repeat(257), b""),
            Err(BucketError::Key(257))
        ));
    }
}
