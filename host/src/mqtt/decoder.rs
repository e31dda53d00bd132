//! Reads packets out of a buffer that grows as bytes arrive.
//!
//! A packet is looked at when it is there as a whole, or refused as soon as its
//! first bytes show that it will not be taken. What is read has memory of its own,
//! in proportion to what has arrived, and leaves the buffer.

mod connect;
mod connected;
mod fields;
mod publish;
mod subscribe;
mod topic_cache;

use bytes::{Buf as _, BytesMut};

pub(super) use self::fields::Fields;
use self::fields::VarInt;
use self::topic_cache::TopicCache;
use super::{DecodeError, Packet, PacketType, Side, Version};

/// What a packet may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketLimits {
    /// All of it, with its fixed header.
    pub packet_bytes_max: u32,
    /// In one SUBSCRIBE or UNSUBSCRIBE.
    pub filters_max: usize,
    pub user_properties_max: usize,
}

impl Default for PacketLimits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 256 << 10,
            filters_max: 64,
            user_properties_max: 32,
        }
    }
}

/// Reads what one peer sends.
#[derive(Debug)]
pub struct Decoder {
    side: Side,
    version: Option<Version>,
    limits: PacketLimits,
    topics: TopicCache,
}

/// The first bytes of a packet.
#[derive(Clone, Copy, Debug)]
struct Header {
    packet: PacketType,
    flags: u8,
    header_bytes: usize,
    body_bytes: usize,
    /// Its length takes more bytes than it needs.
    padded: bool,
}

impl Decoder {
    /// None: for a server, whose client sets the version by its first packet, which
    /// must be CONNECT. Otherwise for a client, which has chosen it.
    pub fn new(version: Option<Version>, limits: PacketLimits) -> Self {
        let side = match version {
            None => Side::Server,
            Some(_) => Side::Client,
        };
        Self {
            side,
            version,
            limits,
            topics: TopicCache::default(),
        }
    }

    /// What is spoken, as soon as CONNECT has said it; also if it was refused.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    pub fn limits(&self) -> &PacketLimits {
        &self.limits
    }

    /// From now on; what a session's owner may send is known after CONNECT.
    pub fn set_limits(&mut self, limits: PacketLimits) {
        self.limits = limits;
    }

    /// The next packet, taken out of `buffer`; None: more has to arrive.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(header) = self.header(buffer)? else {
            return Ok(None);
        };
        let end = header.header_bytes + header.body_bytes;
        let Some(body) = buffer.get(header.header_bytes..end) else {
            return Ok(None);
        };
        let packet = self.body(&header, Fields::new(header.packet, body));
        buffer.advance(end);
        packet.map(Some)
    }

    /// How many bytes the packet at the start of `buffer` still lacks at least; 0: it
    /// is there, or [`decode`](Self::decode) refuses it already.
    pub fn lacks(&self, buffer: &[u8]) -> usize {
        match self.header(buffer) {
            Ok(Some(header)) => {
                let all = header.header_bytes + header.body_bytes;
                all.saturating_sub(buffer.len())
            }
            Ok(None) => 1,
            Err(_) => 0,
        }
    }

    fn header(&self, buffer: &[u8]) -> Result<Option<Header>, DecodeError> {
        let Some((&first, rest)) = buffer.split_first() else {
            return Ok(None);
        };
        let packet = self.packet_type(first)?;
        let flags = first & 0x0F;
        if packet != PacketType::Publish && flags != packet.flags() {
            let flaw = "reserved flags";
            return Err(DecodeError::Malformed { packet, flaw });
        }
        let (value, bytes, padded) = match VarInt::read(rest) {
            VarInt::Partial => return Ok(None),
            VarInt::TooLong => {
                let flaw = "a length in more than 4 bytes";
                return Err(DecodeError::Malformed { packet, flaw });
            }
            VarInt::Complete {
                value,
                bytes,
                padded,
            } => (value, bytes, padded),
        };
        let all = u64::from(value) + bytes as u64 + 1;
        if all > u64::from(self.limits.packet_bytes_max) {
            return Err(DecodeError::TooLarge {
                packet,
                bytes: all,
                bytes_max: self.limits.packet_bytes_max,
            });
        }
        Ok(Some(Header {
            packet,
            flags,
            header_bytes: bytes + 1,
            // At most 28 bits, and within the limit.
            body_bytes: usize::try_from(value).unwrap_or(usize::MAX),
            padded,
        }))
    }

    /// Of a packet's first byte, if one may come here and now.
    fn packet_type(&self, first: u8) -> Result<PacketType, DecodeError> {
        let number = first >> 4;
        let found = PacketType::from_number(number);
        let found = found.ok_or(DecodeError::Reserved { number });
        let Some(version) = self.version else {
            return match found {
                Ok(PacketType::Connect) => Ok(PacketType::Connect),
                _ => Err(DecodeError::NotConnect),
            };
        };
        let packet = found?;
        let flaw = match (packet, version) {
            (PacketType::Auth, Version::V311) => return Err(DecodeError::Reserved { number }),
            (PacketType::Connect, _) if self.side == Side::Server => "a second one",
            (PacketType::Disconnect, Version::V311) if self.side == Side::Client => {
                "servers of 3.1.1 send none"
            }
            _ if !packet.comes_to(self.side) => "the wrong end sends it",
            _ => return Ok(packet),
        };
        Err(DecodeError::Protocol { packet, flaw })
    }

    fn body(&mut self, header: &Header, mut fields: Fields<'_>) -> Result<Packet, DecodeError> {
        let limits = self.limits;
        let (version, is_first) = match self.version {
            Some(version) => (version, false),
            None => (connect::version(&mut fields)?, true),
        };
        // Known even if the rest is wrong, so that it can be answered.
        self.version = Some(version);
        if header.padded && version == Version::V5 {
            return Err(fields.malformed("a length in more bytes than it needs"));
        }
        if is_first {
            let connect = connect::connect(version, fields, &limits)?;
            return Ok(Packet::Connect(Box::new(connect)));
        }
        let reader = Reader {
            version,
            side: self.side,
            limits: &limits,
        };
        Ok(match header.packet {
            PacketType::Publish => {
                let publish = reader.publish(header.flags, fields, &mut self.topics)?;
                Packet::Publish(publish)
            }
            PacketType::PubAck => Packet::PubAck(reader.ack(fields)?),
            PacketType::PubRec => Packet::PubRec(reader.ack(fields)?),
            PacketType::PubRel => Packet::PubRel(reader.ack(fields)?),
            PacketType::PubComp => Packet::PubComp(reader.ack(fields)?),
            PacketType::Subscribe => Packet::Subscribe(reader.subscribe(fields)?),
            PacketType::SubAck => Packet::SubAck(reader.sub_ack(fields)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(reader.unsubscribe(fields)?),
            PacketType::UnsubAck => Packet::UnsubAck(reader.unsub_ack(fields)?),
            PacketType::PingReq => {
                fields.end()?;
                Packet::PingReq
            }
            PacketType::PingResp => {
                fields.end()?;
                Packet::PingResp
            }
            PacketType::Disconnect => Packet::Disconnect(reader.disconnect(fields)?),
            PacketType::Auth => Packet::Auth(reader.auth(fields)?),
            PacketType::ConnAck => Packet::ConnAck(Box::new(reader.conn_ack(fields)?)),
            // `packet_type` has refused a second one, and clients receive none.
            PacketType::Connect => return Err(fields.protocol("a second one")),
        })
    }
}

/// How packets after CONNECT are to be read.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    version: Version,
    side: Side,
    limits: &'a PacketLimits,
}

/// Adds a user property to those of a packet, within the limit.
fn push_user(
    user: &mut super::UserProperties,
    (name, value): (&str, &str),
    limits: &PacketLimits,
    fields: &Fields<'_>,
) -> Result<(), DecodeError> {
    let max = limits.user_properties_max;
    if user.len() >= max {
        return Err(fields.too_many("user properties", max));
    }
    user.push((name.into(), value.into()));
    Ok(())
}
