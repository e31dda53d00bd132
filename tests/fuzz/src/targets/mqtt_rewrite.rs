//! Packets of 5.0 as an uplink of 3.1.1 or a peer that takes little gets them: the
//! first byte says how much, the second whose packets follow.

use std::num::NonZeroU32;

use bytes::BytesMut;

use crate::mqtt::{Decoder, Packet, Peer, Version, encode, encoded_len};
use crate::packets::{LIMITS, read, written};

pub(super) fn check(bytes: &[u8]) {
    let [most, whose, rest @ ..] = bytes else {
        return;
    };
    let begin = |version| match whose % 2 {
        0 => Decoder::new(None, LIMITS),
        _ => Decoder::new(Some(version), LIMITS),
    };
    let most = NonZeroU32::new(u32::from(*most));
    for packet in read(&mut begin(Version::V5), rest, usize::MAX) {
        small(&packet, Peer::new(Version::V5, most));
        plain(&packet, begin(Version::V311));
    }
}

/// It is not longer than its reader takes, and not begun if it would be.
fn small(packet: &Packet, peer: Peer) {
    if matches!(packet, Packet::Connect(connect) if connect.version != peer.version) {
        return;
    }
    let mut bytes = BytesMut::new();
    match (encode(packet, peer, &mut bytes), encoded_len(packet, peer)) {
        (Ok(()), Ok(length)) => {
            assert_eq!(bytes.len(), length);
            assert!(bytes.len() <= usize::try_from(peer.packet_bytes_max).unwrap_or(usize::MAX));
        }
        (Err(error), Err(same)) => {
            assert_eq!(error, same);
            assert!(bytes.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

/// What 3.1.1 has of it is the same after it was read.
fn plain(packet: &Packet, mut decoder: Decoder) {
    let mut bytes = BytesMut::new();
    // Some have no other form there: a topic alias, AUTH, a CONNECT of 5.0.
    if decoder.version().is_none() || encode(packet, Version::V311, &mut bytes).is_err() {
        return;
    }
    let packets = read(&mut decoder, &bytes, usize::MAX);
    match packets.as_slice() {
        [plain] => assert_eq!(written(plain, Version::V311), bytes),
        // Servers of 3.1.1 send no DISCONNECT, which is for their own sessions to know.
        _ => assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"),
    }
}
