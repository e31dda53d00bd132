//! Stops what the site has revoked: its trust repository is read again and again.

use std::time::Duration;

use crate::deployment::deployments::Deployments;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

/// Reads the trust repository again and again, and stops what is revoked.
pub(super) fn watch(deployments: &Deployments, refresh: Duration) -> Unit {
    let policy = RestartPolicy {
        delay_min: refresh,
        delay_max: refresh,
        failures_max: usize::MAX,
        window: refresh,
        when_lost: WhenLost::KeepHost,
    };
    let deployments = deployments.clone();
    Unit::new("trust", policy, move |context| {
        let deployments = deployments.clone();
        async move {
            context.ready();
            loop {
                tokio::select! {
                    () = context.stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(refresh) => {}
                }
                deployments.stop_revoked().await?;
            }
        }
    })
}
