//! What waits for the target, on the disk, within its quota.
//!
//! A lane for each priority. Entries that the sender has taken up are not dropped
//! any more to make room. Blocking: call where blocking is allowed.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::clock::QueueClock;
use super::config::{PRIORITIES, QueueConfig, QueueOverflow};
use super::error::BuildError;
use super::identity;
use crate::names::PartyName;
use crate::storage::{Lane, Log, LogError, Storage, entry_size};

/// Entries looked at in one step to be dropped, the first time and at most.
const LOOKED_AT_MIN: usize = 8;
const LOOKED_AT_MAX: usize = 256;
/// And their bytes.
const LOOKED_AT_BYTES: usize = 1 << 20;

/// The queue of one uplink.
#[derive(Debug)]
pub(crate) struct Queue {
    log: Log,
    bytes_max: u64,
    overflow: QueueOverflow,
    shares: [u64; PRIORITIES as usize],
    /// One above the last entry that the sender has taken up or that was dropped, by
    /// lane: the oldest that may be dropped is looked for from there. Below, the traces
    /// of those that were dropped may be as many as fit into the queue.
    passed: [AtomicU64; PRIORITIES as usize],
    /// Held from choosing what is dropped until it is, and while something is taken up.
    choosing: Mutex<()>,
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
            passed: Default::default(),
            choosing: Mutex::default(),
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
                put.displaced += self.make_room(*lane, size, &mut adding)?;
                fits = self.fits(*lane, size, &adding);
                if !fits && !fitting.is_empty() {
                    // What this batch has added is older too.
                    self.append(&mut fitting, &mut adding)?;
                    put.displaced += self.make_room(*lane, size, &mut adding)?;
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
        self.append(&mut fitting, &mut adding)?;
        Ok(put)
    }

    /// Drops what goes to make room, all at once, and puts in what it goes for.
    fn append<'a>(
        &'a self,
        fitting: &mut Vec<(Lane, Bytes)>,
        adding: &mut Adding<'a>,
    ) -> Result<(), LogError> {
        let adding = std::mem::take(adding);
        if !adding.going.is_empty() {
            self.log.remove(&adding.going)?;
            for (lane, number) in &adding.going {
                self.pass(*lane, *number);
            }
        }
        // Nobody who takes up waits for the disk.
        drop(adding);
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

    fn fits(&self, lane: Lane, size: u64, adding: &Adding<'_>) -> bool {
        self.lane_over(lane, size, adding) == 0 && self.over(size, adding) == 0
    }

    /// By how much the whole queue would be too large.
    fn over(&self, size: u64, adding: &Adding<'_>) -> u64 {
        let lanes = adding.lanes.iter();
        let (added, freed) = lanes.fold((0, 0), |(added, freed), lane| {
            (added + lane.added, freed + lane.freed)
        });
        let needed = (self.log.bytes() + added + size).saturating_sub(freed);
        needed.saturating_sub(self.bytes_max)
    }

    fn lane_over(&self, lane: Lane, size: u64, adding: &Adding<'_>) -> u64 {
        let own = adding.lanes.get(usize::from(lane));
        let (added, freed) = own.map_or((0, 0), |own| (own.added, own.freed));
        let needed = (self.log.lane_bytes(lane) + added + size).saturating_sub(freed);
        needed.saturating_sub(self.most(lane))
    }

    /// Drops the oldest of this lane while it is above its share; then those of the
    /// least urgent lane, never of a more urgent one. How many went.
    fn make_room<'a>(
        &'a self,
        lane: Lane,
        size: u64,
        adding: &mut Adding<'a>,
    ) -> Result<u64, LogError> {
        if size > self.most(lane) {
            return Ok(0);
        }
        let over = self.lane_over(lane, size, adding);
        let mut dropped = self.drop_oldest(lane, over, adding)?;
        for victim in (lane..PRIORITIES).rev() {
            let over = self.over(size, adding);
            if over == 0 {
                break;
            }
            dropped += self.drop_oldest(victim, over, adding)?;
        }
        Ok(dropped)
    }

    /// Chooses the oldest that the sender has not taken up, until they have `bytes`.
    fn drop_oldest<'a>(
        &'a self,
        lane: Lane,
        bytes: u64,
        adding: &mut Adding<'a>,
    ) -> Result<u64, LogError> {
        let Adding {
            lanes,
            going,
            choosing,
        } = adding;
        let Some(own) = lanes.get_mut(usize::from(lane)) else {
            return Ok(0);
        };
        choosing.get_or_insert_with(|| self.choosing.lock());
        let (mut freed, mut count) = (0, 0);
        while freed < bytes {
            if own.oldest.is_empty() {
                let after = own.looked_at.max(self.passed(lane));
                let most = going.len().clamp(LOOKED_AT_MIN, LOOKED_AT_MAX);
                let oldest = self.log.read(lane, after, most, LOOKED_AT_BYTES)?;
                let oldest = oldest.into_iter();
                own.oldest
                    .extend(oldest.map(|(number, entry)| (number, entry_size(entry.len()))));
            }
            let Some((number, size)) = own.oldest.pop_front() else {
                break;
            };
            own.looked_at = Some(number);
            own.freed += size;
            going.push((lane, number));
            freed += size;
            count += 1;
        }
        Ok(count)
    }

    fn passed(&self, lane: Lane) -> Option<u64> {
        let passed = self.passed.get(usize::from(lane))?;
        passed.load(Ordering::Acquire).checked_sub(1)
    }

    fn pass(&self, lane: Lane, number: u64) {
        if let Some(passed) = self.passed.get(usize::from(lane)) {
            passed.fetch_max(number.saturating_add(1), Ordering::AcqRel);
        }
    }

    /// Takes up entries that follow `after`.
    pub(crate) fn take_up(
        &self,
        lane: Lane,
        after: Option<u64>,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, LogError> {
        let _choosing = self.choosing.lock();
        let entries = self.log.read(lane, after, max, bytes_max)?;
        if let Some((last, _)) = entries.last() {
            self.pass(lane, *last);
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

/// What a batch adds so far, and what goes for it.
#[derive(Debug, Default)]
struct Adding<'a> {
    lanes: [AddingTo; PRIORITIES as usize],
    going: Vec<(Lane, u64)>,
    /// From the first choice on.
    choosing: Option<MutexGuard<'a, ()>>,
}

#[derive(Debug, Default)]
struct AddingTo {
    added: u64,
    freed: u64,
    /// The oldest that were looked at and stay so far, and their sizes.
    oldest: VecDeque<(u64, u64)>,
    /// The last that goes.
    looked_at: Option<u64>,
}

impl Adding<'_> {
    fn add(&mut self, lane: Lane, size: u64) {
        if let Some(own) = self.lanes.get_mut(usize::from(lane)) {
            own.added += size;
        }
    }
}
