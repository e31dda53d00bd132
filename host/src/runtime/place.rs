//! What waits at a seat, whoever has it: the inbox, and what was handed out before.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::hops::Hops;
use super::local_port::LocalPort;
use super::mailbox::Mailbox;
use crate::bus::{Inbox, Message, Party};

/// Bytes in a batch, after which no further message is added: it must fit into
/// the memory of a small guest.
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// What waits at a seat.
pub(super) struct Place {
    /// Keeps the name; may do nothing.
    pub(super) hold: Party,
    pub(super) inbox: Inbox,
    pub(super) mailbox: Mutex<Mailbox>,
    pub(super) hops: Hops,
    /// Who has the seat.
    pub(super) holder: Mutex<Weak<LocalPort>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// Takes up to `max` messages as the batch in hand.
    pub(super) fn take(&self, max: usize) -> Vec<Arc<Message>> {
        let mut mailbox = self.mailbox.lock();
        let mut messages = mailbox.take_held(max, Instant::now());
        if messages.is_empty() {
            messages = mailbox.take_fresh(self.take_fresh(max));
        }
        drop(mailbox);
        self.hops.take(&messages);
        messages
    }

    fn take_fresh(&self, max: usize) -> Vec<Arc<Message>> {
        let mut fresh = Vec::new();
        // What all fits is taken at once; else a message at a time.
        let step = if self.inbox.bytes() <= BATCH_BYTES_MAX {
            max
        } else {
            1
        };
        let mut bytes = 0;
        while fresh.len() < max && bytes < BATCH_BYTES_MAX {
            let before = fresh.len();
            if self.inbox.try_receive(step, &mut fresh) == 0 || step > 1 {
                break;
            }
            bytes += fresh
                .iter()
                .skip(before)
                .map(|message| message.size())
                .sum::<u64>();
        }
        fresh
    }
}
