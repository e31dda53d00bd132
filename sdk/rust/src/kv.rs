//! Values that survive the instance and the host: the plugin's own bucket.
//!
//! The deployment grants it, with a quota in bytes over keys and values.

use crate::bindings::imports::wasi::keyvalue::store;

pub use crate::bindings::imports::wasi::keyvalue::store::Error as KvError;

/// The plugin's bucket.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

impl Bucket {
    /// Opens the plugin's own bucket.
    ///
    /// # Errors
    /// The host cannot open it.
    pub fn open() -> Result<Self, KvError> {
        store::open("").map(Self)
    }

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// The host cannot read it.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        self.0.get(key)
    }

    /// Sets `key`, durably.
    ///
    /// # Errors
    /// The quota is reached or the host cannot write it.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), KvError> {
        self.0.set(key, value)
    }

    /// Removes `key`; nothing happens if it is not there.
    ///
    /// # Errors
    /// The host cannot write.
    pub fn delete(&self, key: &str) -> Result<(), KvError> {
        self.0.delete(key)
    }
}
