//! Publish and subscribe within the process: how everyone here meets.
//!
//! Topics follow MQTT 5.0, kept values and `$share` groups included. Messages
//! are shared, never copied. Every inbox is bounded, with a policy for when it
//! is full, and what is dropped is counted. Messages of one publisher on one
//! topic arrive in order. Each party reaches only what its grant covers.
//!
//! Nothing here is durable and nothing spawns. Locks are held for the length of
//! a few assignments, never while waiting; taken in the order
//! `subscribed`, `retained`, `cache`, `router`, mailbox.

mod delivery;
mod inbox;
mod kept;
mod leading;
mod mailbox;
mod message;
mod party;
mod queue;
mod receipt;
mod refusal;
mod retained;
mod route_cache;
mod router;
mod status;
mod unsaved;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use self::inbox::Inbox;
pub use self::kept::{KeptChange, KeptChanges, KeptPending, KeptValue};
pub use self::message::{Message, Origin, Properties};
pub use self::party::Party;
pub use self::queue::InboxLimits;
pub use self::receipt::{Receipt, Settled};
pub use self::refusal::{AttachError, PublishError, SubscribeError};
pub use self::retained::KeptUsage;
pub use self::status::PartyStatus;

use self::retained::{Had, Retained};
use self::router::Router;
use self::status::Record;
use crate::names::{PartyName, Topic, TopicFilter};

/// The host's own name, which nobody else may take.
const HOST: &str = "selvedge";

/// Topics that only the host may publish to.
const SYSTEM_LEVEL: &str = "$selvedge";

/// The largest bound on hops: one more can still be counted.
const HOPS_BOUND_MAX: u8 = u8::MAX - 1;

/// What the bus may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusLimits {
    /// Bytes of one payload.
    pub message_bytes_max: u32,
    /// Values kept for later subscribers; one party keeps at most half.
    pub retained_messages_max: u32,
    /// Bytes of kept values; one party keeps at most half.
    pub retained_bytes_max: u64,
    /// Parties attached at once.
    pub parties_max: u32,
    /// Topics whose routes are remembered, for each party.
    pub route_cache_max: u32,
    /// Topic filters subscribed, over all parties.
    pub subscriptions_max: u32,
    /// Topic filters subscribed by one party.
    pub party_subscriptions_max: u32,
    /// Plugins that what led to a message may have passed through, at most 254. A
    /// message beyond it is refused: topics form a cycle.
    pub hops_max: u8,
}

impl Default for BusLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 256 << 10,
            retained_messages_max: 32_768,
            retained_bytes_max: 32 << 20,
            // Ten thousand devices, and whoever serves them.
            parties_max: 12_288,
            route_cache_max: 512,
            subscriptions_max: 65_536,
            party_subscriptions_max: 256,
            hops_max: 32,
        }
    }
}

/// What a party may do. Nothing, unless named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Topics it may publish to; never those under `$selvedge/`.
    pub publish: Vec<TopicFilter>,
    /// Filters it may subscribe, or any narrower ones.
    pub subscribe: Vec<TopicFilter>,
}

impl Grant {
    /// Whether it includes publishing to `topic`.
    fn publishes(&self, topic: &Topic) -> bool {
        topic.levels().next() != Some(SYSTEM_LEVEL)
            && self.publish.iter().any(|filter| filter.matches(topic))
    }
}

/// Whether anybody subscribes a message's topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Nobody,
    Some,
}

/// Which kept values come with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Those that it matches.
    All,
    /// Those that it matches, if it did not lead here already.
    IfNew,
    None,
}

/// Where all parties meet. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: BusLimits,
    host: Arc<Record>,
    parties: Mutex<HashMap<PartyName, Arc<Record>>>,
    router: RwLock<Router>,
    /// Counts the changes of `router`, and changes only while it is locked.
    generation: AtomicU64,
    /// How many routes the parties remember.
    routes: Arc<AtomicUsize>,
    retained: Mutex<Retained>,
    /// Told when a kept value changed; remembers one such word.
    kept_changed: Notify,
    /// Receipts are settled no more.
    closing: Arc<AtomicBool>,
    /// Names that guests do not get.
    reserved: OnceLock<BTreeSet<PartyName>>,
}

impl Bus {
    pub fn new(limits: BusLimits) -> Self {
        let host = HOST.parse().expect("a constant that is a name");
        Self(Arc::new(Shared {
            host: Arc::new(Record::new(host)),
            parties: Mutex::default(),
            router: RwLock::new(Router::new()),
            generation: AtomicU64::new(0),
            routes: Arc::default(),
            retained: Mutex::new(Retained::new(&limits)),
            kept_changed: Notify::new(),
            closing: Arc::default(),
            reserved: OnceLock::new(),
            limits,
        }))
    }

    /// From now on no receipt is settled: who lets go of a message may merely be
    /// ending, and its publisher must not take it for handled.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
    }

    /// Lets a party in, with what it may do.
    pub fn attach(&self, name: PartyName, grant: Grant) -> Result<Party, AttachError> {
        let mut parties = self.0.parties.lock();
        if name == self.0.host.name || parties.contains_key(&name) {
            return Err(AttachError::Taken { name });
        }
        let max = self.0.limits.parties_max;
        if parties.len() >= max as usize {
            return Err(AttachError::TooMany { max });
        }
        let record = Arc::new(Record::new(name.clone()));
        parties.insert(name, Arc::clone(&record));
        Ok(Party::attached(Arc::clone(&self.0), record, grant))
    }

    /// Keeps names for those of the host, who come later: guests do not get them.
    /// Only the first call counts.
    pub fn reserve(&self, names: BTreeSet<PartyName>) {
        self.0.reserved.get_or_init(|| names);
    }

    /// Lets a party in that is none of the host's: it gets no reserved name.
    pub fn attach_guest(&self, name: PartyName, grant: Grant) -> Result<Party, AttachError> {
        let mut reserved = self.0.reserved.get().into_iter().flatten();
        if reserved.any(|own| *own == name) {
            return Err(AttachError::Reserved { name });
        }
        self.attach(name, grant)
    }

    /// The host itself: subscribes anything, and alone publishes under
    /// `$selvedge/`. Never to be lent to foreign code.
    pub fn host_party(&self) -> Party {
        Party::host(Arc::clone(&self.0), Arc::clone(&self.0.host))
    }

    /// Whether the bounds and `grant` would allow `message`; nobody publishes it.
    pub fn check(&self, grant: &Grant, message: &Message) -> Result<(), PublishError> {
        if let Some(fault) = self.0.fault(message) {
            return Err(fault);
        }
        let topic = &message.topic;
        if grant.publishes(topic) {
            return Ok(());
        }
        let topic = topic.clone();
        Err(PublishError::NotGranted { topic })
    }

    /// Plugins that what led to a message may have passed through.
    pub fn hops_max(&self) -> u8 {
        self.0.hops_max()
    }

    /// The host under another name, counted apart from it and not listed. For
    /// listening on someone's behalf; never to be lent to foreign code.
    pub fn unlisted(&self, name: PartyName) -> Party {
        Party::host(Arc::clone(&self.0), Arc::new(Record::new(name)))
    }

    /// Up to `max` kept values that `filters` match, by topic.
    pub fn kept(&self, filters: &[TopicFilter], max: usize) -> Vec<Arc<Message>> {
        let mut kept = self.0.retained.lock().matching(filters, Had::NOTHING);
        kept.sort_unstable_by(|one, other| one.topic.cmp(&other.topic));
        kept.truncate(max);
        kept
    }

    /// What is kept, in all.
    pub fn kept_usage(&self) -> KeptUsage {
        self.0.retained.lock().usage()
    }

    /// Every party, the host first, the others by name.
    pub fn parties(&self) -> Vec<PartyStatus> {
        let mut records: Vec<_> = self.0.parties.lock().values().cloned().collect();
        records.sort_by(|one, other| one.name.cmp(&other.name));
        records.insert(0, Arc::clone(&self.0.host));
        records.iter().map(|record| record.status()).collect()
    }
}

impl Shared {
    fn hops_max(&self) -> u8 {
        self.limits.hops_max.min(HOPS_BOUND_MAX)
    }

    /// The bound that a message exceeds.
    fn fault(&self, message: &Message) -> Option<PublishError> {
        let topic = || message.topic.clone();
        let (size, max) = (message.payload.len() as u64, self.limits.message_bytes_max);
        if size > u64::from(max) {
            let topic = topic();
            return Some(PublishError::TooLarge { topic, size, max });
        }
        let max = self.hops_max();
        if message.hops > max {
            let topic = topic();
            return Some(PublishError::TooManyHops { topic, max });
        }
        let (part, max) = message.oversized_part()?;
        let topic = topic();
        Some(PublishError::Malformed { topic, part, max })
    }
}

#[cfg(test)]
mod tests;
