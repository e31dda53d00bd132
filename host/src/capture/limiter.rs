//! Which runs are taken: by count, and at most so many in a second.
//!
//! By count and not by chance, so that a part of all runs is that part, and so
//! that no run pays for randomness. The clock is monotonic and only ever limits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::spec::{CaptureOptions, Ratio};

const SECOND: Duration = Duration::from_secs(1);

/// For one model.
#[derive(Debug)]
pub(super) struct Limiter {
    /// How much is added with each run, in millionths.
    step: u64,
    sum: AtomicU64,
    per_s_max: u32,
    second: Mutex<(Instant, u32)>,
}

impl Limiter {
    pub(super) fn new(options: &CaptureOptions) -> Self {
        Self {
            step: options.fraction.ppm().into(),
            sum: AtomicU64::new(0),
            per_s_max: options.per_s_max.get(),
            second: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Whether this run is one of those to be taken. The sum would take 500,000
    /// years to overflow at a million runs a second.
    pub(super) fn sample(&self) -> bool {
        let whole = u64::from(Ratio::WHOLE_PPM);
        let before = self.sum.fetch_add(self.step, Ordering::Relaxed);
        before / whole != before.wrapping_add(self.step) / whole
    }

    /// Whether there were not yet too many in this second.
    pub(super) fn admit(&self) -> bool {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> bool {
        let mut second = self.second.lock();
        let (begun, count) = &mut *second;
        if now.duration_since(*begun) >= SECOND {
            (*begun, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.per_s_max
    }
}

#[cfg(test)]
mod tests {
    use super::{CaptureOptions, Limiter, Ratio, SECOND};

    fn limiter(fraction: f64, per_s_max: u32) -> Limiter {
        Limiter::new(&CaptureOptions {
            fraction: Ratio::try_from(fraction).unwrap(),
            per_s_max: per_s_max.try_into().unwrap(),
            topic: None,
            inputs: true,
            outputs: true,
        })
    }

    #[test]
    fn exactly_the_part_that_was_asked_for_is_taken() {
        for (fraction, taken) in [(0.0, 0), (0.01, 100), (0.3, 3_000), (1.0, 10_000)] {
            let limiter = limiter(fraction, 1);
            let sampled = (0..10_000).filter(|_| limiter.sample()).count();
            assert_eq!(sampled, taken, "{fraction}");
        }
    }

    #[test]
    fn a_second_has_no_more_than_its_most() {
        let limiter = limiter(1.0, 3);
        let now = limiter.second.lock().0;
        let admitted = (0..100).filter(|_| limiter.admit_at(now)).count();
        assert_eq!(admitted, 3);
        assert!(!limiter.admit_at(now + SECOND / 2));
        assert!(limiter.admit_at(now + SECOND));
    }
}
