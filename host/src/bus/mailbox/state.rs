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
    pub(super) covered: Filters,
    pub(super) mode: Mode,
    /// The generation since which it is led so.
    pub(super) since: u64,
    /// Told as `arrived` is.
    pub(super) waker: Option<Waker>,
}

/// Whether anything is led there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Led,
    /// With what is known of that, [`Led::rests_since`](super::Led::rests_since).
    Rests(Option<u64>),
    /// Nor is anything let in.
    Closed,
}

/// Some filters. Most inboxes have one, which takes no memory beside them.
#[derive(Debug)]
pub(super) enum Filters {
    One(TopicFilter),
    Some(Arc<[TopicFilter]>),
}

impl Filters {
    pub(super) fn of(filters: &[TopicFilter]) -> Self {
        match filters {
            [only] => Self::One(only.clone()),
            all => Self::Some(all.into()),
        }
    }

    pub(super) fn as_slice(&self) -> &[TopicFilter] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Some(all) => all,
        }
    }

    pub(super) fn shared(&self) -> Arc<[TopicFilter]> {
        match self {
            Self::One(only) => Arc::from([only.clone()]),
            Self::Some(all) => Arc::clone(all),
        }
    }
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

    pub(super) fn is_closed(&self) -> bool {
        self.mode == Mode::Closed
    }

    /// `filters` lead here from now on; whoever closed it stays away.
    pub(super) fn lead(&mut self, filters: &[TopicFilter]) {
        self.covered = Filters::of(filters);
        if !self.is_closed() {
            self.mode = Mode::Led;
        }
    }

    /// It rests from now on, if it does not already.
    pub(super) fn rest(&mut self) {
        if self.mode == Mode::Led {
            self.mode = Mode::Rests(None);
        }
    }

    pub(super) fn rests(&self) -> bool {
        matches!(self.mode, Mode::Rests(_)) || self.covered.as_slice().is_empty()
    }

    /// Whether what was found in the generation `found` may no longer hold.
    pub(super) fn is_stale(&self, found: u64) -> bool {
        found < self.since
    }

    /// Whether a message on its way by a route of that generation has no place here.
    #[inline]
    pub(super) fn turns_away(&self, parcel: &Parcel, found: u64) -> bool {
        self.is_closed()
            || (self.is_stale(found) && !wants(self.covered.as_slice(), &parcel.message().topic))
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
