//! Puts the host together: one place where everything meets.
//!
//! [`App::build`] opens what can fail (data directory, engine) before anything
//! runs; [`App::shut_down`] stops everything in order.

mod authorizer;
pub(crate) mod cloud;
mod mqtt;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::warn;

use self::cloud::Outward;
use self::mqtt::Mqtt;
use crate::api::{self, ServeError, Served};
use crate::artifacts::{Artifacts, RegistryConfigError};
use crate::broker::{Broker, BrokerError};
use crate::bus::{Bus, Message, Party};
use crate::capture::{self, Capture};
use crate::config::HostConfig;
use crate::deployment::deployments::{Deployments, JournalError};
use crate::deployment::document::Site;
use crate::deployment::line::Line;
use crate::deployment::report::{DeploymentId, FaultReport, Phase};
use crate::deployment::submission::{Submission, SubmitError};
use crate::deployment::{Deployer, FindPlugin, ModelOrigins, Shipped};
use crate::devices::{Devices, DevicesError};
use crate::error_chain::ErrorChain;
use crate::inference::{Backends, InferenceLimits, ModelStore, Rehearsal};
use crate::inference_api;
use crate::names::{Digest, PartyName, PluginName};
use crate::retention::{RetentionError, RetentionStatus};
use crate::runtime::{Ceilings, CodeCache, Engine, EngineError};
use crate::storage::{Storage, StorageError};
use crate::supervisor::{Observer, RestartPolicy, Supervisor, Unit, UnitState, WhenLost};
use crate::trust::{Gate, OpenError};
use crate::uplink::Uplinks;

/// Why the host cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot open the data directory")]
    Storage(#[from] StorageError),
    #[error("cannot open the cache of native code")]
    Cache(#[source] std::io::Error),
    #[error("cannot make the engine")]
    Engine(#[from] EngineError),
    #[error("cannot let devices find this gateway")]
    Discovery(#[from] crate::discovery::DiscoveryError),
    #[error("cannot tell what may run here")]
    Trust(#[from] OpenError),
    #[error("cannot open the store of artifacts")]
    Registry(#[from] RegistryConfigError),
    #[error("cannot restore what was retained")]
    Retention(#[from] RetentionError),
    #[error("cannot tell what is deployed here")]
    Journal(#[from] JournalError),
    #[error("uplink `{0}` has the name of a plugin that is deployed here: call it something else")]
    UplinkIsPlugin(PartyName),
    #[error("cannot tell who the devices are")]
    Devices(#[from] DevicesError),
    #[error("cannot serve devices")]
    Broker(#[from] BrokerError),
    #[error("cannot set up the connections outward")]
    Uplink(#[from] crate::uplink::BuildError),
    #[error("`cloud.uplink` names `{0}`, which is not in `[uplinks]`")]
    NoUplink(PartyName),
    #[error("cannot be a thing of the cloud")]
    Cloud(#[from] crate::cloud::BuildError),
}

impl BuildError {
    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Broker(error) => error.hint(),
            _ => None,
        }
    }
}

/// Why a deployment does not run: everything that is wrong.
#[derive(Debug)]
pub struct Refused(pub Vec<FaultReport>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Document(faults) => Self(faults),
            error => Self(vec![FaultReport {
                code: error.code().to_owned(),
                message: ErrorChain(&error).to_string(),
                plugin: None,
                place: None,
                help: None,
            }]),
        }
    }
}

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
        let supervisor = Supervisor::new(grace, observer(bus.host_party()));
        let models = models(config);
        let capture = capturing(config, &bus);
        let hosts = Arc::new(config.hosts.clone());
        let deployer = Deployer {
            engine,
            cache: Arc::new(cache),
            models: Arc::new(models),
            capture,
            artifacts,
            gate: Arc::new(gate),
            supervisor: supervisor.clone(),
            line: Line::new(bus.clone(), supervisor.clone(), storage.clone(), hosts),
            model_origins: ModelOrigins::default(),
            compile_threads_max: usize::try_from(config.compile_threads_max.get()).unwrap_or(1),
            find: brought_along(config),
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
        self.deployments.resume().await?;
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
            let unit = watch_trust(&self.deployments, refresh);
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

/// What models are made with.
fn models(config: &HostConfig) -> ModelStore {
    let limits = InferenceLimits {
        slots: config.inference.slots_max,
        ..InferenceLimits::default()
    };
    let rehearsal = Rehearsal::of_this_program(&config.inference);
    ModelStore::with(limits, Backends::open(&config.inference)).rehearsing(rehearsal)
}

/// What captures for a host that is set up like this.
fn capturing(config: &HostConfig, bus: &Bus) -> Capture {
    let files = config.inference.capture.as_ref();
    let files = files.map(|files| capture::files_config(&config.data_directory, files));
    Capture::new(bus, files)
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

/// What comes with the binary, and where else components are looked for.
fn brought_along(config: &HostConfig) -> FindPlugin {
    FindPlugin {
        shipped: |name| {
            let plugin = selvedge_bundle::find(name)?;
            Some(Shipped {
                component: plugin.component,
                manifest: plugin.manifest,
            })
        },
        shipped_model: |digest| {
            let mut assets = crate::demo::ASSETS.iter();
            assets.any(|(_, bytes)| Digest::of(bytes) == *digest)
        },
        directories: config.plugin_directories.clone().into(),
    }
}

/// What a deployment for this host is judged by.
pub fn site(config: &HostConfig) -> Site {
    config.site(shipped())
}

/// The plugins that come with the binary.
pub fn shipped() -> BTreeMap<PluginName, Digest> {
    let digest = |plugin: &selvedge_bundle::Shipped| {
        let name = plugin
            .name
            .parse()
            .expect("folders of plugins are plugin names");
        (name, Digest::of(plugin.component))
    };
    selvedge_bundle::PLUGINS.iter().map(digest).collect()
}

/// Reads the trust repository again and again, and stops what is revoked.
fn watch_trust(deployments: &Deployments, refresh: Duration) -> Unit {
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

/// Publishes how units fare on `$selvedge/state/<unit>`, kept for whoever asks
/// later.
fn observer(host: Party) -> Observer {
    Arc::new(move |name: &str, state: &UnitState| {
        let topic = format!("$selvedge/state/{name}").parse();
        let topic = topic.expect("unit names are topic levels");
        let state = serde_json::to_vec(state).expect("states are plain data");
        let mut message = Message::new(topic, state);
        message.content_type = Some("application/json".into());
        message.retain = true;
        if let Err(error) = host.publish_lossy(message) {
            warn!(unit = name, error = %error, "state not published");
        }
    })
}
