//! Three plugins in a row: how long one message takes, and how many go through.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use selvedge::bus::Message;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::{interval, timeout};

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{all_cores, best, median, one_core, rate};
use crate::pace::{Latency, PACE, once, paced};
use crate::raw::{self, Raw, RawInstance};
use crate::report::{Bar, Figure, Row};
use crate::world::{PAYLOAD_BYTES, Role, World, running, subscribe, topic};

/// From the publisher to the subscriber.
const TOPICS: [&str; 4] = ["line/0", "line/1", "line/2", "line/3"];
const ROUNDS: usize = 3;
/// Messages of one round at 1,000 a second.
const PACED: usize = 2_200;
/// Messages of one round at full speed.
const FLAT_OUT: usize = 200_000;
/// The usual `batch_messages_max`.
const BATCH: usize = 64;

pub(crate) fn latency(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_pass")?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    all_cores()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let world = line(directory.path(), &wasm).await?;
        for round in 0..ROUNDS {
            let party = world.party(&format!("party-{round}"))?;
            let inbox = subscribe(&party, TOPICS[3])?;
            let taken = paced(&world.supervisor, party, topic(TOPICS[0])?, inbox, PACED);
            let latency = taken.await?;
            p50.push(latency.p50);
            p99.push(latency.p99);
        }
        world.supervisor.shut_down().await;
        Outcome::Ok(())
    })?;
    let raw = one_core()?.block_on(raw_paced(&wasm))?;
    let row = |what: &str, nanos: Vec<f64>, raw: f64, bar: f64| {
        Row::new(what, Figure::Nanos(median(nanos)))
            .raw(Figure::Nanos(raw))
            .bar(Bar::Figure(Figure::Nanos(bar)))
    };
    Ok(vec![
        row("three plugins, 1,000 messages/s: p50", p50, raw.p50, 30e3),
        row("three plugins, 1,000 messages/s: p99", p99, raw.p99, 200e3),
    ])
}

pub(crate) fn throughput(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_pass")?;
    let one = flat_out(&one_core()?, &wasm)?;
    let all = flat_out(&all_cores()?, &wasm)?;
    let raw = one_core()?.block_on(raw_line(&wasm, BATCH, FLAT_OUT))?;
    Ok(vec![
        Row::new("three plugins, one core: messages", rate(one)).raw(rate(raw)),
        Row::new("three plugins, all cores: messages", rate(all)).raw(rate(raw)),
    ])
}

/// A host with three plugins at work.
async fn line(directory: &std::path::Path, wasm: &[u8]) -> Outcome<World> {
    let world = World::new(directory, 4)?;
    for (index, pair) in TOPICS.windows(2).enumerate() {
        let name = format!("pass-{index}");
        let (from, to) = pair.split_at(1);
        let role = Role {
            name: &name,
            from,
            to,
            config: json!({"to": to.first()}),
            ..Role::default()
        };
        let prepared = world.prepare(&role, wasm)?;
        running(world.start(prepared)?).await?;
    }
    Ok(world)
}

/// Nanoseconds a message when the publisher never pauses.
fn flat_out(runtime: &Runtime, wasm: &[u8]) -> Outcome<f64> {
    runtime.block_on(async {
        let directory = tempfile::tempdir()?;
        let world = line(directory.path(), wasm).await?;
        let mut fastest = f64::INFINITY;
        for round in 0..ROUNDS {
            let party = world.party(&format!("party-{round}"))?;
            let mut inbox = subscribe(&party, TOPICS[3])?;
            let start = Instant::now();
            let first = topic(TOPICS[0])?;
            let source = once("bench-source", party, move |_, party| {
                let message = Message::new(first.clone(), vec![7; PAYLOAD_BYTES]);
                async move {
                    for _ in 0..FLAT_OUT {
                        party.publish_waiting(message.clone()).await?;
                        tokio::task::coop::consume_budget().await;
                    }
                    Ok(())
                }
            });
            world.supervisor.start(source);
            let (mut seen, mut batch) = (0, Vec::new());
            while seen < FLAT_OUT {
                let taken = inbox.receive(256, &mut batch);
                timeout(Duration::from_secs(10), taken).await?;
                seen += batch.len();
                batch.clear();
            }
            let took = start.elapsed();
            fastest = fastest.min(best(1, FLAT_OUT, || Ok(took))?);
        }
        world.supervisor.shut_down().await;
        Ok(fastest)
    })
}

async fn raw_guests(wasm: &[u8]) -> Outcome<Vec<RawInstance>> {
    let raw = Raw::new(wasm, 4)?;
    let mut guests = Vec::new();
    for _ in 0..3 {
        let mut guest = raw.instantiate().await?;
        guest.init().await?;
        guests.push(guest);
    }
    Ok(guests)
}

/// Three raw calls, one after the other, each millisecond: caches are as cold
/// as between paced messages.
async fn raw_paced(wasm: &[u8]) -> Outcome<Latency> {
    let mut guests = raw_guests(wasm).await?;
    let batch = raw::batch(1);
    let mut taken = Histogram::<u64>::new(3)?;
    let mut ticks = interval(PACE);
    for _ in 0..PACED {
        ticks.tick().await;
        let mut took = Duration::ZERO;
        for guest in &mut guests {
            let handle = guest.handle()?;
            let start = Instant::now();
            guest.call(&handle, &batch).await?;
            took += start.elapsed();
        }
        taken.record(u64::try_from(took.as_nanos())?)?;
    }
    Ok(Latency::of(&taken))
}

/// Nanoseconds a message for three raw calls, one after the other.
async fn raw_line(wasm: &[u8], size: usize, count: usize) -> Outcome<f64> {
    let mut guests = raw_guests(wasm).await?;
    let batch = raw::batch(size);
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for guest in &mut guests {
            let handle = guest.handle()?;
            for _ in 0..count / size {
                guest.call(&handle, &batch).await?;
            }
        }
        let took = start.elapsed();
        fastest = fastest.min(best(1, count / size * size, || Ok(took))?);
    }
    Ok(fastest)
}
