//! A client for tests that knows the bytes: it sends what it is told, right or
//! wrong, and fails the test at whatever a server may not send.
//!
//! It does nothing by itself: no pings, no acknowledgements, no reconnecting.

pub(crate) mod bytes;
pub(crate) mod packet;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

pub(crate) use bytes::{Properties, Value, Version, property};
pub(crate) use packet::{Connect, Packet, Publish, Step, Will};

use super::target::{Stream, Target};

/// After this a test fails. Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A connection to a broker.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    version: Version,
    /// What has come and is not a whole packet.
    buffer: Vec<u8>,
    /// Packets that came while another was waited for.
    waiting: VecDeque<Packet>,
    /// The packet identifier used last.
    id: u16,
    /// What the CONNACK said.
    pub(crate) session_present: bool,
    pub(crate) properties: Properties,
}

impl Client {
    /// A connection on which nothing has been said.
    pub(crate) async fn silent(target: &Target, version: Version) -> Self {
        let stream = timeout(DEADLINE, target.dial()).await;
        Self::on(stream.expect("a connection in time"), version)
    }

    fn on(stream: Box<dyn Stream>, version: Version) -> Self {
        Self {
            stream,
            version,
            buffer: Vec::new(),
            waiting: VecDeque::new(),
            id: 0,
            session_present: false,
            properties: Properties::new(),
        }
    }

    /// A connection that the broker has accepted.
    pub(crate) async fn connect(target: &Target, connect: &Connect) -> Self {
        match Self::try_connect(target, connect).await {
            Ok(client) => client,
            Err(code) => panic!("{connect:?} is refused: {code:?}"),
        }
    }

    /// A connection, or the code of its refusal if the broker gave one.
    pub(crate) async fn try_connect(
        target: &Target,
        connect: &Connect,
    ) -> Result<Self, Option<u8>> {
        let stream = timeout(DEADLINE, target.dial()).await;
        Self::open(stream.expect("a connection in time"), connect).await
    }

    /// As [`try_connect`](Self::try_connect), over a connection that stands.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        connect: &Connect,
    ) -> Result<Self, Option<u8>> {
        let mut client = Self::on(stream, connect.version);
        client.send(&connect.bytes()).await;
        match client.next().await {
            Some(Packet::Connected {
                session_present,
                code: 0,
                properties,
            }) => {
                client.session_present = session_present;
                client.properties = properties;
                Ok(client)
            }
            Some(Packet::Connected { code, .. }) => {
                assert!(client.next().await.is_none(), "refused, but not closed");
                Err(Some(code))
            }
            None => Err(None),
            other => panic!("{other:?} instead of a CONNACK"),
        }
    }

    /// The next packet identifier; 65,535 later it comes again.
    pub(crate) fn new_id(&mut self) -> u16 {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.id
    }

    /// Sends bytes. That the broker has closed is seen when reading.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sent = timeout(DEADLINE, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        drop(sent.await.expect("the broker reads"));
    }

    /// The next packet; none when the broker has closed.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        if let Some(packet) = self.waiting.pop_front() {
            return Some(packet);
        }
        self.read().await
    }

    async fn read(&mut self) -> Option<Packet> {
        let read = timeout(DEADLINE, async {
            loop {
                if let Some(packet) = Packet::take(&mut self.buffer, self.version) {
                    return Some(packet);
                }
                let mut bytes = [0; 4096];
                match self.stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                }
            }
        });
        read.await.expect("a packet in time")
    }

    /// The first packet that is `wanted`; others are kept for later.
    pub(crate) async fn next_that<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        let found = self.waiting.iter().enumerate();
        let mut found = found.filter_map(|(index, packet)| Some((index, wanted(packet)?)));
        if let Some((index, packet)) = found.next() {
            self.waiting.remove(index);
            return packet;
        }
        loop {
            let packet = self.read().await;
            let packet = packet.unwrap_or_else(|| panic!("closed; before: {:?}", self.waiting));
            match wanted(&packet) {
                Some(wanted) => return wanted,
                None => self.waiting.push_back(packet),
            }
        }
    }

    /// Waits for a step of a QoS 1 or 2 handshake; its reason.
    pub(crate) async fn step(&mut self, wanted: Step, wanted_id: u16) -> u8 {
        self.next_that(|packet| match packet {
            Packet::Step { step, id, reason } if (*step, *id) == (wanted, wanted_id) => {
                Some(*reason)
            }
            _ => None,
        })
        .await
    }

    /// Waits until the broker closes; what it gave as the reason, which MQTT 3.1.1
    /// has none for after the CONNACK.
    pub(crate) async fn closed(&mut self) -> Option<u8> {
        let mut reason = None;
        loop {
            match self.next().await {
                None => return reason,
                Some(Packet::Disconnect { reason: given }) => reason = Some(given),
                Some(Packet::Connected { code, .. }) if code != 0 => reason = Some(code),
                Some(other) => assert!(reason.is_none(), "{other:?} after the end"),
            }
        }
    }

    /// Subscribes one filter; the broker's answer.
    pub(crate) async fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_all(&[(filter, options)]).await[0]
    }

    pub(crate) async fn subscribe_all(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.subscribe_with(filters, &Properties::new()).await
    }

    pub(crate) async fn subscribe_with(
        &mut self,
        filters: &[(&str, u8)],
        properties: &Properties,
    ) -> Vec<u8> {
        let wanted = self.new_id();
        let bytes = packet::subscribe(self.version, wanted, filters, properties);
        self.send(&bytes).await;
        let answers = self
            .next_that(|packet| match packet {
                Packet::Subscribed { id, reasons } if *id == wanted => Some(reasons.clone()),
                _ => None,
            })
            .await;
        assert_eq!(answers.len(), filters.len(), "a SUBACK answers each filter");
        answers
    }

    /// Unsubscribes; the broker's answers, which MQTT 3.1.1 has none of.
    pub(crate) async fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let wanted = self.new_id();
        let bytes = packet::unsubscribe(self.version, wanted, filters);
        self.send(&bytes).await;
        self.next_that(|packet| match packet {
            Packet::Unsubscribed { id, reasons } if *id == wanted => Some(reasons.clone()),
            _ => None,
        })
        .await
    }

    /// Publishes and waits until the broker has taken it; its reason.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: u8) -> u8 {
        self.publish_this(Publish::new(topic, payload, qos)).await
    }

    /// As [`publish`](Self::publish), with an identifier of its own.
    pub(crate) async fn publish_this(&mut self, mut publish: Publish) -> u8 {
        if publish.qos > 0 {
            publish.id = self.new_id();
        }
        self.send(&publish.bytes(self.version)).await;
        match publish.qos {
            0 => 0,
            1 => self.step(Step::Ack, publish.id).await,
            _ => {
                let reason = self.step(Step::Received, publish.id).await;
                if reason < 0x80 {
                    self.send(&Step::Release.bytes(publish.id)).await;
                    self.step(Step::Complete, publish.id).await;
                }
                reason
            }
        }
    }

    /// The next message, not acknowledged. Nothing else may come before it.
    pub(crate) async fn unacknowledged(&mut self) -> Publish {
        match self.next().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// The next message, acknowledged as its QoS asks.
    pub(crate) async fn message(&mut self) -> Publish {
        let publish = self.unacknowledged().await;
        self.acknowledge(&publish).await;
        publish
    }

    pub(crate) async fn acknowledge(&mut self, publish: &Publish) {
        match publish.qos {
            0 => {}
            1 => self.send(&Step::Ack.bytes(publish.id)).await,
            _ => {
                self.send(&Step::Received.bytes(publish.id)).await;
                self.step(Step::Release, publish.id).await;
                self.send(&Step::Complete.bytes(publish.id)).await;
            }
        }
    }

    /// Waits for a message with this payload; the ones before it.
    pub(crate) async fn until(&mut self, payload: &str) -> Vec<Publish> {
        let mut before = Vec::new();
        loop {
            let message = self.message().await;
            if message.payload == payload.as_bytes() {
                return before;
            }
            before.push(message);
        }
    }

    /// Whether the broker answers.
    pub(crate) async fn ping(&mut self) {
        self.send(&packet::PING).await;
        self.next_that(|packet| (*packet == Packet::Pong).then_some(()))
            .await;
    }

    /// Says goodbye, and waits until the broker has closed.
    pub(crate) async fn disconnect(mut self) {
        self.send(&packet::DISCONNECT).await;
        while self.next().await.is_some() {}
    }
}
