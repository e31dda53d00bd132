//! `wasi:keyvalue/store`: one bucket for each plugin, durable, with a quota.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{HasSelf, Linker, Resource};

use super::PluginState;
use super::bindings::wasi::keyvalue::store::{self, Error, Host, HostBucket, KeyResponse};
use crate::error_chain::ErrorChain;
use crate::storage::{Bucket, BucketError};

/// Writes of one plugin in a second, on average; bursts of one second.
pub(super) const WRITES_PER_S_MAX: u32 = 100;

/// A plugin's own durable values, wherever they are kept.
pub trait KeyValue: Send + Sync + 'static {
    fn get(&self, key: String) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>>;
    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'static, Result<(), String>>;
    fn delete(&self, key: String) -> BoxFuture<'static, Result<(), String>>;
    /// A page of keys from the `skip`th on, and whether there are more.
    fn keys(&self, skip: u64) -> BoxFuture<'static, Result<(Vec<String>, bool), String>>;
}

impl KeyValue for Bucket {
    fn get(&self, key: String) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>> {
        blocking(self, move |bucket| bucket.get(&key))
    }

    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'static, Result<(), String>> {
        blocking(self, move |bucket| bucket.set(&key, &value))
    }

    fn delete(&self, key: String) -> BoxFuture<'static, Result<(), String>> {
        blocking(self, move |bucket| bucket.delete(&key))
    }

    fn keys(&self, skip: u64) -> BoxFuture<'static, Result<(Vec<String>, bool), String>> {
        blocking(self, move |bucket| bucket.keys(skip))
    }
}

/// The disk is waited for off the executor. A plugin waits for each of its
/// calls, so there is at most one of these at a time for each plugin.
fn blocking<T: Send + 'static>(
    bucket: &Bucket,
    work: impl FnOnce(&Bucket) -> Result<T, BucketError> + Send + 'static,
) -> BoxFuture<'static, Result<T, String>> {
    let bucket = bucket.clone();
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(move || work(&bucket)).await;
        match done {
            Ok(outcome) => outcome.map_err(|error| ErrorChain(&error).to_string()),
            Err(_) => Err("the store failed".to_owned()),
        }
    })
}

/// A bucket that a guest has opened.
#[derive(Clone)]
pub struct OpenBucket(Arc<dyn KeyValue>);

impl std::fmt::Debug for OpenBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenBucket")
    }
}

pub(super) fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasSelf<PluginState>>(linker, |state| state)
}

impl Host for PluginState {
    /// A plugin has one bucket; it answers to the empty name and to `default`.
    async fn open(
        &mut self,
        identifier: String,
    ) -> wasmtime::Result<Result<Resource<OpenBucket>, Error>> {
        if !matches!(identifier.as_str(), "" | "default") {
            return Ok(Err(Error::NoSuchStore));
        }
        let Some(bucket) = self.keyvalue.clone() else {
            return Ok(Err(Error::AccessDenied));
        };
        Ok(Ok(self.table.push(OpenBucket(bucket))?))
    }
}

impl PluginState {
    /// Each write is on the disk before it is answered; flash wears out, and all
    /// plugins share it.
    fn may_write(&mut self) -> Result<(), Error> {
        let (taken, wait) = self.keyvalue_writes.take(1);
        if taken > 0 {
            return Ok(());
        }
        let wait = wait.as_millis() + 1;
        Err(Error::Other(format!(
            "more than {WRITES_PER_S_MAX} writes in a second: try again in {wait} ms"
        )))
    }
}

impl HostBucket for PluginState {
    async fn get(
        &mut self,
        bucket: Resource<OpenBucket>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let values = self.table.get(&bucket)?.0.get(key);
        Ok(values.await.map_err(Error::Other))
    }

    async fn set(
        &mut self,
        bucket: Resource<OpenBucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(busy) = self.may_write() {
            return Ok(Err(busy));
        }
        let done = self.table.get(&bucket)?.0.set(key, value);
        Ok(done.await.map_err(Error::Other))
    }

    async fn delete(
        &mut self,
        bucket: Resource<OpenBucket>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(busy) = self.may_write() {
            return Ok(Err(busy));
        }
        let done = self.table.get(&bucket)?.0.delete(key);
        Ok(done.await.map_err(Error::Other))
    }

    async fn exists(
        &mut self,
        bucket: Resource<OpenBucket>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let value = self.table.get(&bucket)?.0.get(key);
        Ok(value
            .await
            .map(|value| value.is_some())
            .map_err(Error::Other))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<OpenBucket>,
        cursor: Option<u64>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let skip = cursor.unwrap_or(0);
        let page = self.table.get(&bucket)?.0.keys(skip);
        Ok(page.await.map_err(Error::Other).map(|(keys, more)| {
            let cursor = more.then(|| skip.saturating_add(keys.len() as u64));
            KeyResponse { keys, cursor }
        }))
    }

    async fn drop(&mut self, bucket: Resource<OpenBucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}
