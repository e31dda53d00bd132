//! The host as a service: what `selvedge run` tells the service manager, and what
//! it does when asked to reload.
//!
//! Well is a host whose executor runs and whose store takes a small write. A
//! reload (`SIGHUP`) reads the trust repository and the log level again; all else
//! in `host.toml` takes a restart, and what runs is the deployment's business.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{files, log};
use crate::app::App;
use crate::deployment::deployments::Deployments;
use crate::error_chain::ErrorChain;
use crate::service_manager::{Health, HealthCheck, ServiceManager};
use crate::storage::{Bucket, Storage};
use crate::supervisor::{RestartPolicy, Unit, UnitResult, WhenLost};

/// The bucket of the store that is written to find out whether it can be. No
/// plugin's bucket has such a name.
const PROBE_BUCKET: &str = "$health";
const PROBE_BYTES_MAX: u64 = 8 << 10;

/// What is written: a block of the disk, for less would fit into the last one of
/// a full disk. At two signs of life in 30 s this is 23 MB a day.
const PROBE: &[u8] = &[0; 4 << 10];

/// How long a reload may take. What it left undone then is done by the next.
const RELOAD_MAX: Duration = Duration::from_secs(60);

/// After a failure, the unit that hears `SIGHUP` starts again within this.
const RELOAD_DELAY: Duration = Duration::from_secs(1);

/// The host as a service.
#[derive(Debug)]
pub(super) struct Service {
    manager: ServiceManager,
    deployments: Deployments,
}

impl Service {
    /// From now on `app` gives signs of life and reloads when asked to, by the
    /// configuration at `host_config`. Only on the executor.
    pub(super) fn start(app: &App, host_config: Option<PathBuf>) -> Self {
        let service = Self {
            manager: ServiceManager::from_environment(),
            deployments: app.deployments().clone(),
        };
        let supervisor = app.supervisor();
        let check = health_check(app.storage(), &service.deployments);
        if let Some(unit) = service.manager.watchdog(check) {
            supervisor.start(unit);
        }
        // Where there is a terminal, its end is the host's end, as ever.
        let hangup = (!std::io::stderr().is_terminal())
            .then(|| signal(SignalKind::hangup()).ok())
            .flatten();
        if let Some(hangup) = hangup {
            supervisor.start(service.reload_unit(hangup, host_config));
        }
        service
    }

    /// What was deployed has been started.
    pub(super) async fn ready(&self) {
        self.manager.ready(&status(&self.deployments)).await;
    }

    /// The host shuts down.
    pub(super) async fn stopping(&self) {
        self.manager.stopping().await;
    }

    fn reload_unit(&self, hangup: Signal, host_config: Option<PathBuf>) -> Unit {
        let policy = RestartPolicy {
            delay_min: RELOAD_DELAY,
            delay_max: RELOAD_DELAY,
            failures_max: usize::MAX,
            window: RELOAD_DELAY,
            when_lost: WhenLost::KeepHost,
        };
        let hangup = Arc::new(Mutex::new(hangup));
        let (manager, deployments) = (self.manager.clone(), self.deployments.clone());
        Unit::new("reload", policy, move |context| {
            let (manager, deployments) = (manager.clone(), deployments.clone());
            let (hangup, host_config) = (Arc::clone(&hangup), host_config.clone());
            async move {
                let mut hangup = hangup.lock().await;
                context.ready();
                loop {
                    tokio::select! {
                        () = context.stop.cancelled() => return Ok(()),
                        heard = hangup.recv() => if heard.is_none() { return Ok(()) },
                    }
                    let work = reload(&deployments, host_config.as_deref());
                    manager.reload(work).await;
                }
            }
        })
    }
}

/// Reads again what can change while the host runs; the status afterwards.
async fn reload(deployments: &Deployments, host_config: Option<&Path>) -> String {
    info!("reloading");
    let both = async {
        let trust = deployments.stop_revoked().await;
        let level = read_level(host_config).await;
        trust.map_err(Box::from).and(level)
    };
    let status = status(deployments);
    match timeout(RELOAD_MAX, both).await {
        Ok(Ok(())) => {
            info!("reloaded");
            status
        }
        Ok(Err(error)) => {
            let error = ErrorChain(error.as_ref()).to_string();
            warn!(error, "not reloaded: what was in force stays");
            format!("{status}; not reloaded: {error}")
        }
        Err(_) => {
            warn!("not reloaded in time: what was in force stays");
            format!("{status}; not reloaded in time")
        }
    }
}

/// Sets the log level that the configuration has now.
async fn read_level(host_config: Option<&Path>) -> UnitResult {
    let Some(path) = host_config.map(Path::to_owned) else {
        return Ok(());
    };
    let config = spawn_blocking(move || files::host_config(&path)).await?;
    log::set_level(&config?.log);
    Ok(())
}

/// Well is a host whose store takes a write; this is asked on the executor, so
/// that one that stands still does not answer either.
fn health_check(storage: &Storage, deployments: &Deployments) -> HealthCheck {
    let (storage, deployments) = (storage.clone(), deployments.clone());
    let bucket: Arc<Mutex<Option<Bucket>>> = Arc::default();
    Arc::new(move || {
        let (storage, bucket) = (storage.clone(), Arc::clone(&bucket));
        let deployments = deployments.clone();
        Box::pin(async move {
            let mut bucket = bucket.lock_owned().await;
            let write = move || -> UnitResult {
                let opened = match bucket.take() {
                    Some(bucket) => bucket,
                    None => storage.bucket(PROBE_BUCKET, PROBE_BYTES_MAX)?,
                };
                Ok(bucket.insert(opened).set("probe", PROBE)?)
            };
            spawn_blocking(write).await??;
            Health::Ok(status(&deployments))
        })
    })
}

/// What runs, in a line for people.
fn status(deployments: &Deployments) -> String {
    let plugins = deployments.plugins();
    let running = plugins.iter().filter(|plugin| plugin.state == "running");
    let (running, all) = (running.count(), plugins.len());
    let noun = if all == 1 { "plugin" } else { "plugins" };
    let plugins = format!("{running} of {all} {noun} running");
    match deployments.active() {
        Some(active) => format!("{} {}, {plugins}", active.name, active.version),
        None => plugins,
    }
}
