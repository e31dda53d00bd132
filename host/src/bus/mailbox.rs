//! The shared end of an inbox: where publishers put messages, or wait.
//!
//! Waiting publishers stand in line. Room that becomes free is promised to the
//! first of them, so that a publisher which never pauses cannot keep the others
//! out; and a promise is for one message only, so that a publisher which is
//! never polled again holds up nobody but itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Message;
use super::queue::{InboxLimits, Queue};
use super::status::Counters;
use crate::names::PartyName;
use crate::spec::Overflow;

/// Publishers in line at one inbox; the next one is refused.
const LINE_MAX: usize = 4096;

/// Where the messages for one inbox go.
#[derive(Debug)]
pub(super) struct Mailbox {
    party: PartyName,
    counters: Arc<Counters>,
    limits: InboxLimits,
    state: Mutex<State>,
    /// Told when an empty queue got a message.
    pub(super) arrived: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    line: VecDeque<Arc<Waiter>>,
    closed: bool,
}

/// A publisher's place in the line of one inbox.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) size: u64,
    /// Shared by all places of one publisher.
    pub(super) turn: Arc<Notify>,
    /// Changed only under the mailbox's lock.
    granted: AtomicBool,
}

/// What asking for room came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Promised; to be used or released.
    Reserved,
    /// None needed: the message will be dropped there in any case.
    Unneeded,
    /// None now.
    Full,
}

impl Mailbox {
    pub(super) fn new(party: PartyName, counters: Arc<Counters>, limits: InboxLimits) -> Self {
        let limits = InboxLimits {
            messages_max: limits.messages_max.max(1),
            ..limits
        };
        Self {
            party,
            counters,
            limits,
            state: Mutex::new(State {
                queue: Queue::new(limits),
                line: VecDeque::new(),
                closed: false,
            }),
            arrived: Notify::new(),
        }
    }

    pub(super) fn party(&self) -> &PartyName {
        &self.party
    }

    /// Whether publishers are asked to wait for room here.
    pub(super) fn blocks(&self) -> bool {
        self.limits.overflow == Overflow::Block
    }

    /// Messages and bytes waiting.
    pub(super) fn load(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.queue.len(), state.queue.bytes())
    }

    /// Whether a message of `size` would be taken now without dropping any.
    pub(super) fn has_room(&self, size: u64) -> bool {
        let state = self.state.lock();
        !state.closed && state.line.is_empty() && state.queue.has_room(size)
    }

    /// Puts a message in as the policy says. False if publishers must wait.
    pub(super) fn push(&self, message: &Arc<Message>, size: u64) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return true;
        }
        let was_empty = state.queue.len() == 0;
        if self.blocks() && size <= self.limits.bytes_max {
            if !state.line.is_empty() || !state.queue.has_room(size) {
                return false;
            }
            state.queue.push(message, size);
        } else {
            self.count_dropped(state.queue.push_or_drop(message, size));
        }
        let arrived = was_empty && state.queue.len() > 0;
        drop(state);
        if arrived {
            self.arrived.notify_waiters();
        }
        true
    }

    pub(super) fn count_dropped(&self, count: u64) {
        if count > 0 {
            self.counters.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Promises room for one message.
    pub(super) fn reserve(&self, size: u64) -> Room {
        let mut state = self.state.lock();
        if state.closed || size > self.limits.bytes_max {
            Room::Unneeded
        } else if !state.line.is_empty() || !state.queue.has_room(size) {
            Room::Full
        } else {
            state.queue.reserve(size);
            Room::Reserved
        }
    }

    /// Takes a promise back.
    pub(super) fn release(&self, size: u64) {
        let mut state = self.state.lock();
        state.queue.release(size);
        let turns = state.admit();
        drop(state);
        turns.iter().for_each(|turn| turn.notify_one());
    }

    /// Puts a message into the room promised for it.
    pub(super) fn push_reserved(&self, message: &Arc<Message>, size: u64) {
        let mut state = self.state.lock();
        state.queue.release(size);
        if state.closed {
            return;
        }
        let was_empty = state.queue.len() == 0;
        state.queue.push(message, size);
        drop(state);
        if was_empty {
            self.arrived.notify_waiters();
        }
    }

    /// Joins the line. None if it is too long.
    pub(super) fn join(&self, size: u64, turn: &Arc<Notify>) -> Option<Arc<Waiter>> {
        let mut state = self.state.lock();
        if state.line.len() >= LINE_MAX {
            return None;
        }
        let waiter = Arc::new(Waiter {
            size,
            turn: Arc::clone(turn),
            granted: false.into(),
        });
        state.line.push_back(Arc::clone(&waiter));
        let closed = state.closed;
        let turns = state.admit();
        drop(state);
        if closed {
            turn.notify_one();
        }
        turns.iter().for_each(|turn| turn.notify_one());
        Some(waiter)
    }

    /// Leaves the line. True if room was promised meanwhile: it is now the
    /// caller's, to be used or released.
    pub(super) fn leave(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        if waiter.granted.load(Ordering::Relaxed) {
            return true;
        }
        state.line.retain(|other| !Arc::ptr_eq(other, waiter));
        // Those behind may need less room than the one that left.
        let turns = state.admit();
        drop(state);
        turns.iter().for_each(|turn| turn.notify_one());
        false
    }

    /// Moves up to `max` messages to `into`; returns how many.
    pub(super) fn take(&self, max: usize, into: &mut Vec<Arc<Message>>) -> usize {
        let mut state = self.state.lock();
        let count = state.queue.take(max, into);
        let turns = state.admit();
        drop(state);
        turns.iter().for_each(|turn| turn.notify_one());
        if count > 0 {
            self.counters
                .delivered
                .fetch_add(count as u64, Ordering::Relaxed);
        }
        count
    }

    /// Lets nothing in any more and sends the line home.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let line = std::mem::take(&mut state.line);
        let mut rest = Vec::new();
        let unread = state.queue.take(usize::MAX, &mut rest);
        drop(state);
        self.count_dropped(unread as u64);
        line.iter().for_each(|waiter| waiter.turn.notify_one());
    }
}

impl State {
    /// Promises free room to the first in line; returns whom to tell once the
    /// lock is released.
    fn admit(&mut self) -> Vec<Arc<Notify>> {
        let mut turns = Vec::new();
        while let Some(first) = self.line.front()
            && self.queue.has_room(first.size)
        {
            self.queue.reserve(first.size);
            first.granted.store(true, Ordering::Relaxed);
            turns.push(Arc::clone(&first.turn));
            self.line.pop_front();
        }
        turns
    }
}
