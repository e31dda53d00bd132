//! Signs of life: one in each half of the time that the service manager waits,
//! and only while the host is well.
//!
//! The check runs within the same unit as the sign, one at a time. A check that
//! hangs therefore holds the signs back, and so does an executor that stands
//! still; how long that may last is the service manager's to say.

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::warn;

use super::{ServiceManager, one_line};
use crate::error_chain::ErrorChain;
use crate::supervisor::{RestartPolicy, Unit, UnitContext, UnitResult, WhenLost};

/// How the host is: a status for people, or what is wrong with it.
pub type Health = Result<String, Box<dyn Error + Send + Sync>>;

/// Finds out how the host is. It may wait, and is not called again before it has
/// answered.
pub type HealthCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Health> + Send>> + Send + Sync>;

/// Signs in the time that the service manager waits, while the host is well and
/// while it is not: what was a hiccup is seen before the time is up.
const SIGNS_WELL: u32 = 2;
const SIGNS_UNWELL: u32 = 8;

/// A check that takes longer than this part of the time is spoken of.
const SLOW_PART: u32 = 4;

impl ServiceManager {
    /// What gives signs of life, if the service manager waits for them.
    pub fn watchdog(&self, check: HealthCheck) -> Option<Unit> {
        let patience = self.0.as_ref()?.watchdog?;
        let delay = patience / SIGNS_UNWELL;
        let policy = RestartPolicy {
            delay_min: delay,
            delay_max: delay,
            failures_max: usize::MAX,
            window: patience,
            when_lost: WhenLost::KeepHost,
        };
        let manager = self.clone();
        Some(Unit::new("watchdog", policy, move |context| {
            let (manager, check) = (manager.clone(), Arc::clone(&check));
            async move { give_signs(&manager, patience, &check, &context).await }
        }))
    }
}

async fn give_signs(
    manager: &ServiceManager,
    patience: Duration,
    check: &HealthCheck,
    context: &UnitContext,
) -> UnitResult {
    context.ready();
    loop {
        let health = tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            health = checked(check, patience / SLOW_PART) => health,
        };
        let pause = match health {
            Ok(status) => {
                let status = one_line(&status);
                let sign = [NotifyState::Watchdog, NotifyState::Status(&status)];
                manager.say(&sign).await;
                patience / SIGNS_WELL
            }
            Err(error) => {
                let error = ErrorChain(error.as_ref()).to_string();
                warn!(error, "the host is not well: no sign of life");
                patience / SIGNS_UNWELL
            }
        };
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            () = sleep(pause) => {}
        }
    }
}

async fn checked(check: &HealthCheck, slow: Duration) -> Health {
    let mut answer = pin!(check());
    tokio::select! {
        health = &mut answer => return health,
        () = sleep(slow) => {}
    }
    warn!(
        elapsed_ms = slow.as_millis(),
        "the check of the host's health hangs: no sign of life"
    );
    answer.await
}
