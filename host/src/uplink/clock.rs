//! How long messages have waited, over restarts and whatever the wall clock does.
//!
//! A count of milliseconds that only grows. While the host runs it follows the
//! monotonic clock: a wall clock that is set neither revives messages nor ends
//! them. For the time that the host was not running it follows the kernel's uptime,
//! if the machine has not been started anew, else the wall clock, if that went
//! forward and both readings are of this age. So a message may live longer than its
//! time by at most what a wrong clock hides of a power failure, and a clock that is
//! set forward while the host runs ends none.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::storage::{Bucket, BucketError};

const KEY: &str = "clock";

/// Before it no reading of the wall clock is believed: 2025-01-01.
const SANE_MS: u64 = 1_735_689_600_000;

/// The queue's clock.
#[derive(Debug)]
pub(crate) struct QueueClock {
    base: u64,
    since: Instant,
    bucket: Bucket,
}

/// What is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    count: u64,
    boot: String,
    uptime: u64,
    wall: u64,
}

impl Reading {
    /// What the count is at `now`, whose own count plays no part.
    fn advanced(&self, now: &Self) -> u64 {
        let away = if !now.boot.is_empty() && now.boot == self.boot {
            now.uptime.saturating_sub(self.uptime)
        } else if self.wall >= SANE_MS && now.wall >= SANE_MS {
            now.wall.saturating_sub(self.wall)
        } else {
            0
        };
        self.count.saturating_add(away)
    }

    fn take(count: u64) -> Self {
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let uptime = fs_err::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split_whitespace().next().unwrap_or_default();
        let seconds: f64 = seconds.parse().unwrap_or_default();
        let uptime = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            count,
            boot: boot.trim().to_owned(),
            uptime: millis(uptime),
            wall: millis(wall.unwrap_or_default()),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl QueueClock {
    /// Goes on where it was.
    pub(crate) fn open(bucket: Bucket) -> Result<Self, BucketError> {
        let now = Reading::take(0);
        let last = bucket.get(KEY)?;
        let last = last.and_then(|bytes| serde_json::from_slice::<Reading>(&bytes).ok());
        let clock = Self {
            base: last.map_or(0, |last| last.advanced(&now)),
            since: Instant::now(),
            bucket,
        };
        clock.remember()?;
        Ok(clock)
    }

    /// Milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.base.saturating_add(millis(self.since.elapsed()))
    }

    /// Remembers how far it is. Now and then is enough: what passes after that is
    /// found by the other clocks.
    pub(crate) fn remember(&self) -> Result<(), BucketError> {
        let reading = serde_json::to_vec(&Reading::take(self.now()));
        let reading = reading.expect("readings are plain data");
        self.bucket.set(KEY, &reading)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reading, SANE_MS};

    fn reading(count: u64, boot: &str, uptime: u64, wall: u64) -> Reading {
        Reading {
            count,
            boot: boot.to_owned(),
            uptime,
            wall,
        }
    }

    #[test]
    fn time_away_counts_whatever_the_wall_clock_says() {
        let last = reading(1_000, "a", 500, SANE_MS + 10);
        // The same start of the machine: the wall clock plays no part.
        assert_eq!(last.advanced(&reading(0, "a", 700, 0)), 1_200);
        assert_eq!(last.advanced(&reading(0, "a", 700, SANE_MS * 2)), 1_200);
        // Another start: only forward, and only if both are of this age.
        assert_eq!(last.advanced(&reading(0, "b", 5, SANE_MS + 40)), 1_030);
        assert_eq!(last.advanced(&reading(0, "b", 5, SANE_MS)), 1_000);
        assert_eq!(last.advanced(&reading(0, "b", 5, 7)), 1_000);
        let unset = reading(1_000, "a", 500, 7);
        assert_eq!(unset.advanced(&reading(0, "b", 5, SANE_MS * 2)), 1_000);
        assert_eq!(reading(9, "", 5, 0).advanced(&reading(0, "", 9, 0)), 9);
    }
}
