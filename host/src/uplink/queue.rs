//! What waits for the target, on the disk, within its quota.
//!
//! A lane for each priority. Entries that the sender has taken up are not dropped
//! any more to make room. Blocking: call where blocking is allowed.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use super::clock::QueueClock;
use super::config::{PRIORITIES, QueueConfig, QueueOverflow};
use super::error::BuildError;
use super::identity;
use crate::names::PartyName;
use crate::storage::{Lane, Log, LogError, Storage, entry_size};

/// Entries dropped in one step.
const DROPPED_AT_ONCE: usize = 256;

/// The queue of one uplink.
#[derive(Debug)]
pub(crate) struct Queue {
    log: Log,
    bytes_max: u64,
    overflow: QueueOverflow,
    shares: [u64; PRIORITIES as usize],
    /// One above the last entry that the sender has taken up, by lane.
    claimed: [AtomicU64; PRIORITIES as usize],
    /// Something was put in.
    pub(crate) news: Notify,
    /// Something was taken out.
    pub(crate) room: Notify,
    pub(crate) clock: QueueClock,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Put {
    /// How many of the batch are dealt with, from its begin.
    pub(crate) taken: usize,
    /// How many of those were refused for lack of room.
    pub(crate) refused: u64,
    /// How many older ones went to make room.
    pub(crate) displaced: u64,
}

impl Queue {
    pub(crate) fn open(
        name: &PartyName,
        config: &QueueConfig,
        storage: &Storage,
    ) -> Result<Self, BuildError> {
        let uplink = || name.to_string();
        let log = storage.log(&format!("uplink/{name}"), config.bytes_max.get());
        let log = log.map_err(|source| BuildError::Queue {
            uplink: uplink(),
            source,
        })?;
        let clock = QueueClock::open(identity::bucket(name, storage)?);
        let clock = clock.map_err(|source| BuildError::Bucket {
            uplink: uplink(),
            source,
        })?;
        Ok(Self::new(log, config, clock))
    }

    fn new(log: Log, config: &QueueConfig, clock: QueueClock) -> Self {
        let bytes_max = config.bytes_max.get();
        let share = |lane: usize| {
            let percent = config.shares.get(&lane.to_string()).copied().unwrap_or(100);
            bytes_max / 100 * u64::from(percent) + bytes_max % 100 * u64::from(percent) / 100
        };
        Self {
            log,
            bytes_max,
            overflow: config.overflow,
            shares: std::array::from_fn(share),
            claimed: Default::default(),
            news: Notify::new(),
            room: Notify::new(),
            clock,
        }
    }

    /// Puts in what there is room for, by the policy; on the disk when this returns.
    /// With [`QueueOverflow::Block`] it stops at what has to wait.
    pub(crate) fn put(&self, batch: &[(Lane, Bytes)]) -> Result<Put, LogError> {
        let mut put = Put::default();
        let mut fitting = Vec::with_capacity(batch.len());
        let mut adding = Adding::default();
        for (lane, bytes) in batch {
            let size = entry_size(bytes.len());
            let mut fits = self.fits(*lane, size, &adding);
            if !fits && self.overflow == QueueOverflow::DropOldest {
                put.displaced += self.make_room(*lane, size, &adding)?;
                fits = self.fits(*lane, size, &adding);
                if !fits && !fitting.is_empty() {
                    // What this batch has added is older too.
                    self.append(&mut fitting)?;
                    adding = Adding::default();
                    put.displaced += self.make_room(*lane, size, &adding)?;
                    fits = self.fits(*lane, size, &adding);
                }
            }
            if fits {
                adding.add(*lane, size);
                fitting.push((*lane, bytes.clone()));
            } else if self.overflow == QueueOverflow::Block && size <= self.most(*lane) {
                break;
            } else {
                put.refused += 1;
            }
            put.taken += 1;
        }
        self.append(&mut fitting)?;
        Ok(put)
    }

    fn append(&self, fitting: &mut Vec<(Lane, Bytes)>) -> Result<(), LogError> {
        if !fitting.is_empty() {
            self.log.append(fitting)?;
            fitting.clear();
            self.news.notify_one();
        }
        Ok(())
    }

    /// The most that an entry of the lane may take.
    fn most(&self, lane: Lane) -> u64 {
        let share = self.shares.get(usize::from(lane)).copied();
        share.unwrap_or(0).min(self.bytes_max)
    }

    fn fits(&self, lane: Lane, size: u64, adding: &Adding) -> bool {
        self.lane_over(lane, size, adding) == 0 && self.over(size, adding) == 0
    }

    /// By how much the whole queue would be too large.
    fn over(&self, size: u64, adding: &Adding) -> u64 {
        let needed = self.log.bytes() + adding.all() + size;
        needed.saturating_sub(self.bytes_max)
    }

    fn lane_over(&self, lane: Lane, size: u64, adding: &Adding) -> u64 {
        let needed = self.log.lane_bytes(lane) + adding.of(lane) + size;
        needed.saturating_sub(self.most(lane))
    }

    /// Drops the oldest of this lane while it is above its share; then those of the
    /// least urgent lane, never of a more urgent one. How many went.
    fn make_room(&self, lane: Lane, size: u64, adding: &Adding) -> Result<u64, LogError> {
        if size > self.most(lane) {
            return Ok(0);
        }
        let over = self.lane_over(lane, size, adding);
        let mut dropped = self.drop_oldest(lane, over)?;
        for victim in (lane..PRIORITIES).rev() {
            let over = self.over(size, adding);
            if over == 0 {
                break;
            }
            dropped += self.drop_oldest(victim, over)?;
        }
        Ok(dropped)
    }

    /// Drops the oldest that the sender has not taken up.
    fn drop_oldest(&self, lane: Lane, bytes: u64) -> Result<u64, LogError> {
        let (mut freed, mut count) = (0, 0);
        while freed < bytes {
            let after = self.claimed(lane);
            let oldest = self.log.read(lane, after, DROPPED_AT_ONCE, 1 << 20)?;
            let mut going = Vec::new();
            for (number, entry) in &oldest {
                if freed >= bytes {
                    break;
                }
                freed += entry_size(entry.len());
                going.push((lane, *number));
            }
            if going.is_empty() {
                break;
            }
            count += going.len() as u64;
            self.log.remove(&going)?;
        }
        Ok(count)
    }

    fn claimed(&self, lane: Lane) -> Option<u64> {
        let claimed = self.claimed.get(usize::from(lane))?;
        claimed.load(Ordering::Acquire).checked_sub(1)
    }

    /// Takes up entries that follow `after`.
    pub(crate) fn take_up(
        &self,
        lane: Lane,
        after: Option<u64>,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, LogError> {
        let entries = self.log.read(lane, after, max, bytes_max)?;
        if let (Some((last, _)), Some(claimed)) =
            (entries.last(), self.claimed.get(usize::from(lane)))
        {
            claimed.fetch_max(last + 1, Ordering::AcqRel);
        }
        Ok(entries)
    }

    /// Removes what is done with.
    pub(crate) fn remove(&self, entries: &[(Lane, u64)]) -> Result<(), LogError> {
        self.log.remove(entries)?;
        self.room.notify_one();
        Ok(())
    }

    pub(crate) fn messages(&self) -> u64 {
        self.log.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The first entry of each lane.
    pub(crate) fn oldest(&self) -> Result<Vec<Bytes>, LogError> {
        let mut oldest = Vec::new();
        for lane in 0..PRIORITIES {
            let first = self.log.read(lane, None, 1, 0)?;
            oldest.extend(first.into_iter().map(|(_, bytes)| bytes));
        }
        Ok(oldest)
    }
}

/// What a batch adds so far.
#[derive(Debug, Default)]
struct Adding([u64; PRIORITIES as usize]);

impl Adding {
    fn add(&mut self, lane: Lane, size: u64) {
        if let Some(bytes) = self.0.get_mut(usize::from(lane)) {
            *bytes += size;
        }
    }

    fn of(&self, lane: Lane) -> u64 {
        self.0.get(usize::from(lane)).copied().unwrap_or(0)
    }

    fn all(&self) -> u64 {
        self.0.iter().sum()
    }
}
