//! Puts the host together: one place where everything meets.
//!
//! [`App::build`] opens what can fail (data directory, engine) before anything
//! runs; [`App::shut_down`] stops everything in order.

mod authorizer;
mod bundled;
pub(crate) mod cloud;
mod error;
mod models;
mod mqtt;
mod revocation;
mod states;
mod store;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

pub use self::bundled::{shipped, site};
pub use self::error::{BuildError, Refused};

use self::cloud::Outward;
use self::mqtt::Mqtt;
use crate::api::{self, ServeError, Served};
use crate::artifacts::Artifacts;
use crate::broker::Broker;
use crate::bus::Bus;
use crate::config::HostConfig;
use crate::deployment::deployments::{Deployments, JournalError};
use crate::deployment::line::Line;
use crate::deployment::report::{DeploymentId, Phase};
use crate::deployment::submission::{Submission, SubmitError};
use crate::deployment::{Deployer, ModelOrigins, Turns};
use crate::devices::Devices;
use crate::inference_api;
use crate::names::PartyName;
use crate::retention::RetentionStatus;
use crate::runtime::{Ceilings, CodeCache, Engine};
use crate::storage::Storage;
use crate::supervisor::Supervisor;
use crate::trust::Gate;
use crate::uplink::Uplinks;

/// How long connections outward wait for what is in force to run. They begin later
/// than it, since what the other side has kept comes as soon as they stand, and is
/// acknowledged if nobody here subscribes it yet; and they begin in the end, since
/// what keeps it from running may have to be heard of over them.
const LINKS_WAIT_MAX: Duration = Duration::from_secs(600);

/// What a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What publishers vouch for whom the site trusts, and what is shipped.
    Production,
    /// Also components from files, which this process signs itself.
    Development,
}

/// A host, ready to take deployments.
#[derive(Debug)]
pub struct App {
    bus: Bus,
    supervisor: Supervisor,
    deployments: Deployments,
    storage: Storage,
    mqtt: Mqtt,
    /// How often the trust repository is read again, if there is one.
    refresh: Option<Duration>,
    watching: OnceLock<()>,
}

impl App {
    /// Puts a host together. Nothing runs yet.
    pub fn build(config: &HostConfig, mode: Mode) -> Result<Self, BuildError> {
        let storage = Storage::open(&config.data_directory)?;
        let development = mode == Mode::Development;
        let gate = Gate::open(&storage, config.trust.as_ref(), development)?;
        let artifacts = Artifacts::open(&config.artifacts_directory(), &config.registry)?;
        let cache = CodeCache::open(config.compiled_directory(), storage.device_key()?)
            .map_err(BuildError::Cache)?;
        let plugin = &config.ceilings.plugin;
        let engine = Engine::new(Ceilings {
            // One being replaced and its successor; and on the way back one at a
            // time that is given its successor's state.
            instances_max: config
                .ceilings
                .plugins_max
                .get()
                .saturating_mul(2)
                .saturating_add(1),
            memory_bytes_max: plugin.memory_bytes_max.get(),
            table_elements_max: plugin.table_elements_max.get(),
        })?;
        let bus = Bus::new(config.bus.clone());
        let mqtt = Mqtt::build(config, &storage, &bus)?;
        let grace = Duration::from_millis(u64::from(config.shutdown_grace_ms.get()));
        let supervisor = Supervisor::new(grace, states::observer(bus.host_party()));
        let hosts = Arc::new(config.hosts.clone());
        let deployer = Deployer {
            engine,
            cache: Arc::new(cache),
            models: Arc::new(models::store(config)),
            capture: models::capture(config, &bus),
            artifacts,
            gate: Arc::new(gate),
            supervisor: supervisor.clone(),
            line: Line::new(bus.clone(), supervisor.clone(), storage.clone(), hosts),
            model_origins: ModelOrigins::default(),
            compiling: Turns::new(usize::try_from(config.compile_threads_max.get()).unwrap_or(1)),
            // The rehearsal of one may take all the memory that there is for it.
            loading: Turns::new(1),
            find: bundled::brought_along(config),
        };
        let deployments = Deployments::open(deployer, site(config), &storage, &bus)?;
        reserve(config, &deployments, &bus)?;
        let outward = Outward {
            config,
            bus: &bus,
            storage: &storage,
            supervisor: &supervisor,
            deployments: &deployments,
        };
        let mqtt = mqtt.with_uplinks(&outward)?;
        let mqtt = mqtt.with_devices(config, (&bus, &storage), &deployments)?;
        Ok(Self {
            bus,
            supervisor,
            deployments,
            storage,
            mqtt,
            refresh: config.trust.as_ref().map(|trust| {
                let seconds = trust.refresh_s.get();
                Duration::from_secs(seconds.into())
            }),
            watching: OnceLock::new(),
        })
    }

    /// Where everyone meets.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// What keeps everything running.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// What runs, and how it is changed.
    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// What outlasts the process.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// How retained values fare on the way to the disk.
    pub fn retention(&self) -> &RetentionStatus {
        self.mqtt.retention()
    }

    /// Client devices, if there is a broker for them.
    pub fn devices(&self) -> Option<&Devices> {
        self.mqtt.devices()
    }

    /// The MQTT server, if there is one.
    pub fn broker(&self) -> Option<&Broker> {
        self.mqtt.broker()
    }

    /// MQTT connections outward.
    pub fn uplinks(&self) -> &Uplinks {
        self.mqtt.uplinks()
    }

    /// Starts what is in force, and begins to take deployments and to serve devices.
    pub async fn resume(&self) -> Result<(), JournalError> {
        self.mqtt.start_first(&self.supervisor);
        self.supervisor
            .start(self.deployments.deployer().capture.unit());
        let resuming = Box::pin(self.deployments.resume());
        let late = || {
            warn!("uplinks do not wait any longer for what is in force to run");
            self.mqtt.start_links(&self.supervisor);
        };
        unless_late(resuming, LINKS_WAIT_MAX, late).await?;
        self.watch();
        self.mqtt.start_last(&self.supervisor);
        Ok(())
    }

    /// Begins to take deployments with nothing in force, whatever ran before.
    pub async fn begin_afresh(&self) -> Result<(), JournalError> {
        self.mqtt.start_first(&self.supervisor);
        self.supervisor
            .start(self.deployments.deployer().capture.unit());
        self.deployments.begin_afresh().await?;
        self.watch();
        self.mqtt.start_last(&self.supervisor);
        Ok(())
    }

    /// Puts a document into service, and waits until its plugins run; whether it
    /// stays is seen later. On a fault what ran before runs.
    pub async fn deploy(&self, submission: Submission) -> Result<DeploymentId, Refused> {
        let id = self.deployments.submit(submission).await?;
        let runs = |phase| phase == Phase::Probation;
        let report = self.deployments.reached(id, runs).await;
        match report {
            Some(report) if matches!(report.phase, Phase::Probation | Phase::Committed) => Ok(id),
            Some(report) => Err(Refused(report.faults)),
            None => Err(SubmitError::NoDeployment(id).into()),
        }
    }

    /// Begins to look after what changes or fails by itself, once.
    fn watch(&self) {
        if self.watching.set(()).is_err() {
            return;
        }
        self.supervisor.start(store::watch(&self.storage));
        if let Some(refresh) = self.refresh {
            let unit = revocation::watch(&self.deployments, refresh);
            self.supervisor.start(unit);
        }
    }

    /// Serves the management API, until everything stops. From an executor.
    pub fn serve(&self, config: &HostConfig) -> Result<Served, ServeError> {
        let inference = config.inference.api.as_ref();
        let inference = inference.map(|api| (api, Arc::<api::InferenceCounts>::default()));
        let host = api::Surroundings {
            bus: self.bus.clone(),
            supervisor: self.supervisor.clone(),
            deployments: self.deployments.clone(),
            storage: self.storage.clone(),
            retention: self.retention().clone(),
            uplinks: self.mqtt.uplinks().clone(),
            devices: self.devices().cloned().zip(self.broker().cloned()),
            inference: inference.as_ref().map(|(_, counts)| Arc::clone(counts)),
        };
        let grace = Duration::from_millis(u64::from(config.shutdown_grace_ms.get()));
        let served = api::serve(host, &config.api, &config.data_directory, grace)?;
        if let Some((api, counts)) = inference {
            let deployer = self.deployments.deployer();
            let host = inference_api::Surroundings {
                supervisor: self.supervisor.clone(),
                deployments: self.deployments.clone(),
                capture: deployer.capture.clone(),
                counts,
            };
            inference_api::serve(host, api, grace)?;
        }
        Ok(served)
    }

    /// Stops everything, last started first; before that, all work on
    /// deployments, which would start again what stops. No publisher is told any
    /// more that its message was handled: what lets go of it now is merely ending.
    pub async fn shut_down(&self) {
        self.bus.close();
        self.deployments.stop().await;
        self.supervisor.shut_down().await;
    }
}

/// Waits for `work`, and does `late` if it takes longer than `most`.
async fn unless_late<T>(
    mut work: impl Future<Output = T> + Unpin,
    most: Duration,
    late: impl FnOnce(),
) -> T {
    match timeout(most, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            late();
            work.await
        }
    }
}

/// Keeps the names of plugins and uplinks from devices, which may have come first.
fn reserve(config: &HostConfig, deployments: &Deployments, bus: &Bus) -> Result<(), BuildError> {
    let active = deployments.active();
    let plugins = active.iter().flat_map(|report| report.plugins.keys());
    let mut names: BTreeSet<_> = plugins.map(PartyName::from).collect();
    for uplink in config.uplinks.keys() {
        if !names.insert(uplink.clone()) {
            return Err(BuildError::UplinkIsPlugin(uplink.clone()));
        }
    }
    bus.reserve(names);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::{LINKS_WAIT_MAX, unless_late};

    #[tokio::test(start_paused = true)]
    async fn links_wait_for_what_is_in_force_and_not_for_ever() {
        for (seconds, is_late) in [(1, false), (100_000, true)] {
            let begun = Cell::new(false);
            let work = Box::pin(async {
                sleep(Duration::from_secs(seconds)).await;
                begun.get()
            });
            let links = unless_late(work, LINKS_WAIT_MAX, || begun.set(true)).await;
            assert_eq!(links, is_late);
        }
    }
}
