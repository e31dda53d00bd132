//! PUBLISH (section 3.3), from borrowed parts: a message goes to many, and none of
//! it is copied but into the buffer it is sent from.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Out, Peer, Property};
use crate::mqtt::{EncodeError, PacketId, PacketType, Publish, Version};
use crate::names::{Qos, Topic};

const DUP: u8 = 0b1000;

/// All of a PUBLISH but its payload. What only 5.0 has is left out for 3.1.1.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishHead<'a> {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    /// None: `topic_alias` stands for it.
    pub topic: Option<&'a Topic>,
    /// Present if and only if `qos` is above 0.
    pub packet_id: Option<PacketId>,
    pub utf8: bool,
    pub expiry_s: Option<u32>,
    pub topic_alias: Option<NonZeroU16>,
    pub response_topic: Option<&'a Topic>,
    pub correlation: Option<&'a [u8]>,
    pub user: &'a [(Arc<str>, Arc<str>)],
    pub subscription_ids: &'a [NonZeroU32],
    pub content_type: Option<&'a str>,
}

impl<'a> From<&'a Publish> for PublishHead<'a> {
    fn from(publish: &'a Publish) -> Self {
        let properties = &publish.properties;
        Self {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic.as_ref(),
            packet_id: publish.packet_id,
            utf8: properties.utf8,
            expiry_s: properties.expiry_s,
            topic_alias: properties.topic_alias,
            response_topic: properties.response_topic.as_ref(),
            correlation: properties.correlation.as_deref(),
            user: &properties.user,
            subscription_ids: &properties.subscription_ids,
            content_type: properties.content_type.as_deref(),
        }
    }
}

impl PublishHead<'_> {
    pub(super) fn flags(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        dup | self.qos.level() << 1 | u8::from(self.retain)
    }

    pub(super) fn write(&self, version: Version, out: &mut Out<'_>) {
        out.field(self.topic.map_or(&[], |topic| topic.as_str().as_bytes()));
        match (self.qos, self.packet_id) {
            (Qos::AtMostOnce, None) if self.dup => out.invalid("a duplicate of QoS 0"),
            (Qos::AtMostOnce, None) => {}
            (Qos::AtMostOnce, Some(_)) => out.invalid("a packet identifier with QoS 0"),
            (_, None) => out.invalid("no packet identifier"),
            (_, Some(id)) => out.packet_id(id),
        }
        if self.topic.is_none() && (version == Version::V311 || self.topic_alias.is_none()) {
            out.invalid("neither a topic nor an alias");
        }
        if version == Version::V5 {
            out.properties(|out| self.properties(out));
        }
    }

    fn properties(&self, out: &mut Out<'_>) {
        if self.utf8 {
            out.property(Property::PayloadFormat(true));
        }
        if let Some(seconds) = self.expiry_s {
            out.property(Property::MessageExpiry(seconds));
        }
        if let Some(alias) = self.topic_alias {
            out.property(Property::TopicAlias(alias));
        }
        if let Some(topic) = self.response_topic {
            out.property(Property::ResponseTopic(topic.as_str()));
        }
        if let Some(data) = self.correlation {
            out.property(Property::Correlation(data));
        }
        out.user(self.user);
        for id in self.subscription_ids {
            out.subscription_id(*id);
        }
        if let Some(text) = self.content_type {
            out.property(Property::ContentType(text));
        }
    }

    /// How long it gets, and its body.
    fn measure(&self, payload_bytes: usize, peer: Peer) -> Result<(usize, u32), EncodeError> {
        let mut out = Out::measure(PacketType::Publish, false);
        self.write(peer.version, &mut out);
        let body_bytes = out.finish()?.saturating_add(payload_bytes);
        let bytes = peer.check(body_bytes)?;
        // Checked: at most 28 bits.
        Ok((bytes, u32::try_from(body_bytes).unwrap_or(u32::MAX)))
    }
}

/// Appends a PUBLISH to `out`. On an error `out` is as it was.
pub fn encode_publish(
    head: &PublishHead<'_>,
    payload: &[u8],
    peer: impl Into<Peer>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let peer = peer.into();
    let (bytes, body_bytes) = head.measure(payload.len(), peer)?;
    out.reserve(bytes);
    write_head(head, body_bytes, peer.version, out)?;
    out.put_slice(payload);
    Ok(())
}

/// As [`encode_publish`], without the payload, which the caller sends next from
/// where it is.
pub fn encode_publish_head(
    head: &PublishHead<'_>,
    payload_bytes: usize,
    peer: impl Into<Peer>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let peer = peer.into();
    let (bytes, body_bytes) = head.measure(payload_bytes, peer)?;
    out.reserve(bytes - payload_bytes);
    write_head(head, body_bytes, peer.version, out)
}

fn write_head(
    head: &PublishHead<'_>,
    body_bytes: u32,
    version: Version,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let mut writer = Out::write(PacketType::Publish, false, out);
    writer.u8(PacketType::Publish.number() << 4 | head.flags());
    writer.var_int(body_bytes);
    head.write(version, &mut writer);
    writer.finish().map(|_| ())
}

/// A PUBLISH that is the same for many readers of one version, but for what tells
/// deliveries apart.
#[derive(Clone, Debug)]
pub struct EncodedPublish {
    bytes: Bytes,
    /// Where the packet identifier is; None: QoS 0.
    packet_id_at: Option<usize>,
}

impl EncodedPublish {
    /// With any packet identifier in `head` if its QoS is above 0.
    pub fn new(
        head: &PublishHead<'_>,
        payload: &[u8],
        version: Version,
    ) -> Result<Self, EncodeError> {
        let (all, body_bytes) = head.measure(payload.len(), version.into())?;
        let mut bytes = BytesMut::with_capacity(all);
        write_head(head, body_bytes, version, &mut bytes)?;
        bytes.put_slice(payload);
        let topic_bytes = head.topic.map_or(0, |topic| topic.as_str().len());
        let body_at = all - usize::try_from(body_bytes).unwrap_or(all);
        Ok(Self {
            bytes: bytes.freeze(),
            packet_id_at: head.packet_id.map(|_| body_at + 2 + topic_bytes),
        })
    }

    /// The packet as it was encoded: to send as it is with QoS 0, and to compare
    /// with what a peer takes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Appends it to `out` with another packet identifier.
    pub fn write(&self, packet_id: PacketId, dup: bool, out: &mut BytesMut) {
        let begin = out.len();
        out.extend_from_slice(&self.bytes);
        let Some(at) = self.packet_id_at else { return };
        let written = out.get_mut(begin..).unwrap_or_default();
        if let Some(first) = written.first_mut() {
            *first = *first & !DUP | if dup { DUP } else { 0 };
        }
        if let Some(place) = written.get_mut(at..at + 2) {
            place.copy_from_slice(&packet_id.get().to_be_bytes());
        }
    }
}
