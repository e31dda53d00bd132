//! One message, and what bounds it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::names::Topic;

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
    pub reply_to: Option<Topic>,
    pub correlation: Option<Bytes>,
    pub properties: Properties,
    /// How many plugins what led to it has passed through: 0 unless a plugin's port
    /// says otherwise. Never a guest's to set.
    pub hops: u8,
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
            reply_to: None,
            correlation: None,
            properties: Properties::default(),
            hops: 0,
        }
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
