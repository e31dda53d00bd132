//! All sessions: who has which, and who gets it next.
//!
//! A session is known by its device and its client id together, so that nobody
//! comes near another device's. It has one owner at a time. A newcomer takes the
//! owner's place at once, tells it to let go and waits; who comes after the
//! newcomer waits for the newcomer, and so on: however fast a client flaps, there
//! is one session. Bounded: sessions of a device, and lasting sessions in all.

mod claim;
mod line;
mod opening;
mod owners;
mod seat;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(super) use self::claim::{Claim, ClaimError, Claimed};
pub(super) use self::line::Line;
pub(super) use self::opening::Opening;
use self::owners::Owners;
use self::seat::Seats;
pub(super) use self::seat::{KeptPlace, Seat};
use super::config::{SessionConfig, SessionOverflow};
use super::metrics::Counters;
use super::policy;
use super::session::Session;
use super::session::away::{self, Kept, Left};
use super::store::{self, Loaded, Store, StoreError};
use crate::bus::{Bus, Grant};
use crate::devices::{Devices, NotAdmitted};
use crate::mqtt::Reason;
use crate::names::PartyName;
use crate::spec::Overflow;
use crate::supervisor::{TaskGroup, Unit};

/// How often what was removed from the store is removed for good.
const FLUSH_MS: u64 = 1_000;
/// How long sessions may take to write what they have when the host stops.
const STOP_MS_MAX: u64 = 2_000;

/// All sessions. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bus: Bus,
    store: Store,
    devices: Devices,
    config: SessionConfig,
    counters: Arc<Counters>,
    owners: Mutex<Owners>,
    seats: Arc<Seats>,
    /// One task for each session whose device is away.
    away: TaskGroup,
    /// Ends them.
    stop: CancellationToken,
    /// Read from the disk, and not kept by anyone yet.
    found: Mutex<Vec<(Box<Session>, Owner)>>,
    /// Read from the disk, and nobody's until their devices come.
    left: Mutex<HashMap<Key, Loaded>>,
}

/// A session's device and client id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    device: PartyName,
    client_id: Arc<str>,
}

/// The right to a session, until it is released or dropped.
#[derive(Debug)]
pub(super) struct Owner {
    sessions: std::sync::Weak<Inner>,
    line: Arc<Line>,
}

impl Sessions {
    /// Ends the connections of a device whose registration changed or went; of the
    /// sessions that it may have no longer also those that are kept.
    pub(super) fn disconnect_device(&self, device: &PartyName, reason: Reason) {
        for line in self.0.owners.lock().iter() {
            if line.key.device == *device && line.has_session() {
                line.tell(reason);
            }
        }
    }

    /// Ends the connection of one session of a device that may do something else.
    pub(super) fn disconnect(&self, device: &PartyName, client_id: &str, reason: Reason) {
        for line in self.0.owners.lock().iter() {
            let is_its = line.key.device == *device && *line.key.client_id == *client_id;
            if is_its && line.has_session() {
                line.tell(reason);
            }
        }
    }

    /// Has those sessions of a device that are kept looked at again.
    pub(super) fn tell_kept(&self, device: &PartyName, reason: Reason) {
        for line in self.0.owners.lock().iter() {
            if line.key.device == *device && line.is_kept() {
                line.tell(reason);
            }
        }
    }

    /// Sessions, connected or kept.
    pub(super) fn len(&self) -> usize {
        self.0.owners.lock().len()
    }

    pub(super) fn unit(&self) -> Unit {
        let sessions = self.clone();
        Unit::new("broker/sessions", policy(), move |context| {
            let sessions = sessions.clone();
            async move {
                context.ready();
                sessions.run(context.stop).await;
                Ok(())
            }
        })
    }

    /// Keeps what was found on the disk, until `stop`; then waits until all that
    /// are away have written what they have.
    pub(super) async fn run(&self, stop: CancellationToken) {
        for (session, owner) in std::mem::take(&mut *self.0.found.lock()) {
            self.keep(session, owner, Left::default());
        }
        let mut flush = tokio::time::interval(Duration::from_millis(FLUSH_MS));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = flush.tick() => self.0.store.flush().await,
            }
        }
        self.0.stop.cancel();
        let grace = Duration::from_millis(STOP_MS_MAX);
        let left = self.0.away.end(grace).await;
        if left > 0 {
            warn!(left, "sessions not written in time");
        }
        self.0.store.flush().await;
    }

    /// Keeps a session whose device is away, until somebody comes for it.
    pub(super) fn keep(&self, mut session: Box<Session>, owner: Owner, mut left: Left) {
        if let Some(will) = session.will.take() {
            // Whoever came for it was not let in: its device is still lost.
            left.will.get_or_insert(*will);
        }
        let sessions = self.clone();
        let told = owner.line().set_connected(false);
        let task = async move { sessions.look_after((session, owner, left), told).await };
        // There are at least as many tasks as lasting sessions.
        if self.0.away.start(task).is_err() {
            warn!("session lost: too many are kept");
        }
    }

    /// Keeps a session for as long as its device may have it.
    async fn look_after(&self, mut kept: (Box<Session>, Owner, Left), mut told: Option<Reason>) {
        loop {
            let (session, _, left) = &mut kept;
            if !self.may_stay(session, told.is_some()).await {
                info!(device = %session.device.name, client_id = &*session.client_id, "session ended: its device may not come in");
                if let Some(will) = left.will.take() {
                    will.publish(&session.party).await;
                }
                if let Some(shelf) = left.shelf.take() {
                    shelf.clear(session).await;
                }
                let (session, owner, _) = kept;
                self.forget(session).await;
                return owner.release(None);
            }
            let (session, owner, left) = kept;
            match away::keep(session, owner, left, self.0.stop.clone()).await {
                Kept::Passed => return,
                Kept::Over(session, owner) => {
                    self.forget(session).await;
                    return owner.release(None);
                }
                Kept::Told(session, owner, left) => {
                    told = owner.line().set_connected(false);
                    kept = (session, owner, *left);
                }
            }
        }
    }

    /// Whether the device may still come in. If so, and it `changed`, the session goes
    /// on with what the device may do now.
    async fn may_stay(&self, session: &mut Session, changed: bool) -> bool {
        let device = match self.0.devices.find(&session.device.name) {
            Ok(device) => device,
            // It may be one that the authorizer knows.
            Err(NotAdmitted::UnknownDevice(_)) => return !changed,
            Err(_) => return false,
        };
        if !changed || device.may_the_same_as(&session.device) {
            return true;
        }
        let grant = Grant {
            publish: device.publish.clone(),
            subscribe: device.subscribe.clone(),
        };
        let party = self.0.seats.party(&device.name, &grant);
        let party = party.unwrap_or_else(|| session.party.clone());
        session.go_on_as(device, party);
        let ended = session.lasting.as_ref().and_then(|lasting| lasting.ended);
        if let Err(error) = session.write(ended).await {
            warn!(device = %session.device.name, error = error.code(), "session not written");
        }
        true
    }

    /// Ends a session for good: also on the disk.
    pub(super) async fn forget(&self, session: Box<Session>) {
        let Some(lasting) = &session.lasting else {
            return;
        };
        lasting.store.remove(session.stored());
        if lasting.recorded {
            let key = store::key(&session.device.name, &session.client_id);
            if let Err(error) = lasting.store.set(vec![(key, None)]).await {
                warn!(error = error.code(), "ended session not removed");
            }
        }
    }

    /// As if the process were killed: nothing more is written.
    #[cfg(test)]
    pub(super) async fn kill(&self) {
        self.0.away.end(Duration::ZERO).await;
    }

    #[cfg(test)]
    pub(super) fn stored_messages(&self) -> u64 {
        self.0.store.messages()
    }

    #[cfg(test)]
    pub(super) fn recorded(&self) -> Vec<store::Record> {
        self.0.store.recorded()
    }

    #[cfg(test)]
    pub(super) fn is_away(&self, client_id: &str) -> bool {
        let owners = self.0.owners.lock();
        let mut found = owners
            .iter()
            .filter(|line| *line.key.client_id == *client_id);
        found.any(|line| !line.is_connected())
    }

    fn overflow(&self) -> Overflow {
        match self.0.config.overflow {
            SessionOverflow::DropOldest => Overflow::DropOldest,
            SessionOverflow::DropNewest => Overflow::DropNewest,
        }
    }
}

impl Owner {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Lets go. `session` goes to whoever came next; if nobody waits for it any more,
    /// it is kept.
    pub(super) fn release(self, session: Option<Box<Session>>) {
        self.leave(session);
    }

    fn leave(&self, session: Option<Box<Session>>) {
        let Some(sessions) = self.sessions.upgrade() else {
            return;
        };
        let kept = session.as_ref().is_some_and(|session| session.outlasts());
        // Held all the while: whoever waits may give up, and this is the owner again.
        let mut owners = sessions.owners.lock();
        match (owners.place_of(&self.line), session) {
            (None, session) => self.line.leave(line::Left::Session(session)),
            (Some(own), Some(session)) if kept => {
                let line = Line::new(self.line.key.clone());
                *own = Arc::clone(&line);
                drop(owners);
                let owner = Self {
                    sessions: Arc::downgrade(&sessions),
                    line,
                };
                Sessions(sessions).keep(session, owner, Left::default());
            }
            (Some(_), session) => {
                owners.remove(&self.line);
                // Outside the lock: what is dropped with it takes others.
                drop(owners);
                drop(session);
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // After `release` it finds nothing to do.
        self.leave(None);
    }
}

/// What it takes to keep a session, for those who claim one.
fn lasting_error(error: &StoreError) -> Reason {
    if error.is_full() {
        Reason::QUOTA_EXCEEDED
    } else {
        Reason::SERVER_UNAVAILABLE
    }
}

#[cfg(test)]
mod tests;
