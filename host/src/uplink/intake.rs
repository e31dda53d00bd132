//! From the bus to the disk: who publishes is told when it is there.
//!
//! Messages are held until the queue has them; dropped then, they settle their
//! publishers' receipts. While one commit is under way the next batch gathers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::error;

use super::error::UplinkError;
use super::mapping::{Rule, Rules};
use super::target::Poison;
use super::{Entry, Shared};
use crate::bus::{Inbox, InboxLimits, Message, Party, SubscribeError};
use crate::error_chain::ErrorChain;
use crate::names::{Qos, Topic};
use crate::spec::Overflow;
use crate::storage::{Lane, LogError};
use crate::supervisor::{UnitContext, UnitResult};

/// What may wait for a commit; then publishers wait.
const INBOX: InboxLimits = InboxLimits {
    messages_max: 2_048,
    bytes_max: 16 << 20,
    overflow: Overflow::Block,
    answers: true,
};

/// Messages of one commit.
const BATCH: usize = 512;

/// How long it waits for room before it looks again, and after the store failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often the queue's clock is remembered.
const REMEMBER: Duration = Duration::from_secs(60);

/// User properties of ours, which are set anew at each gateway.
const OWN: [&str; 3] = ["selvedge-queue", "selvedge-seq", "selvedge-hops"];

/// What has come and is not on the disk.
#[derive(Debug)]
pub(super) struct Intake {
    inbox: Inbox,
    /// Kept over a failure of the unit: dropping it would settle it.
    in_hand: Vec<Arc<Message>>,
}

impl Intake {
    pub(super) fn open(party: &Party, rules: &Rules) -> Result<Self, SubscribeError> {
        Ok(Self {
            inbox: party.subscribe(&rules.interests(), INBOX)?,
            in_hand: Vec::with_capacity(BATCH),
        })
    }
}

/// Takes in until told to stop.
pub(super) async fn run(shared: Arc<Shared>, context: UnitContext) -> UnitResult {
    let mut intake = shared.intake.lock().await;
    let mut remember = interval(REMEMBER);
    remember.set_missed_tick_behavior(MissedTickBehavior::Delay);
    context.ready();
    let Intake { inbox, in_hand } = &mut *intake;
    loop {
        if in_hand.is_empty() {
            tokio::select! {
                () = context.stop.cancelled() => break,
                () = inbox.receive(BATCH, in_hand) => {}
                _ = remember.tick() => {
                    let shared = Arc::clone(&shared);
                    tokio::task::spawn_blocking(move || shared.queue.clock.remember()).await??;
                    continue;
                }
            }
        }
        // Nothing but being stopped may cut it short: what was written would be
        // written again.
        let batch = shared.batch(in_hand);
        tokio::select! {
            () = context.stop.cancelled() => break,
            outcome = put(&shared, batch) => outcome.map(drop)?,
        }
        in_hand.clear();
    }
    let last = Arc::clone(&shared);
    tokio::task::spawn_blocking(move || last.queue.clock.remember()).await??;
    Ok(())
}

/// Puts a batch into the queue, waiting for room where the policy says so and for
/// the store as long as it fails. How many of it were refused for lack of room.
pub(super) async fn put(
    shared: &Arc<Shared>,
    mut batch: Vec<(Lane, Bytes)>,
) -> Result<u64, UplinkError> {
    let mut refused = 0;
    while !batch.is_empty() {
        let room = shared.queue.room.notified();
        let own = Arc::clone(shared);
        let task = tokio::task::spawn_blocking(move || {
            let put = own.queue.put(&batch);
            (put, batch)
        });
        let (put, rest) = task.await.map_err(|_| UplinkError::Stopped)?;
        batch = rest;
        match put {
            Ok(put) => {
                refused += put.refused;
                let dropped = put.refused + put.displaced;
                shared.counters.dropped("queue-full", dropped);
                batch.drain(..put.taken.min(batch.len()));
                if batch.is_empty() {
                    break;
                }
            }
            Err(LogError::TooLarge(_)) => {
                refused += batch.len() as u64;
                break;
            }
            Err(failed) => {
                let text = ErrorChain(&failed).to_string();
                error!(uplink = %shared.name, error = text, "queue not written");
                shared.counters.failed(failed.code(), text);
            }
        }
        // Whoever removes something says so; nobody says that the store works.
        drop(timeout(LOOK_AGAIN, room).await);
    }
    Ok(refused)
}

impl Shared {
    /// What of these messages goes out, encoded.
    fn batch(&self, messages: &[Arc<Message>]) -> Vec<(Lane, Bytes)> {
        let now = Instant::now();
        let offline = !*self.connected.borrow() && !self.config.queue.keep_qos0;
        let mut batch = Vec::with_capacity(messages.len());
        for message in messages {
            // What came from there does not go back.
            if message.origin == Some(self.origin) {
                continue;
            }
            let Some(rule) = self.rules.rule_out(&message.topic) else {
                continue;
            };
            if message.retain && !rule.retain {
                continue;
            }
            if message.is_expired(now) {
                self.counters.dropped("expired", 1);
                continue;
            }
            if offline && message.qos == Qos::AtMostOnce {
                self.counters.dropped("offline", 1);
                continue;
            }
            match self.outgoing(rule, message, now) {
                Ok(entry) => batch.push((rule.lane, entry.encode())),
                Err(poison) => {
                    self.bury(&message.topic, &message.payload, message.hops, poison);
                }
            }
        }
        batch
    }

    fn outgoing(&self, rule: &Rule, message: &Message, now: Instant) -> Result<Entry, Poison> {
        let topic = self.rules.map(rule, &message.topic);
        let topic: Topic = topic.ok_or(Poison::NoTopic)?;
        let payload = &message.payload;
        self.limits.check(&topic, payload.len(), rule.retain)?;
        let mut entry = Entry::new(topic, payload.clone(), self.queue.clock.now());
        entry.qos = message.qos.min(rule.qos);
        entry.retain = rule.retain;
        entry.utf8 = message.utf8;
        entry.hops = message.hops;
        entry.content_type.clone_from(&message.content_type);
        entry.response.clone_from(&message.reply_to);
        entry.correlation.clone_from(&message.correlation);
        entry.set_properties(&message.properties);
        entry.user.retain(|(name, _)| !OWN.contains(&&**name));
        let left = |at: Instant| at.saturating_duration_since(now);
        let ttl = [rule.ttl, message.expires_at.map(left)];
        let ttl = ttl.into_iter().flatten().min();
        entry.ttl = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX - 1));
        Ok(entry)
    }
}
