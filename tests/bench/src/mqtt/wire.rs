//! As much of MQTT 3.1.1 as a load needs, written apart from the host's own:
//! what measures must not share what is measured.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::Outcome;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

pub(super) fn connect(client_id: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
    text(&mut body, client_id);
    packet(0x10, &body)
}

pub(super) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// A PUBLISH, and where its packet id (QoS 1) and its payload begin.
pub(super) fn publish(topic: &str, qos: u8, payload: usize) -> (Vec<u8>, usize, usize) {
    let mut body = Vec::new();
    text(&mut body, topic);
    let id = body.len();
    if qos > 0 {
        body.extend([0, 0]);
    }
    let start = body.len();
    body.resize(start + payload, b'x');
    let whole = packet(0x30 | qos << 1, &body);
    let head = whole.len() - body.len();
    (whole, head + id, head + start)
}

pub(super) fn puback(into: &mut Vec<u8>, id: [u8; 2]) {
    into.extend([0x40, 2, id[0], id[1]]);
}

fn text(into: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    into.extend(len.to_be_bytes());
    into.extend(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = u8::try_from(left % 128).unwrap_or_default();
        left /= 128;
        packet.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Takes packets out of a stream.
pub(super) struct Packets {
    buffer: Vec<u8>,
    start: usize,
}

impl Packets {
    pub(super) fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(2 * CHUNK),
            start: 0,
        }
    }

    /// Waits for more bytes; false at the end.
    pub(super) async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Outcome<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(CHUNK);
        Ok(stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next whole packet: its first byte and its body.
    pub(super) fn next(&mut self) -> Option<(u8, &[u8])> {
        let bytes = self.buffer.get(self.start..)?;
        let (&first, rest) = bytes.split_first()?;
        let (mut len, mut shift, mut used) = (0_usize, 0, 0);
        loop {
            let byte = *rest.get(used)?;
            used += 1;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = rest.get(used..used + len)?;
        self.start += 1 + used + len;
        Some((first, body))
    }
}

/// The payload of a PUBLISH, and its packet id at QoS 1.
pub(super) fn published(first: u8, body: &[u8]) -> Option<(&[u8], Option<[u8; 2]>)> {
    let (len, rest) = body.split_first_chunk::<2>()?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*len))..)?;
    if first & 0x06 == 0 {
        return Some((rest, None));
    }
    let (id, payload) = rest.split_first_chunk::<2>()?;
    Some((payload, Some(*id)))
}

/// Connects as `client_id`, and subscribes if asked to.
pub(super) async fn begin(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    client_id: &str,
    filter: Option<(&str, u8)>,
) -> Outcome<()> {
    let mut packets = Packets::new();
    stream.write_all(&connect(client_id)).await?;
    let accepted = answer(&mut packets, stream, 0x20).await?;
    if accepted.get(1) != Some(&0) {
        return Err(format!("`{client_id}` is refused: {accepted:?}").into());
    }
    if let Some((filter, qos)) = filter {
        stream.write_all(&subscribe(filter, qos)).await?;
        let granted = answer(&mut packets, stream, 0x90).await?;
        if granted.get(2) != Some(&qos) {
            return Err(format!("`{filter}` is refused: {granted:?}").into());
        }
    }
    Ok(())
}

async fn answer(
    packets: &mut Packets,
    stream: &mut (impl AsyncRead + Unpin),
    kind: u8,
) -> Outcome<Vec<u8>> {
    loop {
        if let Some((first, body)) = packets.next() {
            if first & 0xf0 == kind {
                return Ok(body.to_vec());
            }
            continue;
        }
        if !packets.more(stream).await? {
            return Err("the broker hung up".into());
        }
    }
}
