//! The plugins at work, and how others take their places.
//!
//! Works on what runs and remembers nothing on the disk: which deployment is in
//! force is decided above. Successors are made ready beside what runs; a swap
//! that fails in the middle is undone before it is reported.

mod occupant;
mod operate;
mod successor;
mod undo;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use selvedge_signing::Origin;
use tokio::time::timeout;
use tracing::{error, info};

use super::report::SwapReport;
use crate::bus::Bus;
use crate::capabilities::keyvalue::KeyValue;
use crate::capabilities::network::Hosts;
use crate::error_chain::ErrorChain;
use crate::names::PluginName;
use crate::runtime::{CallError, Generation, Prepared, Seat, Surroundings, TakeOverError};
use crate::storage::{BucketError, Storage};
use crate::supervisor::{Supervisor, UnitState};

pub use occupant::{Occupant, unit_name};
pub use successor::{Change, Ready, ReadyPlugin, Swapped, Warm};

/// Successors initialised at once.
const WARM_UPS_MAX: usize = 4;

/// How long a plugin that took over may take to be at work.
const READY_MAX: Duration = Duration::from_secs(10);

/// Why a plugin did not take its place.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("plugin `{plugin}` has no store")]
    KeyValue {
        plugin: PluginName,
        source: BucketError,
    },
    #[error("plugin `{plugin}` did not start")]
    WarmUp {
        plugin: PluginName,
        source: CallError,
    },
    #[error("plugin `{plugin}` did not take over")]
    TakeOver {
        plugin: PluginName,
        source: TakeOverError,
    },
    #[error("plugin `{plugin}` was asked to make place and did not return")]
    Deaf { plugin: PluginName },
    #[error("plugin `{plugin}` did not begin to work: {state}")]
    NotReady {
        plugin: PluginName,
        state: String,
        /// It may have been at work before anybody looked.
        failed: bool,
    },
    #[error("it cannot be remembered of plugin `{plugin}`")]
    NotRemembered {
        plugin: PluginName,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("there is no plugin `{0}`")]
    Unknown(PluginName),
}

impl LineError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyValue { .. } => "store-not-opened",
            Self::WarmUp { source, .. } => source.code(),
            Self::TakeOver { source, .. } => source.code(),
            Self::Deaf { .. } => "plugin-deaf",
            Self::NotReady { failed: true, .. } => "plugin-failed",
            Self::NotReady { .. } => "plugin-not-ready",
            Self::NotRemembered { .. } => "journal-failed",
            Self::Unknown(_) => "no-such-plugin",
        }
    }

    /// The plugin that it is about.
    pub fn plugin(&self) -> &PluginName {
        match self {
            Self::KeyValue { plugin, .. }
            | Self::WarmUp { plugin, .. }
            | Self::TakeOver { plugin, .. }
            | Self::Deaf { plugin }
            | Self::NotReady { plugin, .. }
            | Self::NotRemembered { plugin, .. }
            | Self::Unknown(plugin) => plugin,
        }
    }
}

/// The plugins at work. Clones are the same line.
#[derive(Clone, Debug)]
pub struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bus: Bus,
    supervisor: Supervisor,
    storage: Storage,
    hosts: Arc<Hosts>,
    occupants: Mutex<BTreeMap<PluginName, Occupant>>,
}

impl Line {
    /// A line on which nothing works yet.
    pub fn new(bus: Bus, supervisor: Supervisor, storage: Storage, hosts: Arc<Hosts>) -> Self {
        Self(Arc::new(Inner {
            bus,
            supervisor,
            storage,
            hosts,
            occupants: Mutex::default(),
        }))
    }

    /// Who is at work, and by whose word.
    pub fn occupants(&self) -> BTreeMap<PluginName, Occupant> {
        self.0.occupants.lock().clone()
    }

    /// Makes successors beside what runs: instances, initialised. Nothing that
    /// runs notices.
    ///
    /// # Errors
    ///
    /// The first plugin that cannot be made. None was changed.
    pub async fn warm_up(&self, mut ready: Ready) -> Result<Warm, LineError> {
        let plugins = std::mem::take(&mut ready.plugins);
        let successors = plugins.into_iter().map(|(name, plugin)| {
            let ready = &ready;
            async move {
                let successor = self.successor(name, plugin, ready)?;
                let warmed = successor.generation.warm_up().await;
                warmed.map_err(|source| LineError::WarmUp {
                    plugin: successor.plugin().clone(),
                    source,
                })?;
                Ok::<_, LineError>(successor)
            }
        });
        let successors = stream::iter(successors).buffered(WARM_UPS_MAX);
        let successors = successors.try_collect().await?;
        let removed = ready.removed;
        Ok(Warm {
            successors,
            removed,
        })
    }

    fn successor(
        &self,
        name: PluginName,
        plugin: ReadyPlugin,
        ready: &Ready,
    ) -> Result<Occupant, LineError> {
        let seat = self.occupants().get(&name).map(|old| Arc::clone(&old.seat));
        let seat = seat.unwrap_or_else(|| Seat::new(&self.0.bus, name.clone()));
        let surroundings = Surroundings {
            keyvalue: self.keyvalue(&plugin.prepared)?,
            models: Arc::clone(&ready.models),
            hosts: Arc::clone(&self.0.hosts),
        };
        let by = (plugin.origin, plugin.needs);
        let generation = Generation::new(plugin.prepared, &seat, surroundings);
        let mut occupant = Occupant::new(seat, generation, by, ready.deployment);
        occupant.stopped = ready.stopped.contains(&name);
        Ok(occupant)
    }

    fn keyvalue(&self, prepared: &Prepared) -> Result<Option<Arc<dyn KeyValue>>, LineError> {
        let spec = prepared.spec();
        let bytes_max = spec.grants.keyvalue_bytes_max;
        if bytes_max == 0 {
            return Ok(None);
        }
        let bucket = self.0.storage.bucket(spec.plugin.as_str(), bytes_max);
        let bucket = bucket.map_err(|source| LineError::KeyValue {
            plugin: spec.plugin.clone(),
            source,
        })?;
        Ok(Some(Arc::new(bucket)))
    }

    /// Lets the successors take over, one after the other, each between two
    /// batches of its predecessor. New plugins are on the bus before the first
    /// of them runs, so that none misses what another publishes at once.
    ///
    /// # Errors
    ///
    /// The first plugin that did not take over, once all that had is undone.
    pub async fn swap(&self, warm: Warm) -> Result<Swapped, LineError> {
        let mut swapped = Swapped::default();
        let stopped = warm.successors.iter().filter(|it| it.stopped);
        let stopped = stopped.map(|it| it.plugin().clone()).collect();
        match self.swap_all(warm, &mut swapped).await {
            Ok(()) => Ok(swapped),
            Err(error) => {
                self.undo(swapped, &stopped).await;
                Err(error)
            }
        }
    }

    async fn swap_all(&self, warm: Warm, swapped: &mut Swapped) -> Result<(), LineError> {
        let known = self.occupants();
        let (replacing, added): (Vec<_>, Vec<_>) = warm
            .successors
            .into_iter()
            .partition(|successor| known.contains_key(successor.plugin()));
        for occupant in &added {
            if occupant.stopped {
                self.enter(occupant.clone());
                swapped.changes.push(Change::Added(occupant.clone()));
                continue;
            }
            let taken = occupant.generation.take_over(None).await;
            taken.map_err(|source| LineError::TakeOver {
                plugin: occupant.plugin().clone(),
                source,
            })?;
            self.enter(occupant.clone());
            swapped.changes.push(Change::Added(occupant.clone()));
        }
        for successor in replacing {
            self.replace(successor, swapped).await?;
        }
        for occupant in added.iter().filter(|occupant| !occupant.stopped) {
            self.start(occupant).await?;
        }
        for plugin in warm.removed {
            let Some(occupant) = self.0.occupants.lock().remove(&plugin) else {
                continue;
            };
            self.halt(&occupant).await;
            occupant.generation.leave();
            swapped.changes.push(Change::Removed(occupant));
        }
        Ok(())
    }

    async fn replace(&self, successor: Occupant, swapped: &mut Swapped) -> Result<(), LineError> {
        let plugin = successor.plugin().clone();
        let predecessor = self.occupants().remove(&plugin);
        let predecessor = predecessor.ok_or_else(|| LineError::Unknown(plugin.clone()))?;
        if !self.halt(&predecessor).await && predecessor.is_stateful() {
            // Its state went with it: nothing else may be lost by going on.
            self.start_again(&predecessor).await;
            return Err(LineError::Deaf { plugin });
        }
        let from = Some(&*predecessor.generation);
        let handed_over = match Self::hand_over(&predecessor, &successor, from).await {
            Ok(handed_over) => handed_over,
            Err(source) => {
                if predecessor.stopped {
                    predecessor.generation.leave();
                    self.enter(predecessor);
                } else {
                    self.start_again(&predecessor).await;
                }
                return Err(LineError::TakeOver { plugin, source });
            }
        };
        self.enter(successor.clone());
        swapped.changes.push(Change::Replaced {
            predecessor,
            successor: successor.clone(),
        });
        if successor.stopped {
            // It has what its predecessor had, and rests.
            successor.generation.leave();
            return Ok(());
        }
        self.start(&successor).await?;
        let pause = successor.seat.last_pause().unwrap_or_default();
        let report = SwapReport {
            plugin,
            pause_us: u64::try_from(pause.as_micros()).unwrap_or(u64::MAX),
            state_bytes: handed_over.state_bytes,
        };
        info!(
            plugin = report.plugin.as_str(),
            pause_us = report.pause_us,
            state_bytes = report.state_bytes,
            "plugin swapped"
        );
        swapped.reports.push(report);
        Ok(())
    }

    /// A predecessor that keeps its seat goes on where it stopped.
    async fn start_again(&self, predecessor: &Occupant) {
        self.enter(predecessor.clone());
        if let Err(error) = self.start(predecessor).await {
            let (plugin, error) = (
                predecessor.plugin().as_str(),
                ErrorChain(&error).to_string(),
            );
            error!(plugin, error, "plugin not started again");
        }
    }

    fn enter(&self, occupant: Occupant) {
        let mut occupants = self.0.occupants.lock();
        occupants.insert(occupant.plugin().clone(), occupant);
    }

    /// Starts the unit of a plugin that has its seat, and waits until it works.
    async fn start(&self, occupant: &Occupant) -> Result<(), LineError> {
        let mut state = self.0.supervisor.start(occupant.unit());
        let settled = |state: &UnitState| !matches!(state, UnitState::Starting);
        let settled = timeout(READY_MAX, state.wait_for(settled)).await;
        let (state, failed) = match settled {
            Ok(Ok(state)) if matches!(*state, UnitState::Running) => return Ok(()),
            Ok(Ok(state)) => (format!("{:?}", *state), true),
            _ => ("it is still starting".to_owned(), false),
        };
        Err(LineError::NotReady {
            plugin: occupant.plugin().clone(),
            state,
            failed,
        })
    }

    /// Stops the unit of a plugin between two batches; its instance stays.
    /// False if it had to be aborted: then there is none.
    async fn halt(&self, occupant: &Occupant) -> bool {
        let name = unit_name(occupant.plugin());
        let grace = occupant.grace();
        self.0.supervisor.stop_within(&name, grace).await
    }

    /// Stops a plugin that may not run any more. What waits for it is dropped.
    pub async fn take_off(&self, plugin: &PluginName) {
        let occupant = self.0.occupants.lock().remove(plugin);
        if let Some(occupant) = occupant {
            self.halt(&occupant).await;
            occupant.generation.leave();
        }
    }

    /// By whose word each plugin runs.
    pub fn origins(&self) -> BTreeMap<PluginName, Arc<Origin>> {
        let occupants = self.occupants();
        let origin = |(name, occupant): (PluginName, Occupant)| (name, occupant.origin);
        occupants.into_iter().map(origin).collect()
    }
}
