//! What this bus gets of a message that came, and what is told of those it does not
//! get.

use std::time::{Duration, Instant};

use tracing::warn;

use super::More;
use crate::bus::{Message, Reach};
use crate::names::Qos;
use crate::uplink::Shared;
use crate::uplink::mapping::Rule;
use crate::uplink::remote::Remote;
use crate::uplink::target::Poison;

/// The user property that says how often a message was handed on.
const HOPS: &str = "selvedge-hops";

/// How often it is told at most that messages reach nobody.
const TOLD_EVERY: Duration = Duration::from_secs(60);

impl Shared {
    /// What this bus gets; None, counted, if that is nothing.
    pub(super) fn arrival(&self, remote: &Remote, more: More) -> Option<Message> {
        let Some(rule) = self.rules.rule_in(&remote.topic) else {
            if !self.is_heard(remote) {
                self.counters.dropped("no-rule", 1);
            }
            return None;
        };
        let message = self.incoming(rule, remote, more);
        if message.is_none() {
            self.bury(&remote.topic, &remote.payload, 0, Poison::NoTopic);
        }
        message
    }

    /// Counts a message that nobody subscribes and nobody keeps. That may be as it is
    /// meant; it may also be a command for a plugin that does not run.
    pub(super) fn reached(&self, reach: Reach, remote: &Remote, kept: bool) {
        if reach == Reach::Some || kept || self.is_heard(remote) {
            return;
        }
        self.counters.dropped("no-subscriber", 1);
        if self.counters.is_to_be_told(TOLD_EVERY) {
            let (uplink, topic) = (&self.name, &remote.topic);
            warn!(%uplink, %topic, "nobody here subscribes what came from the target");
        }
    }

    /// Whether somebody beside the rules listens to it.
    fn is_heard(&self, remote: &Remote) -> bool {
        !self.remotes.listeners(&remote.topic).is_empty()
    }

    /// What this bus gets; None if its topic here would be none.
    fn incoming(&self, rule: &Rule, remote: &Remote, more: More) -> Option<Message> {
        let topic = self.rules.map(rule, &remote.topic)?;
        let mut message = Message::new(topic, remote.payload.clone());
        message.retain = rule.retain && remote.retain;
        message.content_type.clone_from(&remote.content_type);
        message.correlation.clone_from(&remote.correlation);
        message.reply_to = more.response;
        message.utf8 = more.utf8;
        message.origin = Some(self.origin);
        message.qos = if remote.ticket.is_some() {
            Qos::AtLeastOnce.min(rule.qos)
        } else {
            Qos::AtMostOnce
        };
        let left = |s: u32| Instant::now() + Duration::from_secs(s.into());
        let ttl = rule.ttl.map(|ttl| Instant::now() + ttl);
        let ends = [more.expiry_s.map(left), ttl].into_iter().flatten();
        message.expires_at = ends.min();
        message.hops = hops(remote);
        let properties = remote.user.iter().filter(|(name, _)| &**name != HOPS);
        message.properties = properties
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Some(message)
    }
}

/// How often it was handed on: another gateway's word; what is no number is as far as
/// it goes.
pub(super) fn hops(remote: &Remote) -> u8 {
    let mut hops = remote.user.iter().filter(|(name, _)| &**name == HOPS);
    let hops = hops.next().map(|(_, hops)| hops.parse().unwrap_or(u8::MAX));
    hops.unwrap_or(0)
}
