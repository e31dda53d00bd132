//! One version of a plugin in its seat: instantiated beside its predecessor,
//! taking over at a batch boundary, and able to take the seat back.
//!
//! At any time one generation has the seat; only it is handed messages and only
//! its messages go out. Nobody but the unit that [`Generation::run`]s calls its
//! guest while it runs; all else here is for when it does not. Who gets the seat
//! when, and whether a new version stays, is decided in `deployment`.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::instance::CallError;
use super::local_port::LocalPort;
use super::prepared::Prepared;
use super::runner::Live;
use super::seat::{Change, PortError, Seat};
use super::state::State;
use super::tally::Tally;
use crate::capabilities::Services;
use crate::capabilities::keyvalue::KeyValue;
use crate::capabilities::network::Hosts;
use crate::capabilities::port::Port;
use crate::error_chain::ErrorChain;
use crate::inference::ModelSet;

/// What a plugin reaches beside the bus.
#[derive(Clone)]
pub struct Surroundings {
    pub keyvalue: Option<Arc<dyn KeyValue>>,
    pub models: Arc<ModelSet>,
    pub hosts: Arc<Hosts>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surroundings")
    }
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

impl HandOver {
    fn of(state: &State) -> Self {
        Self {
            state_bytes: u64::try_from(state.len()).ok(),
        }
    }
}

/// One version of a plugin.
pub struct Generation {
    prepared: Prepared,
    seat: Arc<Seat>,
    surroundings: Surroundings,
    port: Arc<LocalPort>,
    /// The instance that was made beside the predecessor, or that stopped at a
    /// batch boundary. Not there while it runs, and not after it failed.
    parked: Mutex<Option<Live>>,
    /// What it handed to its successor.
    handed_on: Mutex<Option<State>>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("prepared", &self.prepared)
            .finish_non_exhaustive()
    }
}

/// Notes when whoever has the seat was last called, however that ends.
struct Attendance<'a>(&'a Seat);

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        self.0.left();
    }
}

impl Generation {
    /// A version that may come to have `seat`.
    pub fn new(prepared: Prepared, seat: &Arc<Seat>, surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            port: LocalPort::new(seat, prepared.spec()),
            prepared,
            seat: Arc::clone(seat),
            surroundings,
            parked: Mutex::default(),
            handed_on: Mutex::default(),
        })
    }

    /// What it was made from.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// What is counted of it.
    pub fn tally(&self) -> Tally {
        self.port.tally()
    }

    /// Makes an instance and initialises it, beside whoever has the seat. What
    /// it publishes meanwhile is held back until it takes over. Does nothing if
    /// there is one already.
    pub async fn warm_up(&self) -> Result<(), CallError> {
        if self.parked.lock().is_none() {
            let live = self.make().await?;
            *self.parked.lock() = Some(live);
        }
        Ok(())
    }

    /// Takes the seat that nobody has.
    pub fn join(&self) -> Result<(), PortError> {
        self.seat.occupy(&self.port, Change::FromNobody)
    }

    /// Takes the seat: from nobody, or from `predecessor`, whose state is handed
    /// over. Neither may be running. On an error nothing has changed, but that an
    /// instance which trapped on being asked for its state cannot go on.
    ///
    /// As long as the predecessor is there to come back, no message is given up
    /// because the successor dies of it. To be awaited to its end: an instance that
    /// is dropped in a call is gone, though no message is.
    pub async fn take_over(&self, predecessor: Option<&Self>) -> Result<HandOver, TakeOverError> {
        let Some(predecessor) = predecessor else {
            self.join()?;
            return Ok(HandOver::default());
        };
        let state = if self.exchanges_state_with(predecessor) {
            let state = predecessor.snapshot().await;
            state.map_err(TakeOverError::Snapshot)?
        } else {
            None
        };
        if let Some(state) = &state {
            // Taken out: if it does not take the state it may have half of it.
            let warm = self.parked.lock().take();
            let restored = self.restored(warm, state).await;
            let live = restored.map_err(TakeOverError::Restore)?;
            *self.parked.lock() = Some(live);
        }
        let occupied = self.seat.occupy(&self.port, Change::On(&predecessor.port));
        if let Err(error) = occupied {
            if state.is_some() {
                // It has a state that will be old when it is tried again.
                drop(self.parked.lock().take());
                self.port.forget_held_back();
            }
            return Err(error.into());
        }
        let hand_over = state.as_ref().map(HandOver::of).unwrap_or_default();
        *predecessor.handed_on.lock() = state;
        Ok(hand_over)
    }

    /// Takes the seat back from `successor`, which may have failed, or after
    /// [`leave`](Self::leave). With the successor's state, if it is alive and
    /// this version understands it; else with the state that it had itself.
    pub async fn return_from(&self, successor: Option<&Self>) -> Result<HandOver, TakeOverError> {
        let Some(successor) = successor else {
            self.join()?;
            return Ok(HandOver::default());
        };
        let revived = self.revive(successor).await;
        self.seat.occupy(&self.port, Change::Back)?;
        let mut hand_over = HandOver::default();
        if let Some((live, state)) = revived {
            *self.parked.lock() = Some(live);
            hand_over = HandOver::of(&state);
        }
        drop(successor.parked.lock().take());
        Ok(hand_over)
    }

    /// Leaves the seat empty: nothing more arrives, what waits stays.
    pub fn leave(&self) {
        self.seat.vacate(&self.port);
    }

    /// Gives up what waits, because its plugin is gone for good: each message is a
    /// dead letter. After it [left](Self::leave).
    pub fn give_up_waiting(&self) {
        self.seat
            .give_up("its plugin was removed", self.port.counters());
    }

    /// Drops the instance and its state: the next run makes a new one. What waits
    /// stays. Not while it runs.
    pub fn discard(&self) {
        drop(self.parked.lock().take());
        drop(self.handed_on.lock().take());
        self.port.forget_held_back();
    }

    /// Runs until told to stop, at a batch boundary, or until it fails. Must
    /// have the seat. `ready` is called once it can be called.
    pub async fn run(
        &self,
        stop: CancellationToken,
        ready: impl FnOnce(),
    ) -> Result<(), CallError> {
        if !self.port.is_seated() {
            return Ok(());
        }
        // One that was aborted, or ended by a panic of the host, could not say so
        // itself.
        self.port.bereave("the host failed");
        let parked = self.parked.lock().take();
        let mut live = match parked {
            Some(live) => live,
            None => self.make().await?,
        };
        let attendance = Attendance(&self.seat);
        self.port.begin().await;
        // It goes on from here: what it handed on before is old now.
        drop(self.handed_on.lock().take());
        self.seat.attended();
        ready();
        let outcome = live.run(&self.prepared, &self.port, &stop).await;
        drop(attendance);
        match &outcome {
            // One that ended of its own accord is of use only for what it knows.
            Ok(()) if stop.is_cancelled() || self.prepared.exports.is_stateful() => {
                *self.parked.lock() = Some(live);
            }
            Ok(()) => {}
            Err(error) => self.port.bereave(&ErrorChain(error).to_string()),
        }
        outcome
    }

    fn exchanges_state_with(&self, other: &Self) -> bool {
        self.prepared.exports.is_stateful() && other.prepared.exports.is_stateful()
    }

    async fn make(&self) -> Result<Live, CallError> {
        self.port.renew();
        let services = Services {
            port: Arc::clone(&self.port) as Arc<dyn Port>,
            keyvalue: self.surroundings.keyvalue.clone(),
            models: Arc::clone(&self.surroundings.models),
            hosts: Arc::clone(&self.surroundings.hosts),
        };
        let made = Live::make(&self.prepared, &self.port, services).await;
        if made.is_err() {
            self.port.forget_held_back();
        }
        made
    }

    /// The state of the parked instance: none if there is no instance.
    async fn snapshot(&self) -> Result<Option<State>, CallError> {
        let parked = self.parked.lock().take();
        let Some(mut live) = parked else {
            return Ok(None);
        };
        let state = live.instance.snapshot().await;
        if state.as_ref().err().is_none_or(CallError::spares_instance) {
            *self.parked.lock() = Some(live);
        }
        state
    }

    /// `live`, or a new instance, with `state`.
    async fn restored(&self, live: Option<Live>, state: &State) -> Result<Live, CallError> {
        let mut live = match live {
            Some(live) => live,
            None => self.make().await?,
        };
        let restored = live.instance.restore(state).await;
        if restored.is_err() {
            self.port.forget_held_back();
        }
        restored.map(|()| live)
    }

    /// A new instance with the best state there is: the successor's; else, if no
    /// instance of its own is left, what it handed on.
    async fn revive(&self, successor: &Self) -> Option<(Live, State)> {
        if !self.exchanges_state_with(successor) {
            return None;
        }
        let told = |error: CallError, what: &'static str| {
            let (plugin, error) = (self.seat.plugin(), ErrorChain(&error).to_string());
            tracing::warn!(%plugin, error, "{what}");
        };
        match successor.snapshot().await {
            Ok(Some(state)) => match self.restored(None, &state).await {
                Ok(live) => return Some((live, state)),
                Err(error) => told(error, "successor's state not taken back"),
            },
            Ok(None) => {}
            Err(error) => told(error, "successor's state not handed back"),
        }
        if self.parked.lock().is_some() {
            return None;
        }
        let state = self.handed_on.lock().take()?;
        let restored = self.restored(None, &state).await;
        let told = |error| told(error, "own state not taken back");
        Some((restored.map_err(told).ok()?, state))
    }
}
