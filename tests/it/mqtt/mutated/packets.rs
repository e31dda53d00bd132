//! Right packets of every kind, and what becomes of them: bits flipped, bytes
//! lost, doubled and moved, lengths that lie.

use crate::mqtt::raw::bytes::{frame, user};
use crate::mqtt::raw::packet::{self, Will};
use crate::mqtt::raw::{Connect, Publish, Step, Value, Version, property};

/// Random numbers that a seed repeats (splitmix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn byte(&mut self) -> u8 {
        // The ends of ranges are where faults are.
        match self.below(8) {
            0 => 0,
            1 => 0x7F,
            2 => 0x80,
            3 => 0xFF,
            _ => self.next().to_le_bytes()[0],
        }
    }
}

/// Right packets of one version.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) connects: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

impl Packets {
    /// For a client whose id begins with `client`, below `root`.
    pub(super) fn new(version: Version, client: &str, root: &str) -> Self {
        let topic = format!("{root}/mutated/é");
        let mut others = vec![
            packet::PING.to_vec(),
            packet::DISCONNECT.to_vec(),
            packet::unsubscribe(version, 3, &[&topic, &format!("{root}/mutated/#")]),
        ];
        for qos in 0..=2 {
            for retain in [false, true] {
                let publish = Publish::new(&topic, "a payload", qos);
                let publish = publish.with(|publish| publish.retain = retain);
                others.push(publish.bytes(version));
                if version == Version::V5 {
                    let rich = publish.with(|publish| publish.properties = plenty(&topic));
                    others.push(rich.bytes(version));
                }
            }
            let wild = format!("{root}/mutated/+/#");
            let shared = format!("$share/group/{root}/mutated/#");
            let filters = [(topic.as_str(), qos), (&wild, qos), (&shared, qos)];
            let properties = match version {
                Version::V4 => Vec::new(),
                Version::V5 => vec![
                    (property::SUBSCRIPTION_ID, Value::Variable(300)),
                    user("k", "v"),
                ],
            };
            others.push(packet::subscribe(version, 2, &filters, &properties));
        }
        for step in [Step::Ack, Step::Received, Step::Release, Step::Complete] {
            others.push(step.bytes(1));
        }
        if version == Version::V5 {
            let expiry = vec![(property::SESSION_EXPIRY, Value::Four(1))];
            others.push(packet::disconnect(4, &expiry));
            // PUBACK with a reason and a text; AUTH with a method and data.
            others.push(frame(0x40, &[0, 1, 0x10, 4, 0x1F, 0, 1, b'x']));
            others.push(frame(0xF0, &[0x18, 9, 0x15, 0, 1, b'm', 0x16, 0, 2, 1, 2]));
        }
        let connects = connects(version, client, &topic);
        Self { connects, others }
    }

    /// A packet that is most likely not right, of whatever kind.
    pub(super) fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let connects = random.one_in(12);
        let from = if connects {
            &self.connects
        } else {
            &self.others
        };
        self.mutate(&from[random.below(from.len())], random)
    }

    /// A CONNECT that is most likely not right.
    pub(super) fn mutated_connect(&self, random: &mut Random) -> Vec<u8> {
        let connect = &self.connects[random.below(self.connects.len())];
        self.mutate(connect, random)
    }

    fn mutate(&self, packet: &[u8], random: &mut Random) -> Vec<u8> {
        let mut bytes = packet.to_vec();
        for _ in 0..=random.below(4) {
            self.mutate_once(&mut bytes, random);
            if bytes.is_empty() {
                bytes.push(random.byte());
            }
        }
        // What is framed well is looked at more closely.
        if !random.one_in(4) && bytes.len() > 2 {
            return frame(bytes[0], &bytes[2..]);
        }
        bytes
    }

    fn mutate_once(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(bytes.len());
        let end = at + random.below(bytes.len() - at).min(16);
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.byte(),
            2 => bytes.insert(at, random.byte()),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
            5 => bytes.truncate(at),
            6 => bytes[0] = random.byte(),
            7 => {
                let number = [0, 1, 0x7FFF, 0xFFFF][random.below(4)];
                let two: [u8; 2] = u16::to_be_bytes(number);
                let room = two.len().min(bytes.len() - at);
                bytes[at..at + room].copy_from_slice(&two[..room]);
            }
            _ => {
                let other = &self.others[random.below(self.others.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
}

fn plenty(topic: &str) -> Vec<(u8, Value)> {
    vec![
        (property::PAYLOAD_FORMAT, Value::Byte(1)),
        (property::MESSAGE_EXPIRY, Value::Four(1)),
        (property::CONTENT_TYPE, Value::Text("text/plain".to_owned())),
        (property::RESPONSE_TOPIC, Value::Text(topic.to_owned())),
        (property::CORRELATION_DATA, Value::Bytes(vec![1, 2, 3])),
        (property::TOPIC_ALIAS, Value::Two(1)),
        user("key", "value"),
    ]
}

/// The first one is accepted, and its session ends with its connection.
fn connects(version: Version, client: &str, topic: &str) -> Vec<Vec<u8>> {
    let plain = Connect::new(version, &format!("{client}mutated"));
    let rich = plain.clone().with(|connect| {
        let mut will = Will::new(topic, "gone");
        connect.username = Some("someone".to_owned());
        connect.password = Some(b"secret".to_vec());
        if version == Version::V5 {
            will.properties = vec![(property::WILL_DELAY, Value::Four(1)), user("k", "v")];
            connect.properties = vec![
                (property::SESSION_EXPIRY, Value::Four(2)),
                (property::RECEIVE_MAX, Value::Two(2)),
                (property::PACKET_BYTES_MAX, Value::Four(1_000)),
                (property::TOPIC_ALIAS_MAX, Value::Two(3)),
                user("k", "v"),
            ];
        }
        connect.will = Some(will);
    });
    let kept = plain.clone().with(|connect| connect.clean = false);
    vec![plain.bytes(), rich.bytes(), kept.bytes()]
}
