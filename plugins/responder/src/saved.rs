//! The plugin's state, as bytes: form 1.
//!
//! Lines of JSON: a head, the commands that wait for their answers, the
//! hold-offs, the messages that wait for a busy bus (the newest first), the
//! devices (those with an anomaly first, then the latest heard of). What does not
//! fit into the bound is left out, from the end. Nothing is taken over of a state
//! of which something is refused.

use selvedge_plugin::state::{StateError, Writer, lines};
use selvedge_plugin::{Message, Outbox};
use serde::{Deserialize, Serialize};

use crate::responder::{Head, Now, Parts, Responder, SavedDevice, SavedHeld, SavedPending};

/// The form that is written.
pub(crate) const SCHEMA: u32 = 1;

/// Bytes of a state: half of what the host would take, so that writing one fits
/// into the memory that a plugin has unless its deployment says otherwise.
const BYTES_MAX: usize = 4 << 20;
/// Bytes after which nothing but devices is written.
const WAITING_BYTES: usize = BYTES_MAX / 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head(Head),
    Pending(SavedPending),
    Held(SavedHeld),
    Message(Message),
    Device(SavedDevice),
}

/// The state of the plugin.
pub(crate) fn write(responder: &Responder, outbox: &Outbox, now: Now) -> Vec<u8> {
    let mut writer = Writer::new(BYTES_MAX);
    let mut fits = writer.push(&Line::Head(responder.head(now)));
    let parts = responder.parts();
    let pending = parts.pending.into_iter().map(Line::Pending);
    let held = parts.held.into_iter().map(Line::Held);
    let messages = outbox.waiting().rev().cloned().map(Line::Message);
    for line in pending.chain(held).chain(messages) {
        fits = fits && writer.len() < WAITING_BYTES && writer.push(&line);
        if !fits {
            break;
        }
    }
    for device in parts.devices {
        if !writer.push(&Line::Device(device)) {
            break;
        }
    }
    writer.into_bytes()
}

/// Takes over a state, and the newest `messages_max` messages in it. Returns the
/// time, in milliseconds of the monotonic clock, at which to go on.
pub(crate) fn read(
    state: &[u8],
    responder: &mut Responder,
    outbox: &mut Outbox,
    (unix_ms, messages_max): (u64, usize),
) -> Result<u64, StateError> {
    let mut lines = lines(state);
    let Some(Line::Head(head)) = lines.next().transpose()? else {
        return Err(StateError::new("it does not begin with a head"));
    };
    let (mut messages, mut parts) = (Vec::new(), Parts::default());
    for line in lines {
        match line? {
            Line::Head(_) => return Err(StateError::new("it has two heads")),
            Line::Pending(pending) => parts.pending.push(pending),
            Line::Held(held) => parts.held.push(held),
            Line::Device(device) => parts.devices.push(device),
            Line::Message(message) if messages.len() < messages_max => messages.push(message),
            Line::Message(_) => {}
        }
    }
    let monotonic_ms = head.monotonic_ms;
    let now = Now {
        monotonic_ms,
        unix_ms,
    };
    let audit = responder.resume(now, &head, parts)?;
    // Who wrote the state must not command through this version's grants.
    let ours = |message: &Message| {
        let told = ["audit/", "notice/"].iter();
        told.clone().any(|topic| message.topic.starts_with(topic)) || responder.awaits(message)
    };
    for message in messages.into_iter().rev().filter(ours).chain(audit) {
        outbox.push(message);
    }
    Ok(monotonic_ms)
}

#[cfg(test)]
mod tests;
