//! What a mailbox's lock protects: what waits, who stands in line, and what is led
//! there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use tokio::sync::Notify;

use crate::bus::delivery::Parcel;
use crate::bus::queue::Queue;
use crate::names::{Topic, TopicFilter};

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// None: nobody stood in line yet.
    pub(super) line: Option<Box<Places>>,
    /// The filters that were led here last.
    pub(super) covered: Arc<[TopicFilter]>,
    /// Some: it rests; with what is known of that, [`Led::rests_since`].
    pub(super) rests: Option<Option<u64>>,
    /// The generation since which it is led so.
    pub(super) since: u64,
    /// Told as `arrived` is.
    pub(super) waker: Option<Waker>,
    pub(super) closed: bool,
}

/// The line of one inbox.
#[derive(Debug, Default)]
pub(super) struct Places(pub(super) VecDeque<Arc<Waiter>>);

/// A publisher's place in the line of one inbox.
#[derive(Debug)]
pub(in crate::bus) struct Waiter {
    pub(in crate::bus) size: u64,
    /// Shared by all places of one publisher.
    pub(in crate::bus) turn: Arc<Notify>,
    /// Changed only under the mailbox's lock.
    pub(super) granted: AtomicBool,
}

pub(super) fn send_home(line: Option<&Places>) {
    let line = line.into_iter().flat_map(|line| &line.0);
    line.for_each(|waiter| waiter.turn.notify_one());
}

/// What was on its way when a mailbox began to rest came before.
pub(super) fn wants(covered: &[TopicFilter], topic: &Topic) -> bool {
    covered.iter().any(|filter| filter.matches(topic))
}

impl State {
    pub(super) fn is_line_empty(&self) -> bool {
        self.line.as_ref().is_none_or(|line| line.0.is_empty())
    }

    pub(super) fn rests(&self) -> bool {
        self.rests.is_some() || self.covered.is_empty()
    }

    /// Whether what was found in the generation `found` may no longer hold.
    pub(super) fn is_stale(&self, found: u64) -> bool {
        found < self.since
    }

    /// Whether a message on its way by a route of that generation has no place here.
    #[inline]
    pub(super) fn turns_away(&self, parcel: &Parcel, found: u64) -> bool {
        self.closed || (self.is_stale(found) && !wants(&self.covered, &parcel.message().topic))
    }

    /// Puts in what fits, or must.
    #[inline]
    pub(super) fn put(&mut self, parcel: &Parcel) {
        let answers = self.queue.limits().answers;
        self.queue.push(parcel.share(answers), parcel.size);
    }

    /// Promises free room to the first in line; returns whom to tell once the
    /// lock is released.
    pub(super) fn admit(&mut self) -> Vec<Arc<Notify>> {
        let mut turns = Vec::new();
        let Some(line) = &mut self.line else {
            return turns;
        };
        while let Some(first) = line.0.front()
            && self.queue.has_room(first.size)
        {
            self.queue.reserve(first.size);
            first.granted.store(true, Ordering::Relaxed);
            turns.push(Arc::clone(&first.turn));
            line.0.pop_front();
        }
        turns
    }
}
