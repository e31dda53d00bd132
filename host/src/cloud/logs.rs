//! Log lines to the cloud: which, how many, in what form.
//!
//! Lines are gathered into batches of NDJSON, bounded in bytes and in time. Beyond
//! the bounds on lines a second, bytes a day and bytes on the disk, lines are
//! dropped; how many and why stands in the stream, as a line of its own, at the
//! begin of the next batch. Pure: the unit is in [`service`].

pub mod line;
pub mod service;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use self::line::Line;
use super::config::{LineLevel, LogsConfig};

/// The time that bytes are counted over.
const DAY: Duration = Duration::from_secs(86_400);
/// Bytes that the line about what was dropped may take, with its own.
const NOTICE_BYTES_MAX: usize = 512;
/// Bytes of a line; longer texts are cut.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Why lines are not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// More than may be sent in a second.
    pub rate: u64,
    /// More bytes than may be sent in a day.
    pub day: u64,
    /// The cloud was away, and no more bytes may wait.
    pub disk: u64,
    /// The queue of the uplink did not take them.
    pub queue: u64,
    /// They did not fit between the bus and here, or where they were made.
    pub source: u64,
}

impl Dropped {
    fn total(self) -> u64 {
        let Self {
            rate,
            day,
            disk,
            queue,
            source,
        } = self;
        let parts = [rate, day, disk, queue, source];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// A batch that is ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    pub payload: Vec<u8>,
    pub lines: u64,
    /// What it says was dropped, to be said again if it is.
    notice: Dropped,
}

/// Gathers lines.
#[derive(Debug)]
pub struct Gatherer {
    level: LineLevel,
    bytes_max: usize,
    wait: Duration,
    lines_per_s_max: f64,
    day_bytes_max: u64,
    disk_bytes_max: u64,
    open: Vec<u8>,
    lines: u64,
    since: Option<Instant>,
    ready: Option<Batch>,
    dropped: Dropped,
    pub dropped_total: u64,
    tokens: f64,
    filled: Instant,
    day: Instant,
    day_bytes: u64,
    connected: bool,
    /// Bytes handed over since the cloud went away.
    away_bytes: u64,
}

impl Gatherer {
    pub fn new(config: &LogsConfig, now: Instant) -> Self {
        let lines_per_s_max = f64::from(config.lines_per_s_max.get());
        let size = |value: std::num::NonZeroU32| usize::try_from(value.get()).unwrap_or(usize::MAX);
        Self {
            level: config.level,
            bytes_max: size(config.batch_bytes_max).max(2 * NOTICE_BYTES_MAX),
            wait: Duration::from_secs(config.batch_s_max.get().into()),
            lines_per_s_max,
            day_bytes_max: config.day_bytes_max.get().into(),
            disk_bytes_max: config.disk_bytes_max.get().into(),
            open: Vec::new(),
            lines: 0,
            since: None,
            ready: None,
            dropped: Dropped::default(),
            dropped_total: 0,
            tokens: lines_per_s_max,
            filled: now,
            day: now,
            day_bytes: 0,
            connected: false,
            away_bytes: 0,
        }
    }

    /// The cloud came or went.
    pub fn connected(&mut self, connected: bool) {
        if connected {
            self.away_bytes = 0;
        }
        self.connected = connected;
    }

    /// Lines that were lost before they came here.
    pub fn lost(&mut self, lines: u64, now: Instant) {
        if lines > 0 {
            self.count(|dropped| &mut dropped.source, lines, now);
        }
    }

    /// Takes a line in, or counts it. Whoever adds lines takes batches between.
    pub fn add(&mut self, line: &Line, now: Instant) {
        self.lost(line.dropped, now);
        if line.level < self.level || (line.text.is_empty() && line.dropped > 0) {
            return;
        }
        self.fill(now);
        let text = line.json(LINE_BYTES_MAX.min(self.bytes_max - NOTICE_BYTES_MAX));
        let bytes = text.len() as u64 + 1;
        if self.tokens < 1.0 {
            return self.count(|dropped| &mut dropped.rate, 1, now);
        }
        if self.day_bytes.saturating_add(bytes) > self.day_bytes_max {
            return self.count(|dropped| &mut dropped.day, 1, now);
        }
        if !self.connected && self.away_bytes.saturating_add(bytes) > self.disk_bytes_max {
            return self.count(|dropped| &mut dropped.disk, 1, now);
        }
        if self.open.len() + text.len() + 1 + NOTICE_BYTES_MAX > self.bytes_max {
            if self.ready.is_some() {
                return self.count(|dropped| &mut dropped.queue, 1, now);
            }
            self.close();
        }
        self.tokens -= 1.0;
        self.day_bytes += bytes;
        if !self.connected {
            self.away_bytes += bytes;
        }
        self.open.extend_from_slice(text.as_bytes());
        self.open.push(b'\n');
        self.lines += 1;
        self.since.get_or_insert(now);
    }

    /// A batch, if one is full or has waited long enough.
    pub fn take(&mut self, now: Instant) -> Option<Batch> {
        if self.ready.is_none() && self.due().is_some_and(|due| due <= now) {
            self.close();
        }
        self.ready.take()
    }

    /// All that is there, whatever its age.
    pub fn take_all(&mut self) -> Option<Batch> {
        if self.ready.is_none() && self.since.is_some() {
            self.close();
        }
        self.ready.take()
    }

    /// When there is a batch to take, if nothing more comes.
    pub fn due(&self) -> Option<Instant> {
        Some(self.since? + self.wait)
    }

    /// The queue did not take a batch: its lines are dropped, and what it said is
    /// said again.
    pub fn refused(&mut self, batch: &Batch, now: Instant) {
        let Dropped {
            rate,
            day,
            disk,
            queue,
            source,
        } = batch.notice;
        let dropped = &mut self.dropped;
        for (count, more) in [
            (&mut dropped.rate, rate),
            (&mut dropped.day, day),
            (&mut dropped.disk, disk),
            (&mut dropped.queue, queue),
            (&mut dropped.source, source),
        ] {
            *count = count.saturating_add(more);
        }
        self.count(|dropped| &mut dropped.queue, batch.lines, now);
    }

    fn count(&mut self, part: impl Fn(&mut Dropped) -> &mut u64, lines: u64, now: Instant) {
        let count = part(&mut self.dropped);
        *count = count.saturating_add(lines);
        self.dropped_total = self.dropped_total.saturating_add(lines);
        // It is said also if nothing else is.
        self.since.get_or_insert(now);
    }

    fn close(&mut self) {
        self.since = None;
        let notice = std::mem::take(&mut self.dropped);
        let mut payload = Vec::new();
        if notice.total() > 0 {
            payload.extend_from_slice(line::notice(notice.total(), &notice).as_bytes());
            payload.push(b'\n');
        }
        payload.append(&mut self.open);
        let lines = std::mem::take(&mut self.lines);
        self.ready = Some(Batch {
            payload,
            lines,
            notice,
        });
    }

    /// Time gives back what may be sent.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        let max = self.lines_per_s_max;
        self.tokens = passed.mul_add(max, self.tokens).min(max);
        if now.saturating_duration_since(self.day) >= DAY {
            self.day = now;
            self.day_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests;
