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

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::inbox::Inbox;
pub use self::message::{Message, Origin, Properties};
pub use self::party::Party;
pub use self::queue::InboxLimits;
pub use self::receipt::{Receipt, Settled};
pub use self::refusal::{AttachError, PublishError, SubscribeError};
pub use self::retained::KeptUsage;
pub use self::status::PartyStatus;

use self::delivery::Parcel;
use self::mailbox::Mailbox;
use self::retained::{Had, Retained};
use self::router::Router;
use self::status::Record;
use crate::names::{PartyName, Topic, TopicFilter};
use crate::spec::Overflow;

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
            retained_messages_max: 8_192,
            retained_bytes_max: 16 << 20,
            parties_max: 4_096,
            route_cache_max: 512,
            subscriptions_max: 16_384,
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
    retained: Mutex<Retained>,
    /// Receipts are settled no more.
    closing: Arc<AtomicBool>,
}

impl Bus {
    pub fn new(limits: BusLimits) -> Self {
        let host = HOST.parse().expect("a constant that is a name");
        Self(Arc::new(Shared {
            host: Arc::new(Record::new(host)),
            parties: Mutex::default(),
            router: RwLock::new(Router::new()),
            generation: AtomicU64::new(0),
            retained: Mutex::new(Retained::new(&limits)),
            closing: Arc::default(),
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
    /// Leads `filters`, and nothing else, to `mailbox`; those topics that it did
    /// not get before first get it their kept values. In flight is at most one
    /// message of each publisher, by a route found earlier: the mailbox lets it in
    /// if it still wants it.
    fn lead(
        &self,
        mailbox: &Arc<Mailbox>,
        filters: &[TopicFilter],
        limits: InboxLimits,
    ) -> Result<(), SubscribeError> {
        // Held throughout: see `Party::attempt`.
        let retained = self.retained.lock();
        let mut router = self.router.write();
        let led = mailbox.led();
        let max = self.limits.subscriptions_max;
        if router.len() - led.filters.len() + filters.len() > max as usize {
            return Err(SubscribeError::TooMany { max });
        }
        let blocks = limits.overflow == Overflow::Block;
        let mut generation = self.generation.load(Ordering::Relaxed);
        if *led.filters != *filters || mailbox.blocks() != blocks {
            generation += 1;
            // Before the mailbox hears of it: whoever is sent home then finds no
            // old route any more, but waits for `router`.
            self.generation.store(generation, Ordering::Release);
            for filter in &*led.filters {
                router.remove(filter, mailbox);
            }
            for filter in filters {
                router.insert(filter, mailbox);
            }
        }
        mailbox.lead(filters, limits, generation);
        let had = Had {
            filters: &led.covered,
            last: led.rests_since.unwrap_or(u64::MAX),
        };
        if filters.is_empty() {
            mailbox.keeps_from(retained.last());
        }
        for message in retained.matching(filters, had) {
            if !mailbox.push(&Parcel::of_kept(message), generation) {
                mailbox.count_dropped(1);
            }
        }
        Ok(())
    }

    /// As [`Inbox::extend`].
    fn extend(
        &self,
        mailbox: &Arc<Mailbox>,
        filter: &TopicFilter,
        kept: Kept,
    ) -> Result<(), SubscribeError> {
        // Held throughout: see `Party::attempt`.
        let retained = self.retained.lock();
        let mut router = self.router.write();
        let filters = mailbox.led().filters;
        let mut generation = self.generation.load(Ordering::Relaxed);
        let place = filters.binary_search(filter);
        if let Err(place) = place {
            let max = self.limits.subscriptions_max;
            if router.len() >= max as usize {
                return Err(SubscribeError::TooMany { max });
            }
            generation += 1;
            self.generation.store(generation, Ordering::Release);
            router.insert(filter, mailbox);
            let mut filters = filters.to_vec();
            filters.insert(place, filter.clone());
            mailbox.extend(filters.into(), generation);
        }
        drop(router);
        let wanted = match kept {
            Kept::All => true,
            Kept::IfNew => place.is_err(),
            Kept::None => false,
        };
        if wanted {
            for message in retained.matching(std::slice::from_ref(filter), Had::NOTHING) {
                if !mailbox.push(&Parcel::of_kept(message), generation) {
                    mailbox.count_dropped(1);
                }
            }
        }
        Ok(())
    }

    /// As [`Inbox::narrow`]: how many filters are left, if it was one of them.
    fn narrow(&self, mailbox: &Arc<Mailbox>, filter: &TopicFilter) -> Option<usize> {
        // Held throughout: see `Party::attempt`.
        let retained = self.retained.lock();
        let mut router = self.router.write();
        let led = mailbox.led().filters;
        let place = led.binary_search(filter).ok()?;
        let generation = self.generation.fetch_add(1, Ordering::Release) + 1;
        router.remove(filter, mailbox);
        let mut filters = led.to_vec();
        filters.remove(place);
        let left = filters.len();
        mailbox.narrow(filters.into(), generation);
        if left == 0 {
            mailbox.keeps_from(retained.last());
        }
        Some(left)
    }

    /// Leads nothing to `mailbox` until it is led anew; what waits stays.
    fn rest(&self, mailbox: &Arc<Mailbox>) {
        // Held throughout: see `Party::attempt`.
        let retained = self.retained.lock();
        let mut router = self.router.write();
        let generation = self.generation.fetch_add(1, Ordering::Release) + 1;
        for filter in &*mailbox.led().filters {
            router.remove(filter, mailbox);
        }
        mailbox.rest(generation);
        mailbox.keeps_from(retained.last());
    }

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

    fn unsubscribe(&self, mailbox: &Arc<Mailbox>) {
        let mut router = self.router.write();
        for filter in &*mailbox.led().filters {
            router.remove(filter, mailbox);
        }
        self.generation.fetch_add(1, Ordering::Release);
        drop(router);
        mailbox.close();
    }
}

#[cfg(test)]
mod tests;
