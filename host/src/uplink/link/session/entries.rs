//! Entries of the queue on their way from the disk, and off it.
//!
//! The disk is read ahead of what is sent, and what the target has acknowledged is
//! removed behind it: one task for each, which the connection waits for but never in
//! line. What could not be removed is remembered as not gone.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Session;
use crate::storage::{Lane, LogError};
use crate::uplink::link::LinkError;
use crate::uplink::link::flight::{AHEAD, AHEAD_BYTES};

/// Entries read ahead, by lane.
pub(super) type Loaded = Vec<(Lane, Vec<(u64, Bytes)>)>;
pub(super) type Loading = JoinHandle<Result<Loaded, LogError>>;
pub(super) type Removing = JoinHandle<Result<(), (LogError, Vec<(Lane, u64)>)>>;

impl Session<'_> {
    /// Has entries read that will be sent soon, unless some are being read.
    pub(super) fn read_ahead(&mut self) {
        if self.loading.is_some() {
            return;
        }
        let wanting = self.flight.wanting();
        if wanting.is_empty() {
            return;
        }
        let shared = Arc::clone(self.shared);
        self.loading = Some(spawn_blocking(move || {
            let mut loaded = Vec::with_capacity(wanting.len());
            for (lane, after) in wanting {
                let entries = shared.queue.take_up(lane, after, AHEAD, AHEAD_BYTES)?;
                loaded.push((lane, entries));
            }
            Ok(loaded)
        }));
    }

    /// Takes the entries that were read.
    pub(super) fn loaded(
        &mut self,
        loaded: Option<Result<Loaded, LogError>>,
    ) -> Result<(), LinkError> {
        for (lane, entries) in loaded.ok_or(LinkError::Stopped)?? {
            let unreadable = self.flight.load(lane, entries);
            self.shared.counters.dropped("unreadable", unreadable);
        }
        Ok(())
    }

    /// Has entries removed that the target has acknowledged.
    pub(super) fn remove_gone(&mut self) {
        if self.removing.is_some() || !self.flight.has_gone() {
            return;
        }
        let gone = self.flight.take_gone();
        let shared = Arc::clone(self.shared);
        self.removing = Some(spawn_blocking(move || {
            let removed = shared.queue.remove(&gone);
            removed.map_err(|error| (error, gone))
        }));
    }
}

/// What the task under way gives; None if it was lost.
pub(super) async fn wait<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}
