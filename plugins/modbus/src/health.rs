//! Whether a unit is worth asking: failures in a row, back-off, recovery.

use std::time::Duration;

use crate::config::Device;

/// One unit's circuit: closed while it answers, open while it is left alone.
#[derive(Debug)]
pub struct Health {
    failures_max: u32,
    backoff_min: Duration,
    backoff_max: Duration,
    failures: u32,
    open_until: Duration,
    why: String,
}

/// A change that is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It counts as down from now on.
    WentDown,
    /// It answers again.
    CameBack,
}

impl Health {
    /// A unit that has not failed yet.
    pub fn new(device: &Device) -> Self {
        Self {
            failures_max: device.failures_max,
            backoff_min: Duration::from_millis(device.backoff_ms_min.into()),
            backoff_max: Duration::from_millis(device.backoff_ms_max.into()),
            failures: 0,
            open_until: Duration::ZERO,
            why: String::new(),
        }
    }

    /// Whether the unit may be asked now.
    ///
    /// # Errors
    /// It is down and left alone; the text says why and for how long.
    pub fn admit(&self, now: Duration) -> Result<(), String> {
        if !self.is_down() || now >= self.open_until {
            return Ok(());
        }
        let wait = (self.open_until - now).as_millis();
        Err(format!("unit down, tried again in {wait} ms: {}", self.why))
    }

    fn is_down(&self) -> bool {
        self.failures >= self.failures_max
    }

    /// The unit answered.
    pub fn succeeded(&mut self) -> Option<Change> {
        let change = self.is_down().then_some(Change::CameBack);
        self.failures = 0;
        change
    }

    /// The unit did not answer, or not sensibly.
    pub fn failed(&mut self, now: Duration, why: String) -> Option<Change> {
        let was_down = self.is_down();
        self.failures = self.failures.saturating_add(1);
        self.why = why;
        if !self.is_down() {
            return None;
        }
        let doublings = (self.failures - self.failures_max).min(31);
        let delay = self.backoff_min.saturating_mul(1 << doublings);
        self.open_until = now.saturating_add(delay.min(self.backoff_max));
        (!was_down).then_some(Change::WentDown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health {
            failures_max: 2,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5),
            failures: 0,
            open_until: Duration::ZERO,
            why: String::new(),
        }
    }

    #[test]
    fn the_back_off_doubles_up_to_its_cap() {
        let mut health = health();
        assert_eq!(health.failed(Duration::ZERO, String::new()), None);
        let mut changes = Vec::new();
        let mut now = Duration::ZERO;
        for expected in [1, 2, 4, 5, 5] {
            changes.extend(health.failed(now, "no answer".to_owned()));
            now += Duration::from_secs(expected);
            assert!(health.admit(now - Duration::from_millis(1)).is_err());
            assert_eq!(health.admit(now), Ok(()));
        }
        assert_eq!(changes, [Change::WentDown]);
        assert_eq!(health.succeeded(), Some(Change::CameBack));
        assert_eq!(health.succeeded(), None);
        assert_eq!(health.admit(Duration::ZERO), Ok(()));
    }

    #[test]
    fn a_unit_that_is_down_says_why() {
        let mut health = health();
        for _ in 0..2 {
            health.failed(Duration::ZERO, "no answer in 5 ms".to_owned());
        }
        assert_eq!(
            health.admit(Duration::from_millis(400)).unwrap_err(),
            "unit down, tried again in 600 ms: no answer in 5 ms"
        );
    }

    #[test]
    fn a_million_failures_do_not_overflow() {
        let mut health = health();
        for _ in 0..1_000_000 {
            health.failed(Duration::MAX - Duration::from_secs(9), String::new());
        }
        assert!(
            health
                .admit(Duration::MAX - Duration::from_secs(9))
                .is_err()
        );
    }
}
