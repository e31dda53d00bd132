//! Tells of those who come, go and were not let in: refusals counted by reason, and
//! all logged so that a crowd of them does not fill the log.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::admission::Refused;
use super::sessions::ClaimError;
use crate::error_chain::ErrorChain;
use crate::names::PartyName;

/// Lines in a row about refusals; after that one each second.
const LINES_MAX: u32 = 20;
/// Of those who come and go: a site that starts is told of as a whole.
const VISITS_MAX: u32 = 4_000;
const VISITS_PER_SECOND: u32 = 10;
/// Bytes of a client id in a line.
const SHOWN_BYTES_MAX: usize = 64;

/// Who was refused, by reason.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// As many as there are codes.
    counts: BTreeMap<&'static str, u64>,
    lines: Lines,
    visits: Lines,
}

impl Default for State {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            lines: Lines::new(LINES_MAX, 1),
            visits: Lines::new(VISITS_MAX, VISITS_PER_SECOND),
        }
    }
}

/// Room for lines of the log.
#[derive(Debug)]
struct Lines {
    max: u32,
    per_second: u32,
    used: u32,
    since: Option<Instant>,
    left_out: u64,
}

impl Lines {
    fn new(max: u32, per_second: u32) -> Self {
        Self {
            max,
            per_second,
            used: 0,
            since: None,
            left_out: 0,
        }
    }

    /// Whether there is room for a line, and how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let passed = now.duration_since(since).as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed > 0 {
            let room = passed.saturating_mul(self.per_second);
            self.used = self.used.saturating_sub(room);
            self.since = Some(now);
        }
        if self.used >= self.max {
            self.left_out += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Refusals {
    /// Somebody whose CONNECT was read.
    pub(super) fn refused(&self, refused: &Refused, address: SocketAddr, client_id: &str) {
        let Some(left_out) = self.count(refused.code()) else {
            return;
        };
        let device = refused.device().map(tracing::field::display);
        let (code, reason) = (refused.code(), ErrorChain(refused).to_string());
        let client_id = shown(client_id);
        warn!(device, client_id, %address, code, reason, left_out, "device refused");
    }

    /// Somebody who did not get as far.
    pub(super) fn turned_away(&self, code: &'static str, address: SocketAddr, reason: &str) {
        if let Some(left_out) = self.count(code) {
            warn!(%address, code, reason, left_out, "connection refused");
        }
    }

    /// A device that was let in, and for which there is no session.
    pub(super) fn not_served(
        &self,
        error: &ClaimError,
        (device, address): (&PartyName, SocketAddr),
    ) {
        let code = error.code();
        let Some(left_out) = self.count(code) else {
            return;
        };
        let reason = ErrorChain(error).to_string();
        warn!(%device, %address, code, reason, left_out, "device refused");
    }

    /// Somebody who was in and may be no longer.
    pub(super) fn ended(
        &self,
        code: &'static str,
        (device, address): (Option<&str>, SocketAddr),
        reason: &str,
    ) {
        if let Some(left_out) = self.count(code) {
            warn!(device, %address, code, reason, left_out, "connection ended");
        }
    }

    /// Whether there is room in the log for one who came or went, and how many were
    /// left out before it, if any were.
    pub(super) fn visit(&self) -> Option<Option<u64>> {
        let left_out = self.0.lock().visits.take(Instant::now())?;
        Some((left_out > 0).then_some(left_out))
    }

    /// How many there were, by reason.
    pub(super) fn list(&self) -> Vec<(&'static str, u64)> {
        let state = self.0.lock();
        let counts = state.counts.iter();
        counts.map(|(code, count)| (*code, *count)).collect()
    }

    fn count(&self, code: &'static str) -> Option<u64> {
        let mut state = self.0.lock();
        *state.counts.entry(code).or_default() += 1;
        state.lines.take(Instant::now())
    }
}

/// What a stranger wrote, fit for a line.
fn shown(text: &str) -> String {
    let plain = |char: char| {
        if char.is_ascii_graphic() || char == ' ' {
            char
        } else {
            '?'
        }
    };
    text.chars().take(SHOWN_BYTES_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Instant, LINES_MAX, Lines, VISITS_MAX};

    #[test]
    fn a_crowd_is_told_of_in_few_lines_and_the_rest_is_counted() {
        let (mut lines, start) = (Lines::new(LINES_MAX, 1), Instant::now());
        for _ in 0..LINES_MAX {
            assert_eq!(lines.take(start), Some(0));
        }
        for _ in 0..100 {
            assert_eq!(lines.take(start), None);
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(lines.take(later), Some(100));
        assert_eq!(lines.take(later), None);
        let much_later = later + Duration::from_secs(3_600);
        assert_eq!(lines.take(much_later), Some(1));
    }

    #[test]
    fn those_who_come_and_go_leave_room_for_refusals() {
        let refusals = super::Refusals::default();
        assert_eq!(refusals.visit(), Some(None));
        for _ in 0..=VISITS_MAX {
            refusals.visit();
        }
        assert_eq!(refusals.count("any"), Some(0));
        let (mut lines, start) = (Lines::new(10, 5), Instant::now());
        for _ in 0..11 {
            lines.take(start);
        }
        let later = start + Duration::from_secs(1);
        let told: Vec<_> = (0..6).map(|_| lines.take(later)).collect();
        assert_eq!(told, [Some(1), Some(0), Some(0), Some(0), Some(0), None]);
    }
}
