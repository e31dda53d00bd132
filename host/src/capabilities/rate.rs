//! A token bucket: so many a second on average, bursts of one second.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    tokens: f64,
    refilled: Instant,
}

impl Rate {
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            tokens: per_second,
            refilled: Instant::now(),
        }
    }

    /// Takes up to `wanted` tokens; says how many it got and, if not all, when
    /// there will be another.
    pub fn take(&mut self, wanted: usize) -> (usize, Duration) {
        let now = Instant::now();
        let elapsed = now.duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to u32::MAX"
        )]
        let taken = wanted.min(self.tokens as usize);
        #[expect(clippy::cast_precision_loss, reason = "at most u32::MAX")]
        let spent = taken as f64;
        self.tokens -= spent;
        let wait = Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / self.per_second);
        (taken, wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rate;

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_one_second_then_the_rate() {
        let mut rate = Rate::new(10);
        assert_eq!(rate.take(25).0, 10);
        let (none, wait) = rate.take(1);
        assert_eq!((none, wait), (0, Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(rate.take(5).0, 2);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(rate.take(1000).0, 10);
    }
}
