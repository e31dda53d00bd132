//! Leads topics to inboxes, and away from them, while publishers are on their way.
//!
//! A change is one step for publishers and for kept values: whoever publishes is
//! before it or after it. In flight is at most one message of each publisher, by a
//! route found earlier: the mailbox lets it in if it still wants it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::delivery::Parcel;
use super::mailbox::Mailbox;
use super::retained::Had;
use super::{InboxLimits, Kept, Shared, SubscribeError};
use crate::names::TopicFilter;
use crate::spec::Overflow;

impl Shared {
    /// Leads `filters`, and nothing else, to `mailbox`; those topics that it did
    /// not get before first get it their kept values. In flight is at most one
    /// message of each publisher, by a route found earlier: the mailbox lets it in
    /// if it still wants it.
    pub(super) fn lead(
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

    /// As [`super::Inbox::extend`].
    pub(super) fn extend(
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
            mailbox.extend(&filters, generation);
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

    /// As [`super::Inbox::narrow`]: how many filters are left, if it was one of them.
    pub(super) fn narrow(&self, mailbox: &Arc<Mailbox>, filter: &TopicFilter) -> Option<usize> {
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
        mailbox.narrow(&filters, generation);
        if left == 0 {
            mailbox.keeps_from(retained.last());
        }
        Some(left)
    }

    /// Leads nothing to `mailbox` until it is led anew; what waits stays.
    pub(super) fn rest(&self, mailbox: &Arc<Mailbox>) {
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

    pub(super) fn unsubscribe(&self, mailbox: &Arc<Mailbox>) {
        let mut router = self.router.write();
        for filter in &*mailbox.led().filters {
            router.remove(filter, mailbox);
        }
        self.generation.fetch_add(1, Ordering::Release);
        drop(router);
        mailbox.close();
    }
}
