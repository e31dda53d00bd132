//! A plugin's place on the bus, which outlives its versions: its name, its inbox,
//! and all that waits for it.
//!
//! One port has it at a time. It changes hands here, in one step that can fail only
//! before anything has changed; who gets it, and when, is decided by `deployment`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::authorizing::{AskError, Question, Questions, Verdict};
use super::hops::Hops;
use super::local_port::LocalPort;
use super::mailbox::{Dead, Held, Mailbox};
use super::place::Place;
use super::tally::Counters;
use crate::bus::{AttachError, Bus, Grant, Message, Party, SubscribeError};
use crate::capabilities::foreign_text::fit;
use crate::names::{PartyName, PluginName, Topic};

/// Bytes of the reason in a dead letter.
const REASON_BYTES_MAX: usize = 512;

/// Messages taken from an inbox at once when all are given up.
const GIVE_UP_BATCH: usize = 64;

/// Why a plugin has no place on the bus.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("plugin `{plugin}` cannot join the bus")]
    Attach {
        plugin: PluginName,
        source: AttachError,
    },
    #[error("plugin `{plugin}` cannot subscribe")]
    Subscribe {
        plugin: PluginName,
        source: SubscribeError,
    },
}

/// A plugin's place on the bus, which outlives its versions: its name, its inbox
/// and all that waits for it.
pub struct Seat {
    pub(super) bus: Bus,
    pub(super) plugin: PluginName,
    /// Speaks of the plugin: its log, its dead letters.
    pub(super) host: Party,
    pub(super) log_topic: Topic,
    dead_topic: Topic,
    /// From the first time that somebody has it.
    place: Mutex<Option<Arc<Place>>>,
    pause: Mutex<Pause>,
    pub(super) questions: Questions,
}

/// How a seat changes hands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    /// Nobody had it, or whoever had it left it.
    FromNobody,
    /// To a successor, whose predecessor may come back.
    On(&'a Arc<LocalPort>),
    /// To the predecessor.
    Back,
}

#[derive(Debug, Default)]
struct Pause {
    /// When somebody was last called.
    left: Option<Instant>,
    /// Whether the seat has changed hands since.
    changed: bool,
    last: Option<Duration>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl Seat {
    /// The seat of `plugin`. Nobody has it yet.
    pub fn new(bus: &Bus, plugin: PluginName) -> Arc<Self> {
        let system = |kind: &str| {
            format!("$selvedge/{kind}/{plugin}")
                .parse()
                .expect("plugin names are topic levels")
        };
        Arc::new(Self {
            log_topic: system("log"),
            dead_topic: system("dead-letter"),
            bus: bus.clone(),
            host: bus.host_party(),
            place: Mutex::default(),
            pause: Mutex::default(),
            questions: Questions::default(),
            plugin,
        })
    }

    /// Whose it is.
    pub fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// Asks whoever has it whether somebody may connect. What is asked while it
    /// changes hands is answered by the successor.
    ///
    /// # Errors
    ///
    /// If too many others wait for an answer, or whoever was asked failed.
    pub async fn ask(&self, question: Question) -> Result<Result<Verdict, String>, AskError> {
        self.questions.ask(question).await
    }

    /// How long nobody handled messages when it last changed hands: from the
    /// predecessor's last call to the moment its successor could be called.
    pub fn last_pause(&self) -> Option<Duration> {
        self.pause.lock().last
    }

    /// Whoever has it is no longer called.
    pub(super) fn left(&self) {
        self.pause.lock().left = Some(Instant::now());
    }

    /// Whoever has it can be called from now on.
    pub(super) fn attended(&self) {
        let mut pause = self.pause.lock();
        if std::mem::take(&mut pause.changed) {
            pause.last = pause.left.map(|left| left.elapsed());
        }
    }

    /// Gives the seat to `port`, with its grant and limits. What waits stays,
    /// unless it is not granted. On an error nothing has changed.
    pub(super) fn occupy(&self, port: &Arc<LocalPort>, how: Change<'_>) -> Result<(), PortError> {
        let mut place = self.place.lock();
        let (place, party) = match &*place {
            Some(found) => (Arc::clone(found), self.reoccupy(found, port)?),
            None => {
                let (made, party) = self.join(port)?;
                (Arc::clone(place.insert(Arc::new(made))), party)
            }
        };
        let before = std::mem::replace(&mut *place.holder.lock(), Arc::downgrade(port));
        if let Some(before) = before.upgrade().filter(|before| !Arc::ptr_eq(before, port)) {
            before.unseat();
        }
        let dead = {
            let mut mailbox = place.mailbox.lock();
            match how {
                Change::FromNobody => {}
                Change::On(_) => mailbox.hand_on(),
                Change::Back => mailbox.hand_back(),
            }
            mailbox.relimit(port.bounds());
            // Without filters it is handed nothing, and what waits does.
            let filters = &port.grant().subscribe;
            let wanted =
                |topic: &Topic| filters.is_empty() || filters.iter().any(|own| own.matches(topic));
            mailbox.keep(wanted, "its successor is not granted this topic")
        };
        self.pause.lock().changed |= !matches!(how, Change::FromNobody);
        let predecessor = match how {
            Change::On(predecessor) => Arc::downgrade(predecessor),
            Change::FromNobody | Change::Back => Weak::new(),
        };
        port.seat(place, party, predecessor);
        self.bury(dead, port.counters());
        Ok(())
    }

    fn join(&self, port: &LocalPort) -> Result<(Place, Party), PortError> {
        let name = PartyName::from(&self.plugin);
        let attached = self.bus.attach(name, Grant::default());
        let hold = attached.map_err(|source| PortError::Attach {
            plugin: self.plugin.clone(),
            source,
        })?;
        let party = hold.succeed(port.grant().clone());
        let subscribed = party.subscribe(&port.grant().subscribe, port.inbox_limits());
        let place = Place {
            inbox: subscribed.map_err(|source| self.not_subscribed(source))?,
            hold,
            mailbox: Mutex::new(Mailbox::new(port.bounds())),
            hops: Hops::default(),
            holder: Mutex::default(),
        };
        Ok((place, party))
    }

    fn reoccupy(&self, place: &Place, port: &LocalPort) -> Result<Party, PortError> {
        let party = place.hold.succeed(port.grant().clone());
        let (filters, limits) = (&port.grant().subscribe, port.inbox_limits());
        let led = place.inbox.resubscribe(&party, filters, limits);
        led.map_err(|source| self.not_subscribed(source))?;
        Ok(party)
    }

    fn not_subscribed(&self, source: SubscribeError) -> PortError {
        let plugin = self.plugin.clone();
        PortError::Subscribe { plugin, source }
    }

    /// Takes the seat from `port`, if it has it: nobody does then.
    pub(super) fn vacate(&self, port: &Arc<LocalPort>) {
        let place = self.place.lock();
        let Some(place) = &*place else { return };
        let mut holder = place.holder.lock();
        if std::ptr::eq(holder.as_ptr(), Arc::as_ptr(port)) {
            *holder = Weak::new();
            place.inbox.rest();
            port.unseat();
        }
    }

    /// Gives up all that waits, because of `reason`: nobody will have the seat
    /// again.
    pub(super) fn give_up(&self, reason: &str, counters: &Counters) {
        let Some(place) = self.place.lock().clone() else {
            return;
        };
        let mut dead = place.mailbox.lock().keep(|_| false, reason);
        let mut waiting = Vec::new();
        while place.inbox.try_receive(GIVE_UP_BATCH, &mut waiting) > 0 {}
        dead.extend(waiting.into_iter().map(|message| Dead {
            held: Held::fresh(message),
            reason: reason.to_owned(),
        }));
        self.bury(dead, counters);
    }

    /// Publishes to the dead-letter topic. A listener that is full misses it,
    /// alone, and it is counted there as dropped.
    pub(super) fn bury(&self, dead: Vec<Dead>, counters: &Counters) {
        counters.dead_letters.add(dead.len());
        for Dead { held, reason } in dead {
            self.bury_one(&held, &reason);
        }
    }

    fn bury_one(&self, held: &Held, reason: &str) {
        let original = &held.message;
        // What the host says of plugins is not a plugin's to multiply.
        if original.topic.as_str().starts_with("$selvedge/") {
            return;
        }
        let property = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
        let explained = [
            property("dead-letter-reason", &fit(reason, REASON_BYTES_MAX)),
            property("dead-letter-topic", original.topic.as_str()),
            property("dead-letter-deliveries", &held.deliveries.to_string()),
        ];
        let mut message = Message::new(self.dead_topic.clone(), original.payload.clone());
        message.content_type.clone_from(&original.content_type);
        message.properties = explained.into_iter().collect();
        // Who lives on its own dead letters goes round in a circle too.
        message.hops = original.hops.saturating_add(1).min(self.bus.hops_max());
        if let Err(error) = self.host.publish_lossy(message) {
            tracing::warn!(plugin = %self.plugin, error = %error, "dead letter lost");
        } else {
            tracing::debug!(plugin = %self.plugin, "message dead-lettered");
        }
    }
}
