//! The messages waiting in one inbox, and what becomes of those that do not fit.
//!
//! Pure: no locks, no waiting. [`super::mailbox`] puts it behind a lock and
//! lets publishers wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

use super::Message;
use crate::names::Topic;
use crate::spec::Overflow;

/// Messages that an empty queue always has room for.
const ROOM_KEPT: usize = 64;

/// What one inbox may hold, and its policy when full.
///
/// At least one message is always let in. A message larger than `bytes_max`
/// alone never fits: it is dropped and counted, whatever the policy, and never
/// makes its publisher wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxLimits {
    /// Messages waiting.
    pub messages_max: u32,
    /// Their bytes, as [`Message::size`] counts them.
    pub bytes_max: u64,
    /// What becomes of a message that does not fit.
    pub overflow: Overflow,
    /// Whether its owner keeps each message until it has done with it, and so
    /// answers for it: its messages come with their receipts. What such an inbox
    /// drops is settled thereby.
    pub answers: bool,
}

impl InboxLimits {
    fn at_least_one(self) -> Self {
        Self {
            messages_max: self.messages_max.max(1),
            ..self
        }
    }
}

/// Messages in order of arrival, within limits.
#[derive(Debug)]
pub(super) struct Queue {
    limits: InboxLimits,
    waiting: VecDeque<Arc<Message>>,
    bytes: u64,
    /// Room promised to publishers, messages and bytes.
    reserved_messages: u32,
    reserved_bytes: u64,
    /// How many messages ever left at the front: the number of the first one.
    left: u64,
    /// Whether there may be messages among them that expire.
    expiring: bool,
    /// For `latest-per-topic`, the number of each topic's newest message.
    newest: Option<Box<HashMap<Topic, u64>>>,
}

impl Queue {
    pub(super) fn new(limits: InboxLimits) -> Self {
        Self {
            limits: limits.at_least_one(),
            waiting: VecDeque::new(),
            bytes: 0,
            reserved_messages: 0,
            reserved_bytes: 0,
            left: 0,
            expiring: false,
            newest: None,
        }
    }

    pub(super) fn limits(&self) -> InboxLimits {
        self.limits
    }

    /// Takes other limits. What waits stays, even beyond them, and what is
    /// promised stays promised.
    pub(super) fn relimit(&mut self, limits: InboxLimits) {
        self.limits = limits.at_least_one();
        self.number();
    }

    /// Drops what is not `wanted`; returns how many that were.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Topic) -> bool) -> u64 {
        let before = self.waiting.len();
        self.waiting.retain(|message| wanted(&message.topic));
        self.bytes = self.waiting.iter().map(|message| message.size()).sum();
        self.number();
        (before - self.waiting.len()) as u64
    }

    /// Finds the newest message of each topic, where the policy needs it.
    fn number(&mut self) {
        self.newest = None;
        if self.limits.overflow == Overflow::LatestPerTopic {
            let numbered = (self.left..).zip(&self.waiting);
            let topics = numbered.map(|(number, message)| (message.topic.clone(), number));
            self.newest = Some(Box::new(topics.collect()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether one more message of `size` fits beside what waits and what is promised.
    pub(super) fn has_room(&self, size: u64) -> bool {
        let messages = self.waiting.len() as u64 + u64::from(self.reserved_messages);
        messages < u64::from(self.limits.messages_max)
            && self.bytes + self.reserved_bytes + size <= self.limits.bytes_max
    }

    /// Promises room for one message; the caller knows that there is.
    pub(super) fn reserve(&mut self, size: u64) {
        self.reserved_messages += 1;
        self.reserved_bytes += size;
    }

    /// Takes a promise back.
    pub(super) fn release(&mut self, size: u64) {
        self.reserved_messages -= 1;
        self.reserved_bytes -= size;
    }

    /// Appends a message that fits.
    pub(super) fn push(&mut self, message: &Arc<Message>, size: u64) {
        if self.limits.overflow == Overflow::LatestPerTopic {
            let number = self.left + self.waiting.len() as u64;
            let newest = self.newest.get_or_insert_default();
            newest.insert(message.topic.clone(), number);
        }
        self.expiring |= message.expires_at.is_some();
        self.bytes += size;
        self.waiting.push_back(Arc::clone(message));
    }

    /// Appends a message, or does what the policy says if it does not fit.
    /// Returns how many messages were dropped. `block` has no one to wait here:
    /// it drops the arriving message.
    pub(super) fn push_or_drop(&mut self, message: &Arc<Message>, size: u64) -> u64 {
        if size > self.limits.bytes_max {
            return 1;
        }
        if self.has_room(size) {
            self.push(message, size);
            return 0;
        }
        match self.limits.overflow {
            Overflow::Block | Overflow::DropNewest => 1,
            Overflow::DropOldest => self.push_over_oldest(message, size),
            Overflow::LatestPerTopic => self.replace(message, size),
        }
    }

    /// Puts the message in the place of its topic's newest one, if one waits.
    fn replace(&mut self, message: &Arc<Message>, size: u64) -> u64 {
        let newest = self.newest.as_ref();
        let number = newest.and_then(|newest| newest.get(&message.topic));
        let place = number.and_then(|number| usize::try_from(number - self.left).ok());
        let Some(slot) = place.and_then(|place| self.waiting.get_mut(place)) else {
            return self.push_over_oldest(message, size);
        };
        let others = self.bytes - slot.size();
        if others + size > self.limits.bytes_max {
            return self.push_over_oldest(message, size);
        }
        *slot = Arc::clone(message);
        self.expiring |= message.expires_at.is_some();
        self.bytes = others + size;
        1
    }

    fn push_over_oldest(&mut self, message: &Arc<Message>, size: u64) -> u64 {
        let mut dropped = 0;
        while !self.has_room(size) && self.pop().is_some() {
            dropped += 1;
        }
        self.push(message, size);
        dropped
    }

    fn pop(&mut self) -> Option<Arc<Message>> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.size();
        if let Some(newest) = &mut self.newest
            && newest.get(&message.topic) == Some(&self.left)
        {
            newest.remove(&message.topic);
        }
        self.left += 1;
        Some(message)
    }

    /// Drops what has expired among the first `max`, and so on until as many have
    /// not; returns how many were dropped.
    fn expire(&mut self, max: usize) -> u64 {
        let now = Instant::now();
        let (mut seen, mut bytes) = (0, 0);
        let before = self.waiting.len();
        self.waiting.retain(|message| {
            let expired = seen < max && message.is_expired(now);
            seen += usize::from(!expired);
            bytes += if expired { message.size() } else { 0 };
            !expired
        });
        let dropped = before - self.waiting.len();
        if dropped > 0 {
            self.bytes -= bytes;
            self.number();
        }
        dropped as u64
    }

    /// Moves up to `max` messages that have not expired to `into`, oldest first;
    /// returns how many, and how many had.
    pub(super) fn take(&mut self, max: usize, into: &mut Vec<Arc<Message>>) -> (usize, u64) {
        let expired = if self.expiring { self.expire(max) } else { 0 };
        let count = self.waiting.len().min(max);
        if count == self.waiting.len() {
            self.bytes = 0;
            if let Some(newest) = &mut self.newest {
                newest.clear();
            }
            self.left += count as u64;
            self.expiring = false;
            into.extend(self.waiting.drain(..));
            // A burst is over: its room is not kept for the next one.
            if self.waiting.capacity() > ROOM_KEPT && self.waiting.capacity() / 4 > count {
                self.waiting.shrink_to(count.max(ROOM_KEPT / 2));
            }
        } else {
            into.extend((0..count).map_while(|_| self.pop()));
        }
        (count, expired)
    }
}

#[cfg(test)]
mod tests;
