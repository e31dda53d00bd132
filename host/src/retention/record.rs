//! How a kept value is written on the disk.
//!
//! One record of fields with their lengths; what cannot be read is told apart from
//! what is not there. When a value expires is written twice: as a time of day and
//! as what was left of it, so that a clock that was set back makes nothing last
//! longer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::bus::{KeptValue, Message, Properties};
use crate::names::Qos;

/// The first byte of a record.
const FORM: u8 = 1;

/// What a record takes at most beside the parts of its message.
pub(super) const OVERHEAD_BYTES_MAX: u64 = 512;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Milliseconds since the Unix epoch.
    pub(super) unix_ms: u64,
}

impl Now {
    pub(super) fn read() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            instant: Instant::now(),
            unix_ms: since.map_or(0, millis),
        }
    }
}

/// What a record holds.
#[derive(Debug)]
pub(super) enum Read {
    Value(KeptValue),
    Expired,
    /// It is not a record of this form.
    Unreadable,
}

pub(super) fn write(value: &KeptValue, now: Now) -> Vec<u8> {
    let message = &value.message;
    let mut record = vec![FORM];
    put(&mut record, value.owner.as_str().as_bytes());
    put(&mut record, message.topic.as_str().as_bytes());
    put(&mut record, &message.payload);
    record.extend(message.published_at.to_be_bytes());
    record.extend([message.hops, message.qos.level(), u8::from(message.utf8)]);
    let content_type = message.content_type.as_deref();
    put_option(&mut record, content_type.map(str::as_bytes));
    let reply_to = message.reply_to.as_ref();
    put_option(&mut record, reply_to.map(|topic| topic.as_str().as_bytes()));
    put_option(&mut record, message.correlation.as_deref());
    let left = message
        .expires_at
        .map(|at| millis(at.saturating_duration_since(now.instant)));
    let expiry = left.map(|left| {
        let mut expiry = left.to_be_bytes().to_vec();
        expiry.extend(now.unix_ms.saturating_add(left).to_be_bytes());
        expiry
    });
    put_option(&mut record, expiry.as_deref());
    for (name, value) in &message.properties {
        put(&mut record, name.as_bytes());
        put(&mut record, value.as_bytes());
    }
    record
}

pub(super) fn read(record: &[u8], now: Now) -> Read {
    match Reader(record).value(now) {
        Some(Some(value)) => Read::Value(value),
        Some(None) => Read::Expired,
        None => Read::Unreadable,
    }
}

fn put(record: &mut Vec<u8>, part: &[u8]) {
    // Parts of messages are far shorter.
    let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
    record.extend(len.to_be_bytes());
    record.extend(part);
}

fn put_option(record: &mut Vec<u8>, part: Option<&[u8]>) {
    record.push(part.is_some().into());
    if let Some(part) = part {
        put(record, part);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is left of a record. `None` is for what cannot be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The value, unless it has expired.
    fn value(mut self, now: Now) -> Option<Option<KeptValue>> {
        if self.byte()? != FORM {
            return None;
        }
        let owner = self.text()?.parse().ok()?;
        let topic = self.text()?.parse().ok()?;
        let payload = Bytes::copy_from_slice(self.part()?);
        let mut message = Message::new(topic, payload);
        message.published_at = self.number()?;
        message.hops = self.byte()?;
        message.qos = Qos::from_level(self.byte()?)?;
        message.utf8 = self.byte()? == 1;
        message.content_type = self.option_text()?.map(Arc::from);
        message.reply_to = self.option_text()?.map(str::parse).transpose().ok()?;
        message.correlation = self.option()?.map(Bytes::copy_from_slice);
        if let Some(expiry) = self.option()? {
            let mut expiry = Reader(expiry);
            let left = expiry.number()?;
            let left = left.min(expiry.number()?.saturating_sub(now.unix_ms));
            if left == 0 {
                return Some(None);
            }
            message.expires_at = now.instant.checked_add(Duration::from_millis(left));
        }
        message.properties = self.properties()?;
        message.retain = true;
        let message = Arc::new(message);
        Some(Some(KeptValue { owner, message }))
    }

    fn properties(&mut self) -> Option<Properties> {
        let mut pairs = Vec::new();
        while !self.0.is_empty() {
            pairs.push((self.text()?, self.text()?));
        }
        Some(pairs.into_iter().collect())
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_be_bytes(bytes))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        self.part().and_then(text)
    }

    fn option_text(&mut self) -> Option<Option<&'a str>> {
        match self.option()? {
            Some(bytes) => text(bytes).map(Some),
            None => Some(None),
        }
    }

    fn option(&mut self) -> Option<Option<&'a [u8]>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.part().map(Some),
            _ => None,
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
