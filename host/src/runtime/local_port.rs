//! The port of an instance that runs in this process: a party on the bus, as far
//! as its generation has the seat.
//!
//! What waits belongs to the seat and outlives everyone here; grant, rates and
//! counts belong to one generation and outlive its instances. Without the seat
//! nothing is handed out, and what is published is held back.

mod publishing;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{Level, event};

use self::publishing::millis;
use super::authorizing::Asked;
use super::held_back::HeldBack;
use super::mailbox::{Bounds, Dead, Held};
use super::place::Place;
use super::seat::{Change, PortError, Seat};
use super::tally::{Counters, Tally};
use crate::bus::{Bus, Grant, InboxLimits, Message, Party};
use crate::capabilities::port::{
    Delivery, Disposition, LogLevel, Port, Refusal, Refused, Stopping,
};
use crate::capabilities::rate::Rate;
use crate::spec::{InstanceSpec, Limits};

/// Dead letters in a second that say that topics form a cycle.
const CYCLE_LETTERS_PER_S_MAX: u32 = 1;

/// The port of one generation of a plugin.
pub struct LocalPort {
    seat: Arc<Seat>,
    grant: Grant,
    limits: Limits,
    standing: Mutex<Standing>,
    /// Told when the instance is to stop, or the seat changes hands.
    changed: Notify,
    stopping: AtomicBool,
    publish_rate: Mutex<Rate>,
    publish_wait: Duration,
    log_rate: Mutex<Rate>,
    log_dropped: AtomicU64,
    cycle_rate: Mutex<Rate>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Standing {
    /// None without the seat.
    seated: Option<Arc<Seated>>,
    /// What is to be sent first.
    held_back: HeldBack,
    /// Who may come back.
    predecessor: Weak<LocalPort>,
}

#[derive(Debug)]
struct Seated {
    party: Party,
    place: Arc<Place>,
}

impl std::fmt::Debug for LocalPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalPort")
            .field("plugin", &self.seat.plugin)
            .finish_non_exhaustive()
    }
}

impl LocalPort {
    /// A port that has a seat of its own at once: messages wait from now on.
    pub fn join(bus: &Bus, spec: &InstanceSpec) -> Result<Arc<Self>, PortError> {
        let port = Self::new(&Seat::new(bus, spec.plugin.clone()), spec);
        port.seat.occupy(&port, Change::FromNobody)?;
        Ok(port)
    }

    /// A port that does not have the seat.
    pub(super) fn new(seat: &Arc<Seat>, spec: &InstanceSpec) -> Arc<Self> {
        let limits = &spec.limits;
        Arc::new(Self {
            seat: Arc::clone(seat),
            grant: Grant {
                publish: spec.grants.publish.clone(),
                subscribe: spec.grants.subscribe.clone(),
            },
            standing: Mutex::default(),
            changed: Notify::new(),
            stopping: false.into(),
            publish_rate: Mutex::new(Rate::new(limits.publish_per_s_max.get())),
            // Half of what a call may take, so that the guest hears `busy`
            // instead of running into its deadline.
            publish_wait: Duration::from_millis(u64::from(limits.call_ms_max.get()) / 2),
            log_rate: Mutex::new(Rate::new(limits.log_lines_per_s_max.get())),
            log_dropped: AtomicU64::new(0),
            cycle_rate: Mutex::new(Rate::new(CYCLE_LETTERS_PER_S_MAX)),
            counters: Counters::default(),
            limits: limits.clone(),
        })
    }

    /// The next question, as long as it has the seat.
    pub(super) async fn asked(&self) -> Asked {
        self.seat.questions.next().await
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(super) fn inbox_limits(&self) -> InboxLimits {
        InboxLimits {
            messages_max: self.limits.inbox_messages_max.get(),
            bytes_max: self.limits.inbox_bytes_max.get(),
            overflow: self.limits.inbox_overflow,
            // Held until it is handled, rejected or dead.
            answers: true,
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            retries_max: self.limits.retries_max,
            messages_max: self.limits.inbox_messages_max.get(),
            bytes_max: self.limits.inbox_bytes_max.get(),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn tally(&self) -> Tally {
        self.counters.tally()
    }

    pub(super) fn is_seated(&self) -> bool {
        self.standing.lock().seated.is_some()
    }

    /// It has the seat now.
    pub(super) fn seat(&self, place: Arc<Place>, party: Party, predecessor: Weak<Self>) {
        let mut standing = self.standing.lock();
        standing.seated = Some(Arc::new(Seated { party, place }));
        standing.predecessor = predecessor;
        drop(standing);
        self.changed.notify_waiters();
    }

    /// It does not have the seat any more. What it held back and has not sent waits
    /// until it has the seat again: an operator may have stopped it before it began.
    pub(super) fn unseat(&self) {
        let mut standing = self.standing.lock();
        standing.seated = None;
        standing.predecessor = Weak::new();
        drop(standing);
        self.changed.notify_waiters();
    }

    /// An instance is about to be made: nobody has told it to stop, and it has
    /// published nothing.
    pub(super) fn renew(&self) {
        self.stopping.store(false, Ordering::Release);
        self.forget_held_back();
    }

    /// Forgets what was published without the seat: whoever did will not get it.
    pub(super) fn forget_held_back(&self) {
        let mut standing = self.standing.lock();
        if standing.seated.is_none() {
            standing.held_back = HeldBack::default();
        }
    }

    /// An instance begins to work: it is not to stop, and what was held back goes
    /// out before anything else.
    pub(super) async fn begin(&self) {
        self.stopping.store(false, Ordering::Release);
        let Some(seated) = self.seated() else { return };
        let deadline = Instant::now() + self.publish_wait;
        loop {
            let next = self.standing.lock().held_back.pop();
            let Some((message, delivery)) = next else {
                return;
            };
            let sent = self.publish_one(&seated, message.clone(), delivery, deadline);
            if let Err(refusal) = sent.await {
                let held = Held::fresh(Arc::new(message));
                let reason = format!("held back while the plugin warmed up, then {refusal:?}");
                self.seat.bury(vec![Dead { held, reason }], &self.counters);
            }
        }
    }

    /// Asks the instance to stop.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// The instance died, because of `reason`: what it had in hand goes to the
    /// next one, message by message.
    pub(super) fn bereave(&self, reason: &str) {
        let Some(seated) = self.seated() else { return };
        let on_trial = self.standing.lock().predecessor.strong_count() > 0;
        let dead = seated.place.mailbox.lock().bereave(reason, on_trial);
        seated.place.hops.rest();
        self.seat.bury(dead, &self.counters);
    }

    /// A tick begins: what it publishes follows from all since the tick before.
    pub(super) fn tick_begins(&self) {
        if let Some(seated) = self.seated() {
            seated.place.hops.tick();
        }
    }

    pub(super) fn tick_ended(&self) {
        if let Some(seated) = self.seated() {
            seated.place.hops.rest();
        }
    }

    fn seated(&self) -> Option<Arc<Seated>> {
        self.standing.lock().seated.clone()
    }

    /// As [`seated`](Self::seated), if anything is to be handed out at all.
    fn receiving(&self) -> Option<Arc<Seated>> {
        let receives = !self.grant.subscribe.is_empty();
        receives.then(|| self.seated()).flatten()
    }
}

impl Port for LocalPort {
    fn publish(
        &self,
        messages: Vec<Message>,
        delivery: Delivery,
    ) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            let count = messages.len();
            let (allowed, wait) = self.publish_rate.lock().take(count);
            self.counters.rate_limited.add(count - allowed);
            let messages = messages.into_iter().take(allowed);
            match self.seated() {
                Some(seated) => self.send(&seated, messages, delivery).await?,
                None => self.hold_back(messages, delivery)?,
            }
            if allowed < count {
                let reason = Refusal::Busy(millis(wait));
                return Err(Refused {
                    index: allowed,
                    reason,
                });
            }
            Ok(())
        })
    }

    fn receive(&self, max: usize) -> Result<Vec<Arc<Message>>, Stopping> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Stopping);
        }
        let Some(seated) = self.receiving() else {
            return Ok(Vec::new());
        };
        let messages = seated.place.take(max);
        self.counters.handled.add(messages.len());
        Ok(messages)
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                // Made before looking, so that no change between is missed.
                let changed = self.changed.notified();
                if self.stopping.load(Ordering::Acquire) {
                    return;
                }
                let Some(seated) = self.receiving() else {
                    changed.await;
                    continue;
                };
                let now = Instant::now();
                let (in_hand, due) = {
                    let mailbox = seated.place.mailbox.lock();
                    (mailbox.has_in_hand(), mailbox.next_due(now))
                };
                // Whoever asks for more says by it that it has done with what it took,
                // and its publishers wait for that: it is to say so now.
                if in_hand || due.is_some_and(|due| due <= now) {
                    return;
                }
                let due = async move {
                    match due {
                        Some(due) => sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = seated.place.inbox.ready() => return,
                    () = due => return,
                    () = changed => {}
                }
            }
        })
    }

    fn settle(&self, dispositions: Vec<Disposition>) {
        let Some(seated) = self.seated() else { return };
        let mut mailbox = seated.place.mailbox.lock();
        let dead = mailbox.settle(dispositions, Instant::now());
        drop(mailbox);
        seated.place.hops.rest();
        self.changed.notify_waiters();
        self.seat.bury(dead, &self.counters);
    }

    fn holds(&self, memory_bytes: u64) {
        let known = &self.counters.memory_bytes;
        known.store(memory_bytes, Ordering::Relaxed);
    }

    fn log(&self, level: LogLevel, context: &str, text: &str) {
        if self.log_rate.lock().take(1).0 == 0 {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.log_dropped.swap(0, Ordering::Relaxed);
        let plugin = &self.seat.plugin;
        match level {
            LogLevel::Trace => event!(target: "guest", Level::TRACE, %plugin, dropped, "{text}"),
            LogLevel::Debug => event!(target: "guest", Level::DEBUG, %plugin, dropped, "{text}"),
            LogLevel::Info => event!(target: "guest", Level::INFO, %plugin, dropped, "{text}"),
            LogLevel::Warn => event!(target: "guest", Level::WARN, %plugin, dropped, "{text}"),
            LogLevel::Error | LogLevel::Critical => {
                event!(target: "guest", Level::ERROR, %plugin, dropped, "{text}");
            }
        }
        let line = serde_json::json!({
            "level": level, "context": context, "text": text, "dropped": dropped,
        });
        let mut message = Message::new(self.seat.log_topic.clone(), line.to_string());
        message.content_type = Some("application/json".into());
        // Nobody may be listening, and a listener may be full: then it misses a
        // line, alone. Lines are short, so they are never refused.
        drop(self.seat.host.publish_lossy(message));
    }
}
