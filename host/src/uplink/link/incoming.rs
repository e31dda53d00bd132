//! From the target to whoever is meant: those who listen, and the rules.
//!
//! A message goes to both apart from each other, so that a plugin that takes
//! nothing does not keep the cloud's own from being heard. It is acknowledged when
//! everyone who got it is done with it: on this bus, when its receipt is settled.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::session::UNSETTLED_V311_MAX;
use crate::bus::{Message, Receipt, Settled};
use crate::names::{Qos, Topic};
use crate::uplink::Shared;
use crate::uplink::mapping::Rule;
use crate::uplink::remote::Remote;
use crate::uplink::target::Poison;

/// Messages on their way in. Those of QoS 0 leave room for all others.
const WAITING_MAX: usize = 1_200;
const ROOM_FOR_SURE: usize = 1_000;

/// How long a message waits for subscribers that make publishers wait; then it is
/// given up.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);

/// The user property that says how often a message was handed on.
const HOPS: &str = "selvedge-hops";

/// What only this bus is told of a message.
#[derive(Debug)]
pub(super) struct More {
    pub(super) utf8: bool,
    pub(super) expiry_s: Option<u32>,
    pub(super) response: Option<Topic>,
}

/// Hands over what comes.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    listeners: mpsc::Sender<Remote>,
    rules: mpsc::Sender<(Remote, More)>,
}

/// The other ends of it.
#[derive(Debug)]
pub(super) struct Incoming {
    listeners: mpsc::Receiver<Remote>,
    rules: mpsc::Receiver<(Remote, More)>,
}

impl Hand {
    pub(super) fn new() -> (Self, Incoming) {
        const { assert!(ROOM_FOR_SURE >= UNSETTLED_V311_MAX) };
        let (to_listeners, listeners) = mpsc::channel(WAITING_MAX);
        let (to_rules, rules) = mpsc::channel(WAITING_MAX);
        let hand = Self {
            listeners: to_listeners,
            rules: to_rules,
        };
        (hand, Incoming { listeners, rules })
    }

    /// False if there was no room, which only those meet that are not sure to come.
    pub(super) fn over(&self, remote: Remote, more: More, sure: bool) -> bool {
        let room = self.listeners.capacity().min(self.rules.capacity());
        if !sure && room <= ROOM_FOR_SURE {
            return false;
        }
        let listeners = self.listeners.try_send(remote.clone());
        listeners.is_ok() && self.rules.try_send((remote, more)).is_ok()
    }
}

impl Incoming {
    /// Delivers until dropped; then what was not delivered is not acknowledged.
    pub(super) async fn deliver(self, shared: &Shared) {
        let (owed, owing) = mpsc::channel(WAITING_MAX);
        let listeners = to_listeners(self.listeners, shared);
        let rules = to_bus(self.rules, shared, owed);
        futures::join!(listeners, rules, settle(owing));
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

async fn to_bus(
    mut waiting: mpsc::Receiver<(Remote, More)>,
    shared: &Shared,
    owed: mpsc::Sender<(Settled, Remote)>,
) {
    while let Some((remote, more)) = waiting.recv().await {
        let Some(rule) = shared.rules.rule_in(&remote.topic) else {
            if shared.remotes.listeners(&remote.topic).is_empty() {
                shared.counters.dropped("no-rule", 1);
            }
            continue;
        };
        let (receipt, settled) = Receipt::new();
        let Some(mut message) = shared.incoming(rule, &remote, more) else {
            shared.bury(&remote.topic, &remote.payload, 0, Poison::NoTopic);
            continue;
        };
        message.receipt = Some(receipt);
        let hops = message.hops;
        let published = shared.party.publish_waiting(message);
        let refused = match timeout(ROOM_WAIT_MAX, published).await {
            Ok(Ok(_)) => {
                // Acknowledged when settled; the order is kept where it is told.
                drop(owed.send((settled, remote)).await);
                continue;
            }
            Ok(Err(error)) => error.code(),
            Err(_) => "subscriber-busy",
        };
        let poison = Poison::NotTaken(refused);
        shared.bury(&remote.topic, &remote.payload, hops, poison);
    }
}

/// Holds what somebody here owes until it is settled.
async fn settle(mut owing: mpsc::Receiver<(Settled, Remote)>) {
    let mut owed = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((settled, remote)) = owing.recv() => owed.push(async move {
                settled.await;
                drop(remote);
            }),
            Some(()) = owed.next(), if !owed.is_empty() => {}
            else => return,
        }
    }
}

impl Shared {
    /// What this bus gets; None if its topic here would be none.
    fn incoming(&self, rule: &Rule, remote: &Remote, more: More) -> Option<Message> {
        let topic = self.rules.map(rule, &remote.topic)?;
        let mut message = Message::new(topic, remote.payload.clone());
        message.retain = rule.retain && remote.retain;
        message.content_type.clone_from(&remote.content_type);
        message.correlation.clone_from(&remote.correlation);
        message.reply_to = more.response;
        message.utf8 = more.utf8;
        message.origin = Some(self.origin);
        message.qos = if remote.ticket.is_some() {
            Qos::AtLeastOnce.min(rule.qos)
        } else {
            Qos::AtMostOnce
        };
        let left = |s: u32| Instant::now() + Duration::from_secs(s.into());
        let ttl = rule.ttl.map(|ttl| Instant::now() + ttl);
        let ends = [more.expiry_s.map(left), ttl].into_iter().flatten();
        message.expires_at = ends.min();
        let mut hops = remote.user.iter().filter(|(name, _)| &**name == HOPS);
        // Another gateway's word; what is no number is as far as it goes.
        let hops = hops.next().map(|(_, hops)| hops.parse().unwrap_or(u8::MAX));
        message.hops = hops.unwrap_or(0);
        let properties = remote.user.iter().filter(|(name, _)| &**name != HOPS);
        message.properties = properties
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Some(message)
    }
}
