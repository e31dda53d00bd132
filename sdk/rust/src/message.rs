//! Messages, and handing them to the bus.

use crate::bindings::imports::selvedge::bus::{inbox as wit_inbox, publisher};
use crate::error::PublishError;

mod saved;

pub use crate::bindings::imports::selvedge::bus::types::Message;

impl Message {
    /// A message on `topic` with nothing but a payload.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            content_type: None,
            published_at: 0,
            retain: false,
            reply_to: None,
            correlation: None,
            properties: Vec::new(),
        }
    }

    /// The same message on another topic.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = topic.into();
        self
    }

    /// The same message, said to be of this media type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The same message, kept as the last value of its topic.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The payload as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.payload).ok()
    }

    /// An answer to this message: to its `reply_to`, with its correlation.
    /// `None` if no answer was asked for.
    pub fn reply(&self, payload: impl Into<Vec<u8>>) -> Option<Self> {
        let mut reply = Self::new(self.reply_to.clone()?, payload);
        reply.correlation.clone_from(&self.correlation);
        Some(reply)
    }
}

/// Publishes one message, at least once.
///
/// # Errors
/// The topic is not granted or not valid, the message too large, a subscriber
/// stayed full for the whole time limit of the call, or topics form a cycle.
pub fn publish(message: Message) -> Result<(), PublishError> {
    publish_all(&[message])
}

/// Publishes messages in order, at least once. Much cheaper than one by one.
///
/// # Errors
/// As [`publish`]; the error says which message was refused. Those before it
/// were accepted.
pub fn publish_all(messages: &[Message]) -> Result<(), PublishError> {
    if messages.is_empty() {
        return Ok(());
    }
    publisher::publish(messages, publisher::Delivery::AtLeastOnce).map_err(PublishError::from)
}

/// The inbox of a plugin that exports [`crate::Service`].
pub mod inbox {
    use super::{Message, wit_inbox};

    /// The host asks the plugin to stop: finish and return from `run`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Stopping;

    /// Takes up to `max` waiting messages without waiting for any.
    ///
    /// Taking more acknowledges everything taken before.
    ///
    /// # Errors
    /// [`Stopping`] if the host asks the plugin to stop.
    pub fn receive(max: u32) -> Result<Vec<Message>, Stopping> {
        wit_inbox::receive(max).map_err(|()| Stopping)
    }

    /// Something to poll that is ready when a message waits or the host asks
    /// the plugin to stop.
    pub fn subscribe() -> wasip2::io::poll::Pollable {
        wit_inbox::subscribe()
    }
}
