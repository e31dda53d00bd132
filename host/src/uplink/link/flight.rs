//! What is on its way to the target, and what goes next.
//!
//! Pure but for the clock: entries go in, packets and numbers to be removed come
//! out. Lanes go in the order of their urgency, each in its own order. What was not
//! acknowledged when a connection ended goes again first, in the same order and
//! under the same packet identifiers.
//!
//! A message at which the target ends connections is found by sending one at a time
//! while it is suspected; after some times it is given up, and others of its topic
//! wait [`aside`] while the rest goes.

mod answers;
mod aside;
mod ending;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

pub(super) use self::answers::Acked;
use self::answers::PAUSE_MIN;
use self::aside::Denied;
pub(super) use self::ending::Ending;
use super::super::config::PRIORITIES;
use super::super::entry::Entry;
use super::super::target::Poison;
use crate::mqtt::PacketId;
use crate::names::Qos;
use crate::storage::Lane;

/// Entries of a lane that are read ahead, and their bytes.
pub(super) const AHEAD: usize = 256;
pub(super) const AHEAD_BYTES: usize = 512 << 10;
/// What is read ahead when there are fewer.
const LOW: usize = 64;

/// Bytes that may be unacknowledged: on a slow way more would only wait there.
const IN_FLIGHT_BYTES_MAX: usize = 1 << 20;
/// Bytes of a message beside its payload, topic and properties.
const HEAD_BYTES: usize = 128;

/// All that is sent and to be sent.
#[derive(Debug)]
pub(super) struct Flight {
    lanes: [Ahead; PRIORITIES as usize],
    /// Something came since it was last asked what is to be read.
    heard: bool,
    sent: VecDeque<Sent>,
    last_id: u16,
    /// To be removed from the queue.
    gone: Vec<(Lane, u64)>,
    /// Messages to be sent one at a time.
    careful: usize,
    /// The first unacknowledged message when connections ended, and how many did.
    blamed: Option<((Lane, u64), u32)>,
    paused_until: Option<Instant>,
    pause: Duration,
    /// How many went, to tell what went before what.
    went: u64,
    /// When the target last answered a message on this connection.
    answered_at: Option<Instant>,
    /// Bytes that went since then and that it does not answer.
    loose: usize,
    denied: Denied,
    /// The target took something since it last hung up at a topic that was as any
    /// other.
    takes: bool,
    /// Something was given up, and nothing taken since.
    buried: bool,
    /// Something was taken since something was given up.
    mended: bool,
}

/// What is read ahead of a lane.
#[derive(Debug, Default)]
struct Ahead {
    entries: VecDeque<(u64, Entry)>,
    /// Those that wait, of topics at which the target hung up; they go before the rest
    /// of their topic.
    aside: VecDeque<(u64, Entry)>,
    /// The last entry read.
    after: Option<u64>,
    /// Nothing more was there.
    drained: bool,
}

/// A message sent, or to be sent again.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: PacketId,
    pub(super) lane: Lane,
    pub(super) number: u64,
    pub(super) entry: Entry,
    /// On the present connection.
    on_wire: bool,
    pub(super) sent_at: Instant,
    /// Earlier, perhaps on an earlier connection.
    pub(super) repeated: bool,
    failures: u32,
    bytes: usize,
    /// Its place among all that went.
    order: u64,
    /// Since when the target has answered what went later, on this connection.
    passed_at: Option<Instant>,
    /// Connections that ended so.
    passed: u32,
}

/// What may be sent next.
#[derive(Debug)]
pub(super) enum Next {
    /// The message at this place of those sent.
    Again(usize),
    /// A new one.
    New(Lane, u64, Entry),
    /// Nothing; there may be more to read.
    Nothing,
}

impl Flight {
    pub(super) fn new() -> Self {
        Self {
            lanes: Default::default(),
            heard: false,
            sent: VecDeque::new(),
            last_id: 0,
            gone: Vec::new(),
            careful: 0,
            blamed: None,
            paused_until: None,
            pause: PAUSE_MIN,
            went: 0,
            answered_at: None,
            loose: 0,
            denied: Denied::default(),
            takes: false,
            buried: false,
            mended: false,
        }
    }

    /// Messages sent and not acknowledged, or to be sent again.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Bytes that may still be on their way.
    pub(super) fn bytes(&self) -> usize {
        self.on_wire().1 + self.loose
    }

    /// How many are unacknowledged on this connection, and their bytes.
    pub(super) fn on_wire(&self) -> (usize, usize) {
        let on_wire = self.sent.iter().filter(|sent| sent.on_wire);
        on_wire.fold((0, 0), |(count, bytes), sent| {
            (count + 1, bytes + sent.bytes)
        })
    }

    /// Until when nothing is sent.
    pub(super) fn paused_until(&mut self, now: Instant) -> Option<Instant> {
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.paused_until
    }

    /// Which lanes are to be read, and from where. Not asked while they are read.
    pub(super) fn wanting(&mut self) -> Vec<(Lane, Option<u64>)> {
        self.heard = false;
        let lanes = (0..PRIORITIES).zip(&self.lanes);
        lanes
            .filter(|(_, ahead)| !ahead.drained && ahead.entries.len() < LOW)
            .map(|(lane, ahead)| (lane, ahead.after))
            .collect()
    }

    /// There may be more in every lane.
    pub(super) fn news(&mut self) {
        self.heard = true;
        for ahead in &mut self.lanes {
            ahead.drained = false;
        }
    }

    /// Takes what was read of a lane; returns how many could not be understood.
    pub(super) fn load(&mut self, lane: Lane, entries: Vec<(u64, Bytes)>) -> u64 {
        let Some(ahead) = self.lanes.get_mut(usize::from(lane)) else {
            return 0;
        };
        // What came while it was read may not have been seen.
        ahead.drained = entries.is_empty() && !self.heard;
        let mut unreadable = 0;
        for (number, bytes) in entries {
            ahead.after = Some(number);
            match Entry::decode(bytes) {
                Some(entry) => ahead.entries.push_back((number, entry)),
                None => {
                    unreadable += 1;
                    self.gone.push((lane, number));
                }
            }
        }
        unreadable
    }

    /// What goes next, if `window` messages may be unacknowledged.
    pub(super) fn next(&mut self, window: usize, now: Instant) -> Next {
        let (on_wire, bytes) = self.on_wire();
        if self.careful > 0 && on_wire > 0 {
            return Next::Nothing;
        }
        if on_wire >= window || bytes >= IN_FLIGHT_BYTES_MAX {
            return Next::Nothing;
        }
        if let Some(place) = self.sent.iter().position(|sent| !sent.on_wire) {
            return Next::Again(place);
        }
        if let Some(next) = self.alone(on_wire, now) {
            return next;
        }
        match self.new_entry(now) {
            // Some may have been set aside just now.
            Next::Nothing => self.alone(on_wire, now).unwrap_or(Next::Nothing),
            next => next,
        }
    }

    /// What waits aside and may go, when nothing else is on its way.
    fn alone(&mut self, on_wire: usize, now: Instant) -> Option<Next> {
        let (lane, place) = self.aside(now).ok()?;
        if on_wire > 0 {
            return Some(Next::Nothing);
        }
        let ahead = self.lanes.get_mut(usize::from(lane))?;
        let (number, entry) = ahead.aside.remove(place)?;
        self.careful = self.careful.max(1);
        Some(Next::New(lane, number, entry))
    }

    /// The first of the most urgent lane that has something to go.
    fn new_entry(&mut self, now: Instant) -> Next {
        for (lane, ahead) in (0..).zip(&mut self.lanes) {
            if let Some((number, entry)) = ahead.take(&self.denied, now) {
                return Next::New(lane, number, entry);
            }
            if !ahead.drained && ahead.entries.is_empty() {
                // What is more urgent is not known yet.
                break;
            }
        }
        Next::Nothing
    }

    /// The message at `place`.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Sent> {
        self.sent.get_mut(place)
    }

    /// It went again.
    pub(super) fn went(&mut self, place: usize, now: Instant) {
        self.went += 1;
        if let Some(sent) = self.sent.get_mut(place) {
            sent.on_wire = true;
            sent.sent_at = now;
            sent.repeated = true;
            sent.order = self.went;
            sent.passed_at = None;
        }
    }

    /// It went for the first time; of QoS 0 that was all.
    pub(super) fn first(
        &mut self,
        (lane, number): (Lane, u64),
        entry: Entry,
        id: Option<PacketId>,
        now: Instant,
    ) {
        let bytes = HEAD_BYTES + entry.bytes();
        let Some(id) = id else {
            self.loose = self.loose.saturating_add(bytes);
            self.gone.push((lane, number));
            return;
        };
        self.went += 1;
        self.sent.push_back(Sent {
            id,
            lane,
            number,
            entry,
            on_wire: true,
            sent_at: now,
            repeated: false,
            failures: 0,
            bytes,
            order: self.went,
            passed_at: None,
            passed: 0,
        });
    }

    /// It does not go: expired or given up.
    pub(super) fn discard(&mut self, lane: Lane, number: u64) {
        self.gone.push((lane, number));
    }

    /// As [`discard`](Self::discard), of one that was sent before.
    pub(super) fn discard_at(&mut self, place: usize) -> Option<Sent> {
        let sent = self.sent.remove(place)?;
        self.gone.push((sent.lane, sent.number));
        self.careful = self.careful.saturating_sub(1);
        Some(sent)
    }

    /// An identifier that no message here has, and that `taken` does not know.
    pub(super) fn free_id(&mut self, taken: impl Fn(PacketId) -> bool) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if let Some(id) = PacketId::new(self.last_id)
                && !taken(id)
                && !self.sent.iter().any(|sent| sent.id == id)
            {
                return id;
            }
        }
    }

    /// What is to be removed from the queue.
    pub(super) fn take_gone(&mut self) -> Vec<(Lane, u64)> {
        std::mem::take(&mut self.gone)
    }

    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Puts back what could not be removed.
    pub(super) fn not_gone(&mut self, mut entries: Vec<(Lane, u64)>) {
        self.gone.append(&mut entries);
    }

    /// Whether a message wants an acknowledgement.
    pub(super) fn wants_id(entry: &Entry) -> bool {
        entry.qos != Qos::AtMostOnce
    }
}
