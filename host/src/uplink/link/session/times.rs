//! When a connection has something to do that nobody asks it for: to tell the target
//! that it is there, and to end when the target says nothing for too long.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use crate::mqtt::Packet;
use crate::uplink::link::LinkError;

impl Session<'_> {
    /// When something is to be done without being asked.
    pub(super) fn due(&mut self, now: Instant) -> Result<Instant, LinkError> {
        let times = &self.shared.config.times;
        let millis = |ms: NonZeroU32| Duration::from_millis(ms.get().into());
        let mut due = now + Duration::from_secs(3_600);
        if let Some(probed) = self.probed_at {
            let late = probed + millis(times.response_ms_max);
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
        let first = [self.flight.first_sent_at(), asked, pending];
        if let Some(first) = first.into_iter().flatten().min() {
            let late = first + millis(times.acknowledge_ms_max);
            if late <= now {
                return Err(LinkError::NoAcknowledgement);
            }
            due = due.min(late);
        }
        Ok(due)
    }
}
