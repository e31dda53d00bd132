//! When a connection has something to do that nobody asks it for: to tell the target
//! that it is there, and to end when the target says nothing for too long.
//!
//! A way may be slow: what is behind many bytes is waited for longer, within a
//! bound, and as long as the target acknowledges messages in their order, it works.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use crate::mqtt::Packet;
use crate::uplink::link::LinkError;

/// The slowest way to a target that all is waited for on.
const BYTES_PER_S_MIN: u64 = 2 << 10;
/// How many times the usual time is added at most.
const LONGER_MAX: u32 = 4;

/// `limit`, and the time that so many bytes take.
fn longer(limit: NonZeroU32, bytes: usize) -> Duration {
    let limit = Duration::from_millis(limit.get().into());
    let way = (bytes as u64).saturating_mul(1_000) / BYTES_PER_S_MIN;
    limit + Duration::from_millis(way).min(limit.saturating_mul(LONGER_MAX))
}

impl Session<'_> {
    /// When something is to be done without being asked.
    pub(super) fn due(&mut self, now: Instant) -> Result<Instant, LinkError> {
        let times = &self.shared.config.times;
        let bytes = self.flight.bytes();
        let mut due = now + Duration::from_secs(3_600);
        if let Some(probed) = self.probed_at {
            let alive = self
                .flight
                .answered_at()
                .map_or(probed, |at| at.max(probed));
            let late = alive + longer(times.response_ms_max, bytes);
            if late <= now {
                return Err(LinkError::NoResponse);
            }
            due = due.min(late);
        } else if !self.keep_alive.is_zero() {
            // Before the target may take us for gone.
            let probe = self.written_at + self.keep_alive * 3 / 4;
            if probe <= now {
                self.put(&Packet::PingReq)?;
                self.probed_at = Some(now);
                return Ok(now);
            }
            due = due.min(probe);
        }
        let asked = self.asks.values().map(|(_, at)| *at).min();
        let pending = self.subscriptions.pending_since();
        let first = [self.flight.waiting_since(), asked, pending];
        if let Some(first) = first.into_iter().flatten().min() {
            let late = first + longer(times.acknowledge_ms_max, bytes);
            if late <= now {
                return Err(LinkError::NoAcknowledgement);
            }
            due = due.min(late);
        }
        Ok(due)
    }
}
