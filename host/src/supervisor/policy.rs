//! When a failed unit is started again, and when it is given up.

use std::time::Duration;

use tokio::time::Instant;

/// What becomes of the host when a unit is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenLost {
    /// It goes on without the unit.
    KeepHost,
    /// It shuts down, so that the init system starts it afresh.
    StopHost,
}

/// How often and how fast a unit is started again.
#[derive(Debug, Clone, Copy)]
pub struct RestartPolicy {
    /// The delay after the first failure; it doubles with each further one.
    pub delay_min: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// Failures within `window` after which the unit is given up.
    pub failures_max: usize,
    /// How long a failure counts.
    pub window: Duration,
    /// What becomes of the host.
    pub when_lost: WhenLost,
}

impl RestartPolicy {
    /// Notes a failure at `now` and says when to try again: `None` for never.
    pub(super) fn next_delay(&self, failures: &mut Vec<Instant>, now: Instant) -> Option<Duration> {
        failures.retain(|&failed| now.duration_since(failed) < self.window);
        failures.push(now);
        if failures.len() > self.failures_max {
            return None;
        }
        let doublings = u32::try_from(failures.len() - 1)
            .unwrap_or(u32::MAX)
            .min(16);
        Some(
            self.delay_min
                .saturating_mul(1 << doublings)
                .min(self.delay_max),
        )
    }
}
