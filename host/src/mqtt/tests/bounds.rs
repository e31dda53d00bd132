//! What a packet may cost, read and written.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{decoder, framed, read};
use crate::mqtt::{
    Ack, ConnAck, DecodeError, Decoder, EncodeError, Packet, PacketId, PacketLimits, Peer,
    PublishFlaw, PublishHead, Reason, Side, SubAck, Version, encode, encode_publish, encoded_len,
};
use crate::names::{Qos, Topic};

const LIMITS: PacketLimits = PacketLimits {
    packet_bytes_max: 100,
    filters_max: 2,
    user_properties_max: 2,
};

fn limited(side: Side) -> Decoder {
    let mut decoder = decoder(side, Version::V5);
    decoder.set_limits(LIMITS);
    decoder
}

fn refused(side: Side, bytes: &[u8]) -> DecodeError {
    limited(side)
        .decode(&mut BytesMut::from(bytes))
        .unwrap_err()
}

#[test]
fn a_packet_that_is_too_large_is_refused_by_its_length() {
    let error = refused(Side::Server, b"\x30\x63");
    assert_eq!(error.reason(), Reason::PACKET_TOO_LARGE);
    assert_eq!(error.to_string(), "PUBLISH of 101 bytes exceeds 100 bytes");
    let mut buffer = BytesMut::from(&b"\x30\x62"[..]);
    assert_eq!(limited(Side::Server).decode(&mut buffer), Ok(None));
    let error = refused(Side::Server, b"\x30\xff\xff\xff\x7f");
    assert_eq!(error.reason(), Reason::PACKET_TOO_LARGE);
}

#[test]
fn nothing_is_reserved_for_what_is_announced() {
    let mut decoder = decoder(Side::Server, Version::V5);
    let mut buffer = BytesMut::from(&b"\x30\xf0\xff\x0f\0\x01a"[..]);
    let before = buffer.capacity();
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    assert_eq!(buffer.capacity(), before);
}

#[test]
fn a_payload_has_memory_of_its_own() {
    let mut decoder = decoder(Side::Server, Version::V311);
    let mut buffer = BytesMut::with_capacity(64 << 10);
    buffer.extend_from_slice(&framed(0x30, b"\0\x01ahello"));
    let Ok(Some(Packet::Publish(publish))) = decoder.decode(&mut buffer) else {
        panic!("not read");
    };
    // All of the buffer is free again though the payload lives.
    assert!(buffer.try_reclaim(64 << 10));
    assert_eq!(publish.payload, "hello");
}

#[test]
fn a_topic_that_repeats_is_shared() {
    let mut decoder = decoder(Side::Server, Version::V311);
    let mut topic = |name: &str| {
        let length = u8::try_from(name.len()).unwrap();
        let bytes = framed(0x30, &[&[0, length], name.as_bytes()].concat());
        match decoder.decode(&mut BytesMut::from(&bytes[..])) {
            Ok(Some(Packet::Publish(publish))) => Arc::clone(publish.topic.unwrap().shared()),
            other => panic!("{other:?}"),
        }
    };
    let first = topic("a/b");
    assert!(Arc::ptr_eq(&first, &topic("a/b")));
    for number in 0..20 {
        assert_eq!(
            *topic(&format!("other/{number}")),
            *format!("other/{number}")
        );
    }
    // Pushed out, and no longer held.
    assert_eq!(Arc::strong_count(&first), 1);
    assert!(!Arc::ptr_eq(&first, &topic("a/b")));
}

#[test]
fn filters_and_user_properties_are_counted() {
    let error = refused(
        Side::Server,
        &framed(0x82, b"\0\x01\0\0\x01a\0\0\x01b\0\0\x01c\0"),
    );
    assert_eq!(error.reason(), Reason::QUOTA_EXCEEDED);
    assert_eq!(error.to_string(), "SUBSCRIBE has more than 2 filters");
    let error = refused(
        Side::Server,
        &framed(0xA2, b"\0\x01\0\0\x01a\0\x01b\0\x01c"),
    );
    assert_eq!(error.to_string(), "UNSUBSCRIBE has more than 2 filters");

    let user = b"\x26\0\0\0\0\x26\0\0\0\0\x26\0\0\0\0";
    let error = refused(
        Side::Server,
        &framed(0x40, &[b"\0\x01\0\x0f", &user[..]].concat()),
    );
    assert_eq!(error.to_string(), "PUBACK has more than 2 user properties");
    // A PUBLISH is refused alone.
    let body = [b"\0\x01a\0\x01\x0f", &user[..]].concat();
    let error = refused(Side::Server, &framed(0x32, &body));
    assert_eq!(
        error,
        DecodeError::Publish {
            flaw: PublishFlaw::UserProperties,
            qos: Qos::AtLeastOnce,
            packet_id: Some(PacketId::MIN),
        }
    );
}

#[test]
fn what_the_peer_does_not_take_is_not_begun() {
    let topic: Topic = "a".parse().unwrap();
    let head = PublishHead {
        topic: Some(&topic),
        packet_id: Some(PacketId::MIN),
        ..PublishHead::default()
    };
    let peer = Peer::new(Version::V5, Some(20.try_into().unwrap()));
    let mut out = BytesMut::from(&b"before"[..]);
    encode_publish(&head, &[7; 12], peer, &mut out).unwrap();
    assert_eq!(out.len(), 26);
    let error = encode_publish(&head, &[7; 13], peer, &mut out).unwrap_err();
    let (bytes, bytes_max) = (21, 20);
    assert_eq!(error, EncodeError::TooLarge { bytes, bytes_max });
    assert_eq!(out.len(), 26);
}

#[test]
fn what_is_for_people_only_is_left_out_where_it_does_not_fit() {
    let text: Arc<str> = "a long explanation".into();
    let mut ack = Ack::new(PacketId::MIN, Reason::NOT_AUTHORIZED);
    ack.reason_text = Some(Arc::clone(&text));
    ack.user = vec![("k".into(), "v".into())];
    let packet = Packet::PubAck(ack);
    let mut small = Peer::new(Version::V5, Some(10.try_into().unwrap()));
    let mut out = BytesMut::new();
    encode(&packet, small, &mut out).unwrap();
    assert_eq!(&out[..], b"\x40\x03\0\x01\x87");
    assert_eq!(encoded_len(&packet, small), Ok(5));

    let mut ack = ConnAck::new(Reason::NOT_AUTHORIZED);
    ack.reason_text = Some(text);
    let connack = Packet::ConnAck(Box::new(ack));
    assert_eq!(encoded_len(&connack, small), Ok(5));

    // Not wanted: left out but where the server may choose.
    small.packet_bytes_max = 1000;
    small.problem_information = false;
    assert_eq!(encoded_len(&packet, small), Ok(5));
    assert_eq!(encoded_len(&connack, small), Ok(26));
}

#[test]
fn what_would_be_malformed_is_not_written() {
    let topic: Topic = "a".parse().unwrap();
    let good = PublishHead {
        qos: Qos::AtMostOnce,
        topic: Some(&topic),
        ..PublishHead::default()
    };
    let mut out = BytesMut::new();
    let long = "x".repeat(65_536);
    for bad in [
        PublishHead { dup: true, ..good },
        PublishHead {
            topic: None,
            ..good
        },
        PublishHead {
            packet_id: Some(PacketId::MIN),
            ..good
        },
        PublishHead {
            qos: Qos::AtLeastOnce,
            ..good
        },
        PublishHead {
            content_type: Some(&long),
            ..good
        },
    ] {
        assert!(encode_publish(&bad, b"", Version::V5, &mut out).is_err());
    }
    let ack = SubAck {
        packet_id: PacketId::MIN,
        reason_text: None,
        user: Vec::new(),
        reasons: Vec::new(),
    };
    assert!(encode(&Packet::SubAck(ack), Version::V311, &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn the_largest_lengths_are_read_and_written() {
    for bytes in [127 - 3, 128 - 3, 16_383 - 3, 16_384 - 3, 200_000] {
        let topic: Topic = "a".parse().unwrap();
        let head = PublishHead {
            qos: Qos::AtMostOnce,
            topic: Some(&topic),
            ..PublishHead::default()
        };
        let payload = Bytes::from(vec![1; bytes]);
        let mut out = BytesMut::new();
        encode_publish(&head, &payload, Version::V311, &mut out).unwrap();
        let packet = read(Side::Server, Version::V311, &out).unwrap();
        let Some(Packet::Publish(publish)) = packet else {
            panic!("{packet:?}");
        };
        assert_eq!(publish.payload, payload);
    }
}
