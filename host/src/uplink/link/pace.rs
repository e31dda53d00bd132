//! How fast: token buckets for what is sent, and delays before connecting again.

use std::time::Duration;

use tokio::time::Instant;

/// Which part of a second's allowance may go at once.
const BURST_PART: f64 = 0.1;

/// So much each second, with short bursts.
#[derive(Debug)]
pub(super) struct Bucket {
    per_s: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(per_s: u32, now: Instant) -> Self {
        let per_s = f64::from(per_s.max(1));
        let burst = (per_s * BURST_PART).max(1.0);
        Self {
            per_s,
            burst,
            tokens: burst,
            at: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_s).min(self.burst);
        self.at = now;
    }

    /// When something may go: None for now. A message larger than what is there goes
    /// and is waited for afterwards.
    pub(super) fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        let lacking = self.tokens.min(1.0) - 1.0;
        let wait = Duration::try_from_secs_f64(-lacking / self.per_s).unwrap_or_default();
        // Less than this is not waited for: no timer is so exact.
        (lacking < -1e-6).then(|| now + wait.max(Duration::from_micros(100)))
    }

    pub(super) fn take(&mut self, count: usize) {
        #[expect(clippy::cast_precision_loss, reason = "sizes of messages are small")]
        let count = count as f64;
        self.tokens -= count;
    }
}

/// Delays that double with each failure, of which a random part is waited.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            failures: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Full jitter: anything from nothing to the doubled delay.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = self.min.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let mut bytes = [0; 4];
        // Without random bytes the whole delay is waited.
        let part = match getrandom::fill(&mut bytes) {
            Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
            Err(_) => 1.0,
        };
        doubled.min(self.max).mul_f64(part)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Bucket, Duration, Instant};

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_and_used_up() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100, start);
        let mut sent = 0_u32;
        let mut now = start;
        while now < start + Duration::from_secs(10) {
            match bucket.ready_at(now) {
                None => {
                    bucket.take(1);
                    sent += 1;
                }
                Some(at) => now = at,
            }
        }
        assert!((995..=1_010).contains(&sent), "{sent}");
        // A large one goes at once and is paid for later.
        let mut bytes = Bucket::new(1_000, start);
        assert_eq!(bytes.ready_at(start), None);
        bytes.take(5_000);
        let at = bytes.ready_at(start).unwrap();
        let wait = (at - start).as_millis();
        assert!((4_800..=5_000).contains(&wait), "{wait}");
    }

    #[test]
    fn delays_double_up_to_the_longest_and_are_spread() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(300));
        let mut backoff = Backoff::new(min, max);
        for failure in 0..40 {
            let longest = min.saturating_mul(1 << failure.min(20)).min(max);
            assert!(backoff.next() <= longest);
        }
        let mut delays: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        delays.dedup();
        assert!(delays.len() > 10, "{delays:?}");
        backoff.reset();
        assert!(backoff.next() <= min);
    }
}
