//! The plugin's state, as bytes: form 1.
//!
//! Lines of JSON: a head, the messages that wait for a busy bus (the newest
//! first), the devices (those with an anomaly first, then the latest heard of).
//! What does not fit into the bound is left out, from the end. Nothing is taken
//! over of a state of which something is refused.

use selvedge_plugin::state::{StateError, Writer, lines};
use selvedge_plugin::{Message, Outbox};
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, Head, Restored, Saved};

/// The form that is written.
pub(crate) const SCHEMA: u32 = 1;

/// Bytes of a state: half of what the host would take, so that writing one fits
/// into the memory that a plugin has unless its deployment says otherwise.
const BYTES_MAX: usize = 4 << 20;
/// Bytes after which no further message is written.
const MESSAGES_BYTES: usize = BYTES_MAX / 4;

/// What the plugin publishes on: nothing else is taken over.
const TOPICS: [&str; 2] = ["score/", "anomaly/"];

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head(Head),
    Message(Message),
    Device(Saved),
}

/// The state of the plugin.
pub(crate) fn write(detector: &Detector, outbox: &Outbox) -> Vec<u8> {
    let mut writer = Writer::new(BYTES_MAX);
    let mut fits = writer.push(&Line::Head(detector.head()));
    let messages = outbox.waiting().rev().cloned().map(Line::Message);
    for message in messages {
        fits = fits && writer.len() < MESSAGES_BYTES && writer.push(&message);
        if !fits {
            break;
        }
    }
    for device in detector.saved() {
        if !writer.push(&Line::Device(device)) {
            break;
        }
    }
    writer.into_bytes()
}

/// Takes over a state, and the newest `messages_max` messages in it.
pub(crate) fn read(
    state: &[u8],
    detector: &mut Detector,
    outbox: &mut Outbox,
    messages_max: usize,
) -> Result<(), StateError> {
    let mut lines = lines(state);
    let Some(Line::Head(head)) = lines.next().transpose()? else {
        return Err(StateError::new("it does not begin with a head"));
    };
    let (mut messages, mut restored) = (Vec::new(), Restored::default());
    for line in lines {
        match line? {
            Line::Head(_) => return Err(StateError::new("it has two heads")),
            Line::Device(saved) => detector.restore_one(&head, saved, &mut restored)?,
            Line::Message(message) => {
                let ours = TOPICS.iter().any(|topic| message.topic.starts_with(topic));
                if ours && messages.len() < messages_max {
                    messages.push(message);
                }
            }
        }
    }
    detector.resume(restored);
    for message in messages.into_iter().rev() {
        outbox.push(message);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
