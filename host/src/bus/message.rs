//! One message, and what bounds it.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::Receipt;
use crate::names::{Qos, Topic};

/// Bytes of the name of a media type.
const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Bytes of what an answer must carry.
const CORRELATION_BYTES_MAX: usize = 128;
/// Name and value pairs of one message.
const PROPERTIES_MAX: usize = 32;
/// Bytes of all names and values of one message.
const PROPERTIES_BYTES_MAX: usize = 4096;

/// What travels on the bus. Cheap to clone: all of it is shared.
#[derive(Clone)]
pub struct Message {
    pub topic: Topic,
    pub payload: Bytes,
    pub content_type: Option<Arc<str>>,
    /// Nanoseconds since the Unix epoch; set by the bus when it takes it in.
    pub published_at: u64,
    /// On publishing: keep it as the topic's value. On delivery: it is such a value.
    pub retain: bool,
    /// On delivery: it was published to be kept. Set by the bus.
    pub kept: bool,
    pub reply_to: Option<Topic>,
    pub correlation: Option<Bytes>,
    pub properties: Properties,
    /// How many plugins what led to it has passed through: 0 unless a plugin's port
    /// says otherwise. Never a guest's to set.
    pub hops: u8,
    /// How surely it is to arrive beyond this bus.
    pub qos: Qos,
    /// When it is of no use any more: no inbox hands it out then.
    pub expires_at: Option<Instant>,
    /// Whether its publisher says that the payload is UTF-8.
    pub utf8: bool,
    /// Where it came in, if that matters to anyone.
    pub origin: Option<Origin>,
    /// Whoever answers for the message has it too: see [`super::InboxLimits`].
    pub receipt: Option<Receipt>,
}

/// A way into the bus of which there may be several at one party: a session, an
/// uplink. Never the same twice while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(NonZeroU64);

impl Origin {
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
    }
}

impl Message {
    /// A plain message, not yet published.
    pub fn new(topic: Topic, payload: impl Into<Bytes>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            content_type: None,
            published_at: 0,
            retain: false,
            kept: false,
            reply_to: None,
            correlation: None,
            properties: Properties::default(),
            hops: 0,
            qos: Qos::default(),
            expires_at: None,
            utf8: false,
            origin: None,
            receipt: None,
        }
    }

    /// The same, for those who do not answer for it.
    pub(super) fn without_receipt(&self) -> Self {
        let mut message = self.clone();
        message.receipt = None;
        message
    }

    /// Whether it is of no use any more.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What it takes in an inbox: the bytes of all its parts.
    pub fn size(&self) -> u64 {
        let text = self.content_type.as_ref().map_or(0, |text| text.len());
        let reply_to = self.reply_to.as_ref().map_or(0, |to| to.as_str().len());
        let correlation = self.correlation.as_ref().map_or(0, Bytes::len);
        let parts = self.topic.as_str().len() + self.payload.len() + text + reply_to + correlation;
        (parts + self.properties.bytes()) as u64
    }

    /// The part that exceeds its bound, and the bound, if any does. The payload
    /// has a bound of its own, [`super::BusLimits::message_bytes_max`].
    pub fn oversized_part(&self) -> Option<(&'static str, usize)> {
        let over = |size: usize, max: usize| size > max;
        let content_type = self.content_type.as_ref().map_or(0, |text| text.len());
        let correlation = self.correlation.as_ref().map_or(0, Bytes::len);
        if over(content_type, CONTENT_TYPE_BYTES_MAX) {
            Some(("content type", CONTENT_TYPE_BYTES_MAX))
        } else if over(correlation, CORRELATION_BYTES_MAX) {
            Some(("correlation", CORRELATION_BYTES_MAX))
        } else if over(self.properties.len(), PROPERTIES_MAX) {
            Some(("number of properties", PROPERTIES_MAX))
        } else if over(self.properties.bytes(), PROPERTIES_BYTES_MAX) {
            Some(("size of properties", PROPERTIES_BYTES_MAX))
        } else {
            None
        }
    }
}

/// Never the payload: it belongs in no log.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("bytes", &self.size())
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

type Pair = (Arc<str>, Arc<str>);

/// Name and value pairs in the order given; a name may occur more than once
/// (MQTT 5.0 section 3.3.2.3.7). Without pairs it takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Option<Arc<[Pair]>>);

impl Properties {
    /// The pairs, first to last.
    pub fn iter(&self) -> std::slice::Iter<'_, Pair> {
        self.0.as_deref().unwrap_or_default().iter()
    }

    /// The value of the first pair of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.iter().find(|(own, _)| &**own == name)?;
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pairs| pairs.len())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn bytes(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(pairs) => pairs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum(),
        }
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .peekable();
        Self(pairs.peek().is_some().then(|| pairs.collect()))
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Pair;
    type IntoIter = std::slice::Iter<'a, Pair>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
