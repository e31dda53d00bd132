//! What an instance publishes: sent on behalf of its party, or held back.
//!
//! How far a message has come is stamped here, never by a guest; whether that is
//! too far is for the bus to say.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{LocalPort, Seated};
use crate::bus::{Message, PublishError};
use crate::capabilities::port::{Delivery, Refusal, Refused};
use crate::runtime::mailbox::{Dead, Held};

impl LocalPort {
    pub(super) async fn send(
        &self,
        seated: &Seated,
        messages: impl Iterator<Item = Message>,
        delivery: Delivery,
    ) -> Result<(), Refused> {
        let hops = seated.place.hops.now();
        let is_cycle = hops > self.seat.bus.hops_max();
        // One for the whole batch: it is one call of the guest.
        let deadline = Instant::now() + self.publish_wait;
        for (index, mut message) in messages.enumerate() {
            message.hops = hops;
            if is_cycle {
                self.tell_of_cycle(&message);
            }
            let published = self.publish_one(seated, message, delivery, deadline);
            let published = published.await;
            published.map_err(|reason| Refused { index, reason })?;
        }
        Ok(())
    }

    /// Checks what is published without the seat, and keeps it until there is one.
    pub(super) fn hold_back(
        &self,
        messages: impl Iterator<Item = Message>,
        delivery: Delivery,
    ) -> Result<(), Refused> {
        for (index, message) in messages.enumerate() {
            let refused = |reason| Refused { index, reason };
            let checked = self.seat.bus.check(&self.grant, &message);
            checked.map_err(|error| refused(self.refusal(&error)))?;
            if !self.standing.lock().held_back.push(message, delivery) {
                return Err(refused(Refusal::Busy(millis(self.publish_wait))));
            }
        }
        Ok(())
    }

    pub(super) async fn publish_one(
        &self,
        seated: &Seated,
        message: Message,
        delivery: Delivery,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let outcome = match delivery {
            // A publisher that does not insist: who has no room misses it, alone.
            Delivery::AtMostOnce => seated.party.publish_lossy(message),
            Delivery::AtLeastOnce => {
                let waiting = seated.party.publish_waiting(message);
                let waited = timeout_at(deadline, waiting).await;
                waited.map_err(|_| Refusal::Busy(millis(self.publish_wait)))?
            }
        };
        outcome.map_err(|error| self.refusal(&error))?;
        Ok(())
    }

    fn refusal(&self, error: &PublishError) -> Refusal {
        match error {
            PublishError::TooLarge { max, .. } => Refusal::TooLarge(*max),
            PublishError::Busy { .. } => Refusal::Busy(millis(self.publish_wait)),
            PublishError::NotGranted { .. } => Refusal::NotGranted,
            PublishError::Malformed { .. } => Refusal::Malformed,
            PublishError::TooManyHops { .. } => Refusal::TooManyHops,
        }
    }

    /// The guest hears of each such message, the operator of one in a second.
    fn tell_of_cycle(&self, message: &Message) {
        self.counters.looped.add(1);
        if self.cycle_rate.lock().take(1).0 > 0 {
            let max = self.seat.bus.hops_max();
            // Whoever tells an operator of it must be heard; there are few of these.
            let told = Message {
                hops: 0,
                ..message.clone()
            };
            let held = Held::fresh(Arc::new(told));
            let reason = format!("it passed through more than {max} plugins: topics form a cycle");
            self.seat.bury(vec![Dead { held, reason }], &self.counters);
        }
    }
}

pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis())
        .unwrap_or(u32::MAX)
        .max(1)
}
