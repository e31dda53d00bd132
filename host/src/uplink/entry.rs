//! A message as it waits on the disk.
//!
//! Format 1: kind, flags, QoS, hops, two times, then each part preceded by its
//! length. What cannot be read, of a later format or damaged, is given up and
//! counted; it blocks nothing.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::bus::Properties;
use crate::mqtt::UserProperties;
use crate::names::{Qos, Topic};

const FORMAT: u8 = 1;

const RETAIN: u8 = 1;
const UTF8: u8 = 2;
const CONTENT_TYPE: u8 = 4;
const RESPONSE: u8 = 8;
const CORRELATION: u8 = 16;

/// Bytes before the parts.
const HEAD_BYTES: usize = 4 + 8 + 8;

/// A message for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) topic: Topic,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) utf8: bool,
    pub(crate) hops: u8,
    /// By the queue's clock, in milliseconds.
    pub(crate) queued_at: u64,
    /// How long it may wait, in milliseconds.
    pub(crate) ttl: Option<u64>,
    pub(crate) content_type: Option<Arc<str>>,
    pub(crate) response: Option<Topic>,
    pub(crate) correlation: Option<Bytes>,
    pub(crate) user: UserProperties,
}

impl Entry {
    pub(crate) fn new(topic: Topic, payload: Bytes, queued_at: u64) -> Self {
        Self {
            topic,
            payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            utf8: false,
            hops: 0,
            queued_at,
            ttl: None,
            content_type: None,
            response: None,
            correlation: None,
            user: Vec::new(),
        }
    }

    /// What is left of its time at `now`; None if there is no end.
    pub(crate) fn left(&self, now: u64) -> Option<u64> {
        let ttl = self.ttl?;
        Some(ttl.saturating_sub(now.saturating_sub(self.queued_at)))
    }

    pub(crate) fn is_expired(&self, now: u64) -> bool {
        self.left(now) == Some(0)
    }

    /// Bytes of what it carries.
    pub(crate) fn bytes(&self) -> usize {
        let user = self.user.iter();
        let user: usize = user.map(|(name, value)| name.len() + value.len()).sum();
        self.topic.as_str().len() + self.payload.len() + user
    }

    pub(crate) fn set_properties(&mut self, properties: &Properties) {
        let pairs = properties.iter();
        self.user = pairs
            .map(|(name, value)| (Arc::clone(name), Arc::clone(value)))
            .collect();
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD_BYTES + self.payload.len() + 128);
        let mut flags = 0;
        let mut flag = |set: bool, bit: u8| flags |= if set { bit } else { 0 };
        flag(self.retain, RETAIN);
        flag(self.utf8, UTF8);
        flag(self.content_type.is_some(), CONTENT_TYPE);
        flag(self.response.is_some(), RESPONSE);
        flag(self.correlation.is_some(), CORRELATION);
        out.put_slice(&[FORMAT, flags, self.qos.level(), self.hops]);
        out.put_u64(self.queued_at);
        out.put_u64(self.ttl.unwrap_or(u64::MAX));
        put(&mut out, self.topic.as_str().as_bytes());
        if let Some(text) = &self.content_type {
            put(&mut out, text.as_bytes());
        }
        if let Some(topic) = &self.response {
            put(&mut out, topic.as_str().as_bytes());
        }
        if let Some(bytes) = &self.correlation {
            put(&mut out, bytes);
        }
        out.put_u32(u32::try_from(self.user.len()).unwrap_or(u32::MAX));
        for (name, value) in &self.user {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// None if it is no message of this format.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < HEAD_BYTES || bytes.get_u8() != FORMAT {
            return None;
        }
        let flags = bytes.get_u8();
        let qos = Qos::from_level(bytes.get_u8())?;
        let hops = bytes.get_u8();
        let (queued_at, ttl) = (bytes.get_u64(), bytes.get_u64());
        let topic = topic(&mut bytes)?;
        let has = |bit: u8| flags & bit != 0;
        let content_type = has(CONTENT_TYPE).then(|| text(&mut bytes));
        let response = has(RESPONSE).then(|| self::topic(&mut bytes));
        let correlation = has(CORRELATION).then(|| take(&mut bytes));
        let mut user = Vec::new();
        for _ in 0..bytes.try_get_u32().ok()? {
            user.push((text(&mut bytes)?, text(&mut bytes)?));
        }
        Some(Self {
            topic,
            payload: bytes,
            qos,
            retain: has(RETAIN),
            utf8: has(UTF8),
            hops,
            queued_at,
            ttl: (ttl != u64::MAX).then_some(ttl),
            content_type: whole(content_type)?,
            response: whole(response)?,
            correlation: whole(correlation)?,
            user,
        })
    }
}

/// Fails only if the part is there and cannot be read.
#[expect(clippy::option_option, reason = "not there, there, or unreadable")]
fn whole<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(None) => None,
        Some(part) => Some(part),
    }
}

fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

fn take(bytes: &mut Bytes) -> Option<Bytes> {
    let length = bytes.try_get_u32().ok()? as usize;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn text(bytes: &mut Bytes) -> Option<Arc<str>> {
    let part = take(bytes)?;
    Some(Arc::from(std::str::from_utf8(&part).ok()?))
}

fn topic(bytes: &mut Bytes) -> Option<Topic> {
    Topic::try_from(text(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::Entry;
    use crate::names::Qos;

    fn entry() -> Entry {
        let mut entry = Entry::new("a/b".parse().unwrap(), Bytes::from_static(b"payload"), 7);
        entry.qos = Qos::AtMostOnce;
        entry.retain = true;
        entry.hops = 3;
        entry.ttl = Some(1_000);
        entry.content_type = Some("text/plain".into());
        entry.correlation = Some(Bytes::from_static(&[0, 255]));
        entry.user = vec![("n".into(), "v".into()), ("n".into(), String::new().into())];
        entry
    }

    #[test]
    fn what_is_written_is_read() {
        let full = Entry {
            utf8: true,
            response: Some("re".parse().unwrap()),
            ..entry()
        };
        let bare = Entry::new("t".parse().unwrap(), Bytes::new(), u64::MAX);
        for entry in [entry(), full, bare] {
            assert_eq!(Entry::decode(entry.encode()), Some(entry));
        }
    }

    #[test]
    fn time_to_live_counts_from_when_it_was_queued() {
        let entry = entry();
        assert_eq!([entry.left(7), entry.left(1_006)], [Some(1_000), Some(1)]);
        assert!(entry.is_expired(1_007) && !entry.is_expired(0));
    }

    proptest! {
        #[test]
        fn anything_may_stand_on_the_disk(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut damaged = entry().encode().to_vec();
            for (at, byte) in bytes.iter().enumerate().take(3) {
                let at = (at * 31 + usize::from(*byte)) % damaged.len();
                damaged[at] = *byte;
            }
            drop(Entry::decode(damaged.into()));
            drop(Entry::decode(bytes.into()));
        }
    }
}
