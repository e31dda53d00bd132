//! Topics at which the target hung up, and messages that wait because of that.
//!
//! A target that forbids a topic may end the connection with each message of it. So
//! these wait aside, in their order, while all else goes; from time to time the first
//! of them goes alone. Acknowledged, its topic is as any other. If the target hangs
//! up again, it is given up, and with it twice as many as the last time of those that
//! wait: else a topic with many messages would keep the connection from working.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{AHEAD, AHEAD_BYTES, Ahead, Flight};
use crate::names::{Qos, Topic};
use crate::storage::Lane;
use crate::uplink::entry::Entry;

/// Topics remembered; of more, those at which it hung up longest ago are forgotten.
const TOPICS_MAX: usize = 1_024;
/// How long a topic is remembered after the last time.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How long its messages wait after the second time, doubling.
const WAIT_MIN: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The same if as many wait as may.
const WAIT_FULL_MAX: Duration = Duration::from_secs(10);

/// Topics at which the target hung up.
#[derive(Debug, Default)]
pub(super) struct Denied(HashMap<Topic, Record>);

#[derive(Clone, Copy, Debug)]
struct Record {
    times: u32,
    /// Of these in a row, how often while the target took other messages.
    sure: u32,
    at: Instant,
}

impl Record {
    fn next(&self, full: bool) -> Instant {
        let doubled = WAIT_MIN.saturating_mul(1 << self.times.saturating_sub(2).min(20));
        let most = if full { WAIT_FULL_MAX } else { WAIT_MAX };
        match self.times {
            0 | 1 => self.at,
            _ => self.at + doubled.min(most),
        }
    }
}

impl Denied {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn holds(&self, topic: &Topic, now: Instant) -> bool {
        let record = self.0.get(topic);
        record.is_some_and(|record| now < record.at + REMEMBERED)
    }

    /// The target hung up; `sure` says that it took other messages meanwhile. How
    /// many of those that wait go too.
    pub(super) fn hung_up(&mut self, topic: &Topic, sure: bool, now: Instant) -> usize {
        self.0.retain(|_, record| now < record.at + REMEMBERED);
        if self.0.len() >= TOPICS_MAX && !self.0.contains_key(topic) {
            let oldest = self.0.iter().min_by_key(|(_, record)| record.at);
            if let Some(oldest) = oldest.map(|(topic, _)| topic.clone()) {
                self.0.remove(&oldest);
            }
        }
        let record = self.0.entry(topic.clone()).or_insert(Record {
            times: 0,
            sure: 0,
            at: now,
        });
        record.times = record.times.saturating_add(1);
        record.at = now;
        if !sure {
            return 0;
        }
        record.sure = record.sure.saturating_add(1);
        // With the one that was sent: 1, 2, 4.
        (1 << (record.sure - 1).min(16)) - 1
    }

    /// The target takes messages of the topic.
    pub(super) fn forget(&mut self, topic: &Topic) {
        self.0.remove(topic);
    }

    /// When one of the topic may go alone.
    fn next(&self, topic: &Topic, full: bool) -> Option<Instant> {
        self.0.get(topic).map(|record| record.next(full))
    }
}

impl Ahead {
    /// The next that goes; what has to wait is set aside. None with entries left: as
    /// many wait as may.
    pub(super) fn take(&mut self, denied: &Denied, now: Instant) -> Option<(u64, Entry)> {
        let waits = |entry: &Entry| denied.holds(&entry.topic, now);
        let free = self.aside.iter().position(|(_, entry)| !waits(entry));
        if let Some(place) = free {
            return self.aside.remove(place);
        }
        while let Some((number, entry)) = self.entries.pop_front() {
            // Of QoS 0 it would never be known whether the target took it.
            if entry.qos == Qos::AtMostOnce || denied.is_empty() || !waits(&entry) {
                return Some((number, entry));
            }
            if self.is_full() {
                self.entries.push_front((number, entry));
                break;
            }
            self.aside.push_back((number, entry));
        }
        None
    }

    /// Whether as many wait aside as may.
    fn is_full(&self) -> bool {
        let bytes = self.aside.iter().map(|(_, entry)| entry.bytes());
        self.aside.len() >= AHEAD || bytes.sum::<usize>() >= AHEAD_BYTES
    }

    /// When which of those aside may go, the first first.
    fn next_aside(&self, denied: &Denied) -> Option<(Instant, usize)> {
        if self.aside.is_empty() {
            return None;
        }
        let full = self.is_full();
        let places = self.aside.iter().enumerate();
        let next = places
            .filter_map(|(place, (_, entry))| Some((denied.next(&entry.topic, full)?, place)));
        next.min()
    }

    /// Takes out up to `count` of a topic that wait.
    fn give_up(&mut self, topic: &Topic, count: usize) -> Vec<(u64, Entry)> {
        let mut gone = Vec::new();
        let mut kept = VecDeque::with_capacity(self.aside.len());
        for (number, entry) in self.aside.drain(..) {
            if gone.len() < count && entry.topic == *topic {
                gone.push((number, entry));
            } else {
                kept.push_back((number, entry));
            }
        }
        self.aside = kept;
        gone
    }
}

impl Flight {
    /// What waits aside and may go alone; else when something may.
    pub(super) fn aside(&self, now: Instant) -> Result<(Lane, usize), Option<Instant>> {
        let lanes = (0..).zip(&self.lanes);
        let next = lanes.filter_map(|(lane, ahead)| {
            let (at, place) = ahead.next_aside(&self.denied)?;
            Some((at, lane, place))
        });
        match next.min() {
            Some((at, lane, place)) if at <= now => Ok((lane, place)),
            next => Err(next.map(|(at, ..)| at)),
        }
    }

    /// When something that waits may go, unless it is overdue: then it only waits for
    /// what is on its way.
    pub(in crate::uplink::link) fn wake_at(&self, now: Instant) -> Option<Instant> {
        self.aside(now).err().flatten()
    }

    /// Sets aside all of a topic that would go again.
    pub(super) fn set_aside(&mut self, topic: &Topic) {
        let mut kept = VecDeque::with_capacity(self.sent.len());
        for sent in self.sent.drain(..).rev() {
            let ahead = self.lanes.get_mut(usize::from(sent.lane));
            match ahead {
                Some(ahead) if sent.entry.topic == *topic => {
                    ahead.aside.push_front((sent.number, sent.entry));
                }
                _ => kept.push_front(sent),
            }
        }
        self.sent = kept;
        self.careful = self.careful.min(self.sent.len());
    }

    /// Gives up `count` of a topic that wait aside.
    pub(super) fn give_up_aside(&mut self, lane: Lane, topic: &Topic, count: usize) -> Vec<Entry> {
        let Some(ahead) = self.lanes.get_mut(usize::from(lane)) else {
            return Vec::new();
        };
        let gone = ahead.give_up(topic, count).into_iter();
        gone.map(|(number, entry)| {
            self.gone.push((lane, number));
            entry
        })
        .collect()
    }
}
