//! From a device over the bus through a plugin and over the bus to a device: the
//! real binary with a deployment. The plugin is `bench_pass`.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::brokers::{Broker, Dial, Host};
use super::load::{Load, TOPIC, carry};
use super::wire::{Packets, begin, publish};
use crate::Outcome;
use crate::guests::Guests;
use crate::report::{Bar, Figure, Row};

/// Where the plugin publishes.
const PASSED: &str = "bench/passed";
/// Until the plugin, which is compiled first, passes the first message.
const AT_WORK_MAX: Duration = Duration::from_secs(60);

const LOAD: Load = Load {
    publishers: 10,
    subscribers: 1,
    qos: 1,
    messages: 8_000,
    pace: Some(2_000),
    taken_at: PASSED,
};

pub(super) async fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    const ROUNDS: u32 = 3;
    let mut best = None;
    for _ in 0..ROUNDS {
        let broker = Broker::host(&Host {
            deployment: Some((deployment(), guests.path("bench_pass"))),
            ..Host::default()
        })?;
        let dial = broker.tls();
        at_work(&dial).await?;
        let carried = carry(&dial, LOAD).await?;
        if carried.lost > 0 {
            return Err(format!("{} messages did not come back", carried.lost).into());
        }
        let latency = carried.latency;
        if best.is_none_or(|best: crate::pace::Latency| latency.p99 < best.p99) {
            best = Some(latency);
        }
    }
    let best = best.ok_or("no round")?;
    let what = "TLS: device to plugin to device, 2,000 msg/s, QoS 1";
    let p99 = Row::new(format!("{what}, p99"), Figure::Nanos(best.p99));
    Ok(vec![
        Row::new(format!("{what}, p50"), Figure::Nanos(best.p50)),
        p99.bar(Bar::Figure(Figure::Nanos(2e6))),
    ])
}

fn deployment() -> String {
    format!(
        "name = \"bench\"\nversion = \"1.0.0\"\n\
         [plugins.pass]\ncomponent = \"bench_pass.wasm\"\nconfig.to = \"{PASSED}\"\n\
         [plugins.pass.grants]\nsubscribe = [\"{TOPIC}\"]\npublish = [\"{PASSED}\"]\n\
         [plugins.pass.limits]\npublish_per_s_max = 1000000\n"
    )
}

/// Sends messages until one comes back.
async fn at_work(dial: &Dial) -> Outcome<()> {
    const AGAIN: Duration = Duration::from_millis(50);
    let begun = Instant::now();
    let mut stream = dial.stream().await?;
    begin(&mut stream, "bench-probe", Some((PASSED, 0))).await?;
    let (packet, ..) = publish(TOPIC, 0, 8);
    let mut packets = Packets::new();
    while begun.elapsed() < AT_WORK_MAX {
        stream.write_all(&packet).await?;
        if let Ok(more) = timeout(AGAIN, packets.more(&mut stream)).await {
            return if more? {
                Ok(())
            } else {
                Err("the host hung up".into())
            };
        }
    }
    Err("the plugin passes nothing".into())
}
