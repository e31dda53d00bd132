//! What is read from messages under `$selvedge/`.

use serde::Deserialize;

use super::super::wire::message::time;
use super::super::wire::{DeadLetter, LogLine, WireMessage};
use crate::bus::Message;

/// Stands in a dead letter whose payload is too large to be remembered.
const OMITTED: &str = "payload-bytes-omitted";
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 128;

/// A line as ports publish it.
#[derive(Deserialize)]
struct Line {
    level: String,
    #[serde(default)]
    context: String,
    text: String,
    #[serde(default)]
    dropped: u64,
}

/// A state as the host publishes it.
#[derive(Deserialize)]
pub(super) struct State {
    pub(super) state: String,
    #[serde(default)]
    pub(super) error: String,
}

pub(super) fn line(plugin: &str, message: &Message) -> Option<LogLine> {
    let line: Line = serde_json::from_slice(&message.payload).ok()?;
    let text = match line.context.is_empty() {
        true => line.text,
        false => format!("{}: {}", line.context, line.text),
    };
    Some(LogLine {
        at: time(message.published_at),
        plugin: Some(plugin.to_owned()),
        level: line.level,
        text,
        dropped: line.dropped,
    })
}

pub(super) fn line_bytes(line: &LogLine) -> usize {
    ENTRY_BYTES + line.text.len() + line.level.len()
}

pub(super) fn dead_letter(plugin: &str, message: &Message, bytes_max: usize) -> DeadLetter {
    let mut wire = WireMessage::from(message);
    let told = |name: &str| message.properties.get(name).unwrap_or_default().to_owned();
    wire.topic = told("dead-letter-topic");
    wire.published_at = None;
    if payload_bytes(&wire) > bytes_max / 2 {
        let bytes = message.payload.len().to_string();
        (wire.text, wire.base64) = (None, None);
        wire.properties.push((OMITTED.to_owned(), bytes));
    }
    DeadLetter {
        at: time(message.published_at),
        plugin: plugin.to_owned(),
        reason: told("dead-letter-reason"),
        message: wire,
    }
}

fn payload_bytes(wire: &WireMessage) -> usize {
    [&wire.text, &wire.base64]
        .into_iter()
        .flatten()
        .map(String::len)
        .sum()
}

pub(super) fn dead_letter_bytes(letter: &DeadLetter) -> usize {
    let properties = letter.message.properties.iter();
    let properties: usize = properties
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let texts = letter.reason.len() + letter.message.topic.len();
    ENTRY_BYTES + payload_bytes(&letter.message) + properties + texts
}

/// Why the unit failed, if that is what the message says.
pub(super) fn state(message: &Message) -> Option<String> {
    let state: State = serde_json::from_slice(&message.payload).ok()?;
    let failed = matches!(&*state.state, "backing-off" | "given-up");
    failed.then_some(state.error)
}
