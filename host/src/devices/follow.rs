//! Follows devices' files: reads them again when they change, at most once a
//! second. Where the system does not tell of changes they are looked at now and
//! then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use super::Devices;
use crate::supervisor::{RestartPolicy, Unit, UnitContext, UnitResult, WhenLost};

/// Files are read at most this often.
const READ_MS_MIN: Duration = Duration::from_secs(1);
/// After a change, for the others that come with it.
const SETTLE: Duration = Duration::from_millis(20);
/// Without a change, files are looked at all the same: some file systems never
/// tell.
const LOOK: Duration = Duration::from_secs(10);
/// The same, if the system tells of no changes at all.
const LOOK_BLIND: Duration = Duration::from_secs(1);

const POLICY: RestartPolicy = RestartPolicy {
    delay_min: Duration::from_secs(1),
    delay_max: Duration::from_secs(30),
    failures_max: usize::MAX,
    window: Duration::from_secs(60),
    when_lost: WhenLost::KeepHost,
};

impl Devices {
    /// What keeps the devices as their files are.
    pub fn unit(&self) -> Unit {
        let devices = self.clone();
        Unit::new("devices", POLICY, move |context| {
            follow(devices.clone(), context)
        })
    }
}

async fn follow(devices: Devices, context: UnitContext) -> UnitResult {
    let changed = Arc::new(Notify::new());
    let watcher = watch(&devices, Arc::clone(&changed));
    if let Err(error) = &watcher {
        warn!(error = %error, "changes of devices are not told of: looking each second");
    }
    let look = if watcher.is_ok() { LOOK } else { LOOK_BLIND };
    context.ready();
    loop {
        let reading = devices.clone();
        spawn_blocking(move || reading.reload()).await??;
        let next = Instant::now() + READ_MS_MIN;
        let due = devices.next_change().map(|due| {
            let left = Timestamp::now().duration_until(due);
            Duration::try_from(left).unwrap_or_default() + SETTLE
        });
        let wait = due.map_or(look, |due| due.min(look));
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            // Whichever it is, the files are looked at.
            told = timeout(wait, changed.notified()) => drop(told),
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            () = async { sleep_until(next).await; sleep(SETTLE).await } => {}
        }
    }
}

fn watch(devices: &Devices, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    // What happened is seen by looking; an error may have swallowed something.
    let mut watcher = notify::recommended_watcher(move |_| changed.notify_one())?;
    watcher.watch(devices.folder(), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
