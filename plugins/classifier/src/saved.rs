//! The plugin's state, as bytes: form 1. The last label of each camera, and the
//! messages that wait for a busy bus.

use selvedge_plugin::state::{self, StateError, Writer, lines};
use selvedge_plugin::{Message, Outbox};
use serde::{Deserialize, Serialize};

use crate::changes::{self, Changes};

/// The form that is written.
pub(crate) const SCHEMA: u32 = 1;

/// Bytes of a state; what does not fit is left out, the oldest first.
const BYTES_MAX: usize = state::BYTES_MAX / 4;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Message(Message),
    Camera(changes::Saved),
}

/// The state of the plugin.
pub(crate) fn write(changes: &Changes, outbox: &Outbox) -> Vec<u8> {
    let mut writer = Writer::new(BYTES_MAX);
    let messages = outbox.waiting().rev().cloned().map(Line::Message);
    let cameras = changes.saved().into_iter().map(Line::Camera);
    for line in messages.chain(cameras) {
        if !writer.push(&line) {
            break;
        }
    }
    writer.into_bytes()
}

/// Takes over a state: all of it, or nothing if something is refused.
pub(crate) fn read(
    state: &[u8],
    changes: &mut Changes,
    outbox: &mut Outbox,
    messages_max: usize,
) -> Result<(), StateError> {
    let (mut messages, mut cameras) = (Vec::new(), Vec::new());
    for line in lines(state) {
        match line? {
            Line::Camera(camera) => cameras.push(camera),
            Line::Message(message) => {
                // Nothing else is ours to publish.
                if message.topic.starts_with("label/") && messages.len() < messages_max {
                    messages.push(message);
                }
            }
        }
    }
    changes.resume(cameras);
    for message in messages.into_iter().rev() {
        outbox.push(message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_1_is_written_and_read_as_it_was_first() {
        let (mut changes, mut outbox) = (Changes::new(4), Outbox::new(4));
        changes.is_new("hall", "a", "high");
        outbox.push(Message::new("label/hall/a", "{}"));
        let form = "{\"message\":{\"topic\":\"label/hall/a\",\"payload\":\"{}\"}}\n{\"camera\":{\"site\":\"hall\",\"device\":\"a\",\"label\":\"high\"}}\n";
        assert_eq!(String::from_utf8(write(&changes, &outbox)).unwrap(), form);

        let (mut changes, mut outbox) = (Changes::new(4), Outbox::new(4));
        read(form.as_bytes(), &mut changes, &mut outbox, 4).unwrap();
        assert!(!changes.is_new("hall", "a", "high"));
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn a_state_that_is_none_changes_nothing() {
        let (mut changes, mut outbox) = (Changes::new(4), Outbox::new(4));
        let bad =
            b"{\"camera\":{\"site\":\"hall\",\"device\":\"a\",\"label\":\"high\"}}\nhostile\n";
        assert!(read(bad, &mut changes, &mut outbox, 4).is_err());
        assert!(changes.is_new("hall", "a", "high"));
        let foreign = b"{\"message\":{\"topic\":\"valve/hall/a\",\"payload\":\"open\"}}\n";
        read(foreign, &mut changes, &mut outbox, 4).unwrap();
        assert!(outbox.is_empty());
    }
}
