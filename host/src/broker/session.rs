//! One session: what a device has subscribed, and what is under way to it.
//!
//! It has one owner at a time, who alone touches it: a connection, or
//! [`away::keep`] while its device is gone. A session that lasts has a part on the
//! disk, [`Lasting`]; any other ends with its connection.

pub(super) mod away;
mod backlog;
mod held;
mod spill;
mod unsettled;

use std::num::NonZeroU32;
use std::sync::Arc;

use self::backlog::Backlog;
pub(super) use self::backlog::Stored;
pub(super) use self::held::Held;
pub(super) use self::spill::Spill;
use self::unsettled::Unsettled;
use super::inflight::{Inflight, Received};
use super::metrics::Counters;
use super::rare_queue::RareQueue;
use super::sessions::{KeptPlace, Seat};
use super::store::{Ended, Record, Store, StoreError};
use super::subscriptions::{Served, Subscribed, Subscriptions};
use super::will::Will;
use crate::bus::{Inbox, InboxLimits, Kept, Message, Origin, Party, SubscribeError};
use crate::devices::Device;
use crate::mqtt::PacketId;
use crate::names::TopicFilter;
use crate::spec::Overflow;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) device: Arc<Device>,
    pub(super) client_id: Arc<str>,
    /// Tells what it published from what others did.
    pub(super) origin: Origin,
    pub(super) subscriptions: Subscriptions,
    pub(super) inflight: Inflight,
    pub(super) received: Received,
    /// QoS 2 messages of the device that others have not done with, though the
    /// connection they came by is over.
    unsettled: Option<Box<Unsettled>>,
    /// Taken out of the inbox, and not yet sent.
    pub(super) taken: RareQueue<Arc<Message>>,
    /// What was not said yet when the session changed hands.
    pub(super) will: Option<Box<Will>>,
    /// None: it ends with its connection.
    pub(super) lasting: Option<Box<Lasting>>,
    /// What an inbox does that has no room.
    overflow: Overflow,
    /// None: nothing was ever subscribed.
    pub(super) inbox: Option<Inbox>,
    pub(super) party: Party,
    pub(super) counters: Arc<Counters>,
    /// Last: the device is on the bus until everything above is gone.
    _seat: Seat,
}

/// What makes a session outlast its connection and the host.
#[derive(Debug)]
pub(super) struct Lasting {
    /// By which its messages are known in the store.
    pub(super) number: u64,
    /// Seconds that it is kept once the device is away.
    pub(super) expiry_s: u32,
    pub(super) store: Store,
    /// What waits on the disk, in order.
    pub(super) backlog: Backlog,
    /// Whether the store knows of the session.
    pub(super) recorded: bool,
    /// When the device went, if it is away.
    pub(super) ended: Option<Ended>,
    _place: KeptPlace,
}

impl Lasting {
    pub(super) fn new(number: u64, expiry_s: u32, store: Store, place: KeptPlace) -> Self {
        Self {
            number,
            expiry_s,
            store,
            backlog: Backlog::default(),
            recorded: false,
            ended: None,
            _place: place,
        }
    }
}

/// What a session is made for.
#[derive(Debug)]
pub(super) struct Origins {
    pub(super) device: Arc<Device>,
    pub(super) client_id: Arc<str>,
    pub(super) party: Party,
    pub(super) seat: Seat,
    pub(super) counters: Arc<Counters>,
    pub(super) overflow: Overflow,
}

impl Session {
    pub(super) fn new(of: Origins, lasting: Option<Box<Lasting>>) -> Self {
        Self {
            device: of.device,
            client_id: of.client_id,
            origin: Origin::new(),
            subscriptions: Subscriptions::default(),
            inflight: Inflight::default(),
            received: Received::default(),
            unsettled: None,
            taken: RareQueue::default(),
            will: None,
            lasting,
            overflow: of.overflow,
            inbox: None,
            party: of.party,
            counters: of.counters,
            _seat: of.seat,
        }
    }

    /// Whether it stays when its connection ends.
    pub(super) fn outlasts(&self) -> bool {
        let lasting = self.lasting.as_ref();
        lasting.is_some_and(|lasting| lasting.expiry_s > 0)
    }

    /// Leads what `subscribed` matches here. Kept values wait in the inbox then.
    pub(super) fn subscribe(
        &mut self,
        subscribed: Subscribed,
        kept: Kept,
    ) -> Result<(), SubscribeError> {
        let filter = subscribed.filter.clone();
        let before = self.subscriptions.insert(subscribed);
        let led = self.lead(&filter, kept);
        if led.is_err() {
            match before {
                Some(before) => drop(self.subscriptions.insert(before)),
                None => drop(self.subscriptions.remove(&filter)),
            }
        }
        led
    }

    fn lead(&mut self, filter: &TopicFilter, kept: Kept) -> Result<(), SubscribeError> {
        let limits = self.limits();
        let inbox = match &self.inbox {
            Some(inbox) => inbox,
            None => self.inbox.insert(self.party.subscribe(&[], limits)?),
        };
        inbox.extend(&self.party, filter, kept)
    }

    /// Whether it was subscribed.
    pub(super) fn unsubscribe(&mut self, filter: &TopicFilter) -> bool {
        let known = self.subscriptions.remove(filter).is_some();
        if let Some(inbox) = &self.inbox {
            inbox.narrow(filter);
        }
        known
    }

    fn limits(&self) -> InboxLimits {
        let quota = &self.device.quota;
        InboxLimits {
            messages_max: quota.queue_messages_max.get(),
            bytes_max: quota.queue_bytes_max.get(),
            overflow: self.overflow,
            answers: self.lasting.is_some(),
        }
    }

    /// Goes on as `party`, which may do other things than before: what it may not
    /// subscribe any more is dropped.
    pub(super) fn go_on_as(&mut self, device: Arc<Device>, party: Party) {
        self.device = device;
        self.party = party;
        let Some(inbox) = &self.inbox else {
            return;
        };
        let filters: Vec<_> = self
            .subscriptions
            .iter()
            .map(|own| own.filter.clone())
            .collect();
        for filter in filters {
            // Leads nothing anew where it is led already, and asks for the grant.
            if inbox.extend(&self.party, &filter, Kept::None).is_err() {
                inbox.narrow(&filter);
                self.subscriptions.remove(&filter);
            }
        }
    }

    /// Its device is back, and once it goes again it is kept for `expiry_s`. If the
    /// disk does not take that, nothing has changed.
    pub(super) async fn come_back(&mut self, expiry_s: u32) -> Result<(), StoreError> {
        let Some(lasting) = &mut self.lasting else {
            return Ok(());
        };
        let before = (lasting.expiry_s, lasting.ended);
        lasting.expiry_s = expiry_s;
        let written = self.write(None).await;
        match (&written, &mut self.lasting) {
            (Ok(()), _) => self.will = None,
            (Err(_), Some(lasting)) => (lasting.expiry_s, lasting.ended) = before,
            (Err(_), None) => {}
        }
        written
    }

    /// How a message goes out; None if it does not.
    pub(super) fn serve(&self, message: &Message, ids: &mut Vec<NonZeroU32>) -> Option<Served> {
        self.subscriptions.serve(message, self.origin, ids)
    }

    /// A packet identifier for one more message.
    pub(super) fn next_id(&mut self) -> Option<PacketId> {
        let Self {
            inflight, lasting, ..
        } = self;
        let backlog = lasting.as_ref().map(|lasting| &lasting.backlog);
        inflight.next_id(|id| backlog.is_some_and(|backlog| backlog.contains(id)))
    }

    /// What is kept of it on the disk.
    pub(super) fn record(&self, ended: Option<Ended>) -> Option<Record> {
        let lasting = self.lasting.as_ref()?;
        Some(Record {
            device: self.device.name.clone(),
            client_id: self.client_id.as_ref().to_owned(),
            number: lasting.number,
            expiry_s: lasting.expiry_s,
            ended,
            subscriptions: self.subscriptions.clone(),
            received: self.received.ids().to_vec(),
        })
    }

    /// Gives back memory that an idle session does not need.
    pub(super) fn shrink(&mut self) {
        self.inflight.shrink();
        self.taken.shrink();
    }

    /// Numbers of all its messages in the store: they go with it.
    pub(super) fn stored(&self) -> Vec<u64> {
        let sent = self.inflight.iter().filter_map(|sent| sent.stored);
        let backlog = self
            .lasting
            .iter()
            .flat_map(|lasting| lasting.backlog.iter());
        sent.chain(backlog.map(|stored| stored.number)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
