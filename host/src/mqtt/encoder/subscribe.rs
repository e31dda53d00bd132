//! SUBSCRIBE, UNSUBSCRIBE and their acknowledgements (sections 3.8 to 3.11).

use std::sync::Arc;

use super::Out;
use crate::mqtt::{RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe, Version};
use crate::names::TopicFilter;

/// What 3.1.1 has for all failures.
const FAILURE: u8 = 0x80;

pub(super) fn subscribe(subscribe: &Subscribe, version: Version, out: &mut Out<'_>) {
    out.packet_id(subscribe.packet_id);
    if version == Version::V5 {
        out.properties(|out| {
            if let Some(id) = subscribe.subscription_id {
                out.subscription_id(id);
            }
            out.user(&subscribe.user);
        });
    }
    if subscribe.subscriptions.is_empty() {
        out.invalid("no filters");
    }
    for subscription in &subscribe.subscriptions {
        out.field(text(&subscription.filter).as_bytes());
        out.u8(match version {
            Version::V311 => subscription.qos.level(),
            Version::V5 => options(subscription),
        });
    }
}

fn options(subscription: &Subscription) -> u8 {
    let retain_handling = match subscription.retain_handling {
        RetainHandling::Send => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::Leave => 2,
    };
    subscription.qos.level()
        | u8::from(subscription.no_local) << 2
        | u8::from(subscription.retain_as_published) << 3
        | retain_handling << 4
}

fn text(filter: &Result<TopicFilter, Arc<str>>) -> &str {
    match filter {
        Ok(filter) => filter.as_str(),
        Err(text) => text,
    }
}

pub(super) fn unsubscribe(unsubscribe: &Unsubscribe, version: Version, out: &mut Out<'_>) {
    out.packet_id(unsubscribe.packet_id);
    if version == Version::V5 {
        out.properties(|out| out.user(&unsubscribe.user));
    }
    if unsubscribe.filters.is_empty() {
        out.invalid("no filters");
    }
    for filter in &unsubscribe.filters {
        out.field(text(filter).as_bytes());
    }
}

pub(super) fn sub_ack(ack: &SubAck, version: Version, out: &mut Out<'_>) {
    sub_ack_head(ack, version, out);
    for reason in &ack.reasons {
        out.u8(match version {
            Version::V311 if reason.is_failure() => FAILURE,
            _ => reason.0,
        });
    }
}

pub(super) fn unsub_ack(ack: &SubAck, version: Version, out: &mut Out<'_>) {
    if version == Version::V311 {
        return out.packet_id(ack.packet_id);
    }
    sub_ack_head(ack, version, out);
    for reason in &ack.reasons {
        out.u8(reason.0);
    }
}

fn sub_ack_head(ack: &SubAck, version: Version, out: &mut Out<'_>) {
    out.packet_id(ack.packet_id);
    if version == Version::V5 {
        out.properties(|out| out.diagnostics(ack.reason_text.as_ref(), &ack.user));
    }
    if ack.reasons.is_empty() {
        out.invalid("no reason codes");
    }
}
