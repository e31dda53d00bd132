//! Loads: many to one, one to many, at full speed or at a pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::brokers::{Dial, Stream};
use super::wire::{Packets, begin, puback, publish, published};
use crate::Outcome;
use crate::pace::Latency;

const PAYLOAD_BYTES: usize = 1024;
/// Messages under way of each publisher.
const WINDOW: usize = 20;
/// Without any progress for so long, what is missing is lost.
const QUIET: Duration = Duration::from_secs(5);
pub(super) const TOPIC: &str = "bench/load";

/// What a load is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) qos: u8,
    /// Messages of all publishers together.
    pub(super) messages: usize,
    /// Messages a second, of all together; None: as fast as it goes.
    pub(super) pace: Option<u32>,
    /// Where they come out.
    pub(super) taken_at: &'static str,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    /// Deliveries a second.
    pub(super) rate: f64,
    /// Deliveries that never came.
    pub(super) lost: usize,
    pub(super) latency: Latency,
}

struct Arrived {
    count: AtomicUsize,
    wanted: usize,
    all: Notify,
}

/// Carries a load over a broker.
pub(super) async fn carry(dial: &Dial, load: Load) -> Outcome<Carried> {
    let base = Instant::now();
    let arrived = Arc::new(Arrived {
        count: AtomicUsize::new(0),
        wanted: load.messages * load.subscribers,
        all: Notify::new(),
    });
    let mut subscribers = JoinSet::new();
    for number in 0..load.subscribers {
        let mut stream = dial.stream().await?;
        let id = format!("bench-s{number}");
        begin(&mut stream, &id, Some((load.taken_at, load.qos))).await?;
        subscribers.spawn(subscribe(stream, Arc::clone(&arrived), base));
    }
    let each = load.messages / load.publishers;
    let mut streams = Vec::new();
    for number in 0..load.publishers {
        let mut stream = dial.stream().await?;
        begin(&mut stream, &format!("bench-p{number}"), None).await?;
        streams.push(stream);
    }
    let begun = Instant::now();
    let mut publishers = JoinSet::new();
    for stream in streams {
        publishers.spawn(publishing(stream, load, each, base));
    }
    let mut seen = 0;
    loop {
        let all = arrived.all.notified();
        let now = arrived.count.load(Ordering::Acquire);
        if now >= arrived.wanted || (timeout(QUIET, all).await.is_err() && now == seen) {
            break;
        }
        seen = now;
    }
    let count = arrived.count.load(Ordering::Acquire);
    let lost = arrived.wanted.saturating_sub(count);
    let quiet = if lost > 0 { QUIET } else { Duration::ZERO };
    let took = begun.elapsed().saturating_sub(quiet);
    publishers.shutdown().await;
    subscribers.abort_all();
    let mut taken = Histogram::<u64>::new(3)?;
    drop(arrived);
    while let Some(done) = subscribers.join_next().await {
        if let Ok(histogram) = done {
            taken.add(histogram?)?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let rate = count as f64 / took.as_secs_f64();
    Ok(Carried {
        rate,
        lost,
        latency: Latency::of(&taken),
    })
}

/// Takes messages until all have come to all, or the broker hangs up.
async fn subscribe(
    mut stream: Stream,
    arrived: Arc<Arrived>,
    base: Instant,
) -> Outcome<Histogram<u64>> {
    let mut taken = Histogram::<u64>::new(3)?;
    let (mut packets, mut acks) = (Packets::new(), Vec::new());
    loop {
        let more = tokio::select! {
            more = packets.more(&mut stream) => more?,
            () = done(&arrived) => false,
        };
        if !more {
            return Ok(taken);
        }
        let now = nanos(base);
        let mut count = 0;
        while let Some((first, body)) = packets.next() {
            if first & 0xf0 != 0x30 {
                continue;
            }
            let (payload, id) = published(first, body).ok_or("a malformed PUBLISH")?;
            let (stamp, _) = payload.split_first_chunk().ok_or("no stamp")?;
            taken.record(now.saturating_sub(u64::from_le_bytes(*stamp)))?;
            if let Some(id) = id {
                puback(&mut acks, id);
            }
            count += 1;
        }
        if !acks.is_empty() {
            stream.write_all(&acks).await?;
            acks.clear();
        }
        let before = arrived.count.fetch_add(count, Ordering::AcqRel);
        if before + count >= arrived.wanted {
            arrived.all.notify_waiters();
        }
    }
}

async fn done(arrived: &Arrived) {
    loop {
        let all = arrived.all.notified();
        if arrived.count.load(Ordering::Acquire) >= arrived.wanted {
            return;
        }
        all.await;
    }
}

async fn publishing(stream: Stream, load: Load, count: usize, base: Instant) -> Outcome<()> {
    let (reading, mut writing) = split(stream);
    let window = Arc::new(Semaphore::new(WINDOW));
    let acks = take_acks(reading, Arc::clone(&window));
    let write = async {
        match load.pace {
            Some(pace) => {
                let publishers = u32::try_from(load.publishers)?;
                let each = Duration::from_secs(1) * publishers / pace;
                paced(&mut writing, load.qos, count, (each, base)).await?;
            }
            None if load.qos == 0 => flood(&mut writing, count, base).await?,
            None => windowed(&mut writing, count, &window, base).await?,
        }
        // Until all have arrived: hanging up might lose what is under way.
        std::future::pending().await
    };
    tokio::select! {
        ended = acks => ended,
        failed = write => failed,
    }
}

async fn take_acks(mut reading: ReadHalf<Stream>, window: Arc<Semaphore>) -> Outcome<()> {
    let mut packets = Packets::new();
    while packets.more(&mut reading).await? {
        let mut acks = 0;
        while let Some((first, _)) = packets.next() {
            acks += usize::from(first == 0x40);
        }
        window.add_permits(acks);
    }
    Err("the broker hung up on a publisher".into())
}

async fn flood(writing: &mut WriteHalf<Stream>, count: usize, base: Instant) -> Outcome<()> {
    const BATCH: usize = 32;
    let (packet, _, payload) = publish(TOPIC, 0, PAYLOAD_BYTES);
    let mut left = count;
    let mut bytes = Vec::new();
    while left > 0 {
        bytes.clear();
        for _ in 0..left.min(BATCH) {
            append(&mut bytes, &packet, payload, base);
        }
        left -= left.min(BATCH);
        writing.write_all(&bytes).await?;
    }
    Ok(())
}

async fn windowed(
    writing: &mut WriteHalf<Stream>,
    count: usize,
    window: &Semaphore,
    base: Instant,
) -> Outcome<()> {
    let (mut packet, id, payload) = publish(TOPIC, 1, PAYLOAD_BYTES);
    let mut bytes = Vec::new();
    let mut sent = 0;
    while sent < count {
        window.acquire().await?.forget();
        let mut room = 1;
        while room < WINDOW && window.try_acquire().map(|permit| permit.forget()).is_ok() {
            room += 1;
        }
        bytes.clear();
        for _ in 0..room.min(count - sent) {
            sent += 1;
            number(&mut packet, id, sent);
            append(&mut bytes, &packet, payload, base);
        }
        writing.write_all(&bytes).await?;
    }
    Ok(())
}

async fn paced(
    writing: &mut WriteHalf<Stream>,
    qos: u8,
    count: usize,
    (each, base): (Duration, Instant),
) -> Outcome<()> {
    let (mut packet, id, payload) = publish(TOPIC, qos, PAYLOAD_BYTES);
    let mut ticks = interval(each);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut bytes = Vec::new();
    for sent in 1..=count {
        ticks.tick().await;
        bytes.clear();
        if qos > 0 {
            number(&mut packet, id, sent);
        }
        append(&mut bytes, &packet, payload, base);
        writing.write_all(&bytes).await?;
    }
    Ok(())
}

/// Packet ids go round, and are never 0.
fn number(packet: &mut [u8], at: usize, sent: usize) {
    let id = u16::try_from(sent % 60_000 + 1).unwrap_or(1);
    if let Some(place) = packet.get_mut(at..at + 2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

fn append(bytes: &mut Vec<u8>, packet: &[u8], payload: usize, base: Instant) {
    let start = bytes.len();
    bytes.extend_from_slice(packet);
    if let Some(place) = bytes.get_mut(start + payload..start + payload + 8) {
        place.copy_from_slice(&nanos(base).to_le_bytes());
    }
}

fn nanos(base: Instant) -> u64 {
    u64::try_from(base.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
