//! One message that waits for one session, as bytes.
//!
//! Numbers are big endian, texts and bytes come after their length. What is
//! written by a later version is not read by this one, and the other way round.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::bus::{Message, Properties};
use crate::mqtt::PacketId;
use crate::names::{Qos, Topic};

/// The version of what is written.
const FORM: u8 = 1;

/// What waits.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Entry {
    /// The number of the session.
    pub(in crate::broker) session: u64,
    /// What it goes out with, always the same.
    pub(in crate::broker) id: PacketId,
    pub(in crate::broker) kind: Kind,
    /// Bytes that it takes.
    pub(in crate::broker) bytes: usize,
}

#[derive(Clone, Debug)]
pub(in crate::broker) enum Kind {
    /// A message, how it goes out, and whether it may have gone out.
    Message {
        qos: Qos,
        retain: bool,
        sent: bool,
        /// None: it was not read.
        message: Option<Arc<Message>>,
    },
    /// PUBREC came: what remains is to release it.
    Released,
}

impl Entry {
    /// As kept in memory while the message is on the disk.
    pub(super) fn without_message(mut self) -> Self {
        if let Kind::Message { message, .. } = &mut self.kind {
            *message = None;
        }
        self
    }

    pub(in crate::broker) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(FORM);
        out.put_u64(self.session);
        out.put_u16(self.id.get());
        match &self.kind {
            Kind::Released => out.put_u8(0),
            Kind::Message {
                qos,
                retain,
                sent,
                message,
            } => {
                out.put_u8(1);
                out.put_u8(qos.level());
                out.put_u8(u8::from(*retain) | u8::from(*sent) << 1);
                if let Some(message) = message {
                    put_message(message, &mut out);
                }
            }
        }
        out.freeze()
    }

    /// None: it is damaged, or of another version.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut input = bytes.clone();
        if input.try_get_u8().ok()? != FORM {
            return None;
        }
        let session = input.try_get_u64().ok()?;
        let id = NonZeroU16::new(input.try_get_u16().ok()?)?;
        let kind = match input.try_get_u8().ok()? {
            0 => Kind::Released,
            1 => {
                let qos = Qos::from_level(input.try_get_u8().ok()?)?;
                let flags = input.try_get_u8().ok()?;
                Kind::Message {
                    qos,
                    retain: flags & 1 != 0,
                    sent: flags & 2 != 0,
                    message: Some(Arc::new(get_message(&mut input)?)),
                }
            }
            _ => return None,
        };
        Some(Self {
            session,
            id,
            kind,
            bytes: bytes.len(),
        })
    }
}

fn put_message(message: &Message, out: &mut BytesMut) {
    put(message.topic.as_str().as_bytes(), out);
    out.put_u64(message.published_at);
    out.put_u8(message.qos.level());
    let flags = [message.utf8, message.retain, message.kept];
    out.put_u8(
        flags
            .iter()
            .rev()
            .fold(0, |all, flag| all << 1 | u8::from(*flag)),
    );
    out.put_u64(message.expires_at.map_or(0, expiry_ms));
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    put(text(message.content_type.as_deref()).as_bytes(), out);
    put(
        text(message.reply_to.as_ref().map(Topic::as_str)).as_bytes(),
        out,
    );
    out.put_u8(u8::from(message.correlation.is_some()));
    put(message.correlation.as_deref().unwrap_or_default(), out);
    out.put_u32(u32::try_from(message.properties.len()).unwrap_or(0));
    for (name, value) in &message.properties {
        put(name.as_bytes(), out);
        put(value.as_bytes(), out);
    }
    out.put_slice(&message.payload);
}

fn get_message(input: &mut Bytes) -> Option<Message> {
    let topic: Topic = text(input)?.parse().ok()?;
    let published_at = input.try_get_u64().ok()?;
    let qos = Qos::from_level(input.try_get_u8().ok()?)?;
    let flags = input.try_get_u8().ok()?;
    let expiry_ms = input.try_get_u64().ok()?;
    let content_type = Some(text(input)?).filter(|text| !text.is_empty());
    let reply_to = Some(text(input)?).filter(|text| !text.is_empty());
    let has_correlation = input.try_get_u8().ok()? != 0;
    let correlation = get(input)?;
    let mut pairs = Vec::new();
    for _ in 0..input.try_get_u32().ok()? {
        pairs.push((text(input)?, text(input)?));
    }
    Some(Message {
        content_type: content_type.map(Into::into),
        published_at,
        utf8: flags & 1 != 0,
        retain: flags & 2 != 0,
        kept: flags & 4 != 0,
        reply_to: reply_to.map(|topic| topic.parse()).transpose().ok()?,
        correlation: has_correlation.then_some(correlation),
        properties: pairs.into_iter().collect::<Properties>(),
        qos,
        expires_at: expires_at(expiry_ms),
        ..Message::new(topic, std::mem::take(input))
    })
}

fn put(bytes: &[u8], out: &mut BytesMut) {
    // The bus bounds all parts far below that.
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(0));
    out.put_slice(bytes);
}

fn get(input: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(input.try_get_u32().ok()?).ok()?;
    (length <= input.len()).then(|| input.split_to(length))
}

fn text(input: &mut Bytes) -> Option<String> {
    String::from_utf8(get(input)?.to_vec()).ok()
}

/// A moment as milliseconds since the Unix epoch; never 0.
fn expiry_ms(at: Instant) -> u64 {
    let left = at.saturating_duration_since(Instant::now());
    let at = SystemTime::now() + left;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// None: never. If it is over, it is over now.
fn expires_at(expiry_ms: u64) -> Option<Instant> {
    if expiry_ms == 0 {
        return None;
    }
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(expiry_ms))?;
    let left = at.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}
