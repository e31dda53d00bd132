//! The packets of both versions: what a client sends, built from plain fields and
//! with no check, and what a server sends, read strictly.

use super::bytes::{Properties, Rest, Version, frame, put_bytes, put_properties, variable};

/// A CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive_s: u16,
    pub(crate) will: Option<Will>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) properties: Properties,
}

/// A will.
#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Properties,
}

impl Will {
    pub(crate) fn new(topic: &str, payload: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.as_bytes().to_vec(),
            qos: 1,
            retain: false,
            properties: Properties::new(),
        }
    }
}

impl Connect {
    /// A clean session, looked after for 30 seconds.
    pub(crate) fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.to_owned(),
            clean: true,
            keep_alive_s: 30,
            will: None,
            username: None,
            password: None,
            properties: Properties::new(),
        }
    }

    /// Another session of this client: kept, and gone on with.
    pub(crate) fn kept(version: Version, client_id: &str) -> Self {
        use super::bytes::{Value, property::SESSION_EXPIRY};

        let mut connect = Self::new(version, client_id);
        connect.clean = false;
        if version == Version::V5 {
            connect.properties = vec![(SESSION_EXPIRY, Value::Four(600))];
        }
        connect
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Its flags, as the fields say.
    pub(crate) fn flags(&self) -> u8 {
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 1 << 2 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags | u8::from(self.password.is_some()) << 6 | u8::from(self.username.is_some()) << 7
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_of("MQTT", self.version.level(), self.flags())
    }

    /// With another name, level or flags than are right.
    pub(crate) fn bytes_of(&self, protocol: &str, level: u8, flags: u8) -> Vec<u8> {
        let mut body = Vec::new();
        put_bytes(&mut body, protocol.as_bytes());
        body.extend([level, flags]);
        body.extend(self.keep_alive_s.to_be_bytes());
        if self.version == Version::V5 {
            put_properties(&mut body, &self.properties);
        }
        put_bytes(&mut body, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                put_properties(&mut body, &will.properties);
            }
            put_bytes(&mut body, will.topic.as_bytes());
            put_bytes(&mut body, &will.payload);
        }
        if let Some(username) = &self.username {
            put_bytes(&mut body, username.as_bytes());
        }
        if let Some(password) = &self.password {
            put_bytes(&mut body, password);
        }
        frame(0x10, &body)
    }
}

/// A PUBLISH, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// 0 with QoS 0.
    pub(crate) id: u16,
    pub(crate) properties: Properties,
}

impl Publish {
    pub(crate) fn new(topic: &str, payload: &str, qos: u8) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.as_bytes().to_vec(),
            qos,
            retain: false,
            dup: false,
            id: u16::from(qos > 0),
            properties: Properties::new(),
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        self.bytes_at(self.topic.as_bytes(), version)
    }

    /// With a topic that need not be text.
    pub(crate) fn bytes_at(&self, topic: &[u8], version: Version) -> Vec<u8> {
        let mut body = Vec::new();
        put_bytes(&mut body, topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        if version == Version::V5 {
            put_properties(&mut body, &self.properties);
        }
        body.extend_from_slice(&self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        frame(0x30 | flags, &body)
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ack = 4,
    Received = 5,
    Release = 6,
    Complete = 7,
}

impl Step {
    /// That all went well, in either version.
    pub(crate) fn bytes(self, id: u16) -> Vec<u8> {
        let flags = if self == Self::Release { 2 } else { 0 };
        frame((self as u8) << 4 | flags, &id.to_be_bytes())
    }
}

/// A SUBSCRIBE of filters with their options.
pub(crate) fn subscribe(
    version: Version,
    id: u16,
    filters: &[(&str, u8)],
    properties: &Properties,
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        put_properties(&mut body, properties);
    }
    for (filter, options) in filters {
        put_bytes(&mut body, filter.as_bytes());
        body.push(*options);
    }
    frame(0x82, &body)
}

pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        put_properties(&mut body, &Properties::new());
    }
    for filter in filters {
        put_bytes(&mut body, filter.as_bytes());
    }
    frame(0xA2, &body)
}

pub(crate) const PING: [u8; 2] = [0xC0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// A DISCONNECT of MQTT 5 with a reason.
pub(crate) fn disconnect(reason: u8, properties: &Properties) -> Vec<u8> {
    let mut body = vec![reason];
    put_properties(&mut body, properties);
    frame(0xE0, &body)
}

/// What a server sends. Answers of MQTT 3.1.1 have reason 0 and no properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Connected {
        session_present: bool,
        code: u8,
        properties: Properties,
    },
    Publish(Publish),
    Step {
        step: Step,
        id: u16,
        reason: u8,
    },
    Subscribed {
        id: u16,
        reasons: Vec<u8>,
    },
    Unsubscribed {
        id: u16,
        /// None in MQTT 3.1.1.
        reasons: Vec<u8>,
    },
    Pong,
    Disconnect {
        reason: u8,
    },
    Auth,
}

impl Packet {
    /// Takes one whole packet from the front of `buffer`; none if more must come.
    pub(super) fn take(buffer: &mut Vec<u8>, version: Version) -> Option<Self> {
        let (length, used) = variable(buffer.get(1..)?)?;
        let end = 1 + used + usize::try_from(length).unwrap();
        if buffer.len() < end {
            return None;
        }
        let packet: Vec<_> = buffer.drain(..end).collect();
        Some(Self::read(packet[0], Rest(&packet[1 + used..]), version))
    }

    fn read(first: u8, mut rest: Rest<'_>, version: Version) -> Self {
        let is_5 = version == Version::V5;
        let (kind, flags) = (first >> 4, first & 0x0F);
        let right = if kind == 6 { 2 } else { 0 };
        assert!(
            kind == 3 || flags == right,
            "flags {flags:#x} of packet {kind}"
        );
        let packet = match kind {
            2 => read_connected(&mut rest, is_5),
            3 => read_publish(flags, &mut rest, is_5),
            4..=7 => read_step(kind, &mut rest, is_5),
            9 => {
                let id = read_id(&mut rest, is_5);
                let reasons = rest.rest();
                Self::Subscribed { id, reasons }
            }
            11 => {
                let id = read_id(&mut rest, is_5);
                let reasons = rest.rest();
                Self::Unsubscribed { id, reasons }
            }
            13 => Self::Pong,
            14 if is_5 => {
                let reason = if rest.is_empty() { 0 } else { rest.byte() };
                if !rest.is_empty() {
                    rest.properties(&[0x11, 0x1C, 0x1F, 0x26]);
                }
                Self::Disconnect { reason }
            }
            15 if is_5 => {
                rest.rest();
                Self::Auth
            }
            other => panic!("no server sends packet {other}"),
        };
        assert!(rest.is_empty(), "{packet:?} has bytes behind its end");
        packet
    }
}

fn read_connected(rest: &mut Rest<'_>, is_5: bool) -> Packet {
    const ALLOWED: [u8; 17] = [
        0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2A,
    ];
    let flags = rest.byte();
    assert!(flags <= 1, "reserved flags of a CONNACK");
    let code = rest.byte();
    assert!(
        flags == 0 || code == 0,
        "a refusal says that a session is present"
    );
    // A refusal of an unknown version is in the oldest form.
    let has_properties = is_5 && !rest.is_empty();
    Packet::Connected {
        session_present: flags == 1,
        code,
        properties: if has_properties {
            rest.properties(&ALLOWED)
        } else {
            Properties::new()
        },
    }
}

fn read_publish(flags: u8, rest: &mut Rest<'_>, is_5: bool) -> Packet {
    const ALLOWED: [u8; 8] = [0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26];
    let qos = flags >> 1 & 3;
    assert!(qos < 3, "QoS 3");
    let dup = flags & 8 != 0;
    assert!(qos > 0 || !dup, "QoS 0 that is repeated");
    let topic = rest.text();
    assert!(!topic.contains(['+', '#']), "a wildcard in `{topic}`");
    let id = if qos > 0 { rest.two() } else { 0 };
    assert!(qos == 0 || id > 0, "packet identifier 0");
    let properties = if is_5 {
        rest.properties(&ALLOWED)
    } else {
        Properties::new()
    };
    Packet::Publish(Publish {
        topic,
        payload: rest.rest(),
        qos,
        retain: flags & 1 != 0,
        dup,
        id,
        properties,
    })
}

fn read_step(kind: u8, rest: &mut Rest<'_>, is_5: bool) -> Packet {
    let step = match kind {
        4 => Step::Ack,
        5 => Step::Received,
        6 => Step::Release,
        _ => Step::Complete,
    };
    let id = rest.two();
    let reason = if is_5 && !rest.is_empty() {
        rest.byte()
    } else {
        0
    };
    if is_5 && !rest.is_empty() {
        rest.properties(&[0x1F, 0x26]);
    }
    Packet::Step { step, id, reason }
}

fn read_id(rest: &mut Rest<'_>, is_5: bool) -> u16 {
    let id = rest.two();
    if is_5 {
        rest.properties(&[0x1F, 0x26]);
    }
    id
}
