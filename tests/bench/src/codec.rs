//! The MQTT codec against copies of the same bytes, on one core.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use selvedge::mqtt::{
    Decoder, Packet, PacketId, PacketLimits, PublishHead, Version, encode_publish,
};
use selvedge::names::Qos;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{best_of_all, rate};
use crate::report::{Bar, Figure, Row};
use crate::world::{PAYLOAD_BYTES, topic};

const ROUNDS: u32 = 400;
/// Packets behind each other.
const BATCH: usize = 256;

pub(crate) fn measure(_: &Guests) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, version) in [("3.1.1", Version::V311), ("5.0", Version::V5)] {
        let (written, raw) = write(version)?;
        let row = Row::new(
            format!("MQTT {name}, QoS 1, one core: written"),
            rate(written),
        );
        rows.push(row.raw(rate(raw)).bar(Bar::Figure(Figure::PerSecond(1e7))));
        let (read, raw) = read(version)?;
        let row = Row::new(format!("MQTT {name}, QoS 1, one core: read"), rate(read));
        rows.push(row.raw(rate(raw)).bar(Bar::Figure(Figure::PerSecond(4e6))));
    }
    Ok(rows)
}

fn publish(version: Version, out: &mut BytesMut) -> Outcome<()> {
    let (topic, payload) = (topic("telemetry/plant/device-00001")?, [7; PAYLOAD_BYTES]);
    let head = PublishHead {
        qos: Qos::AtLeastOnce,
        topic: Some(&topic),
        packet_id: Some(PacketId::MIN),
        ..PublishHead::default()
    };
    for _ in 0..BATCH {
        encode_publish(black_box(&head), &payload, version, out)?;
    }
    Ok(())
}

/// Nanoseconds for one packet, ours and raw.
fn write(version: Version) -> Outcome<(f64, f64)> {
    let mut out = BytesMut::new();
    publish(version, &mut out)?;
    let packet = out.split_to(out.len() / BATCH);
    let ours = best_of_all(ROUNDS, BATCH, || {
        out.clear();
        publish(version, &mut out)
    })?;
    let raw = best_of_all(ROUNDS, BATCH, || {
        out.clear();
        (0..BATCH).for_each(|_| out.extend_from_slice(black_box(&packet)));
        Ok(())
    })?;
    Ok((ours, raw))
}

/// Nanoseconds for one packet, ours and a payload's copy.
fn read(version: Version) -> Outcome<(f64, f64)> {
    let mut packets = BytesMut::new();
    publish(version, &mut packets)?;
    let mut decoder = Decoder::new(Some(version), PacketLimits::default());
    let mut buffer = BytesMut::new();
    let ours = best_of_all(ROUNDS, BATCH, || {
        buffer.extend_from_slice(&packets);
        let mut count = 0;
        while let Some(packet) = decoder.decode(&mut buffer)? {
            count += usize::from(matches!(black_box(packet), Packet::Publish(_)));
        }
        match count {
            BATCH => Ok(()),
            _ => Err("a packet is missing".into()),
        }
    })?;
    let payload = [7; PAYLOAD_BYTES];
    let raw = best_of_all(ROUNDS, BATCH, || {
        for _ in 0..BATCH {
            black_box(Bytes::copy_from_slice(black_box(&payload)));
        }
        Ok(())
    })?;
    Ok((ours, raw))
}
