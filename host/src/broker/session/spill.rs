//! Moves messages of a session from memory to the disk.
//!
//! In three steps, so that the session may go on meanwhile: what is to be written
//! is taken together, it is written, and the session is told. Until it is written
//! the messages are held, and their publishers wait. What was under way already
//! comes first: the store has everything in the order of its arrival.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Session, Stored};
use crate::broker::inflight::{Number, Stage};
use crate::broker::store::{Entry, Kind, StoreError};
use crate::bus::Message;
use crate::mqtt::PacketId;
use crate::names::Qos;
use crate::spec::Overflow;

/// Packet identifiers that waiting messages may hold at most: some are left for
/// what is under way.
const BACKLOG_MAX: usize = 60_000;
/// What an entry takes beside the message.
const ENTRY_BYTES: u64 = 128;

/// What is being written.
#[derive(Debug, Default)]
pub(in crate::broker) struct Spill {
    moved: Vec<Moved>,
    entries: Vec<Bytes>,
}

/// One message of it, held until it is written.
#[derive(Debug)]
struct Moved {
    stored: Stored,
    /// Whether it was under way already.
    inflight: bool,
    message: Arc<Message>,
}

impl Spill {
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.moved.is_empty()
    }

    /// What is to be written; to be taken once.
    pub(in crate::broker) fn entries(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.entries)
    }

    fn add(&mut self, session: u64, stored: Stored, message: &Arc<Message>, inflight: bool) {
        let entry = Entry {
            session,
            id: stored.id,
            kind: Kind::Message {
                qos: stored.qos,
                retain: stored.retain,
                sent: stored.sent,
                message: Some(Arc::clone(message)),
            },
            bytes: 0,
        };
        let bytes = entry.encode();
        let stored = Stored {
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            ..stored
        };
        self.entries.push(bytes);
        self.moved.push(Moved {
            stored,
            inflight,
            message: Arc::clone(message),
        });
    }
}

impl Session {
    /// Takes together what is to be written: all that is under way and not yet on
    /// the disk, then `messages`. Those that need not arrive are let go, and for
    /// those that find no room the policy decides.
    pub(in crate::broker) fn spill(&mut self, messages: Vec<Arc<Message>>) -> Spill {
        let mut spill = Spill::default();
        let Some(number) = self.lasting.as_ref().map(|lasting| lasting.number) else {
            return spill;
        };
        for sent in self.inflight.iter() {
            if let (Stage::Sent, None, Some(message)) = (sent.stage, sent.stored, &sent.message) {
                let stored = Stored {
                    number: 0,
                    id: sent.id,
                    qos: sent.qos,
                    retain: sent.retain,
                    sent: true,
                    bytes: 0,
                };
                spill.add(number, stored, message, true);
            }
        }
        let mut ids = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        for message in messages {
            let served = self.serve(&message, &mut ids);
            let Some(served) = served.filter(|served| served.qos > Qos::AtMostOnce) else {
                continue;
            };
            let size = message.size() + ENTRY_BYTES;
            if !self.make_room(count + 1, bytes + size) {
                self.counters.dropped_total.add(1);
                continue;
            }
            let Some(id) = self.next_id() else {
                self.counters.dropped_total.add(1);
                continue;
            };
            (count, bytes) = (count + 1, bytes + size);
            let stored = Stored {
                number: 0,
                id,
                qos: served.qos,
                retain: served.retain,
                sent: false,
                bytes: 0,
            };
            spill.add(number, stored, &message, false);
        }
        spill
    }

    /// Whether there is room on the disk for so many more messages and bytes, once
    /// the policy has decided.
    fn make_room(&mut self, count: usize, bytes: u64) -> bool {
        let quota = &self.device.quota;
        let messages_max = usize::try_from(quota.queue_messages_max.get())
            .unwrap_or(BACKLOG_MAX)
            .min(BACKLOG_MAX);
        let bytes_max = quota.queue_bytes_max.get();
        let Some(lasting) = &mut self.lasting else {
            return false;
        };
        let backlog = &mut lasting.backlog;
        while backlog.len() + count > messages_max || backlog.bytes() + bytes > bytes_max {
            if self.overflow != Overflow::DropOldest {
                return false;
            }
            let Some(oldest) = backlog.drop_oldest() else {
                return false;
            };
            lasting.store.remove([oldest.number]);
            self.counters.dropped_total.add(1);
        }
        true
    }

    /// What was taken together is on the disk: nobody owes it any more.
    pub(in crate::broker) fn spilled(&mut self, spill: Spill, numbers: Range<Number>) {
        let Some(lasting) = &mut self.lasting else {
            return;
        };
        self.counters.stored_total.add(spill.moved.len() as u64);
        for (moved, number) in spill.moved.into_iter().zip(numbers) {
            let stored = Stored {
                number,
                ..moved.stored
            };
            if !moved.inflight {
                lasting.backlog.push(stored);
                continue;
            }
            let sent = self.inflight.iter_mut().find(|sent| sent.id == stored.id);
            let same = |known: &Arc<Message>| Arc::ptr_eq(known, &moved.message);
            match sent.filter(|sent| sent.message.as_ref().is_some_and(same)) {
                Some(sent) => {
                    sent.stored = Some(number);
                    sent.stored_bytes = stored.bytes;
                    sent.message = None;
                }
                // Answered while it was written.
                None => lasting.store.remove([number]),
            }
        }
    }

    /// It was not written. What a quota of ours refused is dropped, as from any
    /// full inbox; what the disk did not take stays in memory, but its publishers are
    /// told that it may be lost. False: it is to be tried again later.
    pub(in crate::broker) fn not_spilled(&mut self, spill: Spill, error: &StoreError) -> bool {
        let full = error.is_full();
        for moved in spill.moved.into_iter().rev() {
            if let (false, Some(receipt)) = (full, &moved.message.receipt) {
                receipt.refuse();
            }
            if moved.inflight {
                if full {
                    self.settle(moved.stored.id);
                }
            } else if full {
                self.counters.dropped_total.add(1);
            } else {
                self.taken.push_front(moved.message);
            }
        }
        if !full {
            self.counters.store_failures_total.add(1);
        }
        full
    }

    /// The store has no room for what is under way: it stays here alone, and its
    /// publisher is not kept waiting.
    fn settle(&mut self, id: PacketId) {
        let sent = self.inflight.iter_mut().find(|sent| sent.id == id);
        if let Some(sent) = sent
            && let Some(message) = &sent.message
        {
            let mut own = Message::clone(message);
            own.receipt = None;
            sent.message = Some(Arc::new(own));
            self.counters.dropped_total.add(1);
        }
    }
}
