//! A target at the other end of a pipe, that lets us in and says what a test says.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The first bytes of packets.
pub(super) const PUBLISH: u8 = 0x32;
pub(super) const PUBACK: u8 = 0x40;

/// The target.
pub(super) struct Far {
    stream: DuplexStream,
    v5: bool,
}

impl Far {
    /// Lets us in; `properties` are those of its answer, for MQTT 5.
    pub(super) async fn let_in(stream: DuplexStream, properties: &[u8]) -> Self {
        let mut far = Self { stream, v5: true };
        let (_, connect) = far.packet().await.expect("a CONNECT");
        far.v5 = connect[6] == 5;
        let mut rest = vec![0, 0];
        if far.v5 {
            rest.push(u8::try_from(properties.len()).unwrap());
            rest.extend(properties);
        }
        far.say(0x20, &rest).await;
        far
    }

    async fn say(&mut self, first: u8, rest: &[u8]) {
        let mut packet = vec![first];
        let mut left = rest.len();
        loop {
            let more = if left > 0x7f { 0x80 } else { 0 };
            packet.push(u8::try_from(left & 0x7f).unwrap() | more);
            left >>= 7;
            if left == 0 {
                break;
            }
        }
        packet.extend(rest);
        self.stream.write_all(&packet).await.unwrap();
    }

    /// A message; without an identifier it is of QoS 0.
    pub(super) async fn publish(&mut self, topic: &str, id: Option<u16>, payload: &[u8]) {
        let length = u16::try_from(topic.len()).unwrap();
        let mut rest = length.to_be_bytes().to_vec();
        rest.extend(topic.as_bytes());
        rest.extend(id.into_iter().flat_map(u16::to_be_bytes));
        rest.extend(self.v5.then_some(0));
        rest.extend(payload);
        let first = if id.is_some() { PUBLISH } else { 0x30 };
        self.say(first, &rest).await;
    }

    pub(super) async fn acknowledge(&mut self, id: [u8; 2]) {
        self.say(PUBACK, &id).await;
    }

    /// The next message or acknowledgement: its first byte, and what follows its
    /// length. Probes and subscriptions are answered. None: we hung up.
    pub(super) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let (first, rest) = self.packet().await?;
            match first {
                0xc0 => self.say(0xd0, &[]).await,
                0x82 => {
                    let mut answer = rest[..2].to_vec();
                    answer.extend(self.v5.then_some(0));
                    answer.push(1);
                    self.say(0x90, &answer).await;
                }
                _ => return Some((first, rest)),
            }
        }
    }

    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.stream.read_exact(&mut rest).await.ok()?;
        Some((first, rest))
    }
}
