//! What is written is read as what it was.

use bytes::BytesMut;
use proptest::prelude::*;

use super::packets::{from_client, from_server};
use super::reduced::reduced;
use super::{decoder, framed, read};
use crate::mqtt::{
    Decoder, EncodedPublish, Packet, PacketId, PacketLimits, PublishHead, Side, Version, encode,
    encode_publish, encode_publish_head, encoded_len,
};

fn written(packet: &Packet, version: Version) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(packet, version, &mut bytes).unwrap();
    assert_eq!(bytes.len(), encoded_len(packet, version).unwrap());
    bytes
}

/// Also piece by piece, with another packet behind it, and cut short.
fn check(to: Side, version: Version, packet: &Packet) {
    let bytes = written(packet, version);
    assert_eq!(read(to, version, &bytes).unwrap().as_ref(), Some(packet));
    for end in 0..bytes.len() {
        assert_eq!(read(to, version, &bytes[..end]), Ok(None), "{end} bytes");
    }
    // The same begin, with a length that says it is all: no panic, and whatever is
    // taken for a packet is one.
    let body_at = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    for end in body_at..bytes.len() {
        let cut = framed(bytes[0], &bytes[body_at..end]);
        if let Ok(packet) = read(to, version, &cut) {
            again(to, version, &packet.unwrap());
        }
    }
}

/// A packet that was read can be written, and is read as the same.
fn again(to: Side, version: Version, packet: &Packet) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let bytes = written(packet, version);
    assert_eq!(read(to, version, &bytes).unwrap().as_ref(), Some(packet));
}

fn check_both(to: Side, packet: &Packet) {
    check(to, Version::V5, packet);
    if to == Side::Client && matches!(packet, Packet::Disconnect(_)) {
        // Servers of 3.1.1 send none.
        return;
    }
    if let Some(plain) = reduced(packet) {
        check(to, Version::V311, &plain);
        if !matches!(packet, Packet::Connect(_)) {
            assert_eq!(
                written(packet, Version::V311),
                written(&plain, Version::V311)
            );
        }
    }
}

/// Reads all there is, as a connection would.
fn read_all(mut decoder: Decoder, version: Version, bytes: &[u8]) {
    let to = match decoder.version() {
        None => Side::Server,
        Some(_) => Side::Client,
    };
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(packet)) = decoder.decode(&mut buffer) {
        again(to, decoder.version().unwrap_or(version), &packet);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_clients_send_is_read_as_it_was(packet in from_client()) {
        check_both(Side::Server, &packet);
    }

    #[test]
    fn what_servers_send_is_read_as_it_was(packet in from_server()) {
        check_both(Side::Client, &packet);
    }

    #[test]
    fn packets_behind_each_other_are_told_apart(
        packets in prop::collection::vec(from_server(), 0..8),
        chunk in 1usize..50,
    ) {
        let mut bytes = BytesMut::new();
        for packet in &packets {
            encode(packet, Version::V5, &mut bytes).unwrap();
        }
        let mut decoder = decoder(Side::Client, Version::V5);
        let mut buffer = BytesMut::new();
        let mut found = Vec::new();
        for piece in bytes.chunks(chunk) {
            buffer.extend_from_slice(piece);
            while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
                found.push(packet);
            }
        }
        prop_assert_eq!(found, packets);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn mutated_packets_are_refused_or_are_packets(
        client in from_client(),
        server in from_server(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        version in prop::sample::select(&super::VERSIONS[..]),
    ) {
        let limits = PacketLimits::default();
        for (packet, decoder) in [
            (client, Decoder::new(None, limits)),
            (server, Decoder::new(Some(version), limits)),
        ] {
            let Some(packet) = (match version {
                Version::V5 => Some(packet),
                Version::V311 => reduced(&packet),
            }) else { continue };
            let mut bytes = written(&packet, version);
            for (place, byte) in &changes {
                let at = place.index(bytes.len());
                bytes[at] = *byte;
            }
            read_all(decoder, version, &bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_are_packets(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        version in prop::sample::select(&super::VERSIONS[..]),
    ) {
        read_all(Decoder::new(None, PacketLimits::default()), version, &bytes);
        read_all(Decoder::new(Some(version), PacketLimits::default()), version, &bytes);
    }

    #[test]
    fn the_ways_to_write_a_publish_write_the_same(
        packet in from_server(),
        other in any::<PacketId>(),
        dup in any::<bool>(),
        version in prop::sample::select(&super::VERSIONS[..]),
    ) {
        let Packet::Publish(mut publish) = packet else { return Ok(()) };
        if version == Version::V311 && publish.topic.is_none() {
            return Ok(());
        }
        let payload = publish.payload.clone();
        let expected = written(&Packet::Publish(publish.clone()), version);

        let mut whole = BytesMut::from(&b"before"[..]);
        encode_publish(&PublishHead::from(&publish), &payload, version, &mut whole).unwrap();
        prop_assert_eq!(&whole[6..], &expected[..]);

        let mut head = BytesMut::new();
        let parts = PublishHead::from(&publish);
        encode_publish_head(&parts, payload.len(), version, &mut head).unwrap();
        prop_assert_eq!([&head[..], &payload[..]].concat(), &expected[..]);

        let encoded = EncodedPublish::new(&parts, &payload, version).unwrap();
        prop_assert_eq!(encoded.bytes(), &expected[..]);
        let mut patched = BytesMut::from(&b"before"[..]);
        encoded.write(other, dup, &mut patched);
        if publish.packet_id.is_some() {
            publish.packet_id = Some(other);
            publish.dup = dup;
        }
        prop_assert_eq!(&patched[6..], &written(&Packet::Publish(publish), version)[..]);
    }
}
