//! Between packets and the bus: the same message in either shape.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bus::{Message, Origin, Properties};
use crate::mqtt::{PublishHead, PublishProperties};
use crate::names::{Qos, Topic};

/// What a packet says of a message beside its payload and properties.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) topic: Topic,
    pub(super) qos: Qos,
    pub(super) retain: bool,
}

/// What a device published. Whatever it says of where it has passed through, a new
/// chain begins.
pub(super) fn message(
    head: Head,
    payload: Bytes,
    properties: PublishProperties,
    origin: Origin,
) -> Message {
    Message {
        content_type: properties.content_type,
        retain: head.retain,
        reply_to: properties.response_topic,
        correlation: properties.correlation,
        properties: properties.user.into_iter().collect::<Properties>(),
        qos: head.qos,
        expires_at: expires_at(properties.expiry_s),
        utf8: properties.utf8,
        origin: Some(origin),
        ..Message::new(head.topic, payload)
    }
}

/// When what lives so long from now on is of no use any more.
pub(super) fn expires_at(expiry_s: Option<u32>) -> Option<Instant> {
    let expiry = Duration::from_secs(expiry_s?.into());
    Instant::now().checked_add(expiry)
}

/// Seconds that a message has left; 1 for less than one.
fn left(message: &Message, now: Instant) -> Option<u32> {
    let left = message.expires_at?.saturating_duration_since(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
}

/// What is written of a message, but for what its delivery adds.
pub(super) fn head<'a>(message: &'a Message, ids: &'a [NonZeroU32]) -> PublishHead<'a> {
    PublishHead {
        topic: Some(&message.topic),
        utf8: message.utf8,
        expiry_s: message
            .expires_at
            .and_then(|_| left(message, Instant::now())),
        response_topic: message.reply_to.as_ref(),
        correlation: message.correlation.as_deref(),
        user: message.properties.iter().as_slice(),
        subscription_ids: ids,
        content_type: message.content_type.as_deref(),
        qos: Qos::AtMostOnce,
        ..PublishHead::default()
    }
}
