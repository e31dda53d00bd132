//! The port of an instance that runs in this process: a party on the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Level, event};

use super::mailbox::{Bounds, Dead, Mailbox};
use crate::bus::{Bus, Grant, Inbox, InboxLimits, Message, Party, PublishError};
use crate::capabilities::foreign_text::fit;
use crate::capabilities::port::{
    Delivery, Disposition, LogLevel, Port, Refusal, Refused, Stopping,
};
use crate::capabilities::rate::Rate;
use crate::names::{PartyName, PluginName, Topic};
use crate::spec::InstanceSpec;

/// Bytes in a batch, after which no further message is added: it must fit into
/// the memory of a small guest.
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// Bytes of the reason in a dead letter.
const REASON_BYTES_MAX: usize = 512;

/// A plugin's place on the bus. It outlives the plugin's instances, and with it
/// everything that waits for them.
pub struct LocalPort {
    plugin: PluginName,
    party: Party,
    host: Party,
    inbox: Inbox,
    mailbox: Mutex<Mailbox>,
    changed: Arc<Notify>,
    stop: CancellationToken,
    publish_rate: Mutex<Rate>,
    publish_wait: Duration,
    log_rate: Mutex<Rate>,
    log_dropped: AtomicU64,
    log_topic: Topic,
    dead_topic: Topic,
}

/// Why a plugin has no place on the bus.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("plugin `{plugin}` cannot join the bus")]
    Attach {
        plugin: PluginName,
        source: crate::bus::AttachError,
    },
    #[error("plugin `{plugin}` cannot subscribe")]
    Subscribe {
        plugin: PluginName,
        source: crate::bus::SubscribeError,
    },
}

impl std::fmt::Debug for LocalPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalPort")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl LocalPort {
    /// Joins `bus` as `spec` grants. Messages wait from now on.
    pub fn join(bus: &Bus, spec: &InstanceSpec) -> Result<Arc<Self>, PortError> {
        let (plugin, limits) = (spec.plugin.clone(), &spec.limits);
        let grant = Grant {
            publish: spec.grants.publish.clone(),
            subscribe: spec.grants.subscribe.clone(),
        };
        let party = bus
            .attach(PartyName::from(&plugin), grant)
            .map_err(|source| PortError::Attach {
                plugin: plugin.clone(),
                source,
            })?;
        let inbox_limits = InboxLimits {
            messages_max: limits.inbox_messages_max.get(),
            bytes_max: limits.inbox_bytes_max.get(),
            overflow: limits.inbox_overflow,
        };
        let inbox = party
            .subscribe(&spec.grants.subscribe, inbox_limits)
            .map_err(|source| PortError::Subscribe {
                plugin: plugin.clone(),
                source,
            })?;
        let system = |kind: &str| {
            format!("$selvedge/{kind}/{plugin}")
                .parse()
                .expect("plugin names are topic levels")
        };
        let mailbox = Mailbox::new(Bounds {
            retries_max: limits.retries_max,
            messages_max: limits.inbox_messages_max.get(),
            bytes_max: limits.inbox_bytes_max.get(),
        });
        Ok(Arc::new(Self {
            log_topic: system("log"),
            dead_topic: system("dead-letter"),
            party,
            host: bus.host_party(),
            inbox,
            mailbox: Mutex::new(mailbox),
            changed: Arc::default(),
            stop: CancellationToken::new(),
            publish_rate: Mutex::new(Rate::new(limits.publish_per_s_max.get())),
            // Half of what a call may take, so that the guest hears `busy`
            // instead of running into its deadline.
            publish_wait: Duration::from_millis(u64::from(limits.call_ms_max.get()) / 2),
            log_rate: Mutex::new(Rate::new(limits.log_lines_per_s_max.get())),
            log_dropped: AtomicU64::new(0),
            plugin,
        }))
    }

    /// Asks the instance to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The instance died, because of `reason`: what it had in hand goes to the
    /// next one, message by message.
    pub fn bereave(&self, reason: &str) {
        let dead = self.mailbox.lock().bereave(reason);
        self.bury(dead);
    }

    /// Publishes to the dead-letter topic. A listener that is full misses it,
    /// alone, and it is counted there as dropped.
    fn bury(&self, dead: Vec<Dead>) {
        for Dead { held, reason } in dead {
            let original = &held.message;
            // What the host says of plugins is not a plugin's to multiply.
            if original.topic.as_str().starts_with("$selvedge/") {
                continue;
            }
            let property = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
            let explained = [
                property("dead-letter-reason", &fit(&reason, REASON_BYTES_MAX)),
                property("dead-letter-topic", original.topic.as_str()),
                property("dead-letter-deliveries", &held.deliveries.to_string()),
            ];
            let mut message = Message::new(self.dead_topic.clone(), original.payload.clone());
            message.content_type.clone_from(&original.content_type);
            message.properties = explained.into_iter().collect();
            if let Err(error) = self.host.publish_lossy(message) {
                tracing::warn!(plugin = %self.plugin, error = %error, "dead letter lost");
            } else {
                tracing::debug!(plugin = %self.plugin, "message dead-lettered");
            }
        }
    }

    async fn publish_one(
        &self,
        message: Message,
        delivery: Delivery,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let outcome = match delivery {
            // A publisher that does not insist: who has no room misses it, alone.
            Delivery::AtMostOnce => self.party.publish_lossy(message),
            Delivery::AtLeastOnce => {
                let waiting = self.party.publish_waiting(message);
                let waited = timeout_at(deadline, waiting).await;
                waited.map_err(|_| Refusal::Busy(millis(self.publish_wait)))?
            }
        };
        outcome.map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &PublishError) -> Refusal {
        match error {
            PublishError::TooLarge { max, .. } => Refusal::TooLarge(*max),
            PublishError::Busy { .. } => Refusal::Busy(millis(self.publish_wait)),
            PublishError::NotGranted { .. } => Refusal::NotGranted,
            PublishError::Malformed { .. } => Refusal::Malformed,
        }
    }
}

impl Port for LocalPort {
    fn publish(
        &self,
        messages: Vec<Message>,
        delivery: Delivery,
    ) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            let (allowed, wait) = self.publish_rate.lock().take(messages.len());
            let count = messages.len();
            // One for the whole batch: it is one call of the guest.
            let deadline = Instant::now() + self.publish_wait;
            for (index, message) in messages.into_iter().take(allowed).enumerate() {
                let published = self.publish_one(message, delivery, deadline).await;
                published.map_err(|reason| Refused { index, reason })?;
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
        if self.stop.is_cancelled() {
            return Err(Stopping);
        }
        let mut mailbox = self.mailbox.lock();
        let held = mailbox.take_held(max, Instant::now());
        if !held.is_empty() {
            return Ok(held);
        }
        let mut fresh = Vec::new();
        // What all fits is taken at once; else a message at a time.
        let step = if self.inbox.bytes() <= BATCH_BYTES_MAX {
            max
        } else {
            1
        };
        let mut bytes = 0;
        while fresh.len() < max && bytes < BATCH_BYTES_MAX {
            let before = fresh.len();
            if self.inbox.try_receive(step, &mut fresh) == 0 || step > 1 {
                break;
            }
            bytes += fresh
                .iter()
                .skip(before)
                .map(|message| message.size())
                .sum::<u64>();
        }
        Ok(mailbox.take_fresh(fresh))
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let changed = self.changed.notified();
                let now = Instant::now();
                let due = self.mailbox.lock().next_due(now);
                if due.is_some_and(|due| due <= now) {
                    return;
                }
                let due = async move {
                    match due {
                        Some(due) => sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = self.inbox.ready() => return,
                    () = self.stop.cancelled() => return,
                    () = due => return,
                    () = changed => {}
                }
            }
        })
    }

    fn settle(&self, dispositions: Vec<Disposition>) {
        let dead = self.mailbox.lock().settle(dispositions, Instant::now());
        self.changed.notify_waiters();
        self.bury(dead);
    }

    fn log(&self, level: LogLevel, context: &str, text: &str) {
        if self.log_rate.lock().take(1).0 == 0 {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.log_dropped.swap(0, Ordering::Relaxed);
        let plugin = &self.plugin;
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
        let mut message = Message::new(self.log_topic.clone(), line.to_string());
        message.content_type = Some("application/json".into());
        // Nobody may be listening, and a listener may be full: then it misses a
        // line, alone. Lines are short, so they are never refused.
        drop(self.host.publish_lossy(message));
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis())
        .unwrap_or(u32::MAX)
        .max(1)
}
