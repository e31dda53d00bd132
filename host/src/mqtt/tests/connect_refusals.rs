//! What is no CONNECT, and what no CONNECT may say.

use bytes::BytesMut;

use super::refusals::{check, refused};
use super::{framed, read};
use crate::mqtt::{DecodeError, Decoder, PacketLimits, Reason, Side, Version};

#[test]
fn the_first_packet_is_connect() {
    for first in 0..=u8::MAX {
        let mut decoder = Decoder::new(None, PacketLimits::default());
        let read = decoder.decode(&mut BytesMut::from(&[first][..]));
        match first {
            0x10 => assert_eq!(read, Ok(None)),
            0x11..=0x1F => assert_eq!(read.unwrap_err().reason(), Reason::MALFORMED_PACKET),
            _ => assert_eq!(read, Err(DecodeError::NotConnect)),
        }
    }
}

#[test]
fn connect_of_another_version_is_told_so() {
    for (body, level) in [
        (&b"\0\x04MQTT\x03"[..], 3),
        (b"\0\x04MQTT\x06\x02\0\0\0\0\x01a", 6),
        (b"\0\x04MQTT\x84\x02\0\0\0\x01a", 0x84),
        (b"\0\x06MQIsdp\x03\x02\0\0\0\x01a", 3),
    ] {
        let error = refused(Side::Server, Version::V5, &framed(0x10, body));
        assert_eq!(error, DecodeError::Version { level });
        assert_eq!(error.reason(), Reason::UNSUPPORTED_VERSION);
    }
}

#[test]
fn connect_in_bad_form() {
    let both = |four: &'static [u8], why| (why, 0x10, four);
    let bad = [
        both(b"", "empty"),
        both(b"\0\x04MQT", "cut name"),
        both(b"\0\x04mqtt\x04\x02\0\0\0\x01a", "another name"),
        both(b"\0\x04MQTT\x04\x03\0\0\0\x01a", "reserved flag"),
        both(b"\0\x04MQTT\x04\x0a\0\0\0\x01a", "QoS without will"),
        both(b"\0\x04MQTT\x04\x22\0\0\0\x01a", "retain without will"),
        both(b"\0\x04MQTT\x04\x1e\0\0\0\x01a\0\x01w\0\0", "will QoS 3"),
        both(b"\0\x04MQTT\x04\x42\0\0\0\x01a\0\x01p", "password alone"),
        both(b"\0\x04MQTT\x04\x02\0\0\0\x01\0", "NUL in client id"),
        both(b"\0\x04MQTT\x04\x02\0\0\0\x03\xed\xa0\x80", "surrogate"),
        both(b"\0\x04MQTT\x04\x02\0\0\0\x02a", "cut client id"),
        both(b"\0\x04MQTT\x04\x02\0\0\0\x01ab", "more behind"),
        both(b"\0\x04MQTT\x04\x82\0\0\0\x01a", "no user name"),
        both(b"\0\x04MQTT\x04\x82\0\0\0\x01a\0\x01\xff", "no UTF-8"),
        both(
            b"\0\x04MQTT\x04\x06\0\0\0\x01a\0\x01\0\0\0",
            "NUL in will topic",
        ),
        both(b"\0\x04MQTT\x05\x02\0\0\x01\x7f\0\x01a", "unknown property"),
        both(b"\0\x04MQTT\x05\x02\0\0\x02\x24\x01\0\x01a", "of CONNACK"),
        both(b"\0\x04MQTT\x05\x02\0\0\x02\x11\0\0\x01a", "cut property"),
        both(b"\0\x04MQTT\x05\x02\0\0\x80\0\0\x01a", "padded length"),
        both(b"\0\x04MQTT\x05\x02\0\0\x7f\0\x01a", "long properties"),
    ];
    check(Side::Server, Version::V5, Reason::MALFORMED_PACKET, &bad);
    let bad = [
        both(
            b"\0\x04MQTT\x05\x02\0\0\x03\x21\0\0\0\x01a",
            "receive maximum 0",
        ),
        both(b"\0\x04MQTT\x05\x02\0\0\x05\x27\0\0\0\0\0\x01a", "size 0"),
        both(
            b"\0\x04MQTT\x05\x02\0\0\x02\x17\x02\0\x01a",
            "neither 0 nor 1",
        ),
        both(
            b"\0\x04MQTT\x05\x02\0\0\x04\x19\x01\x19\x01\0\x01a",
            "twice",
        ),
        both(
            b"\0\x04MQTT\x05\x02\0\0\x03\x16\0\0\0\x01a",
            "data, no method",
        ),
    ];
    check(Side::Server, Version::V5, Reason::PROTOCOL_ERROR, &bad);
}

#[test]
fn connect_whose_names_are_none_is_told_which() {
    let error = refused(
        Side::Server,
        Version::V311,
        &framed(0x10, b"\0\x04MQTT\x04\0\0\0\0\0"),
    );
    assert_eq!(error, DecodeError::ClientId);
    assert_eq!(error.reason(), Reason::CLIENT_ID_NOT_VALID);
    assert!(
        read(
            Side::Server,
            Version::V311,
            &framed(0x10, b"\0\x04MQTT\x04\x02\0\0\0\0")
        )
        .is_ok()
    );
    assert!(
        read(
            Side::Server,
            Version::V5,
            &framed(0x10, b"\0\x04MQTT\x05\0\0\0\0\0\0")
        )
        .is_ok()
    );
    for body in [
        &b"\0\x04MQTT\x04\x06\0\0\0\x01a\0\x02w#\0\0"[..],
        b"\0\x04MQTT\x04\x06\0\0\0\x01a\0\0\0\0",
        b"\0\x04MQTT\x05\x06\0\0\0\0\x01a\x04\x08\0\x01+\0\x01w\0\0",
    ] {
        let error = refused(Side::Server, Version::V5, &framed(0x10, body));
        assert_eq!(error, DecodeError::WillTopic);
        assert_eq!(error.reason(), Reason::TOPIC_NAME_INVALID);
    }
}

#[test]
fn the_version_is_known_when_the_rest_of_connect_is_wrong() {
    let mut decoder = Decoder::new(None, PacketLimits::default());
    let bytes = framed(0x10, b"\0\x04MQTT\x05\x03\0\0\0\0\x01a");
    let error = decoder.decode(&mut BytesMut::from(&bytes[..])).unwrap_err();
    assert!(error.is_connect());
    assert_eq!(decoder.version(), Some(Version::V5));
}
