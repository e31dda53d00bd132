//! A client that says exactly what it is told to.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use crate::broker::connection::publishing::ack;
use crate::mqtt::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Packet, PacketId, PacketLimits, Publish,
    PublishProperties, Reason, RetainHandling, Subscribe, Subscription, Unsubscribe, Version,
    encode,
};
use crate::names::Qos;

pub(super) const WAIT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    stream: DuplexStream,
    pub(super) version: Version,
    decoder: Decoder,
    input: BytesMut,
}

/// CONNECT of a session that ends with its connection.
pub(super) fn connect(client_id: &str, version: Version) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        client_id: client_id.into(),
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

/// CONNECT of a session that lasts.
pub(super) fn lasting(client_id: &str, version: Version) -> Connect {
    Connect {
        clean_start: false,
        session_expiry_s: if version == Version::V5 { 600 } else { 0 },
        ..connect(client_id, version)
    }
}

pub(super) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(super) fn publish(topic: &str, payload: &str, qos: Qos, packet: u16) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(topic.parse().unwrap()),
        packet_id: (qos > Qos::AtMostOnce).then(|| id(packet)),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: PublishProperties::default(),
    }
}

pub(super) fn subscription(filter: &str, qos: Qos) -> Subscription {
    Subscription {
        filter: filter.parse().map_err(|_| Arc::from(filter)),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

impl Client {
    pub(super) fn new(stream: DuplexStream, version: Version) -> Self {
        Self {
            stream,
            version,
            decoder: Decoder::new(Some(version), PacketLimits::default()),
            input: BytesMut::new(),
        }
    }

    pub(super) async fn send(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        encode(&packet, self.version, &mut out).unwrap();
        self.send_bytes(&out).await;
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        timeout(WAIT, self.stream.write_all(bytes))
            .await
            .unwrap()
            .unwrap();
    }

    /// The next packet; None: the broker has closed the connection.
    pub(super) async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(packet);
            }
            let read = timeout(WAIT, self.stream.read_buf(&mut self.input)).await;
            if read.expect("nothing came").ok()? == 0 {
                return None;
            }
        }
    }

    /// Reads for ever, as slowly as to be next to nothing.
    pub(super) async fn trickle(&mut self) {
        loop {
            let mut some = [0; 64];
            let count = self.stream.read(&mut some).await.unwrap();
            self.input.extend_from_slice(&some[..count]);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn packet(&mut self) -> Packet {
        self.next().await.expect("the connection was closed")
    }

    pub(super) async fn connect(&mut self, connect: Connect) -> ConnAck {
        self.send(Packet::Connect(Box::new(connect))).await;
        match self.packet().await {
            Packet::ConnAck(ack) => *ack,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn subscribe(&mut self, subscriptions: Vec<Subscription>) -> Vec<Reason> {
        self.send(Packet::Subscribe(Subscribe {
            packet_id: id(1),
            subscription_id: None,
            user: Vec::new(),
            subscriptions,
        }))
        .await;
        match self.packet().await {
            Packet::SubAck(ack) => ack.reasons,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn unsubscribe(&mut self, filter: &str) -> Vec<Reason> {
        self.send(Packet::Unsubscribe(Unsubscribe {
            packet_id: id(2),
            user: Vec::new(),
            filters: vec![filter.parse().map_err(|_| Arc::from(filter))],
        }))
        .await;
        match self.packet().await {
            Packet::UnsubAck(ack) => ack.reasons,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn publish(&mut self, publish: Publish) {
        self.send(Packet::Publish(publish)).await;
    }

    /// Publishes with QoS 1 and waits for PUBACK.
    pub(super) async fn publish_acked(&mut self, topic: &str, payload: &str) -> Reason {
        self.publish(publish(topic, payload, Qos::AtLeastOnce, 9))
            .await;
        match self.packet().await {
            Packet::PubAck(ack) => ack.reason,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn message(&mut self) -> Publish {
        match self.packet().await {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    /// The next message, answered.
    pub(super) async fn message_acked(&mut self) -> String {
        let message = self.message().await;
        if let Some(id) = message.packet_id {
            assert_eq!(message.qos, Qos::AtLeastOnce);
            self.send(Packet::PubAck(ack(id, Reason::SUCCESS))).await;
        }
        String::from_utf8(message.payload.to_vec()).unwrap()
    }

    /// Nothing waits to be read: a ping is answered first.
    pub(super) async fn hears_nothing(&mut self) {
        self.send(Packet::PingReq).await;
        assert_eq!(self.packet().await, Packet::PingResp);
    }

    pub(super) async fn answer(&mut self, answer: fn(Ack) -> Packet, id: PacketId) {
        self.send(answer(ack(id, Reason::SUCCESS))).await;
    }

    pub(super) async fn disconnect(mut self) {
        self.leave(Reason::SUCCESS, None).await;
        assert_eq!(self.next().await, None);
    }

    pub(super) async fn leave(&mut self, reason: Reason, session_expiry_s: Option<u32>) {
        self.send(Packet::Disconnect(Disconnect {
            reason,
            session_expiry_s,
            reason_text: None,
            user: Vec::new(),
            server_reference: None,
        }))
        .await;
    }

    /// What the broker says when it ends the connection; None: nothing.
    pub(super) async fn ended(&mut self) -> Option<Reason> {
        let mut said = None;
        while let Some(packet) = self.next().await {
            if let Packet::Disconnect(disconnect) = packet {
                said = Some(disconnect.reason);
            }
        }
        said
    }
}
