//! The way outward: a backlog that waits on the disk, drained to mosquitto once
//! the host is started and finds it.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::brokers::{Broker, Dial, Host, Kind, Stream};
use super::wire::{Packets, begin, puback, publish};
use crate::Outcome;
use crate::report::{Bar, Figure, Row};

const TOPIC: &str = "bench/outward";
const PAYLOAD_BYTES: usize = 256;
/// Messages of the backlog, drained as fast as it goes.
const BACKLOG: usize = 50_000;
/// What AWS IoT Core takes of one connection each second, and how long it is
/// watched that so much goes.
const ALLOWED: usize = 100;
const WATCHED: Duration = Duration::from_secs(20);
const PUBLISHERS: usize = 10;
/// Messages under way of each.
const WINDOW: usize = 100;
/// The longest pause.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure() -> Outcome<Vec<Row>> {
    let generic = drained("generic", BACKLOG, None).await?;
    let kept = ALLOWED * usize::try_from(WATCHED.as_secs() + 5)?;
    let aws = drained("aws-iot-core", kept, Some(WATCHED)).await?;
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let allowed = ALLOWED as f64;
    let rate = |rate| Bar::Figure(Figure::PerSecond(rate));
    Ok(vec![
        Row::new(
            "uplink: backlog of 50,000, 256 B",
            Figure::PerSecond(generic),
        )
        .bar(rate(1e4)),
        Row::new(
            "uplink: as AWS IoT Core, 100/s allowed",
            Figure::PerSecond(aws),
        )
        .bar(rate(allowed * 0.95)),
    ])
}

/// Messages a second that come out, of a backlog of `count`: until all have come,
/// or for a while.
async fn drained(profile: &str, count: usize, watched: Option<Duration>) -> Outcome<f64> {
    let far = Broker::start(Kind::Mosquitto)?;
    let mut taker = far.plain().stream().await?;
    begin(&mut taker, "bench-taker", Some((TOPIC, 1))).await?;
    let host = |address| Host {
        config: format!(
            "[uplinks.far]\nendpoint = \"{address}\"\nplain = true\nprofile = \"{profile}\"\n\
             client_id = \"bench-host\"\n[[uplinks.far.rules]]\nfilter = \"bench/#\"\n"
        ),
        deployment: None,
    };
    // Nobody listens there.
    let nowhere = super::brokers::free()?;
    let broker = Broker::host(&host(nowhere))?;
    keep(&broker.plain(), count).await?;
    let directory = broker.end()?;
    let _broker = Broker::host_again(directory, &host(far.plain().address()))?;
    take(&mut taker, count, watched).await
}

/// Publishes until all is acknowledged, and so on the disk.
async fn keep(dial: &Dial, count: usize) -> Outcome<()> {
    let mut publishers = JoinSet::new();
    for number in 0..PUBLISHERS {
        let mut stream = dial.stream().await?;
        begin(&mut stream, &format!("bench-k{number}"), None).await?;
        publishers.spawn(send(stream, count / PUBLISHERS));
    }
    while let Some(sent) = publishers.join_next().await {
        sent??;
    }
    Ok(())
}

async fn send(mut stream: Stream, count: usize) -> Outcome<()> {
    let (mut packet, id, _) = publish(TOPIC, 1, PAYLOAD_BYTES);
    let (mut packets, mut bytes) = (Packets::new(), Vec::new());
    let (mut sent, mut acked) = (0, 0);
    while acked < count {
        bytes.clear();
        while sent < count && sent - acked < WINDOW {
            sent += 1;
            let number = u16::try_from(sent % 60_000 + 1)?;
            let place = packet.get_mut(id..id + 2).ok_or("no room for an id")?;
            place.copy_from_slice(&number.to_be_bytes());
            bytes.extend_from_slice(&packet);
        }
        stream.write_all(&bytes).await?;
        if !timeout(PATIENCE, packets.more(&mut stream)).await?? {
            return Err("the host hung up on a publisher".into());
        }
        while let Some((first, _)) = packets.next() {
            acked += usize::from(first == 0x40);
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
async fn take(stream: &mut Stream, count: usize, watched: Option<Duration>) -> Outcome<f64> {
    let (mut packets, mut acks) = (Packets::new(), Vec::new());
    let (mut begun, mut taken) = (None::<Instant>, 0_usize);
    while taken < count {
        if !timeout(PATIENCE, packets.more(stream)).await?? {
            return Err("mosquitto hung up".into());
        }
        let begun = *begun.get_or_insert_with(Instant::now);
        if watched.is_some_and(|watched| begun.elapsed() >= watched) {
            break;
        }
        while let Some((first, body)) = packets.next() {
            if first & 0xf0 != 0x30 {
                continue;
            }
            let (_, id) = super::wire::published(first, body).ok_or("a malformed PUBLISH")?;
            if let Some(id) = id {
                puback(&mut acks, id);
            }
            taken += 1;
        }
        stream.write_all(&acks).await?;
        acks.clear();
    }
    let took = begun.ok_or("nothing came")?.elapsed();
    Ok(taken as f64 / took.as_secs_f64())
}
