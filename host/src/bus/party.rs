//! Anyone on the bus: publishes and subscribes within its grant.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::delivery::{Full, Line, Parcel, deliver, deliver_lossy};
use super::mailbox::Mailbox;
use super::route_cache::RouteCache;
use super::router::{LEVELS_MAX, Route};
use super::status::{Record, Subscribed};
use super::{
    Grant, Inbox, InboxLimits, Kept, Message, PartyStatus, PublishError, Reach, Shared,
    SubscribeError,
};
use crate::names::{PartyName, Topic, TopicFilter};

/// A party's hold on the bus. When the last clone and the last successor are
/// dropped its name is free again; its inboxes live on until they are dropped
/// themselves.
#[derive(Clone, Debug)]
pub struct Party(Arc<Attachment>);

#[derive(Debug)]
struct Attachment {
    bus: Arc<Shared>,
    record: Arc<Record>,
    /// None: the host, which may do anything.
    grant: Option<Grant>,
    /// None until it publishes: most who only listen never do.
    cache: Mutex<Option<Box<RouteCache>>>,
    /// None: the host, whose name is never free.
    hold: Option<Arc<Hold>>,
}

/// Keeps a name taken.
#[derive(Debug)]
struct Hold {
    bus: Arc<Shared>,
    name: PartyName,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.bus.parties.lock().remove(&self.name);
    }
}

impl Party {
    pub(super) fn attached(bus: Arc<Shared>, record: Arc<Record>, grant: Grant) -> Self {
        let hold = Arc::new(Hold {
            bus: Arc::clone(&bus),
            name: record.name.clone(),
        });
        Self::new(bus, record, Some(grant), Some(hold))
    }

    pub(super) fn host(bus: Arc<Shared>, record: Arc<Record>) -> Self {
        Self::new(bus, record, None, None)
    }

    fn new(
        bus: Arc<Shared>,
        record: Arc<Record>,
        grant: Option<Grant>,
        hold: Option<Arc<Hold>>,
    ) -> Self {
        Self(Arc::new(Attachment {
            bus,
            record,
            grant,
            cache: Mutex::default(),
            hold,
        }))
    }

    /// Another hold on the same name, counted as the same party, that may do what
    /// `grant` says.
    #[must_use]
    pub fn succeed(&self, grant: Grant) -> Self {
        let Attachment {
            bus, record, hold, ..
        } = &*self.0;
        let (bus, record) = (Arc::clone(bus), Arc::clone(record));
        Self::new(bus, record, Some(grant), hold.clone())
    }

    pub fn name(&self) -> &PartyName {
        &self.0.record.name
    }

    pub fn status(&self) -> PartyStatus {
        self.0.record.status()
    }

    /// Whether the grant includes publishing to `topic`.
    pub fn may_publish(&self, topic: &Topic) -> bool {
        self.route(topic).is_some()
    }

    /// Whether the grant and the bounds allow `message` at all; says nothing of
    /// whether there is room for it.
    pub fn check(&self, message: &Message) -> Result<(), PublishError> {
        let fault = self.0.bus.fault(message).or_else(|| {
            let topic = || message.topic.clone();
            (!self.may_publish(&message.topic)).then(|| PublishError::NotGranted { topic: topic() })
        });
        fault.map_or(Ok(()), |fault| Err(self.refuse(fault)))
    }

    /// Hands a message to all who subscribe its topic, without waiting.
    ///
    /// Refused as busy if an inbox that makes publishers wait is full: then
    /// nobody gets it.
    pub fn publish(&self, message: Message) -> Result<Reach, PublishError> {
        let outgoing = self.accept(message)?;
        let mut line = Line::new(outgoing.parcel.size);
        let tried = self.attempt(&outgoing, |route| {
            deliver(route, &outgoing.parcel, &mut line)
        })?;
        self.settle(&outgoing, tried)
    }

    /// Hands a message to all who subscribe its topic and have room for it. An
    /// inbox that makes publishers wait drops it when full, and counts it; that
    /// settles its receipt there.
    pub fn publish_lossy(&self, message: Message) -> Result<Reach, PublishError> {
        let outgoing = self.accept(message)?;
        let taken = self.attempt(&outgoing, |route| {
            deliver_lossy(route, &outgoing.parcel);
            Ok(())
        })?;
        self.settle(&outgoing, taken)
    }

    /// As [`publish`](Self::publish), but waits for room in inboxes that make
    /// publishers wait. How long is the caller's business; dropped before it
    /// is done, it has delivered nothing and holds nothing.
    pub async fn publish_waiting(&self, message: Message) -> Result<Reach, PublishError> {
        let outgoing = self.accept(message)?;
        let mut line = Line::new(outgoing.parcel.size);
        loop {
            let full = match self.attempt(&outgoing, |route| {
                deliver(route, &outgoing.parcel, &mut line)
            })? {
                Err(full) => full,
                taken => return self.settle(&outgoing, taken),
            };
            let first = full.first().cloned();
            if !line.wait(full).await {
                return self.settle(&outgoing, Err(first.into_iter().collect()));
            }
        }
    }

    /// Subscribes `filters` together: one inbox, one copy of each message, and
    /// first the kept values of the topics (as many as fit; the rest are dropped
    /// and counted by the inbox's policy, `block` counting as `drop-newest`).
    ///
    /// Each filter must be covered by one of the grant. Membership of a share
    /// group must be granted as such, by the same group: it takes messages away
    /// from others.
    pub fn subscribe(
        &self,
        filters: &[TopicFilter],
        limits: InboxLimits,
    ) -> Result<Inbox, SubscribeError> {
        let Attachment { bus, record, .. } = &*self.0;
        let filters = self.check_filters(filters)?;
        let mut subscribed = record.subscribed.lock();
        let count = self.count_filters(filters.len(), &subscribed, None)?;
        let mailbox = Arc::new(Mailbox::new(Arc::clone(record), limits));
        bus.lead(&mailbox, &filters, limits)?;
        if subscribed.len() == subscribed.capacity() {
            // Most have no other, and those with many get few at once.
            let more = subscribed.len() / 4 + 1;
            subscribed.reserve_exact(more);
        }
        subscribed.push(Subscribed {
            mailbox: Arc::clone(&mailbox),
            filters: count,
        });
        drop(subscribed);
        Ok(Inbox::new(mailbox, Arc::clone(bus)))
    }

    /// As [`Inbox::resubscribe`], whose mailbox this is.
    pub(super) fn resubscribe(
        &self,
        mailbox: &Arc<Mailbox>,
        filters: &[TopicFilter],
        limits: InboxLimits,
    ) -> Result<(), SubscribeError> {
        let Attachment { bus, record, .. } = &*self.0;
        let filters = self.check_filters(filters)?;
        let mut subscribed = record.subscribed.lock();
        let count = self.count_filters(filters.len(), &subscribed, Some(mailbox))?;
        bus.lead(mailbox, &filters, limits)?;
        let own = subscribed
            .iter_mut()
            .find(|own| Arc::ptr_eq(&own.mailbox, mailbox));
        debug_assert!(own.is_some(), "the inbox of another party");
        if let Some(own) = own {
            own.filters = count;
        }
        Ok(())
    }

    /// As [`Inbox::extend`], whose mailbox this is.
    pub(super) fn extend(
        &self,
        mailbox: &Arc<Mailbox>,
        filter: &TopicFilter,
        kept: Kept,
    ) -> Result<(), SubscribeError> {
        let Attachment { bus, record, .. } = &*self.0;
        self.check_filter(filter)?;
        let mut subscribed = record.subscribed.lock();
        let led = mailbox.led().filters;
        let fresh = led.binary_search(filter).is_err();
        let filters = led.len() + usize::from(fresh);
        let count = self.count_filters(filters, &subscribed, Some(mailbox))?;
        bus.extend(mailbox, filter, kept)?;
        let own = subscribed
            .iter_mut()
            .find(|own| Arc::ptr_eq(&own.mailbox, mailbox));
        debug_assert!(own.is_some(), "the inbox of another party");
        if let Some(own) = own {
            own.filters = count;
        }
        Ok(())
    }

    /// The filters in order and each once, if all are granted.
    fn check_filters(&self, filters: &[TopicFilter]) -> Result<Vec<TopicFilter>, SubscribeError> {
        let mut filters = filters.to_vec();
        filters.sort_unstable();
        filters.dedup();
        for filter in &filters {
            self.check_filter(filter)?;
        }
        Ok(filters)
    }

    /// What `filters` count, if the party may have so many beside those of its
    /// inboxes other than `but`. An inbox without filters costs as much as one
    /// with one.
    fn count_filters(
        &self,
        filters: usize,
        subscribed: &[Subscribed],
        but: Option<&Arc<Mailbox>>,
    ) -> Result<usize, SubscribeError> {
        let count = filters.max(1);
        let others = subscribed
            .iter()
            .filter(|other| but.is_none_or(|but| !Arc::ptr_eq(but, &other.mailbox)));
        let own = others.map(|other| other.filters).sum::<usize>() + count;
        let max = self.0.bus.limits.party_subscriptions_max;
        if own > max as usize && self.0.grant.is_some() {
            let party = self.0.record.name.clone();
            return Err(SubscribeError::TooManyOfParty { party, max });
        }
        Ok(count)
    }

    fn check_filter(&self, filter: &TopicFilter) -> Result<(), SubscribeError> {
        let covers = |own: &TopicFilter| own.group() == filter.group() && own.covers(filter);
        let grant = self.0.grant.as_ref();
        if !grant.is_none_or(|grant| grant.subscribe.iter().any(covers)) {
            let filter = filter.clone();
            return Err(SubscribeError::NotGranted { filter });
        }
        if filter.levels().count() > LEVELS_MAX {
            let (filter, max) = (filter.clone(), LEVELS_MAX);
            return Err(SubscribeError::TooDeep { filter, max });
        }
        Ok(())
    }

    /// Checks the bounds of a message and stamps it.
    fn accept(&self, mut message: Message) -> Result<Outgoing, PublishError> {
        if let Some(fault) = self.0.bus.fault(&message) {
            return Err(self.refuse(fault));
        }
        message.published_at = now();
        if let Some(receipt) = &message.receipt {
            receipt.taken_by(&self.0.bus.closing);
        }
        let retain = std::mem::replace(&mut message.retain, false);
        message.kept = retain;
        Ok(Outgoing {
            parcel: Parcel::new(message),
            retain,
        })
    }

    /// Delivers by the topic's route; the outer error is a refusal for good.
    fn attempt(
        &self,
        out: &Outgoing,
        deliver: impl FnOnce(&Route) -> Result<(), Full>,
    ) -> Result<Result<Reach, Full>, PublishError> {
        let Attachment { bus, record, .. } = &*self.0;
        // Held throughout, so that whoever subscribes now gets the new value
        // once: either as the kept one or as it arrives.
        let kept = out.retain.then(|| bus.retained.lock());
        let published = out.parcel.message();
        let Some(route) = self.route(&published.topic) else {
            let topic = published.topic.clone();
            return Err(self.refuse(PublishError::NotGranted { topic }));
        };
        let tried = deliver(&route);
        if let (Ok(()), Some(mut kept)) = (&tried, kept) {
            let message = Message {
                retain: true,
                ..published.without_receipt()
            };
            let receipt = published.receipt.clone();
            if !kept.keep(&record.name, self.0.grant.is_none(), message, receipt) {
                record.counters.unkept.fetch_add(1, Ordering::Relaxed);
            }
            drop(kept);
            bus.kept_changed.notify_one();
        }
        Ok(tried.map(|()| route.reach()))
    }

    /// Counts the outcome.
    fn settle(&self, out: &Outgoing, tried: Result<Reach, Full>) -> Result<Reach, PublishError> {
        let full = match tried {
            Ok(reach) => {
                let counters = &self.0.record.counters;
                counters.published.fetch_add(1, Ordering::Relaxed);
                return Ok(reach);
            }
            Err(full) => full,
        };
        let subscriber = full.first().map_or(self.name(), |mailbox| mailbox.party());
        Err(self.refuse(PublishError::Busy {
            topic: out.parcel.message().topic.clone(),
            subscriber: subscriber.clone(),
        }))
    }

    fn refuse(&self, error: PublishError) -> PublishError {
        let counters = &self.0.record.counters;
        counters.refused.fetch_add(1, Ordering::Relaxed);
        error
    }

    /// Where `topic` leads; None if it is not granted.
    fn route(&self, topic: &Topic) -> Option<Arc<Route>> {
        let bus = &self.0.bus;
        let max = bus.limits.route_cache_max as usize;
        let mut cache = self.0.cache.lock();
        let cache = cache.get_or_insert_with(|| Box::new(RouteCache::new(&bus.routes)));
        cache.renew(bus.generation.load(Ordering::Acquire));
        if let Some(known) = cache.get(topic, max) {
            return known;
        }
        let router = bus.router.read();
        cache.renew(bus.generation.load(Ordering::Acquire));
        let generation = cache.generation();
        let route = self
            .grants(topic)
            .then(|| Arc::new(router.route(topic, generation)));
        drop(router);
        cache.insert(topic.clone(), route.clone(), max);
        route
    }

    fn grants(&self, topic: &Topic) -> bool {
        let grant = self.0.grant.as_ref();
        grant.is_none_or(|grant| grant.publishes(topic))
    }
}

/// A message on its way in.
struct Outgoing {
    parcel: Parcel,
    retain: bool,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
    })
}
