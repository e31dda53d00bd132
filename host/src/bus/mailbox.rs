//! The shared end of an inbox: where publishers put messages, or wait.
//!
//! Waiting publishers stand in line. Room that becomes free is promised to the
//! first of them, so that a publisher which never pauses cannot keep the others
//! out; and a promise is for one message only, so that a publisher which is
//! never polled again holds up nobody but itself.
//!
//! What is led here may change while publishers are on their way by a route found
//! earlier. Such a route is known by its generation: its message is let in if it is
//! still wanted, and its publisher does not wait but looks for the way again.

mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub(super) use self::state::Waiter;
use self::state::{Filters, Mode, State, send_home, wants};
use super::Message;
use super::delivery::Parcel;
use super::queue::{InboxLimits, Queue};
use super::status::Record;
use crate::names::{PartyName, TopicFilter};
use crate::spec::Overflow;

/// Publishers in line at one inbox; the next one is refused.
const LINE_MAX: usize = 4096;

/// Where the messages for one inbox go.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Whose it is; which knows of it in turn until its inbox is dropped.
    record: Arc<Record>,
    /// Whether publishers are asked to wait for room here; follows `state`.
    blocking: AtomicBool,
    state: Mutex<State>,
    /// Told when an empty queue got a message; not there until somebody wants it.
    arrived: OnceLock<Box<Notify>>,
}

/// What is led to a mailbox.
#[derive(Clone, Debug)]
pub(super) struct Led {
    /// The filters; none while it rests.
    pub(super) filters: Arc<[TopicFilter]>,
    /// The filters that were led to it last: as `filters`, unless it rests.
    pub(super) covered: Arc<[TopicFilter]>,
    /// While it rests, the number of the last value that was kept before.
    pub(super) rests_since: Option<u64>,
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
    pub(super) fn new(record: Arc<Record>, limits: InboxLimits) -> Self {
        Self {
            record,
            blocking: (limits.overflow == Overflow::Block).into(),
            state: Mutex::new(State {
                queue: Queue::new(limits),
                line: None,
                covered: Filters::of(&[]),
                mode: Mode::Led,
                since: 0,
                waker: None,
            }),
            arrived: OnceLock::new(),
        }
    }

    pub(super) fn party(&self) -> &PartyName {
        &self.record.name
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether publishers are asked to wait for room here.
    pub(super) fn blocks(&self) -> bool {
        self.blocking.load(Ordering::Relaxed)
    }

    /// What is led here.
    pub(super) fn led(&self) -> Led {
        let state = self.state.lock();
        let covered = state.covered.shared();
        let (filters, rests_since) = match state.mode {
            Mode::Rests(since) => (Arc::default(), since),
            Mode::Led | Mode::Closed => (Arc::clone(&covered), None),
        };
        Led {
            filters,
            covered,
            rests_since,
        }
    }

    /// From `generation` on, `filters` lead here, and `limits` hold. What waits
    /// and is not among them is dropped, unless there are none; whoever stands in
    /// line is sent home, to look for the way again.
    pub(super) fn lead(&self, filters: &[TopicFilter], limits: InboxLimits, generation: u64) {
        let mut state = self.state.lock();
        state.since = generation;
        state.queue.relimit(limits);
        let mut dropped = 0;
        if filters.is_empty() {
            state.rest();
        } else {
            state.lead(filters);
            let State { queue, covered, .. } = &mut *state;
            dropped = queue.retain(|topic| wants(covered.as_slice(), topic));
        }
        let blocks = limits.overflow == Overflow::Block;
        self.blocking.store(blocks, Ordering::Relaxed);
        let line = std::mem::take(&mut state.line);
        drop(state);
        self.count_dropped(dropped);
        send_home(line.as_deref());
    }

    /// From `generation` on, `filters`, which include all before, lead here. Whoever
    /// stands in line stays there: the way here is as good as it was.
    pub(super) fn extend(&self, filters: &[TopicFilter], generation: u64) {
        let mut state = self.state.lock();
        state.lead(filters);
        state.since = generation;
    }

    /// From `generation` on, only `filters`, which led here before, do. What waits
    /// stays; whoever stands in line is sent home, to look for the way again.
    pub(super) fn narrow(&self, filters: &[TopicFilter], generation: u64) {
        let mut state = self.state.lock();
        state.covered = Filters::of(filters);
        state.since = generation;
        let line = std::mem::take(&mut state.line);
        drop(state);
        send_home(line.as_deref());
    }

    /// From `generation` on, nothing leads here; what waits stays.
    pub(super) fn rest(&self, generation: u64) {
        let mut state = self.state.lock();
        state.rest();
        state.since = generation;
        let line = std::mem::take(&mut state.line);
        drop(state);
        send_home(line.as_deref());
    }

    /// Of the values that are kept while it rests, those after the one with the
    /// number `last` are new to it. The first word counts.
    pub(super) fn keeps_from(&self, last: u64) {
        let mut state = self.state.lock();
        state.rest();
        if let Mode::Rests(since) = &mut state.mode {
            since.get_or_insert(last);
        }
    }

    /// Tells whoever waits that there is a message.
    fn tell(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            waker.wake();
        }
        // Whoever wanted it after the message came in has found the message.
        if let Some(arrived) = self.arrived.get() {
            arrived.notify_waiters();
        }
    }

    /// What is told when an empty queue got a message.
    pub(super) fn arrived(&self) -> &Notify {
        self.arrived.get_or_init(Box::default)
    }

    /// Ready when there is a message. Only whoever asked last is told.
    pub(super) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.queue.len() > 0 {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Messages and bytes waiting.
    pub(super) fn load(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.queue.len(), state.queue.bytes())
    }

    /// Whether a message of `size` would be taken now without dropping any.
    pub(super) fn has_room(&self, size: u64) -> bool {
        let state = self.state.lock();
        !state.is_closed() && state.is_line_empty() && state.queue.has_room(size)
    }

    /// Puts a message in as the policy says; its route was found in the generation
    /// `found`. False if publishers must wait.
    pub(super) fn push(&self, parcel: &Parcel, found: u64) -> bool {
        let mut state = self.state.lock();
        if state.turns_away(parcel, found) {
            return true;
        }
        let was_empty = state.queue.len() == 0;
        let limits = state.queue.limits();
        let (message, size) = (parcel.share(limits.answers), parcel.size);
        if limits.overflow == Overflow::Block && size <= limits.bytes_max {
            if !state.is_line_empty() || !state.queue.has_room(size) {
                return false;
            }
            state.queue.push(message, size);
        } else {
            self.count_dropped(state.queue.push_or_drop(message, size));
        }
        let arrived = was_empty && state.queue.len() > 0;
        let waker = state.waker.take_if(|_| arrived);
        drop(state);
        if arrived {
            self.tell(waker);
        }
        true
    }

    /// Puts a message in, whatever its policy now says, that was on its way here when
    /// nobody had to wait yet, and that others have got: one for each publisher.
    pub(super) fn push_late(&self, parcel: &Parcel, found: u64) {
        let mut state = self.state.lock();
        if !state.turns_away(parcel, found) {
            state.put(parcel);
            let waker = state.waker.take();
            drop(state);
            self.tell(waker);
        }
    }

    pub(super) fn count_dropped(&self, count: u64) {
        if count > 0 {
            self.record
                .counters
                .dropped
                .fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Promises room for one message.
    pub(super) fn reserve(&self, size: u64) -> Room {
        let mut state = self.state.lock();
        let limits = state.queue.limits();
        let blocks = limits.overflow == Overflow::Block && !state.rests();
        if state.is_closed() || !blocks || size > limits.bytes_max {
            Room::Unneeded
        } else if !state.is_line_empty() || !state.queue.has_room(size) {
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
    pub(super) fn push_reserved(&self, parcel: &Parcel, found: u64) {
        let mut state = self.state.lock();
        state.queue.release(parcel.size);
        if state.turns_away(parcel, found) {
            let turns = state.admit();
            drop(state);
            turns.iter().for_each(|turn| turn.notify_one());
            return;
        }
        let was_empty = state.queue.len() == 0;
        state.put(parcel);
        let waker = state.waker.take_if(|_| was_empty);
        drop(state);
        if was_empty {
            self.tell(waker);
        }
    }

    /// Joins the line, having come by a route of the generation `found`. None if the
    /// line is too long. Told at once if there is nothing to wait for here any more.
    pub(super) fn join(&self, size: u64, turn: &Arc<Notify>, found: u64) -> Option<Arc<Waiter>> {
        let mut state = self.state.lock();
        if state
            .line
            .as_ref()
            .is_some_and(|line| line.0.len() >= LINE_MAX)
        {
            return None;
        }
        let waiter = Arc::new(Waiter {
            size,
            turn: Arc::clone(turn),
            granted: false.into(),
        });
        if state.is_closed() || state.is_stale(found) {
            turn.notify_one();
            return Some(waiter);
        }
        let line = state.line.get_or_insert_default();
        line.0.push_back(Arc::clone(&waiter));
        let turns = state.admit();
        drop(state);
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
        if let Some(line) = &mut state.line {
            line.0.retain(|other| !Arc::ptr_eq(other, waiter));
        }
        // Those behind may need less room than the one that left.
        let turns = state.admit();
        drop(state);
        turns.iter().for_each(|turn| turn.notify_one());
        false
    }

    /// Moves up to `max` messages to `into`; returns how many.
    pub(super) fn take(&self, max: usize, into: &mut Vec<Arc<Message>>) -> usize {
        let mut state = self.state.lock();
        let (count, expired) = state.queue.take(max, into);
        let turns = state.admit();
        drop(state);
        turns.iter().for_each(|turn| turn.notify_one());
        self.count_dropped(expired);
        if count > 0 {
            let delivered = &self.record.counters.delivered;
            delivered.fetch_add(count as u64, Ordering::Relaxed);
        }
        count
    }

    /// Lets nothing in any more and sends the line home.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.mode = Mode::Closed;
        let line = std::mem::take(&mut state.line);
        let mut rest = Vec::new();
        let (unread, expired) = state.queue.take(usize::MAX, &mut rest);
        drop(state);
        self.count_dropped(unread as u64 + expired);
        send_home(line.as_deref());
    }
}
