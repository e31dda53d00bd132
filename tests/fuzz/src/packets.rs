//! What must hold of every MQTT packet that is read, whoever sent it.

use bytes::BytesMut;

use crate::mqtt::{Decoder, Packet, PacketLimits, Version, encode, encoded_len};
use crate::printable;

pub(crate) const LIMITS: PacketLimits = PacketLimits {
    packet_bytes_max: 32 << 10,
    filters_max: 8,
    user_properties_max: 4,
};

/// Reads all there is, in pieces of `piece` bytes at most. Ends at the first
/// refusal after which a connection ends.
pub(crate) fn read(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            let before = buffer.len();
            let lacks = decoder.lacks(&buffer);
            match decoder.decode(&mut buffer) {
                Ok(Some(packet)) => {
                    assert!(lacks == 0 && buffer.len() < before);
                    packets.push(packet);
                }
                Ok(None) => {
                    assert!(lacks > 0 && buffer.len() == before);
                    break;
                }
                Err(error) => {
                    printable::check(&error);
                    assert!(error.reason().is_failure() && lacks == 0);
                    if !matches!(error, crate::mqtt::DecodeError::Publish { .. }) {
                        return packets;
                    }
                    assert!(buffer.len() < before);
                }
            }
        }
    }
    packets
}

/// `packet` as it is written; it is as long as was said.
pub(crate) fn written(packet: &Packet, version: Version) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(packet, version, &mut bytes).expect("what is read can be written");
    assert_eq!(encoded_len(packet, version), Ok(bytes.len()));
    bytes
}

/// The same in pieces and as a whole, and the same after it was written.
pub(crate) fn check(begin: impl Fn() -> Decoder, bytes: &[u8]) {
    let piece = usize::from(bytes.last().copied().unwrap_or_default());
    let mut decoder = begin();
    let packets = read(&mut decoder, bytes, piece);
    assert_eq!(packets, read(&mut begin(), bytes, usize::MAX));
    let Some(version) = decoder.version() else {
        return assert!(packets.is_empty());
    };
    let mut again = BytesMut::new();
    for packet in &packets {
        again.extend_from_slice(&written(packet, version));
    }
    // What was written shortest may have been longer, never too long for it.
    assert_eq!(read(&mut begin(), &again, usize::MAX), packets);
}
