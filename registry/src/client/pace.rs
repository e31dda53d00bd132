//! How long a registry may take: silence, minimum rate, and when to ask again.
//!
//! Silence alone is not enough, for a byte every half minute is not silent. So a
//! transfer must also move a minimum in each window of time.

use std::time::Duration;

use tokio::time::Instant;

use super::error::ClientError;

/// Attempts in all, where asking again may help.
const ATTEMPTS_MAX: u32 = 5;
/// The longest that a registry may put us off; who wants more is given up.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How slow a transfer may be, and how patient we are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long nothing may move.
    pub(super) idle: Duration,
    /// Over which time the rate is measured.
    pub(super) window: Duration,
    /// Bytes that must move in a window: 1 KiB/s.
    pub(super) window_bytes_min: u64,
    /// The first wait before asking again; doubles each time.
    pub(super) delay: Duration,
    /// The longest such wait.
    pub(super) delay_max: Duration,
}

impl Pace {
    /// The pace, with silence of at most `idle`.
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            idle,
            window: Duration::from_secs(60),
            window_bytes_min: 60 << 10,
            delay: Duration::from_millis(250),
            delay_max: Duration::from_secs(8),
        }
    }

    /// A wait between half and all of `delay << doublings`, so that many clients
    /// that failed together do not come back together.
    pub(super) fn jitter(&self, doublings: u32) -> Duration {
        let full = self.delay.saturating_mul(1 << doublings.min(16));
        let full = full.min(self.delay_max);
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        full.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}

/// Measures one transfer.
#[derive(Debug)]
pub(super) struct Meter {
    pace: Pace,
    since: Instant,
    bytes: u64,
}

impl Meter {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// Takes note of moved bytes; fails when a window ends with too few.
    pub(super) fn moved(&mut self, bytes: u64, name: &str) -> Result<(), ClientError> {
        self.bytes += bytes;
        if self.since.elapsed() < self.pace.window {
            return Ok(());
        }
        if self.bytes < self.pace.window_bytes_min {
            return Err(ClientError::TooSlow {
                name: name.to_owned(),
                bytes_min: self.pace.window_bytes_min,
                window: self.pace.window,
            });
        }
        *self = Self::new(self.pace);
        Ok(())
    }
}

/// Counts attempts.
#[derive(Debug)]
pub(super) struct Tries {
    pace: Pace,
    failed: u32,
}

impl Tries {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, failed: 0 }
    }

    /// Begins to count anew, after something was achieved.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }

    /// Waits, if asking again may help; else hands `error` back.
    pub(super) async fn wait(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.failed += 1;
        let asked = error.retry_after();
        let patient = asked.is_none_or(|asked| asked <= RETRY_AFTER_MAX);
        if !error.is_passing() || self.failed >= ATTEMPTS_MAX || !patient {
            return Err(error);
        }
        let delay = self.pace.jitter(self.failed - 1);
        let delay = delay.max(asked.unwrap_or_default());
        let (attempt, code) = (self.failed, error.code());
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(attempt, code, delay_ms, "registry asked again");
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ATTEMPTS_MAX, ClientError, Meter, Pace, Tries};

    fn failing(retry_after: Option<Duration>) -> ClientError {
        ClientError::Failing {
            name: "r.example/a/b".to_owned(),
            status: 503,
            retry_after,
            said: Default::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_too_slow_and_a_kibibyte_a_second_is_not() {
        let pace = Pace::new(Duration::from_secs(60));
        let (mut trickle, mut enough) = (Meter::new(pace), Meter::new(pace));
        let mut failed = false;
        for _ in 0..300 {
            tokio::time::advance(Duration::from_secs(1)).await;
            failed |= trickle.moved(1, "x").is_err();
            enough.moved(1 << 10, "x").unwrap();
        }
        assert!(failed);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_again_a_few_times_and_when_it_says() {
        let mut tries = Tries::new(Pace::new(Duration::from_secs(60)));
        let before = tokio::time::Instant::now();
        tries
            .wait(failing(Some(Duration::from_secs(30))))
            .await
            .unwrap();
        assert!(before.elapsed() >= Duration::from_secs(30));
        for _ in 2..ATTEMPTS_MAX {
            tries.wait(failing(None)).await.unwrap();
        }
        assert!(tries.wait(failing(None)).await.is_err());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_or_in_vain() {
        let mut tries = Tries::new(Pace::new(Duration::from_secs(60)));
        let tomorrow = failing(Some(Duration::from_secs(86_400)));
        assert!(tries.wait(tomorrow).await.is_err());
        let lost = ClientError::Stopping;
        assert!(tries.wait(lost).await.is_err());
    }
}
