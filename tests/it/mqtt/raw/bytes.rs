//! MQTT's encodings, written and read byte by byte.
//!
//! Independent of the host's codec, so that a fault there cannot hide here. What
//! comes from the broker is read strictly: anything that the specification does
//! not allow a server to send fails the test.

/// The version that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.0.
    V5,
}

impl Version {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V5];

    pub(super) fn level(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }
}

/// Names of the properties of MQTT 5.
pub(crate) mod property {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const RECEIVE_MAX: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAX: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const USER: u8 = 0x26;
    pub(crate) const PACKET_BYTES_MAX: u8 = 0x27;
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    Text(String),
    Bytes(Vec<u8>),
    Pair(String, String),
}

impl Value {
    /// A whole number, of whatever width.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Byte(number) => u32::from(*number),
            Self::Two(number) => u32::from(*number),
            Self::Four(number) | Self::Variable(number) => *number,
            other => panic!("{other:?} is not a number"),
        }
    }
}

/// Properties in their order, by their names in [`property`].
pub(crate) type Properties = Vec<(u8, Value)>;

/// A user property.
pub(crate) fn user(key: &str, value: &str) -> (u8, Value) {
    (
        property::USER,
        Value::Pair(key.to_owned(), value.to_owned()),
    )
}

/// The first property of this name.
pub(crate) fn find(properties: &Properties, name: u8) -> Option<&Value> {
    let mut all = properties.iter();
    all.find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// All properties of this name.
pub(crate) fn all(properties: &Properties, name: u8) -> Vec<&Value> {
    let found = properties.iter().filter(|(found, _)| *found == name);
    found.map(|(_, value)| value).collect()
}

/// A packet: its first byte, the length, and `body`.
pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    put_variable(&mut bytes, u32::try_from(body.len()).unwrap());
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn put_variable(into: &mut Vec<u8>, mut number: u32) {
    loop {
        let low = u8::try_from(number % 128).unwrap();
        number /= 128;
        if number == 0 {
            return into.push(low);
        }
        into.push(low | 0x80);
    }
}

pub(super) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    into.extend_from_slice(bytes);
}

pub(super) fn put_properties(into: &mut Vec<u8>, properties: &Properties) {
    let mut body = Vec::new();
    for (name, value) in properties {
        body.push(*name);
        match value {
            Value::Byte(number) => body.push(*number),
            Value::Two(number) => body.extend(number.to_be_bytes()),
            Value::Four(number) => body.extend(number.to_be_bytes()),
            Value::Variable(number) => put_variable(&mut body, *number),
            Value::Text(text) => put_bytes(&mut body, text.as_bytes()),
            Value::Bytes(bytes) => put_bytes(&mut body, bytes),
            Value::Pair(key, value) => {
                put_bytes(&mut body, key.as_bytes());
                put_bytes(&mut body, value.as_bytes());
            }
        }
    }
    put_variable(into, u32::try_from(body.len()).unwrap());
    into.extend(body);
}

/// What is left of a packet's body.
#[derive(Debug)]
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl Rest<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        assert!(self.0.len() >= count, "the packet ends too early");
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken.to_vec()
    }

    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.take(self.0.len())
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub(super) fn two(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn four(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn variable(&mut self) -> u32 {
        let (number, used) = variable(self.0).expect("the packet ends too early");
        self.take(used);
        number
    }

    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.two());
        self.take(length)
    }

    pub(super) fn text(&mut self) -> String {
        let text = String::from_utf8(self.bytes()).expect("text is UTF-8");
        assert!(!text.contains('\0'), "text holds no U+0000");
        text
    }

    /// Properties, of which `allowed` may come.
    pub(super) fn properties(&mut self, allowed: &[u8]) -> Properties {
        let length = usize::try_from(self.variable()).unwrap();
        let body = self.take(length);
        let mut rest = Rest(&body);
        let mut properties = Properties::new();
        while !rest.is_empty() {
            let name = u8::try_from(rest.variable()).unwrap();
            assert!(
                allowed.contains(&name),
                "property {name:#04x} does not belong here"
            );
            let repeats = [property::USER, property::SUBSCRIPTION_ID].contains(&name);
            let first = find(&properties, name).is_none();
            assert!(first || repeats, "property {name:#04x} comes twice");
            let value = rest.value(name);
            properties.push((name, value));
        }
        properties
    }

    fn value(&mut self, name: u8) -> Value {
        match name {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Value::Byte(self.byte()),
            0x13 | 0x21 | 0x22 | 0x23 => Value::Two(self.two()),
            0x02 | 0x11 | 0x18 | 0x27 => Value::Four(self.four()),
            0x0B => Value::Variable(self.variable()),
            0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => Value::Text(self.text()),
            0x09 | 0x16 => Value::Bytes(self.bytes()),
            0x26 => Value::Pair(self.text(), self.text()),
            other => panic!("there is no property {other:#04x}"),
        }
    }
}

/// A number of variable length and how many bytes it takes; none if more must come.
pub(super) fn variable(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate() {
        assert!(index < 4, "a length takes four bytes at most");
        number |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            assert!(index == 0 || *byte != 0, "a length is not the shortest");
            return Some((number, index + 1));
        }
    }
    None
}
