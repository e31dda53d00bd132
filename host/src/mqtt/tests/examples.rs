//! Packets byte by byte: those that the specification shows, and one of each kind
//! put together by its tables.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{VERSIONS, read};
use crate::mqtt::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Publish, PublishProperties, Reason,
    RetainHandling, Side, SubAck, Subscribe, Subscription, Unsubscribe, Version, Will, encode,
};
use crate::names::Qos;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn pair(name: &str, value: &str) -> (Arc<str>, Arc<str>) {
    (name.into(), value.into())
}

/// Both ways.
fn check(to: Side, version: Version, packet: Packet, bytes: &[u8]) {
    let mut written = BytesMut::new();
    encode(&packet, version, &mut written).unwrap();
    assert_eq!(written, bytes, "{packet:?} is written");
    assert_eq!(read(to, version, bytes).unwrap(), Some(packet), "{bytes:?}");
}

fn connect(version: Version) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 10,
        client_id: "c1".into(),
        will: None,
        username: None,
        password: None,
        session_expiry_s: 0,
        receive_max: NonZeroU16::MAX,
        packet_bytes_max: None,
        topic_alias_max: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
        authentication_data: None,
        user: Vec::new(),
    }
}

fn will() -> Box<Will> {
    Box::new(Will {
        topic: "w".parse().unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: Qos::AtLeastOnce,
        retain: false,
        delay_s: 0,
        properties: PublishProperties::default(),
    })
}

/// 3.1.1 figure 3.6: user name, password, will of QoS 1, clean session, 10 seconds.
#[test]
fn connect_of_3_1_1_is_as_in_its_figure() {
    let mut packet = connect(Version::V311);
    packet.username = Some("u".into());
    packet.password = Some(Bytes::from_static(b"p"));
    packet.will = Some(will());
    check(
        Side::Server,
        Version::V311,
        Packet::Connect(Box::new(packet)),
        b"\x10\x1d\0\x04MQTT\x04\xce\0\x0a\0\x02c1\0\x01w\0\x04gone\0\x01u\0\x01p",
    );
}

/// 5.0 figure 3-6: the same with a session expiry of 10 seconds.
#[test]
fn connect_of_5_is_as_in_its_figure() {
    let mut packet = connect(Version::V5);
    packet.session_expiry_s = 10;
    packet.username = Some("u".into());
    packet.password = Some(Bytes::from_static(b"p"));
    packet.will = Some(will());
    check(
        Side::Server,
        Version::V5,
        Packet::Connect(Box::new(packet)),
        b"\x10\x24\0\x04MQTT\x05\xce\0\x0a\x05\x11\0\0\0\x0a\0\x02c1\0\0\x01w\0\x04gone\0\x01u\0\x01p",
    );
}

#[test]
fn connect_of_5_may_have_a_password_alone_and_all_properties() {
    let mut packet = connect(Version::V5);
    packet.password = Some(Bytes::from_static(b"p"));
    packet.receive_max = id(2);
    packet.packet_bytes_max = Some(1024.try_into().unwrap());
    packet.topic_alias_max = 3;
    packet.request_response_information = true;
    packet.request_problem_information = false;
    packet.authentication_method = Some("m".into());
    packet.authentication_data = Some(Bytes::from_static(b"\xff\0"));
    packet.user = vec![pair("k", "v"), pair("k", "")];
    check(
        Side::Server,
        Version::V5,
        Packet::Connect(Box::new(packet)),
        b"\x10\x37\0\x04MQTT\x05\x42\0\x0a\x25\x21\0\x02\x27\0\0\x04\0\x22\0\x03\x19\x01\x17\0\
          \x15\0\x01m\x16\0\x02\xff\0\x26\0\x01k\0\x01v\x26\0\x01k\0\0\0\x02c1\0\x01p",
    );
}

#[test]
fn connack_says_the_same_in_both_versions() {
    let mut ack = ConnAck::new(Reason::SUCCESS);
    ack.session_present = true;
    let packet = |ack: &ConnAck| Packet::ConnAck(Box::new(ack.clone()));
    check(Side::Client, Version::V311, packet(&ack), b"\x20\x02\x01\0");
    check(Side::Client, Version::V5, packet(&ack), b"\x20\x03\x01\0\0");
    ack.receive_max = Some(id(20));
    ack.qos_max = Some(Qos::AtLeastOnce);
    ack.assigned_client_id = Some("x".into());
    ack.shared_available = false;
    check(
        Side::Client,
        Version::V5,
        packet(&ack),
        b"\x20\x0e\x01\0\x0b\x21\0\x14\x24\x01\x2a\0\x12\0\x01x",
    );
}

#[test]
fn refusals_in_connack_are_mapped_to_the_six_codes_of_3_1_1() {
    for (reason, code, read_as) in [
        (Reason::UNSUPPORTED_VERSION, 1, Reason::UNSUPPORTED_VERSION),
        (Reason::CLIENT_ID_NOT_VALID, 2, Reason::CLIENT_ID_NOT_VALID),
        (Reason::QUOTA_EXCEEDED, 3, Reason::SERVER_UNAVAILABLE),
        (Reason::SERVER_BUSY, 3, Reason::SERVER_UNAVAILABLE),
        (Reason::BAD_CREDENTIALS, 4, Reason::BAD_CREDENTIALS),
        (Reason::NOT_AUTHORIZED, 5, Reason::NOT_AUTHORIZED),
        (Reason::BANNED, 5, Reason::NOT_AUTHORIZED),
    ] {
        let mut bytes = BytesMut::new();
        let packet = Packet::ConnAck(Box::new(ConnAck::new(reason)));
        encode(&packet, Version::V311, &mut bytes).unwrap();
        assert_eq!(&bytes[..], [0x20, 2, 0, code], "{reason}");
        let ack = read(Side::Client, Version::V311, &bytes).unwrap();
        assert_eq!(ack, Some(Packet::ConnAck(Box::new(ConnAck::new(read_as)))));
    }
}

/// Figure 3-9 of 5.0: topic `a/b`, packet identifier 10, no properties.
#[test]
fn publish_is_as_in_its_figure() {
    let mut publish = Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        topic: Some("a/b".parse().unwrap()),
        packet_id: Some(id(10)),
        payload: Bytes::from_static(b"hi"),
        properties: PublishProperties::default(),
    };
    for to in [Side::Server, Side::Client] {
        let packet = Packet::Publish(publish.clone());
        check(
            to,
            Version::V311,
            packet.clone(),
            b"\x32\x09\0\x03a/b\0\x0ahi",
        );
        check(to, Version::V5, packet, b"\x32\x0a\0\x03a/b\0\x0a\0hi");
    }
    publish.topic = None;
    publish.dup = true;
    publish.retain = true;
    publish.qos = Qos::ExactlyOnce;
    publish.properties = PublishProperties {
        utf8: true,
        expiry_s: Some(1),
        topic_alias: Some(id(5)),
        response_topic: Some("r".parse().unwrap()),
        correlation: Some(Bytes::from_static(b"\0")),
        user: vec![pair("", "v")],
        subscription_ids: vec![1.try_into().unwrap(), 200.try_into().unwrap()],
        content_type: Some("t".into()),
    };
    check(
        Side::Client,
        Version::V5,
        Packet::Publish(publish),
        b"\x3d\x28\0\0\0\x0a\x21\x01\x01\x02\0\0\0\x01\x23\0\x05\x08\0\x01r\x09\0\x01\0\
          \x26\0\0\0\x01v\x0b\x01\x0b\xc8\x01\x03\0\x01thi",
    );
}

#[test]
fn acknowledgements_have_three_lengths() {
    let bare = Ack::new(id(0x1234), Reason::SUCCESS);
    for version in VERSIONS {
        let to = Side::Server;
        check(
            to,
            version,
            Packet::PubAck(bare.clone()),
            b"\x40\x02\x12\x34",
        );
        check(
            to,
            version,
            Packet::PubRec(bare.clone()),
            b"\x50\x02\x12\x34",
        );
        check(
            to,
            version,
            Packet::PubRel(bare.clone()),
            b"\x62\x02\x12\x34",
        );
        check(
            to,
            version,
            Packet::PubComp(bare.clone()),
            b"\x70\x02\x12\x34",
        );
    }
    let mut ack = Ack::new(id(1), Reason::NO_MATCHING_SUBSCRIBERS);
    let short = b"\x40\x03\0\x01\x10";
    check(
        Side::Client,
        Version::V5,
        Packet::PubAck(ack.clone()),
        short,
    );
    ack.reason_text = Some("t".into());
    ack.user = vec![pair("k", "v")];
    check(
        Side::Client,
        Version::V5,
        Packet::PubAck(ack),
        b"\x40\x0f\0\x01\x10\x0b\x1f\0\x01t\x26\0\x01k\0\x01v",
    );
    // A length of properties that could have been left out.
    let long = read(Side::Client, Version::V5, b"\x40\x04\x12\x34\0\0").unwrap();
    assert_eq!(long, Some(Packet::PubAck(bare)));
}

/// Figure 3-21 of 5.0: `a/b` with QoS 1 and `c/d` with QoS 2, packet identifier 10.
#[test]
fn subscribe_is_as_in_its_figure() {
    let subscription = |filter: &str, qos| Subscription {
        filter: Ok(filter.parse().unwrap()),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let mut subscribe = Subscribe {
        packet_id: id(10),
        subscription_id: None,
        user: Vec::new(),
        subscriptions: vec![
            subscription("a/b", Qos::AtLeastOnce),
            subscription("c/d", Qos::ExactlyOnce),
        ],
    };
    let packet = |subscribe: &Subscribe| Packet::Subscribe(subscribe.clone());
    check(
        Side::Server,
        Version::V311,
        packet(&subscribe),
        b"\x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/d\x02",
    );
    subscribe.subscription_id = Some(7.try_into().unwrap());
    subscribe.subscriptions[0].no_local = true;
    subscribe.subscriptions[0].retain_as_published = true;
    subscribe.subscriptions[1].retain_handling = RetainHandling::Leave;
    check(
        Side::Server,
        Version::V5,
        packet(&subscribe),
        b"\x82\x11\0\x0a\x02\x0b\x07\0\x03a/b\x0d\0\x03c/d\x22",
    );
}

#[test]
fn unsubscribe_and_its_acknowledgement() {
    let packet = Packet::Unsubscribe(Unsubscribe {
        packet_id: id(10),
        user: Vec::new(),
        filters: vec![Ok("a/b".parse().unwrap()), Err("a#".into())],
    });
    let bytes = b"\xa2\x0b\0\x0a\0\x03a/b\0\x02a#";
    check(Side::Server, Version::V311, packet.clone(), bytes);
    let bytes = b"\xa2\x0c\0\x0a\0\0\x03a/b\0\x02a#";
    check(Side::Server, Version::V5, packet, bytes);

    let mut ack = SubAck {
        packet_id: id(10),
        reason_text: None,
        user: Vec::new(),
        reasons: Vec::new(),
    };
    let packet = Packet::UnsubAck(ack.clone());
    check(Side::Client, Version::V311, packet, b"\xb0\x02\0\x0a");
    ack.reasons = vec![Reason::NO_SUBSCRIPTION_EXISTED, Reason::FILTER_INVALID];
    let packet = Packet::UnsubAck(ack);
    check(
        Side::Client,
        Version::V5,
        packet,
        b"\xb0\x05\0\x0a\0\x11\x8f",
    );
}

#[test]
fn suback_has_one_failure_in_3_1_1() {
    let ack = |reasons: &[Reason]| {
        Packet::SubAck(SubAck {
            packet_id: id(1),
            reason_text: None,
            user: Vec::new(),
            reasons: reasons.to_vec(),
        })
    };
    let all = [
        Reason::SUCCESS,
        Reason::GRANTED_QOS_2,
        Reason::NOT_AUTHORIZED,
    ];
    let bytes = b"\x90\x06\0\x01\0\0\x02\x87";
    check(Side::Client, Version::V5, ack(&all), bytes);
    let mut plain = BytesMut::new();
    encode(&ack(&all), Version::V311, &mut plain).unwrap();
    assert_eq!(&plain[..], b"\x90\x05\0\x01\0\x02\x80");
    let all = [Reason::SUCCESS, Reason::GRANTED_QOS_2, Reason::UNSPECIFIED];
    check(Side::Client, Version::V311, ack(&all), &plain);
}

#[test]
fn the_shortest_packets() {
    for version in VERSIONS {
        check(Side::Server, version, Packet::PingReq, b"\xc0\0");
        check(Side::Client, version, Packet::PingResp, b"\xd0\0");
        let bye = Packet::Disconnect(Disconnect::new(Reason::SUCCESS));
        check(Side::Server, version, bye, b"\xe0\0");
    }
    let auth = Auth {
        reason: Reason::SUCCESS,
        method: None,
        data: None,
        reason_text: None,
        user: Vec::new(),
    };
    check(Side::Client, Version::V5, Packet::Auth(auth), b"\xf0\0");
}

#[test]
fn disconnect_and_auth_of_5_say_why() {
    let mut disconnect = Disconnect::new(Reason::DISCONNECT_WITH_WILL);
    let packet = Packet::Disconnect(disconnect.clone());
    check(Side::Server, Version::V5, packet, b"\xe0\x01\x04");
    disconnect.session_expiry_s = Some(u32::MAX);
    let packet = Packet::Disconnect(disconnect);
    let bytes = b"\xe0\x07\x04\x05\x11\xff\xff\xff\xff";
    check(Side::Server, Version::V5, packet, bytes);
    let mut disconnect = Disconnect::new(Reason::USE_ANOTHER_SERVER);
    disconnect.reason_text = Some("t".into());
    disconnect.server_reference = Some("s".into());
    let packet = Packet::Disconnect(disconnect);
    let bytes = b"\xe0\x0a\x9c\x08\x1f\0\x01t\x1c\0\x01s";
    check(Side::Client, Version::V5, packet, bytes);
    let auth = Auth {
        reason: Reason::CONTINUE_AUTHENTICATION,
        method: Some("m".into()),
        data: Some(Bytes::from_static(b"d")),
        reason_text: None,
        user: Vec::new(),
    };
    let bytes = b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01d";
    check(Side::Server, Version::V5, Packet::Auth(auth), bytes);
}
