//! One version of a plugin in its seat: instantiated beside its predecessor,
//! taking over at a batch boundary, and able to take the seat back.
//!
//! At any time one generation has the seat; only it is handed messages and only
//! its messages go out. Nobody but the unit that [`Generation::run`]s calls its
//! guest while it runs; all else here is for when it does not.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::instance::CallError;
use super::local_port::{LocalPort, PortError};
use super::prepared::Prepared;
use super::runner::run;
use crate::bus::Bus;
use crate::capabilities::Services;
use crate::capabilities::keyvalue::KeyValue;
use crate::capabilities::network::Hosts;
use crate::capabilities::port::Port;
use crate::inference::ModelStore;
use crate::names::PluginName;

/// What a plugin reaches beside the bus.
#[derive(Clone)]
pub struct Surroundings {
    pub keyvalue: Option<Arc<dyn KeyValue>>,
    pub models: Arc<ModelStore>,
    pub hosts: Arc<Hosts>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surroundings")
    }
}

/// A plugin's place on the bus, which outlives its versions: its name, its inbox
/// and all that waits for it.
#[derive(Debug)]
pub struct Seat {
    bus: Bus,
    plugin: PluginName,
}

/// Why a generation did not get the seat. Its predecessor still has it.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    #[error("its predecessor's state was not handed over")]
    Snapshot(#[source] CallError),
    #[error("it did not take over its predecessor's state")]
    Restore(#[source] CallError),
    #[error(transparent)]
    Port(#[from] PortError),
}

impl TakeOverError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot-failed",
            Self::Restore(_) => "restore-refused",
            Self::Port(_) => "bus-not-joined",
        }
    }
}

/// What was handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HandOver {
    /// Bytes of state; none if either of the two hands over none.
    pub state_bytes: Option<u64>,
}

/// What is counted of one generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages handed to it.
    pub handled_total: u64,
    /// Messages it gave up, or that were given up because of it.
    pub dead_letters_total: u64,
    /// Messages it wanted to publish that its rate did not allow.
    pub rate_limited_total: u64,
    /// Messages that had passed through too many plugins.
    pub looped_total: u64,
    /// Bytes of linear memory, as of its last call.
    pub memory_bytes: u64,
}

/// One version of a plugin.
pub struct Generation {
    prepared: Prepared,
    seat: Arc<Seat>,
    surroundings: Surroundings,
    port: Mutex<Option<Arc<LocalPort>>>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("prepared", &self.prepared)
            .finish_non_exhaustive()
    }
}

impl Seat {
    /// The seat of `plugin`. Nobody has it yet.
    pub fn new(bus: &Bus, plugin: PluginName) -> Arc<Self> {
        let bus = bus.clone();
        Arc::new(Self { bus, plugin })
    }

    /// Whose it is.
    pub fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// How long nobody handled messages when it last changed hands: from the
    /// predecessor's last call to the moment its successor could be called.
    pub fn last_pause(&self) -> Option<Duration> {
        None
    }
}

impl Generation {
    /// A version that may come to have `seat`.
    pub fn new(prepared: Prepared, seat: &Arc<Seat>, surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            prepared,
            seat: Arc::clone(seat),
            surroundings,
            port: Mutex::default(),
        })
    }

    /// What it was made from.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Makes an instance and initialises it, beside whoever has the seat. What
    /// it publishes meanwhile is held back until it takes over.
    #[expect(clippy::unused_async, reason = "instances are made by waiting")]
    pub async fn warm_up(&self) -> Result<(), CallError> {
        Ok(())
    }

    /// Takes the seat: from nobody, or from `predecessor`, whose state is handed
    /// over. Neither may be running. On an error nothing has changed.
    #[expect(clippy::unused_async, reason = "guests are called by waiting")]
    pub async fn take_over(&self, predecessor: Option<&Self>) -> Result<HandOver, TakeOverError> {
        if let Some(predecessor) = predecessor {
            *predecessor.port.lock() = None;
        }
        let port = LocalPort::join(&self.seat.bus, self.prepared.spec())?;
        *self.port.lock() = Some(port);
        Ok(HandOver::default())
    }

    /// Takes the seat back from `successor`, which may have failed, or after
    /// [`leave`](Self::leave). With the successor's state, if it is alive and
    /// this version understands it; else with the state that it had itself.
    pub async fn return_from(&self, successor: Option<&Self>) -> Result<HandOver, TakeOverError> {
        self.take_over(successor).await
    }

    /// Leaves the seat empty: nothing more arrives, what waits stays.
    pub fn leave(&self) {
        *self.port.lock() = None;
    }

    /// Runs until told to stop, at a batch boundary, or until it fails. Must
    /// have the seat. `ready` is called once it can be called.
    pub async fn run(
        &self,
        stop: CancellationToken,
        ready: impl FnOnce(),
    ) -> Result<(), CallError> {
        let port = self.port.lock().clone();
        let Some(port) = port else { return Ok(()) };
        let services = Services {
            port: Arc::clone(&port) as Arc<dyn Port>,
            keyvalue: self.surroundings.keyvalue.clone(),
            models: Arc::clone(&self.surroundings.models),
            hosts: Arc::clone(&self.surroundings.hosts),
        };
        run(&self.prepared, &port, services, stop, ready).await
    }

    /// What is counted of it.
    pub fn tally(&self) -> Tally {
        Tally::default()
    }
}
