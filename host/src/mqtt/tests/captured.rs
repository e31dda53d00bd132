//! What mosquitto 2.0.11 sent: `mosquitto_pub` with QoS 2, retain, a will and all
//! properties it knows, `mosquitto_sub` of two filters, and what `mosquitto` answered.

use bytes::BytesMut;

use super::{Side, Version};
use crate::mqtt::{Decoder, Packet, PacketLimits, encode};

const PUB_CLIENT_V311: &[u8] =
    b"\x10!\0\x04MQTT\x04\xce\0<\0\x04dev1\0\x03w/t\0\x04gone\0\x01u\0\x01p5\x0c\0\x03a/b\
      \0\x01hellob\x02\0\x01\xe0\0";
const PUB_SERVER_V311: &[u8] = b"\x20\x02\0\0P\x02\0\x01p\x02\0\x01";
const SUB_CLIENT_V311: &[u8] =
    b"\x10\x10\0\x04MQTT\x04\x02\0<\0\x04dev2\x82\x0c\0\x01\0\x03a/+\x02\0\x01#\x02\xa2\
      \x07\0\x02\0\x03x/yP\x02\0\x01P\x02\0\x02p\x02\0\x01p\x02\0\x02\xe0\0";
const SUB_SERVER_V311: &[u8] =
    b"\x20\x02\0\0\x90\x04\0\x01\x02\x025\x0c\0\x03a/b\0\x01hello5\x0c\0\x03a/b\0\x02hello\
      \xb0\x02\0\x02b\x02\0\x01b\x02\0\x02";
const PUB_CLIENT_V5: &[u8] =
    b"\x10<\0\x04MQTT\x05\xce\0<\x14\x11\0\0\0<!\0\x0a'\0\0\x13\x88&\0\x01a\0\x01b\0\x04de\
      v1\x05\x18\0\0\0\x03\0\x03w/t\0\x04gone\0\x01u\0\x01p53\0\x03a/b\0\x01&&\0\x01k\0\
      \x01v\x08\0\x03r/t\x09\0\x02cd\x03\0\x0atext/plain\x02\0\0\0<\x01\x01hellob\x02\0\
      \x01\xe0\0";
const PUB_SERVER_V5: &[u8] = b"\x20\x09\0\0\x06\"\0\x0a!\0\x14P\x02\0\x01p\x02\0\x01";
const SUB_CLIENT_V5: &[u8] =
    b"\x10\x14\0\x04MQTT\x05\x02\0<\x03!\0\x02\0\x04dev2\x82\x16\0\x01\x09\x0b\x05&\0\x01s\
      \0\x01t\0\x03a/+\x0a\0\x01#\x0a\xa2\x08\0\x02\0\0\x03x/yP\x02\0\x01P\x02\0\x02p\x02\
      \0\x01p\x02\0\x02\xe0\0";
const SUB_SERVER_V5: &[u8] =
    b"\x20\x09\0\0\x06\"\0\x0a!\0\x14\x90\x05\0\x01\0\x02\x0255\0\x03a/b\0\x01(\x0b\x05&\0\
      \x01k\0\x01v\x08\0\x03r/t\x09\0\x02cd\x03\0\x0atext/plain\x01\x01\x02\0\0\0<hello55\
      \0\x03a/b\0\x02(\x0b\x05&\0\x01k\0\x01v\x08\0\x03r/t\x09\0\x02cd\x03\0\x0atext/plain\
      \x01\x01\x02\0\0\0<hello\xb0\x04\0\x02\0\x11b\x02\0\x01b\x02\0\x02";

const ALL: [(Side, Version, &[u8]); 8] = [
    (Side::Server, Version::V311, PUB_CLIENT_V311),
    (Side::Client, Version::V311, PUB_SERVER_V311),
    (Side::Server, Version::V311, SUB_CLIENT_V311),
    (Side::Client, Version::V311, SUB_SERVER_V311),
    (Side::Server, Version::V5, PUB_CLIENT_V5),
    (Side::Client, Version::V5, PUB_SERVER_V5),
    (Side::Server, Version::V5, SUB_CLIENT_V5),
    (Side::Client, Version::V5, SUB_SERVER_V5),
];

fn read(side: Side, version: Version, bytes: &[u8]) -> Vec<Packet> {
    let version = (side == Side::Client).then_some(version);
    let mut decoder = Decoder::new(version, PacketLimits::default());
    let mut buffer = BytesMut::from(bytes);
    let mut packets = Vec::new();
    while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
        packets.push(packet);
    }
    assert!(buffer.is_empty());
    packets
}

#[test]
fn what_mosquitto_sends_is_read() {
    let expected = [
        "CONNECT PUBLISH PUBREL DISCONNECT",
        "CONNACK PUBREC PUBCOMP",
        "CONNECT SUBSCRIBE UNSUBSCRIBE PUBREC PUBREC PUBCOMP PUBCOMP DISCONNECT",
        "CONNACK SUBACK PUBLISH PUBLISH UNSUBACK PUBREL PUBREL",
    ];
    for ((side, version, bytes), expected) in ALL.into_iter().zip(expected.iter().cycle()) {
        let packets = read(side, version, bytes);
        let names = packets.iter().map(|packet| packet.packet_type().name());
        assert_eq!(names.collect::<Vec<_>>().join(" "), *expected);
    }
}

#[test]
fn what_mosquitto_sends_is_written_as_long_and_read_as_the_same() {
    for (side, version, bytes) in ALL {
        let packets = read(side, version, bytes);
        let mut again = BytesMut::new();
        for packet in &packets {
            encode(packet, version, &mut again).unwrap();
        }
        // Only the order of properties is anyone's choice.
        assert_eq!(again.len(), bytes.len());
        if version == Version::V311 {
            assert_eq!(again, bytes);
        }
        assert_eq!(read(side, version, &again), packets);
    }
}
