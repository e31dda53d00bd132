//! One connection of a machine to its gateway, from CONNECT to its end.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_rustls::client::TlsStream;

use super::{SessionError, command, telemetry};
use crate::demo::device::Device;
use crate::demo::running::Running;
use crate::mqtt::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Framed, Packet, PacketId, PacketLimits, Peer,
    Publish, PublishProperties, Reason, RetainHandling, Subscribe, Subscription, Version,
};
use crate::names::{Qos, Topic};

/// How often the sensors and the setpoint are told of.
const READINGS_EVERY: Duration = Duration::from_millis(100);
const CONTROLS_EVERY: Duration = Duration::from_secs(1);

/// Messages unacknowledged at once. Readings leave room for the answers to commands;
/// those beyond are left out: the next ones are newer.
const WINDOW_MAX: usize = 24;
/// How long the gateway may take to acknowledge one.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(10);
/// Commands that may come at once.
const COMMANDS_MAX: u16 = 8;
/// Bytes of one packet of the gateway.
const PACKET_BYTES_MAX: u32 = 16 << 10;
/// Readings keep the connection alive.
const KEEP_ALIVE_S: u16 = 30;

/// A connection that is let in.
pub(super) struct Session<'a> {
    framed: Framed<TlsStream<TcpStream>>,
    machine: &'a Running,
    telemetry: Topic,
    /// What is not acknowledged, and since when, the oldest first.
    in_flight: VecDeque<(PacketId, Instant)>,
    window: usize,
    last_id: PacketId,
}

impl<'a> Session<'a> {
    /// Says who the machine is, and asks for its commands.
    pub(super) async fn open(
        stream: TlsStream<TcpStream>,
        device: Device,
        machine: &'a Running,
    ) -> Result<Self, SessionError> {
        let limits = PacketLimits {
            packet_bytes_max: PACKET_BYTES_MAX,
            ..PacketLimits::default()
        };
        let decoder = Decoder::new(Some(Version::V5), limits);
        let mut session = Self {
            framed: Framed::new(stream, decoder, Version::V5),
            machine,
            telemetry: format!("telemetry/plant/{}", device.name()).parse()?,
            in_flight: VecDeque::new(),
            window: WINDOW_MAX,
            last_id: PacketId::MAX,
        };
        session.framed.write(&connect(device))?;
        match session.framed.receive().await? {
            Packet::ConnAck(ack) => session.greeted(&ack, limits)?,
            Packet::Disconnect(told) => return Err(SessionError::Ended(told.reason)),
            _ => return Err(SessionError::Unexpected),
        }
        let id = session.next_id();
        session.framed.write(&subscribe(device, id))?;
        match session.framed.receive().await? {
            Packet::SubAck(ack) if ack.packet_id == id => {
                match ack.reasons.into_iter().find(|reason| reason.is_failure()) {
                    Some(reason) => Err(SessionError::Refused(reason)),
                    None => Ok(session),
                }
            }
            _ => Err(SessionError::Unexpected),
        }
    }

    fn greeted(&mut self, ack: &ConnAck, limits: PacketLimits) -> Result<(), SessionError> {
        if ack.reason.is_failure() {
            return Err(SessionError::Refused(ack.reason));
        }
        let most = ack.receive_max.unwrap_or(NonZeroU16::MAX);
        self.window = WINDOW_MAX.min(most.get().into());
        let peer = Peer::new(Version::V5, ack.packet_bytes_max);
        self.framed.agree(peer, limits);
        Ok(())
    }

    /// Tells what is measured and does what is asked for, until something fails.
    pub(super) async fn run(&mut self) -> Result<(), SessionError> {
        let mut readings = every(READINGS_EVERY);
        let mut controls = every(CONTROLS_EVERY);
        loop {
            tokio::select! {
                _ = readings.tick() => {
                    self.check_acknowledged()?;
                    let pack = telemetry::readings(self.machine.lock().now());
                    self.tell(pack)?;
                }
                _ = controls.tick() => {
                    let pack = telemetry::controls(self.machine.lock().now());
                    self.tell(pack)?;
                }
                packet = self.framed.receive() => self.take(packet?)?,
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn close(&mut self) -> Result<(), SessionError> {
        self.framed.write(&Packet::Disconnect(Disconnect {
            reason: Reason::SUCCESS,
            session_expiry_s: None,
            reason_text: None,
            user: Vec::new(),
            server_reference: None,
        }))?;
        let closed = self.framed.close().await;
        closed.map_err(SessionError::Unreachable)
    }

    fn check_acknowledged(&self) -> Result<(), SessionError> {
        match self.in_flight.front() {
            Some((_, since)) if since.elapsed() > ACKNOWLEDGE_MAX => {
                Err(SessionError::Unacknowledged)
            }
            _ => Ok(()),
        }
    }

    fn tell(&mut self, pack: Vec<u8>) -> Result<(), SessionError> {
        let room = self.window.saturating_sub(COMMANDS_MAX.into()).max(1);
        if self.in_flight.len() >= room {
            tracing::debug!("simulated machine leaves out readings");
            return Ok(());
        }
        let topic = self.telemetry.clone();
        let properties = PublishProperties {
            utf8: true,
            content_type: Some(telemetry::CONTENT_TYPE.into()),
            ..PublishProperties::default()
        };
        self.publish(topic, pack.into(), properties)
    }

    /// Publishes, if the window has room.
    fn publish(
        &mut self,
        topic: Topic,
        payload: Bytes,
        properties: PublishProperties,
    ) -> Result<(), SessionError> {
        if self.in_flight.len() >= self.window {
            tracing::debug!("simulated machine leaves out an answer");
            return Ok(());
        }
        let id = self.next_id();
        self.framed.write(&Packet::Publish(Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: Some(topic),
            packet_id: Some(id),
            payload,
            properties,
        }))?;
        self.in_flight.push_back((id, Instant::now()));
        Ok(())
    }

    fn take(&mut self, packet: Packet) -> Result<(), SessionError> {
        match packet {
            Packet::PubAck(ack) => {
                self.in_flight.retain(|(id, _)| *id != ack.packet_id);
                Ok(())
            }
            Packet::Publish(command) => self.obey(command),
            Packet::PingResp => Ok(()),
            Packet::Disconnect(told) => Err(SessionError::Ended(told.reason)),
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Carries out a command, answers whoever asked, and acknowledges it.
    fn obey(&mut self, command: Publish) -> Result<(), SessionError> {
        let name = command.topic.as_ref().map_or("", Topic::as_str);
        let name = name.rsplit('/').next().unwrap_or_default();
        let answer = command::carry_out(self.machine.lock().now(), name, &command.payload);
        if let Some(topic) = command.properties.response_topic {
            let properties = PublishProperties {
                utf8: true,
                content_type: Some("application/json".into()),
                correlation: command.properties.correlation,
                ..PublishProperties::default()
            };
            self.publish(topic, answer.to_string().into(), properties)?;
        }
        if let Some(packet_id) = command.packet_id {
            self.framed.write(&Packet::PubAck(Ack {
                packet_id,
                reason: Reason::SUCCESS,
                reason_text: None,
                user: Vec::new(),
            }))?;
        }
        Ok(())
    }

    /// An id that nothing in flight has.
    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(PacketId::MIN);
            if !self.in_flight.iter().any(|(id, _)| *id == self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// Ticks that are missed are not made up for.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn connect(device: Device) -> Packet {
    Packet::Connect(Box::new(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: KEEP_ALIVE_S,
        client_id: device.name().into(),
        will: None,
        username: None,
        password: None,
        session_expiry_s: 0,
        receive_max: nonzero!(NonZeroU16, COMMANDS_MAX),
        packet_bytes_max: std::num::NonZeroU32::new(PACKET_BYTES_MAX),
        topic_alias_max: 0,
        request_response_information: false,
        request_problem_information: false,
        authentication_method: None,
        authentication_data: None,
        user: Vec::new(),
    }))
}

fn subscribe(device: Device, packet_id: PacketId) -> Packet {
    let filter = format!("command/plant/{}/+", device.name());
    Packet::Subscribe(Subscribe {
        packet_id,
        subscription_id: None,
        user: Vec::new(),
        subscriptions: vec![Subscription {
            filter: filter.parse().map_err(|_| filter.as_str().into()),
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            // A command is for now.
            retain_handling: RetainHandling::Leave,
        }],
    })
}
