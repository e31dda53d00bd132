mod bounds;
mod captured;
mod connect_refusals;
mod examples;
mod packets;
mod reduced;
mod refusals;
mod round_trips;

use bytes::BytesMut;

use super::{DecodeError, Decoder, Packet, PacketLimits, Side, Version};

pub(super) const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// What `side` reads with after CONNECT.
fn decoder(side: Side, version: Version) -> Decoder {
    if side == Side::Client {
        return Decoder::new(Some(version), PacketLimits::default());
    }
    let mut decoder = Decoder::new(None, PacketLimits::default());
    let connect: &[u8] = match version {
        Version::V311 => b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a",
        Version::V5 => b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01a",
    };
    let packet = decoder.decode(&mut BytesMut::from(connect)).unwrap();
    assert!(matches!(packet, Some(Packet::Connect(_))));
    decoder
}

/// The one packet that `bytes` are for `side`; CONNECT is read as the first one.
fn read(side: Side, version: Version, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    let mut decoder = match bytes.first() {
        Some(0x10..=0x1F) if side == Side::Server => Decoder::new(None, PacketLimits::default()),
        _ => decoder(side, version),
    };
    let mut buffer = BytesMut::from(bytes);
    let packet = decoder.decode(&mut buffer)?;
    let left = if packet.is_some() { 0 } else { bytes.len() };
    assert_eq!(buffer.len(), left);
    Ok(packet)
}

/// A packet of a first byte and a body.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7F).unwrap();
        rest >>= 7;
        bytes.push(if rest == 0 { low } else { low | 0x80 });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}
