//! Writes packets. How long a packet gets is known before any of it is written, so
//! that none exceeds what its reader takes.
//!
//! For 3.1.1 what only 5.0 has is left out, and reasons are mapped.

mod connect;
mod out;
mod publish;
mod subscribe;

use std::num::NonZeroU32;

use bytes::BytesMut;

pub(super) use self::out::Out;
use self::out::var_int_bytes;
pub use self::publish::{EncodedPublish, PublishHead, encode_publish, encode_publish_head};
use super::property::Property;
use super::{Ack, EncodeError, Packet, PacketType, Reason, Version};

/// Bytes of any packet: 28 bits behind its fixed header (section 2.1.4).
const PACKET_BYTES_MAX: u32 = 0x0FFF_FFFF + 5;

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub version: Version,
    /// The most that it takes, with the fixed header.
    pub packet_bytes_max: u32,
    /// Whether it wants reason texts and user properties where it may choose
    /// (section 3.1.2.11.7).
    pub problem_information: bool,
}

impl Peer {
    pub fn new(version: Version, packet_bytes_max: Option<NonZeroU32>) -> Self {
        let most = packet_bytes_max.map_or(PACKET_BYTES_MAX, NonZeroU32::get);
        Self {
            version,
            packet_bytes_max: most,
            problem_information: true,
        }
    }

    /// How long a packet gets with such a body, if it may get that long.
    fn check(&self, body_bytes: usize) -> Result<usize, EncodeError> {
        let header_bytes = 1 + var_int_bytes(body_bytes);
        let bytes = body_bytes.saturating_add(header_bytes);
        self.check_len(bytes)?;
        Ok(bytes)
    }

    /// Whether a packet may be that long.
    pub(super) fn check_len(&self, bytes: usize) -> Result<(), EncodeError> {
        let bytes_max = self.packet_bytes_max.min(PACKET_BYTES_MAX);
        let bytes = bytes as u64;
        if bytes > u64::from(bytes_max) {
            return Err(EncodeError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }
}

impl From<Version> for Peer {
    fn from(version: Version) -> Self {
        Self::new(version, None)
    }
}

/// How many bytes [`encode`] would write.
pub fn encoded_len(packet: &Packet, peer: impl Into<Peer>) -> Result<usize, EncodeError> {
    measure(packet, peer.into()).map(|measured| measured.bytes)
}

/// Appends `packet` to `out`. On an error `out` is as it was.
///
/// A packet that would exceed what the peer takes goes without its reason text and
/// user properties, if that helps and they are not what it is for.
pub fn encode(
    packet: &Packet,
    peer: impl Into<Peer>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let peer = peer.into();
    let measured = measure(packet, peer)?;
    out.reserve(measured.bytes);
    let kind = packet.packet_type();
    let mut writer = Out::write(kind, measured.terse, out);
    writer.u8(kind.number() << 4 | flags(packet));
    // Measured: at most 28 bits.
    writer.var_int(u32::try_from(measured.body_bytes).unwrap_or(u32::MAX));
    body(packet, peer.version, &mut writer);
    writer.finish().map(|_| ())
}

struct Measured {
    terse: bool,
    body_bytes: usize,
    bytes: usize,
}

fn measure(packet: &Packet, peer: Peer) -> Result<Measured, EncodeError> {
    let attempt = |terse: bool| {
        let mut out = Out::measure(packet.packet_type(), terse);
        body(packet, peer.version, &mut out);
        let body_bytes = out.finish()?;
        let bytes = peer.check(body_bytes)?;
        Ok(Measured {
            terse,
            body_bytes,
            bytes,
        })
    };
    let may_choose = !matches!(packet, Packet::ConnAck(_) | Packet::Disconnect(_));
    if may_choose && !peer.problem_information {
        return attempt(true);
    }
    attempt(false).or_else(|error| match error {
        EncodeError::TooLarge { .. } => attempt(true).map_err(|_| error),
        other => Err(other),
    })
}

fn flags(packet: &Packet) -> u8 {
    match packet {
        Packet::Publish(publish) => PublishHead::from(publish).flags(),
        other => other.packet_type().flags(),
    }
}

fn body(packet: &Packet, version: Version, out: &mut Out<'_>) {
    match packet {
        Packet::Connect(connect) => connect::connect(connect, version, out),
        Packet::ConnAck(ack) => connect::conn_ack(ack, version, out),
        Packet::Publish(publish) => {
            PublishHead::from(publish).write(version, out);
            out.bytes(&publish.payload);
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            acknowledge(ack, version, out);
        }
        Packet::Subscribe(subscribe) => subscribe::subscribe(subscribe, version, out),
        Packet::SubAck(ack) => subscribe::sub_ack(ack, version, out),
        Packet::Unsubscribe(unsubscribe) => subscribe::unsubscribe(unsubscribe, version, out),
        Packet::UnsubAck(ack) => subscribe::unsub_ack(ack, version, out),
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => connect::disconnect(disconnect, version, out),
        Packet::Auth(auth) => connect::auth(auth, version, out),
    }
}

fn acknowledge(ack: &Ack, version: Version, out: &mut Out<'_>) {
    out.packet_id(ack.packet_id);
    if version == Version::V311 {
        return;
    }
    let properties = |out: &mut Out<'_>| out.diagnostics(ack.reason_text.as_ref(), &ack.user);
    let bare = out.has_none(properties);
    if !bare || ack.reason != Reason::SUCCESS {
        out.u8(ack.reason.0);
    }
    if !bare {
        out.properties(properties);
    }
}

impl Packet {
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}
