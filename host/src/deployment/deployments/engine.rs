//! Works on one deployment after the other, as a supervised unit.
//!
//! If it ever panics, what runs may not be what is remembered: then the host
//! ends, and its next start puts that right.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Deployments;
use super::attempt::{Attempt, of_journal};
use super::state::State;
use crate::deployment::report::Phase;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

/// What the unit is called.
pub(super) const UNIT: &str = "deployments";
/// How long it may take to finish a swap when the host stops.
pub(super) const GRACE: Duration = Duration::from_secs(15);
/// How often the disk is tried again that took nothing.
const RETRY: Duration = Duration::from_secs(5);

pub(super) fn unit(deployments: &Deployments) -> Unit {
    let policy = RestartPolicy {
        delay_min: Duration::ZERO,
        delay_max: Duration::ZERO,
        failures_max: 0,
        window: RETRY,
        when_lost: WhenLost::StopHost,
    };
    let deployments = deployments.clone();
    Unit::new(UNIT, policy, move |context| {
        let deployments = deployments.clone();
        async move {
            context.ready();
            deployments.work(&context.stop).await;
            Ok(())
        }
    })
}

impl Deployments {
    async fn work(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if !self.begin_next(stop).await {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = timeout(RETRY, self.0.wake.notified()) => {}
                }
                if self.0.ledger.is_ahead() {
                    // It says itself why it fails.
                    drop(self.0.ledger.write("fail", |_| ()).await);
                }
            }
        }
    }

    /// Works on the next deployment; false if there is none.
    async fn begin_next(&self, stop: &CancellationToken) -> bool {
        let next = |state: &State| {
            let under_way = state.under_way.map(|under_way| under_way.id);
            under_way.or_else(|| state.queue.front().copied())
        };
        let Some(next) = self.0.ledger.read(next) else {
            return false;
        };
        match self.0.ledger.write("pull", State::begin).await {
            Ok(Some(id)) => {
                self.tell(id);
                let deployments = self;
                let attempt = Attempt {
                    deployments,
                    id,
                    stop,
                };
                attempt.run().await;
            }
            Ok(None) => {}
            Err(error) => {
                let faults = vec![of_journal(&error)];
                self.end(next, "fail", Phase::Failed, faults).await;
            }
        }
        true
    }
}
