//! From the target to whoever is meant: those who listen, and the rules.
//!
//! A message goes to both apart from each other, so that a plugin that takes
//! nothing does not keep the cloud's own from being heard. It is acknowledged when
//! everyone who got it is done with it: on this bus, when its receipt is settled.
//! What need not arrive goes its own way, and does not wait for what must.

mod arrival;
mod passing;
mod sure;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::session::UNSETTLED_V311_MAX;
use crate::bus::Settled;
use crate::names::Topic;
use crate::uplink::Shared;
use crate::uplink::config::Protocol;
use crate::uplink::remote::Remote;
use crate::uplink::target::Poison;

/// Messages of QoS 1 on their way in.
const SURE_MAX: usize = 1_000;
/// How long one may take until everyone here is done with it. The target sends no more
/// of them meanwhile than it may have unacknowledged: so one who takes nothing, or
/// keeps what it has, does not stop what is for others for good.
const SURE_WAIT_MAX: Duration = Duration::from_secs(600);
/// Messages of QoS 0 that nobody has looked at yet.
const PASSING_MAX: usize = 200;
/// Bytes of messages of QoS 0 on their way in. One that does not fit is dropped.
const PASSING_BYTES_MAX: usize = 8 << 20;

/// What only this bus is told of a message.
#[derive(Debug)]
pub(super) struct More {
    pub(super) utf8: bool,
    pub(super) expiry_s: Option<u32>,
    pub(super) response: Option<Topic>,
}

/// A subscriber makes publishers wait, or has not done with a message.
const BUSY: &str = "subscriber-busy";

/// A message of QoS 1, and until when it may take.
type Sure<T> = (Remote, T, Instant);

/// Hands over what comes.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    listeners: mpsc::Sender<Remote>,
    sure: mpsc::Sender<Sure<More>>,
    passing: mpsc::Sender<(Remote, More)>,
    room: Arc<Semaphore>,
}

/// The other ends of it.
#[derive(Debug)]
pub(super) struct Incoming {
    listeners: mpsc::Receiver<Remote>,
    sure: mpsc::Receiver<Sure<More>>,
    passing: mpsc::Receiver<(Remote, More)>,
    room: Arc<Semaphore>,
}

impl Hand {
    pub(super) fn new() -> (Self, Incoming) {
        const { assert!(SURE_MAX >= UNSETTLED_V311_MAX) };
        let (to_listeners, listeners) = mpsc::channel(SURE_MAX + PASSING_MAX);
        let (to_sure, sure) = mpsc::channel(SURE_MAX);
        let (to_passing, passing) = mpsc::channel(PASSING_MAX);
        let room = Arc::new(Semaphore::new(PASSING_BYTES_MAX));
        let hand = Self {
            listeners: to_listeners,
            sure: to_sure,
            passing: to_passing,
            room: Arc::clone(&room),
        };
        let incoming = Incoming {
            listeners,
            sure,
            passing,
            room,
        };
        (hand, incoming)
    }

    /// Of a message that takes so many bytes. False if there was no room, which only
    /// those meet that are not sure to come.
    pub(super) fn over(&self, mut remote: Remote, more: More, bytes: usize) -> bool {
        if remote.ticket.is_some() {
            let listeners = self.listeners.try_send(remote.clone());
            let until = Instant::now() + SURE_WAIT_MAX;
            return listeners.is_ok() && self.sure.try_send((remote, more, until)).is_ok();
        }
        if self.listeners.capacity() <= SURE_MAX || self.passing.capacity() == 0 {
            return false;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else {
            return false;
        };
        remote.room = Some(Arc::new(room));
        let listeners = self.listeners.try_send(remote.clone());
        listeners.is_ok() && self.passing.try_send((remote, more)).is_ok()
    }
}

impl Incoming {
    /// Delivers until dropped; then what was not delivered is not acknowledged.
    pub(super) async fn deliver(self, shared: &Shared) {
        let (owed, owing) = mpsc::channel(SURE_MAX);
        futures::join!(
            to_listeners(self.listeners, shared),
            sure::to_bus(self.sure, shared, owed),
            passing::to_bus(self.passing, shared, &self.room),
            settle(owing, shared),
        );
    }
}

async fn to_listeners(mut waiting: mpsc::Receiver<Remote>, shared: &Shared) {
    while let Some(remote) = waiting.recv().await {
        for listener in shared.remotes.listeners(&remote.topic) {
            // Who does not listen any more is done with it.
            drop(listener.send(remote.clone()).await);
        }
    }
}

/// Holds what somebody here owes until it is settled.
async fn settle(mut owing: mpsc::Receiver<Sure<Settled>>, shared: &Shared) {
    let mut owed = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((remote, mut settled, until)) = owing.recv() => owed.push(async move {
                let refused = match timeout_at(until, &mut settled).await {
                    Ok(()) => settled.is_refused().then_some("message-not-kept"),
                    Err(_) => Some(BUSY),
                };
                (refused, remote)
            }),
            Some((refused, remote)) = owed.next(), if !owed.is_empty() => {
                if let Some(code) = refused {
                    refuse(&remote, shared, code);
                }
            }
            else => return,
        }
    }
}

/// Somebody here could not keep it, or was not done with it in time. A target that
/// speaks MQTT 5 hears that and does not send it again, so it is given up; one that
/// cannot be told has it still.
fn refuse(remote: &Remote, shared: &Shared, code: &'static str) {
    if let Some(ticket) = &remote.ticket {
        ticket.refuse();
    }
    if shared.config.protocol == Protocol::V5 {
        let poison = Poison::NotTaken(code);
        shared.bury(
            &remote.topic,
            &remote.payload,
            arrival::hops(remote),
            poison,
        );
    }
}
