//! What each party did on the bus, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

use super::mailbox::Mailbox;
use crate::names::PartyName;

/// One party, as operators see it. Totals count from its attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PartyStatus {
    /// Its name.
    pub name: PartyName,
    /// Messages the bus took from it.
    pub published_total: u64,
    /// Messages it was refused, for whatever reason.
    pub refused_total: u64,
    /// Values it asked to keep that were delivered but did not fit the store.
    pub unkept_total: u64,
    /// Messages it took out of its inboxes.
    pub delivered_total: u64,
    /// Messages for it that its inboxes dropped, those left in a closed one included.
    pub dropped_total: u64,
    /// Messages waiting for it.
    pub inbox_messages: u64,
    /// Their bytes.
    pub inbox_bytes: u64,
    /// Filters it subscribes.
    pub subscriptions: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) published: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unkept: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// What is known of one party for as long as it is attached or has an inbox.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: PartyName,
    pub(super) counters: Counters,
    pub(super) subscribed: Mutex<Vec<Subscribed>>,
}

/// One inbox of a party.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) filters: usize,
}

impl Record {
    pub(super) fn new(name: PartyName) -> Self {
        Self {
            name,
            counters: Counters::default(),
            subscribed: Mutex::default(),
        }
    }

    pub(super) fn status(&self) -> PartyStatus {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut status = PartyStatus {
            name: self.name.clone(),
            published_total: total(&self.counters.published),
            refused_total: total(&self.counters.refused),
            unkept_total: total(&self.counters.unkept),
            delivered_total: total(&self.counters.delivered),
            dropped_total: total(&self.counters.dropped),
            inbox_messages: 0,
            inbox_bytes: 0,
            subscriptions: 0,
        };
        for Subscribed { mailbox, filters } in self.subscribed.lock().iter() {
            let (messages, bytes) = mailbox.load();
            status.inbox_messages += messages as u64;
            status.inbox_bytes += bytes;
            status.subscriptions += *filters as u64;
        }
        status
    }
}
