//! What whoever keeps the kept values on the disk needs of the bus.
//!
//! From [`Bus::restore_kept`] on each change is known until it is said to be saved,
//! and receipts of messages to be kept wait for that. Values below `$selvedge/` are
//! no concern of the disk.

use std::sync::Arc;
use std::time::Instant;

use super::{Bus, Message, SYSTEM_LEVEL};
use crate::names::{PartyName, Topic};

/// A kept value and whose it is.
#[derive(Clone, Debug)]
pub struct KeptValue {
    pub owner: PartyName,
    pub message: Arc<Message>,
}

/// One topic's kept value, which is not on the disk: none if the topic has none
/// any more.
#[derive(Clone, Debug)]
pub struct KeptChange {
    pub topic: Topic,
    pub value: Option<KeptValue>,
    pub(super) number: u64,
}

impl KeptChange {
    pub(super) fn size(&self) -> u64 {
        let message = self.value.as_ref().map(|value| &value.message);
        message.map_or(self.topic.as_str().len() as u64, |message| message.size())
    }
}

/// What is to be written.
#[derive(Debug)]
pub enum KeptChanges {
    /// These, oldest first; none if all is on the disk.
    Some(Vec<KeptChange>),
    /// Too much has changed: whatever is not among these values is to go.
    All {
        values: Vec<KeptValue>,
        /// To be handed to [`Bus::saved_all_kept`].
        upto: u64,
    },
}

/// How much is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptPending {
    Nothing,
    /// Something, but nobody waits.
    Some,
    /// Publishers wait for it.
    Awaited,
}

impl Bus {
    /// Keeps values from before; whoever published anything meanwhile is more recent.
    /// From now on changes are known until they are saved. Returns the topics of
    /// values that had no room or had expired: these count as changes.
    pub fn restore_kept(&self, values: Vec<KeptValue>) -> Vec<Topic> {
        let mut retained = self.0.retained.lock();
        retained.record_changes();
        let now = Instant::now();
        let mut refused = Vec::new();
        for KeptValue { owner, message } in values {
            let topic = message.topic.clone();
            if !retained.restore(&owner, message, now) {
                refused.push(topic);
            }
        }
        refused
    }

    /// The oldest changes that are not saved: at most `messages_max`, and no more once
    /// there are `bytes_max`. They are told again until they are saved.
    pub fn kept_changes(&self, messages_max: usize, bytes_max: u64) -> KeptChanges {
        self.0.retained.lock().changes(messages_max, bytes_max)
    }

    /// How much is not saved.
    pub fn kept_pending(&self) -> KeptPending {
        self.0.retained.lock().pending()
    }

    /// Waits for the next change, or for one since this was last waited for.
    pub async fn kept_changed(&self) {
        self.0.kept_changed.notified().await;
    }

    /// These are on the disk: who waited for them is told.
    pub fn saved_kept(&self, changes: &[KeptChange]) {
        let mut retained = self.0.retained.lock();
        let done: Vec<_> = changes
            .iter()
            .flat_map(|change| match retained.unsaved() {
                Some(unsaved) => unsaved.saved(change.number, &change.topic),
                None => Vec::new(),
            })
            .collect();
        drop(retained);
        drop(done);
    }

    /// As [`saved_kept`](Self::saved_kept), of [`KeptChanges::All`].
    pub fn saved_all_kept(&self, upto: u64) {
        let mut retained = self.0.retained.lock();
        let done = retained.unsaved().map(|unsaved| unsaved.saved_all(upto));
        drop(retained);
        drop(done);
    }

    /// Forgets kept values that have expired; returns how many.
    pub fn expire_kept(&self) -> usize {
        let mut retained = self.0.retained.lock();
        let expired = retained.expire(Instant::now());
        drop(retained);
        if expired > 0 {
            self.0.kept_changed.notify_one();
        }
        expired
    }
}

/// Whether the values of `topic` belong on the disk.
pub(super) fn is_saved(topic: &Topic) -> bool {
    topic.levels().next() != Some(SYSTEM_LEVEL)
}
