//! Any packet of 5.0.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mqtt::reason::allowed;
use crate::mqtt::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish,
    PublishProperties, Reason, RetainHandling, Side, SubAck, Subscribe, Subscription, Unsubscribe,
    UserProperties, Version, Will,
};
use crate::names::{Qos, Topic, TopicFilter};

fn text() -> impl Strategy<Value = Arc<str>> {
    "[a-zA-Z0-9 /äß€😀\u{1}\u{feff}]{0,12}".prop_map(|text| Arc::from(text.as_str()))
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn user() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

fn topic() -> impl Strategy<Value = Topic> {
    "[a-c/$ä€]{1,12}".prop_map(|text| text.parse().unwrap())
}

fn qos() -> impl Strategy<Value = Qos> {
    select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    any::<NonZeroU16>()
}

fn reason(packet: PacketType, from: Side) -> impl Strategy<Value = Reason> {
    let to = match from {
        Side::Server => Side::Client,
        Side::Client => Side::Server,
    };
    select(allowed(packet, to)).prop_map(Reason)
}

fn subscription_id() -> impl Strategy<Value = NonZeroU32> {
    (1..=0x0FFF_FFFFu32).prop_map(|id| NonZeroU32::new(id).unwrap())
}

fn properties(from: Side) -> impl Strategy<Value = PublishProperties> {
    let ids = match from {
        Side::Server => vec(subscription_id(), 0..4).boxed(),
        Side::Client => Just(Vec::new()).boxed(),
    };
    (
        any::<bool>(),
        of(any::<u32>()),
        of(topic()),
        of(binary()),
        user(),
        ids,
        of(text()),
    )
        .prop_map(
            |(
                utf8,
                expiry_s,
                response_topic,
                correlation,
                user,
                subscription_ids,
                content_type,
            )| {
                PublishProperties {
                    utf8,
                    expiry_s,
                    topic_alias: None,
                    response_topic,
                    correlation,
                    user,
                    subscription_ids,
                    content_type,
                }
            },
        )
}

fn publish(from: Side) -> impl Strategy<Value = Packet> {
    let flags = (any::<bool>(), qos(), any::<bool>(), packet_id());
    let topics = (of(topic()), of(any::<NonZeroU16>()), topic());
    (flags, topics, binary(), properties(from)).prop_map(
        |((dup, qos, retain, id), (topic, alias, other), payload, mut properties)| {
            properties.topic_alias = alias;
            let topic = match alias {
                None => Some(topic.unwrap_or(other)),
                Some(_) => topic,
            };
            Packet::Publish(Publish {
                dup: dup && qos != Qos::AtMostOnce,
                qos,
                retain,
                topic,
                packet_id: (qos != Qos::AtMostOnce).then_some(id),
                payload,
                properties,
            })
        },
    )
}

fn will() -> impl Strategy<Value = Box<Will>> {
    let what = (topic(), binary(), qos(), any::<bool>(), any::<u32>());
    (what, properties(Side::Client)).prop_map(
        |((topic, payload, qos, retain, delay_s), properties)| {
            Box::new(Will {
                topic,
                payload,
                qos,
                retain,
                delay_s,
                properties,
            })
        },
    )
}

fn connect() -> impl Strategy<Value = Packet> {
    let who = (
        any::<bool>(),
        any::<u16>(),
        text(),
        of(will()),
        of(text()),
        of(binary()),
    );
    let limits = (
        any::<u32>(),
        any::<NonZeroU16>(),
        of(any::<NonZeroU32>()),
        any::<u16>(),
    );
    let rest = (
        any::<bool>(),
        any::<bool>(),
        of((text(), of(binary()))),
        user(),
    );
    (who, limits, rest).prop_map(|(who, limits, rest)| {
        let (clean_start, keep_alive_s, client_id, will, username, password) = who;
        let (session_expiry_s, receive_max, packet_bytes_max, topic_alias_max) = limits;
        let (response, problem, authentication, user) = rest;
        let (method, data) = authentication.unzip();
        Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            username,
            password,
            session_expiry_s,
            receive_max,
            packet_bytes_max,
            topic_alias_max,
            request_response_information: response,
            request_problem_information: problem,
            authentication_method: method,
            authentication_data: data.flatten(),
            user,
        }))
    })
}

fn conn_ack() -> impl Strategy<Value = Packet> {
    let says = (any::<bool>(), reason(PacketType::ConnAck, Side::Server));
    let limits = (
        of(any::<u32>()),
        of(any::<NonZeroU16>()),
        of(select(vec![Qos::AtMostOnce, Qos::AtLeastOnce])),
        of(any::<NonZeroU32>()),
        any::<u16>(),
        of(any::<u16>()),
    );
    let texts = (
        of(text()),
        of(text()),
        user(),
        of(text()),
        of(text()),
        of(text()),
        of(binary()),
    );
    (says, limits, any::<[bool; 4]>(), texts).prop_map(|(says, limits, available, texts)| {
        let mut ack = ConnAck::new(says.1);
        ack.session_present = says.0 && says.1 == Reason::SUCCESS;
        (
            ack.session_expiry_s,
            ack.receive_max,
            ack.qos_max,
            ack.packet_bytes_max,
            ack.topic_alias_max,
            ack.keep_alive_s,
        ) = limits;
        [
            ack.retain_available,
            ack.wildcards_available,
            ack.subscription_ids_available,
            ack.shared_available,
        ] = available;
        (
            ack.assigned_client_id,
            ack.reason_text,
            ack.user,
            ack.response_information,
            ack.server_reference,
            ack.authentication_method,
            ack.authentication_data,
        ) = texts;
        Packet::ConnAck(Box::new(ack))
    })
}

fn ack(packet: PacketType, from: Side) -> impl Strategy<Value = Ack> {
    (packet_id(), reason(packet, from), of(text()), user()).prop_map(
        |(packet_id, reason, reason_text, user)| Ack {
            packet_id,
            reason,
            reason_text,
            user,
        },
    )
}

fn acks(from: Side) -> impl Strategy<Value = Packet> {
    prop_oneof![
        ack(PacketType::PubAck, from).prop_map(Packet::PubAck),
        ack(PacketType::PubRec, from).prop_map(Packet::PubRec),
        ack(PacketType::PubRel, from).prop_map(Packet::PubRel),
        ack(PacketType::PubComp, from).prop_map(Packet::PubComp),
    ]
}

fn filter() -> impl Strategy<Value = Result<TopicFilter, Arc<str>>> {
    let texts = vec![
        "a",
        "a/+/b",
        "#",
        "$share/g/a/#",
        "a/#/b",
        "",
        "$share//a",
        "ä/€",
        "a\u{1}",
    ];
    select(texts).prop_map(|text: &str| text.parse().map_err(|_| text.into()))
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let handling = select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::Leave,
    ]);
    (filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let shared = filter.as_ref().is_ok_and(|filter| filter.group().is_some());
            Subscription {
                filter,
                qos,
                no_local: no_local && !shared,
                retain_as_published,
                retain_handling,
            }
        },
    )
}

fn subscribe() -> impl Strategy<Value = Packet> {
    let subscriptions = vec(subscription(), 1..5);
    (packet_id(), of(subscription_id()), user(), subscriptions).prop_map(
        |(packet_id, subscription_id, user, subscriptions)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id,
                user,
                subscriptions,
            })
        },
    )
}

fn unsubscribe() -> impl Strategy<Value = Packet> {
    (packet_id(), user(), vec(filter(), 1..5)).prop_map(|(packet_id, user, filters)| {
        Packet::Unsubscribe(Unsubscribe {
            packet_id,
            user,
            filters,
        })
    })
}

fn sub_ack(packet: PacketType) -> impl Strategy<Value = SubAck> {
    let reasons = vec(reason(packet, Side::Server), 1..5);
    (packet_id(), of(text()), user(), reasons).prop_map(
        |(packet_id, reason_text, user, reasons)| SubAck {
            packet_id,
            reason_text,
            user,
            reasons,
        },
    )
}

fn disconnect(from: Side) -> impl Strategy<Value = Packet> {
    let says = reason(PacketType::Disconnect, from);
    (says, of(any::<u32>()), of(text()), user(), of(text())).prop_map(
        move |(reason, session_expiry_s, reason_text, user, server_reference)| {
            Packet::Disconnect(Disconnect {
                reason,
                session_expiry_s: session_expiry_s.filter(|_| from == Side::Client),
                reason_text,
                user,
                server_reference: server_reference.filter(|_| from == Side::Server),
            })
        },
    )
}

fn auth(from: Side) -> impl Strategy<Value = Packet> {
    let says = reason(PacketType::Auth, from);
    (says, text(), of(binary()), of(text()), user()).prop_map(
        |(reason, method, data, reason_text, user)| {
            Packet::Auth(Auth {
                reason,
                method: Some(method),
                data,
                reason_text,
                user,
            })
        },
    )
}

/// What clients send in 5.0.
pub(super) fn from_client() -> impl Strategy<Value = Packet> {
    prop_oneof![
        connect(),
        publish(Side::Client),
        acks(Side::Client),
        subscribe(),
        unsubscribe(),
        Just(Packet::PingReq),
        disconnect(Side::Client),
        auth(Side::Client),
    ]
}

/// What servers send in 5.0.
pub(super) fn from_server() -> impl Strategy<Value = Packet> {
    prop_oneof![
        conn_ack(),
        publish(Side::Server),
        acks(Side::Server),
        sub_ack(PacketType::SubAck).prop_map(Packet::SubAck),
        sub_ack(PacketType::UnsubAck).prop_map(Packet::UnsubAck),
        Just(Packet::PingResp),
        disconnect(Side::Server),
        auth(Side::Server),
    ]
}
