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
mod refusal;
mod retained;
mod route_cache;
mod router;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::inbox::Inbox;
pub use self::message::{Message, Properties};
pub use self::party::Party;
pub use self::queue::InboxLimits;
pub use self::refusal::{AttachError, PublishError, SubscribeError};
pub use self::status::PartyStatus;

use self::mailbox::Mailbox;
use self::retained::Retained;
use self::router::Router;
use self::status::Record;
use crate::names::{PartyName, TopicFilter};

/// The host's own name, which nobody else may take.
const HOST: &str = "selvedge";

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
            limits,
        }))
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
        Ok(Party::new(Arc::clone(&self.0), record, Some(grant)))
    }

    /// The host itself: subscribes anything, and alone publishes under
    /// `$selvedge/`. Never to be lent to foreign code.
    pub fn host_party(&self) -> Party {
        Party::new(Arc::clone(&self.0), Arc::clone(&self.0.host), None)
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
    /// Leads `filters` to `mailbox`, which first gets the kept values.
    fn subscribe(
        &self,
        filters: &[TopicFilter],
        mailbox: &Arc<Mailbox>,
    ) -> Result<(), SubscribeError> {
        // Held throughout: see `Party::attempt`.
        let retained = self.retained.lock();
        let mut router = self.router.write();
        let max = self.limits.subscriptions_max;
        if router.len() + filters.len() > max as usize {
            return Err(SubscribeError::TooMany { max });
        }
        for message in retained.matching(filters) {
            if !mailbox.push(&message, message.size()) {
                mailbox.count_dropped(1);
            }
        }
        for filter in filters {
            router.insert(filter, mailbox);
        }
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn unsubscribe(&self, mailbox: &Arc<Mailbox>) {
        let mut router = self.router.write();
        router.remove(mailbox);
        self.generation.fetch_add(1, Ordering::Release);
        drop(router);
        mailbox.close();
    }
}

#[cfg(test)]
mod tests;
