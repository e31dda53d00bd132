//! MQTT connections outward: to AWS IoT Core, or to any broker.
//!
//! What rules send is on the disk before whoever published it is told so, leaves
//! in order of its topic, and is deleted when the other side has acknowledged it.
//! What comes in is acknowledged when those it is for have done with it. The other
//! side may be away for weeks, lie, or refuse; nothing of that stops the host.
//!
//! Each message carries the user properties `selvedge-queue` and `selvedge-seq`:
//! who has seen a pair of them has the message already. `selvedge-via` names each
//! gateway that it came through, and `selvedge-hops` says how often it was handed
//! on; what came through this gateway is not taken again.

mod clock;
pub mod config;
mod dead_letters;
mod dial;
mod entry;
mod error;
mod identity;
mod intake;
mod link;
mod mapping;
mod queue;
mod remote;
mod status;
mod target;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::error::{BuildError, UplinkError};
pub use self::remote::{Remote, RemoteInbox};
pub use self::status::{LinkState, UplinkFault, UplinkStatus};

use self::config::{PRIORITIES, TargetLimits, UplinkConfig};
use self::entry::Entry;
use self::identity::Identity;
use self::intake::Intake;
use self::mapping::Rules;
use self::queue::Queue;
use self::remote::Remotes;
use self::status::Counters;
use crate::bus::{Bus, Grant, Origin, Party};
use crate::names::{PartyName, Topic, TopicFilter};
use crate::storage::Storage;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

/// Questions that wait to be sent.
const ASKS_WAITING_MAX: usize = 64;

/// How long whoever publishes waits for room in a queue that makes them wait.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);

/// All uplinks. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Uplinks(Arc<BTreeMap<PartyName, Uplink>>);

/// One uplink. Clones are the same.
#[derive(Clone, Debug)]
pub struct Uplink(Arc<Shared>);

/// What works on uplinks, to be started in the order given.
#[derive(Debug, Default)]
pub struct Units {
    /// What takes in from the bus: to run before anybody publishes.
    pub queues: Vec<Unit>,
    /// What holds the connections: to run when those are there whom messages of the
    /// targets are for, since a message that nobody subscribes is acknowledged.
    pub links: Vec<Unit>,
}

impl Units {
    /// All of them, in order.
    pub fn into_all(self) -> impl Iterator<Item = Unit> {
        self.queues.into_iter().chain(self.links)
    }
}

/// What its units and its handles have in common.
#[derive(Debug)]
struct Shared {
    name: PartyName,
    config: UplinkConfig,
    limits: TargetLimits,
    identity: Identity,
    rules: Rules,
    queue: Queue,
    counters: Counters,
    remotes: Arc<Remotes>,
    connected: watch::Sender<bool>,
    party: Party,
    host: Party,
    origin: Origin,
    dead_topic: Topic,
    hops_max: u8,
    hosts: Arc<BTreeMap<String, IpAddr>>,
    intake: tokio::sync::Mutex<Intake>,
    asks: mpsc::Sender<Ask>,
    asked: tokio::sync::Mutex<mpsc::Receiver<Ask>>,
}

/// A message whose acknowledgement somebody waits for.
#[derive(Debug)]
struct Ask {
    entry: Entry,
    answer: oneshot::Sender<Result<(), UplinkError>>,
}

impl Uplinks {
    /// Sets up the uplinks of `config`, and their units. From now on what their
    /// rules name is taken in; nothing is sent before the units run.
    pub fn build(
        config: &BTreeMap<PartyName, UplinkConfig>,
        hosts: &Arc<BTreeMap<String, IpAddr>>,
        bus: &Bus,
        storage: &Storage,
    ) -> Result<(Self, Units), BuildError> {
        let mut uplinks = BTreeMap::new();
        let mut units = Units::default();
        for (name, config) in config {
            let uplink = Uplink::build(name, config, bus, storage, hosts)?;
            let [queue, link] = uplink.units();
            units.queues.push(queue);
            units.links.push(link);
            uplinks.insert(name.clone(), uplink);
        }
        Ok((Self(Arc::new(uplinks)), units))
    }

    pub fn get(&self, name: &PartyName) -> Option<Uplink> {
        self.0.get(name).cloned()
    }

    /// How each fares, by name. Reads the first entries of their queues.
    pub fn statuses(&self) -> Vec<UplinkStatus> {
        self.0.values().map(Uplink::status).collect()
    }
}

impl Uplink {
    fn build(
        name: &PartyName,
        config: &UplinkConfig,
        bus: &Bus,
        storage: &Storage,
        hosts: &Arc<BTreeMap<String, IpAddr>>,
    ) -> Result<Self, BuildError> {
        let uplink = || name.to_string();
        let identity = Identity::open(name, config, storage)?;
        let rules = Rules::new(&config.rules, &identity.client_id);
        let queue = Queue::open(name, &config.queue, storage)?;
        let grant = Grant {
            publish: rules.targets_in(),
            subscribe: rules.interests(),
        };
        let party = bus.attach(name.clone(), grant);
        let party = party.map_err(|source| BuildError::Party {
            uplink: uplink(),
            source,
        })?;
        let intake = Intake::open(&party, &rules).map_err(|source| BuildError::Subscribe {
            uplink: uplink(),
            source,
        })?;
        let (asks, asked) = mpsc::channel(ASKS_WAITING_MAX);
        let dead_topic = format!("$selvedge/dead-letter/{name}");
        Ok(Self(Arc::new(Shared {
            name: name.clone(),
            limits: config.limits.within(config.profile),
            config: config.clone(),
            identity,
            rules,
            queue,
            counters: Counters::default(),
            remotes: Arc::default(),
            connected: watch::channel(false).0,
            party,
            host: bus.host_party(),
            origin: Origin::new(),
            dead_topic: dead_topic.parse().expect("party names are topic levels"),
            hops_max: bus.hops_max(),
            hosts: Arc::clone(hosts),
            intake: tokio::sync::Mutex::new(intake),
            asks,
            asked: tokio::sync::Mutex::new(asked),
        })))
    }

    /// One takes in from the bus, one holds the connection: what fails in one does
    /// not stop the other.
    fn units(&self) -> [Unit; 2] {
        let policy = RestartPolicy {
            delay_min: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            failures_max: usize::MAX,
            window: Duration::from_secs(600),
            when_lost: WhenLost::KeepHost,
        };
        let name = &self.0.name;
        let (queue, link) = (Arc::clone(&self.0), Arc::clone(&self.0));
        [
            Unit::new(format!("uplink-queue/{name}"), policy, move |context| {
                intake::run(Arc::clone(&queue), context)
            }),
            Unit::new(format!("uplink/{name}"), policy, move |context| {
                link::run(Arc::clone(&link), context)
            }),
        ]
    }

    pub fn name(&self) -> &PartyName {
        &self.0.name
    }

    /// Who the gateway is to the target.
    pub fn client_id(&self) -> &str {
        &self.0.identity.client_id
    }

    /// Whether it is connected, and what it subscribes confirmed.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.0.connected.subscribe()
    }

    /// How it fares. Reads the first entries of its queue.
    pub fn status(&self) -> UplinkStatus {
        let Shared { config, queue, .. } = &*self.0;
        let now = queue.clock.now();
        let oldest = queue.oldest().unwrap_or_default();
        let oldest = oldest.into_iter().filter_map(Entry::decode);
        let oldest = oldest.map(|entry| entry.queued_at).min();
        let mut status = UplinkStatus {
            name: self.0.name.clone(),
            endpoint: config.endpoint.clone(),
            profile: config.profile,
            client_id: self.0.identity.client_id.clone(),
            state: LinkState::Connecting,
            connected_since: None,
            last_error: None,
            queue_messages: queue.messages(),
            queue_bytes: queue.bytes(),
            queue_bytes_max: queue.bytes_max(),
            queue_oldest_s: oldest.map(|at| now.saturating_sub(at) / 1_000),
            in_flight: 0,
            connections_total: 0,
            sent_total: 0,
            acknowledged_total: 0,
            received_total: 0,
            dropped_total: BTreeMap::new(),
            dead_letters_total: BTreeMap::new(),
        };
        self.0.counters.tell(&mut status);
        status
    }

    /// Queues a message outside the rules, in order of its topic; on the disk when
    /// this returns. `priority` is 0 to 7, 0 first.
    pub async fn publish(
        &self,
        topic: Topic,
        payload: Bytes,
        priority: u8,
    ) -> Result<(), UplinkError> {
        let entry = self.entry(topic, payload)?;
        let lane = priority.min(PRIORITIES - 1);
        let batch = vec![(lane, entry.encode())];
        let put = intake::put(&self.0, batch);
        match tokio::time::timeout(ROOM_WAIT_MAX, put).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(_)) | Err(_) => Err(UplinkError::Full),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Sends a message now, with QoS 1, or fails: nothing is kept. Returns when the
    /// target has acknowledged it.
    pub async fn ask(&self, topic: Topic, payload: Bytes) -> Result<(), UplinkError> {
        let entry = self.entry(topic, payload)?;
        if !*self.0.connected.borrow() {
            return Err(UplinkError::NotConnected);
        }
        let (answer, answered) = oneshot::channel();
        let sent = self.0.asks.try_send(Ask { entry, answer });
        sent.map_err(|_| UplinkError::Busy)?;
        answered.await.unwrap_or(Err(UplinkError::Lost))
    }

    /// Messages of the target that `filters` match, with QoS 1, subscribed again on
    /// each connection. Of those that wait, `waiting_max` at most; then the target
    /// waits. A message is acknowledged there when its receiver drops it.
    pub fn subscribe(&self, filters: Vec<TopicFilter>, waiting_max: usize) -> RemoteInbox {
        self.0.remotes.subscribe(filters, waiting_max)
    }

    fn entry(&self, topic: Topic, payload: Bytes) -> Result<Entry, UplinkError> {
        let taken = self.0.limits.check(&topic, payload.len(), false);
        taken.map_err(|poison| UplinkError::NotTaken {
            code: poison.code(),
            text: poison.to_string(),
        })?;
        Ok(Entry::new(topic, payload, self.0.queue.clock.now()))
    }
}
