//! Each thing that is refused, with its reason.

use bytes::BytesMut;

use super::{VERSIONS, decoder, framed, read};
use crate::mqtt::{DecodeError, Packet, PublishFlaw, Reason, Side, Version};
use crate::names::Qos;

const MALFORMED: Reason = Reason::MALFORMED_PACKET;
const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;

const V311: Version = Version::V311;
const V5: Version = Version::V5;
const SERVER: Side = Side::Server;
const CLIENT: Side = Side::Client;

pub(super) fn refused(to: Side, version: Version, bytes: &[u8]) -> DecodeError {
    match read(to, version, bytes) {
        Err(error) => error,
        Ok(packet) => panic!("{bytes:x?} is read as {packet:?}"),
    }
}

/// Each is a first byte and a body.
pub(super) fn check(to: Side, version: Version, reason: Reason, bad: &[(&str, u8, &[u8])]) {
    for (why, first, body) in bad {
        let error = refused(to, version, &framed(*first, body));
        assert_eq!(error.reason(), reason, "{why}: {error}");
        assert_eq!(error.is_connect(), *first == 0x10, "{why}: {error}");
    }
}

#[test]
fn fixed_headers_that_are_none() {
    for version in VERSIONS {
        for to in [SERVER, CLIENT] {
            let error = refused(to, version, b"\0\0");
            assert_eq!(error, DecodeError::Reserved { number: 0 });
            let error = refused(to, version, b"\x30\xff\xff\xff\xff");
            assert_eq!(error.reason(), MALFORMED);
        }
    }
    assert_eq!(refused(CLIENT, V311, b"\xf0\0").reason(), MALFORMED);
    // Fewer bytes would do: 5.0 forbids it, 3.1.1 does not.
    assert_eq!(refused(SERVER, V5, b"\xc0\x80\0").reason(), MALFORMED);
    let ping = read(SERVER, V311, b"\xc0\x80\0").unwrap();
    assert_eq!(ping, Some(Packet::PingReq));
    let connect = b"\x10\x8e\0\0\x04MQTT\x05\x02\0\0\0\0\x01a";
    assert_eq!(refused(SERVER, V5, connect).reason(), MALFORMED);
}

#[test]
fn reserved_flags_are_refused_before_the_rest_arrives() {
    for version in VERSIONS {
        for first in [0x41u8, 0x50 | 4, 0x60, 0x63, 0x80, 0x8A, 0xA0, 0xC1, 0xE8] {
            let error = refused(SERVER, version, &[first]);
            assert_eq!(error.reason(), MALFORMED, "{first:x}");
        }
        for first in [0x21u8, 0x91, 0xB2, 0xD1] {
            let error = refused(CLIENT, version, &[first]);
            assert_eq!(error.reason(), MALFORMED, "{first:x}");
        }
    }
    assert_eq!(refused(SERVER, V5, b"\x11").reason(), MALFORMED);
    assert_eq!(refused(SERVER, V5, b"\xf1").reason(), MALFORMED);
}

#[test]
fn packets_of_the_other_end_are_refused_by_their_first_byte() {
    for version in VERSIONS {
        for first in [0x20u8, 0x90, 0xB0, 0xD0] {
            let error = refused(SERVER, version, &[first]);
            assert_eq!(error.reason(), PROTOCOL, "{first:x}");
        }
        for first in [0x10u8, 0x82, 0xA2, 0xC0] {
            let error = refused(CLIENT, version, &[first]);
            assert_eq!(error.reason(), PROTOCOL, "{first:x}");
        }
    }
    assert_eq!(refused(CLIENT, V311, b"\xe0").reason(), PROTOCOL);
    // A second CONNECT.
    let mut again = decoder(SERVER, V5);
    let error = again.decode(&mut BytesMut::from(&b"\x10"[..])).unwrap_err();
    assert_eq!(error.reason(), PROTOCOL);
}

#[test]
fn publish_in_bad_form() {
    for version in VERSIONS {
        let bad: [(&str, u8, &[u8]); 6] = [
            ("QoS 3", 0x36, b"\0\x01a\0\x01\0"),
            ("duplicate of QoS 0", 0x38, b"\0\x01a\0"),
            ("cut topic", 0x30, b"\0\x02a"),
            ("NUL", 0x30, b"\0\x01\0\0"),
            ("no UTF-8", 0x30, b"\0\x01\xc0\0"),
            ("cut packet identifier", 0x32, b"\0\x01a\0"),
        ];
        for to in [SERVER, CLIENT] {
            check(to, version, MALFORMED, &bad);
            check(to, version, PROTOCOL, &[("id 0", 0x32, b"\0\x01a\0\0\0")]);
        }
    }
    let bad: [(&str, u8, &[u8]); 4] = [
        ("no properties", 0x30, b"\0\x01a"),
        ("of CONNECT", 0x30, b"\0\x01a\x05\x11\0\0\0\0"),
        ("NUL in a property", 0x30, b"\0\x01a\x04\x03\0\x01\0"),
        ("padded length", 0x30, b"\0\x01a\x80\0"),
    ];
    check(SERVER, V5, MALFORMED, &bad);
    let bad: [(&str, u8, &[u8]); 4] = [
        ("twice", 0x30, b"\0\x01a\x04\x01\0\x01\0"),
        ("format 2", 0x30, b"\0\x01a\x02\x01\x02"),
        ("subscription identifier", 0x30, b"\0\x01a\x02\x0b\x01"),
        ("subscription identifier 0", 0x30, b"\0\x01a\x02\x0b\0"),
    ];
    check(SERVER, V5, PROTOCOL, &bad);
    let zero = [("alias 0", 0x30, &b"\0\x01a\x03\x23\0\0"[..])];
    check(SERVER, V5, Reason::TOPIC_ALIAS_INVALID, &zero);
}

#[test]
fn a_publish_that_cannot_be_taken_leaves_the_connection_usable() {
    let long = [&b"\x04\x01"[..], &[b'a'; 0x401], b"\0\x07"].concat();
    for (why, first, body, flaw) in [
        (
            "wildcard",
            0x32,
            &b"\0\x03a/+\0\x07\0"[..],
            PublishFlaw::Wildcards,
        ),
        ("control", 0x34, b"\0\x02a\x01\0\x07\0", PublishFlaw::Topic),
        (
            "no character",
            0x30,
            b"\0\x03\xef\xbf\xbf\0",
            PublishFlaw::Topic,
        ),
        (
            "long",
            0x32,
            &[&long[..], b"\0"].concat(),
            PublishFlaw::Topic,
        ),
        ("nothing", 0x32, b"\0\0\0\x07\0", PublishFlaw::NoTopic),
        (
            "answer",
            0x32,
            b"\0\x01a\0\x07\x04\x08\0\x01\x01",
            PublishFlaw::ResponseTopic,
        ),
        (
            "answers",
            0x32,
            b"\0\x01a\0\x07\x04\x08\0\x01#",
            PublishFlaw::ResponseWildcards,
        ),
    ] {
        let mut decoder = decoder(SERVER, V5);
        let mut buffer = BytesMut::from(&framed(first, body)[..]);
        buffer.extend_from_slice(b"\xc0\0");
        let error = decoder.decode(&mut buffer).unwrap_err();
        let qos = Qos::from_level(first >> 1 & 3).unwrap();
        let packet_id = (qos != Qos::AtMostOnce).then(|| 7.try_into().unwrap());
        let expected = DecodeError::Publish {
            flaw,
            qos,
            packet_id,
        };
        assert_eq!(error, expected, "{why}");
        let reason = match flaw {
            PublishFlaw::NoTopic | PublishFlaw::ResponseWildcards => Reason::PROTOCOL_ERROR,
            _ => Reason::TOPIC_NAME_INVALID,
        };
        assert_eq!(error.reason(), reason, "{why}");
        let next = decoder.decode(&mut buffer).unwrap();
        assert_eq!(next, Some(Packet::PingReq), "{why}");
    }
}

#[test]
fn acknowledgements_in_bad_form() {
    for version in VERSIONS {
        for first in [0x40, 0x50, 0x62, 0x70] {
            check(SERVER, version, MALFORMED, &[("short", first, b"\0")]);
            check(SERVER, version, PROTOCOL, &[("id 0", first, b"\0\0")]);
        }
    }
    let more = [("more", 0x40, &b"\0\x01\0"[..])];
    check(SERVER, V311, MALFORMED, &more);
    let bad: [(&str, u8, &[u8]); 3] = [
        ("of PUBLISH", 0x40, b"\0\x01\0\x02\x01\0"),
        ("more behind", 0x40, b"\0\x01\0\0\0"),
        ("cut text", 0x40, b"\0\x01\0\x03\x1f\0\x01"),
    ];
    check(SERVER, V5, MALFORMED, &bad);
    let bad: [(&str, u8, &[u8]); 4] = [
        ("reason", 0x40, b"\0\x01\x01"),
        ("reason of PUBACK", 0x62, b"\0\x01\x10"),
        ("unknown reason", 0x40, b"\0\x01\xff"),
        ("text twice", 0x40, b"\0\x01\0\x06\x1f\0\0\x1f\0\0"),
    ];
    check(SERVER, V5, PROTOCOL, &bad);
    // A failure of a server's own is a failure; a success of its own is nothing.
    assert!(read(CLIENT, V5, &framed(0x40, b"\0\x01\xf0")).is_ok());
    check(CLIENT, V5, PROTOCOL, &[("reason", 0x40, b"\0\x01\x42")]);
}

#[test]
fn subscribe_in_bad_form() {
    for version in VERSIONS {
        let properties: &[u8] = if version == V5 { b"\0" } else { b"" };
        let body = |id: &[u8], rest: &[u8]| [id, properties, rest].concat();
        for (first, ok) in [(0x82, &b"\0\x01a\0"[..]), (0xA2, b"\0\x01a")] {
            assert!(read(SERVER, version, &framed(first, &body(b"\0\x01", ok))).is_ok());
            let empty = body(b"\0\x01", b"");
            check(SERVER, version, PROTOCOL, &[("empty", first, &empty)]);
            let zero = body(b"\0\0", ok);
            check(SERVER, version, PROTOCOL, &[("id 0", first, &zero)]);
            let nul = body(b"\0\x01", b"\0\x01\0\0");
            check(SERVER, version, MALFORMED, &[("NUL", first, &nul)]);
            let cut = body(b"\0\x01", b"\0\x02a");
            check(SERVER, version, MALFORMED, &[("cut", first, &cut)]);
        }
        let none = body(b"\0\x01", b"\0\x01a");
        check(SERVER, version, MALFORMED, &[("no options", 0x82, &none)]);
        let three = body(b"\0\x01", b"\0\x01a\x03");
        check(SERVER, version, PROTOCOL, &[("QoS 3", 0x82, &three)]);
    }
    let local = [("options of 5.0", 0x82, &b"\0\x01\0\x01a\x04"[..])];
    check(SERVER, V311, MALFORMED, &local);
    let bad: [(&str, u8, &[u8]); 3] = [
        ("bit 6", 0x82, b"\0\x01\0\0\x01a\x40"),
        ("bit 7", 0x82, b"\0\x01\0\0\x01a\x80"),
        ("of PUBLISH", 0x82, b"\0\x01\x02\x01\0\0\x01a\0"),
    ];
    check(SERVER, V5, MALFORMED, &bad);
    let bad: [(&str, u8, &[u8]); 4] = [
        ("retain handling 3", 0x82, b"\0\x01\0\0\x01a\x30"),
        ("shared, no local", 0x82, b"\0\x01\0\0\x0a$share/g/a\x04"),
        ("identifier 0", 0x82, b"\0\x01\x02\x0b\0\0\x01a\0"),
        (
            "identifier twice",
            0x82,
            b"\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0",
        ),
    ];
    check(SERVER, V5, PROTOCOL, &bad);
    let id = [("identifier", 0xA2, &b"\0\x01\x02\x0b\x01\0\x01a"[..])];
    check(SERVER, V5, MALFORMED, &id);
}

#[test]
fn filters_that_are_none_do_not_spoil_the_others() {
    let long = [&[0x04, 0x01][..], &[b'a'; 0x401], b"\0"].concat();
    let body = [b"\0\x01\0\0\x02a#\0\0\0\0\0\x01b\x01", &long[..]].concat();
    let packet = read(SERVER, V5, &framed(0x82, &body)).unwrap();
    let Some(Packet::Subscribe(subscribe)) = packet else {
        panic!("{packet:?}")
    };
    let good: Vec<_> = subscribe
        .subscriptions
        .iter()
        .map(|s| s.filter.is_ok())
        .collect();
    assert_eq!(good, [false, false, true, false]);
}

#[test]
fn what_servers_answer_in_bad_form() {
    for version in VERSIONS {
        let bad: [(&str, u8, &[u8]); 2] = [
            ("short", 0x20, b"\0"),
            ("reserved flags", 0x20, b"\x02\0\0"),
        ];
        check(CLIENT, version, MALFORMED, &bad);
        let body: &[u8] = if version == V5 {
            b"\x01\x87\0"
        } else {
            b"\x01\x05"
        };
        check(CLIENT, version, PROTOCOL, &[("present", 0x20, body)]);
        check(CLIENT, version, MALFORMED, &[("ping", 0xD0, b"\0")]);
    }
    let bad: [(&str, u8, &[u8]); 5] = [
        ("return code 6", 0x20, b"\0\x06"),
        ("more behind", 0x20, b"\0\0\0"),
        ("SUBACK 3", 0x90, b"\0\x01\x03"),
        ("SUBACK 0x87", 0x90, b"\0\x01\x87"),
        ("UNSUBACK with codes", 0xB0, b"\0\x01\0"),
    ];
    check(CLIENT, V311, MALFORMED, &bad);
    check(CLIENT, V311, PROTOCOL, &[("none", 0x90, b"\0\x01")]);
    let bad: [(&str, u8, &[u8]); 3] = [
        ("no properties", 0x20, b"\0\0"),
        ("of CONNECT", 0x20, b"\0\0\x02\x17\0"),
        ("more behind", 0x20, b"\0\0\0\0"),
    ];
    check(CLIENT, V5, MALFORMED, &bad);
    let bad: [(&str, u8, &[u8]); 7] = [
        ("QoS 2 as the most", 0x20, b"\0\0\x02\x24\x02"),
        ("receive maximum 0", 0x20, b"\0\0\x03\x21\0\0"),
        ("success of its own", 0x20, b"\0\x01\0"),
        ("SUBACK without codes", 0x90, b"\0\x01\0"),
        ("SUBACK 3", 0x90, b"\0\x01\0\x03"),
        ("UNSUBACK without codes", 0xB0, b"\0\x01\0"),
        ("session expiry", 0xE0, b"\0\x05\x11\0\0\0\0"),
    ];
    check(CLIENT, V5, PROTOCOL, &bad);
}

#[test]
fn disconnect_and_auth_in_bad_form() {
    check(SERVER, V311, MALFORMED, &[("reason", 0xE0, b"\0")]);
    check(SERVER, V311, MALFORMED, &[("ping", 0xC0, b"\0")]);
    let bad: [(&str, u8, &[u8]); 2] = [
        ("more behind", 0xE0, b"\0\0\0"),
        ("of PUBLISH", 0xE0, b"\0\x02\x01\0"),
    ];
    check(SERVER, V5, MALFORMED, &bad);
    let bad: [(&str, u8, &[u8]); 6] = [
        ("reason of servers", 0xE0, b"\x8e"),
        ("server reference", 0xE0, b"\0\x04\x1c\0\x01s"),
        ("AUTH success", 0xF0, b""),
        ("AUTH success in full", 0xF0, b"\0\x04\x15\0\x01m"),
        ("AUTH without method", 0xF0, b"\x18\0"),
        ("AUTH method twice", 0xF0, b"\x18\x08\x15\0\x01m\x15\0\x01m"),
    ];
    check(SERVER, V5, PROTOCOL, &bad);
    check(SERVER, V5, MALFORMED, &[("AUTH cut", 0xF0, b"\x18")]);
    check(CLIENT, V5, PROTOCOL, &[("of clients", 0xE0, b"\x04")]);
    check(CLIENT, V5, PROTOCOL, &[("of clients", 0xF0, b"\x19")]);
}
