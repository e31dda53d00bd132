//! Ends the host when its store is lost and a new start can help.
//!
//! After a write that failed, the store refuses all others until it is opened anew.
//! While the disk takes nothing, a new start would be worse: what needs no disk goes
//! on, and health says what is wrong. As soon as the disk takes writes again, the
//! host says so and ends with an error, and so it does when the disk has taken none
//! for long: then it is lost.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::error;

use crate::storage::Storage;
use crate::supervisor::{RestartPolicy, Unit, UnitContext, UnitResult, WhenLost};

/// How often it is looked at.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How long the disk may take no writes until it is given up.
const DISK_LOST_AFTER: Duration = Duration::from_secs(600);

/// Why the host must end.
#[derive(Debug, thiserror::Error)]
enum StoreLost {
    #[error("the store is closed since a write failed; the disk takes writes again: start anew")]
    StartAnew,
    #[error("the disk has taken no writes for {} s", DISK_LOST_AFTER.as_secs())]
    Disk(#[source] std::io::Error),
}

/// Watches over the store of the host; the host ends with it.
pub(super) fn watch(storage: &Storage) -> Unit {
    let policy = RestartPolicy {
        delay_min: LOOK_EACH,
        delay_max: LOOK_EACH,
        failures_max: 0,
        window: LOOK_EACH,
        when_lost: WhenLost::StopHost,
    };
    let storage = storage.clone();
    Unit::new("store", policy, move |context| {
        look(storage.clone(), context)
    })
}

async fn look(storage: Storage, context: UnitContext) -> UnitResult {
    context.ready();
    let mut lost_at = None;
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            () = sleep(LOOK_EACH) => {}
        }
        let own = storage.clone();
        let trial = spawn_blocking(move || own.is_lost().then(|| own.try_disk())).await?;
        let Some(trial) = trial else { continue };
        let since = *lost_at.get_or_insert_with(|| {
            error!("the store takes no writes since one failed: what needs none goes on");
            Instant::now()
        });
        match trial {
            Ok(()) => return Err(StoreLost::StartAnew.into()),
            Err(error) if since.elapsed() > DISK_LOST_AFTER => {
                return Err(StoreLost::Disk(error).into());
            }
            Err(_) => {}
        }
    }
}
